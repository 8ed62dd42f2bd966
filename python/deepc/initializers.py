"""Random tensors: how weights start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from deepc import kernels
from deepc._c import random
from deepc._values import FLOAT64, Array, as_dtype, as_float, as_int, describe, nearest

__all__ = [
    "SCALED", "Scaled", "draw", "orthogonal", "random_normal", "random_tensor", "random_uniform",
    "scaled",
]  # fmt: skip

# The standard deviation of a standard normal number that is drawn again beyond 2.
_TRUNCATED = 0.87962566103423978


class Scaled(NamedTuple):
    """A distribution whose variance is `scale` divided by a fan.

    The fan is that of the inputs (``"fan_in"``), the outputs, or their mean (``"fan_avg"``).
    """

    scale: float
    mode: str
    distribution: str  # "uniform", "normal", "truncated_normal"


# THE list of names: those of Keras, whose normal numbers are truncated, and those of PyTorch. The
# last one is what PyTorch's Linear starts with: even in +-1 / sqrt(inputs), which has a third of
# the variance 1 / inputs.
SCALED = {
    "glorot_uniform": Scaled(1.0, "fan_avg", "uniform"),
    "glorot_normal": Scaled(1.0, "fan_avg", "truncated_normal"),
    "he_uniform": Scaled(2.0, "fan_in", "uniform"),
    "he_normal": Scaled(2.0, "fan_in", "truncated_normal"),
    "lecun_uniform": Scaled(1.0, "fan_in", "uniform"),
    "lecun_normal": Scaled(1.0, "fan_in", "truncated_normal"),
    "xavier_uniform": Scaled(1.0, "fan_avg", "uniform"),
    "xavier_normal": Scaled(1.0, "fan_avg", "normal"),
    "kaiming_uniform": Scaled(2.0, "fan_in", "uniform"),
    "kaiming_normal": Scaled(2.0, "fan_in", "normal"),
    "fan_in_uniform": Scaled(1.0 / 3.0, "fan_in", "uniform"),
}


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
    init : str, optional
        ``"normal"`` has mean 0 and variance 1, ``"uniform"`` lies in [0, 1), and ``"xavier"`` is
        normal with variance 2 / (inputs + outputs) (Glorot and Bengio, 2010); for one dimension, 1
        / its size. Also the names of Keras and PyTorch: ``"glorot_uniform"``, ``"he_normal"``,
        ``"lecun_normal"``, ``"kaiming_uniform"``, ..., and ``"orthogonal"``, ``"zeros"``,
        ``"ones"``.
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
    if init in SCALED:
        inputs = shape[1] if len(shape) > 1 else shape[0]
        return scaled(shape, SCALED[init], inputs, shape[0], rng, dtype)
    if init == "orthogonal":
        return orthogonal(shape, rng=rng, dtype=dtype)
    if init in ("zeros", "ones"):
        return np.full(shape, float(init == "ones"), as_dtype(dtype))
    raise ValueError(_unknown(init))


def _unknown(init: Any) -> str:
    names = ["normal", "uniform", "xavier", *SCALED, "orthogonal", "zeros", "ones"]
    hint = nearest(init, names) if isinstance(init, str) else ""
    return f"init: expected 'normal', 'uniform', 'xavier' or another name, got {init!r}{hint}"


def scaled(
    shape: Sequence[int], by: Scaled, inputs: int, outputs: int, rng: Any = None, dtype: Any = None
) -> Array:
    """Return numbers of the variance that a layer of so many inputs and outputs asks for.

    Examples
    --------
    >>> draws = scaled((784, 128), SCALED["glorot_uniform"], 784, 128, rng=1)
    >>> round(float(abs(draws).max()), 4)
    0.0811
    """
    fans = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}
    if by.mode not in fans:
        raise ValueError(f"mode: expected one of {', '.join(map(repr, fans))}, got {by.mode!r}")
    variance = as_float(by.scale, "scale", 0.0) / max(1.0, fans[by.mode])
    if by.distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return draw(shape, "uniform", -limit, limit, rng, dtype)
    if by.distribution in ("truncated_normal", "normal"):
        deviation = math.sqrt(variance)
        if by.distribution == "truncated_normal":
            deviation /= _TRUNCATED
        return draw(shape, by.distribution, 0.0, deviation, rng, dtype)
    raise ValueError(
        f"distribution: expected 'uniform', 'normal' or 'truncated_normal', got {by.distribution!r}"
    )


def draw(
    shape: Sequence[int], distribution: str, a: float, b: float, rng: Any = None, dtype: Any = None
) -> Array:
    """Return numbers from a distribution: even in [a, b), or normal of mean a and deviation b.

    A truncated normal number is drawn again while it is further than 2 deviations from the mean.
    """
    real = as_dtype(dtype)
    if distribution == "uniform":
        return np.asarray(random.uniform(shape, real, rng) * real.type(b - a) + real.type(a))
    if distribution == "normal":
        return random.normal(shape, real, rng, a, b)
    keys = random.generator(random.key(rng))
    numbers = random.normal(shape, real, keys).reshape(-1)
    outside = np.flatnonzero(np.abs(numbers) > 2)
    while outside.size:
        again = random.normal((outside.size,), real, keys)
        numbers[outside] = again
        outside = outside[np.abs(again) > 2]
    return np.asarray(numbers * real.type(b) + real.type(a)).reshape(tuple(shape))


def orthogonal(
    shape: Sequence[int], gain: float = 1.0, rng: Any = None, dtype: Any = None
) -> Array:
    """Return a matrix whose rows or columns, the fewer, are orthogonal and of length `gain`.

    More than two dimensions count as rows of the last one (Saxe, McClelland and Ganguli, 2013).

    Examples
    --------
    >>> q = orthogonal((3, 2), rng=1, dtype="float64")
    >>> bool(abs(q.T @ q - np.eye(2)).max() < 1e-12)
    True
    """
    if len(shape) < 2:
        raise ValueError(f"shape: expected at least 2 dimensions, got {describe(tuple(shape))}")
    columns = shape[-1]
    rows = math.prod(shape[:-1])
    few, many = sorted((rows, columns))
    numbers = random.normal((few, many), FLOAT64, rng)
    # Gram and Schmidt's method, twice for each vector: what the first pass leaves over is as small
    # as rounding, and the products are the library's, so that the bits are the same everywhere.
    for i in range(few):
        vector, before = numbers[i : i + 1], numbers[:i]
        for _ in range(2 if i else 0):
            along = kernels.matmul(vector, np.ascontiguousarray(before.T))
            vector = vector - kernels.matmul(along, np.ascontiguousarray(before))
        length = kernels.matmul(vector, np.ascontiguousarray(vector.T)).item()
        numbers[i] = vector[0] / math.sqrt(length)
    matrix = numbers if rows <= columns else numbers.T
    return np.asarray(matrix * gain).astype(as_dtype(dtype)).reshape(tuple(shape))


def _dims(dims: tuple[int, ...]) -> tuple[int, ...]:
    if not dims:
        raise ValueError("dims: expected at least one size, got none")
    return tuple(as_int(size, "dims", least=1) for size in dims)
