"""Optimizers: how gradients change parameters.

`base` holds what every optimizer is and what may stand around any rule: clipping, weight decay
apart from the gradient, averages of the parameters, gradients that add up over several calls.
`rules` holds the update rules, in PyTorch's form and, by flags, in Keras'.
"""

from deepc.optimizers.base import BuiltinOptimizer, Optimizer, clip_gradients
from deepc.optimizers.rules import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    GradientDescent,
    Lion,
    Momentum,
    Nadam,
    RMSProp,
)

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BuiltinOptimizer",
    "GradientDescent",
    "Lion",
    "Momentum",
    "Nadam",
    "Optimizer",
    "RMSProp",
    "clip_gradients",
]
