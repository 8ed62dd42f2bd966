"""Weights in eight bits: a scale for each output, and what that makes of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc._values import Array, check_part
from deepc.layers import Layer, Linear
from deepc.shipping.kinds import describe_model, make_model, model_tensors, walk

__all__ = ["quantized", "rounded"]

_MOST = 127


def rounded(w: Array) -> tuple[Array, Array]:
    """Return weights (outputs, inputs) as int8 and the scale of each output, of their dtype.

    The weight that a pair stands for is the product, rounded once.
    """
    scale = (np.abs(w).max(axis=1).astype(np.float64) / _MOST).astype(w.dtype)
    divisor = np.where(scale > 0, scale, 1).astype(np.float64)[:, None]
    return np.clip(np.rint(w / divisor), -_MOST, _MOST).astype(np.int8), scale


def quantized(net: Layer) -> Layer:
    """Return a copy of a network with the weights that eight bits can hold.

    Each output of each `Linear` has a scale, its largest weight / 127, and its weights are whole
    multiples of that, from -127 to 127; biases stay. It is a network like any other, and computes
    what ``export_c(net, path, weights="int8")`` computes, to the bit: so its accuracy is that of
    the file.

    Parameters
    ----------
    net : Layer
        Layers of the library, in Sequentials or by itself.

    Returns
    -------
    Layer

    Raises
    ------
    TypeError
        If a layer is written in Python.
    ValueError
        If weights are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc import Linear
    >>> layer = Linear(2, 1)
    >>> layer.w = [[127.0, 0.75]]
    >>> quantized(layer).w.tolist()
    [[127.0, 1.0]]
    """
    check_part(net, "net", "a layer", "params")
    description = describe_model(net)
    tensors = {name: np.array(array) for name, array in model_tensors(net).items()}
    copy = make_model(description, tensors, "net")
    done: set[int] = set()
    layers: list[tuple[str, Any]] = list(walk(copy))
    for position, layer in layers:
        if isinstance(layer, Linear) and id(layer) not in done:
            done.add(id(layer))
            if not np.isfinite(layer.w).all():
                raise ValueError(f"net: {position} has weights that are not finite")
            q, scale = rounded(layer.w)
            layer.w = scale[:, None] * q.astype(layer.w.dtype)
    return copy
