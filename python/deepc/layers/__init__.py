"""Layers: what a network is made of.

A layer is anything with `forward` and `backward`. Those defined here compute in C; a run of them
inside a `Sequential` is compiled into one network, so that it costs one call. A layer that someone
writes in Python works beside them.
"""

from deepc.layers.base import Layer
from deepc.layers.dropout import Dropout
from deepc.layers.linear import Linear
from deepc.layers.sequential import Sequential

__all__ = ["Dropout", "Layer", "Linear", "Sequential"]
