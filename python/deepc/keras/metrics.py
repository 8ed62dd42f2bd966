"""Metrics by the names that Keras has for them, computed by deepc's."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc import _tensorflow
from deepc._c.tape import values
from deepc._values import describe, missing
from deepc.keras import losses
from deepc.keras._names import find, snake
from deepc.keras._registry import custom_name, registered
from deepc.keras._variables import Number
from deepc.training import metrics as built_in

__all__ = ["Mean", "Metric", "Sum", "deserialize", "get", "serialize"]


class Metric(built_in.Metric):
    """A number made of all samples since `reset_state`.

    Subclass it and define `update_state`, `result` and `reset_state`.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or snake(type(self).__name__)
        self.dtype = dtype

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take in some samples."""
        raise NotImplementedError(f"{type(self).__name__} defines no update_state")

    def result(self) -> float:
        """Return the number."""
        raise NotImplementedError(f"{type(self).__name__} defines no result")

    def reset_state(self) -> None:
        """Forget all samples."""
        raise NotImplementedError(f"{type(self).__name__} defines no reset_state")

    # What training asks for.

    def reset(self) -> None:
        """Forget all samples."""
        self.reset_state()

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        """Take in some samples."""
        if weights is None:
            self.update_state(actual, predicted)
        else:
            self.update_state(actual, predicted, sample_weight=weights)

    def __call__(self, *arguments: Any, **named: Any) -> float:
        """Take in some samples; return the number."""
        self.update_state(*arguments, **named)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Make one from such arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class _Of(Metric):
    """A metric that one of deepc's computes."""

    _made: built_in.Metric

    def __init__(self, made: built_in.Metric, name: str | None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._made = made
        self.better = made.better

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._made.update(values(y_true), values(y_pred), sample_weight)

    def result(self) -> float:
        return Number(self._made.result())

    def reset_state(self) -> None:
        self._made.reset()

    def counted(self) -> Any:
        # A subclass may look at the rows before it passes them on.
        own = getattr(self.update_state, "__func__", None) is _Of.update_state
        return self._made.counted() if own and type(self).update is Metric.update else self


class Mean(_Of):
    """The mean of numbers.

    Examples
    --------
    >>> mean = Mean()
    >>> mean.update_state([1.0, 2.0, 6.0])
    >>> mean.result()
    3.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(built_in.Mean(), name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self._made.update(None, np.asarray(values, np.float64).reshape(-1), sample_weight)


class Sum(Metric):
    """The sum of numbers."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def reset_state(self) -> None:
        self._total = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        numbers = np.asarray(values, np.float64).reshape(-1)
        weights = 1.0 if sample_weight is None else np.asarray(sample_weight, np.float64)
        self._total += float((numbers * weights).sum())

    def result(self) -> float:
        return Number(self._total)


class Accuracy(_Of):
    """How often predictions equal the targets."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(built_in.Mean(), name, dtype)
        self.better = "max"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        equal = np.asarray(y_true).reshape(-1) == np.asarray(y_pred).reshape(-1)
        self._made.update(None, equal, sample_weight)


class BinaryAccuracy(_Of):
    """How often an output is on the right side of the threshold."""

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(built_in.BinaryAccuracy(threshold), name, dtype)


class CategoricalAccuracy(_Of):
    """How often the largest output is where the one-hot target is."""

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(built_in.CategoricalAccuracy(), name, dtype)


class SparseCategoricalAccuracy(_Of):
    """How often the largest output is that of the class whose number is given."""

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(built_in.SparseCategoricalAccuracy(), name, dtype)


class TopKCategoricalAccuracy(_Of):
    """How often the right class is among the k largest outputs."""

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(built_in.TopK(k), name, dtype)


class SparseTopKCategoricalAccuracy(_Of):
    """The same with class numbers as targets."""

    def __init__(
        self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(built_in.TopK(k), name, dtype)


class MeanSquaredError(_Of):
    """The mean squared error."""

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(built_in.MeanSquaredError(), name, dtype)


class RootMeanSquaredError(_Of):
    """The root of the mean squared error of all samples."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(built_in.RootMeanSquaredError(), name, dtype)


class MeanAbsoluteError(_Of):
    """The mean absolute error."""

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(built_in.MeanAbsoluteError(), name, dtype)


class R2Score(_Of):
    """The coefficient of determination."""

    def __init__(self, name: str = "r2_score", dtype: Any = None) -> None:
        super().__init__(built_in.R2(), name, dtype)


class _Counts(_Of):
    _class: type[built_in.Metric]
    _count = ""

    def __init__(
        self,
        thresholds: float | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(thresholds, (list, tuple)):
            raise ValueError(
                "thresholds: several thresholds are not supported; the nearest is one metric each"
            )
        threshold = 0.5 if thresholds is None else float(thresholds)
        made: Any = self._class
        super().__init__(made(threshold, class_id), name, dtype)

    def result(self) -> float:
        return Number(getattr(self._made, self._count)) if self._count else super().result()


class Precision(_Counts):
    """Which part of what was said to be 1 is 1."""

    _class = built_in.Precision


class Recall(_Counts):
    """Which part of what is 1 was said to be."""

    _class = built_in.Recall


class TruePositives(_Counts):
    """How many were rightly said to be 1."""

    _class, _count = built_in.Precision, "true_positives"


class FalsePositives(_Counts):
    """How many were wrongly said to be 1."""

    _class, _count = built_in.Precision, "false_positives"


class TrueNegatives(_Counts):
    """How many were rightly said to be 0."""

    _class, _count = built_in.Precision, "true_negatives"


class FalseNegatives(_Counts):
    """How many were wrongly said to be 0."""

    _class, _count = built_in.Precision, "false_negatives"


class AUC(_Of):
    """The area under the ROC curve, cut at fixed thresholds."""

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str = "auc",
        dtype: Any = None,
    ) -> None:
        if curve != "ROC" or summation_method != "interpolation":
            raise ValueError(
                "curve: only 'ROC' with 'interpolation' is supported; the nearest for "
                "precision and recall are the metrics of these names"
            )
        super().__init__(built_in.AUC(num_thresholds), name, dtype)


class F1Score(Metric):
    """The harmonic mean of precision and recall of each class.

    With one threshold outputs above it say 1, without one the largest output does.
    """

    better = "max"

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: "
                f"[None, 'micro', 'macro', 'weighted']. Received: average={average}"
            )
        super().__init__(dtype, name)
        self.average, self.threshold = average, threshold
        self.reset_state()

    def reset_state(self) -> None:
        self._right: Any = 0.0
        self._said: Any = 0.0
        self._is: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        p = np.asarray(y_pred)
        p = p.reshape(-1, 1) if p.ndim == 1 else p
        y = np.asarray(y_true, np.float64).reshape(p.shape)
        if self.threshold is None:
            said = p.argmax(axis=1)[:, None] == np.arange(p.shape[1])
        else:
            said = p > self.threshold
        w = 1.0 if sample_weight is None else np.asarray(sample_weight).reshape(-1, 1)
        self._right = self._right + (w * said * y).sum(axis=0)
        self._said = self._said + (w * said).sum(axis=0)
        self._is = self._is + (w * y).sum(axis=0)

    def result(self) -> Any:
        right, both = np.asarray(self._right), np.asarray(self._said) + np.asarray(self._is)
        if self.average == "micro":
            right, both = right.sum(), both.sum()
        scores = 2 * right / (both + 1e-7)
        if self.average in ("micro", "macro"):
            return Number(np.mean(scores))
        if self.average == "weighted":
            counts = np.asarray(self._is)
            return Number((scores * counts).sum() / (counts.sum() + 1e-7))
        return scores


class _OfLoss(_Of):
    """The mean of a loss over the samples."""

    def __init__(self, loss: Any, name: str) -> None:
        super().__init__(built_in.Mean(), name)
        self.better = "min"
        self._loss = loss
        self._sign = 1.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        rows = np.asarray(self._loss.of_rows(y_true, y_pred), np.float64)
        self._made.update(None, self._sign * rows, sample_weight)


class CosineSimilarity(_OfLoss):
    """The cosine of the angle between targets and predictions."""

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None) -> None:
        super().__init__(losses.CosineSimilarity(), name)
        self._sign, self.better = -1.0, "max"


class OfFunction(_Of):
    """The mean over the samples of what a function gives for each batch."""

    def __init__(self, function: Any, name: str | None = None) -> None:
        self.batch_size: int | None = None
        super().__init__(built_in.Mean(), name or getattr(function, "__name__", "metric"))
        if self.name == "<lambda>":
            self.name = "lambda"
        self.function = function
        self.better = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        each = self.batch_size or len(y_pred)
        for start in range(0, len(y_pred), each):
            part = slice(start, start + each)
            self._add(
                y_true[part], y_pred[part], None if sample_weight is None else sample_weight[part]
            )

    def _add(self, y_true: Any, y_pred: Any, weights: Any) -> None:
        predicted = np.asarray(y_pred)
        if predicted.dtype.kind == "f":
            # Functions of the tape take it, and NumPy's too.
            p = _tensorflow.Tensor(np.ascontiguousarray(predicted))
            y_true, y_pred = losses.prepared(y_true, p), p
        value: Any = self.function(y_true, y_pred)
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise TypeError(
                f"metrics: {self.name} gave {describe(value)} instead of numbers"
            ) from None
        rows = len(predicted)
        if numbers.ndim == 0 or len(numbers) != rows:
            numbers = np.full(rows, numbers.mean())
        self._made.update(None, numbers.reshape(rows, -1).mean(axis=1), weights)


def _of_shapes(name: str) -> _Of:
    return _Of(built_in.Accuracy(), name)


_CLASSES: list[Any] = [
    Mean, Sum, Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
    TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, MeanSquaredError, RootMeanSquaredError,
    MeanAbsoluteError, R2Score, Precision, Recall, TruePositives, FalsePositives, TrueNegatives,
    FalseNegatives, AUC, F1Score, CosineSimilarity,
]  # fmt: skip
CLASSES: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake(cls.__name__): cls for cls in _CLASSES},
    "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError, "auc": AUC, "r2_score": R2Score, "f1_score": F1Score,
}  # fmt: skip
__all__ += [cls.__name__ for cls in _CLASSES if cls.__name__ not in __all__]
_LEFT_OUT = {
    "IoU": "metrics.Precision", "MeanIoU": "metrics.Precision", "OneHotIoU": "metrics.Precision",
    "SensitivityAtSpecificity": "metrics.AUC", "SpecificityAtSensitivity": "metrics.AUC",
    "PrecisionAtRecall": "metrics.Precision", "RecallAtPrecision": "metrics.Recall",
    "FBetaScore": "metrics.F1Score", "PearsonCorrelation": "metrics.R2Score",
}  # fmt: skip


def _crossentropy(name: str) -> Any:
    def make(name: str = snake(name), dtype: Any = None, **arguments: Any) -> Metric:
        return _OfLoss(getattr(losses, cls_name)(**arguments), name)

    cls_name = name
    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"The mean of the loss `{name}`."
    return make


for _loss in losses._CLASSES:
    if _loss.__name__ not in CLASSES:
        globals()[_loss.__name__] = CLASSES[_loss.__name__] = _crossentropy(_loss.__name__)
        __all__.append(_loss.__name__)


def get(identifier: Any) -> Any:
    """Return a metric by its name, from its class, around a function, or as it is."""
    if isinstance(identifier, built_in.Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, built_in.Metric):
        return identifier()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, losses.Loss):
        return _OfLoss(identifier, identifier.name)
    if callable(identifier) and not isinstance(identifier, str):
        if isinstance(identifier, type):
            return identifier()
        return OfFunction(identifier)
    if identifier in ("accuracy", "acc"):
        return _of_shapes(identifier)
    if isinstance(identifier, str) and identifier in losses.CLASSES and identifier not in CLASSES:
        return _OfLoss(losses.CLASSES[identifier](), identifier)
    made = find("metric", identifier, {"accuracy": None, **losses.CLASSES, **CLASSES})()
    made.name = identifier
    return made


def serialize(metric: Metric) -> dict[str, Any]:
    """Return what a file says of a metric."""
    if isinstance(metric, OfFunction):
        return losses.serialize(losses.Written(metric.function))
    if not type(metric).__module__.startswith("deepc.keras."):
        return {
            "module": None, "class_name": type(metric).__name__, "config": metric.get_config(),
            "registered_name": custom_name(type(metric)),
        }  # fmt: skip
    return {
        "module": "keras.metrics", "class_name": type(metric).__name__,
        "config": metric.get_config(), "registered_name": None,
    }  # fmt: skip


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """Return a metric from what a file says of it."""
    if isinstance(config, dict) and config.get("class_name") == "function":
        return get(losses.deserialize(config, custom_objects).function)
    if isinstance(config, dict):
        known_class = registered(config, custom_objects)
        if known_class is not None:
            return known_class.from_config(config.get("config", {}))
        made = find("metric", config.get("class_name"), CLASSES)
        known = {k: v for k, v in config.get("config", {}).items() if k in ("name", "k")}
        return made(**known)
    return get(config)


# The plain functions of the losses are metrics too.
for _name in ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
              "mean_squared_logarithmic_error", "binary_crossentropy", "categorical_crossentropy",
              "sparse_categorical_crossentropy", "kl_divergence", "poisson"):  # fmt: skip
    globals()[_name] = getattr(losses, _name)


__getattr__ = missing("deepc.keras.metrics", __all__, _LEFT_OUT)
