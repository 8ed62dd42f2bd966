"""Models with several outputs, which lie side by side in the columns of one array of predictions.

The rows of what is right lie side by side too, one part for each output; class numbers are one
column. So the one loop trains a model of any number of outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepc._values import Array
from deepc.losses import BuiltinLoss, Loss
from deepc.training.evaluate import total_loss
from deepc.training.metrics import Metric

__all__ = ["MeanLoss", "Part", "PartMetric", "PartsLoss"]


class Part:
    """One output: where it stands, and what is right for it.

    Parameters
    ----------
    predicted, actual : slice
        Its columns.
    labels : bool, optional
        Whether what is right are class numbers.
    """

    def __init__(self, predicted: slice, actual: slice, labels: bool = False) -> None:
        self.predicted, self.actual, self.labels = predicted, actual, labels

    def of(self, predicted: Any, actual: Any) -> tuple[Array, Array]:
        """Return the part of predictions, and of what is right, as a loss takes them."""
        p, a = np.atleast_2d(np.asarray(predicted)), np.atleast_2d(np.asarray(actual))
        mine = a[:, self.actual]
        if self.labels:
            mine = mine[:, 0].astype(np.int64)
        return np.ascontiguousarray(p[:, self.predicted]), np.ascontiguousarray(mine)


class PartsLoss(Loss):
    """The sum of the losses of several outputs, each times its weight.

    Parameters
    ----------
    parts : list of (Part, Loss, float)
    """

    # Of a batch it is one number, as a mean is.
    reduction = "mean"

    def __init__(self, parts: Sequence[tuple[Part, Any, float]]) -> None:
        self.parts = list(parts)

    def loss(self, predicted: Any, actual: Any, *sample_weight: Any) -> float:
        """Return the sum of the losses."""
        return sum(
            weight * float(loss.loss(*part.of(predicted, actual), *sample_weight))
            for part, loss, weight in self.parts
        )

    def gradient(self, predicted: Any, actual: Any, *sample_weight: Any) -> Array:
        """Return the gradients side by side."""
        given = np.asarray(predicted)
        made = np.zeros(np.atleast_2d(given).shape, given.dtype)
        for part, loss, weight in self.parts:
            gradient = np.asarray(loss.gradient(*part.of(given, actual), *sample_weight))
            np.multiply(gradient, made.dtype.type(weight), out=made[:, part.predicted])
        return made.reshape(given.shape)


class PartMetric(Metric):
    """A metric of one output."""

    def __init__(self, part: Part, metric: Metric) -> None:
        self.part, self.metric = part, metric
        self.name, self.better, self.weighted = metric.name, metric.better, metric.weighted

    def reset(self) -> None:
        self.metric.reset()

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        mine, right = self.part.of(predicted, actual)
        if weights is None:
            self.metric.update(right, mine)
        else:
            self.metric.update(right, mine, weights)

    def result(self) -> float:
        return self.metric.result()


class MeanLoss(Metric):
    """The mean of a loss over all rows."""

    better = "min"
    weighted = True

    def __init__(self, loss: BuiltinLoss | Loss, name: str) -> None:
        self.loss, self.name = loss, name
        self.reset()

    def reset(self) -> None:
        self._total, self._rows = 0.0, 0

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        rows = len(predicted)
        self._total += total_loss(self.loss, predicted, actual, weights, rows)
        self._rows += rows

    def result(self) -> float:
        return self._total / self._rows if self._rows else 0.0
