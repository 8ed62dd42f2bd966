"""Losses by the names that Keras has for them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepc import _tensorflow
from deepc._c.tape import Node, values
from deepc._values import Array, as_array, missing
from deepc.autodiff import FunctionLoss, ops
from deepc.autodiff.bridges import row_losses
from deepc.autodiff.losses import reduced
from deepc.keras._names import find, snake
from deepc.keras._registry import custom_name, registered
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

    def make(self, fused: bool = False, shape: tuple[int, ...] = (1,)) -> Any:
        """Return deepc's loss, of the predictions or of what is before the activation.

        `shape` is that of what belongs to a sample, for a loss that somebody wrote.
        """
        if not self._built_in:
            reductions = {"mean_with_sample_weight": "mean_by_weight", "sum": "sum"}
            function = _Shaped(self, shape)
            reduction = reductions.get(str(self.reduction), "mean")
            return FunctionLoss(function, reduction, _tensorflow.Tensor)
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

    def of_rows(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample: of a Tensor a Tensor."""
        if isinstance(y_pred, Node):
            return self._rows_on_tape(y_true, y_pred)
        y, p = fitted(y_true, y_pred, self.takes_labels)
        y, weights = self._split(y, p)
        made = self._made(False, "sum")
        rows = np.asarray(made.row_losses(p, y, weights))
        return rows / p.shape[-1] if self._mean else rows

    def _split(self, y: Array, p: Array) -> tuple[Array, Any]:
        """Return targets, and weights that leave out those of the class that is ignored."""
        if self._ignored is None:
            return y, None
        weights = (y != self._ignored).astype(p.dtype)
        return np.where(y == self._ignored, 0, y), weights

    def _rows_on_tape(self, y_true: Any, y_pred: Any) -> Any:
        p = ops.reshape(y_pred, (-1, y_pred.shape[-1]) if y_pred.ndim > 1 else (-1, 1))
        given = values(y_true)
        if y_pred.ndim > 2:
            given = given.reshape(-1 if given.size < y_pred.size else p.shape)
        y, weights = self._split(fitted(given, p.data, self.takes_labels)[0], p.data)
        made = self._made(False, "mean_of_elements" if self._mean else "sum")
        return ops.reshape(row_losses(made, p, y, weights), y_pred.shape[:-1] or (1,))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample: what a loss of your own defines, over Tensors."""
        if not self._built_in:
            raise NotImplementedError(f"{type(self).__name__} defines no call(y_true, y_pred)")
        return self.of_rows(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss as `reduction` says: a number, or one for each sample.

        Of a Tensor it is a Tensor with a history.
        """
        on_tape = isinstance(y_pred, Node)
        if not self._built_in or on_tape:
            p = y_pred if on_tape else _tensorflow.Tensor(as_array(y_pred, "y_pred"))
            given = y_true if self._built_in else prepared(y_true, p)
            rows = self.call(given, p)
            weights = None if sample_weight is None else values(sample_weight).reshape(-1)
            if self._ignored is not None:
                valid = (values(y_true).reshape(-1) != self._ignored).astype(p.data.dtype)
                weights = valid if weights is None else weights * valid
            return self._reduced(rows, weights, on_tape)
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

    def _reduced(self, rows: Any, weights: Any, on_tape: bool) -> Any:
        """Return losses of samples as the reduction says."""
        if self.reduction in (None, "none"):
            made = rows if weights is None else rows * weights
        else:
            kinds = {"sum": "sum", "mean_with_sample_weight": "mean_by_weight"}
            kind = kinds.get(str(self.reduction), "mean")
            by_weight = self._ignored is not None and kind == "mean"
            made = reduced(rows, "mean_by_weight" if by_weight else kind, weights)
        if on_tape:
            return made
        array = values(made)
        return float(array) if array.ndim == 0 else array

    def __repr__(self) -> str:
        return f"<keras.losses.{type(self).__name__} name={self.name}>"


class Written(Loss):
    """A loss that is a function ``(y_true, y_pred)`` of Tensors."""

    def __init__(self, function: Any, name: str | None = None, **given: Any) -> None:
        super().__init__(name=name or getattr(function, "__name__", "loss"), **given)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return what the function gives."""
        return self.function(y_true, y_pred)


class _Shaped:
    """A user's loss over rows of outputs, as the one loop has them."""

    def __init__(self, loss: Loss, shape: tuple[int, ...]) -> None:
        self._loss, self._shape = loss, shape
        self.__name__ = loss.name

    def __call__(self, predicted: Any, actual: Any) -> Any:
        single = predicted.ndim == 1
        p = ops.reshape(predicted, (-1, *self._shape))
        return self._loss.call(prepared(np.asarray(actual)[None] if single else actual, p), p)


def prepared(y_true: Any, y_pred: Any) -> Any:
    """Return targets as a Tensor of the predictions' dtype; (n,) as (n, 1) where those are that.

    Otherwise a difference of both would have n * n elements.
    """
    if isinstance(y_true, Node) and y_true.requires_grad:
        return y_true
    array = values(y_true)
    if array.dtype.kind in "fiub":
        array = np.asarray(array, y_pred.dtype)
    if array.ndim == 1 and y_pred.ndim == 2 and y_pred.shape[1] == 1:
        array = array[:, None]
    elif array.size == y_pred.size and array.ndim == 2 and y_pred.ndim > 2:
        array = array.reshape(y_pred.shape)
    return _tensorflow.Tensor(np.ascontiguousarray(array))


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

    def of_rows(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_pred, Node):
            return super().of_rows(self.signs(values(y_true)), y_pred)
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
    def function(y_true: Any, y_pred: Any, **arguments: Any) -> Any:
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
    """Return a loss by its name, from its class, from a function of Tensors, or as it is.

    A loss of deepc's own, with `loss` and `gradient`, is one too.
    """
    if isinstance(identifier, (Loss, DeepcLoss)):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, (Loss, DeepcLoss)):
        return get(identifier())
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        name = getattr(identifier, "__name__", type(identifier).__name__)
        if getattr(identifier, "__module__", "") == __name__ and name in CLASSES:
            return CLASSES[name]()
        return Written(identifier)
    return find("loss", identifier, CLASSES)()


def serialize(loss: Loss) -> dict[str, Any]:
    """Return what a file says of a loss."""
    if isinstance(loss, Written):
        name = custom_name(loss.function)
        return {
            "module": "builtins", "class_name": "function", "config": name,
            "registered_name": name,
        }  # fmt: skip
    own = type(loss).__module__ == __name__
    return {
        "module": "keras.losses" if own else None, "class_name": type(loss).__name__,
        "config": loss.get_config(), "registered_name": None if own else custom_name(type(loss)),
    }  # fmt: skip


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """Return a loss from what a file says of it."""
    if isinstance(config, dict):
        inner = config.get("config", {})
        if config.get("class_name") == "function":
            function = registered(str(inner), custom_objects)
            if function is None:
                raise TypeError(
                    f"Could not locate function '{inner}'. Make sure custom classes and functions "
                    "are decorated with `@keras.saving.register_keras_serializable()`, or give "
                    "custom_objects"
                )
            return Written(function)
        found = registered(config, custom_objects) or find(
            "loss", config.get("class_name"), CLASSES
        )
        return found.from_config(inner)
    known = registered(config, custom_objects) if isinstance(config, str) else None
    return get(known or config)


__getattr__ = missing("deepc.keras.losses", __all__, _LEFT_OUT)
