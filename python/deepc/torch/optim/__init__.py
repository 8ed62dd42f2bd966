"""torch.optim: deepc's update rules with torch's names, defaults and parameter groups."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from deepc._values import missing
from deepc.torch.optim._optimizer import Optimizer as Optimizer
from deepc.torch.optim._rules import SGD as SGD
from deepc.torch.optim._rules import Adadelta as Adadelta
from deepc.torch.optim._rules import Adagrad as Adagrad
from deepc.torch.optim._rules import Adam as Adam
from deepc.torch.optim._rules import Adamax as Adamax
from deepc.torch.optim._rules import AdamW as AdamW
from deepc.torch.optim._rules import NAdam as NAdam
from deepc.torch.optim._rules import RMSprop as RMSprop

_refuse = missing(
    "deepc.torch.optim",
    [*globals(), "lr_scheduler"],
    {
        "LBFGS": "optim.Adam", "ASGD": "optim.SGD", "Rprop": "optim.RMSprop",
        "RAdam": "optim.Adam", "SparseAdam": "optim.Adam", "Adafactor": "optim.Adam",
        "Muon": "optim.AdamW", "swa_utils": "deepc's ema of optimizers",
    },
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "lr_scheduler":
        return import_module("deepc.torch.optim.lr_scheduler")
    return _refuse(name)
