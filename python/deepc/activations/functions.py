"""Activation functions of a number, a list or an array."""

from __future__ import annotations

from typing import Any, TypeVar, cast, overload

from deepc import kernels
from deepc._values import Array, as_array, as_bool, like

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]

# A number, a list or an array: a function returns what it was given.
T = TypeVar("T", float, list[Any], Array)


def _of(name: str, x: T, parameter: float | None = None) -> T:
    """Compute an activation of a number or of each element of a tensor."""
    return cast(T, like(x, kernels.activation(name, as_array(x, "x"), parameter)))


def identity(x: T) -> T:
    """Return x itself, as a copy.

    Examples
    --------
    >>> identity([-1.0, 2.0])
    [-1.0, 2.0]
    """
    return _of("identity", x)


def sigmoid(t: T) -> T:
    """Return the logistic function 1 / (1 + exp(-t)) of a number or of each element of a tensor.

    Numbers and lists are computed in float64, arrays in their own dtype.

    Examples
    --------
    >>> sigmoid(0.0)
    0.5
    >>> sigmoid([0.0, -1000.0])
    [0.5, 0.0]
    """
    return cast(T, like(t, kernels.sigmoid(as_array(t, "t"))))


def tanh(x: T) -> T:
    """Return the hyperbolic tangent of a number or of each element of a tensor.

    Numbers and lists are computed in float64, arrays in their own dtype.

    Examples
    --------
    >>> tanh(0.0)
    0.0
    >>> tanh([-1000.0, 1000.0])
    [-1.0, 1.0]
    """
    return cast(T, like(x, kernels.tanh(as_array(x, "x"))))


def relu(x: T) -> T:
    """Return a number or each element of a tensor, 0 in place of the negative ones.

    Examples
    --------
    >>> relu([-1.0, 2.0])
    [0.0, 2.0]
    """
    return cast(T, like(x, kernels.relu(as_array(x, "x"))))


def leaky_relu(x: T, slope: float = 0.01) -> T:
    """Return x where it is positive, else ``slope * x``.

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0], 0.5)
    [-0.5, 2.0]
    """
    return _of("leaky_relu", x, slope)


def elu(x: T, alpha: float = 1.0) -> T:
    """Return x where it is positive, else ``alpha * (exp(x) - 1)``.

    Examples
    --------
    >>> elu([-1000.0, 2.0])
    [-1.0, 2.0]
    """
    return _of("elu", x, alpha)


def celu(x: T, alpha: float = 1.0) -> T:
    """Return x where it is positive, else ``alpha * (exp(x / alpha) - 1)``.

    Examples
    --------
    >>> celu([-1000.0, 2.0], 0.5)
    [-0.5, 2.0]
    """
    return _of("celu", x, alpha)


def selu(x: T) -> T:
    """Return `elu` with the two factors that keep mean 0 and variance 1.

    Examples
    --------
    >>> selu([0.0, 1.0])
    [0.0, 1.0507009873554805]
    """
    return _of("selu", x)


def softplus(x: T) -> T:
    """Return ``log(1 + exp(x))``; nothing overflows.

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    [0.0, 1000.0]
    """
    return _of("softplus", x)


def softsign(x: T) -> T:
    """Return ``x / (1 + |x|)``.

    Examples
    --------
    >>> softsign([-1.0, 3.0])
    [-0.5, 0.75]
    """
    return _of("softsign", x)


def hard_sigmoid(x: T) -> T:
    """Return ``x / 6 + 1 / 2``, at least 0 and at most 1.

    Examples
    --------
    >>> hard_sigmoid([-4.0, 0.0, 4.0])
    [0.0, 0.5, 1.0]
    """
    return _of("hard_sigmoid", x)


def hard_silu(x: T) -> T:
    """Return ``x * hard_sigmoid(x)``, also called hard swish.

    Examples
    --------
    >>> hard_silu([-4.0, 0.0, 4.0])
    [-0.0, 0.0, 4.0]
    """
    return _of("hard_silu", x)


def relu6(x: T) -> T:
    """Return x, at least 0 and at most 6.

    Examples
    --------
    >>> relu6([-1.0, 2.0, 7.0])
    [0.0, 2.0, 6.0]
    """
    return _of("relu6", x)


def exponential(x: T) -> T:
    """Return ``exp(x)``.

    Examples
    --------
    >>> exponential([0.0, -1000.0])
    [1.0, 0.0]
    """
    return _of("exponential", x)


def log_sigmoid(x: T) -> T:
    """Return ``-log(1 + exp(-x))``; nothing overflows.

    Examples
    --------
    >>> log_sigmoid([-1000.0, 1000.0])
    [-1000.0, -0.0]
    """
    return _of("log_sigmoid", x)


def silu(x: T) -> T:
    """Return ``x * sigmoid(x)``, also called swish.

    Examples
    --------
    >>> silu([0.0, 1000.0])
    [0.0, 1000.0]
    """
    return _of("silu", x)


def gelu(x: T, approximate: bool = False) -> T:
    """Return x times the normal distribution's probability of being below x, for each element.

    Parameters
    ----------
    x : float, list or ndarray
    approximate : bool, optional
        Use ``x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x ** 3))`` instead.

    Examples
    --------
    >>> round(gelu(-1.0), 6), round(gelu(-1.0, approximate=True), 6)
    (-0.158655, -0.158808)
    """
    return _of("gelu_tanh" if as_bool(approximate, "approximate") else "gelu", x)


def mish(x: T) -> T:
    """Return ``x * tanh(softplus(x))``.

    Examples
    --------
    >>> mish([0.0, 1000.0])
    [0.0, 1000.0]
    """
    return _of("mish", x)


@overload
def softmax(tensor: list[Any]) -> list[Any]: ...
@overload
def softmax(tensor: Array) -> Array: ...
def softmax(tensor: Any) -> Any:
    """Return exp(x) divided by its sum along the last dimension: positive numbers that add up to 1.

    Lists are computed in float64, arrays in their own dtype.

    Parameters
    ----------
    tensor : list or ndarray
        At least one dimension, the last of at least one element.

    Returns
    -------
    list or ndarray
        Of the same shape; a list for a list.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    [0.5, 0.5]
    """
    array = as_array(tensor, "tensor")
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"tensor: expected at least one element a row, got shape {array.shape}")
    return like(tensor, kernels.softmax(array))
