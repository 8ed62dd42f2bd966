"""Random numbers of the library: streams by key and counter, and where keys come from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepc._c.library import TYPED, check, pointer
from deepc._deepc import ffi, lib
from deepc._values import FLOAT32, Array, describe


def key(rng: Any) -> int:
    """Return the 64-bit key of a new random stream.

    `rng` is None (the ``random`` module, so that ``random.seed`` fixes everything), a seed, or a
    ``random.Random`` or ``numpy.random.Generator`` to draw the key from.
    """
    if rng is None:
        return random.getrandbits(64)
    if isinstance(rng, random.Random):
        return rng.getrandbits(64)
    if hasattr(rng, "integers"):
        return int(rng.integers(0, 2**64, dtype=np.uint64)) % 2**64
    if isinstance(rng, (bool, np.bool_)) or not hasattr(rng, "__index__"):
        raise TypeError(
            "rng: expected None, an int, a random.Random or a numpy.random.Generator, "
            f"got {describe(rng)}"
        )
    return int(rng.__index__()) % 2**64


def generator(rng: Any) -> Any:
    """Return what successive keys can be drawn from: a seed becomes a generator, all else stays."""
    if rng is None or isinstance(rng, random.Random) or hasattr(rng, "integers"):
        return rng
    return random.Random(key(rng))


def uniform(shape: Sequence[int], dtype: np.dtype[Any], rng: Any = None) -> Array:
    """Return numbers from the uniform distribution on [0, 1)."""
    y = np.empty(tuple(shape), dtype)
    check(TYPED[dtype].random_uniform(key(rng), 0, y.size, pointer(y, True)), "random_uniform")
    return y


def normal(
    shape: Sequence[int],
    dtype: np.dtype[Any],
    rng: Any = None,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> Array:
    """Return numbers from the normal distribution of that mean and standard deviation."""
    y = np.empty(tuple(shape), dtype)
    status = TYPED[dtype].random_normal(key(rng), 0, y.size, mean, deviation, pointer(y, True))
    check(status, "random_normal")
    return y


def permutation(n: int, key: int, counter: int = 0) -> Array:
    """Return the numbers from 0 to n - 1 in the order of stream (key, counter)."""
    order = np.empty(n, np.int64)
    check(lib.dc_random_permutation(key, counter, n, ffi.from_buffer("int64_t[]", order, True)))
    return order


def dropout_mask(key: int, counter: int, rate: float, shape: Sequence[int]) -> Array:
    """Return what dropout multiplies by: 1 where an element is kept, 0 where it is dropped."""
    mask = np.ones(tuple(shape), FLOAT32)
    address = pointer(mask, True)
    check(lib.dc_dropout_f32(key, counter, rate, mask.size, address, address))
    return mask
