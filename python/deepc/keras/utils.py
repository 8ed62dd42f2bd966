"""Small things that programs take from ``keras.utils``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from deepc._values import Array, as_int, missing
from deepc.keras._progress import Progbar
from deepc.keras._registry import (
    custom_object_scope,
    get_custom_objects,
    register_keras_serializable,
)

__all__ = [
    "Progbar", "custom_object_scope", "get_custom_objects", "normalize",
    "register_keras_serializable", "set_random_seed", "to_categorical",
]  # fmt: skip


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Return class numbers as one-hot rows, float64.

    Examples
    --------
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(x)
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iub":
        raise ValueError(f"x: expected class numbers, got dtype {labels.dtype}")
    labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.size and labels.min() < 0:
        raise ValueError(f"x: expected class numbers of at least 0, got {labels.min()}")
    if num_classes is None:
        if not labels.size:
            raise ValueError("x: is empty; say num_classes")
        num_classes = int(labels.max()) + 1
    classes = as_int(num_classes, "num_classes", least=1)
    if labels.size and labels.max() >= classes:
        raise IndexError(f"x: expected class numbers below {classes}, got {labels.max()}")
    rows = np.zeros((labels.size, classes))
    rows[np.arange(labels.size), labels.reshape(-1)] = 1.0
    return rows.reshape(*labels.shape, classes)


def normalize(x: Any, axis: int = -1, order: int = 2) -> Array:
    """Return an array divided by its norms along an axis."""
    array = np.asarray(x, np.float64)
    norms = np.asarray(np.linalg.norm(array, order, axis, keepdims=True))
    return array / np.where(norms == 0, 1.0, norms)


def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's generators; deepc's streams come from Python's."""
    number = as_int(seed, "seed")
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002


__getattr__ = missing(
    "deepc.keras.utils",
    __all__,
    {
        "plot_model": "model.summary", "image_dataset_from_directory": "NumPy arrays",
        "get_file": "deepc.datasets", "Sequence": "a generator of batches",
        "PyDataset": "a generator of batches",
    },
)  # fmt: skip
