"""What callers pass, converted to what the library takes or refused by name.

Nothing here touches the library: numbers, dtypes, and arrays out of whatever came. Errors name the
argument, what came and what was expected.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "INT64",
    "Array",
    "aligned_zeros",
    "aligned_zeros_like",
    "any_array",
    "as_array",
    "as_bool",
    "as_dtype",
    "as_float",
    "as_int",
    "as_integers",
    "as_number",
    "default_dtype",
    "describe",
    "set_default_dtype",
]

Array = np.ndarray[Any, np.dtype[Any]]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)

_ndarray = np.ndarray

_default_dtype = FLOAT32


def as_dtype(dtype: Any, name: str = "dtype") -> np.dtype[Any]:
    """Return float32 or float64 as a NumPy dtype; None is the default one."""
    if dtype is None:
        return _default_dtype
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if result == FLOAT32:
        return FLOAT32
    if result == FLOAT64:
        return FLOAT64
    raise ValueError(f"{name}: expected float32 or float64, got {dtype!r}")


def default_dtype() -> np.dtype[Any]:
    """Return the dtype of new layers: float32, or what `set_default_dtype` said."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Choose the dtype of new layers: ``"float32"`` (as at the start) or ``"float64"``.

    Raises
    ------
    ValueError
        For any other dtype.

    Examples
    --------
    >>> import deepc
    >>> deepc.set_default_dtype("float64")
    >>> deepc.Linear(1, 1).w.dtype
    dtype('float64')
    >>> deepc.set_default_dtype("float32")
    """
    global _default_dtype
    if dtype is None:
        raise ValueError("dtype: expected float32 or float64, got None")
    _default_dtype = as_dtype(dtype)


def as_int(value: Any, name: str, least: int | None = None) -> int:
    """Return a whole number; refuse floats, booleans and what is less than `least`."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an int, got {describe(value)}")
    number: int = value.__index__()
    if least is not None and number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    return number


def as_bool(value: Any, name: str) -> bool:
    """Return True or False, also for 1 and 0; refuse what is merely true or false somehow."""
    if not isinstance(value, (int, np.bool_)) or value not in (0, 1):
        raise TypeError(f"{name}: expected a bool, got {describe(value)}")
    return bool(value)


def as_number(value: Any, name: str) -> float:
    """Return a number as a float, infinite where it is beyond the largest one."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {describe(value)}") from None
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_float(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within [low, high]."""
    number = as_number(value, name)
    if not (math.isfinite(number) and low <= number <= high):
        limits = "a finite number"
        if high < math.inf:
            limits += f" from {low} to {high}"
        elif low > -math.inf:
            limits += f" of at least {low}"
        raise ValueError(f"{name}: expected {limits}, got {number}")
    return number


def describe(value: Any) -> str:
    """Say in a few words what came, for an error message."""
    if isinstance(value, _ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def any_array(value: Any, name: str) -> Array:
    """Return `value` as an array of whatever it holds; refuse what is ragged."""
    if isinstance(value, _ndarray):
        return value
    try:
        return np.array(value)
    except ValueError:
        raise ValueError(
            f"{name}: expected rows of equal length, got a ragged {type(value).__name__}"
        ) from None


def as_array(value: Any, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` as a C-contiguous float32 or float64 array.

    Without `dtype`, float32 and float64 arrays keep theirs, and everything else becomes float64,
    which is what a Python float is.

    Raises
    ------
    TypeError
        If it holds anything but real numbers.
    ValueError
        If it is ragged.
    """
    array = any_array(value, name)
    kind = array.dtype.kind
    if kind not in "fiub":
        came = describe(value) if kind != "O" else f"{type(value).__name__} of Python objects"
        raise TypeError(f"{name}: expected real numbers, got {came}")
    if dtype is None:
        dtype = FLOAT32 if array.dtype == FLOAT32 else FLOAT64
    if array.dtype is dtype and array.flags.c_contiguous and type(array) is _ndarray:
        return array
    array = np.asarray(array, dtype, order="C")
    # An equal dtype may be another object, with metadata say; callers tell dtypes by identity.
    return array if array.dtype is dtype else array.view(dtype)


def as_integers(array: Array) -> Array:
    """Return an array of whole numbers as a C-contiguous one of int64."""
    array = np.asarray(array, INT64, order="C")
    return array if array.dtype is INT64 else array.view(INT64)


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros that start on a cache line."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_zeros_like(array: Array) -> Array:
    """Return zeros that start on a cache line, in the memory layout of `array`."""
    if array.flags.c_contiguous:
        return aligned_zeros(array.shape, array.dtype)
    return aligned_zeros(array.shape[::-1], array.dtype).T
