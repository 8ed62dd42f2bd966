"""Activation functions, by themselves and as layers.

What there is, with its parameter and the parameter's bounds, is the library's list
(csrc/deepc_activations.h); each has a function in `functions` and a class here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Self, overload

from deepc._c.activations import ACTIVATIONS
from deepc._values import LARGEST, as_bool, as_float
from deepc.activations import functions
from deepc.activations.functions import *  # noqa: F403
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
]
__all__ += functions.__all__


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
    **{cls._activation: cls for cls in Activation.__subclasses__()},
    "gelu_tanh": partial(GELU, approximate=True),
}
