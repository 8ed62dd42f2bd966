"""What a network computes in evaluation, as the steps that an exported file takes.

One entry a kind of layer says which steps it becomes; what has no entry cannot be exported. Layers
are what they are in evaluation; a network in training mode is exported all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepc._c.activations import ACTIVATIONS
from deepc._values import FLOAT32, Array, check_part
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
    classes : int or None
        Inputs are whole numbers below this one, if it is given.
    """

    inputs: int
    outputs: int
    dtype: np.dtype[Any]
    steps: list[Step]
    classes: int | None = None

    def as_input(self, x: Array) -> Array:
        """Return inputs of the file as the network takes them."""
        return x.astype(np.int64) if self.classes else x


def _linear(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    del width, dtype
    # The library keeps weights as inputs x outputs; `w` is the transposed view.
    arrays = {"w": np.ascontiguousarray(layer.w.T)}
    return [Step("linear", layer.output_dim, arrays | ({"b": layer.b} if _has(layer, "b") else {}))]


def _dropout(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    # The expectation of what is kept; in the library a product too, with the same factor.
    return [] if layer.inverted else [_with_number("scale", width, dtype, 1.0 - layer.p)]


def _activation(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    name = layer._activation
    if not ACTIVATIONS[name].parameter:
        return [] if name == "identity" else [Step(name, width)]
    return [_with_number(name, width, dtype, layer._structure.activation_parameter)]


def _batch_norm(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    # What the library makes of the running statistics in each call, with the same bits.
    one = dtype.type(1)
    slope = one / np.sqrt(layer.variance + dtype.type(layer.epsilon))
    slope = slope * layer.gamma if _has(layer, "gamma") else slope
    shift = layer.beta if _has(layer, "beta") else np.zeros(width, dtype)
    return [Step("batch_norm", width, {"m": layer.mean, "w": slope, "b": shift})]


def _layer_norm(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    arrays = {"e": np.array(layer.epsilon, dtype)}
    names = {"gamma": "w", "beta": "b"}
    arrays |= {ours: getattr(layer, name) for name, ours in names.items() if _has(layer, name)}
    return [Step("layer_norm", width, arrays)]


def _slopes(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    del dtype
    return [Step("slopes", width, {"w": layer.slopes})]


def _embedding(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    if layer.classes > 2 ** (np.finfo(dtype).nmant + 1):
        raise ValueError(
            f"net: {layer!r} has more rows than a {dtype} can name, as the file takes their "
            "numbers in its input"
        )
    return [Step("embedding", width * layer.dim, {"w": layer.w})]


def _nothing(layer: Any, width: int, dtype: np.dtype[Any]) -> list[Step]:
    del layer, width, dtype
    return []


def _step(kind: str) -> Callable[[Any, int, np.dtype[Any]], list[Step]]:
    return lambda layer, width, dtype: [Step(kind, width)]


def _with_number(kind: str, width: int, dtype: np.dtype[Any], number: float) -> Step:
    return Step(kind, width, {"p": np.array(number, dtype)})


def _has(layer: Any, name: str) -> bool:
    return hasattr(layer, name)


# From a layer, the width before it and the dtype: its steps.
EXPORTS: Mapping[str, Callable[[Any, int, np.dtype[Any]], list[Step]]] = {
    "linear": _linear,
    "dropout": _dropout,
    # What adds noise in training does nothing in evaluation.
    "gaussian_dropout": _nothing,
    "gaussian_noise": _nothing,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "slopes": _slopes,
    "embedding": _embedding,
    # The input of a file is flat.
    "flatten": _nothing,
    "softmax": _step("softmax"),
    "log_softmax": _step("log_softmax"),
    **dict.fromkeys(ACTIVATIONS, _activation),
}


def program(net: Layer) -> Program:
    """Return the steps of a network; refuse by name what cannot be exported."""
    check_part(net, "net", "a layer", "forward")
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
    dtypes = {layer._dtype for _, layer in layers if getattr(layer, "_dtype", None)}
    if len(dtypes) > 1:
        raise ValueError("net: expected layers of one dtype, got float32 and float64")
    dtype = dtypes.pop() if dtypes else FLOAT32
    inputs, classes = _inputs([layer for _, layer in layers])
    width, steps = inputs, []
    for number, (position, layer) in enumerate(layers):
        expected = getattr(layer, "_widths", (None,))[0]
        if expected and expected != width:
            raise ValueError(
                f"net: layers[{position}]: {layer!r} expects {expected} inputs, "
                f"but the layer before it gives {width}"
            )
        for step in EXPORTS[str(kind_of(layer))](layer, width, dtype):
            step.layer = number
            steps.append(step)
            width = step.width
    return Program(inputs, width, dtype, steps or [Step("identity", width)], classes)


def _inputs(layers: list[Any]) -> tuple[int, int | None]:
    """Return how many inputs a network has, and which whole numbers they are if they are such."""
    kinds = [kind_of(layer) for layer in layers]
    first = next((i for i, kind in enumerate(kinds) if kind != "flatten"), 0)
    if "embedding" in kinds[first + 1 :]:
        raise ValueError("net: expected Embedding to be the first layer")
    known = [getattr(layer, "_widths", (None,))[0] for layer in layers]
    inputs = next((width for width in known if width), None)
    if kinds[first : first + 1] != ["embedding"]:
        shape = next((getattr(layer, "sample_shape", None) for layer in layers[:1]), None)
        inputs = inputs or (math.prod(shape) if shape else None)
        if inputs is None:
            raise ValueError("net: expected a layer that tells the number of inputs, as Linear")
        return inputs, None
    dim = layers[first].dim
    if not inputs or inputs % dim:
        raise ValueError(
            f"net: {layers[first]!r}: expected a layer after it that takes a multiple of {dim} "
            f"numbers, which tells how many rows are looked up, got {inputs or 'none'}"
        )
    return inputs // dim, layers[first].classes


def in_eight_bits(plan: Program) -> Program:
    """Return a program whose weights are int8 with a scale for each output."""
    steps = []
    for step in plan.steps:
        if step.kind == "linear":
            q, scale = rounded(step.arrays["w"].T)
            arrays = {"q": np.ascontiguousarray(q.T), "s": scale}
            arrays |= {name: array for name, array in step.arrays.items() if name == "b"}
            steps.append(Step("linear_int8", step.width, arrays, step.layer))
        else:
            steps.append(step)
    return Program(plan.inputs, plan.outputs, plan.dtype, steps, plan.classes)


def evaluated(net: Layer) -> Layer:
    """Return a copy of a network that does not train."""
    tensors = {name: np.array(array) for name, array in model_tensors(net).items()}
    copy = make_model(describe_model(net), tensors, "net")
    for _, layer in walk(copy):
        if hasattr(layer, "train"):
            layer.train = False
    return copy
