"""Keras 3, as far as it is about dense networks: its names, defaults, lines and words.

``from deepc import keras`` takes the place of ``import keras``; `deepc.tf` holds it as
``tf.keras``. Training is deepc's own loop in C.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepc._values import missing

if TYPE_CHECKING:
    from deepc.keras import activations as activations
    from deepc.keras import backend as backend
    from deepc.keras import callbacks as callbacks
    from deepc.keras import constraints as constraints
    from deepc.keras import datasets as datasets
    from deepc.keras import initializers as initializers
    from deepc.keras import layers as layers
    from deepc.keras import losses as losses
    from deepc.keras import metrics as metrics
    from deepc.keras import models as models
    from deepc.keras import ops as ops
    from deepc.keras import optimizers as optimizers
    from deepc.keras import regularizers as regularizers
    from deepc.keras import saving as saving
    from deepc.keras import utils as utils
    from deepc.keras.layers import Input, KerasTensor, Layer
    from deepc.keras.models import Model, Sequential

__all__ = [
    "Input", "KerasTensor", "Layer", "Model", "Sequential", "Variable", "activations", "backend",
    "callbacks", "config", "constraints", "datasets", "initializers", "layers", "losses",
    "metrics", "models", "ops", "optimizers", "regularizers", "saving", "utils",
]  # fmt: skip

# Imported when they are asked for.
_MODULES = {
    "activations", "backend", "callbacks", "constraints", "datasets", "initializers", "layers",
    "losses", "metrics", "models", "ops", "optimizers", "regularizers", "saving", "utils",
}  # fmt: skip
_NAMES = {
    "Input": "layers", "InputSpec": "layers", "KerasTensor": "layers", "Layer": "layers",
    "Model": "models", "Sequential": "models", "Variable": "_variables", "Loss": "losses",
    "Metric": "metrics", "Optimizer": "optimizers", "Initializer": "initializers",
    "Regularizer": "regularizers",
}  # fmt: skip
_refuse = missing(
    "deepc.keras",
    [*__all__, *_NAMES],
    {
        "applications": "a model of your own, or models.load_model",
        "preprocessing": "utils.to_categorical and NumPy",
        "random": "numpy.random", "mixed_precision": "float32",
        "distribution": "one process", "quantizers": "float32", "tree": "plain Python",
        "export": "model.save", "wrappers": "the model itself",
    },
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"deepc.keras.{name}")
    if name == "config":
        return import_module("deepc.keras.backend")
    if name in _NAMES:
        value = globals()[name] = getattr(import_module(f"deepc.keras.{_NAMES[name]}"), name)
        return value
    return _refuse(name)


def __dir__() -> list[str]:
    return sorted(__all__)
