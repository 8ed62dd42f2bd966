"""What callers pass, converted to what the library takes or refused by name.

Nothing here touches the library: numbers, dtypes, and arrays out of whatever came. Errors name the
argument, what came and what was expected.
"""

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

__all__ = [
    "BELOW_ONE",
    "FLOAT32",
    "FLOAT64",
    "INT64",
    "LARGEST",
    "MOST_WIDE",
    "SMALLEST",
    "Array",
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
    "dtype_of",
    "is_array",
    "like",
    "nearest",
    "set_default_dtype",
]

Array = np.ndarray[Any, np.dtype[Any]]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)

_ndarray = np.ndarray
_MOST_DIMENSIONS = 64  # NumPy's limit

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


def as_int(value: Any, name: str, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number; refuse floats, booleans and what is not within the limits."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected an int, got {describe(value)}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an int, got {describe(value)}") from None
    if least is not None and number < least:
        raise ValueError(f"{name}: expected at least {least}, got {describe(number)}")
    if most is not None and number > most:
        raise ValueError(f"{name}: expected at most {most}, got {describe(number)}")
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


# More neurons than any machine has memory for.
MOST_WIDE = 2**40

# The largest number that is less than 1, and what float32 can hold, as a divisor and as a factor.
BELOW_ONE = math.nextafter(1.0, 0.0)
SMALLEST, LARGEST = 2.0**-149, float(np.finfo(np.float32).max)


def as_float(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within [low, high]."""
    number = as_number(value, name)
    if math.isfinite(number) and low <= number <= high:
        return number
    limits = []
    if low > -math.inf:
        limits.append("above 0" if low == SMALLEST else f"at least {low:g}")
    # Of the limit that is float32's own one tells only those who pass it.
    if high < LARGEST or high == LARGEST < number < math.inf:
        limits.append("less than 1" if high == BELOW_ONE else f"at most {high:g}")
    expected = " and ".join(limits) if math.isfinite(number) and limits else "a finite number"
    raise ValueError(f"{name}: expected {expected}, got {number}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what an error says of the known name that is most like an unknown one, or nothing."""
    import difflib  # here, because only errors need it and every import of deepc would pay for it

    # Of two spellings the one in small letters stays.
    names = {known_name.lower(): known_name for known_name in sorted(known)}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def missing(
    module: str, known: Iterable[str], others: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, which says what there is in place of what is not there."""
    names = [name for name in known if not name.startswith("_")]

    def __getattr__(name: str) -> Any:
        instead = (others or {}).get(name)
        if instead:
            raise AttributeError(f"{module}.{name} is not supported; the nearest is {instead}")
        # Importing asks for __path__ and for modules of ours, which nobody has mistyped.
        near = "" if name.startswith("_") else nearest(name, names)
        raise AttributeError(f"module {module!r} has no attribute {name!r}{near}")

    return __getattr__


def describe(value: Any) -> str:
    """Say in a few words what came, for an error message."""
    if value is None:
        return "None"
    if isinstance(value, _ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    # Users know a class as a type, whatever the class of that is called.
    kind = "type" if isinstance(value, type) else type(value).__name__
    if hasattr(value, "__next__"):
        return f"a {kind}"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an {kind} of {value.bit_length()} bits"  # Python does not print very long ones
    try:
        text = repr(value)
    except Exception:  # somebody's own, or lists too deep; what is told is the other error
        return f"an object of type {kind}"
    return f"{kind} {text if len(text) <= 40 else text[:37] + '...'}"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of a line outside this package: the one that its user wrote."""
    level, frame = 1, sys._getframe()
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith("deepc."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def check_part(value: Any, name: str, expected: str, *methods: str) -> None:
    """Refuse a class in place of an object of it, and what lacks one of the methods."""
    if isinstance(value, type) or not all(hasattr(value, method) for method in methods):
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}")


def any_array(value: Any, name: str) -> Array:
    """Return `value` as an array of whatever it holds; refuse what is ragged, masked or no data."""
    if type(value) is _ndarray:
        return value
    numpy_ma = sys.modules.get("numpy.ma")  # without it nobody can have made a masked array
    if isinstance(value, _ndarray):
        if numpy_ma:
            _refuse_masked(value, name, numpy_ma.MaskedArray)
        # What a subclass says of its shape need not be so; a plain array has that of its memory.
        return np.asarray(value)
    try:
        array = np.array(value)
    except (ValueError, UserWarning):  # NumPy warns where it takes a masked number for NaN
        if numpy_ma:
            _refuse_masked(value, name, numpy_ma.MaskedArray, _MOST_DIMENSIONS)
        raise ValueError(
            f"{name}: expected rows of equal length, got a ragged {type(value).__name__}"
        ) from None
    if numpy_ma and isinstance(value, (list, tuple)):
        # Rows may be masked arrays; a number may only if it came out as NaN.
        numbers = array.dtype.kind != "f" or bool(np.isnan(array).any())
        _refuse_masked(value, name, numpy_ma.MaskedArray, array.ndim - 1 + numbers)
    if array.ndim == 0 and array.dtype.kind == "O" and hasattr(value, "__iter__"):
        ordered = hasattr(value, "__next__") or hasattr(value, "__reversed__")
        cure = "; use list(...)" if ordered and not hasattr(value, "keys") else ""
        raise TypeError(f"{name}: expected a list or an array, got {describe(value)}{cure}")
    return array


def _refuse_masked(value: Any, name: str, masked_array: type, levels: int = 0) -> None:
    """Refuse masked values: what computes here would take what is under the mask."""
    if isinstance(value, masked_array):
        count = int(np.count_nonzero(getattr(value, "mask", False)))
        if count:
            raise ValueError(
                f"{name}: expected values that are all there, got {count} masked ones; "
                "use filled(...) or compressed()"
            )
    elif levels and isinstance(value, (list, tuple)):
        for row in value:
            _refuse_masked(row, name, masked_array, levels - 1)


def as_array(value: Any, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` as a C-contiguous float32 or float64 array.

    Without `dtype`, float32 and float64 arrays keep theirs, and everything else becomes float64,
    which is what a Python float is: lists too, whatever numbers they hold.

    Raises
    ------
    TypeError
        If it holds anything but real numbers.
    ValueError
        If it is ragged, or has masked values or integers beyond the largest float.
    """
    if type(value) is _ndarray and value.flags.c_contiguous:  # nearly always
        given = value.dtype
        if given is dtype or (dtype is None and (given is FLOAT32 or given is FLOAT64)):
            return value
    array = any_array(value, name)
    if array.dtype.kind not in "fiub":
        array = _as_numbers(array, value, name)
    if dtype is None:
        is_float32 = array.dtype.kind == "f" and array.dtype.itemsize == 4
        dtype = FLOAT32 if is_float32 and is_array(value) else FLOAT64
    if array.dtype is dtype and array.flags.c_contiguous and type(array) is _ndarray:
        return array
    if array.dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize:
        # What gets infinite or 0 is seen later or does not matter; how NumPy is set to tell of it
        # is the caller's affair.
        with np.errstate(all="ignore"):
            array = np.asarray(array, dtype, order="C")
    else:
        array = np.asarray(array, dtype, order="C")
    # An equal dtype may be another object, with metadata say; callers tell dtypes by identity.
    return array if array.dtype is dtype else array.view(dtype)


def dtype_of(value: Any, name: str) -> np.dtype[Any]:
    """Return the dtype that `as_array` gives without one."""
    return FLOAT64 if type(value) is list else as_array(value, name).dtype


def is_array(value: Any) -> bool:
    """Whether something is an array of its own kind, not a list or a number."""
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def like(given: Any, result: Array) -> Any:
    """Return a result as what was given: an array for an array, else lists, or a number."""
    return result if is_array(given) else result.tolist()


def _as_numbers(array: Array, value: Any, name: str) -> Array:
    """Return Python objects that are numbers as float64; refuse all others, and say which."""
    if array.dtype.kind != "O":
        if array is value or not isinstance(value, (list, tuple)):
            raise TypeError(f"{name}: expected real numbers, got {describe(value)}")
        array = np.array(value, object)  # NumPy has made all of them text, or complex
    result = np.empty(array.shape, FLOAT64)
    for place, item in np.ndenumerate(array):
        # A bool of Python or NumPy is a number here as it is in an array of them.
        if not isinstance(item, (int, float, np.integer, np.floating, np.bool_)):
            where, cure = _where(place, value), ""
            if hasattr(item, "__float__") and not isinstance(item, (_ndarray, np.generic)):
                cure = "; use float(...)"
            raise TypeError(f"{name}: expected real numbers, got {describe(item)}{where}{cure}")
        try:
            result[place] = item
        except OverflowError:
            raise ValueError(
                f"{name}: expected numbers that a float can hold, "
                f"got {describe(item)}{_where(place, value)}"
            ) from None
    return result


def _where(place: tuple[int, ...], value: Any) -> str:
    """Say where in `value` an item is: at [2][0], or in which column of a table."""
    columns = getattr(value, "columns", None)
    if columns is not None and len(place) == 2:
        return f" in column {columns[place[1]]!r}, row {place[0]}"
    return " at " + "".join(f"[{index}]" for index in place) if place else ""


def as_integers(array: Array) -> Array:
    """Return an array of whole numbers as a C-contiguous one of int64."""
    array = np.asarray(array, INT64, order="C")
    whole: Array = array if array.dtype is INT64 else array.view(INT64)
    # C reads them where they are, which a place between two int64 does not allow.
    return whole if whole.flags.aligned else whole.copy()
