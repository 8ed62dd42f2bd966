"""Layers and losses of deepc over Tensors: one object is a book layer and part of any model.

What the tape has an operation for is that operation, on the layer's own arrays: a Linear with the
activation after it, the usual activations. Any other layer computes through its own `forward` and
`backward`, written down as one operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from deepc._c import tape
from deepc._c.losses import REDUCTIONS
from deepc._c.network import Network
from deepc._c.tape import Node, record, values
from deepc._values import Array, describe
from deepc.activations import Relu, Sigmoid, Tanh
from deepc.autodiff import ops
from deepc.autodiff.tensor import Parameter, Tensor
from deepc.layers import Dropout, Flatten, Layer, Linear, Sequential, _plan
from deepc.layers.base import BuiltinLayer, TwoModes, is_builtin
from deepc.losses import SSE, BuiltinLoss, SoftmaxCrossEntropy

__all__ = ["leaves", "parameters", "row_losses"]

# Layers of which the tape has the operation.
_OPERATIONS: dict[type, str] = {Sigmoid: "sigmoid", Tanh: "tanh", Relu: "relu"}
# Losses of which it has one that can be differentiated again, with these reductions.
_FUSED = {SSE, SoftmaxCrossEntropy}
_IS_MEAN = {REDUCTIONS["sum"]: False, REDUCTIONS["mean"]: True}

# What is done with a Tensor: a function of it, or weights, bias and activation of a fused product.
Step = Callable[[Any], Any] | tuple[Any, Any, int]


def parameters(model: Any) -> list[Any]:
    """Return the parameters of a layer or model as Tensors over its own arrays.

    Their gradients are the layers' own too: what `backward` of a Tensor adds to them, an optimizer
    that steps the model reads. They stay the same objects as long as the layers do.

    Examples
    --------
    >>> from deepc import Linear
    >>> from deepc.autodiff import parameters
    >>> [parameter.shape for parameter in parameters(Linear(3, 2))]
    [(3, 2), (2,)]
    """
    if isinstance(model, Sequential):
        return [leaf for layer in model._once() for leaf in parameters(layer)]
    if isinstance(model, BuiltinLayer):
        return list(leaves(model).values())
    if hasattr(model, "parameters"):
        return list(model.parameters())
    return []


def leaves(layer: BuiltinLayer, over: Callable[..., Any] = Parameter.over) -> dict[str, Any]:
    """Return a layer's parameters by C's names, as leaves that require what the layer trains.

    They are made once, by ``over(values, gradient)``: a face may have a class of its own for them.
    """
    memory = layer._memory
    parts, found = memory.parts, memory.leaves
    if found is None:
        # A matrix lies in memory transposed; the leaf is over the memory as it is.
        found = {
            name: over(
                parts.parameters[name].value.T, cast(Array, parts.parameters[name].gradient).T
            )
            for name in layer._c_params.values()
            if name in parts.parameters
        }
        memory.leaves = found
        layer._leaves_made()
    for name, leaf in found.items():
        leaf.requires_grad = parts.trains(name)
    return found


# ---- Layers --------------------------------------------------------------------------------------


def _call_layer(layer: Any, x: Any) -> Any:
    """Return a layer's output for a Tensor, as a Tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"input: expected a Tensor, got {describe(x)}; stack() makes one of Scalars"
        )
    if isinstance(layer, Sequential):
        # That no method was replaced was looked at when the steps were made.
        plan = layer._plan
        if plan.version == _plan.structure_version and plan.over_tensors is not None:
            return tape.chain(plan.over_tensors, x)
    return tape.chain(_steps(layer), x)


def _steps(layer: Any) -> list[Step]:
    """Return what to do with a Tensor, kept as long as no layer changes."""
    if isinstance(layer, Sequential):
        current = layer.current_plan()
        if current is None:
            return [functools.partial(_call_foreign, layer)]
        steps = _steps_of_sequence(layer)
        layer._plan.over_tensors = steps
        return steps
    if not isinstance(layer, BuiltinLayer):
        return [_step(layer)]
    version, kept = layer._memory.over_tensors
    if version != _plan.structure_version:
        kept = [_step(layer)]
        layer._memory.over_tensors = (_plan.structure_version, kept)
    return cast("list[Step]", kept)


def _steps_of_sequence(layer: Sequential) -> list[Step]:
    """Return the steps of all layers: an activation is part of the product before it."""
    layers, steps, place = list(layer), list[Step](), 0
    while place < len(layers):
        one, following = layers[place], layers[place + 1] if place + 1 < len(layers) else None
        place += 1
        if type(one) is Linear and is_builtin(one):
            name = _OPERATIONS.get(type(following)) if is_builtin(following) else None
            steps.append(_linear_step(cast(Linear, one), name))
            place += name is not None
        else:
            steps.append(_step(one))
    return steps


def _step(layer: Any) -> Step:
    """Return the function of a Tensor that a layer is."""
    if not is_builtin(layer):
        if isinstance(layer, Sequential):
            return functools.partial(_call_layer, layer)
        if type(layer) is Flatten:
            return functools.partial(_call_flatten, layer)
        if not isinstance(layer, Layer) or type(layer).__call__ is Layer.__call__:
            return functools.partial(_call_foreign, layer)
        return cast("Step", layer)
    if isinstance(layer, Linear):
        return _linear_step(layer)
    name = _OPERATIONS.get(type(layer))
    if name:
        return cast("Step", getattr(ops, name))
    if isinstance(layer, Dropout):
        return functools.partial(_call_dropout, layer)
    return functools.partial(_call_builtin, layer)


def _linear_step(layer: Linear, activation: str | None = None) -> Step:
    made = leaves(layer)
    w, b, number = made["weights"], made.get("bias"), ops.fused(activation)
    return w, b, number


def _call_flatten(layer: Flatten, x: Any) -> Any:
    shape = layer.sample_shape
    if len(x.shape) <= 1 or x.shape == shape:
        return ops.reshape(x, (-1,))
    if shape and len(x.shape) > 2 and x.shape[1:] != shape:
        raise ValueError(f"input: expected samples of shape {shape}, got {x.shape[1:]}")
    return ops.reshape(x, (x.shape[0], -1))


def _scale_rule(g: Any, y: Any, inputs: tuple[Any, ...], scale: Any) -> Any:
    return (g * scale,)


def _call_dropout(layer: Dropout, x: Any) -> Any:
    """Drop by the layer's own stream; what was kept is remembered by the operation."""
    if not layer.train:
        return x * 1.0 if layer.inverted else x * (1.0 - layer.p)
    y = np.asarray(layer.forward(np.ascontiguousarray(x._data).reshape(-1, x.shape[-1])))
    kept = layer.mask.astype(y.dtype) / (1.0 - layer.p if layer.inverted and layer.p < 1 else 1.0)
    scale = np.asarray(kept, y.dtype).reshape(x.shape)
    return record("dropout", _scale_rule, y.reshape(x.shape), (x,), scale)


class _Pass:
    """A network with one pass in its memory; the layer uses it again once nobody needs that."""

    __slots__ = ("layer", "network", "parts", "pool", "ticket")

    def __init__(self, layer: BuiltinLayer, dtype: Any) -> None:
        memory = layer._memory
        self.layer, self.parts, self.pool = layer, memory.parts, memory.idle.setdefault(dtype, [])
        self.network = self.pool.pop() if self.pool else Network([memory.parts], dtype)
        self.ticket = 0

    def __del__(self) -> None:
        self.pool.append(self.network)


def _call_builtin(layer: BuiltinLayer, x: Any) -> Any:
    """Compute through the library's layer, each call with a memory of its own."""
    dtype = layer._dtype or x.dtype
    made = leaves(layer)
    a = np.asarray(x._data, dtype if x._data.dtype.kind == "f" else None, order="C")
    run = _Pass(layer, np.dtype(dtype))
    y = np.asarray(run.network.forward(a))
    run.ticket = _ticket(layer)
    return record(type(layer).__name__, _builtin_rule, y, (x, *made.values()), run)


def _ticket(layer: BuiltinLayer) -> int:
    """Return the number of the last pass of a layer that draws random numbers."""
    return int(layer._structure.pass_counter) if isinstance(layer, TwoModes) else 0


def _builtin_rule(g: Any, y: Any, inputs: tuple[Any, ...], run: Any) -> Any:
    _refuse_twice(y, type(run.layer).__name__)
    if run.ticket != _ticket(run.layer):
        raise RuntimeError(
            f"backward: {run.layer!r} has run forward since; it remembers the random numbers of "
            "one pass only, so go back before the next pass or use two layers"
        )
    # The library writes gradients; the tape adds them: what was there is put back.
    arrays = [
        run.parts.parameters[name].gradient
        for name in run.layer._c_params.values()
        if name in run.parts.parameters
    ]
    before = [array.copy() for array in arrays]
    d_x = run.network.backward(np.ascontiguousarray(g))
    found = [array.T.copy() for array in arrays]
    for array, kept in zip(arrays, before, strict=True):
        array[...] = kept
    return (d_x if np.shape(inputs[0]) == np.shape(d_x) else None, *found)


def _refuse_twice(y: Any, name: str) -> None:
    if isinstance(y, Node):
        raise RuntimeError(
            f"{name}: its gradient cannot be differentiated again; write it with operations of "
            "deepc.autodiff where second derivatives are wanted"
        )


def _call_foreign(layer: Any, x: Any) -> Any:
    """Compute through a user's layer, which remembers one pass only."""
    y = np.asarray(layer.forward(x._data), x._data.dtype)
    ticket = object()
    layer._last_pass = ticket
    return record(type(layer).__name__, _foreign_rule, y, (x,), (layer, ticket))


def _foreign_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    layer, ticket = context
    _refuse_twice(y, type(layer).__name__)
    if layer._last_pass is not ticket:
        raise RuntimeError(
            f"backward: {layer!r} has run forward since; a layer with a forward of its own "
            "remembers one pass only, so use two layers"
        )
    d_x = layer.backward(g)
    return (None if d_x is None else np.asarray(d_x, g.dtype),)


# ---- Losses --------------------------------------------------------------------------------------


def _call_loss(loss: Any, predicted: Any, actual: Any, *sample_weight: Any) -> Any:
    """Return the loss of a Tensor as a Tensor: one operation, value and gradient in one call."""
    if type(loss) in _FUSED and not sample_weight:
        kind, reduction, _, smoothing = loss._rule
        mean = _IS_MEAN.get(reduction)
        if mean is not None and not smoothing:
            return tape.loss(kind, mean, predicted, actual)
    if isinstance(actual, Node):
        if actual.requires_grad:
            raise TypeError(
                f"actual: {type(loss).__name__} has no gradient by its targets; detach() them, or "
                "write the loss with operations of deepc.autodiff"
            )
        actual = actual._data
    p: Array = values(predicted)
    if isinstance(loss, BuiltinLoss):
        value, slope = loss.loss_and_gradient(p, actual, *sample_weight)
    else:
        value = loss.loss(p, actual, *sample_weight)
        slope = loss.gradient(p, actual, *sample_weight)
    slope = np.asarray(slope, p.dtype)
    name = type(loss).__name__
    return record(name, _loss_rule, np.asarray(value, p.dtype), (predicted,), (name, slope))


def _loss_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    name, slope = context
    _refuse_twice(y, name)
    return (g * slope,)


def row_losses(loss: BuiltinLoss, predicted: Any, actual: Any, *sample_weight: Any) -> Any:
    """Return the loss of each sample of a Tensor as a Tensor; see `BuiltinLoss.row_losses`."""
    p: Array = values(predicted)
    rows = np.asarray(loss.row_losses(p, actual, *sample_weight), p.dtype)
    # The gradient of their sum holds that of each: a row's loss depends on no other row.
    kind, reduction, parameter, smoothing = loss._rule
    summed = BuiltinLoss.__new__(type(loss))
    summed.__dict__.update(vars(loss))
    summed._rule = (kind, REDUCTIONS["sum"], parameter, smoothing)
    slope = np.asarray(summed.gradient(p, actual, *sample_weight), p.dtype)
    if reduction == REDUCTIONS["mean_of_elements"]:
        slope = slope / p.shape[-1]
    return record(type(loss).__name__, _rows_rule, rows, (predicted,), slope)


def _rows_rule(g: Any, y: Any, inputs: tuple[Any, ...], slope: Any) -> Any:
    _refuse_twice(y, "row_losses")
    return (ops.expand_dims(g, -1) * slope,)


tape.bridges.update(layer=_call_layer, loss=_call_loss)
