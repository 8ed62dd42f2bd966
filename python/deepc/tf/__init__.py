"""TensorFlow's names for what deepc computes: ``from deepc import tf``.

Variable, GradientTape and the functions that hand-written layers and training loops use, with
TensorFlow's defaults, over `deepc.autodiff`; and `deepc.keras` as ``tf.keras``. Everything is
computed at once: `function` returns what it is given.

    >>> from deepc import tf
    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * x
    >>> tape.gradient(y, x)
    <tf.Tensor: shape=(), dtype=float32, numpy=6.0>
"""

from __future__ import annotations

import importlib
from typing import Any

from deepc import _tensorflow
from deepc._tensorflow import *  # noqa: F403
from deepc._values import nearest

__all__ = [*_tensorflow.__all__, "keras"]  # noqa: F405


def __getattr__(name: str) -> Any:
    # Keras is imported when it is asked for: who needs only a tape does not wait for it.
    if name == "keras":
        return importlib.import_module("deepc.tf.keras")
    more = nearest(name, __all__) or f"; it has {', '.join(__all__)}"
    raise AttributeError(f"module 'deepc.tf' has no attribute {name!r}{more}")
