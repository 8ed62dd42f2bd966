"""Functions of the module over NumPy arrays, and the numbers by which they know what to compute.

They return an array, or a status where what came does not fit (``csrc/python/arrays_api.h``). And
new arrays whose memory lies as the library has it best.
"""

from __future__ import annotations

import math
import sys
from typing import Any, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.library import TYPED, check
from deepc._deepc import ffi, lib
from deepc._values import Array

_ndarray = np.ndarray
_from_buffer = ffi.from_buffer
_INT64, _BYTES = ffi.typeof("int64_t[]"), ffi.typeof("uint8_t[]")
_PLACES = np.dtype(np.int64)

# What `map_array` takes.
EXP, LOG, SOFTMAX = lib.DC_FUNCTION_EXP, lib.DC_FUNCTION_LOG, lib.DC_FUNCTION_SOFTMAX

map_array, matmul_arrays = _deepc.map, _deepc.matmul


def checked(result: Any, what: str) -> Array:
    """Return a result that is an array; raise what a status means."""
    if type(result) is not _ndarray:
        check(result, what)
    return cast(Array, result)


def array_sum(x: Array) -> float:
    """Return the sum of a C-contiguous float array."""
    typed = TYPED[x.dtype]
    return cast(float, typed.sum(x.size, _from_buffer(typed.ctype, x)))


# Rows of more elements than this NumPy searches with vectors. It starts anew for each row, which
# takes four times as long as here for rows of 4.
_NARROW = 32


def argmax(x: Array) -> Array:
    """Return where each row of an array, of at least one column, has its largest element.

    The first of those that are equal, or the first NaN, as NumPy's ``argmax(axis=1)``.
    """
    typed = TYPED.get(x.dtype)
    if typed is None or not x.flags.c_contiguous or x.shape[1] > _NARROW:
        return np.asarray(x.argmax(axis=1))
    places = np.empty(len(x), np.int64)
    given = _from_buffer(typed.ctype, x)
    check(typed.argmax(len(x), x.shape[1], given, _from_buffer(_INT64, places, True)), "argmax")
    return places


def argmax_equals(x: Array, places: Array) -> Array:
    """Return ``argmax(x) == places``, for one place a row, in one pass."""
    typed = TYPED.get(x.dtype)
    if (
        typed is None
        or places.dtype != _PLACES
        or places.shape != (len(x),)
        or not (x.flags.c_contiguous and places.flags.c_contiguous)
    ):
        return np.asarray(argmax(x) == places)
    equal = np.empty(len(x), np.bool_)
    given, at = _from_buffer(typed.ctype, x), _from_buffer(_INT64, places)
    status = typed.argmax_equals(*x.shape, given, at, _from_buffer(_BYTES, equal, True))
    check(status, "argmax_equals")
    return equal


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros that start on a cache line."""
    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize - 64:
        raise MemoryError(
            f"an array of shape {shape} and dtype {dtype} is more than any memory holds"
        )
    raw = np.zeros(size + 64, np.uint8)
    # Asked where it is, NumPy crashes without memory for the answer.
    start = -int(ffi.cast("uintptr_t", _from_buffer(_BYTES, raw))) % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_zeros_like(array: Array) -> Array:
    """Return zeros that start on a cache line, in the memory layout of `array`."""
    if array.flags.c_contiguous:
        return aligned_zeros(array.shape, array.dtype)
    return aligned_zeros(array.shape[::-1], array.dtype).T
