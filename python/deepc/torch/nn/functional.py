"""torch.nn.functional: layers without a state, activations and losses as functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._c import random as _random
from deepc._c import tape
from deepc._c.activations import ACTIVATIONS, activation_backward, activation_of_array
from deepc._c.arrays import checked
from deepc._c.losses import LOSSES, REDUCTIONS
from deepc._c.tape import Node, record, values
from deepc._values import INT64, Array, missing
from deepc.autodiff import ops
from deepc.losses import CLASSES, BuiltinLoss
from deepc.torch._rng import key
from deepc.torch._tensor import Tensor, wrap
from deepc.torch._types import of_numpy

# ---- Layers --------------------------------------------------------------------------------------


def _tensor(input: Any, what: str) -> Any:
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{what}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    return input


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``input @ weight.T + bias``, as one operation."""
    x = _tensor(input, "linear")
    a, w = x._data, weight._data
    if a.ndim and w.ndim == 2 and a.shape[-1] != w.shape[1]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.size // (a.shape[-1] or 1)}x"
            f"{a.shape[-1]} and {w.shape[1]}x{w.shape[0]})"
        )
    if a.dtype != w.dtype:
        raise RuntimeError(
            "mat1 and mat2 must have the same dtype, but got "
            f"{of_numpy(a.dtype)._words} and {of_numpy(w.dtype)._words}"
        )
    if a.ndim > 2:
        rows = linear(ops.reshape(x, (-1, a.shape[-1])), weight, bias)
        return ops.reshape(rows, (*a.shape[:-1], w.shape[0]))
    return tape.linear(x, weight, bias, tape.TRANSPOSED)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return the input with elements dropped, the rest divided by 1 - p; outside training as is."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    x = _tensor(input, "dropout")
    if not training or p == 0:
        return x
    if x._data.dtype.kind != "f":
        raise RuntimeError(f"result type Float can't be cast to {of_numpy(x._data.dtype)._words}")
    return record("dropout", _dropout_rule, *_dropped(x._data, (x,), _random.key(key()), p))


def _dropped(a: Array, inputs: tuple[Any, ...], stream: int, p: float) -> Any:
    """Return what is recorded of dropping: the numbers of a stream say what is dropped."""
    if p == 1:
        return a * 0, inputs, (stream, p)
    y = tape.dropped(np.ascontiguousarray(a), stream, p)
    y *= y.dtype.type(1 / (1 - p))
    return y.reshape(a.shape), inputs, (stream, p)


def _dropout_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    if isinstance(y, Node):
        return (g * _dropped(np.ones(y.shape, values(y).dtype), (), *context)[0],)
    return (_dropped(g, (), *context)[0],)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Return the rows of a table that whole numbers name."""
    places = values(input)
    if places.dtype.kind not in "iu":
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {of_numpy(places.dtype)._words} instead"
        )
    if places.size and not (places.min() >= 0 and places.max() < weight.shape[0]):
        raise IndexError(
            f"index out of range in self: expected 0 to {weight.shape[0] - 1}, got "
            f"{places.min()} to {places.max()}"
        )
    found = ops.getitem(weight, places)
    if padding_idx is None:
        return found
    kept = np.asarray(places != padding_idx, weight._data.dtype)[..., None]
    # The row itself is given, but it does not learn.
    return ops.where(kept > 0, found, found.detach())


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return rows of zeros with a 1 at the place that each whole number names."""
    places = values(tensor)
    if places.dtype != INT64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if places.size and places.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    count = num_classes if num_classes > 0 else int(places.max()) + 1
    if places.size and places.max() >= count:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return wrap((places[..., None] == np.arange(count)).astype(np.int64))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Return the input divided by its norm along a dimension."""
    return input / ops.maximum(input.norm(p, dim, True), eps)


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Return the input with mean 0 and variance 1 over its last dimensions."""
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    centred = input - ops.mean(input, dims, True)
    y = centred / ops.sqrt(ops.mean(centred * centred, dims, True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


# ---- Activations ---------------------------------------------------------------------------------


def _elementwise(input: Any, name: str, parameter: float | None = None) -> Any:
    """Return an activation of the library, by its name there, of each element."""
    facts = ACTIVATIONS[name]
    x = _tensor(input, name)
    number = facts.default if parameter is None else float(parameter)
    y = activation_of_array(facts.number, number, x._data, None)
    if type(y) is not np.ndarray:
        a = np.ascontiguousarray(ops._float(x, name)).reshape(x._data.shape)
        y = checked(activation_of_array(facts.number, number, a, None), name)
    return record(name, _elementwise_rule, y, (x,), (name, facts, number))


def _elementwise_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    name, facts, number = context
    if isinstance(y, Node):
        slope = _SLOPES.get(name)
        if slope is None:
            raise RuntimeError(
                f"{name}: its gradient cannot be differentiated again; tanh, sigmoid, silu, "
                "softplus, gelu and elu can"
            )
        return (g * slope(inputs[0], number),)
    kept = np.asarray(inputs[0] if facts.needs_input else y, g.dtype, order="C")
    g = np.asarray(g, order="C")
    d_x = np.empty_like(g)
    activation_backward(facts.number, number, kept, g, d_x)
    return (d_x,)


def _silu_slope(x: Any, _: float) -> Any:
    s = ops.sigmoid(x)
    return s * (1.0 + x * (1.0 - s))


def _gelu_slope(x: Any, _: float) -> Any:
    return ops._normal_cdf(x) + x * ops.exp(-0.5 * (x * x)) * (1.0 / math.sqrt(2.0 * math.pi))


# Slopes as operations, where gradients are differentiated again.
_SLOPES: dict[str, Callable[[Any, float], Any]] = {
    "silu": _silu_slope,
    "gelu": _gelu_slope,
    "softplus": lambda x, _: ops.sigmoid(x),
    "elu": lambda x, alpha: ops.where(x > 0, 1.0, alpha * ops.exp(ops.minimum(x, 0.0))),
    "leaky_relu": lambda x, slope: ops.where(x > 0, 1.0, x * 0.0 + slope),
}


def relu(input: Any, inplace: bool = False) -> Any:
    """Return each element, or 0 where it is negative."""
    return tape.relu(_tensor(input, "relu"))


def tanh(input: Any) -> Any:
    """Return the hyperbolic tangent."""
    return tape.tanh(_tensor(input, "tanh"))


def sigmoid(input: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return tape.sigmoid(_tensor(input, "sigmoid"))


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Return x where it is positive, else ``negative_slope * x``."""
    return _elementwise(input, "leaky_relu", negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where it is positive, else ``alpha * (exp(x) - 1)``."""
    return _elementwise(input, "elu", alpha)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where it is positive, else ``alpha * (exp(x / alpha) - 1)``."""
    return _elementwise(input, "celu", alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """Return `elu` with the two factors that keep mean 0 and variance 1."""
    return _elementwise(input, "selu")


def gelu(input: Any, approximate: str = "none") -> Any:
    """Return x times the normal distribution function of x."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _elementwise(input, "gelu" if approximate == "none" else "gelu_tanh")


def silu(input: Any, inplace: bool = False) -> Any:
    """Return x times its sigmoid."""
    return _elementwise(input, "silu")


def mish(input: Any, inplace: bool = False) -> Any:
    """Return x times the tanh of its softplus."""
    return _elementwise(input, "mish")


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return ``log(1 + exp(beta * x)) / beta``; nothing overflows."""
    if beta == 1:
        return _elementwise(input, "softplus")
    return _elementwise(input * beta, "softplus") / beta


def softsign(input: Any) -> Any:
    """Return ``x / (1 + abs(x))``."""
    return _elementwise(input, "softsign")


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return each element, at least 0 and at most 6."""
    return _elementwise(input, "relu6")


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return each element, at least and at most the limits."""
    return ops.clip(_tensor(input, "hardtanh"), min_val, max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return ``x / 6 + 1 / 2``, at least 0 and at most 1."""
    return _elementwise(input, "hard_sigmoid")


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return x times its hardsigmoid."""
    return _elementwise(input, "hard_silu")


def logsigmoid(input: Any) -> Any:
    """Return the logarithm of the sigmoid."""
    return _elementwise(input, "log_sigmoid")


def prelu(input: Any, weight: Any) -> Any:
    """Return x where it is positive, else ``weight * x``; a weight for each column, or one."""
    negative = ops.where(input > 0, 0.0, input)
    return ops.where(input > 0, input, 0.0) + negative * weight


def _dim(input: Any, dim: int | None, name: str) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Return exp(x) divided by its sum along a dimension."""
    x = _tensor(input, "softmax") if dtype is None else input.type(dtype)
    return ops.softmax(x, _dim(x, dim, "softmax"))


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Return the logarithm of softmax along a dimension."""
    x = _tensor(input, "log_softmax") if dtype is None else input.type(dtype)
    return ops.log_softmax(x, _dim(x, dim, "log_softmax"))


# ---- Losses --------------------------------------------------------------------------------------

_SUM, _MEAN, _ELEMENTS = (REDUCTIONS[name] for name in ("sum", "mean", "mean_of_elements"))
_CROSS_ENTROPY = tape.CROSS_ENTROPY
_loss = tape.loss


def _check_reduction(reduction: str) -> str:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _of_elements(
    name: str, input: Any, target: Any, reduction: str, parameter: float | None = None
) -> Any:
    """Return a loss that is a sum or mean over single elements."""
    p, t = _tensor(input, name), target
    if not isinstance(t, Tensor):
        raise TypeError(
            f"{name}(): argument 'target' (position 2) must be Tensor, not {type(t).__name__}"
        )
    if p._data.shape != t._data.shape:
        warnings.warn(
            f"Using a target size ({t.shape}) that is different to the input size ({p.shape}). "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they "
            "have the same size.",
            UserWarning,
            stacklevel=3,
        )
        shape = np.broadcast_shapes(p._data.shape, t._data.shape)
        p, t = ops.broadcast_to(p, shape), ops.broadcast_to(t, shape)
    if p._data.dtype != t._data.dtype:
        kind = np.promote_types(p._data.dtype, t._data.dtype)
        kind = kind if kind.kind == "f" and kind.itemsize > 2 else p._data.dtype
        p, t = p.type(kind), t.type(kind)
    if t.requires_grad and not p.requires_grad and name in _SYMMETRIC:
        p, t = t, p
    facts = LOSSES[name]
    number = facts.default if parameter is None else float(parameter)
    if reduction == "none" or not p._data.size:
        return _each(name, p, t, number, reduction)
    rows = p if p._data.ndim in (1, 2) else ops.reshape(p, (-1,))
    targets = t if rows is p else ops.reshape(t, (-1,))
    if t.requires_grad and name != "squared_error":
        raise RuntimeError(f"{name}: the target must not require a gradient; detach() it")
    return _loss(facts.number, _ELEMENTS if reduction == "mean" else _SUM, rows, targets, number)


_SYMMETRIC = {"squared_error", "absolute_error", "huber", "smooth_l1"}


def _each(name: str, p: Tensor, t: Tensor, number: float, reduction: str) -> Any:
    """Return the loss of each element: a column of the library's losses, one a row."""
    cls = CLASSES[name]
    loss = BuiltinLoss.__new__(cls)
    loss._rule = (LOSSES[name].number, _SUM, number, 0.0)
    a, b = (np.ascontiguousarray(x._data).reshape(-1, 1) for x in (p, t))
    if not a.size:
        empty = p * 0.0
        return empty if reduction == "none" else empty.sum() / (0.0 if reduction == "mean" else 1.0)
    y = np.asarray(loss.row_losses(a, b)).reshape(p._data.shape)
    slope = np.asarray(loss.gradient(a, b)).reshape(p._data.shape)
    return record(name, _each_rule, y, (p,), (name, slope))


def _each_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    name, slope = context
    if isinstance(y, Node):
        raise RuntimeError(f"{name}: its gradient cannot be differentiated again")
    return (g * slope,)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the squared differences, their mean over all elements or sum."""
    return _of_elements("squared_error", input, target, _check_reduction(reduction))


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the absolute differences, their mean over all elements or sum."""
    return _of_elements("absolute_error", input, target, _check_reduction(reduction))


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return the absolute error, made a parabola within `beta`."""
    return _of_elements("smooth_l1", input, target, _check_reduction(reduction), beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return half the squared error up to `delta`, from there a straight line."""
    return _of_elements("huber", input, target, _check_reduction(reduction), delta)


def _same_size(input: Any, target: Any) -> None:
    if input._data.shape != target._data.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Return the negative log likelihood of yes and no, of probabilities."""
    _same_size(input, target)
    p = input._data
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    return _weighted("binary_cross_entropy_clamped", input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return the negative log likelihood of yes and no, of logits."""
    _same_size(input, target)
    name = "binary_cross_entropy_logits"
    if pos_weight is not None and values(pos_weight).size > 1:
        # log(1 + exp(-z)) for yes, weighted by column, and z more for no.
        no, yes = softplus(input), softplus(-input)
        losses = (1.0 - target) * no + target * pos_weight * yes
        return _reduced(losses if weight is None else losses * weight, reduction)
    number = None if pos_weight is None else float(values(pos_weight).reshape(()))
    return _weighted(name, input, target, weight, reduction, number)


def _weighted(
    name: str, input: Any, target: Any, weight: Any, reduction: str, number: float | None = None
) -> Any:
    _check_reduction(reduction)
    if weight is None:
        return _of_elements(name, input, target, reduction, number)
    return _reduced(_of_elements(name, input, target, "none", number) * weight, reduction)


def _reduced(losses: Any, reduction: str) -> Any:
    if _check_reduction(reduction) == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of softmax(input) and class numbers or probabilities."""
    z = _tensor(input, "cross_entropy")
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    z, labels, shape = _classes(z, target)
    if labels is None:
        return _of_probabilities(z, target, weight, reduction, label_smoothing)
    counted = labels != ignore_index
    _check_targets(labels[counted], z.shape[-1])
    if weight is None and not label_smoothing and reduction != "none" and counted.all():
        return _loss(_CROSS_ENTROPY, _MEAN if reduction == "mean" else _SUM, z, labels)
    return _nll(ops.log_softmax(z), labels, counted, shape, weight, reduction, label_smoothing)


def _classes(z: Any, target: Any) -> tuple[Any, Array | None, tuple[int, ...]]:
    """Return rows of scores, class numbers for them, and the shape of one loss each."""
    t = values(target)
    if z.ndim == 0 or not z._data.size:
        raise RuntimeError(f"cross_entropy: expected scores of rows, got shape {list(z.shape)}")
    if z._data.shape == t.shape and t.dtype.kind == "f":
        return z, None, ()
    if t.dtype.kind == "f" and t.ndim < z.ndim:
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {of_numpy(t.dtype)._words}"
        )
    if z._data.shape == t.shape and z.ndim > 1:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{of_numpy(t.dtype)._words}"
        )
    if z.ndim == 1 and t.ndim == 0:
        return ops.reshape(z, (1, -1)), t.reshape(1).astype(INT64), ()
    if t.ndim != z.ndim - 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: input has shape "
            f"{list(z.shape)}, target {list(t.shape)}"
        )
    if len(z) != len(t):
        raise ValueError(
            f"Expected input batch_size ({len(z)}) to match target batch_size ({len(t)})."
        )
    shape = t.shape
    if z.ndim > 2:
        classes = z.shape[1]
        z = ops.reshape(ops.moveaxis(z, 1, -1), (-1, classes))
    return z, t.reshape(-1).astype(INT64), shape


def _check_targets(labels: Array, classes: int) -> None:
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise IndexError(f"Target {outside[0]} is out of bounds.")


def _of_probabilities(z: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    """Return the cross-entropy with probabilities for targets."""
    t = target.type(z.dtype)
    if z.ndim == 1:
        z, t = ops.reshape(z, (1, -1)), ops.reshape(t, (1, -1))
    plain = weight is None and not smoothing and z.ndim == 2 and reduction != "none"
    if plain and z._data.size:
        return _loss(_CROSS_ENTROPY, _MEAN if reduction == "mean" else _SUM, z, t)
    if smoothing:
        t = t * (1.0 - smoothing) + smoothing / z.shape[1]
    if weight is not None:
        t = t * weight.reshape([-1 if i == 1 else 1 for i in range(z.ndim)])
    losses = -(t * ops.log_softmax(z, 1)).sum(1)
    return (
        losses
        if reduction == "none"
        else losses.sum() / (float(losses.numel()) if reduction == "mean" else 1.0)
    )


def _nll(
    log_p: Any, labels: Array, counted: Array, shape: tuple[int, ...], weight: Any,
    reduction: str, smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """Return the negative log likelihood of class numbers, those left out among them."""
    kind = log_p._data.dtype
    safe = np.where(counted, labels, 0)
    w = np.ones(log_p.shape[1], kind) if weight is None else values(weight).astype(kind)
    weights = np.where(counted, w[safe], 0).astype(kind)
    losses = -(ops.getitem(log_p, (np.arange(len(safe)), safe)) * weights)
    if smoothing:
        every = -(log_p * w).sum(1) * counted.astype(kind)
        losses = losses * (1.0 - smoothing) + every * (smoothing / log_p.shape[1])
    if reduction == "none":
        return ops.reshape(losses, shape)
    total = losses.sum()
    # Where all are left out this is 0 / 0.
    return total / wrap(np.asarray(weights.sum(), kind)) if reduction == "mean" else total


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Return the negative log likelihood of class numbers, of logarithms of probabilities."""
    _check_reduction(reduction)
    z, labels, shape = _classes(_tensor(input, "nll_loss"), target)
    if labels is None:
        raise RuntimeError("expected scalar type Long but found Float")
    counted = labels != ignore_index
    _check_targets(labels[counted], z.shape[-1])
    return _nll(z, labels, counted, shape, weight, reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return ``target * (log(target) - input)``; `input` holds logarithms."""
    if reduction == "batchmean":
        return kl_div(input, target, "sum", log_target) / float(len(input))
    t = ops.exp(target) if log_target else target
    known = target if log_target else ops.log(ops.where(target > 0, target, 1.0))
    return _reduced(t * (known - input), reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Return how unlikely counts are where rates (their logarithms) are expected."""
    if log_input:
        return _reduced(ops.exp(input) - target * input, reduction)
    return _reduced(input - target * ops.log(input + eps), reduction)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle between vectors along a dimension."""
    sizes = ops.maximum(ops.norm(x1, dim), eps) * ops.maximum(ops.norm(x2, dim), eps)
    return (x1 * x2).sum(dim) / sizes


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """Return the input where the target is 1, ``max(0, margin - input)`` where it is -1."""
    other = tape.relu(margin - input)
    return _reduced(ops.where(target == 1, input, other), reduction)


_OTHERS = {
    "scaled_dot_product_attention": "softmax and @", "gumbel_softmax": "softmax",
    "batch_norm": "nn.BatchNorm1d", "pad": "torch.cat",
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "max_pool2d", "avg_pool2d", "interpolate"),
        "linear over flattened images",
    ),
}  # fmt: skip
__getattr__ = missing("deepc.torch.nn.functional", list(globals()), _OTHERS)
