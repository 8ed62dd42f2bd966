"""What every loss is, what those of the library share, and the checks of labels and weights."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self, cast, overload

import numpy as np

from deepc._c import tape
from deepc._c.library import check
from deepc._c.losses import (
    LOSSES,
    REDUCTIONS,
    Rule,
    loss_and_gradient_of_arrays,
    loss_gradient_of_arrays,
    loss_of_arrays,
    loss_rows_of_arrays,
)
from deepc._values import (
    INT64,
    LARGEST,
    Array,
    any_array,
    as_array,
    as_float,
    as_integers,
    describe,
    like,
)
from deepc.tensor import Tensor

__all__ = ["BuiltinLoss", "Loss", "Number", "Smoothing", "as_labels", "check_labels"]

# Names of this module are found faster than those of another.
_loss, _gradient = loss_of_arrays, loss_gradient_of_arrays
_both, _rows = loss_and_gradient_of_arrays, loss_rows_of_arrays
_ndarray = np.ndarray
_REDUCTION_NAMES = {number: name for name, number in REDUCTIONS.items()}


class Loss:
    """How good predictions are. Subclass it and define `loss` and `gradient`.

    Examples
    --------
    >>> from deepc import Loss, tensor_combine, tensor_sum
    >>> class AbsoluteError(Loss):
    ...     def loss(self, predicted, actual):
    ...         return tensor_sum(tensor_combine(lambda p, a: abs(p - a), predicted, actual))
    ...     def gradient(self, predicted, actual):
    ...         return tensor_combine(lambda p, a: 1.0 if p > a else -1.0, predicted, actual)
    >>> AbsoluteError().loss([1.0, 5.0], [2.0, 2.0])
    4.0
    """

    def loss(self, predicted: Any, actual: Any) -> float:
        """Return how wrong the predictions are; larger is worse."""
        raise NotImplementedError(f"{type(self).__name__} defines no loss")

    def gradient(self, predicted: Any, actual: Any) -> Any:
        """Return how the loss changes with each prediction."""
        raise NotImplementedError(f"{type(self).__name__} defines no gradient")

    def __call__(self, predicted: Any, actual: Any, *sample_weight: Any) -> Any:
        """Return the loss; of a Tensor of `deepc.autodiff` a Tensor with its history."""
        if isinstance(predicted, tape.Node):
            return tape.bridges["loss"](self, predicted, actual, *sample_weight)
        return self.loss(predicted, actual, *sample_weight)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BuiltinLoss(Loss):
    """A loss of the library, over one sample (1-D) or a batch (2-D, samples in rows)."""

    _name: str
    # What `repr` shows and `copy` takes, in the order of the constructor's arguments.
    _shown: tuple[str, ...] = ("reduction",)
    # Kind, reduction, parameter and smoothing, as the library takes them.
    _rule: Rule

    def __init__(self, reduction: str = "sum") -> None:
        self._set(reduction)

    def _set(self, reduction: str, parameter: float | None = None, smoothing: float = 0.0) -> None:
        """Check the numbers and keep them; no parameter is the usual one."""
        facts = LOSSES[self._name]
        if not isinstance(reduction, str) or reduction not in REDUCTIONS:
            expected = ", ".join(map(repr, REDUCTIONS))
            raise ValueError(f"reduction: expected one of {expected}, got {describe(reduction)}")
        if parameter is None:
            parameter = facts.default
        elif facts.parameter:
            parameter = as_float(parameter, facts.parameter, facts.least, LARGEST)
        smoothing = as_float(smoothing, "label_smoothing", 0.0, 1.0)
        self._rule = (facts.number, REDUCTIONS[reduction], float(parameter), smoothing)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
        return f"{type(self).__name__}({shown})"

    @property
    def reduction(self) -> str:
        """What becomes of the losses of the samples.

        ``"sum"``, ``"mean"`` (of the samples), ``"mean_of_elements"`` (of all numbers, so the mean
        divided by the width as well), or ``"mean_by_weight"`` (the sum divided by that of the
        weights).
        """
        return _REDUCTION_NAMES[self._rule[1]]

    @reduction.setter
    def reduction(self, value: str) -> None:
        self._set(value, self._rule[2], self._rule[3])

    @property
    def takes_labels(self) -> bool:
        """Whether class numbers may stand for targets."""
        return LOSSES[self._name].takes_labels

    def _convert(
        self, predicted: Any, actual: Any, sample_weight: Any
    ) -> tuple[Array, Array, Array | None]:
        """Return predictions, targets or labels, and weights, as the library takes them."""
        predicted = as_array(predicted, "predicted")
        if predicted.ndim not in (1, 2):
            raise ValueError(f"predicted: expected 1 or 2 dimensions, got shape {predicted.shape}")
        if not predicted.size:
            raise ValueError(
                f"predicted: expected at least one number, got shape {predicted.shape}"
            )
        weights = _as_weights(sample_weight, predicted)
        given, actual = actual, any_array(actual, "actual")
        if self.takes_labels and actual.ndim == predicted.ndim - 1:
            if predicted.ndim == 1:
                predicted, actual = predicted[None, :], actual[None]
            return predicted, as_labels(actual, predicted.shape, "actual"), weights
        targets = as_array(given, "actual", predicted.dtype)
        if targets.shape != predicted.shape:
            raise ValueError(
                f"actual: expected the shape of predicted, {predicted.shape}, got {targets.shape}"
            )
        return predicted, targets, weights

    def loss(self, predicted: Tensor, actual: Any, sample_weight: Any = None) -> float:
        """Return the loss: the sum over the samples, or a mean, as `reduction` says.

        Parameters
        ----------
        predicted : list or ndarray
            One prediction (1-D) or a batch of them (2-D). Lists are computed in float64, arrays in
            their own dtype.
        actual : list or ndarray
            What was right, as the class says.
        sample_weight : list or ndarray of shape (samples,), optional
            What the loss of each sample is multiplied by. A sample of weight 0 is left out,
            whatever it holds.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        value = _loss(self._rule, predicted, actual, sample_weight)
        if value != value:  # NaN, which may mean arrays that do not fit
            fitting = self._convert(predicted, actual, sample_weight)
            value = _loss(self._rule, *fitting)
            if value != value:
                self._check_labels(fitting)
        return cast(float, value)

    @overload
    def gradient(
        self, predicted: list[Any], actual: Any, sample_weight: Any = None
    ) -> list[Any]: ...
    @overload
    def gradient(self, predicted: Array, actual: Any, sample_weight: Any = None) -> Array: ...
    @overload
    def gradient(self, predicted: Any, actual: Any, sample_weight: Any = None) -> Any: ...
    def gradient(self, predicted: Any, actual: Any, sample_weight: Any = None) -> Any:
        """Return the gradient of the loss with respect to `predicted`, of its shape and kind.

        Parameters and errors as for `loss`.
        """
        result = _gradient(self._rule, predicted, actual, sample_weight)
        if type(result) is not int:
            return result
        result = self._converted(_gradient, predicted, actual, sample_weight)
        return like(predicted, result.reshape(np.shape(predicted)))

    @overload
    def loss_and_gradient(
        self, predicted: list[Any], actual: Any, sample_weight: Any = None
    ) -> tuple[float, list[Any]]: ...
    @overload
    def loss_and_gradient(
        self, predicted: Array, actual: Any, sample_weight: Any = None
    ) -> tuple[float, Array]: ...
    @overload
    def loss_and_gradient(
        self, predicted: Any, actual: Any, sample_weight: Any = None
    ) -> tuple[float, Any]: ...
    def loss_and_gradient(
        self, predicted: Any, actual: Any, sample_weight: Any = None
    ) -> tuple[float, Any]:
        """Return both from one pass over the predictions.

        Parameters and errors as for `loss`.

        Examples
        --------
        >>> from deepc import SSE
        >>> SSE().loss_and_gradient([1.0, 2.0], [1.0, 5.0])
        (9.0, [0.0, -6.0])
        """
        result = _both(self._rule, predicted, actual, sample_weight)
        if type(result) is tuple:
            return result
        value, gradient = self._converted(_both, predicted, actual, sample_weight)
        return value, like(predicted, gradient.reshape(np.shape(predicted)))

    def row_losses(self, predicted: Tensor, actual: Any, sample_weight: Any = None) -> Any:
        """Return the loss of each sample, times its weight, before they are added up.

        With the reduction ``"mean_of_elements"`` each is the mean of its elements.

        Parameters and errors as for `loss`; a number for one sample, a list for lists.

        Examples
        --------
        >>> from deepc import SSE
        >>> SSE().row_losses([[1.0, 2.0], [3.0, 3.0]], [[1.0, 5.0], [2.0, 2.0]])
        [9.0, 2.0]
        """
        result = _rows(self._rule, predicted, actual, sample_weight)
        if type(result) is not _ndarray:
            result = self._converted(_rows, predicted, actual, sample_weight)
        if np.ndim(predicted) == 1:
            return float(result.reshape(()))
        return like(predicted, result)

    def _total(self, predicted: Any, actual: Any, sample_weight: Any = None) -> float:
        """Return what the losses of the samples add up to; over their number it is the mean loss.

        With ``"mean_of_elements"`` a sample's loss is the mean of its elements', with
        ``"mean_by_weight"`` weights are relative to the mean weight: as training in C has it.
        """
        kind, reduction, parameter, smoothing = self._rule
        if sample_weight is None and reduction == REDUCTIONS["mean"] and np.ndim(predicted) == 2:
            # What comes after every epoch: arrays that fit need no look at what they are.
            rule = (kind, REDUCTIONS["sum"], parameter, smoothing)
            value = _loss(rule, predicted, actual, None)
            if value == value:
                return cast(float, value)
        fitting = self._convert(predicted, actual, sample_weight)
        rows = len(fitting[0]) if fitting[0].ndim == 2 else 1
        if reduction == REDUCTIONS["mean_by_weight"] and fitting[2] is not None:
            return self.loss(*fitting) * rows
        summed = BuiltinLoss.__new__(type(self))
        summed._rule = (kind, REDUCTIONS["sum"], parameter, smoothing)
        value = summed.loss(*fitting)
        by_elements = reduction == REDUCTIONS["mean_of_elements"]
        return value / fitting[0].shape[-1] if by_elements else value

    def _converted(self, call: Any, predicted: Any, actual: Any, sample_weight: Any) -> Any:
        """Do again, with what it takes, what has not worked; or say what is wrong."""
        fitting = self._convert(predicted, actual, sample_weight)
        result = call(self._rule, *fitting)
        if type(result) is int:
            self._check_labels(fitting)
            check(result, type(self).__name__)
        return result

    def _check_labels(self, fitting: tuple[Array, Array, Array | None]) -> None:
        predicted, actual, weights = fitting
        if actual.dtype == INT64:
            counted = actual if weights is None else actual[weights != 0]
            check_labels(counted, predicted.shape[-1], "actual")


class Number:
    """An attribute of a loss: its parameter, which may be assigned."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    @overload
    def __get__(self, loss: None, owner: type) -> Self: ...
    @overload
    def __get__(self, loss: BuiltinLoss, owner: type) -> float: ...
    def __get__(self, loss: BuiltinLoss | None, owner: type) -> Self | float:
        return self if loss is None else loss._rule[2]

    def __set__(self, loss: BuiltinLoss, value: float) -> None:
        loss._set(loss.reduction, value, loss._rule[3])


class Smoothing:
    """How much of each target is spread over all classes; may be assigned."""

    @overload
    def __get__(self, loss: None, owner: type) -> Self: ...
    @overload
    def __get__(self, loss: BuiltinLoss, owner: type) -> float: ...
    def __get__(self, loss: BuiltinLoss | None, owner: type) -> Self | float:
        return self if loss is None else loss._rule[3]

    def __set__(self, loss: BuiltinLoss, value: float) -> None:
        loss._set(loss.reduction, loss._rule[2], value)


def _as_weights(sample_weight: Any, predicted: Array) -> Array | None:
    """Return a weight for each sample, of the dtype of the predictions; None if there are none."""
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight", predicted.dtype)
    rows = len(predicted) if predicted.ndim == 2 else 1
    if weights.shape == () and predicted.ndim == 1:
        weights = weights[None]
    if weights.shape == (rows, 1):
        weights = np.ascontiguousarray(weights[:, 0])
    if weights.shape != (rows,):
        raise ValueError(
            f"sample_weight: expected {rows} numbers, one a sample, got shape {weights.shape}"
        )
    return weights


def as_labels(labels: Array, shape: tuple[int, ...], name: str) -> Array:
    """Return class numbers as int64, one for each row of predictions of that shape."""
    if labels.dtype.kind == "O" and all(type(label) is int for label in labels.flat):
        with suppress(OverflowError):  # a column of a table may hold Python's integers
            labels = labels.astype(INT64)
    if labels.dtype.kind not in "iu":
        cure = f"; use {name.split()[-1]}.astype(int)" if labels.dtype.kind in "fb" else ""
        gaps = np.count_nonzero(~np.isfinite(labels)) if labels.dtype.kind == "f" else 0
        if gaps:
            cure = f"; {gaps} of them NaN or infinite"
        raise TypeError(f"{name}: expected integer labels, got {describe(labels)}{cure}")
    if labels.shape != shape[:-1]:
        raise ValueError(f"{name}: expected {shape[0]} labels, got shape {labels.shape}")
    return as_integers(labels)


def check_labels(labels: Any, classes: int, name: str) -> None:
    """Refuse class numbers that are not below the number of classes."""
    labels = np.asarray(labels)
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        wrong = labels[outside].flat[0]
        why = "; the model has 1 output, so 1 class" if classes == 1 else ""
        raise ValueError(f"{name}: expected labels from 0 to {classes - 1}, got {wrong}{why}")
