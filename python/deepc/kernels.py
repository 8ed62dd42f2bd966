"""The kernels over NumPy arrays, and nothing else.

float32 and float64 arrays are computed in their own dtype, everything else in float64. The GIL is
released while they run; large work is split over threads, which does not change a bit of the
result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np

from deepc._c import arrays
from deepc._c.activations import ACTIVATIONS, activation_of_array
from deepc._c.arrays import checked
from deepc._values import FLOAT32, FLOAT64, LARGEST, Array, any_array, as_array, as_float, describe

__all__ = ["activation", "exp", "log", "matmul", "relu", "sigmoid", "softmax", "tanh"]

_ndarray = np.ndarray

# Names of this module are found faster than those of another.
_EXP, _LOG, _SOFTMAX = arrays.EXP, arrays.LOG, arrays.SOFTMAX
_map_array, _matmul = arrays.map_array, arrays.matmul_arrays
_activation_array = activation_of_array
_RELU, _SIGMOID, _TANH = (ACTIVATIONS[name].number for name in ("relu", "sigmoid", "tanh"))


def _check_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that cannot take the result; None stands for a new array."""
    if out is None:
        return
    if type(out) is not _ndarray:
        came = type(out).__name__ if isinstance(out, _ndarray) else describe(out)
        raise TypeError(f"out: expected a numpy.ndarray, got {came}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out: expected an array of shape {shape} and dtype {dtype}, got {describe(out)}"
        )
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out: expected a writable C-contiguous array")


def matmul(
    a: Any, b: Any, out: Array | None = None, transpose_a: bool = False, transpose_b: bool = False
) -> Array:
    """Return the matrix product of `a` and `b`, either transposed first if asked.

    Parameters
    ----------
    a, b : array_like
        Matrices whose inner sizes agree after transposing: (m, k) and (k, n). A vector counts as
        one row of `a` or one column of `b`, and the result then lacks that dimension, as in
        `numpy.matmul`. Slices of columns and transposed arrays are used where they are. float32 if
        both are, else float64.
    out : ndarray, optional
        Where to put the result: C-contiguous, of its shape and dtype, overlapping neither operand.
    transpose_a, transpose_b : bool, optional
        Use the transpose of `a`, of `b`.

    Returns
    -------
    ndarray
        The product, `out` if that was given.

    Raises
    ------
    ValueError
        If shapes do not fit or `out` cannot take the result.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc import kernels
    >>> kernels.matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    c = _matmul(a, b, out, transpose_a, transpose_b)
    if type(c) is _ndarray:
        return c
    a, b = any_array(a, "a"), any_array(b, "b")
    for name, array in (("a", a), ("b", b)):
        if array.ndim not in (1, 2):
            raise ValueError(f"{name}: expected 1 or 2 dimensions, got shape {array.shape}")
    m, k = (1, len(a)) if a.ndim == 1 else a.shape[::-1] if transpose_a else a.shape
    k_b, n = (len(b), 1) if b.ndim == 1 else b.shape[::-1] if transpose_b else b.shape
    if k != k_b:
        raise ValueError(
            f"a and b: inner sizes differ, {a.shape}{' transposed' if transpose_a else ''} "
            f"times {b.shape}{' transposed' if transpose_b else ''}"
        )
    dtype = FLOAT32 if a.dtype == b.dtype == FLOAT32 else FLOAT64
    _check_output(out, (m,) * (a.ndim == 2) + (n,) * (b.ndim == 2), dtype)
    if out is not None and (np.may_share_memory(out, a) or np.may_share_memory(out, b)):
        raise ValueError("out: overlaps a or b")
    a, b = as_array(a, "a", dtype), as_array(b, "b", dtype)
    return checked(_matmul(a, b, out, transpose_a, transpose_b), "matmul")


def _converted(call: Callable[[Any, Array | None], Any], x: Any, out: Array | None) -> Array:
    """Do again, with x as an array that it takes, what has not worked; or say what is wrong."""
    x = as_array(x, "x")
    _check_output(out, x.shape, x.dtype)
    y = call(x, out)
    if type(y) is not _ndarray:
        raise ValueError("out: overlaps x, but does not start where x starts")
    return cast(Array, y)


def _map(function: int, x: Any, out: Array | None) -> Array:
    """Compute a function from arrays to arrays of the same shape."""
    y = _map_array(function, x, out)
    if type(y) is _ndarray:
        return cast(Array, y)
    return _converted(partial(_map_array, function), x, out)


def _activation(number: int, parameter: float, x: Any, out: Array | None) -> Array:
    """Compute an activation of each element."""
    y = _activation_array(number, parameter, x, out)
    if type(y) is _ndarray:
        return cast(Array, y)
    return _converted(partial(_activation_array, number, parameter), x, out)


def exp(x: Any, out: Array | None = None) -> Array:
    """Return e to the power of each element, to 1 ulp in float32 and 2 in float64.

    Parameters
    ----------
    x : array_like
        float32 or float64; anything else becomes float64.
    out : ndarray, optional
        Where to put the result: C-contiguous, of the shape and dtype of `x`; may be `x` itself.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.exp([0.0, 1.0])
    array([1.        , 2.71828183])
    """
    return _map(_EXP, x, out)


def log(x: Any, out: Array | None = None) -> Array:
    """Return the natural logarithm of each element, to 1 ulp in float32 and 2 in float64.

    Parameters and result as for `exp`; the logarithm of 0 is minus infinity, of a negative number
    NaN.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.log([1.0, 0.0])
    array([  0., -inf])
    """
    return _map(_LOG, x, out)


def activation(
    name: str, x: Any, parameter: float | None = None, out: Array | None = None
) -> Array:
    """Return an activation of each element, to 2 ulp. `x`, `out` and result as for `exp`.

    Parameters
    ----------
    name : str
        What the library calls it, as ``"elu"``; docs/activations.md has all names with formulas.
    x : array_like
    parameter : float, optional
        Of one that has a parameter; its usual value if not given.
    out : ndarray, optional

    Raises
    ------
    ValueError
        If there is no such activation, or the parameter cannot be.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.activation("leaky_relu", [-1.0, 2.0], 0.5)
    array([-0.5,  2. ])
    """
    facts = ACTIVATIONS.get(name) if isinstance(name, str) else None
    if facts is None:
        known = ", ".join(map(repr, ACTIVATIONS))
        raise ValueError(f"name: expected one of {known}, got {describe(name)}")
    if parameter is None:
        parameter = facts.default
    elif facts.parameter:
        parameter = as_float(parameter, facts.parameter, facts.least, LARGEST)
    else:
        raise ValueError(f"parameter: {name} has none, got {describe(parameter)}")
    return _activation(facts.number, parameter, x, out)


def tanh(x: Any, out: Array | None = None) -> Array:
    """Return the hyperbolic tangent of each element, to 2 ulp. Parameters and result as for `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.tanh([0.0, 100.0])
    array([0., 1.])
    """
    return _activation(_TANH, 0.0, x, out)


def sigmoid(x: Any, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(-x)) of each element, to 2 ulp. Parameters and result as for `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return _activation(_SIGMOID, 0.0, x, out)


def relu(x: Any, out: Array | None = None) -> Array:
    """Return each element, or 0 where it is negative; NaN stays. Otherwise as `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return _activation(_RELU, 0.0, x, out)


def softmax(x: Any, out: Array | None = None) -> Array:
    """Return exp(x) divided by its sum along the last dimension; nothing overflows.

    Parameters and result as for `exp`. A row with NaN or plus infinity becomes NaN.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _map(_SOFTMAX, x, out)
