"""What a network computes in evaluation, as the steps that an exported file takes.

One entry a kind of layer says which steps it becomes; what has no entry cannot be exported. Dropout
is what it is in evaluation, a network in training mode is exported all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepc._values import FLOAT32, Array, describe
from deepc.layers import Layer
from deepc.shipping.kinds import describe_model, kind_of, make_model, model_tensors, walk, why_not
from deepc.shipping.quantize import rounded

__all__ = ["Program", "Step", "evaluated", "in_eight_bits", "program"]


@dataclass
class Step:
    """One operation over a vector.

    Attributes
    ----------
    kind : str
        What it is: ``"linear"``, or the name of the block of the runtime that maps it.
    width : int
        How many numbers it gives.
    arrays : dict of str to ndarray
        The constants that it reads.
    layer : int
        The number of the layer that it came from.
    """

    kind: str
    width: int
    arrays: dict[str, Array] = field(default_factory=dict)
    layer: int = 0


@dataclass
class Program:
    """The steps of a network.

    Attributes
    ----------
    inputs, outputs : int
    dtype : dtype
    steps : list of Step
    """

    inputs: int
    outputs: int
    dtype: np.dtype[Any]
    steps: list[Step]


def _linear(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    del width
    # The library keeps weights as inputs x outputs; `w` is the transposed view.
    arrays = {"w": np.ascontiguousarray(layer.w.T), "b": layer.b}
    return [Step("linear", layer.output_dim, arrays)]


def _dropout(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    # The expectation of what is kept; in the library a product too, with the same factor.
    return [Step("scale", width, {"factor": np.array(1.0 - layer.p, dtype)})]


def _map(kind: str) -> Callable[[Any, int, np.dtype[Any]], list[Step]]:
    return lambda layer, width, dtype: [Step(kind, width)]


# From a layer, the width before it and the dtype: its steps.
EXPORTS: Mapping[str, Callable[[Any, int, np.dtype[Any]], list[Step]]] = {
    "linear": _linear,
    "dropout": _dropout,
    "sigmoid": _map("sigmoid"),
    "tanh": _map("tanh"),
    "relu": _map("relu"),
}


def program(net: Layer) -> Program:
    """Return the steps of a network; refuse by name what cannot be exported."""
    if isinstance(net, type) or not hasattr(net, "forward"):
        raise TypeError(f"net: expected a layer, got {describe(net)}")
    layers: list[tuple[str, Any]] = list(walk(net))
    for position, layer in layers:
        place = f"layers[{position}]" if position else "it"
        kind = kind_of(layer)
        if kind is None:
            raise TypeError(f"net: {place} is a {why_not(layer)} and cannot be exported")
        if kind not in EXPORTS:
            raise TypeError(f"net: {place} is a {type(layer).__name__}, which is not exported")
    for name, array in model_tensors(net).items():
        if not np.isfinite(array).all():
            raise ValueError(f"net: {name} holds numbers that are not finite")
    widths = [layer._widths for _, layer in layers]
    inputs = next((width for width, _ in widths if width), None)
    if inputs is None:
        raise ValueError("net: expected a Linear layer or another that tells the number of inputs")
    dtypes = {layer._dtype for _, layer in layers if layer._dtype}
    if len(dtypes) > 1:
        raise ValueError("net: expected layers of one dtype, got float32 and float64")
    dtype = dtypes.pop() if dtypes else FLOAT32
    width, steps = inputs, []
    for number, (position, layer) in enumerate(layers):
        expected = layer._widths[0]
        if expected and expected != width:
            raise ValueError(
                f"net: layers[{position}]: {layer!r} expects {expected} inputs, "
                f"but the layer before it gives {width}"
            )
        for step in EXPORTS[str(kind_of(layer))](layer, width, dtype):
            step.layer = number
            steps.append(step)
            width = step.width
    return Program(inputs, width, dtype, steps)


def in_eight_bits(plan: Program) -> Program:
    """Return a program whose weights are int8 with a scale for each output."""
    steps = []
    for step in plan.steps:
        if step.kind == "linear":
            q, scale = rounded(step.arrays["w"].T)
            arrays = {"q": np.ascontiguousarray(q.T), "s": scale, "b": step.arrays["b"]}
            steps.append(Step("linear_int8", step.width, arrays, step.layer))
        else:
            steps.append(step)
    return Program(plan.inputs, plan.outputs, plan.dtype, steps)


def evaluated(net: Layer) -> Layer:
    """Return a copy of a network that does not train."""
    tensors = {name: np.array(array) for name, array in model_tensors(net).items()}
    copy = make_model(describe_model(net), tensors, "net")
    for _, layer in walk(copy):
        if hasattr(layer, "train"):
            layer.train = False
    return copy
