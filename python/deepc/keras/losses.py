"""Losses by the names that Keras has for them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepc._values import Array, as_array
from deepc.keras._names import find, missing, snake
from deepc.losses import BuiltinLoss
from deepc.losses import Loss as DeepcLoss

__all__ = ["Loss", "deserialize", "get", "serialize"]

_REDUCTIONS = (
    "sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", None, "none",
)  # fmt: skip


class BuiltIn(BuiltinLoss):
    """A loss of the library by its name in the library's list."""

    _shown: tuple[str, ...] = ("_name", "reduction")

    def __init__(
        self, name: str, reduction: str, parameter: float | None = None, smoothing: float = 0.0
    ) -> None:
        self._name = name
        self._set(reduction, parameter, smoothing)


class Loss:
    """What all losses share; use one of its subclasses, or define ``call(y_true, y_pred)``.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "sum", "mean_with_sample_weight", "none"}, optional
        The mean over the samples (whatever their weights), their sum, the mean by weight, or the
        loss of each.
    """

    # What the library calls it; what it calls the loss of the numbers before a final softmax or
    # sigmoid; whether a row's loss is the mean of its elements' or their sum.
    _built_in = ""
    _of_logits: tuple[str, str] | None = None
    _mean = True
    _arguments: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, *values: Any, reduction: str | None = "sum_over_batch_size", name: str | None = None,
        dtype: Any = None, **given: Any,
    ) -> None:  # fmt: skip
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"Invalid value for argument `reduction`. Expected one of {set(_REDUCTIONS)}. "
                f"Received: reduction={reduction}"
            )
        arguments = {**self._arguments, **dict(zip(self._arguments, values, strict=False)), **given}
        unknown = set(arguments) - set(self._arguments)
        if unknown or len(values) > len(self._arguments):
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected argument "
                f"{', '.join(sorted(unknown)) or values[-1]!r}"
            )
        if arguments.get("axis", -1) != -1:
            raise ValueError("axis: classes stand in the last dimension here; transpose y_pred")
        self.name = name or snake(type(self).__name__)
        self.reduction = reduction
        self._config = arguments
        self.dtype = dtype

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name in config:
            return config[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {"name": self.name, "reduction": self.reduction, **self._config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Make one from such arguments."""
        return cls(**config)

    @property
    def takes_labels(self) -> bool:
        """Whether the targets are class numbers."""
        return type(self) is SparseCategoricalCrossentropy

    def fused_with(self, activation: str) -> bool:
        """Whether it can be computed from what a final activation is given."""
        return (
            self._of_logits is not None
            and self._of_logits[0] == activation
            and not self._config.get("from_logits")
        )

    def make(self, fused: bool = False) -> BuiltIn:
        """Return the library's loss, of the predictions or of what is before the activation."""
        mean = "mean_of_elements" if self._mean else "mean"
        by_weight = self.reduction == "mean_with_sample_weight" or self._ignored is not None
        reduction = "sum" if self.reduction in ("sum", None, "none") else mean
        if by_weight and not self._mean:
            reduction = "mean_by_weight"
        elif by_weight:
            raise ValueError(f"reduction: {self.reduction!r} is not supported for {self.name}; the "
                             "nearest is 'sum_over_batch_size'")  # fmt: skip
        return self._made(fused, reduction)

    def _made(self, fused: bool, reduction: str) -> BuiltIn:
        name, parameter = self._built_in, self._parameter()
        if self._of_logits is not None and (fused or self._config.get("from_logits")):
            name, parameter = self._of_logits[1], None
        return BuiltIn(name, reduction, parameter, self._config.get("label_smoothing", 0.0))

    def _parameter(self) -> float | None:
        return None

    @property
    def _ignored(self) -> int | None:
        return self._config.get("ignore_class")

    def of_rows(self, y_true: Any, y_pred: Any) -> Array:
        """Return the loss of each sample."""
        y, p = fitted(y_true, y_pred, self.takes_labels)
        weights = None
        if self._ignored is not None:
            weights = (y != self._ignored).astype(p.dtype)
            y = np.where(y == self._ignored, 0, y)
        made = self._made(False, "sum")
        rows = np.asarray(made.row_losses(p, y, weights))
        return rows / p.shape[-1] if self._mean else rows

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample."""
        if not self._built_in:
            raise NotImplementedError(f"{type(self).__name__} defines no call(y_true, y_pred)")
        return self.of_rows(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss as `reduction` says: a number, or one for each sample."""
        rows = np.asarray(self.call(y_true, y_pred))
        weights = np.ones(rows.shape, rows.dtype)
        if sample_weight is not None:
            weights = as_array(sample_weight, "sample_weight", rows.dtype).reshape(-1)
            if weights.shape != rows.shape:
                raise ValueError(
                    f"sample_weight: expected {len(rows)} numbers, got {weights.shape}"
                )
        if self.reduction in (None, "none"):
            return rows * weights
        total = float((rows * weights).sum())
        if self.reduction == "sum":
            return total
        count: float = len(rows)
        if self.reduction == "mean_with_sample_weight":
            count = float(weights.sum())
        elif self._ignored is not None:
            count = float((np.asarray(y_true).reshape(-1) != self._ignored).sum())
        return total / count if count else 0.0

    def __repr__(self) -> str:
        return f"<keras.losses.{type(self).__name__} name={self.name}>"


def fitted(y_true: Any, y_pred: Any, labels: bool = False) -> tuple[Array, Array]:
    """Return targets and predictions as rows: (n,) and (n, 1) mean the same, nothing else does."""
    p = as_array(y_pred, "y_pred")
    given = np.asarray(y_true)
    if p.ndim == 0 or (p.ndim == 1 and not labels):
        p = p.reshape(-1, 1)
    if p.ndim == 1:
        p = p[None, :]
    if labels:
        return as_class_numbers(given, p), p
    y = as_array(given, "y_true", p.dtype)
    if y.ndim == p.ndim - 1 and p.shape[-1] == 1:
        y = y[..., None]
    if y.shape != p.shape:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={y.shape}, output.shape={p.shape}"
        )
    if p.ndim > 2:
        y, p = y.reshape(-1, y.shape[-1]), p.reshape(-1, p.shape[-1])
    return y, p


def as_class_numbers(y: Array, p: Array) -> Array:
    """Return labels of any dtype as integers, one a row of predictions."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 0:
        y = y.reshape(1)
    if y.ndim != 1:
        raise ValueError(
            "Argument `output` must have rank (ndim) `target.ndim - 1`. Received: "
            f"target.shape={(None, *y.shape[1:])}, output.shape={(None, *p.shape[1:])}; "
            "one-hot targets want 'categorical_crossentropy'"
        )
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        raise ValueError("y: expected class numbers, got numbers with a fraction, or NaN")
    if y.dtype.kind not in "iufb":
        raise ValueError(f"y: expected class numbers, got dtype {y.dtype}")
    return y.astype(np.int64)


class MeanSquaredError(Loss):
    """The mean of (y_true - y_pred)**2."""

    _built_in = "squared_error"


class MeanAbsoluteError(Loss):
    """The mean of abs(y_true - y_pred)."""

    _built_in = "absolute_error"


class MeanAbsolutePercentageError(Loss):
    """100 times the mean of abs((y_true - y_pred) / y_true)."""

    _built_in = "absolute_percentage_error"


class MeanSquaredLogarithmicError(Loss):
    """The mean squared difference of the logarithms of 1 + y."""

    _built_in = "squared_logarithmic_error"


class BinaryCrossentropy(Loss):
    """-y log p - (1 - y) log(1 - p), the mean over the outputs.

    After a final sigmoid it is computed from the numbers before it.
    """

    _built_in = "binary_cross_entropy"
    _of_logits = ("sigmoid", "binary_cross_entropy_logits")
    _arguments: ClassVar[dict[str, Any]] = {
        "from_logits": False, "label_smoothing": 0.0, "axis": -1,
    }  # fmt: skip


class CategoricalCrossentropy(Loss):
    """-sum of y log p, with one-hot targets.

    After a final softmax it is computed from the numbers before it.
    """

    _built_in = "categorical_cross_entropy"
    _of_logits = ("softmax", "softmax_cross_entropy")
    _mean = False
    _arguments: ClassVar[dict[str, Any]] = {
        "from_logits": False, "label_smoothing": 0.0, "axis": -1,
    }  # fmt: skip


class SparseCategoricalCrossentropy(Loss):
    """-log of the probability of the class whose number is given.

    After a final softmax it is computed from the numbers before it.

    Examples
    --------
    >>> loss = SparseCategoricalCrossentropy()
    >>> round(loss([0, 1], [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), 6)
    0.780324
    """

    _built_in = "categorical_cross_entropy"
    _of_logits = ("softmax", "softmax_cross_entropy")
    _mean = False
    _arguments: ClassVar[dict[str, Any]] = {
        "from_logits": False, "ignore_class": None, "axis": -1,
    }  # fmt: skip


class Huber(Loss):
    """Squared errors up to `delta`, absolute ones beyond."""

    _built_in = "huber"
    _arguments: ClassVar[dict[str, Any]] = {"delta": 1.0}

    def _parameter(self) -> float | None:
        return float(self._config["delta"])


class LogCosh(Loss):
    """The logarithm of the hyperbolic cosine of the error."""

    _built_in = "log_cosh"


class KLDivergence(Loss):
    """The sum of y log(y / p)."""

    _built_in, _mean = "kl_divergence", False


class Poisson(Loss):
    """p - y log p."""

    _built_in = "poisson"


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between targets and predictions."""

    _built_in, _mean = "cosine_similarity", False
    _arguments: ClassVar[dict[str, Any]] = {"axis": -1}


class _Margin(Loss):
    """A loss of targets that are -1 or 1; 0 counts as -1."""

    def of_rows(self, y_true: Any, y_pred: Any) -> Array:
        y, p = fitted(y_true, y_pred)
        return super().of_rows(self.signs(y), p)

    @staticmethod
    def signs(y: Array) -> Array:
        """Return 0 and 1 as -1 and 1, -1 and 1 as they are."""
        if np.isin(y, (0, 1)).all():
            return np.asarray(2 * y - 1)
        if np.isin(y, (-1, 1)).all():
            return y
        raise ValueError("y_true: hinge losses expect 0 and 1, or -1 and 1")


class Hinge(_Margin):
    """max(1 - y p, 0)."""

    _built_in = "hinge"


class SquaredHinge(_Margin):
    """max(1 - y p, 0)**2."""

    _built_in = "squared_hinge"


class CategoricalHinge(Loss):
    """How much the right class is not larger than the others by 1."""

    _built_in, _mean = "categorical_hinge", False


_CLASSES = [
    MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError,
    BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy, Huber, LogCosh,
    KLDivergence, Poisson, CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge,
]  # fmt: skip
_SHORT = {
    "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError, "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError, "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy,
    "kl_divergence": KLDivergence, "kld": KLDivergence, "KLD": KLDivergence, "logcosh": LogCosh,
    "log_cosh": LogCosh,
}  # fmt: skip
CLASSES: dict[str, type[Loss]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake(cls.__name__): cls for cls in _CLASSES},
    **_SHORT,
}
CLASSES.pop("kldivergence", None)
_LEFT_OUT = {
    "BinaryFocalCrossentropy": "losses.BinaryCrossentropy",
    "CategoricalFocalCrossentropy": "losses.CategoricalCrossentropy",
    "Dice": "losses.BinaryCrossentropy",
    "Tversky": "losses.BinaryCrossentropy",
    "CTC": "losses.SparseCategoricalCrossentropy",
    "Circle": "losses.CosineSimilarity",
}


def _function(name: str, cls: type[Loss]) -> Any:
    def function(y_true: Any, y_pred: Any, **arguments: Any) -> Array:
        return cls(reduction="none", **arguments).of_rows(y_true, y_pred)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = cls.__doc__
    return function


# The plain functions, which give the loss of each sample.
for _name, _cls in CLASSES.items():
    if not _name[0].isupper() or _name.isupper():
        globals()[_name] = _function(_name, _cls)
        __all__.append(_name)
    else:
        __all__.append(_name)


def get(identifier: Any) -> Any:
    """Return a loss by its name, from its class, or as it is.

    A loss of deepc's own, with `loss` and `gradient`, is one too.
    """
    if isinstance(identifier, (Loss, DeepcLoss)):
        if isinstance(identifier, Loss) and not identifier._built_in:
            raise TypeError(_NO_GRADIENT.format(type(identifier).__name__))
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, (Loss, DeepcLoss)):
        return get(identifier())
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        name = getattr(identifier, "__name__", type(identifier).__name__)
        if getattr(identifier, "__module__", "") == __name__ and name in CLASSES:
            return CLASSES[name]()
        raise TypeError(_NO_GRADIENT.format(name))
    return find("loss", identifier, CLASSES)()


_NO_GRADIENT = (
    "loss: {} is a function written in Python, whose gradient nobody knows; the nearest is a "
    "subclass of deepc.Loss with loss(predicted, actual) and gradient(predicted, actual)"
)


def serialize(loss: Loss) -> dict[str, Any]:
    """Return what a file says of a loss."""
    return {
        "module": "keras.losses", "class_name": type(loss).__name__,
        "config": loss.get_config(), "registered_name": None,
    }  # fmt: skip


def deserialize(config: Any) -> Any:
    """Return a loss from what a file says of it."""
    if isinstance(config, dict):
        found = find("loss", config.get("class_name"), CLASSES)
        return found.from_config(config.get("config", {}))
    return get(config)


__getattr__ = missing("deepc.keras.losses", __all__, _LEFT_OUT)
