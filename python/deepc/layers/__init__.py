"""Layers: what a network is made of.

A layer is anything with `forward` and `backward`. Those defined here compute in C; a run of them
inside a `Sequential` is compiled into one network, so that it costs one call. A layer that someone
writes in Python works beside them.
"""

from deepc.layers.base import Layer
from deepc.layers.dropout import Dropout, GaussianDropout, GaussianNoise
from deepc.layers.embedding import Embedding
from deepc.layers.linear import Linear
from deepc.layers.norm import BatchNorm, LayerNorm
from deepc.layers.rowwise import Flatten, LogSoftmax, PReLU, Softmax
from deepc.layers.sequential import Sequential

__all__ = [
    "BatchNorm",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Layer",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "PReLU",
    "Sequential",
    "Softmax",
]
