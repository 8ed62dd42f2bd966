"""Losses that are functions of Tensors: what they are, and their gradient, is the tape's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._c.penalties import Penalties
from deepc._c.tape import Node, record, values
from deepc._values import Array, as_array, describe
from deepc.autodiff import ops
from deepc.autodiff.tensor import Tensor
from deepc.losses import Loss

__all__ = ["FunctionLoss", "penalty", "reduced"]

_REDUCTIONS = ("mean", "sum", "mean_by_weight")


class FunctionLoss(Loss):
    """A loss written as a function of Tensors, for `fit` and for anything that takes a loss.

    Parameters
    ----------
    function : callable
        ``function(predicted, actual)``: from a Tensor of predictions and an array of what was
        right, a Tensor of losses, one or several a sample, or one for all.
    reduction : {"mean", "sum", "mean_by_weight"}, optional
        What becomes of several losses. Weights of samples multiply them; a mean is divided by their
        number all the same, with ``"mean_by_weight"`` by the sum of the weights.
    family : type, optional
        The class of the Tensors that the function gets.

    Examples
    --------
    >>> from deepc.autodiff import FunctionLoss
    >>> loss = FunctionLoss(lambda predicted, actual: (predicted - actual) ** 2)
    >>> loss.loss([[1.0], [4.0]], [[1.0], [2.0]]), loss.gradient([[1.0], [4.0]], [[1.0], [2.0]])
    (2.0, [[0.0], [2.0]])
    """

    def __init__(
        self, function: Callable[..., Any], reduction: str = "mean", family: type[Any] = Tensor
    ) -> None:
        if not callable(function):
            raise TypeError(f"function: expected a function, got {describe(function)}")
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction: expected one of {_REDUCTIONS}, got {reduction!r}")
        self.function, self.reduction, self._family = function, reduction, family
        # What `loss` computed, until `gradient` is asked for the same objects.
        self._last: tuple[Any, ...] | None = None

    def __repr__(self) -> str:
        return f"FunctionLoss({self._name})"

    @property
    def _name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, predicted: Any, actual: Any, *sample_weight: Any) -> Any:
        """Return the loss: of a Tensor a Tensor with its history."""
        if not isinstance(predicted, Node):
            return self.loss(predicted, actual, *sample_weight)
        return reduced(self._losses(predicted, actual), self.reduction, *sample_weight)

    def _losses(self, predicted: Any, actual: Any) -> Any:
        found = self.function(predicted, actual)
        if not isinstance(found, Node):
            raise TypeError(
                f"loss: {self._name} gave {describe(found)} instead of a Tensor: compute it by "
                "operations on the Tensor of predictions, whose gradients are known"
            )
        if predicted.requires_grad and not found.requires_grad:
            raise TypeError(
                f"loss: what {self._name} gave does not depend on the predictions by operations "
                "whose gradients are known; a detour through NumPy, or argmax, has none"
            )
        return found

    def loss(self, predicted: Any, actual: Any, *sample_weight: Any) -> float:
        """Return the loss of predictions."""
        p = self._family(as_array(predicted, "predicted"))
        p.requires_grad = True
        value = self(p, actual, *sample_weight)
        self._last = (predicted, actual, sample_weight, p, value)
        return float(value.data)

    def gradient(self, predicted: Any, actual: Any, *sample_weight: Any) -> Any:
        """Return how it changes with each prediction."""
        last, self._last = self._last, None
        given = (predicted, actual, *sample_weight)
        if last is None or not all(
            a is b for a, b in zip((*last[:2], *last[2]), given, strict=False)
        ):
            self.loss(*given)
            last, self._last = self._last, None
        assert last is not None
        p, value = last[3:]
        value.backward()
        found = np.zeros_like(p.data) if p.grad is None else p.grad
        return found.tolist() if isinstance(predicted, list) else found


def reduced(losses: Any, reduction: str, sample_weight: Any = None) -> Any:
    """Return one number of the losses of samples: a Tensor for a Tensor."""
    shape: tuple[int, ...] = values(losses).shape
    count: Any = float(max(int(np.prod(shape)), 1))
    if sample_weight is not None:
        weights: Array = np.asarray(sample_weight, values(losses).dtype)
        if shape and len(weights) != shape[0]:
            raise ValueError(
                f"sample_weight: expected {shape[0]} numbers, one a loss, got {weights.shape}"
            )
        if not shape:
            raise ValueError(
                "sample_weight: the loss is one number for all samples; return one for each sample"
            )
        weights = np.broadcast_to(weights.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        losses = losses * np.ascontiguousarray(weights)
        if reduction == "mean_by_weight":
            count = float(weights.sum())
    total = ops.sum(losses)
    return total if reduction == "sum" or not count else total / count


def penalty(x: Any, l1: float, l2: float) -> Any:
    """Return ``l1 * sum of abs(x) + l2 * sum of x**2`` of a Tensor, as the library penalizes.

    Examples
    --------
    >>> x = Tensor([1.0, -2.0], requires_grad=True)
    >>> penalty(x, 0.5, 0.25).backward()
    >>> x.grad
    array([ 1. , -1.5], dtype=float32)
    """
    array = np.ascontiguousarray(values(x))
    made = Penalties([(array, None, l1, l2)]).add(False)
    return record("penalty", _penalty_rule, np.asarray(made, array.dtype), (x,), (l1, l2))


def _penalty_rule(g: Any, y: Any, inputs: tuple[Any, ...], given: tuple[float, float]) -> Any:
    l1, l2 = given
    x = inputs[0]
    if isinstance(x, Node):
        # The gradient is differentiated again, which only operations can be.
        return (g * (l1 * np.sign(values(x)) + (2.0 * l2) * x),)
    x = np.ascontiguousarray(x)
    slope = np.zeros_like(x)
    Penalties([(x, slope, l1, l2)]).add(True)
    return (g * slope,)
