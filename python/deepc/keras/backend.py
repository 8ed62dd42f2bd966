"""What programs ask of Keras' backend: the dtype, and names that start anew."""

from __future__ import annotations

import deepc
from deepc._values import missing
from deepc.keras import _names

__all__ = ["backend", "clear_session", "epsilon", "floatx", "set_floatx"]


def clear_session(free_memory: bool = True) -> None:
    """Let automatic names start without a number again.

    Examples
    --------
    >>> from deepc.keras import layers
    >>> clear_session()
    >>> layers.Dense(1).name
    'dense'
    """
    _names.restart()


def floatx() -> str:
    """Return the name of the dtype of new layers."""
    return deepc.default_dtype().name


def set_floatx(value: str) -> None:
    """Choose the dtype of new layers, ``"float32"`` or ``"float64"``; it is that of deepc too."""
    deepc.set_default_dtype(value)


def epsilon() -> float:
    """Return the number that keeps probabilities from 0."""
    return 1e-7


def backend() -> str:
    """Return the name of what computes."""
    return "deepc"


__getattr__ = missing("deepc.keras.backend", __all__)
