"""Random tensors: how weights start."""

from __future__ import annotations

import math
from typing import Any

from deepc._c import random
from deepc._values import Array, as_dtype, as_float, as_int

__all__ = ["random_normal", "random_tensor", "random_uniform"]


def random_uniform(*dims: int, rng: Any = None, dtype: Any = None) -> Array:
    """Return numbers drawn evenly from [0, 1).

    Parameters
    ----------
    *dims : int
        The shape.
    rng : int, random.Random or numpy.random.Generator, optional
        Where randomness comes from: a seed, or a generator to draw one from; the ``random`` module
        if not given, so that ``random.seed`` fixes all.
    dtype : {"float32", "float64"}, optional
        The default dtype if not given.

    Examples
    --------
    >>> random_uniform(2, 3, 4).shape
    (2, 3, 4)
    >>> bool((random_uniform(5, rng=1) == random_uniform(5, rng=1)).all())
    True
    """
    return random.uniform(_dims(dims), as_dtype(dtype), rng)


def random_normal(
    *dims: int, mean: float = 0.0, variance: float = 1.0, rng: Any = None, dtype: Any = None
) -> Array:
    """Return numbers drawn from a normal distribution.

    `variance` is what the name says, the square of the standard deviation.

    Parameters
    ----------
    *dims : int
        The shape.
    mean, variance : float, optional
    rng, dtype
        As for `random_uniform`.

    Examples
    --------
    >>> random_normal(5, 6, mean=10).shape
    (5, 6)
    """
    mean = as_float(mean, "mean")
    deviation = math.sqrt(as_float(variance, "variance", low=0.0))
    return random.normal(_dims(dims), as_dtype(dtype), rng, mean, deviation)


def random_tensor(*dims: int, init: str = "normal", rng: Any = None, dtype: Any = None) -> Array:
    """Return random numbers by the name of their distribution.

    Parameters
    ----------
    *dims : int
        The shape; that of weights is (outputs, inputs).
    init : {"normal", "uniform", "xavier"}, optional
        ``"normal"`` has mean 0 and variance 1, ``"uniform"`` lies in [0, 1), and ``"xavier"`` is
        normal with variance 2 / (inputs + outputs) (Glorot and Bengio, 2010); for one dimension, 1
        / its size.
    rng, dtype
        As for `random_uniform`.

    Examples
    --------
    >>> random_tensor(10, 784, init="xavier").shape
    (10, 784)
    """
    shape = _dims(dims)
    if init == "normal":
        return random_normal(*shape, rng=rng, dtype=dtype)
    if init == "uniform":
        return random_uniform(*shape, rng=rng, dtype=dtype)
    if init == "xavier":
        return random_normal(*shape, variance=len(shape) / sum(shape), rng=rng, dtype=dtype)
    raise ValueError(f"init: expected 'normal', 'uniform' or 'xavier', got {init!r}")


def _dims(dims: tuple[int, ...]) -> tuple[int, ...]:
    if not dims:
        raise ValueError("dims: expected at least one size, got none")
    return tuple(as_int(size, "dims", least=1) for size in dims)
