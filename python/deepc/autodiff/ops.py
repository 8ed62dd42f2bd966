"""Operations on Tensors. Each takes arrays too, and then returns an array without a history.

An operation is a pair: what it computes, and a rule that gets the gradient of the result and
returns those of the inputs. Rules are written with operations, so that they run over arrays, and
over Tensors where a gradient is differentiated again. A returned gradient may have the broadcast
shape: the tape sums it to its input's.

What the library has a function for is computed there, with the same bits for any number of threads
and any instruction set; the rest, off the fast path, by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from deepc._c import random as _random
from deepc._c import tape
from deepc._c.activations import ACTIVATIONS
from deepc._c.losses import REDUCTIONS
from deepc._c.tape import Node, gate, quotient, record, values
from deepc._values import INT64, Array, as_float, as_int, default_dtype, describe

Rule = Callable[[Any, Any, tuple[Any, ...], Any], Any]
Axis = int | tuple[int, ...] | None


# ---- Small words ---------------------------------------------------------------------------------


def _float(x: Any, name: str) -> Array:
    """Return the array of an operand that has to hold floats."""
    if isinstance(x, Node) and not isinstance(x._data, np.ndarray):
        raise TypeError(
            f"{name}: expected a Tensor or an array, got {describe(x)}; stack() makes a Tensor of "
            "Scalars"
        )
    array: Array = values(x)
    if array.dtype.kind != "f":
        array = np.asarray(array, default_dtype())
    return array


def _quiet(function: Callable[..., Any], *arguments: Any) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(function(*arguments))


def _axes(axis: Axis, ndim: int, name: str) -> tuple[int, ...]:
    """Return axes as numbers from 0; None stands for all."""
    if axis is None:
        return tuple(range(ndim))
    found = []
    for one in axis if isinstance(axis, (tuple, list)) else (axis,):
        number = as_int(one, f"{name}: axis")
        if not -ndim <= number < ndim:
            raise ValueError(f"{name}: axis {number} is not one of {ndim} dimensions")
        found.append(number % ndim)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: axis {axis} names a dimension twice")
    return tuple(sorted(found))


def _kept(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _guarded(g: Any, slope: Any) -> Any:
    """Return g times slope, but 0 where g is 0: a slope that nothing passes through may be inf."""
    a, b = values(g), values(slope)
    y = _quiet(lambda: np.where(a == 0, a.dtype.type(0), a * b))
    return record("*", _guarded_rule, y, (g, slope), None)


def _guarded_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return _guarded(g, inputs[1]), g * inputs[0]


# ---- Functions of single elements ----------------------------------------------------------------


def exp(x: Any) -> Any:
    """Return e to the power of each element.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, exp
    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> exp(x).sum().backward()
    >>> x.grad
    array([1.       , 2.7182817], dtype=float32)
    """
    return tape.exp(x)


def log(x: Any) -> Any:
    """Return the natural logarithm of each element; its slope at 0 is infinite."""
    return tape.log(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of each element."""
    return tape.tanh(x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) of each element."""
    return tape.sigmoid(x)


def relu(x: Any) -> Any:
    """Return each element, or 0 where it is negative; the slope at 0 is 0."""
    return tape.relu(x)


def sqrt(x: Any) -> Any:
    """Return the square root of each element. Its slope at 0 is infinite, but passes a 0 as 0."""
    return record("sqrt", _sqrt_rule, _quiet(np.sqrt, _float(x, "sqrt")), (x,), None)


def _sqrt_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (quotient(g, 2.0 * y),)


def abs(x: Any) -> Any:
    """Return the absolute value of each element; the slope at 0 is 0."""
    a = _float(x, "abs")
    return record("abs", _sign_rule, np.asarray(np.abs(a)), (x,), np.asarray(np.sign(a)))


def _sign_rule(g: Any, y: Any, inputs: tuple[Any, ...], sign: Any) -> Any:
    return (g * sign,)


def sin(x: Any) -> Any:
    """Return the sine of each element."""
    return record("sin", _sin_rule, _quiet(np.sin, _float(x, "sin")), (x,), None)


def _sin_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (g * cos(inputs[0]),)


def cos(x: Any) -> Any:
    """Return the cosine of each element."""
    return record("cos", _cos_rule, _quiet(np.cos, _float(x, "cos")), (x,), None)


def _cos_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (-(g * sin(inputs[0])),)


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x)) of each element, right for large and for very negative ones."""
    return _activation("softplus", x)


def silu(x: Any) -> Any:
    """Return x sigmoid(x) of each element."""
    return _activation("silu", x)


def gelu(x: Any) -> Any:
    """Return x times the normal distribution function of x, of each element."""
    return _activation("gelu", x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where it is positive, else alpha (exp(x) - 1), of each element."""
    return _activation("elu", x, alpha)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Return x where it is positive, else slope times x, of each element."""
    return _activation("leaky_relu", x, slope)


def _activation(name: str, x: Any, parameter: float = 0.0) -> Any:
    """Return an activation of the library of each element."""
    known = ACTIVATIONS[name]
    if known.parameter:
        parameter = as_float(parameter, known.parameter, known.least)
    result = tape.activation(x, known.number, parameter)
    if result is NotImplemented:
        x = _plain(x, _float(x, name).dtype)
        result = tape.activation(x, known.number, parameter)
    return result


def _function_rule(name: str, parameter: float, g: Any, y: Any, x: Any) -> Any:
    """Return the gradient of an activation or softmax over Tensors: it is differentiated again."""
    return g * _SLOPES[name](x, y, parameter) if name in _SLOPES else _ROWS[name](g, y)


def _gelu_slope(x: Any, y: Any, _: float) -> Any:
    # The density times x, and the distribution function: y / x, but not at 0.
    density = exp(-0.5 * (x * x)) * (1.0 / math.sqrt(2.0 * math.pi))
    return _normal_cdf(x) + x * density


def _normal_cdf(x: Any) -> Any:
    a = values(x)
    y = 0.5 * (1.0 + _erf(a.astype(np.float64) / math.sqrt(2.0)))
    return record("normal_cdf", _normal_cdf_rule, np.asarray(y, a.dtype), (x,), None)


_erf = np.vectorize(math.erf, [np.float64])


def _normal_cdf_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    (x,) = inputs
    return (g * (exp(-0.5 * (x * x)) * (1.0 / math.sqrt(2.0 * math.pi))),)


def _silu_slope(x: Any, y: Any, _: float) -> Any:
    s = sigmoid(x)
    return s + y * (1.0 - s)


_SLOPES: dict[str, Callable[[Any, Any, float], Any]] = {
    "softplus": lambda x, y, _: sigmoid(x), "silu": _silu_slope, "gelu": _gelu_slope,
    "elu": lambda x, y, alpha: where(values(x) > 0, 1.0, y + alpha),
    "leaky_relu": lambda x, y, slope: np.where(values(x) > 0, 1.0, slope).astype(values(x).dtype),
}  # fmt: skip


# ---- Powers --------------------------------------------------------------------------------------


def power(a: Any, b: Any) -> Any:
    """Return a to the power of b, element by element.

    A constant whole exponent is computed by multiplications, and one that is constant never takes
    a logarithm of `a`. ``x ** 0`` is 1 with slope 0, also at 0.
    """
    scalars = tape.power(a, b)
    if scalars is not NotImplemented:
        return scalars
    constant = b if isinstance(b, (int, float)) else None
    if constant is None and not isinstance(b, Node):
        array = values(b)
        constant = float(array) if array.ndim == 0 else None
    if constant is not None:
        return _constant_power(a, constant)
    x, p = values(a), values(b)
    dtype = tape.result_dtype(x, p)
    if dtype.kind != "f":
        dtype = default_dtype()
    y = _quiet(np.power, x.astype(dtype), p.astype(dtype))
    return record("**", _power_rule, y, (a, b), None)


def _power_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    a, b = inputs
    slope = _guarded(b, power(a, b - 1.0))
    zero = (values(a) == 0) & (values(b) >= 0)
    return _guarded(g, slope), g * where(zero, 0.0, y * log(where(zero, 1.0, a)))


def _constant_power(x: Any, p: float) -> Any:
    if p == 1:
        return x * 1.0
    if p == 2:
        return x * x
    if p == 3:
        return x * x * x
    if p == -1:
        return 1.0 / x
    a = _float(x, "**")
    if p == 0.5:
        return sqrt(x)
    y = _quiet(np.power, a, a.dtype.type(p))
    return record("**", _constant_power_rule, y, (x,), p)


def _constant_power_rule(g: Any, y: Any, inputs: tuple[Any, ...], p: float) -> Any:
    (x,) = inputs
    if p == 0:
        return (g * 0.0,)
    return (_guarded(g, p * power(x, p - 1.0)),)


# ---- Choosing ------------------------------------------------------------------------------------


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return the elements of `a` where the condition holds, else those of `b`.

    What is not chosen passes no gradient, whatever its slope.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, sqrt, where
    >>> x = Tensor([0.0, 4.0], requires_grad=True)
    >>> where(x < 1, x, sqrt(x)).sum().backward()
    >>> x.grad
    array([1.  , 0.25], dtype=float32)
    """
    mask = np.asarray(values(condition), bool)
    dtype = tape.result_dtype(*(v if isinstance(v, (int, float)) else values(v) for v in (a, b)))
    x, y = (np.asarray(v if isinstance(v, (int, float)) else values(v), dtype) for v in (a, b))
    return record("where", _where_rule, np.asarray(np.where(mask, x, y)), (a, b), mask)


def _where_rule(g: Any, y: Any, inputs: tuple[Any, ...], mask: Any) -> Any:
    return where(mask, g, 0.0), where(mask, 0.0, g)


def _chosen(name: str, a: Any, b: Any, pick: Any, less: Any) -> Any:
    x, y = (v if isinstance(v, (int, float)) else values(v) for v in (a, b))
    dtype = tape.result_dtype(x, y)
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    # What is equal shares the gradient.
    share = np.asarray(np.where(x == y, 0.5, np.where(less(y, x), 1.0, 0.0)), dtype)
    return record(name, _chosen_rule, np.asarray(pick(x, y)), (a, b), share)


def _chosen_rule(g: Any, y: Any, inputs: tuple[Any, ...], share: Any) -> Any:
    return g * share, g * (1.0 - share)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger element of each pair; equal ones share the gradient."""
    return _chosen("maximum", a, b, np.maximum, np.less)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller element of each pair; equal ones share the gradient."""
    return _chosen("minimum", a, b, np.minimum, np.greater)


def clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    """Return each element, or the limit that it is beyond; at the limits the slope is 1."""
    a = _float(x, "clip")
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    inside = np.asarray((a >= low) & (a <= high), a.dtype)
    return record("clip", _sign_rule, np.asarray(np.clip(a, low, high), a.dtype), (x,), inside)


# ---- Sums and their like -------------------------------------------------------------------------


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the sum of all elements, or along axes.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.autodiff import Tensor
    >>> x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    >>> x.sum(axis=0)
    Tensor([3., 5., 7.], dtype=float64)
    """
    if axis is None and not keepdims:
        return tape.total(x)
    a = values(x)
    axes = _axes(axis, a.ndim, "sum")
    return record("sum", _sum_rule, tape.summed(a, axes, keepdims), (x,), axes)


def _sum_rule(g: Any, y: Any, inputs: tuple[Any, ...], axes: tuple[int, ...]) -> Any:
    # The tape repeats it to the input's shape.
    return (reshape(g, _kept(inputs[0].shape, axes)),)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean of all elements, or along axes."""
    shape = values(x).shape
    count = math.prod(shape[i] for i in _axes(axis, len(shape), "mean"))
    return sum(x, axis, keepdims) / float(count)


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Return the variance: the mean of squared distances from the mean (divisor: count - ddof)."""
    shape = values(x).shape
    count = math.prod(shape[i] for i in _axes(axis, len(shape), "var"))
    distance = x - mean(x, axis, True)
    return sum(distance * distance, axis, keepdims) / float(count - ddof)


def std(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Return the standard deviation; of equal numbers it is 0 with slope 0."""
    variance = var(x, axis, keepdims, ddof)
    return record("std", _std_rule, _quiet(np.sqrt, values(variance)), (variance,), None)


def _std_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    # Not the infinite slope of a root: the deviation is a norm, whose least slope at 0 is 0.
    return (g * where(values(y) == 0, 0.0, quotient(0.5, y)),)


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the root of the sum of squares; of zeros it is 0 with slope 0."""
    a = _float(x, "norm")
    axes = _axes(axis, a.ndim, "norm")
    y = _quiet(np.sqrt, tape.summed(np.ascontiguousarray(a * a), axes, keepdims))
    return record("norm", _norm_rule, y, (x,), axes)


def _norm_rule(g: Any, y: Any, inputs: tuple[Any, ...], axes: tuple[int, ...]) -> Any:
    (x,) = inputs
    kept = _kept(x.shape, axes)
    return (reshape(g, kept) * quotient(x, reshape(y, kept)),)


def _extreme(name: str, x: Any, axis: Axis, keepdims: bool, pick: Any) -> Any:
    a = _float(x, name)
    axes = _axes(axis, a.ndim, name)
    if a.size == 0:
        raise ValueError(f"{name}: expected at least one element, got shape {a.shape}")
    kept = pick(a, axis=axes, keepdims=True)
    mask = (a == kept).astype(a.dtype)
    share = np.asarray(mask / mask.sum(axis=axes, keepdims=True))
    y = np.asarray(kept if keepdims else kept.reshape([n for i, n in enumerate(a.shape)
                                                       if i not in axes]))  # fmt: skip
    return record(name, _extreme_rule, y, (x,), (axes, share))


def _extreme_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    axes, share = context
    return (reshape(g, _kept(inputs[0].shape, axes)) * share,)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the largest element, or those along axes; equal ones share the gradient."""
    return _extreme("max", x, axis, keepdims, np.max)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the smallest element, or those along axes; equal ones share the gradient."""
    return _extreme("min", x, axis, keepdims, np.min)


def prod(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the product of all elements, or along an axis; right also where some are 0."""
    a = _float(x, "prod")
    (one,) = (-1,) if axis is None else _axes(axis, a.ndim, "prod")
    x = x if isinstance(x, Node) else values(x)
    y = tape.product(x, one, keepdims)
    if y is NotImplemented:  # of whole numbers, or of floats that the library does not know
        whole = np.asarray(np.prod(values(x), axis, keepdims=keepdims))
        y = record("prod", None, whole, (x,), None)
    return y


def _prod_rule(g: Any, x: Any, axis: int) -> Any:
    """Each slope is the product of the others, made of the products to the left and right."""
    if axis < 0:
        flat = reshape(x, (math.prod(x.shape),))
        return reshape(_prod_rule(reshape(g, ()), flat, 0), x.shape)
    n = x.shape[axis]
    parts = [getitem(x, (slice(None),) * axis + (i,)) for i in range(n)]
    left: list[Any] = [1.0] * n
    right: list[Any] = [1.0] * n
    for i in range(1, n):
        left[i] = left[i - 1] * parts[i - 1]
        right[n - 1 - i] = right[n - i] * parts[n - i]
    flat = reshape(g, tuple(m for i, m in enumerate(x.shape) if i != axis))
    slopes = [flat * (left[i] * right[i]) for i in range(n)]
    return stack(slopes, axis) if n else zeros_like(x)


def zeros_like(x: Any) -> Array:
    """Return zeros of the shape and dtype of a Tensor or array."""
    return np.zeros_like(values(x))


# ---- Softmax and its like ------------------------------------------------------------------------


def _last(x: Any, axis: int, name: str) -> tuple[Any, int]:
    """Return x with an axis moved to the end, and that axis as a number from 0."""
    ndim = len(x.shape) if isinstance(x, Node) else values(x).ndim
    if ndim == 0:
        raise ValueError(f"{name}: expected at least one dimension")
    (number,) = _axes(axis, ndim, name)
    return (x if number == ndim - 1 else moveaxis(x, number, -1)), number


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) divided by its sum along an axis; nothing overflows."""
    return _of_rows("softmax", tape.softmax, x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return the logarithm of softmax along an axis, without taking that of a small number."""
    return _of_rows("log_softmax", tape.log_softmax, x, axis)


def _of_rows(name: str, function: Callable[[Any], Any], x: Any, axis: int) -> Any:
    """Return a function of the rows along an axis."""
    moved, number = _last(x, axis, name)
    result = function(moved)
    if result is NotImplemented:
        result = function(_plain(moved, _float(moved, name).dtype))
    return result if moved is x else moveaxis(result, -1, number)


_ROWS: dict[str, Callable[[Any, Any], Any]] = {
    "softmax": lambda g, y: y * (g - sum(y * g, -1, True)),
    "log_softmax": lambda g, y: g - exp(y) * sum(g, -1, True),
}


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the logarithm of the sum of exp(x), of all elements or along axes.

    Nothing overflows; of nothing but -inf it is -inf with slope 0.
    """
    a = np.ascontiguousarray(_float(x, "logsumexp"))
    axes = _axes(axis, a.ndim, "logsumexp")
    top = a.max(axis=axes, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0).astype(a.dtype)
    total = tape.summed(tape.exp(_quiet(np.subtract, a, shift)), axes, True)
    y = _quiet(np.add, tape.log(total), shift)
    if not keepdims:
        y = y.reshape([n for i, n in enumerate(a.shape) if i not in axes])
    return record("logsumexp", _logsumexp_rule, y, (x,), (axes, shift))


def _logsumexp_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    axes, shift = context
    # Not exp(x - y), whose error grows with y: 0.5000000000000275 at (1000, 1000).
    weights = exp(inputs[0] - shift)
    kept = _kept(inputs[0].shape, axes)
    return (reshape(g, kept) * quotient(weights, sum(weights, axes, True)),)


# ---- Shapes --------------------------------------------------------------------------------------


def reshape(x: Any, *shape: Any) -> Any:
    """Return the elements in another shape; one number may be -1."""
    a = values(x)
    new = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    if tuple(new) == a.shape:
        return x
    try:
        y = a.reshape(new)
    except ValueError:
        raise ValueError(
            f"reshape: {a.size} elements of shape {a.shape} do not fit {new}"
        ) from None
    return record("reshape", _reshape_rule, y, (x,), None)


def _reshape_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (reshape(g, inputs[0].shape),)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Return x repeated to a shape, as NumPy broadcasts."""
    a = values(x)
    if a.shape == tuple(shape):
        return x
    return record("broadcast_to", _same_rule, np.array(np.broadcast_to(a, shape)), (x,), None)


def alias(x: Any) -> Any:
    """Return the same Tensor as another node: a place to differentiate by inside a graph."""
    return record("alias", _same_rule, values(x), (x,), None)


def _same_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (g,)


def transpose(x: Any, *axes: Any) -> Any:
    """Return x with its dimensions in another order; without one, reversed."""
    a = values(x)
    order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
    order = _order(order, a.ndim) if order else tuple(reversed(range(a.ndim)))
    return record("transpose", _transpose_rule, a.transpose(order), (x,), order)


def _order(order: Sequence[int], ndim: int) -> tuple[int, ...]:
    numbers = tuple(as_int(i, "transpose: axis") % (ndim or 1) for i in order)
    if sorted(numbers) != list(range(ndim)):
        raise ValueError(f"transpose: {tuple(order)} is no order of {ndim} dimensions")
    return numbers


def _transpose_rule(g: Any, y: Any, inputs: tuple[Any, ...], order: tuple[int, ...]) -> Any:
    return (transpose(g, tuple(int(i) for i in np.argsort(order))),)


def moveaxis(x: Any, source: int, target: int) -> Any:
    """Return x with one dimension moved to another place."""
    ndim = values(x).ndim
    order = [i for i in range(ndim) if i != source % ndim]
    order.insert(target % ndim, source % ndim)
    return transpose(x, tuple(order))


def squeeze(x: Any, axis: Axis = None) -> Any:
    """Return x without dimensions of one element, or without those given."""
    shape = values(x).shape
    if axis is None:
        return reshape(x, tuple(n for n in shape if n != 1))
    axes = _axes(axis, len(shape), "squeeze")
    if any(shape[i] != 1 for i in axes):
        raise ValueError(f"squeeze: axis {axis} of shape {shape} has more than one element")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in axes))


def expand_dims(x: Any, axis: int) -> Any:
    """Return x with one more dimension, of one element."""
    shape = list(values(x).shape)
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
    return reshape(x, tuple(shape))


def flatten(x: Any, start: int = 0) -> Any:
    """Return x with its dimensions from `start` on as one."""
    shape = values(x).shape
    return reshape(x, (*shape[:start], math.prod(shape[start:])))


def _index(index: Any) -> Any:
    """Return an index without Tensors."""
    if isinstance(index, tuple):
        return tuple(_index(part) for part in index)
    return index._data if isinstance(index, Node) else index


def getitem(x: Any, index: Any) -> Any:
    """Return elements by any index of NumPy's; the gradients of one that is repeated add up."""
    a, index = values(x), _index(index)
    return record("getitem", _getitem_rule, np.asarray(a[index]), (x,), (index, a.shape))


def _getitem_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    return (_put(g, *context),)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts)


def _put(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of a shape with x added at an index."""
    a = values(x)
    y = np.zeros(shape, a.dtype)
    if _is_basic(index):
        y[index] = a
    elif isinstance(index, tuple) or not tape.add_rows(y, np.asarray(index), a):
        np.add.at(y, index, a)
    return record("put", _put_rule, y, (x,), index)


def _put_rule(g: Any, y: Any, inputs: tuple[Any, ...], index: Any) -> Any:
    return (getitem(g, index),)


def put(x: Any, index: Any, value: Any) -> Any:
    """Return x with other elements at an index, which may not name one twice.

    What item assignment would do in place: ``t = put(t, index, value)``.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, put
    >>> put(Tensor([1.0, 2.0, 3.0]), 1, 9.0)
    Tensor([1., 9., 3.])
    """
    a, index = values(x), _index(index)
    new = value._data if isinstance(value, Node) else value
    new = new if isinstance(new, (int, float)) else values(new)
    y = np.array(a, tape.result_dtype(a, new), order="C")
    y[index] = new
    return record("put", _replaced_rule, y, (x, value), index)


def _replaced_rule(g: Any, y: Any, inputs: tuple[Any, ...], index: Any) -> Any:
    return put(g, index, 0.0), getitem(g, index)


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Return Tensors joined along an axis that they have."""
    inputs = tuple(tensors)
    arrays = [values(t) for t in inputs]
    if not arrays:
        raise ValueError("concatenate: expected at least one Tensor")
    (number,) = _axes(axis, arrays[0].ndim, "concatenate")
    dtype = tape.result_dtype(*arrays)
    try:
        y = np.concatenate([np.asarray(a, dtype) for a in arrays], number)
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"concatenate: shapes {shapes} differ outside axis {axis}") from None
    ends = tuple(int(i) for i in np.cumsum([a.shape[number] for a in arrays]))
    return record("concatenate", _concatenate_rule, y, inputs, (number, ends))


def _concatenate_rule(g: Any, y: Any, inputs: tuple[Any, ...], context: Any) -> Any:
    axis, ends = context
    starts = (0, *ends[:-1])
    before = (slice(None),) * axis
    return tuple(
        getitem(g, (*before, slice(start, end))) for start, end in zip(starts, ends, strict=True)
    )


def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Return Tensors (or Scalars) joined along a new axis."""
    inputs = list(tensors)
    if inputs and all(isinstance(t, Node) and not isinstance(t._data, np.ndarray) for t in inputs):
        return tape.gather(inputs)
    arrays = [values(t) for t in inputs]
    shapes = {a.shape for a in arrays}
    if len(shapes) != 1:
        raise ValueError(f"stack: expected Tensors of one shape, got {sorted(shapes)}")
    (number,) = _axes(axis, arrays[0].ndim + 1, "stack")
    y = np.stack([np.asarray(a, tape.result_dtype(*arrays)) for a in arrays], number)
    return record("stack", _stack_rule, y, tuple(inputs), number)


def _stack_rule(g: Any, y: Any, inputs: tuple[Any, ...], axis: int) -> Any:
    before = (slice(None),) * axis
    return tuple(getitem(g, (*before, i)) for i in range(len(inputs)))


def split(x: Any, parts: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Return x cut along an axis: into equal parts, or at the given places."""
    a = values(x)
    (number,) = _axes(axis, a.ndim, "split")
    n = a.shape[number]
    if isinstance(parts, int):
        if parts < 1 or n % parts:
            raise ValueError(f"split: {n} elements do not divide into {parts} equal parts")
        ends = [n // parts * (i + 1) for i in range(parts)]
    else:
        ends = [*parts, n]
    before = (slice(None),) * number
    starts = [0, *ends[:-1]]
    return [getitem(x, (*before, slice(s, e))) for s, e in zip(starts, ends, strict=True)]


# ---- Products ------------------------------------------------------------------------------------


def matmul(a: Any, b: Any) -> Any:
    """Return the matrix product, by NumPy's rules for vectors and stacks of matrices."""
    result = tape.matmul(a, b, False, False)
    if result is not NotImplemented:
        return result
    x, y = values(a), values(b)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(
            f"matmul: expected at least 1 dimension, got shapes {x.shape} and {y.shape}; "
            "* multiplies by numbers"
        )
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ValueError(f"matmul: inner sizes differ, {x.shape} @ {y.shape}")
    if x.ndim == 1:
        return squeeze(matmul(reshape(a, (1, -1)), b), -2 if y.ndim > 1 else 0)
    if y.ndim == 1:
        return squeeze(matmul(a, reshape(b, (-1, 1))), -1)
    dtype = tape.result_dtype(x, y)
    if dtype.kind != "f":
        return record("@", _matmul_rule, np.matmul(x, y), (a, b), None)
    if x.ndim == y.ndim == 2:
        return matmul(_plain(a, dtype), _plain(b, dtype))
    if y.ndim == 2:
        rows = matmul(reshape(a, (-1, x.shape[-1])), b)
        return reshape(rows, (*x.shape[:-1], y.shape[-1]))
    return record("@", _matmul_rule, _products(x.astype(dtype), y.astype(dtype)), (a, b), None)


def _products(x: Array, y: Array) -> Array:
    """Return the products of stacks of matrices, each by the library."""
    outer = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    left, right = (
        np.ascontiguousarray(np.broadcast_to(m, outer + m.shape[-2:])).reshape(-1, *m.shape[-2:])
        for m in (x, y)
    )
    z = np.empty((len(left), x.shape[-2], y.shape[-1]), x.dtype)
    for one, a, b in zip(z, left, right, strict=True):
        one[...] = tape.matmul(a, b, False, False)
    return z.reshape(*outer, *z.shape[1:])


def _matmul_rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    a, b = inputs
    return matmul(g, _swapped(b)), matmul(_swapped(a), g)


def _swapped(x: Any) -> Any:
    return moveaxis(x, -1, -2)


def astype(x: Any, dtype: Any) -> Any:
    """Return x in another dtype; its gradient comes back in its own."""
    a = values(x)
    if a.dtype == dtype:
        return x
    return record("astype", _same_rule, np.asarray(a, dtype), (x,), None)


SIGMOID, TANH, RELU = (ACTIVATIONS[name].number for name in ("sigmoid", "tanh", "relu"))
# Those in the same operation, by number.
_ACTIVATIONS = {
    None: ACTIVATIONS["identity"].number, "identity": ACTIVATIONS["identity"].number,
    "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU,
}  # fmt: skip
_AFTER = {
    "gelu": gelu, "silu": silu, "softplus": softplus, "elu": elu, "leaky_relu": leaky_relu,
    "softmax": softmax, "log_softmax": log_softmax,
}  # fmt: skip


def fused(activation: str | None) -> int:
    """Return the number of an activation that a product may have in the same operation."""
    return _ACTIVATIONS[activation]


@tape.quick(_ACTIVATIONS)
def linear(x: Any, w: Any, b: Any = None, activation: str | None = None) -> Any:
    """Return activation(x @ w + b) as one operation.

    Backward writes the gradients of parameters where these keep them.

    Parameters
    ----------
    x : Tensor or array_like of shape (inputs,) or (rows, inputs)
    w : Tensor of shape (inputs, outputs)
    b : Tensor of shape (outputs,), optional
    activation : str, optional
        ``"sigmoid"``, ``"tanh"``, ``"relu"`` in the same operation; the names of other functions
        of this module follow it.

    Raises
    ------
    ValueError
        If shapes do not fit or the activation is unknown.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, linear
    >>> w = Tensor([[1.0], [2.0]], requires_grad=True)
    >>> linear([[10.0, 20.0]], w, activation="relu")
    Tensor([[50.]])
    """
    number = _ACTIVATIONS.get(activation)
    if number is not None:
        return tape.linear(x, w, b, number)
    if activation not in _AFTER:
        names = sorted(str(name) for name in [*_ACTIVATIONS, *_AFTER] if name)
        raise ValueError(f"activation: expected one of {', '.join(names)}, got {activation!r}")
    return _AFTER[activation](tape.linear(x, w, b, 0))


def _linear(x: Any, w: Any, b: Any, activation: int) -> Any:
    """Compute what the fused product does not take as it is: other dtypes, more dimensions."""
    if activation & tape.TRANSPOSED:
        return tape.linear(x, transpose(w), b, activation & ~tape.TRANSPOSED)
    a, m = values(x), values(w)
    bias = None if b is None else values(b)
    if m.ndim != 2 or a.ndim == 0 or a.shape[-1] != m.shape[0]:
        raise ValueError(
            f"linear: x of shape {a.shape} and w of shape {m.shape} do not fit; expected "
            "(rows, inputs) and (inputs, outputs)"
        )
    if bias is not None and bias.shape != (m.shape[1],):
        raise ValueError(f"linear: expected b of shape ({m.shape[1]},), got {bias.shape}")
    # Parameters decide the dtype: inputs are cast to it, as layers do.
    dtype = tape.result_dtype(m, *([] if bias is None else [bias]))
    if dtype.kind != "f":
        raise TypeError(f"linear: expected w of float32 or float64, got {m.dtype}")
    x, w = _plain(x, dtype), _plain(w, dtype)
    b = None if b is None else _plain(b, dtype)
    if a.ndim > 2:
        rows = tape.linear(reshape(x, (-1, a.shape[-1])), w, b, activation)
        return reshape(rows, (*a.shape[:-1], m.shape[1]))
    return tape.linear(x, w, b, activation)


def _plain(x: Any, dtype: Any) -> Any:
    """Return an operand in a dtype, C-contiguous."""
    a = values(x)
    if a.dtype == dtype and a.flags.c_contiguous:
        return x if isinstance(x, Node) else a
    return record("astype", _same_rule, np.array(a, dtype, order="C"), (x,), None)


def _linear_rule(g: Any, y: Any, x: Any, w: Any, activation: int) -> Any:
    if activation & tape.TRANSPOSED:
        d_x, d_w, d_b = _linear_rule(g, y, x, transpose(w), activation & ~tape.TRANSPOSED)
        return d_x, transpose(d_w), d_b
    if activation == SIGMOID:
        g = g * (y * (1.0 - y))
    elif activation == TANH:
        g = g * (1.0 - y * y)
    elif activation == RELU:
        g = gate(y, g)
    if len(x.shape) == 1:
        return matmul(w, g), reshape(x, (-1, 1)) * reshape(g, (1, -1)), g
    return matmul(g, transpose(w)), matmul(transpose(x), g), sum(g, 0)


# ---- Losses --------------------------------------------------------------------------------------


# Whether a loss is the mean over the rows.
_MEANS = {"mean": True, "sum": False}


@tape.quick(_MEANS)
def cross_entropy(logits: Any, targets: Any, reduction: str = "mean") -> Any:
    """Return the cross-entropy of softmax(logits), as one operation.

    Parameters
    ----------
    logits : Tensor of shape (classes,) or (rows, classes)
    targets : array_like or Tensor
        Class numbers, integers of shape (rows,); or probabilities of the shape of `logits`.
    reduction : {"mean", "sum"}, optional
        The mean over the rows, or the sum.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, cross_entropy
    >>> logits = Tensor([[0.0, 0.0]], requires_grad=True)
    >>> cross_entropy(logits, [1]).backward()
    >>> logits.grad
    array([[ 0.5, -0.5]], dtype=float32)
    """
    return tape.loss(tape.CROSS_ENTROPY, _is_mean(reduction), logits, targets)


@tape.quick(_MEANS)
def squared_error(predicted: Any, targets: Any, reduction: str = "mean") -> Any:
    """Return the sum of squared differences, its mean over the rows, as one operation.

    Parameters
    ----------
    predicted : Tensor of shape (outputs,) or (rows, outputs)
    targets : array_like or Tensor of the shape of `predicted`
    reduction : {"mean", "sum"}, optional
        The mean over the rows (not over the elements), or the sum.
    """
    return tape.loss(tape.SQUARED_ERROR, _is_mean(reduction), predicted, targets)


def _is_mean(reduction: str) -> bool:
    if reduction not in tuple(_MEANS):
        raise ValueError(f"reduction: expected 'mean' or 'sum', got {describe(reduction)}")
    return _MEANS[reduction]


def _loss(kind: int, reduction: int, predicted: Any, actual: Any, *parameter: float) -> Any:
    """Compute a loss of what the fused one does not take as it is."""
    p = _float(predicted, "predicted")
    t = values(actual)
    if p.ndim not in (1, 2) or not p.size:
        raise ValueError(f"predicted: expected (outputs,) or (rows, outputs), got shape {p.shape}")
    if kind == tape.CROSS_ENTROPY and t.dtype.kind in "iu" and t.ndim == p.ndim - 1:
        return _loss_of_labels(reduction, predicted, p, t)
    if t.shape != p.shape:
        more = " or labels of its rows" if kind == tape.CROSS_ENTROPY else ""
        raise ValueError(f"targets: expected the shape {p.shape}{more}, got shape {t.shape}")
    predicted = _plain(predicted, p.dtype)
    if isinstance(actual, Node) and actual.requires_grad:
        return _composed_loss(kind, reduction, predicted, actual)
    return tape.loss(kind, reduction, predicted, np.array(t, p.dtype, order="C"), *parameter)


def _loss_of_labels(reduction: int, predicted: Any, p: Array, labels: Array) -> Any:
    if p.ndim == 1:
        return _loss_of_labels(reduction, reshape(predicted, (1, -1)), p[None], labels[None])
    if labels.shape != p.shape[:1]:
        raise ValueError(f"targets: expected {len(p)} labels, got shape {labels.shape}")
    outside = (labels < 0) | (labels >= p.shape[1])
    if outside.any():
        raise ValueError(
            f"targets: expected labels from 0 to {p.shape[1] - 1}, got {labels[outside][0]}"
        )
    predicted = _plain(predicted, p.dtype)
    return tape.loss(tape.CROSS_ENTROPY, reduction, predicted, np.array(labels, INT64, order="C"))


def _count(reduction: int, shape: tuple[int, ...]) -> float:
    """Return by what a mean of losses divides their sum."""
    if reduction == REDUCTIONS["mean_of_elements"]:
        return float(math.prod(shape))
    return float(shape[0]) if reduction and len(shape) == 2 else 1.0


def _composed_loss(kind: int, reduction: int, predicted: Any, actual: Any) -> Any:
    """Compute a loss by single operations: targets get a gradient too."""
    if kind not in (tape.CROSS_ENTROPY, tape.SQUARED_ERROR):
        raise TypeError("targets: this loss has no gradient by its targets; detach() them")
    if kind == tape.CROSS_ENTROPY:
        total = -sum(actual * log_softmax(predicted))
    else:
        difference = predicted - actual
        total = sum(difference * difference)
    count = _count(reduction, predicted.shape)
    return total / count if count != 1 else total


def _loss_rule(kind: int, reduction: int, g: Any, predicted: Any, actual: Any) -> Any:
    count = _count(reduction, predicted.shape)
    if kind == tape.SQUARED_ERROR:
        return (predicted - actual) * (g * (2.0 / count))
    if kind != tape.CROSS_ENTROPY:
        raise RuntimeError(
            "loss: its gradient cannot be differentiated again; write it with operations of "
            "deepc.autodiff where second derivatives are wanted"
        )
    if actual.dtype.kind in "iu":
        actual = np.eye(predicted.shape[1], dtype=predicted.dtype)[actual]
    return (softmax(predicted) - actual) * (g * (1.0 / count))


# ---- Dropout -------------------------------------------------------------------------------------


def dropout(x: Any, p: float, training: bool = True, rng: Any = None) -> Any:
    """Return x with elements dropped with probability p and the rest divided by 1 - p.

    Parameters
    ----------
    x : Tensor or array_like
    p : float
    training : bool, optional
        Otherwise x is returned as it is.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the key of the random numbers comes from; the ``random`` module if not given.
    """
    rate = as_float(p, "p", 0.0, 1.0)
    if not training or rate == 0:
        return x
    a = _float(x, "dropout")
    kept = tape.dropped(np.ones(a.shape, a.dtype), _random.key(rng), rate)
    scale = kept * a.dtype.type(1 / (1 - rate) if rate < 1 else 0)
    return record("dropout", _sign_rule, np.asarray(a * scale), (x,), scale)


def argmax(x: Any, axis: int | None = None) -> Array:
    """Return where the largest element is: plain integers, without a history."""
    return cast(Array, np.asarray(np.argmax(values(x), axis=axis)))


tape.register(
    linear=_linear, linear_rule=_linear_rule, loss=_loss, loss_rule=_loss_rule,
    function_rule=_function_rule, product_rule=_prod_rule,
)  # fmt: skip
