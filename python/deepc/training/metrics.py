"""Metrics: what is measured of predictions besides the loss.

A metric adds up, batch by batch, what its number is made of, so that the number of an epoch is that
of all its rows, not a mean over batches of unequal size. Any callable of (actual, predicted) is a
metric too; it gets all rows of an epoch at once.

Predictions are what the model means: probabilities where its last step is a softmax or a sigmoid,
even if it was trained on the numbers before that step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from deepc._c.arrays import argmax, argmax_equals
from deepc._values import Array, describe, nearest

__all__ = [
    "AUC",
    "F1",
    "R2",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "TopK",
    "metric",
]


class Metric:
    """A number that is made of all rows seen since `reset`.

    Subclass it and define `reset`, `update` and `result`.

    Attributes
    ----------
    name : str
        What it is called in a history.
    better : {"max", "min", None}
        Which way it gets better, None where nobody can say.
    weighted : bool
        Whether training and evaluation tell it the weights of the rows.

    Examples
    --------
    >>> accuracy = Accuracy()
    >>> accuracy.update([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> round(accuracy.result(), 4)
    0.6667
    """

    name = "metric"
    better: str | None = None
    weighted = False

    def reset(self) -> None:
        """Forget all rows."""
        raise NotImplementedError

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        """Take in some rows.

        Parameters
        ----------
        actual : array_like of shape (rows,) or (rows, outputs)
            Labels or targets.
        predicted : array_like of shape (rows, outputs)
        weights : array_like of shape (rows,), optional
            How much each row counts; 1 if not given.
        """
        raise NotImplementedError

    def result(self) -> float:
        """Return the number for all rows since `reset`."""
        raise NotImplementedError

    def counted(self) -> Any:
        """Return what is told, in place of this metric, how many rows are right: see `takes_right`.

        Another one where this one gives it all rows, and their largest outputs stay where they are.
        """
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _rows(actual: Any, predicted: Any) -> tuple[Array, Array]:
    """Return both as arrays of the same number of rows, predictions in two dimensions."""
    a, p = np.asarray(actual), np.asarray(predicted)
    if p.ndim <= 1:
        p = p.reshape(-1, 1)
    if a.ndim == 0:
        a = a.reshape(1)
    if len(a) != len(p):
        raise ValueError(f"actual: expected {len(p)} rows as in predicted, got {len(a)}")
    return a, p


def _same_shape(actual: Any, predicted: Any, name: str) -> tuple[Array, Array]:
    """Return both as float64 in the shape of the predictions."""
    a, p = _alike(actual, predicted, name)
    return a.astype(np.float64, copy=False), p.astype(np.float64, copy=False)


def _alike(actual: Any, predicted: Any, name: str) -> tuple[Array, Array]:
    """Return both in the shape of the predictions: (rows,) and (rows, 1) mean the same."""
    a, p = _rows(actual, predicted)
    if a.ndim == 1 and p.shape[1] == 1:
        a = a[:, None]
    if a.shape != p.shape:
        raise ValueError(f"{name}: expected targets of shape {p.shape}, got {a.shape}")
    return a, p


def _classes(actual: Array, outputs: int, name: str) -> Array:
    """Return class numbers: of labels themselves, of one-hot rows the place of the largest."""
    if actual.ndim == 2 and actual.shape[1] == outputs and outputs > 1:
        return argmax(actual)
    if actual.ndim == 2 and actual.shape[1] == 1:
        actual = actual[:, 0]
    if actual.ndim != 1:
        raise ValueError(f"{name}: expected labels or one-hot rows, got shape {actual.shape}")
    return actual


class _OfRows(Metric):
    """A mean over rows; a subclass says what one row's number is."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._total = 0.0
        self._weight = 0.0

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        self._add(self._values(actual, predicted), weights)

    def _values(self, actual: Any, predicted: Any) -> Array:
        raise NotImplementedError

    def add_right(self, right: int, rows: int, labels: bool) -> None:
        """Take in how many of so many rows are right; see `takes_right`."""
        self._total += right
        self._weight += rows

    def _add(self, values: Array, weights: Any) -> None:
        if weights is None:
            counted = values.dtype.kind == "b"
            self._total += float(
                np.count_nonzero(values) if counted else values.sum(dtype=np.float64)
            )
            self._weight += len(values)
        else:
            w = np.asarray(weights, np.float64).reshape(-1)
            self._total += float((w * values).sum())
            self._weight += float(w.sum())

    def result(self) -> float:
        return self._total / self._weight if self._weight else 0.0


class Mean(_OfRows):
    """The mean of numbers, one a row; `predicted` are the numbers, `actual` is not looked at.

    Examples
    --------
    >>> mean = Mean()
    >>> mean.update(None, [1.0, 2.0, 6.0])
    >>> mean.result()
    3.0
    """

    name = "mean"

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        self._add(np.asarray(predicted, np.float64).reshape(-1), weights)


class SparseCategoricalAccuracy(_OfRows):
    """How often the largest output is that of the label; of equal outputs the first counts."""

    name = "sparse_categorical_accuracy"
    better = "max"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _rows(actual, predicted)
        if a.ndim == 2 and a.shape[1] == 1:
            a = a[:, 0]
        if a.ndim != 1:
            raise ValueError(f"{self.name}: expected one label a row, got shape {a.shape}")
        return argmax_equals(p, a)


class CategoricalAccuracy(_OfRows):
    """How often the largest output is where the one-hot row has its largest number."""

    name = "categorical_accuracy"
    better = "max"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _alike(actual, predicted, self.name)
        return argmax_equals(p, argmax(a))


class BinaryAccuracy(_OfRows):
    """How often an output is on the right side of the threshold: above it for 1.

    Parameters
    ----------
    threshold : float, optional
        0.5 for probabilities; 0.0 for logits.
    """

    name = "binary_accuracy"
    better = "max"

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def __repr__(self) -> str:
        return f"BinaryAccuracy(threshold={self.threshold})"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _same_shape(actual, predicted, self.name)
        return np.asarray(((p > self.threshold) == a).mean(axis=1))


class Accuracy(_OfRows):
    """The accuracy that fits the shapes, by the rule that Keras users know.

    One output: `BinaryAccuracy`. Labels, one a row: `SparseCategoricalAccuracy`. Else
    `CategoricalAccuracy`. The loss plays no part, so several independent outputs want
    `BinaryAccuracy` by name.
    """

    name = "accuracy"
    better = "max"

    def __init__(self) -> None:
        # By name, because a checkpoint keeps what a metric has added up.
        self._chosen: str | None = None
        super().__init__()

    def _values(self, actual: Any, predicted: Any) -> Array:
        if self._chosen is None:
            a, p = _rows(actual, predicted)
            self._chosen = self._choice(a.ndim < 2 or a.shape[1] == 1, p.shape[1])
        return _ACCURACIES[self._chosen]._values(actual, predicted)

    @staticmethod
    def _choice(labels: bool, outputs: int) -> str:
        return "binary" if outputs == 1 else "labels" if labels else "one_hot"

    def add_right(self, right: int, rows: int, labels: bool) -> None:
        self._chosen = self._choice(labels, 2)
        super().add_right(right, rows, labels)


_ACCURACIES: dict[str, _OfRows] = {
    "binary": BinaryAccuracy(),
    "labels": SparseCategoricalAccuracy(),
    "one_hot": CategoricalAccuracy(),
}


def right_rows(actual: Array, predicted: Array) -> int:
    """Return how many rows have their largest output where labels or largest targets are."""
    places = argmax(actual) if actual.ndim == 2 else actual
    return int(np.count_nonzero(argmax_equals(predicted, places)))


def takes_right(item: Metric, labels: bool, outputs: int, weights: bool) -> bool:
    """Whether a metric can do with how many rows have their largest output where it should be.

    What it has `counted` then has `add_right`. Labels tell where, or else the largest of so many
    targets; `weights` tells whether the rows have some.
    """
    told = item.counted()
    kind: Any = type(told)
    if kind is Accuracy:
        fits = outputs > 1 and told._chosen in (None, told._choice(labels, outputs))
    else:
        fits = kind is (SparseCategoricalAccuracy if labels else CategoricalAccuracy)
    # Nor has somebody given this one another method.
    own = fits and getattr(told.update, "__func__", None) is kind.update
    return own and not (weights and item.weighted)


class TopK(_OfRows):
    """How often the right class is among the k largest outputs.

    Parameters
    ----------
    k : int, optional
        5 if not given. An output that is as large as the right one stands behind it.
    """

    name = "top_k_accuracy"
    better = "max"

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k: expected at least 1, got {k}")
        self.k = k

    def __repr__(self) -> str:
        return f"TopK({self.k})"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _rows(actual, predicted)
        right = _classes(a, p.shape[1], self.name).astype(np.int64)
        at_label = np.take_along_axis(p, right[:, None], axis=1)
        return np.asarray((p > at_label).sum(axis=1) < self.k)


class MeanSquaredError(_OfRows):
    """The mean of (predicted - actual)^2 over outputs and rows."""

    name = "mse"
    better = "min"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _same_shape(actual, predicted, self.name)
        return np.asarray(((p - a) ** 2).mean(axis=1))


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error of all rows (not a mean of roots)."""

    name = "rmse"

    def result(self) -> float:
        return math.sqrt(super().result())


class MeanAbsoluteError(_OfRows):
    """The mean of |predicted - actual| over outputs and rows."""

    name = "mae"
    better = "min"

    def _values(self, actual: Any, predicted: Any) -> Array:
        a, p = _same_shape(actual, predicted, self.name)
        return np.asarray(np.abs(p - a).mean(axis=1))


class R2(Metric):
    """The coefficient of determination: 1 for perfect predictions, 0 for those of the mean.

    With several outputs the mean of theirs. An output that never changes counts 1 where it is
    predicted exactly, else 0.
    """

    name = "r2"
    better = "max"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._actual: list[Array] = []
        self._residual: Array | float = 0.0
        self._weights: list[Array] = []

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        a, p = _same_shape(actual, predicted, self.name)
        w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
        self._actual.append(a.copy())
        self._weights.append(w)
        self._residual = self._residual + (w[:, None] * (p - a) ** 2).sum(axis=0)

    def result(self) -> float:
        if not self._actual:
            return 0.0
        a, w = np.concatenate(self._actual), np.concatenate(self._weights)[:, None]
        # About the mean in two passes: a sum of squares less a square cancels.
        spread = (w * (a - (w * a).sum(axis=0) / w.sum()) ** 2).sum(axis=0)
        left = np.asarray(self._residual)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(spread > 0, 1 - left / spread, np.where(left == 0, 1.0, 0.0))
        return float(each.mean())


class _Counts(Metric):
    """What is made of true and false positives and negatives."""

    better = "max"

    def __init__(self, threshold: float = 0.5, class_id: int | None = None) -> None:
        self.threshold = threshold
        self.class_id = class_id
        self.reset()

    def __repr__(self) -> str:
        chosen = "" if self.class_id is None else f", class_id={self.class_id}"
        return f"{type(self).__name__}(threshold={self.threshold}{chosen})"

    def reset(self) -> None:
        self.true_positives = self.false_positives = 0.0
        self.false_negatives = self.true_negatives = 0.0

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        a, p = _rows(actual, predicted)
        if p.shape[1] > 1 and (a.ndim == 1 or a.shape[1] == 1):
            a = _classes(a, p.shape[1], self.name)[:, None] == np.arange(p.shape[1])
        a, p = _same_shape(a, p, self.name)
        if self.class_id is not None:
            a, p = a[:, [self.class_id]], p[:, [self.class_id]]
        said, is_so = p > self.threshold, a > 0.5
        w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
        self.true_positives += float((w[:, None] * (said & is_so)).sum())
        self.false_positives += float((w[:, None] * (said & ~is_so)).sum())
        self.false_negatives += float((w[:, None] * (~said & is_so)).sum())
        self.true_negatives += float((w[:, None] * (~said & ~is_so)).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


class Precision(_Counts):
    """Which part of what was said to be 1 is 1; 0 where nothing was.

    Parameters
    ----------
    threshold : float, optional
        An output above it says 1.
    class_id : int, optional
        Look at one output only.
    """

    name = "precision"

    def result(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)


class Recall(_Counts):
    """Which part of what is 1 was said to be; parameters as for `Precision`."""

    name = "recall"

    def result(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)


class F1(_Counts):
    """The harmonic mean of precision and recall; parameters as for `Precision`."""

    name = "f1"

    def result(self) -> float:
        twice = 2 * self.true_positives
        return _ratio(twice, twice + self.false_positives + self.false_negatives)


class AUC(Metric):
    """The area under the ROC curve: how often a 1 gets a larger output than a 0.

    Exact, from the ranks of all outputs; equal outputs count one half. Faces whose owners cut the
    curve at fixed thresholds say ``num_thresholds``.

    Parameters
    ----------
    num_thresholds : int, optional
        Take the curve at so many thresholds from 0 to 1, joined by straight lines, instead.
    """

    name = "auc"
    better = "max"

    def __init__(self, num_thresholds: int | None = None) -> None:
        if num_thresholds is not None and num_thresholds < 2:
            raise ValueError(f"num_thresholds: expected at least 2, got {num_thresholds}")
        self.num_thresholds = num_thresholds
        self.reset()

    def __repr__(self) -> str:
        return f"AUC({self.num_thresholds or ''})"

    def reset(self) -> None:
        self._outputs: list[Array] = []
        self._positive: list[Array] = []
        self._weights: list[Array] = []

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        a, p = _rows(actual, predicted)
        if p.shape[1] == 2 and (a.ndim == 1 or a.shape[1] == 1):
            p = p[:, 1:]  # of two classes, the output that says 1
        a, p = _same_shape(a, p, self.name)
        w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
        self._outputs.append(p.ravel().copy())
        self._positive.append((a > 0.5).ravel())
        self._weights.append(np.repeat(w, p.shape[1]))

    def result(self) -> float:
        if not self._outputs:
            return 0.0
        p, positive = np.concatenate(self._outputs), np.concatenate(self._positive)
        w = np.concatenate(self._weights)
        if self.num_thresholds:
            inner = np.arange(1, self.num_thresholds - 1) / (self.num_thresholds - 1)
            cuts = np.concatenate([[-1e-7], inner, [1 + 1e-7]])
        else:
            # Just below every value that occurs, and above all.
            cuts = np.concatenate([[-np.inf], np.unique(p)])
        order = np.argsort(p)
        # How much weight lies above each cut.
        first = np.searchsorted(p[order], cuts, side="right")

        def above(weights: Array) -> Array:
            sums = np.concatenate([[0.0], np.cumsum(weights[order])])
            return np.asarray(sums[-1] - sums[first])

        hits, alarms = above(w * positive), above(w * ~positive)
        all_hits, all_alarms = float((w * positive).sum()), float((w * ~positive).sum())
        if not all_hits or not all_alarms:
            return 0.0
        rates, false_rates = hits / all_hits, alarms / all_alarms
        widths = false_rates[:-1] - false_rates[1:]
        return float((widths * (rates[:-1] + rates[1:]) / 2).sum())


class OfAllRows(Metric):
    """Any function of (actual, predicted), asked once for all rows of an epoch.

    Functions that want class numbers, as many of scikit-learn's, refuse probabilities with a
    ``ValueError``; they get class numbers then.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self._of_classes = False
        self.reset()

    def __repr__(self) -> str:
        return f"OfAllRows({self.name})"

    def reset(self) -> None:
        self._actual: list[Array] = []
        self._predicted: list[Array] = []

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        a, p = _rows(actual, predicted)
        self._actual.append(a.copy())
        self._predicted.append(p.copy())

    def result(self) -> float:
        if not self._actual:
            return 0.0
        a, p = np.concatenate(self._actual), np.concatenate(self._predicted)
        if p.shape[1] == 1:
            p = p[:, 0]
            a = a.reshape(len(a), -1)[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a
        if self._of_classes:
            return self._number(a, _class_numbers(p))
        try:
            return self._number(a, p)
        except ValueError as error:
            try:
                value = self._number(_class_numbers(a), _class_numbers(p))
            except ValueError:
                raise error from None
            self._of_classes = a.ndim == 1
            return value

    def _number(self, actual: Array, predicted: Array) -> float:
        value = self.function(actual, predicted)
        try:
            return float(np.mean(np.asarray(value, np.float64)))
        except (TypeError, ValueError):
            raise TypeError(
                f"metrics: {self.name} gave {describe(value)} instead of a number"
            ) from None


def _class_numbers(array: Array) -> Array:
    if array.ndim == 2:
        return argmax(array)
    return array if array.dtype.kind in "iub" else np.asarray(array > 0.5).astype(np.int64)


# THE list: what each metric is called, and its other names.
METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k": TopK,
    "top_k_accuracy": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "auc": AUC,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2": R2,
    "r2_score": R2,
}


def metric(value: Any) -> Metric:
    """Return a metric: by its name, as it is, from its class, or around any callable.

    Raises
    ------
    ValueError
        If no metric has that name; the message tells the nearest one.
    TypeError
        If it is none of these.
    """
    if isinstance(value, Metric):
        return value
    if isinstance(value, type) and issubclass(value, Metric):
        return value()
    if isinstance(value, str):
        if value not in METRICS:
            raise ValueError(f"metrics: {unknown_name(value, METRICS)}")
        found = METRICS[value]()
        found.name = value
        return found
    if callable(value):
        return OfAllRows(value)
    raise TypeError(f"metrics: expected names or functions, got {describe(value)}")


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and the nearest one that is."""
    names = list(known)
    return f"unknown name {name!r}{nearest(name, names)} (known: {', '.join(names)})"


def metric_list(values: Any) -> list[Metric]:
    """Return metrics with names that differ: a second one of a name gets ``_1``, and so on."""
    if values is None:
        return []
    if isinstance(values, (str, Metric)) or not isinstance(values, Sequence):
        raise TypeError(f"metrics: expected a list of metrics, got {describe(values)}")
    found = [metric(value) for value in values]
    seen: dict[str, int] = {}
    for item in found:
        count = seen.get(item.name, 0)
        seen[item.name] = count + 1
        if count:
            item.name = f"{item.name}_{count}"
    return found
