"""Variables: the arrays of layers as Keras shows them, over the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deepc._values import Array, as_array

__all__ = ["Number", "Variable"]


class Number(float):
    """A number that can be asked as Keras' scalar tensors are."""

    def numpy(self) -> Any:
        """Return it as NumPy's."""
        return np.float64(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a scalar."""
        return ()


class Variable:
    """An array that belongs to a layer.

    Attributes
    ----------
    name : str
        ``"kernel"``.
    path : str
        The same with the names of the layer and the model before it.
    trainable : bool
        Whether training changes it.
    """

    def __init__(
        self,
        array: Array,
        name: str,
        path: str = "",
        trainable: bool = True,
        gradient: Array | None = None,
    ) -> None:
        self._array = array
        self.gradient = gradient
        self.name = name
        self.path = path or name
        self.trainable = trainable
        self.regularizer: Any = None
        self.constraint: Any = None

    @property
    def value(self) -> Array:
        """The array itself, not a copy."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return self._array.ndim

    @property
    def dtype(self) -> str:
        """The name of its dtype."""
        return str(self._array.dtype)

    def numpy(self) -> Array:
        """Return a copy."""
        return self._array.copy()

    def assign(self, value: Any) -> Variable:
        """Copy other numbers into it."""
        array = as_array(value, "value", self._array.dtype)
        if array.shape != self.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in "
                f"`variable.assign(value)` must match. variable.shape={self.shape}, "
                f"Received: value.shape={array.shape}. Target variable: {self!r}"
            )
        self._array[...] = array
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._array, dtype)

    def __getitem__(self, key: Any) -> Any:
        return self._array[key]

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array)

    def __repr__(self) -> str:
        return (
            f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, "
            f"value={self._array}>"
        )
