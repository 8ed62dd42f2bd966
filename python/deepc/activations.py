"""Activation functions, by themselves and as layers.

What there is, with its parameter and the parameter's bounds, is the library's list
(csrc/deepc_activations.h); here each has a function, a class, and a line in `LAYERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, TypeVar, cast, overload

from deepc import kernels
from deepc._c.activations import ACTIVATIONS
from deepc._values import LARGEST, Array, as_array, as_bool, as_float, like
from deepc.layers.base import BuiltinLayer

__all__ = [
    "CELU",
    "ELU",
    "Exponential",
    "GELU",
    "HardSiLU",
    "HardSigmoid",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU6",
    "Relu",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
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

# ---- Functions -----------------------------------------------------------------------------------


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


# ---- Layers --------------------------------------------------------------------------------------


class Activation(BuiltinLayer):
    """An activation of the library as a layer, by its name there."""

    _kind = "activation"
    _activation: str
    # The name of its parameter, if it has one.
    _parameter: str | None = None

    def __init__(self) -> None:
        self._make({}, activation_parameter=ACTIVATIONS[self._activation].default)

    def __repr__(self) -> str:
        name = self._parameter
        return f"{type(self).__name__}({f'{name}={getattr(self, name)!r}' if name else ''})"


class _Number:
    """An attribute of an activation: its parameter, which may be changed at any time."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    @staticmethod
    def checked(layer: Activation, value: float) -> float:
        facts = ACTIVATIONS[layer._activation]
        return as_float(value, facts.parameter, facts.least, LARGEST)

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: Activation, owner: type) -> float: ...
    def __get__(self, layer: Activation | None, owner: type) -> Self | float:
        return self if layer is None else float(layer._structure.activation_parameter)

    def __set__(self, layer: Activation, value: float) -> None:
        layer._structure.activation_parameter = self.checked(layer, value)


class Identity(Activation):
    """Each input as it is.

    Examples
    --------
    >>> Identity().forward([-1.0, 2.0])
    [-1.0, 2.0]
    """

    _activation = "identity"


class Sigmoid(Activation):
    """The logistic function 1 / (1 + exp(-x)) of each input.

    Examples
    --------
    >>> Sigmoid().forward([0.0])
    [0.5]
    """

    _activation = "sigmoid"


class Tanh(Activation):
    """The hyperbolic tangent of each input.

    Examples
    --------
    >>> Tanh().forward([0.0, 100.0])
    [0.0, 1.0]
    """

    _activation = "tanh"


class Relu(Activation):
    """Each input, or 0 where it is negative.

    Examples
    --------
    >>> Relu().forward([-1.0, 2.0])
    [0.0, 2.0]
    """

    _activation = "relu"


class LeakyReLU(Activation):
    """x where it is positive, else ``slope * x``.

    Parameters
    ----------
    slope : float, optional
        What negative inputs are multiplied by, at least 0.

    Examples
    --------
    >>> LeakyReLU(0.5).forward([-1.0, 2.0])
    [-0.5, 2.0]
    """

    _activation = "leaky_relu"
    _parameter = "slope"

    slope = _Number("What negative inputs are multiplied by, at least 0.")

    def __init__(self, slope: float = 0.01) -> None:
        self._make({}, activation_parameter=_Number.checked(self, slope))


class ELU(Activation):
    """x where it is positive, else ``alpha * (exp(x) - 1)`` (Clevert et al., 2015).

    Parameters
    ----------
    alpha : float, optional
        Minus the limit far below 0, at least 0.

    Examples
    --------
    >>> ELU().forward([-1000.0, 2.0])
    [-1.0, 2.0]
    """

    _activation = "elu"
    _parameter = "alpha"

    alpha = _Number("Minus the limit far below 0, at least 0.")

    def __init__(self, alpha: float = 1.0) -> None:
        self._make({}, activation_parameter=_Number.checked(self, alpha))


class CELU(Activation):
    """x where it is positive, else ``alpha * (exp(x / alpha) - 1)`` (Barron, 2017).

    Parameters
    ----------
    alpha : float, optional
        Minus the limit far below 0, above 0.

    Examples
    --------
    >>> CELU(0.5).forward([-1000.0, 2.0])
    [-0.5, 2.0]
    """

    _activation = "celu"
    _parameter = "alpha"

    alpha = _Number("Minus the limit far below 0, above 0.")

    def __init__(self, alpha: float = 1.0) -> None:
        self._make({}, activation_parameter=_Number.checked(self, alpha))


class SELU(Activation):
    """`ELU` with the two factors that keep mean 0 and variance 1 (Klambauer et al., 2017).

    Examples
    --------
    >>> SELU().forward([0.0, 1.0])
    [0.0, 1.0507009873554805]
    """

    _activation = "selu"


class Softplus(Activation):
    """``log(1 + exp(x))`` of each input; nothing overflows.

    Examples
    --------
    >>> Softplus().forward([-1000.0, 1000.0])
    [0.0, 1000.0]
    """

    _activation = "softplus"


class Softsign(Activation):
    """``x / (1 + |x|)`` of each input.

    Examples
    --------
    >>> Softsign().forward([-1.0, 3.0])
    [-0.5, 0.75]
    """

    _activation = "softsign"


class HardSigmoid(Activation):
    """``x / 6 + 1 / 2`` of each input, at least 0 and at most 1.

    Examples
    --------
    >>> HardSigmoid().forward([-4.0, 0.0, 4.0])
    [0.0, 0.5, 1.0]
    """

    _activation = "hard_sigmoid"


class HardSiLU(Activation):
    """``x * hard_sigmoid(x)`` of each input, also called hard swish.

    Examples
    --------
    >>> HardSiLU().forward([-4.0, 0.0, 4.0])
    [-0.0, 0.0, 4.0]
    """

    _activation = "hard_silu"


class ReLU6(Activation):
    """Each input, at least 0 and at most 6.

    Examples
    --------
    >>> ReLU6().forward([-1.0, 2.0, 7.0])
    [0.0, 2.0, 6.0]
    """

    _activation = "relu6"


class Exponential(Activation):
    """``exp(x)`` of each input.

    Examples
    --------
    >>> Exponential().forward([0.0, -1000.0])
    [1.0, 0.0]
    """

    _activation = "exponential"


class LogSigmoid(Activation):
    """``-log(1 + exp(-x))`` of each input; nothing overflows.

    Examples
    --------
    >>> LogSigmoid().forward([-1000.0, 1000.0])
    [-1000.0, -0.0]
    """

    _activation = "log_sigmoid"


class SiLU(Activation):
    """``x * sigmoid(x)`` of each input, also called swish.

    Examples
    --------
    >>> SiLU().forward([0.0, 1000.0])
    [0.0, 1000.0]
    """

    _activation = "silu"


class GELU(Activation):
    """x times the normal distribution's probability of being below x (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    approximate : bool, optional
        Use ``x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x ** 3))`` instead.

    Examples
    --------
    >>> GELU().forward([0.0, 1000.0])
    [0.0, 1000.0]
    """

    _activation = "gelu"

    def __init__(self, approximate: bool = False) -> None:
        if as_bool(approximate, "approximate"):
            self._activation = "gelu_tanh"
        super().__init__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'approximate=True' if self.approximate else ''})"

    @property
    def approximate(self) -> bool:
        """Whether it is computed by the formula with a sigmoid."""
        return self._activation == "gelu_tanh"


class Mish(Activation):
    """``x * tanh(softplus(x))`` of each input (Misra, 2019).

    Examples
    --------
    >>> Mish().forward([0.0, 1000.0])
    [0.0, 1000.0]
    """

    _activation = "mish"


# What makes a layer of each activation of the library, by its name there.
LAYERS: Mapping[str, Callable[..., Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": Relu,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "softplus": Softplus,
    "softsign": Softsign,
    "hard_sigmoid": HardSigmoid,
    "hard_silu": HardSiLU,
    "relu6": ReLU6,
    "exponential": Exponential,
    "log_sigmoid": LogSigmoid,
    "silu": SiLU,
    "gelu": GELU,
    "gelu_tanh": partial(GELU, approximate=True),
    "mish": Mish,
}
