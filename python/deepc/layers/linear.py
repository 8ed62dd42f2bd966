"""The fully connected layer."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from deepc._c import random
from deepc._c.arrays import aligned_zeros
from deepc._values import FLOAT32, MOST_WIDE, Array, as_bool, as_dtype, as_int
from deepc.initializers import random_tensor
from deepc.layers.base import BuiltinLayer, ParameterArray

__all__ = ["Linear"]


class Linear(BuiltinLayer):
    """A layer of neurons, each a weighted sum of all inputs plus a bias.

    ``output[o] = sum over i of w[o][i] * input[i] + b[o]``

    Parameters
    ----------
    input_dim : int
        Number of inputs; afterwards an attribute that cannot be changed.
    output_dim : int
        Number of neurons; as `input_dim`.
    init : {"xavier", "normal", "uniform"}, optional
        How weights and biases start; see `random_tensor`.
    bias : bool, optional
        Whether there are biases; without them `b` and `b_grad` do not exist.
    dtype : {"float32", "float64"}, optional
        What it computes in; the default dtype if not given.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the initial numbers come from; the ``random`` module if not given, so that
        ``random.seed`` fixes them.

    Attributes
    ----------
    w : ndarray of shape (output_dim, input_dim)
        The weights: ``w[o]`` are those of neuron o. Assigning copies into the same memory.
    b : ndarray of shape (output_dim,)
        The biases.
    w_grad, b_grad : ndarray
        Their gradients after `backward`, summed over the batch.

    Examples
    --------
    >>> layer = Linear(2, 1)
    >>> layer.w = [[1.0, 2.0]]
    >>> layer.b = [0.5]
    >>> layer.forward([10.0, 20.0])
    [50.5]
    >>> layer.backward([1.0])
    [1.0, 2.0]
    >>> layer.w_grad
    array([[10., 20.]], dtype=float32)
    """

    _kind = "linear"
    _c_params = {"w": "weights", "b": "bias"}  # noqa: RUF012

    w = ParameterArray("The weights, (output_dim, input_dim).")
    b = ParameterArray("The biases, (output_dim,).")
    w_grad = ParameterArray("The gradient of the weights, summed over the batch.")
    b_grad = ParameterArray("The gradient of the biases, summed over the batch.")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        init: str = "xavier",
        *,
        bias: bool = True,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        inputs = as_int(input_dim, "input_dim", least=1, most=MOST_WIDE)
        outputs = as_int(output_dim, "output_dim", least=1, most=MOST_WIDE)
        bias, dtype, rng = as_bool(bias, "bias"), as_dtype(dtype), random.generator(rng)
        # The library keeps weights as inputs x outputs, so that a product with a row of inputs runs
        # along memory; w is the transposed view that the book's indices ask for.
        w, b = aligned_zeros((inputs, outputs), dtype).T, None
        w[...] = self._drawn((outputs, inputs), init, rng, dtype)
        if bias:
            b = aligned_zeros((outputs,), dtype)
            b[...] = self._drawn((outputs,), init, rng, dtype)
        self._make({"w": w, "b": b}, dtype, inputs=inputs, outputs=outputs)

    @classmethod
    def over(
        cls, w: Array, w_grad: Array, b: Array | None = None, b_grad: Array | None = None
    ) -> Linear:
        """Return a layer over arrays that belong to somebody else, which it uses where they are.

        Parameters
        ----------
        w, w_grad : ndarray of shape (output_dim, input_dim)
            Each the transpose of a C-contiguous array.
        b, b_grad : ndarray of shape (output_dim,), optional
        """
        self, given = cls.__new__(cls), {"weights": (w, w_grad)}
        if b is not None and b_grad is not None:
            given["bias"] = (b, b_grad)
        self._adopt(cast(Any, given), w.dtype, w.shape[1], w.shape[0])
        return self

    def _drawn(self, shape: tuple[int, ...], init: str, rng: Any, dtype: np.dtype[Any]) -> Array:
        """Return what weights or biases start with."""
        return random_tensor(*shape, init=init, rng=rng, dtype=dtype)

    def __repr__(self) -> str:
        settings = "" if "bias" in self._memory.parts.parameters else ", bias=False"
        settings += "" if self._dtype == FLOAT32 else f", dtype='{self._dtype}'"
        return f"{type(self).__name__}({self.input_dim}, {self.output_dim}{settings})"

    @property
    def input_dim(self) -> int:
        """Number of inputs."""
        return cast(int, self._structure.inputs)

    @property
    def output_dim(self) -> int:
        """Number of neurons."""
        return cast(int, self._structure.outputs)

    @property
    def _widths(self) -> tuple[int, int]:
        return self.input_dim, self.output_dim
