"""Models: layers one after the other, graphs of layers, and those with a call of their own."""

from __future__ import annotations

from typing import Any

from deepc._values import missing
from deepc.keras.layers.base import MODELS
from deepc.keras.models.functional import Functional
from deepc.keras.models.model import Model
from deepc.keras.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model"]

MODELS.update(Sequential=Sequential, Functional=Functional)


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Read a model from a ``.keras`` file, written here or by Keras.

    Classes and functions of users are found in `custom_objects`, or where
    `keras.saving.register_keras_serializable` has made them known; nothing is imported.
    """
    from deepc.keras import _saving

    return _saving.load_model(filepath, compile, custom_objects)


def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None) -> Any:
    """Return a model of the same layers, with weights of its own."""
    from deepc.keras import _saving

    return _saving.clone(model)


__getattr__ = missing("deepc.keras.models", __all__, {"model_from_json": "models.load_model"})
