"""Activations by the names that Keras has for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc import _tensorflow
from deepc._c.tape import Node
from deepc._values import as_array, as_float, missing
from deepc.activations import LAYERS
from deepc.autodiff import ops
from deepc.keras._names import find
from deepc.layers import Layer, LogSoftmax, Softmax

__all__ = ["deserialize", "get", "serialize"]


class Function:
    """An activation: called with an array it computes; a layer makes it part of a network.

    Parameters
    ----------
    name : str
        What Keras calls it.
    built_in : str
        What the library calls it; "" for the identity.
    argument : str, optional
        What Keras calls its parameter.
    default : float, optional
        The parameter where none is given.
    """

    def __init__(
        self, name: str, built_in: str, argument: str = "", default: float | None = None
    ) -> None:
        self.__name__ = name
        self._built_in = built_in
        self._argument = argument
        self._parameter = default

    def __repr__(self) -> str:
        return f"<activation {self.__name__}>"

    def with_parameter(self, value: Any) -> Function:
        """Return the same function with another parameter."""
        number = as_float(value, self._argument, 0.0)
        return Function(self.__name__, self._built_in, self._argument, number)

    def make(self) -> Layer | None:
        """Return the layer that computes it; None for the identity."""
        if not self._built_in:
            return None
        if self._built_in in ("softmax", "log_softmax"):
            return Softmax() if self._built_in == "softmax" else LogSoftmax()
        cls: Any = LAYERS[self._built_in]
        made = cls(True) if self._built_in == "gelu_tanh" else cls()
        if self._parameter is not None:
            setattr(made, cls._parameter, self._parameter)
        return made  # type: ignore[no-any-return]

    def __call__(self, x: Any, **arguments: Any) -> Any:
        """Return the function of each element; of each row for a softmax."""
        if arguments:
            return self._with(arguments)(x)
        layer = self.make()
        if isinstance(x, Node):
            rows = ops.reshape(x, (-1, x.shape[-1]) if x.shape else (1, 1))
            return x if layer is None else ops.reshape(layer(rows), x.shape)
        array = as_array(x, "x")
        if layer is None:
            return array
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        return np.asarray(layer.forward(rows)).reshape(array.shape)

    def _with(self, arguments: dict[str, Any]) -> Function:
        made = self
        for name, value in arguments.items():
            if name == "axis" and value == -1:
                continue
            if name == "approximate" and self.__name__ == "gelu":
                made = Function("gelu", "gelu_tanh" if value else "gelu")
            elif name == "negative_slope" and self.__name__ == "relu":
                made = Function("relu", "leaky_relu", name, as_float(value, name, 0.0))
            elif name == "max_value" and self.__name__ == "relu":
                if value not in (None, 6):
                    raise ValueError(f"max_value: only None and 6 are built in; got {value!r}")
                made = made if value is None else Function("relu", "relu6")
            elif name == self._argument:
                made = self.with_parameter(value)
            else:
                raise TypeError(f"{self.__name__}() got an unexpected keyword argument {name!r}")
        return made


class Written(Function):
    """An activation that somebody wrote, as a function of a Tensor."""

    def __init__(self, function: Any) -> None:
        super().__init__(str(getattr(function, "__name__", type(function).__name__)), "")
        self.function = function

    def __call__(self, x: Any, **arguments: Any) -> Any:
        """Return what the function gives."""
        given = x if isinstance(x, Node) else _tensorflow.Tensor(as_array(x, "x"))
        y = self.function(given, **arguments)
        if not isinstance(y, Node) or y.shape != given.shape:
            raise TypeError(
                f"activation: {self.__name__} gave {getattr(y, 'shape', type(y).__name__)} for a "
                f"Tensor of shape {given.shape}: expected a Tensor of the same shape, computed "
                "with keras.ops or deepc.tf"
            )
        return y


# THE list: Keras' name, the library's, and the parameter's name and value where Keras has one.
_LIST: dict[str, tuple[Any, ...]] = {
    "linear": ("",),
    "relu": ("relu",),
    "leaky_relu": ("leaky_relu", "negative_slope", 0.2),
    "relu6": ("relu6",),
    "elu": ("elu", "alpha", 1.0),
    "celu": ("celu", "alpha", 1.0),
    "selu": ("selu",),
    "softplus": ("softplus",),
    "softsign": ("softsign",),
    "silu": ("silu",),
    "swish": ("silu",),
    "gelu": ("gelu",),
    "tanh": ("tanh",),
    "sigmoid": ("sigmoid",),
    "hard_sigmoid": ("hard_sigmoid",),
    "hard_silu": ("hard_silu",),
    "hard_swish": ("hard_silu",),
    "exponential": ("exponential",),
    "mish": ("mish",),
    "log_sigmoid": ("log_sigmoid",),
    "log_softmax": ("log_softmax",),
    "softmax": ("softmax",),
}
FUNCTIONS = {name: Function(name, *rest) for name, rest in _LIST.items()}
globals().update(FUNCTIONS)
__all__ += list(FUNCTIONS)


def get(identifier: Any) -> Function:
    """Return an activation by its name, or as it is; None is the identity.

    A function of Tensors is an activation too; a model with it is not compiled into one network.

    Examples
    --------
    >>> get("gelu")(np.array([-1.0, 0.5])).round(6)
    array([-0.158655,  0.345731])
    """
    if identifier is None:
        return FUNCTIONS["linear"]
    if isinstance(identifier, Function):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        name = getattr(identifier, "__name__", "")
        if name in FUNCTIONS and getattr(identifier, "__module__", "").startswith("deepc"):
            return FUNCTIONS[name]
        return Written(identifier)
    found: Function = find("activation function", identifier, FUNCTIONS)
    return found


def serialize(activation: Function) -> str:
    """Return an activation's name."""
    return activation.__name__


def deserialize(config: Any) -> Function:
    """Return an activation from its name, or from what a file says of it."""
    if isinstance(config, dict):
        inner = config.get("config", config)
        config = inner if isinstance(inner, str) else config.get("class_name")
    return get(config)


_LEFT_OUT = (
    "glu", "hard_shrink", "hard_tanh", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "tanh_shrink", "threshold",
)  # fmt: skip
__getattr__ = missing(
    "deepc.keras.activations",
    FUNCTIONS,
    dict.fromkeys(_LEFT_OUT, "activations.leaky_relu, softplus or relu"),
)
