"""Layers that put noise into training."""

from __future__ import annotations

from typing import Any

import numpy as np

import deepc
from deepc._values import as_float
from deepc.keras.layers.base import Layer
from deepc.keras.layers.places import Shape

__all__ = ["Dropout", "GaussianDropout", "GaussianNoise"]


def _check_rate(rate: Any) -> float:
    if (
        isinstance(rate, bool)
        or not isinstance(rate, (int, float, np.number))
        or not (0 <= rate <= 1)
    ):
        raise ValueError(
            "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
            f"Received: rate={rate}"
        )
    return float(rate)


class Dropout(Layer):
    """In training each input is 0 with probability `rate`, else divided by 1 - rate."""

    _arguments = ("rate", "seed", "noise_shape")

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **given: Any
    ) -> None:
        self.rate = _check_rate(rate)
        if noise_shape is not None:
            raise ValueError("noise_shape: not supported; each input is dropped by itself")
        self.seed, self.noise_shape = seed, noise_shape
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.Dropout(self.rate, inverted=True, rng=self.seed)] if self.rate else []


class GaussianNoise(Layer):
    """In training normal numbers are added."""

    _arguments = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **given: Any) -> None:
        self.stddev, self.seed = as_float(stddev, "stddev", 0.0), seed
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.GaussianNoise(self.stddev, rng=self.seed)]


class GaussianDropout(Layer):
    """In training inputs are multiplied by normal numbers around 1."""

    _arguments = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **given: Any) -> None:
        self.rate, self.seed = _check_rate(rate), seed
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.GaussianDropout(self.rate, rng=self.seed)]
