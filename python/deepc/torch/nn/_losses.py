"""Losses as modules: each is a function of `functional` with its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from deepc._c import tape
from deepc._c.losses import REDUCTIONS
from deepc.torch._tensor import Tensor
from deepc.torch.nn import functional as F
from deepc.torch.nn._module import Module, settings

_loss, _CROSS_ENTROPY, _MEAN = tape.loss, tape.CROSS_ENTROPY, REDUCTIONS["mean"]


class _Loss(Module):
    """A loss: ``loss(input, target)`` is one operation, value and gradient in one call."""

    _function: ClassVar[Callable[..., Any]]
    # What the constructor takes, in order, and what it is if not given.
    _defaults: ClassVar[dict[str, Any]] = {}
    reduction: str

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()
        for old in ("size_average", "reduce"):
            if named.pop(old, None) is not None:
                raise TypeError(f"{old}: the nearest is reduction='mean' or 'sum'")
        values = settings(self, given, named)
        for name, value in values.items():
            if value is None or isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                self.__dict__[name] = value
        F._check_reduction(self.reduction)
        self._changed()

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of predictions and targets."""
        return type(self)._function(
            input, target, **{name: getattr(self, name) for name in self._defaults}
        )


class CrossEntropyLoss(_Loss):
    """The cross-entropy of softmax(input) and class numbers, or probabilities.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class; the mean is then divided by the weights of the targets.
    ignore_index : int, optional
        The class number of what does not count.
    reduction : {"mean", "sum", "none"}, optional
    label_smoothing : float, optional

    Examples
    --------
    >>> from deepc import torch
    >>> from deepc.torch import nn
    >>> scores = torch.tensor([[2.0, 1.0, 0.1], [0.5, -1.0, 3.0]])
    >>> nn.CrossEntropyLoss()(scores, torch.tensor([0, 2]))
    tensor(0.2564)
    """

    _defaults = {  # noqa: RUF012
        "weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0,
    }  # fmt: skip

    # Whether it is the usual one, which the library computes without a look at settings.
    _is_usual = False

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._changed()

    def _changed(self) -> None:
        super()._changed()
        own = self.__dict__
        own["_is_usual"] = (
            type(self) is CrossEntropyLoss and "forward" not in own and self._hooks is None
            and own.get("weight") is None and own.get("reduction") == "mean"
            and not own.get("label_smoothing") and own.get("ignore_index", 0) < 0
        )  # fmt: skip

    def __call__(self, *input: Any, **more: Any) -> Any:
        """Return ``forward(input, target)``."""
        if self._is_usual and len(input) == 2 and type(input[0]) is Tensor:
            try:
                return _loss(_CROSS_ENTROPY, _MEAN, *input)
            except (TypeError, ValueError):
                pass  # which the careful way explains, or can do
        return super().__call__(*input, **more)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of scores and targets."""
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


def _make(name: str, function: Any, **defaults: Any) -> Any:
    """Return a loss's class; its arguments are the function's."""
    taken = {
        key: parameter.default
        for key, parameter in list(inspect.signature(function).parameters.items())[2:]
    }
    members = {
        "__doc__": function.__doc__, "__module__": "deepc.torch.nn",
        "_function": staticmethod(function), "_defaults": {**taken, **defaults},
    }  # fmt: skip
    return type(name, (_Loss,), members)


MSELoss = _make("MSELoss", F.mse_loss)
L1Loss = _make("L1Loss", F.l1_loss)
SmoothL1Loss = _make("SmoothL1Loss", F.smooth_l1_loss)
HuberLoss = _make("HuberLoss", F.huber_loss)
BCELoss = _make("BCELoss", F.binary_cross_entropy)
BCEWithLogitsLoss = _make("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits)
NLLLoss = _make("NLLLoss", F.nll_loss)
KLDivLoss = _make("KLDivLoss", F.kl_div)
PoissonNLLLoss = _make("PoissonNLLLoss", F.poisson_nll_loss)
HingeEmbeddingLoss = _make("HingeEmbeddingLoss", F.hinge_embedding_loss)
