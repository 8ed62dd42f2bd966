"""Losses: how wrong predictions are, and how that changes with them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast, overload

import numpy as np

from deepc._c import arrays
from deepc._c.library import check
from deepc._values import INT64, Array, any_array, as_array, as_integers, describe, like
from deepc.tensor import Tensor

__all__ = ["SSE", "Loss", "SoftmaxCrossEntropy"]

_loss, _gradient = arrays.loss_of_arrays, arrays.loss_gradient_of_arrays
_ndarray = np.ndarray


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

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BuiltinLoss(Loss):
    """A loss of the library, over one sample (1-D) or a batch (2-D, samples in rows)."""

    _kind: int
    takes_labels = False

    def __init__(self, reduction: str = "sum") -> None:
        self.reduction = reduction

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"

    @property
    def reduction(self) -> str:
        """``"sum"`` or ``"mean"``."""
        return "mean" if self._mean else "sum"

    @reduction.setter
    def reduction(self, value: str) -> None:
        if not isinstance(value, str) or value not in ("sum", "mean"):
            raise ValueError(f"reduction: expected 'sum' or 'mean', got {describe(value)}")
        self._mean = value == "mean"

    def _convert(self, predicted: Any, actual: Any) -> tuple[Array, Array]:
        """Return predictions, and targets or labels, as the library takes them."""
        predicted = as_array(predicted, "predicted")
        if predicted.ndim not in (1, 2):
            raise ValueError(f"predicted: expected 1 or 2 dimensions, got shape {predicted.shape}")
        if not predicted.size:
            raise ValueError(
                f"predicted: expected at least one number, got shape {predicted.shape}"
            )
        actual = any_array(actual, "actual")
        if self.takes_labels and actual.ndim == predicted.ndim - 1:
            if predicted.ndim == 1:
                predicted, actual = predicted[None, :], actual[None]
            return predicted, as_labels(actual, predicted.shape, "actual")
        targets = as_array(actual, "actual", predicted.dtype)
        if targets.shape != predicted.shape:
            raise ValueError(
                f"actual: expected the shape of predicted, {predicted.shape}, got {targets.shape}"
            )
        return predicted, targets

    def loss(self, predicted: Tensor, actual: Any) -> float:
        """Return the loss: the sum over the samples, or their mean.

        Parameters
        ----------
        predicted : list or ndarray
            One prediction (1-D) or a batch of them (2-D). Lists are computed in float64, arrays in
            their own dtype.
        actual : list or ndarray
            What was right, as the class says.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        value = _loss(self._kind, self._mean, predicted, actual)
        if value != value:  # NaN, which may mean arrays that do not fit
            converted, fitting = self._convert(predicted, actual)
            value = _loss(self._kind, self._mean, converted, fitting)
            if value != value and fitting.dtype == INT64:
                check_labels(actual, converted.shape[-1], "actual")
        return cast(float, value)

    @overload
    def gradient(self, predicted: list[Any], actual: Any) -> list[Any]: ...
    @overload
    def gradient(self, predicted: Array, actual: Any) -> Array: ...
    @overload
    def gradient(self, predicted: Any, actual: Any) -> Any: ...
    def gradient(self, predicted: Any, actual: Any) -> Any:
        """Return the gradient of the loss with respect to `predicted`, of its shape and kind.

        Parameters and errors as for `loss`.
        """
        result = _gradient(self._kind, self._mean, predicted, actual)
        if type(result) is _ndarray:
            return result
        converted, fitting = self._convert(predicted, actual)
        result = _gradient(self._kind, self._mean, converted, fitting)
        if type(result) is not _ndarray:
            check_labels(actual, converted.shape[-1], "actual")
            check(result, "gradient")
        shaped = result.reshape(np.shape(predicted))
        return like(predicted, shaped)


class SSE(BuiltinLoss):
    """The sum of squared errors.

    Parameters
    ----------
    reduction : {"sum", "mean"}, optional
        The sum over the samples of a batch, or their mean.

    Examples
    --------
    >>> SSE().loss([1.0, 2.0], [1.0, 5.0])
    9.0
    >>> SSE().gradient([1.0, 2.0], [1.0, 5.0])
    [0.0, -6.0]
    """

    _kind = arrays.LOSSES["squared error"]


class SoftmaxCrossEntropy(BuiltinLoss):
    """The negative log likelihood of what was right, by softmax of the predictions.

    ``actual`` holds a probability for each class (one-hot, say), each row adding up to 1; or the
    class numbers: an int for one sample, integers of shape (samples,) for a batch.

    The logarithm of the probability is computed as ``x - max - log(sum(exp(x - max)))``. Where the
    book adds 1e-30 to a probability before taking its logarithm, this is exact, and larger only for
    probabilities below that.

    Parameters
    ----------
    reduction : {"sum", "mean"}, optional
        The sum over the samples of a batch, or their mean.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> loss.gradient([0.0, 0.0], [1.0, 0.0])
    [-0.5, 0.5]
    >>> loss.gradient([0.0, 0.0], 0)
    [-0.5, 0.5]
    """

    _kind = arrays.LOSSES["cross-entropy"]
    takes_labels = True


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
