"""deepc: small dense neural networks on the CPU.

A C core with the abstractions of the deep learning chapter of *Data Science from Scratch*: `Layer`,
`Loss`, `Optimizer`. Lists in, lists out; arrays in, arrays out; one sample or a batch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepc import kernels, losses
from deepc._c.library import get_num_threads, num_threads, set_num_threads, version
from deepc._values import default_dtype, set_default_dtype
from deepc.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Exponential,
    HardSigmoid,
    HardSiLU,
    Identity,
    LeakyReLU,
    LogSigmoid,
    Mish,
    Relu,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from deepc.initializers import random_normal, random_tensor, random_uniform
from deepc.layers import (
    BatchNorm,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Sequential,
    Softmax,
)
from deepc.losses import *  # noqa: F403
from deepc.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    GradientDescent,
    Lion,
    Momentum,
    Nadam,
    Optimizer,
    RMSProp,
    clip_gradients,
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

__version__ = version()

if TYPE_CHECKING:
    from deepc import book as book
    from deepc import datasets as datasets
    from deepc import keras as keras
    from deepc import plots as plots
    from deepc import tf as tf
    from deepc.autodiff.check import check_gradients
    from deepc.config import show_config
    from deepc.datasets import binary_encode, fizz_buzz_encode
    from deepc.shipping.export_c import export_c
    from deepc.shipping.files import load, load_weights, save, save_weights
    from deepc.shipping.onnx import from_onnx, to_onnx
    from deepc.shipping.others import (
        from_keras,
        from_sklearn,
        from_torch,
        to_keras,
        to_sklearn,
        to_torch,
    )
    from deepc.shipping.quantize import quantized
    from deepc.training import callbacks as callbacks
    from deepc.training import metrics as metrics
    from deepc.training import schedules as schedules
    from deepc.training.callbacks import Callback, EarlyStopping
    from deepc.training.evaluate import evaluate, predict, training
    from deepc.training.fit import fit
    from deepc.training.history import History
    from deepc.training.summary import summary
else:
    # Imported when they are asked for: not everyone needs them, and each file takes time to find.
    _MODULES = {
        "autodiff": "deepc.autodiff",
        "book": "deepc.book",
        "callbacks": "deepc.training.callbacks",
        "datasets": "deepc.datasets",
        "metrics": "deepc.training.metrics",
        "keras": "deepc.keras",
        "plots": "deepc.plots",
        "schedules": "deepc.training.schedules",
        "tf": "deepc.tf",
        # A package that can be called: `with training(model, False)`.
        "training": "deepc.training",
    }
    _LATE = {
        "Callback": "deepc.training.callbacks",
        "EarlyStopping": "deepc.training.callbacks",
        "History": "deepc.training.history",
        "binary_encode": "deepc.datasets",
        "check_gradients": "deepc.autodiff.check",
        "evaluate": "deepc.training.evaluate",
        "export_c": "deepc.shipping.export_c",
        "fit": "deepc.training.fit",
        "fizz_buzz_encode": "deepc.datasets",
        "from_keras": "deepc.shipping.others",
        "from_onnx": "deepc.shipping.onnx",
        "from_sklearn": "deepc.shipping.others",
        "from_torch": "deepc.shipping.others",
        "to_keras": "deepc.shipping.others",
        "to_onnx": "deepc.shipping.onnx",
        "to_sklearn": "deepc.shipping.others",
        "to_torch": "deepc.shipping.others",
        "load": "deepc.shipping.files",
        "load_weights": "deepc.shipping.files",
        "predict": "deepc.training.evaluate",
        "quantized": "deepc.shipping.quantize",
        "save": "deepc.shipping.files",
        "save_weights": "deepc.shipping.files",
        "show_config": "deepc.config",
        "summary": "deepc.training.summary",
    }

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(_MODULES[name])
        if name in _LATE:
            value = globals()[name] = getattr(import_module(_LATE[name]), name)
            return value
        raise AttributeError(f"module 'deepc' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*__all__, *_MODULES, "__version__"})


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Exponential",
    "HardSiLU",
    "HardSigmoid",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU6",
    "SiLU",
    "Softplus",
    "Softsign",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BatchNorm",
    "Lion",
    "Nadam",
    "check_gradients",
    "clip_gradients",
    "Callback",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GradientDescent",
    "History",
    "Layer",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "Momentum",
    "Optimizer",
    "PReLU",
    "RMSProp",
    "Relu",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Tensor",
    "argmax",
    "binary_encode",
    "default_dtype",
    "dot",
    "evaluate",
    "export_c",
    "fit",
    "fizz_buzz_encode",
    "from_keras",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "get_num_threads",
    "inverse_normal_cdf",
    "is_1d",
    "kernels",
    "load",
    "load_weights",
    "normal_cdf",
    "num_threads",
    "one_hot_encode",
    "predict",
    "quantized",
    "random_normal",
    "random_tensor",
    "random_uniform",
    "relu",
    "save",
    "save_weights",
    "set_default_dtype",
    "set_num_threads",
    "shape",
    "show_config",
    "sigmoid",
    "softmax",
    "summary",
    "tanh",
    "tensor_apply",
    "tensor_combine",
    "tensor_sum",
    "to_keras",
    "to_onnx",
    "to_sklearn",
    "to_torch",
    "training",
    "zeros_like",
]
__all__ += losses.__all__
