"""Activation functions, by themselves and as layers."""

from __future__ import annotations

from typing import Any, overload

from deepc import kernels
from deepc._values import Array, as_array, like
from deepc.layers.base import BuiltinLayer

__all__ = ["Relu", "Sigmoid", "Tanh", "relu", "sigmoid", "softmax", "tanh"]


@overload
def sigmoid(t: float) -> float: ...
@overload
def sigmoid(t: list[Any]) -> list[Any]: ...
@overload
def sigmoid(t: Array) -> Array: ...
def sigmoid(t: Any) -> Any:
    """Return the logistic function 1 / (1 + exp(-t)) of a number or of each element of a tensor.

    Numbers and lists are computed in float64, arrays in their own dtype.

    Examples
    --------
    >>> sigmoid(0.0)
    0.5
    >>> sigmoid([0.0, -1000.0])
    [0.5, 0.0]
    """
    return like(t, kernels.sigmoid(as_array(t, "t")))


@overload
def tanh(x: float) -> float: ...
@overload
def tanh(x: list[Any]) -> list[Any]: ...
@overload
def tanh(x: Array) -> Array: ...
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of a number or of each element of a tensor.

    Numbers and lists are computed in float64, arrays in their own dtype.

    Examples
    --------
    >>> tanh(0.0)
    0.0
    >>> tanh([-1000.0, 1000.0])
    [-1.0, 1.0]
    """
    return like(x, kernels.tanh(as_array(x, "x")))


@overload
def relu(x: float) -> float: ...
@overload
def relu(x: list[Any]) -> list[Any]: ...
@overload
def relu(x: Array) -> Array: ...
def relu(x: Any) -> Any:
    """Return a number or each element of a tensor, 0 in place of the negative ones.

    Examples
    --------
    >>> relu([-1.0, 2.0])
    [0.0, 2.0]
    """
    return like(x, kernels.relu(as_array(x, "x")))


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


class Sigmoid(BuiltinLayer):
    """The logistic function 1 / (1 + exp(-x)) of each input.

    Examples
    --------
    >>> Sigmoid().forward([0.0])
    [0.5]
    """

    _kind, _activation = "activation", "sigmoid"


class Tanh(BuiltinLayer):
    """The hyperbolic tangent of each input.

    Examples
    --------
    >>> Tanh().forward([0.0, 100.0])
    [0.0, 1.0]
    """

    _kind, _activation = "activation", "tanh"


class Relu(BuiltinLayer):
    """Each input, or 0 where it is negative.

    Examples
    --------
    >>> Relu().forward([-1.0, 2.0])
    [0.0, 2.0]
    """

    _kind, _activation = "activation", "relu"
