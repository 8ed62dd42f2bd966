"""Functions of the module over NumPy arrays, and the numbers by which they know what to compute.

They return an array, or a status where what came does not fit (``csrc/python/arrays_api.h``).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.library import TYPED, check
from deepc._deepc import ffi, lib
from deepc._values import Array

_ndarray = np.ndarray
_from_buffer = ffi.from_buffer

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
