"""Automatic differentiation: compute with Tensors or Scalars, then ask for gradients.

    >>> from deepc.autodiff import Tensor
    >>> x = Tensor([3.0], requires_grad=True)
    >>> y = x * x
    >>> y.backward()
    >>> x.grad
    array([6.], dtype=float32)

Operations are written down as they run (on a tape in C), so any Python code can be differentiated:
loops, branches, calls. The names here are apart from those of `deepc` itself, where a Tensor is any
list or array and a Layer is the book's.
"""

from deepc.autodiff.bridges import parameters
from deepc.autodiff.check import check_gradients
from deepc.autodiff.draw import Drawing, draw
from deepc.autodiff.lesson import MLP, Add, Function, Layer, Module, Mul, Neuron, ReLU
from deepc.autodiff.losses import FunctionLoss
from deepc.autodiff.ops import (
    abs as abs,
)
from deepc.autodiff.ops import (
    argmax,
    astype,
    broadcast_to,
    clip,
    concatenate,
    cos,
    cross_entropy,
    dropout,
    elu,
    exp,
    expand_dims,
    flatten,
    gelu,
    leaky_relu,
    linear,
    log,
    log_softmax,
    logsumexp,
    matmul,
    maximum,
    mean,
    minimum,
    moveaxis,
    norm,
    power,
    prod,
    put,
    relu,
    reshape,
    sigmoid,
    silu,
    sin,
    softmax,
    softplus,
    split,
    sqrt,
    squared_error,
    squeeze,
    stack,
    std,
    tanh,
    transpose,
    var,
    where,
)
from deepc.autodiff.ops import (
    max as max,
)
from deepc.autodiff.ops import (
    min as min,
)
from deepc.autodiff.ops import (
    sum as sum,
)
from deepc.autodiff.tensor import (
    Parameter,
    Scalar,
    Tensor,
    detect_nan,
    enable_grad,
    no_grad,
    tensor,
    zero_grad,
)
from deepc.autodiff.transforms import (
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)

# All but abs, max, min and sum: what takes all names has Python's own.
__all__ = [
    "Add", "Drawing", "Function", "FunctionLoss", "Layer", "MLP", "Module", "Mul", "Neuron",
    "Parameter", "ReLU", "Scalar", "Tensor", "argmax", "astype", "broadcast_to", "check_gradients",
    "clip", "concatenate", "cos", "cross_entropy", "detect_nan", "draw", "dropout", "elu",
    "enable_grad", "exp", "expand_dims", "flatten", "gelu", "grad", "gradients", "hessian", "hvp",
    "jacobian", "jvp", "leaky_relu", "linear", "log", "log_softmax", "logsumexp", "matmul",
    "maximum", "mean", "minimum", "moveaxis", "no_grad", "norm", "parameters", "power", "prod",
    "put", "relu", "reshape", "sigmoid", "silu", "sin", "softmax", "softplus", "split", "sqrt",
    "squared_error", "squeeze", "stack", "std", "tanh", "tensor", "transpose", "value_and_grad",
    "var", "vjp", "where", "zero_grad",
]  # fmt: skip
