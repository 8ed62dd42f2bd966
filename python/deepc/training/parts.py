"""Models with several outputs, which lie side by side in the columns of one array of predictions.

The rows of what is right lie side by side too, one part for each output; class numbers are one
column. So the one loop trains a model of any number of outputs. Behind all that may stand weights
of samples for each output, a column each, which count in place of those for all outputs.
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
    weights : int, optional
        The column of its weights, where there are so many.
    """

    def __init__(
        self, predicted: slice, actual: slice, labels: bool = False, weights: int | None = None
    ) -> None:
        self.predicted, self.actual, self.labels = predicted, actual, labels
        self.weights = weights

    def of(self, predicted: Any, actual: Any) -> tuple[Array, Array]:
        """Return the part of predictions, and of what is right, as a loss takes them."""
        p, a = np.atleast_2d(np.asarray(predicted)), np.atleast_2d(np.asarray(actual))
        mine = a[:, self.actual]
        if self.labels:
            mine = mine[:, 0].astype(np.int64)
        return np.ascontiguousarray(p[:, self.predicted]), np.ascontiguousarray(mine)

    def weights_of(self, actual: Any, given: Any = None) -> Any:
        """Return its own weights, or those that were given for all outputs."""
        rows = np.atleast_2d(np.asarray(actual))
        if self.weights is None or rows.shape[1] <= self.weights:
            return given
        return np.ascontiguousarray(rows[:, self.weights])


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
            weight * float(loss.loss(*self._of(part, predicted, actual, sample_weight)))
            for part, loss, weight in self.parts
        )

    def gradient(self, predicted: Any, actual: Any, *sample_weight: Any) -> Array:
        """Return the gradients side by side."""
        given = np.asarray(predicted)
        made = np.zeros(np.atleast_2d(given).shape, given.dtype)
        for part, loss, weight in self.parts:
            mine = self._of(part, given, actual, sample_weight)
            gradient = np.asarray(loss.gradient(*mine))
            np.multiply(gradient, made.dtype.type(weight), out=made[:, part.predicted])
        return made.reshape(given.shape)

    @staticmethod
    def _of(part: Part, predicted: Any, actual: Any, sample_weight: Any) -> tuple[Any, ...]:
        weights = part.weights_of(actual, *sample_weight)
        given = part.of(predicted, actual)
        return given if weights is None else (*given, weights)


class PartMetric(Metric):
    """A metric of one output."""

    def __init__(self, part: Part, metric: Metric) -> None:
        self.part, self.metric = part, metric
        self.name, self.better, self.weighted = metric.name, metric.better, metric.weighted

    def reset(self) -> None:
        self.metric.reset()

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        mine, right = self.part.of(predicted, actual)
        weights = self.part.weights_of(actual, weights) if self.weighted else None
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
