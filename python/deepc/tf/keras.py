"""`deepc.keras` as TensorFlow's users import it: ``from deepc.tf.keras import layers``.

In place of this module the import gives `deepc.keras` itself, and its parts under both names are
the same modules: no class is there twice.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import deepc.keras

_PARTS = (
    "activations", "backend", "callbacks", "constraints", "datasets", "datasets.fashion_mnist",
    "datasets.mnist", "initializers", "layers", "losses", "metrics", "models", "ops", "optimizers",
    "optimizers.schedules", "regularizers", "saving", "utils",
)  # fmt: skip
for _part in _PARTS:
    sys.modules[f"{__name__}.{_part}"] = import_module(f"deepc.keras.{_part}")
sys.modules[__name__] = deepc.keras


def __getattr__(name: str) -> Any:
    # For whoever holds this module itself, as tools that load files do.
    return getattr(deepc.keras, name)
