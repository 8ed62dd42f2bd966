"""torch, as far as it is about small dense networks: its names, defaults and words.

``from deepc import torch`` takes the place of ``import torch``, ``from deepc.torch import nn`` of
``from torch import nn``. Layers, losses and optimizers are deepc's, over the same arrays.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from deepc._values import missing
from deepc.torch import _functions, _types
from deepc.torch._print import set_printoptions as set_printoptions
from deepc.torch._rng import Generator as Generator
from deepc.torch._rng import default_generator as default_generator
from deepc.torch._rng import initial_seed as initial_seed
from deepc.torch._rng import manual_seed as manual_seed
from deepc.torch._rng import seed as seed
from deepc.torch._tensor import Tensor as Tensor
from deepc.torch._tensor import as_tensor as as_tensor
from deepc.torch._tensor import from_numpy as from_numpy
from deepc.torch._tensor import tensor as tensor
from deepc.torch._types import Size as Size
from deepc.torch._types import device as device
from deepc.torch._types import dtype as dtype

__version__ = "2.13.0+deepc"
inf, nan, pi, e = float("inf"), float("nan"), 3.141592653589793, 2.718281828459045
strided = "torch.strided"

# Imported when they are asked for.
_MODULES = ("autograd", "backends", "cuda", "nn", "optim", "utils")
_SAVING = {"save", "load"}
_DTYPES = {
    **{one.name: one for one in _types.ALL},
    "float": _types.float32, "double": _types.float64, "long": _types.int64,
    "int": _types.int32, "short": _types.int16,
}  # fmt: skip
# What torch's tensor types of one dtype are called, and what makes them here.
_TYPED = {"FloatTensor": "float32", "DoubleTensor": "float64", "LongTensor": "int64"}
_OTHERS = {
    "compile": "the model itself, which is compiled", "jit": "deepc.export_c",
    "onnx": "deepc.to_onnx", "amp": "float32", "autocast": "float32", "half": "torch.float32",
    "float16": "torch.float32", "bfloat16": "torch.float32", "complex64": "torch.float32",
    "distributed": "one process", "multiprocessing": "one process", "sparse": "dense Tensors",
    "fft": "numpy.fft", "linalg": "numpy.linalg", "special": "the functions of torch itself",
    "func": "deepc.autodiff", "vmap": "a batch dimension", "hub": "torch.load",
    "distributions": "torch.randn and torch.rand", "profiler": "time.perf_counter",
    "einsum": "@ with permute",
}  # fmt: skip
_refuse = missing(
    "deepc.torch",
    [*_MODULES, *_SAVING, *_DTYPES, *_TYPED, *_functions.FUNCTIONS, "tensor"],
    _OTHERS,
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"deepc.torch.{name}")
    if name in _functions.FUNCTIONS:
        value = _functions.FUNCTIONS[name]
    elif name in _DTYPES:
        value = _DTYPES[name]
    elif name in _SAVING:
        value = getattr(import_module("deepc.torch._saving"), name)
    elif name in _TYPED:
        kind = _DTYPES[_TYPED[name]]

        def value(data: Any) -> Any:
            return tensor(data, dtype=kind)
    else:
        return _refuse(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    public = [name for name in globals() if not name.startswith("_")]
    return sorted({*public, *_MODULES, *_SAVING, *_DTYPES, *_TYPED, *_functions.FUNCTIONS})
