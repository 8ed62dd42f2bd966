"""The places between layers: what `Input` and a layer give before there is any data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import deepc
from deepc._values import as_int

if TYPE_CHECKING:
    from deepc.keras.layers.base import Layer

__all__ = [
    "Call", "InputSpec", "KerasTensor", "SampleOf", "Shape", "as_shape", "flat", "mapped",
    "mapped_shapes", "sample_shapes",
]  # fmt: skip

Shape = tuple[int, ...]


def flat(structure: Any) -> Iterator[Any]:
    """Yield what nested lists, tuples and dicts hold."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        for part in structure:
            yield from flat(part)
    else:
        yield structure


def mapped(structure: Any, function: Callable[[Any], Any]) -> Any:
    """Return the same nested lists, tuples and dicts of what a function makes of each part."""
    if isinstance(structure, dict):
        return {key: mapped(part, function) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)([mapped(part, function) for part in structure])
    return function(structure)


class InputSpec:
    """What a layer says of the input that it takes; kept, not looked at."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class Call:
    """One use of a layer in a graph: what it gets, and the places of what it gives."""

    def __init__(self, layer: Layer, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.layer, self.arguments, self.named = layer, arguments, named
        self.outputs: list[KerasTensor] = []
        # Which use of the layer it is, counted from 0.
        self.number = len(layer._calls)
        layer._calls.append(self)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The places that it goes on from."""
        given = flat((self.arguments, self.named))
        return [place for place in given if isinstance(place, KerasTensor)]


class KerasTensor:
    """The place of an array between layers: a shape, and where it comes from."""

    def __init__(self, shape: Shape, call: Call) -> None:
        self.shape: tuple[int | None, ...] = (None, *shape)
        self.call = call
        self.index = len(call.outputs)
        self.dtype = deepc.default_dtype().name
        call.outputs.append(self)

    @property
    def layer(self) -> Any:
        """The layer that it comes from."""
        return self.call.layer

    @property
    def ndim(self) -> int:
        """How many dimensions it has, the batch included."""
        return len(self.shape)

    @property
    def name(self) -> str:
        """The name of its layer."""
        return str(self.layer.name)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            "a KerasTensor is a place without numbers: pass it to layers, or to functions of "
            "keras.ops inside a layer's call"
        )

    def __bool__(self) -> bool:
        raise TypeError("A symbolic KerasTensor cannot be used as a boolean.")

    def __iter__(self) -> Any:
        raise TypeError("Iterating over a symbolic KerasTensor is not supported.")


def as_shape(shape: Any, name: str = "shape") -> Shape:
    """Return the shape of a sample."""
    if isinstance(shape, (int, np.integer)) or shape is None:
        raise ValueError(f"Cannot convert '{shape}' to a shape.")
    sizes = tuple(shape)
    if any(size is None for size in sizes):
        raise ValueError(
            f"{name}: sizes that are not known (None) are not supported behind the batch; "
            f"got {sizes}"
        )
    return tuple(as_int(size, name, least=1) for size in sizes)


class SampleOf(tuple):  # type: ignore[type-arg]
    """The shape of a sample of a place or a Tensor: a leaf among nested tuples."""

    __slots__ = ()

    def __new__(cls, place: Any) -> Any:
        """Make it of what has a shape, a batch first."""
        return super().__new__(cls, tuple(getattr(place, "shape", (None,)))[1:])


def mapped_shapes(shapes: Any, function: Callable[[Any], Any]) -> Any:
    """Return what a function makes of each shape of a shape, or of lists and dicts of shapes."""
    if isinstance(shapes, dict):
        return {key: mapped_shapes(one, function) for key, one in shapes.items()}
    several = any(isinstance(one, (list, tuple, dict)) for one in shapes)
    if several:
        return [mapped_shapes(one, function) for one in shapes]
    return function(tuple(shapes))


def sample_shapes(given: Any) -> Any:
    """Return the shapes of samples of places or Tensors."""
    return mapped_shapes(mapped(given, SampleOf), lambda one: one)
