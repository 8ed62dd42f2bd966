"""Layers that change the shape of samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepc.keras.layers.base import Layer
from deepc.keras.layers.places import Shape

__all__ = ["Flatten", "Reshape"]


class Flatten(Layer):
    """Samples of any shape become rows of numbers.

    Examples
    --------
    >>> Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    _arguments = ("data_format",)

    def __init__(self, data_format: str | None = None, **given: Any) -> None:
        if data_format not in (None, "channels_last"):
            raise ValueError(f"data_format: only 'channels_last' is supported, got {data_format!r}")
        self.data_format = "channels_last"
        super().__init__(**given)

    def _compute(self, sample: Shape) -> Shape:
        return (math.prod(sample),)


class Reshape(Layer):
    """Samples in another shape."""

    _arguments = ("target_shape",)

    def __init__(self, target_shape: Any, **given: Any) -> None:
        self.target_shape = tuple(target_shape)
        super().__init__(**given)

    def _compute(self, sample: Shape) -> Shape:
        try:
            return tuple(np.empty(sample, bool).reshape(self.target_shape).shape)
        except ValueError:
            raise ValueError(
                "The total size of the tensor must be unchanged. Received: "
                f"input_shape={sample}, target_shape={self.target_shape}"
            ) from None
