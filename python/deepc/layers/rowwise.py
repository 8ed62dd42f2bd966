"""Layers over whole rows, and one that only changes the shape."""

from __future__ import annotations

from typing import Any

from deepc._c.arrays import aligned_zeros
from deepc._c.network import flatten
from deepc._values import (
    LARGEST,
    MOST_WIDE,
    as_array,
    as_dtype,
    as_float,
    as_int,
    like,
)
from deepc.layers.base import BuiltinLayer, Layer, ParameterArray
from deepc.tensor import Tensor

__all__ = [
    "Flatten",
    "LogSoftmax",
    "PReLU",
    "Softmax",
]


class Softmax(BuiltinLayer):
    """Probabilities from scores: ``exp(x) / sum(exp(x))`` along each row.

    Before a cross-entropy leave it away: `SoftmaxCrossEntropy` takes the scores, and its gradient
    does not vanish where a probability does.

    Examples
    --------
    >>> Softmax().forward([0.0, 0.0])
    [0.5, 0.5]
    """

    _kind = "softmax"


class LogSoftmax(BuiltinLayer):
    """The logarithms of `Softmax`, also where that underflows.

    Examples
    --------
    >>> LogSoftmax().forward([0.0, -1000.0])
    [0.0, -1000.0]
    """

    _kind = "log_softmax"


class PReLU(BuiltinLayer):
    """A rectifier whose slope below 0 is learned: x where x > 0, else ``slopes * x``.

    Parameters
    ----------
    dim : int, optional
        Number of columns, each with a slope of its own; one slope for all columns if not given.
    slope : float, optional
        What the slopes start with (He et al., 2015).
    dtype : {"float32", "float64"}, optional
        What it computes in; the default dtype if not given.

    Attributes
    ----------
    slopes : ndarray of shape (dim,) or (1,)
        `slopes_grad`: their gradient.

    Examples
    --------
    >>> PReLU().forward([-4.0, 4.0])
    [-1.0, 4.0]
    """

    _kind = "slopes"
    _c_params = {"slopes": "slopes"}  # noqa: RUF012

    slopes = ParameterArray("The slopes below 0.")
    slopes_grad = ParameterArray("Their gradient, summed over the batch.")

    def __init__(self, dim: int | None = None, slope: float = 0.25, *, dtype: Any = None) -> None:
        size = 0 if dim is None else as_int(dim, "dim", least=1, most=MOST_WIDE)
        dtype = as_dtype(dtype)
        slopes = aligned_zeros((size or 1,), dtype)
        slopes[...] = as_float(slope, "slope", -LARGEST, LARGEST)
        self._make({"slopes": slopes}, dtype, inputs=size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._structure.inputs or ''})"


class Flatten(Layer):
    """Samples of any shape as rows of numbers: (n, a, b) becomes (n, a * b).

    What has one dimension is one sample, and what has two is rows already. First in a `Sequential`
    it is part of what is compiled.

    Parameters
    ----------
    sample_shape : tuple of int, optional
        The shape of a sample. With it, an input of just that shape is one sample.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten().forward(np.zeros((5, 28, 28))).shape
    (5, 784)
    >>> Flatten((28, 28)).forward(np.zeros((28, 28))).shape
    (784,)
    """

    def __init__(self, sample_shape: Any = None) -> None:
        self.sample_shape: tuple[int, ...] | None = None
        if sample_shape is not None:
            try:
                sizes = tuple(sample_shape)
            except TypeError:
                sizes = (sample_shape,)
            self.sample_shape = tuple(as_int(size, "sample_shape", least=1) for size in sizes)
        self._shape: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sample_shape or ''})"

    def forward(self, input: Any) -> Any:
        """Return the input with its samples made flat: a list for a list."""
        array = as_array(input, "input")
        result = flatten(array, self.sample_shape, "input")
        self._shape = array.shape
        return like(input, result)

    def backward(self, gradient: Tensor) -> Any:
        """Return the gradient in the shape of the last input."""
        if self._shape is None:
            raise RuntimeError("backward: call forward first")
        array = as_array(gradient, "gradient")
        try:
            result = array.reshape(self._shape)
        except ValueError:
            raise ValueError(
                f"gradient: expected as many numbers as the last input of shape {self._shape}, "
                f"got shape {array.shape}"
            ) from None
        return like(gradient, result)
