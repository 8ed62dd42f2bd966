"""Layers that join several places: sums, products, and what stands side by side."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from deepc.autodiff import ops
from deepc.keras._names import automatic
from deepc.keras.layers.base import Layer
from deepc.keras.layers.places import KerasTensor, Shape

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Operation",
    "Subtract",
]  # fmt: skip


class _Merge(Layer):
    """A layer that is called with a list of places or Tensors."""

    _exactly = 0  # so many inputs; 0 is any number

    def why_not_compiled(self) -> str:
        """Return that a chain has no place for it."""
        return "it is no layer of a chain"

    def build(self, input_shape: Any) -> None:
        """Look at the shapes of what is joined."""
        self.build_for([tuple(shape)[1:] for shape in input_shape])

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape for a list of inputs', batch included."""
        return (None, *self._compute([tuple(shape)[1:] for shape in input_shape]))

    def _check_single(self, sample: Any) -> None:
        pass  # a list it is called with

    def _check_input(self, sample: Any) -> None:
        self._compute(sample)

    def _compute(self, sample: Any) -> Any:
        if not isinstance(sample, list):
            raise ValueError(
                "A merge layer should be called on a list of inputs. Received: "
                f"input_shape={(None, *sample)} (not a list of shapes)"
            )
        shapes = [(None, *one) for one in sample]
        if not shapes or (self._exactly and len(shapes) != self._exactly):
            raise ValueError(
                f"A `{type(self).__name__}` layer should be called on "
                f"{f'exactly {self._exactly} inputs' if self._exactly else 'a list of inputs'}. "
                f"Received: input_shape={shapes}"
            )
        return self._joined(sample)

    def _joined(self, shapes: list[Shape]) -> Shape:
        """Return the shape of what is computed element by element."""
        return functools.reduce(_broadcast, shapes)

    def _on_tape(self, x: Any) -> Any:
        return self._merged(_aligned(x))

    def _merged(self, x: list[Any]) -> Any:
        raise NotImplementedError


def _broadcast(a: Shape, b: Shape) -> Shape:
    """Return the shape of samples that are combined element by element."""
    if len(a) < len(b):
        a, b = b, a
    more = len(a) - len(b)
    if any(m != n and 1 not in (m, n) for m, n in zip(a[more:], b, strict=True)):
        raise ValueError(f"Inputs have incompatible shapes. Received shapes {a} and {b}")
    return (*a[:more], *(max(m, n) for m, n in zip(a[more:], b, strict=True)))


def _aligned(x: list[Any]) -> list[Any]:
    """Return Tensors of one number of dimensions: those of fewer have ones behind the batch."""
    most = max(one.ndim for one in x)
    return [
        ops.reshape(one, (one.shape[0], *(1,) * (most - one.ndim), *one.shape[1:])) for one in x
    ]


class Add(_Merge):
    """The sum of all inputs.

    Examples
    --------
    >>> import numpy as np
    >>> Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).numpy().tolist()
    [[11.0, 22.0]]
    """

    def _merged(self, x: list[Any]) -> Any:
        return functools.reduce(lambda a, b: a + b, x)


class Subtract(_Merge):
    """The first input less the second."""

    _exactly = 2

    def _merged(self, x: list[Any]) -> Any:
        return x[0] - x[1]


class Multiply(_Merge):
    """The product of all inputs."""

    def _merged(self, x: list[Any]) -> Any:
        return functools.reduce(lambda a, b: a * b, x)


class Average(_Merge):
    """The mean of all inputs."""

    def _merged(self, x: list[Any]) -> Any:
        return functools.reduce(lambda a, b: a + b, x) / float(len(x))


class Maximum(_Merge):
    """The largest of all inputs, element by element."""

    def _merged(self, x: list[Any]) -> Any:
        return functools.reduce(ops.maximum, x)


class Minimum(_Merge):
    """The smallest of all inputs, element by element."""

    def _merged(self, x: list[Any]) -> Any:
        return functools.reduce(ops.minimum, x)


class Concatenate(_Merge):
    """All inputs side by side, along an axis.

    Examples
    --------
    >>> import numpy as np
    >>> Concatenate()([np.array([[1.0]]), np.array([[2.0, 3.0]])]).numpy().tolist()
    [[1.0, 2.0, 3.0]]
    """

    _arguments = ("axis",)

    def __init__(self, axis: int = -1, **given: Any) -> None:
        self.axis = axis
        super().__init__(**given)

    def _place(self, shapes: list[Shape]) -> int:
        """Return the axis of samples: from 0, without the batch."""
        ndim = len(shapes[0]) + 1
        axis = self.axis + ndim if self.axis < 0 else self.axis
        if not 0 < axis < ndim:
            raise ValueError(
                f"axis: expected a dimension of {ndim} that is not the batch, got {self.axis}"
            )
        return axis - 1

    def _joined(self, shapes: list[Shape]) -> Shape:
        place = self._place(shapes)
        without = {(*one[:place], *one[place + 1 :]) for one in shapes}
        if len(without) != 1 or len({len(one) for one in shapes}) != 1:
            raise ValueError(
                "A `Concatenate` layer requires inputs with matching shapes except for the "
                f"concatenation axis. Received: input_shape={[(None, *one) for one in shapes]}"
            )
        total = sum(one[place] for one in shapes)
        return (*shapes[0][:place], total, *shapes[0][place + 1 :])

    def _merged(self, x: list[Any]) -> Any:
        return ops.concatenate(x, self._place([one.shape[1:] for one in x]) + 1)


class Dot(_Merge):
    """The product of two inputs' rows, summed along an axis; of their directions if normalized."""

    _exactly = 2
    _arguments = ("axes", "normalize")

    def __init__(self, axes: Any, normalize: bool = False, **given: Any) -> None:
        if axes not in (-1, 1, (1, 1), [1, 1], (-1, -1), [-1, -1]):
            raise ValueError(
                f"axes: only 1 or -1, of inputs of shape (batch, n), are supported; got {axes!r}"
            )
        self.axes, self.normalize = axes, normalize
        super().__init__(**given)

    def _joined(self, shapes: list[Shape]) -> Shape:
        if any(len(one) != 1 for one in shapes) or shapes[0] != shapes[1]:
            raise ValueError(
                "A `Dot` layer expects two inputs of the same shape (batch, n). Received: "
                f"input_shape={[(None, *one) for one in shapes]}"
            )
        return (1,)

    def _merged(self, x: list[Any]) -> Any:
        if self.normalize:
            x = [one / ops.norm(one, -1, True) for one in x]
        return ops.sum(x[0] * x[1], -1, True)


# ---- Operators between places --------------------------------------------------------------------


class Operation(Layer):
    """What an operator of Python is between places and numbers."""

    # Keras' names, which are also what it shows: Add of two places is a layer of that name.
    _functions: ClassVar[dict[str, Callable[..., Any]]] = {
        "Add": lambda a, b: a + b, "Subtract": lambda a, b: a - b, "Multiply": lambda a, b: a * b,
        "TrueDivide": lambda a, b: a / b, "Power": lambda a, b: a**b,
        "Matmul": lambda a, b: a @ b, "Negative": lambda a: -a, "GetItem": lambda a, b: a[b],
    }  # fmt: skip

    def __init__(self, function: str, name: str | None = None) -> None:
        super().__init__(name=name or automatic(function))
        self.function = function

    def why_not_compiled(self) -> str:
        """Return that a chain has no place for it."""
        return "it is no layer of a chain"

    def build(self, input_shape: Any) -> None:
        """Do nothing: there is no weight."""

    def _traces(self) -> bool:
        return True

    def _kind(self) -> str:
        return self.function

    def _check_input(self, sample: Any) -> None:
        pass  # what does not fit is refused by the operation

    def get_config(self) -> dict[str, Any]:
        """Return the name: the function is the class that files have."""
        return {"name": self.name}

    def call(self, *given: Any, **named: Any) -> Any:
        """Compute it."""
        return self._functions[self.function](*given, **named)


def _operator(name: str, swap: bool = False) -> Callable[..., Any]:
    def operate(self: KerasTensor, *other: Any) -> Any:
        return Operation(name)(*other, self) if swap else Operation(name)(self, *other)

    return operate


def _getitem(self: KerasTensor, index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    if not parts or parts[0] != slice(None):
        raise ValueError(
            f"index: the first dimension is the batch, which is taken whole: x[:, ...], not {index}"
        )
    return Operation("GetItem")(self, index)


_OPERATORS = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "TrueDivide": "truediv", "Power": "pow",
    "Matmul": "matmul",
}  # fmt: skip
for _name, _method in _OPERATORS.items():
    setattr(KerasTensor, f"__{_method}__", _operator(_name))
    setattr(KerasTensor, f"__r{_method}__", _operator(_name, swap=True))
for _method, _operate in (("__neg__", _operator("Negative")), ("__getitem__", _getitem)):
    setattr(KerasTensor, _method, _operate)


# ---- As functions --------------------------------------------------------------------------------


def _function(cls: Any) -> Callable[..., Any]:
    def merge(inputs: Any, **given: Any) -> Any:
        return cls(**given)(inputs)

    merge.__name__ = merge.__qualname__ = cls.__name__.lower()
    merge.__doc__ = cls.__doc__.splitlines()[0]
    return merge


add, subtract, multiply = _function(Add), _function(Subtract), _function(Multiply)
average, maximum, minimum = _function(Average), _function(Maximum), _function(Minimum)
concatenate, dot = _function(Concatenate), _function(Dot)
