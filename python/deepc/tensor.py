"""Tensors: lists of lists of numbers, or arrays, and the book's small functions for them.

Lists in, lists out; arrays in, arrays out. Lists are computed in float64, which is what a Python
float is.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from deepc._c.arrays import argmax as argmax_rows
from deepc._c.arrays import array_sum
from deepc._values import (
    FLOAT32,
    FLOAT64,
    Array,
    any_array,
    as_array,
    as_float,
    as_int,
    as_number,
    default_dtype,
    describe,
    is_array,
    like,
)
from deepc.kernels import matmul

__all__ = [
    "Tensor",
    "argmax",
    "dot",
    "inverse_normal_cdf",
    "is_1d",
    "normal_cdf",
    "one_hot_encode",
    "shape",
    "tensor_apply",
    "tensor_combine",
    "tensor_sum",
    "zeros_like",
]

if TYPE_CHECKING:
    Tensor: TypeAlias = list[Any] | Array
else:
    # Without parameters, so that isinstance takes it.
    Tensor = list | np.ndarray

# What these functions do to two or one arrays at once, they do to each element.
WHOLE: dict[Callable[..., Any], Callable[..., Any]] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.truediv: np.true_divide,
    operator.neg: np.negative,
}

_LISTS = (list, tuple)
_ROWS = (*_LISTS, np.ndarray)
_NUMBER: Any = (int, float, np.number)
_MOST_DIMENSIONS = 64  # NumPy's limit; a list that holds itself has no end


# ---- Shape ---------------------------------------------------------------------------------------


def shape(tensor: Tensor | float) -> list[int]:
    """Return the sizes of a tensor, outermost first; a number has none.

    Raises
    ------
    ValueError
        If it is a list whose rows differ in size.
    TypeError
        If it is neither a list nor an array nor a number.

    Examples
    --------
    >>> shape([[1, 2], [3, 4], [5, 6]])
    [3, 2]
    """
    return _shape(tensor, "tensor")


def _shape(tensor: Any, name: str) -> list[int]:
    if isinstance(tensor, np.ndarray):
        return list(tensor.shape)
    if not isinstance(tensor, _LISTS):
        if isinstance(tensor, _NUMBER):
            return []
        raise TypeError(f"{name}: expected a list or an array, got {describe(tensor)}")
    sizes = [len(tensor)]
    rows = [tensor]  # all lists of the level that the last size belongs to
    while not _hold_numbers(rows):
        below = list(chain.from_iterable(rows))
        nested = [isinstance(row, _ROWS) for row in below]
        if not any(nested):
            break
        if not all(nested):
            raise ValueError(f"{name}: expected rows of equal size, got numbers beside rows")
        if any(isinstance(row, np.ndarray) for row in below):
            # A list of arrays, say of samples.
            return sizes + list(as_array(below, name).shape[1:])
        lengths = set(map(len, below))
        if len(lengths) > 1:
            least, most = min(lengths), max(lengths)
            raise ValueError(
                f"{name}: expected rows of equal size, got some of {least} and some of {most}"
            )
        sizes.append(lengths.pop())
        rows = below
        if len(sizes) > _MOST_DIMENSIONS:
            raise ValueError(f"{name}: expected at most {_MOST_DIMENSIONS} dimensions")
    return sizes


def _hold_numbers(rows: list[Any]) -> bool:
    """Whether lists hold numbers only; no, perhaps, if they hold other things that are no rows."""
    try:
        # Much faster than to look at the type of each.
        return isinstance(sum(map(sum, rows)), _NUMBER)
    except Exception:
        return False


def is_1d(tensor: Tensor) -> bool:
    """Return whether a tensor is a vector: numbers, not rows.

    Errors as for `shape`.

    Examples
    --------
    >>> is_1d([1, 2, 3]), is_1d([[1, 2], [3, 4]])
    (True, False)
    """
    return len(shape(tensor)) == 1


def leaves(tensor: list[Any], depth: int) -> Iterable[Any]:
    """Return what a list of `depth` dimensions holds, in order."""
    rows: Iterable[Any] = tensor
    for _ in range(depth - 1):
        rows = chain.from_iterable(rows)
    return rows


# ---- Functions over all elements -----------------------------------------------------------------


def tensor_sum(tensor: Tensor) -> float:
    """Return the sum of all elements; that of a list is rounded once, at the end.

    Raises
    ------
    ValueError, TypeError
        If it is ragged, or holds anything but numbers.

    Examples
    --------
    >>> tensor_sum([[1, 2], [3, 4]])
    10.0
    """
    if isinstance(tensor, _LISTS):
        depth = len(shape(tensor))
        return _sum(lambda: leaves(tensor, depth), "tensor")
    return array_sum(as_array(tensor, "tensor"))


def _sum(numbers: Callable[[], Iterable[Any]], name: str) -> float:
    try:
        return math.fsum(numbers())
    except TypeError:
        raise TypeError(f"{name}: expected real numbers, got something else among them") from None
    except (OverflowError, ValueError):
        # Beyond the largest float, or infinities of both signs.
        return float(sum(map(float, numbers())))


@overload
def tensor_apply(f: Callable[[float], float], tensor: float) -> float: ...
@overload
def tensor_apply(f: Callable[[float], float], tensor: list[Any]) -> list[Any]: ...
@overload
def tensor_apply(f: Callable[[float], float], tensor: Array) -> Array: ...
def tensor_apply(f: Callable[[float], float], tensor: Any) -> Any:
    """Return ``f(x)`` for each element x of a tensor, in its shape.

    Parameters
    ----------
    f : callable
        Anything that takes a number. NumPy's own functions, such as `numpy.exp`, are given all
        elements at once.
    tensor : list or ndarray
        Of any number of dimensions. An array of floats gives one of the same dtype, or of booleans
        if that is what `f` returns.

    Examples
    --------
    >>> tensor_apply(lambda x: 2 * x, [[1, 2], [3, 4]])
    [[2, 4], [6, 8]]
    """
    sizes = _shape(tensor, "tensor")
    _check_function(f, 1)
    if isinstance(tensor, _NUMBER):
        return f(tensor)
    if isinstance(tensor, _LISTS) and not isinstance(f, np.ufunc):
        return _apply_to_lists(f, len(sizes), tensor)
    return _apply(f, [(tensor, "tensor")])


@overload
def tensor_combine(f: Callable[[float, float], float], t1: float, t2: float) -> float: ...
@overload
def tensor_combine(
    f: Callable[[float, float], float], t1: list[Any], t2: list[Any]
) -> list[Any]: ...
@overload
def tensor_combine(f: Callable[[float, float], float], t1: Array, t2: Tensor) -> Array: ...
@overload
def tensor_combine(f: Callable[[float, float], float], t1: Tensor, t2: Array) -> Array: ...
def tensor_combine(f: Callable[[float, float], float], t1: Any, t2: Any) -> Any:
    """Return ``f(x, y)`` for corresponding elements x and y of two tensors of the same shape.

    Parameters
    ----------
    f : callable
        Anything that takes two numbers. NumPy's own functions, such as `numpy.maximum`, and those
        of the ``operator`` module are given all elements of arrays at once.
    t1, t2 : list or ndarray
        If one of them is an array, the result is one, too.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import operator
    >>> tensor_combine(operator.mul, [1, 2, 3], [4, 5, 6])
    [4, 10, 18]
    """
    shape_1, shape_2 = _shape(t1, "t1"), _shape(t2, "t2")
    if shape_1 != shape_2:
        raise ValueError(f"t1 and t2: expected the same shape, got {shape_1} and {shape_2}")
    _check_function(f, 2)
    if isinstance(t1, _NUMBER) and isinstance(t2, _NUMBER):
        return f(t1, t2)
    if isinstance(t1, _LISTS) and isinstance(t2, _LISTS) and not isinstance(f, np.ufunc):
        return _apply_to_lists(f, len(shape_1), t1, t2)
    return _apply(f, [(t1, "t1"), (t2, "t2")])


def _check_function(f: Any, operands: int) -> None:
    takes = getattr(f, "nin", operands) if isinstance(f, np.ufunc) else operands
    if not callable(f) or takes != operands:
        numbers = "one number" if operands == 1 else "two numbers"
        raise TypeError(f"f: expected a function of {numbers}, got {describe(f)}")


def _apply_to_lists(f: Callable[..., Any], depth: int, *lists: Any) -> list[Any]:
    if depth > 1:
        return [_apply_to_lists(f, depth - 1, *rows) for rows in zip(*lists, strict=True)]
    return list(map(f, *lists))


def _apply(f: Callable[..., Any], tensors: list[tuple[Any, str]]) -> Tensor:
    """Apply a function to elements of tensors of one shape, as arrays; to lists give a list."""
    arrays = _arrays(tensors)
    whole = _whole(f)
    if isinstance(whole, np.ufunc) and whole is f:
        result = np.asarray(whole(*arrays))
    elif whole is not None and all(array.dtype.kind == "f" for array in arrays):
        with np.errstate(all="ignore"):  # as Python's floats, which overflow in silence
            result = np.asarray(whole(*arrays))
    else:
        # Whole numbers one by one, because those of NumPy wrap around where Python's grow.
        result = _numbers(f, arrays)
    if result.dtype.kind not in "fiub":
        raise TypeError("f: expected a function that returns real numbers")
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    if floats and result.dtype.kind != "b":
        # The operands' dtype, even if all values happen to be whole.
        with np.errstate(all="ignore"):
            result = result.astype(np.result_type(*floats), copy=False)
    return result.tolist() if all(isinstance(tensor, _LISTS) for tensor, _ in tensors) else result


def _numbers(f: Callable[..., Any], arrays: list[Array]) -> Array:
    """Return f of each element, in an array."""
    like = arrays[0]
    values = _apply_to_lists(f, 1, *(array.ravel().tolist() for array in arrays))
    try:
        result = np.array(values, None if values else like.dtype)
    except ValueError:
        result = None
    if result is None or result.ndim != 1:
        raise TypeError("f: expected a function that returns a number for each element")
    if result.dtype.kind == "O" and all(isinstance(value, int) for value in values):
        result = as_array(result, "f")  # of more than 64 bits
    return result.reshape(like.shape)


def _arrays(tensors: list[tuple[Any, str]]) -> list[Array]:
    """Return tensors as arrays of numbers; lists take the dtype of a float array beside them."""
    given = [tensor.dtype for tensor, _ in tensors if isinstance(tensor, np.ndarray)]
    dtype = next((d for d in given if d in (FLOAT32, FLOAT64)), None)
    arrays = []
    for tensor, name in tensors:
        if isinstance(tensor, np.ndarray) and tensor.dtype.kind in "fiub":
            arrays.append(tensor)
        else:
            arrays.append(as_array(tensor, name, dtype))
    return arrays


def _whole(f: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return what does to whole arrays what `f` does to their elements, if it is known."""
    if isinstance(f, np.ufunc):
        return f if f.nout == 1 else None
    try:
        return WHOLE.get(f)
    except TypeError:  # a callable that has no hash
        return None


@overload
def zeros_like(tensor: float) -> float: ...
@overload
def zeros_like(tensor: list[Any]) -> list[Any]: ...
@overload
def zeros_like(tensor: Array) -> Array: ...
def zeros_like(tensor: Any) -> Any:
    """Return zeros in the shape of a tensor, in the dtype of an array of floats.

    Examples
    --------
    >>> zeros_like([[1, 2], [3, 4]])
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if isinstance(tensor, np.ndarray):
        dtype = tensor.dtype if tensor.dtype.kind == "f" else np.float64
        return np.zeros_like(tensor, dtype, subok=False)
    return tensor_apply(lambda _: 0.0, tensor)


# ---- Classes -------------------------------------------------------------------------------------


@overload
def one_hot_encode(i: int, num_labels: int = 10) -> list[float]: ...
@overload
def one_hot_encode(i: list[int], num_labels: int = 10) -> list[list[float]]: ...
@overload
def one_hot_encode(i: Array, num_labels: int = 10) -> Array: ...
def one_hot_encode(i: Any, num_labels: int = 10) -> Any:
    """Return 1 at the place of a label and 0 elsewhere.

    Parameters
    ----------
    i : int, list of int, or ndarray of int
        The label, 0 to ``num_labels - 1``; or many of them, each of which gives a row.
    num_labels : int, optional
        How many labels there are.

    Returns
    -------
    list or ndarray
        A list for an int, a list of lists for a list, an array of the default dtype for an array.

    Raises
    ------
    ValueError
        If a label is out of range.

    Examples
    --------
    >>> one_hot_encode(2, num_labels=5)
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    count = as_int(num_labels, "num_labels", least=1)
    if isinstance(i, _LISTS):
        return [_one_hot(label, count) for label in i]
    if is_array(i) and (labels := any_array(i, "i")).ndim:
        return _one_hot_array(labels, count)
    return _one_hot(i, count)


def _one_hot(i: Any, count: int) -> list[float]:
    row = [0.0] * count
    row[_label(as_int(i, "i"), count)] = 1.0
    return row


def _label(i: int, count: int) -> int:
    if not 0 <= i < count:
        raise ValueError(f"i: expected a label from 0 to {count - 1}, got {i}")
    return i


def _one_hot_array(labels: Array, count: int) -> Array:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise TypeError(f"i: expected an array of labels, got {describe(labels)}")
    if labels.size:
        _label(int(labels.min()), count)
        _label(int(labels.max()), count)
    rows = np.zeros((len(labels), count), default_dtype())
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


@overload
def argmax(xs: list[float]) -> int: ...
@overload
def argmax(xs: Any) -> Any: ...
def argmax(xs: Any) -> Any:
    """Return the place of the largest value, the first of them if there are several.

    Parameters
    ----------
    xs : list or ndarray
        One sample (1-D), or a batch (2-D).

    Returns
    -------
    int, or list or ndarray of int
        For a batch, one place a row: an array for an array, a list for a list.

    Raises
    ------
    ValueError
        If it is empty.

    Examples
    --------
    >>> argmax([-1, 10, 5, 20, -3])
    3
    >>> argmax([[1, 2], [4, 3]])
    [1, 0]
    """
    if isinstance(xs, np.ndarray):
        if xs.ndim == 1 and xs.size:
            return int(xs.argmax())
    elif isinstance(xs, _LISTS) and xs and not isinstance(xs[0], _ROWS):
        # The shortest way for what a training loop asks twice a step.
        try:
            return xs.index(max(xs))
        except TypeError:
            pass  # as_array says what is wrong
    array = as_array(xs, "xs")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(f"xs: expected 1 or 2 dimensions, not empty, got shape {array.shape}")
    result = array.argmax(axis=-1) if array.ndim == 1 else argmax_rows(array)
    return like(xs, result)


# ---- Vectors and the normal distribution ---------------------------------------------------------


def dot(v: Tensor, w: Tensor) -> float:
    """Return ``v[0] * w[0] + v[1] * w[1] + ...``; that of lists is rounded once, at the end.

    Raises
    ------
    ValueError
        If they are not vectors of the same length.

    Examples
    --------
    >>> dot([1, 2, 3], [4, 5, 6])
    32.0
    """
    shape_v, shape_w = _shape(v, "v"), _shape(w, "w")
    if shape_v != shape_w or len(shape_v) != 1:
        raise ValueError(f"v and w: expected vectors of one length, got {shape_v} and {shape_w}")
    if isinstance(v, _LISTS) and isinstance(w, _LISTS):
        try:
            products = list(map(operator.mul, v, w))
        except TypeError:
            products = [None]  # refused below
        return _sum(lambda: products, "v and w")
    a, b = _arrays([(v, "v"), (w, "w")])
    return float(matmul(a, b))


def normal_cdf(x: float, mu: float = 0, sigma: float = 1) -> float:
    """Return the probability of at most `x` in a normal distribution.

    Parameters
    ----------
    x : float
    mu, sigma : float, optional
        The mean and the standard deviation, which is above 0.

    Raises
    ------
    TypeError, ValueError
        If one of them is no number, or `sigma` not above 0.

    Examples
    --------
    >>> normal_cdf(0)
    0.5
    >>> round(normal_cdf(1.96), 3)
    0.975
    """
    x, mu = as_number(x, "x"), as_float(mu, "mu")
    sigma = _deviation(sigma)
    # erfc keeps its digits in the lower tail, where 1 + erf has none left.
    return math.erfc((mu - x) / sigma / math.sqrt(2)) / 2


def inverse_normal_cdf(
    p: float, mu: float = 0, sigma: float = 1, tolerance: float = 0.00001
) -> float:
    """Return the x at which `normal_cdf` is `p`.

    Parameters
    ----------
    p : float
        Above 0 and below 1.
    mu, sigma : float, optional
        The mean and the standard deviation, which is above 0.
    tolerance : float, optional
        How exact the result must be. It is exact to rounding whatever this says; the book's
        function, which searches, takes it.

    Raises
    ------
    TypeError, ValueError
        If one of them is no number, `p` no probability between 0 and 1, or `sigma` not above 0.

    Examples
    --------
    >>> inverse_normal_cdf(0.5)
    0.0
    >>> round(inverse_normal_cdf(0.975, mu=100, sigma=10), 1)
    119.6
    """
    # Imported here because it is slow to import and seldom needed.
    from statistics import NormalDist

    mu, sigma = as_float(mu, "mu"), _deviation(sigma)
    number = as_float(p, "p")
    if not 0 < number < 1:
        raise ValueError(f"p: expected a probability above 0 and below 1, got {number}")
    return mu + sigma * NormalDist().inv_cdf(number)


def _deviation(sigma: float) -> float:
    number = as_float(sigma, "sigma")
    if number <= 0:
        raise ValueError(f"sigma: expected a number above 0, got {number}")
    return number
