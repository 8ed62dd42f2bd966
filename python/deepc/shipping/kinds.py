"""What each kind of layer is in a file: its numbers, its tensors, and how it is made of them.

The one list of what can be saved as a whole. A file names a kind, never a class or a module; what
the list does not have is refused. Names and layouts of tensors are those of a torch
``nn.Sequential``, which therefore reads the file as a state_dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from deepc._values import FLOAT32, FLOAT64, Array, describe
from deepc.activations import Relu, Sigmoid, Tanh
from deepc.layers import Dropout, Layer, Linear, Sequential
from deepc.layers.base import is_builtin

__all__ = ["KINDS", "Numbers", "describe_model", "make_model", "model_tensors"]

_DTYPES: dict[str, np.dtype[Any]] = {"float32": FLOAT32, "float64": FLOAT64}
# Sequentials deeper than that are no network, but a trap for the reader.
_DEEPEST = 64


class Numbers:
    """The numbers of a thing in a file, each asked for once, and refused by name if it is wrong.

    Floats stand as hexadecimal strings, which are exact, and so do 64-bit integers, which not every
    reader of JSON keeps.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise ValueError(f"{where}: expected an object, got {describe(values)}")
        self.where = where
        self._values = dict(values)

    def fail(self, name: str, expected: str, got: Any) -> ValueError:
        """Return the error for a number that is not right."""
        return ValueError(f"{self.where}: {name}: expected {expected}, got {describe(got)}")

    def take(self, name: str) -> Any:
        """Return a value of any kind."""
        if name not in self._values:
            raise ValueError(f"{self.where}: {name} is missing")
        return self._values.pop(name)

    def has(self, name: str) -> bool:
        """Whether a value is there that was not asked for."""
        return name in self._values

    def text(self, name: str, among: Any = None) -> str:
        """Return a string, one of some where they are given."""
        value = self.take(name)
        if not isinstance(value, str) or (among is not None and value not in among):
            known = "a string" if among is None else " or ".join(map(repr, among))
            raise self.fail(name, known, value)
        return value

    def whole(self, name: str, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        value = self.take(name)
        if type(value) is not int or not least <= value < 2**63:
            raise self.fail(name, f"an integer of at least {least}", value)
        return value

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if type(value) is not bool:
            raise self.fail(name, "true or false", value)
        return value

    def real(self, name: str, finite: bool = True) -> float:
        """Return a float."""
        return self.as_real(name, self.take(name), finite)

    def as_real(self, name: str, value: Any, finite: bool = True) -> float:
        """Return a float from its hexadecimal string."""
        try:
            number = float.fromhex(value)
        except (TypeError, ValueError, OverflowError):
            raise self.fail(name, "a float in hexadecimal", value) from None
        if finite and not math.isfinite(number):
            raise self.fail(name, "a finite number", value)
        return number

    def word(self, name: str) -> int:
        """Return 64 bits."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) != 16 or set(value) - set("0123456789abcdef"):
            raise self.fail(name, "16 hexadecimal digits", value)
        return int(value, 16)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        if self._values:
            raise ValueError(f"{self.where}: unknown: {', '.join(map(repr, self._values))}")


def word(value: int) -> str:
    """Return 64 bits as they stand in a file."""
    return f"{value:016x}"


class Kind(NamedTuple):
    """A kind of layer.

    Attributes
    ----------
    cls : type
        Its class.
    numbers : callable
        From a layer, what stands in the file beside its tensors.
    make : callable
        From `Numbers` and what gives it its tensors, a new layer.
    tensors : callable
        From a layer, its tensors by their names in the file. Loading copies into these arrays.
    """

    cls: type
    numbers: Callable[[Any], dict[str, Any]]
    make: Callable[[Numbers, Take], Layer]
    tensors: Callable[[Any], dict[str, Array]] = lambda layer: {}


# Gives a tensor of the layer that is made: its name, and the shape and dtype that it must have.
Take = Callable[[str, tuple[int, ...], np.dtype[Any]], Array]


def _make_linear(numbers: Numbers, take: Take) -> Linear:
    inputs, outputs = numbers.whole("inputs", 1), numbers.whole("outputs", 1)
    dtype = _DTYPES[numbers.text("dtype", _DTYPES)]
    # Before anything is made of a size that the file has no bytes for.
    weight, bias = take("weight", (outputs, inputs), dtype), take("bias", (outputs,), dtype)
    layer = Linear(inputs, outputs, "uniform", dtype=dtype, rng=0)
    layer.w, layer.b = weight, bias
    return layer


def _dropout_numbers(layer: Dropout) -> dict[str, Any]:
    s = layer._structure
    return {"p": layer.p.hex(), "train": layer.train, "key": word(s.key), "pass": word(s.counter)}


def _make_dropout(numbers: Numbers, take: Take) -> Dropout:
    layer = Dropout(0.0, rng=0)
    p = numbers.real("p")
    if not 0 <= p <= 1:
        raise numbers.fail("p", "a probability", p)
    layer.p, layer.train = p, numbers.flag("train")
    layer._structure.key, layer._structure.counter = numbers.word("key"), numbers.word("pass")
    return layer


def _plain(cls: Any) -> Kind:
    """Return the kind of a layer that has neither numbers nor tensors."""
    return Kind(cls, lambda layer: {}, lambda numbers, take: cls())


KINDS: Mapping[str, Kind] = {
    "linear": Kind(
        Linear,
        lambda layer: {
            "inputs": layer.input_dim, "outputs": layer.output_dim, "dtype": layer.w.dtype.name,
        },
        _make_linear,
        lambda layer: {"weight": layer.w, "bias": layer.b},
    ),
    "dropout": Kind(Dropout, _dropout_numbers, _make_dropout),
    "sigmoid": _plain(Sigmoid),
    "tanh": _plain(Tanh),
    "relu": _plain(Relu),
}  # fmt: skip

_SEQUENTIAL = "sequential"
_NAMES = {kind.cls: name for name, kind in KINDS.items()}


def kind_of(layer: Any) -> str | None:
    """Return the name of a layer's kind; None for one that is partly Python."""
    name = _NAMES.get(type(layer))
    return name if name and is_builtin(layer) else None


def walk(model: Layer, position: str = "", depth: int = 0) -> Iterator[tuple[str, Layer]]:
    """Yield each layer that is no Sequential, with its position: ``"0"``, ``"1.0"``, ``""``."""
    if type(model) is not Sequential:
        yield position, model
        return
    if depth > _DEEPEST:
        raise ValueError("model: Sequentials that are nested too deeply")
    for i, layer in enumerate(model.layers):
        yield from walk(layer, f"{position}.{i}" if position else str(i), depth + 1)


def at(position: str, name: str) -> str:
    """Return the name of a tensor in a file."""
    return f"{position}.{name}" if position else name


def model_tensors(model: Layer) -> dict[str, Any]:
    """Return the tensors of a model by their names in a file, each layer's once.

    Those of layers written in Python are what they gave, lists maybe, and their names numbers.
    """
    seen: set[int] = set()
    found: dict[str, Any] = {}
    for position, layer in walk(model):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        tensors: Mapping[str, Any]
        if name := kind_of(layer):
            tensors = KINDS[name].tensors(layer)
        else:
            tensors = {str(i): param for i, param in enumerate(layer.params())}
        found.update({at(position, name): array for name, array in tensors.items()})
    return found


def describe_model(model: Layer) -> dict[str, Any]:
    """Return what a file says of a model beside its tensors."""
    return _describe(model, "", {})


def _describe(model: Any, position: str, seen: dict[int, str]) -> dict[str, Any]:
    if type(model) is Sequential:
        if len(position) > 4 * _DEEPEST:
            raise ValueError("model: Sequentials that are nested too deeply")
        inner = (at(position, str(i)) for i in range(len(model.layers)))
        layers = [
            _describe(layer, place, seen) for place, layer in zip(inner, model.layers, strict=True)
        ]
        return {"kind": _SEQUENTIAL, "layers": layers}
    name = kind_of(model)
    if name is None:
        raise TypeError(
            f"model: {f'layers[{position}]' if position else 'it'} is a "
            f"{type(model).__name__}, which is written in Python and cannot be saved as a whole; "
            "save_weights(model, ...) keeps its parameters"
        )
    if id(model) in seen:
        return {"kind": "same", "as": seen[id(model)]}
    seen[id(model)] = position
    return {"kind": name, **KINDS[name].numbers(model)}


def make_model(description: Any, tensors: Mapping[str, Array], where: str) -> Layer:
    """Return the model that a file describes, with its tensors; each must have its place."""
    made: dict[str, Layer] = {}
    model = _make(description, tensors, where, "", made, 0)
    used = set(model_tensors(model))
    if unknown := sorted(set(tensors) - used):
        raise ValueError(f"{where}: tensor {unknown[0]!r} belongs to no layer of the model")
    return model


def _make(
    description: Any, tensors: Mapping[str, Array], where: str, position: str,
    made: dict[str, Layer], depth: int,
) -> Layer:  # fmt: skip
    numbers = Numbers(description, f"{where}: layer {position}" if position else f"{where}: model")
    kind = numbers.text("kind", [*KINDS, _SEQUENTIAL, "same"])
    if kind == _SEQUENTIAL:
        layers = numbers.take("layers")
        if not isinstance(layers, list) or depth > _DEEPEST:
            raise numbers.fail("layers", "a list of layers", layers)
        numbers.done()
        return Sequential(
            _make(layer, tensors, where, at(position, str(i)), made, depth + 1)
            for i, layer in enumerate(layers)
        )
    if kind == "same":
        other = numbers.text("as", made)
        numbers.done()
        return made[other]

    def take(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        full = at(position, name)
        if full not in tensors:
            raise ValueError(f"{where}: tensor {full!r} is missing")
        array = tensors[full]
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{where}: tensor {full!r}: expected shape {list(shape)} of {dtype}, "
                f"got {list(array.shape)} of {array.dtype}"
            )
        return array

    made[position] = layer = KINDS[kind].make(numbers, take)
    numbers.done()
    return layer
