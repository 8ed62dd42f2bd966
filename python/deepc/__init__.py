"""deepc: small dense neural networks on the CPU.

A C core with the abstractions of the deep learning chapter of *Data Science from Scratch*: `Layer`,
`Loss`, `Optimizer`. Lists in, lists out; arrays in, arrays out; one sample or a batch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepc import kernels
from deepc._native import (
    default_dtype,
    get_num_threads,
    num_threads,
    set_default_dtype,
    set_num_threads,
    version,
)
from deepc.activations import Relu, Sigmoid, Tanh, relu, sigmoid, softmax, tanh
from deepc.config import show_config
from deepc.fitting import fit
from deepc.initializers import random_normal, random_tensor, random_uniform
from deepc.layers import Dropout, Layer, Linear, Sequential
from deepc.losses import SSE, Loss, SoftmaxCrossEntropy
from deepc.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    Optimizer,
    RMSProp,
)
from deepc.tensor import (
    Tensor,
    argmax,
    dot,
    inverse_normal_cdf,
    is_1d,
    normal_cdf,
    one_hot_encode,
    shape,
    tensor_apply,
    tensor_combine,
    tensor_sum,
    zeros_like,
)
from deepc.weights import load_weights, save_weights

__version__ = version()

if TYPE_CHECKING:
    from deepc import book as book
    from deepc import datasets as datasets
else:

    def __getattr__(name: str) -> Any:
        # Not everyone needs them, and reading files takes imports that would slow the start.
        if name in ("book", "datasets"):
            return import_module(f"deepc.{name}")
        raise AttributeError(f"module 'deepc' has no attribute {name!r}")


__all__ = [
    "SGD",
    "SSE",
    "Adagrad",
    "Adam",
    "AdamW",
    "Dropout",
    "GradientDescent",
    "Layer",
    "Linear",
    "Loss",
    "Momentum",
    "Optimizer",
    "RMSProp",
    "Relu",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "Tensor",
    "argmax",
    "default_dtype",
    "dot",
    "fit",
    "get_num_threads",
    "inverse_normal_cdf",
    "is_1d",
    "kernels",
    "load_weights",
    "normal_cdf",
    "num_threads",
    "one_hot_encode",
    "random_normal",
    "random_tensor",
    "random_uniform",
    "relu",
    "save_weights",
    "set_default_dtype",
    "set_num_threads",
    "shape",
    "show_config",
    "sigmoid",
    "softmax",
    "tanh",
    "tensor_apply",
    "tensor_combine",
    "tensor_sum",
    "zeros_like",
]
