"""The fully connected layer."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from deepc._c import random
from deepc._c.network import set_linear
from deepc._values import FLOAT32, Array, aligned_zeros, as_array, as_dtype, as_int
from deepc.initializers import random_tensor
from deepc.layers.base import BuiltinLayer
from deepc.tensor import Tensor

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

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        init: str = "xavier",
        *,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        super().__init__()
        inputs = as_int(input_dim, "input_dim", least=1)
        outputs = as_int(output_dim, "output_dim", least=1)
        self._allocate(inputs, outputs, as_dtype(dtype))
        self._initialize(init, rng)

    def _allocate(self, inputs: int, outputs: int, dtype: np.dtype[Any]) -> None:
        # The library keeps weights as inputs x outputs, so that a product with a row of inputs runs
        # along memory; w is the transposed view that the book's indices ask for.
        shape = (inputs, outputs)
        buffers = [aligned_zeros(s, dtype) for s in (shape, shape[1:], shape, shape[1:])]
        self._w, self._b, self._w_grad, self._b_grad = (buffer.T for buffer in buffers)
        self._pointers = set_linear(self._structure, *buffers)

    def _initialize(self, init: str, rng: Any) -> None:
        rng = random.generator(rng)
        self.w = random_tensor(
            self.output_dim, self.input_dim, init=init, rng=rng, dtype=self._dtype
        )
        self.b = random_tensor(self.output_dim, init=init, rng=rng, dtype=self._dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        arrays = self._w, self._b, self._w_grad, self._b_grad
        # A dtype that was pickled is another object, and dtypes are told by identity.
        self._allocate(self.input_dim, self.output_dim, as_dtype(self._w.dtype))
        for new, old in zip((self._w, self._b, self._w_grad, self._b_grad), arrays, strict=True):
            new[...] = old

    def __repr__(self) -> str:
        dtype = "" if self._dtype == FLOAT32 else f", dtype='{self._dtype}'"
        return f"{type(self).__name__}({self.input_dim}, {self.output_dim}{dtype})"

    @property
    def input_dim(self) -> int:
        """Number of inputs."""
        return cast(int, self._w.shape[1])

    @property
    def output_dim(self) -> int:
        """Number of neurons."""
        return cast(int, self._w.shape[0])

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self._w.dtype

    @property
    def _widths(self) -> tuple[int, int]:
        return self.input_dim, self.output_dim

    @property
    def w(self) -> Array:
        """The weights, (output_dim, input_dim)."""
        return self._w

    @w.setter
    def w(self, value: Tensor) -> None:
        _assign(self._w, value, "w")

    @property
    def b(self) -> Array:
        """The biases, (output_dim,)."""
        return self._b

    @b.setter
    def b(self, value: Tensor) -> None:
        _assign(self._b, value, "b")

    @property
    def w_grad(self) -> Array:
        """The gradient of the weights, summed over the batch."""
        return self._w_grad

    @w_grad.setter
    def w_grad(self, value: Tensor) -> None:
        _assign(self._w_grad, value, "w_grad")

    @property
    def b_grad(self) -> Array:
        """The gradient of the biases, summed over the batch."""
        return self._b_grad

    @b_grad.setter
    def b_grad(self, value: Tensor) -> None:
        _assign(self._b_grad, value, "b_grad")

    def params(self) -> list[Tensor]:
        """Return [w, b]."""
        return [self._w, self._b]

    def grads(self) -> list[Tensor]:
        """Return [w_grad, b_grad]."""
        return [self._w_grad, self._b_grad]


def _assign(array: Array, value: Tensor, name: str) -> None:
    new = as_array(value, name, array.dtype)
    if new.shape != array.shape:
        raise ValueError(f"{name}: expected shape {array.shape}, got {new.shape}")
    array[...] = new
