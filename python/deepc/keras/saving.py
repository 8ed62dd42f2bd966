"""Files, and what they may name: ``register_keras_serializable``, ``load_model``."""

from __future__ import annotations

from typing import Any

from deepc._values import missing
from deepc.keras._registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from deepc.keras.models import load_model

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip


def save_model(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write a model to a ``.keras`` file."""
    model.save(filepath, overwrite)


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights of a model to a ``.weights.h5`` file."""
    model.save_weights(filepath, overwrite)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read the weights of a model from a file."""
    model.load_weights(filepath, skip_mismatch)


def serialize_keras_object(obj: Any) -> Any:
    """Return what a file says of a layer or a model: for the `get_config` of what holds it."""
    from deepc.keras import _saving

    return _saving.of_layer(obj)


def deserialize_keras_object(config: Any, custom_objects: Any = None) -> Any:
    """Make a layer or a model from what a file says of it."""
    from deepc.keras import _saving

    return _saving.layer_of(config, custom_objects)


__getattr__ = missing("deepc.keras.saving", __all__, {"KerasFileEditor": "saving.load_model"})
