"""Variables: the arrays of layers as Keras shows them, over the same memory, and on the tape."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc import _tensorflow
from deepc._c import tape
from deepc._values import Array, as_array, default_dtype
from deepc.autodiff.tensor import Tensor

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


class Variable(_tensorflow.Variable):
    """An array that belongs to a layer, and a leaf of the tape.

    Parameters
    ----------
    initializer : array_like or callable
        The numbers, or what gives them for a shape and a dtype.
    shape : tuple of int, optional
        For an initializer that is called.
    dtype : optional
    trainable : bool, optional
        Whether training changes it.
    name : str, optional
        ``"kernel"``; `path` is the same with the names of the layer and the model before it.

    Examples
    --------
    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign(v * 2)
    <Variable path=v, shape=(2,), dtype=float32, value=[2. 4.]>
    """

    path: str
    regularizer: Any = None
    constraint: Any = None

    def __new__(
        cls, initializer: Any, shape: Any = None, dtype: Any = None, trainable: bool = True,
        autocast: bool = True, aggregation: str = "none", name: str | None = None,
    ) -> Any:  # fmt: skip
        """Make one over numbers of its own."""
        if callable(initializer) and not isinstance(initializer, tape.Node):
            if shape is None:
                raise ValueError(
                    "When creating a Variable from an initializer, the `shape` argument should be "
                    f"specified. Received: initializer={initializer} and shape={shape}"
                )
            initializer = initializer(shape, default_dtype() if dtype is None else dtype)
        given = isinstance(initializer, (np.ndarray, np.generic, tape.Node))
        array = np.array(tape.values(initializer), dtype, order="C")
        if array.dtype.kind == "f" and dtype is None and not given:
            array = array.astype(default_dtype())
        gradient = np.zeros_like(array) if array.dtype.kind == "f" else None
        return cls.over(array, gradient, name or "variable", "", trainable)

    @classmethod
    def over(
        cls, array: Array, gradient: Array | None = None, name: str = "variable", path: str = "",
        trainable: bool = True,
    ) -> Any:  # fmt: skip
        """Return one over arrays that belong to somebody else: no copy is made."""
        self = Tensor.__new__(cls, array, gradient is not None and trainable)
        if gradient is not None:
            tape.adopt(self, gradient, True)
        self.name, self.path, self.trainable = name, path or name, trainable
        return self

    @property
    def value(self) -> Array:  # type: ignore[override]
        """The array itself, not a copy."""
        return self.data  # type: ignore[no-any-return]

    @property
    def gradient(self) -> Array:
        """The array that training puts its gradient into."""
        return self.grad  # type: ignore[no-any-return]

    def numpy(self) -> Array:
        """Return a copy."""
        return np.array(self.data)

    def assign(self, value: Any) -> Variable:
        """Copy other numbers into it."""
        array = as_array(tape.values(value), "value", self.data.dtype)
        if array.shape != self.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in "
                f"`variable.assign(value)` must match. variable.shape={self.shape}, "
                f"Received: value.shape={array.shape}. Target variable: {self!r}"
            )
        self.data = array  # copies, and tells the tape
        return self

    def __repr__(self) -> str:
        return (
            f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, "
            f"value={self.data}>"
        )

    __str__ = __repr__

    def __reduce__(self) -> Any:
        return _again, (self.data, self.name, self.path, self.trainable)

    def __copy__(self) -> Any:
        return _again(*self.__reduce__()[1])


def _again(array: Array, name: str, path: str, trainable: bool) -> Variable:
    made = Variable(array, trainable=trainable, name=name)
    made.path = path
    return made  # type: ignore[no-any-return]
