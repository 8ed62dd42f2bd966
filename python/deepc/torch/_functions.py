"""Functions of the module: what makes Tensors, and the Tensor's methods as functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepc._c import random as _random
from deepc._c import tape
from deepc._c.tape import values
from deepc._values import default_dtype
from deepc._values import set_default_dtype as _set_default_dtype
from deepc.autodiff import ops
from deepc.autodiff.tensor import enable_grad as enable_grad
from deepc.autodiff.tensor import no_grad as no_grad
from deepc.torch._rng import Generator, key
from deepc.torch._tensor import Tensor, _check_device, _product, _shape, tape_is_silent, wrap
from deepc.torch._types import as_numpy_dtype, of_numpy

# ---- What makes Tensors --------------------------------------------------------------------------


def _made(array: Any, requires_grad: bool, device: Any) -> Any:
    if device is not None:
        _check_device(device)
    result = wrap(array)
    return result.requires_grad_() if requires_grad else result


def _kind(dtype: Any) -> Any:
    return as_numpy_dtype(dtype) or default_dtype()


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return zeros."""
    return _made(np.zeros(_shape(size), _kind(dtype)), requires_grad, device)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Return ones."""
    return _made(np.ones(_shape(size), _kind(dtype)), requires_grad, device)


empty = zeros


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return one number everywhere."""
    kind = as_numpy_dtype(dtype)
    if kind is None and isinstance(fill_value, float):
        kind = default_dtype()
    if kind is None:
        kind = np.dtype(bool if isinstance(fill_value, bool) else np.int64)
    return _made(np.full(size, fill_value, kind), requires_grad, device)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return the numbers from `start` (0) up to `end`, without it."""
    if end is None:
        start, end = 0, start
    kind = as_numpy_dtype(dtype)
    if kind is None:
        floats = any(isinstance(number, float) for number in (start, end, step))
        kind = default_dtype() if floats else np.dtype(np.int64)
    count = max(math.ceil((end - start) / step), 0)
    array = np.arange(count) * step + start
    return _made(array.astype(kind), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return so many evenly spaced numbers, both ends among them."""
    return _made(np.linspace(start, end, steps, dtype=_kind(dtype)), requires_grad, device)


def logspace(start: float, end: float, steps: int, base: float = 10.0, **more: Any) -> Any:
    """Return the powers of a base at evenly spaced exponents."""
    kind = _kind(more.pop("dtype", None))
    return _made(np.logspace(start, end, steps, base=base).astype(kind), False, more.get("device"))


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None) -> Any:
    """Return ones on the diagonal, zeros beside it."""
    return _made(np.eye(n, m, dtype=_kind(dtype)), False, device)


def zeros_like(input: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Any:
    """Return zeros of the shape and dtype of another Tensor."""
    return _made(np.zeros_like(values(input), as_numpy_dtype(dtype)), requires_grad, None)


def ones_like(input: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Any:
    """Return ones of the shape and dtype of another Tensor."""
    return _made(np.ones_like(values(input), as_numpy_dtype(dtype)), requires_grad, None)


empty_like = zeros_like


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, **_: Any) -> Any:
    """Return one number everywhere, in the shape and dtype of another Tensor."""
    return wrap(np.full_like(values(input), fill_value, as_numpy_dtype(dtype)))


# ---- Random numbers ------------------------------------------------------------------------------


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return numbers drawn evenly from [0, 1)."""
    array = _random.uniform(_shape(size), _kind(dtype), key(generator))
    return _made(array, requires_grad, device)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Return numbers drawn from the normal distribution."""
    array = _random.normal(_shape(size), _kind(dtype), key(generator))
    return _made(array, requires_grad, device)


def rand_like(input: Any, *, dtype: Any = None, **_: Any) -> Any:
    """Return numbers drawn evenly from [0, 1), in the shape and dtype of another Tensor."""
    return rand(values(input).shape, dtype=dtype or values(input).dtype)


def randn_like(input: Any, *, dtype: Any = None, **_: Any) -> Any:
    """Return normal numbers in the shape and dtype of another Tensor."""
    return randn(values(input).shape, dtype=dtype or values(input).dtype)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, device: Any = None,
) -> Any:  # fmt: skip
    """Return whole numbers from `low` (0) up to `high`, without it."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    numbers = _random.uniform(tuple(size), np.dtype("f8"), key(generator))
    array = (numbers * (high - low)).astype(np.int64) + low
    return _made(array.astype(as_numpy_dtype(dtype) or np.int64), False, device)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None) -> Any:
    """Return the numbers from 0 to n - 1 in random order."""
    order = _random.permutation(n, _random.key(key(generator)))
    return wrap(order.astype(as_numpy_dtype(dtype) or np.int64, copy=False))


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Any:
    """Return normal numbers of a mean and a deviation: numbers, or a Tensor each."""
    shape = np.broadcast_shapes(np.shape(values(mean)), np.shape(values(std)))
    return randn(shape if size is None else size, generator=generator) * std + mean


def bernoulli(input: Any, *, generator: Generator | None = None) -> Any:
    """Return 1 with the probabilities that a Tensor holds, else 0."""
    p = values(input)
    return wrap((_random.uniform(p.shape, np.dtype("f8"), key(generator)) < p).astype(p.dtype))


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Any:
    """Return places drawn by weights, from each row."""
    weights = np.atleast_2d(np.asarray(values(input), np.float64))
    if (weights < 0).any() or not np.isfinite(weights).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    enough = (weights > 0).sum(-1).min() >= num_samples
    if not replacement and not enough:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    shape = (num_samples if replacement else 1, *weights.shape)
    numbers = _random.uniform(shape, np.dtype("f8"), key(generator))
    if replacement:
        ends = np.cumsum(weights, -1) / weights.sum(-1, keepdims=True)
        found = (numbers[:, :, :1] >= ends).sum(-1).T
        found = np.minimum(found, weights.shape[-1] - 1)
    else:
        # The smallest of exponential times are a sample without replacement.
        with np.errstate(divide="ignore"):
            times = -np.log1p(-numbers[0]) / weights
        found = np.argsort(times, -1, kind="stable")[:, :num_samples]
    return wrap(found.astype(np.int64).reshape((*np.shape(values(input))[:-1], num_samples)))


# ---- Several Tensors -----------------------------------------------------------------------------


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return Tensors joined along a dimension that they have."""
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    try:
        result = ops.concatenate(tensors, dim)
    except ValueError as error:
        raise RuntimeError(
            f"Sizes of tensors must match except in dimension {dim}. {error}"
        ) from None
    return result


concat = concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return Tensors of one shape joined along a new dimension."""
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0].shape
    for i, one in enumerate(tensors):
        if one.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 "
                f"and {list(one.shape)} at entry {i}"
            )
    return ops.concatenate([ops.expand_dims(one, dim) for one in tensors], dim)


def vstack(tensors: Sequence[Any]) -> Any:
    """Return Tensors joined as rows."""
    return cat([t if t.dim() > 1 else t.reshape(1, -1) for t in tensors], 0)


def hstack(tensors: Sequence[Any]) -> Any:
    """Return Tensors joined as columns."""
    tensors = tuple(tensors)
    return cat(tensors, 0 if tensors[0].dim() < 2 else 1)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Return elements of one Tensor where a condition holds, else of the other."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    arrays = [x for x in (input, other) if isinstance(x, Tensor)]
    if arrays and all(not x.is_floating_point() for x in arrays):
        return wrap(np.where(values(condition), _bare(input), _bare(other)))
    result = ops.where(condition, input, other)
    return result if isinstance(result, Tensor) else wrap(result)


def _bare(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def maximum(input: Any, other: Any) -> Any:
    """Return the larger element of each pair."""
    return ops.maximum(input, other)


def minimum(input: Any, other: Any) -> Any:
    """Return the smaller element of each pair."""
    return ops.minimum(input, other)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """Return ``beta * input + alpha * (mat1 @ mat2)``."""
    product = _product(mat1, mat2)
    return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


def _smooth(name: str, compute: Any, slope: Any, doc: str) -> Any:
    """Return a function of single elements from NumPy's, and its slope by x and y."""

    def rule(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
        return (g * slope(inputs[0], y),)

    def function(input: Any) -> Any:
        a = ops._float(input, name)
        with np.errstate(all="ignore"):
            return tape.record(name, rule, np.asarray(compute(a), a.dtype), (input,), None)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


log1p = _smooth(
    "log1p", np.log1p, lambda x, y: 1.0 / (1.0 + x), "Return log(1 + x), right for small x."
)
expm1 = _smooth("expm1", np.expm1, lambda x, y: y + 1.0, "Return exp(x) - 1, right for small x.")
atan = arctan = _smooth(
    "atan", np.arctan, lambda x, y: 1.0 / (1.0 + x * x), "Return the inverse of the tangent."
)
erf = _smooth(
    "erf",
    lambda a: ops._erf(a.astype(np.float64)),
    lambda x, y: ops.exp(-(x * x)) * (2.0 / math.sqrt(math.pi)),
    "Return the error function.",
)


def log2(input: Any) -> Any:
    """Return the logarithm to the base 2."""
    return ops.log(input) * (1.0 / math.log(2.0))


def log10(input: Any) -> Any:
    """Return the logarithm to the base 10."""
    return ops.log(input) * (1.0 / math.log(10.0))


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Return what lies the part `weight` of the way from one Tensor to another."""
    return input + (end - input) * weight


def flip(input: Any, *dims: Any) -> Any:
    """Return the Tensor in the reverse order along dimensions."""
    index = [slice(None)] * input.ndim
    for axis in _shape(dims):
        index[axis] = slice(None, None, -1)
    return input[tuple(index)].contiguous()


def roll(input: Any, shifts: int, dims: int | None = None) -> Any:
    """Return the Tensor with its elements moved along a dimension, the last ones to the front."""
    places = np.roll(np.arange(input.numel()).reshape(input.shape), shifts, dims)
    return input.reshape(-1)[places]


def diag(input: Any) -> Any:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix."""
    if input.ndim == 1:
        return input.unsqueeze(1) * np.eye(len(input), dtype=input._data.dtype)
    places = np.arange(min(input.shape))
    return input[places, places]


def median(input: Any) -> Any:
    """Return the middle element, of two the smaller."""
    flat = input.reshape(-1)
    return flat[int(np.argsort(flat._data, kind="stable")[(flat.numel() - 1) // 2])]


def logical_and(input: Any, other: Any) -> Any:
    """Return where both Tensors are true."""
    return wrap(np.logical_and(values(input), values(other)))


def logical_or(input: Any, other: Any) -> Any:
    """Return where one of two Tensors is true, or both are."""
    return wrap(np.logical_or(values(input), values(other)))


def logical_xor(input: Any, other: Any) -> Any:
    """Return where just one of two Tensors is true."""
    return wrap(np.logical_xor(values(input), values(other)))


def count_nonzero(input: Any) -> Any:
    """Return how many elements are not 0."""
    return wrap(np.asarray(np.count_nonzero(values(input))))


def broadcast_to(input: Any, size: Any) -> Any:
    """Return the Tensor repeated to a shape."""
    return input.expand(*size)


def movedim(input: Any, source: int, destination: int) -> Any:
    """Return the Tensor with one dimension moved to another place."""
    return ops.moveaxis(input, source, destination)


def repeat_interleave(input: Any, repeats: int, dim: int | None = None) -> Any:
    """Return the Tensor with each part along a dimension repeated."""
    x = input.reshape(-1) if dim is None else input
    axis = dim or 0
    return x.index_select(axis, np.repeat(np.arange(x.shape[axis]), repeats))


def tril(input: Any, diagonal: int = 0) -> Any:
    """Return a matrix with zeros above a diagonal."""
    return input * np.tril(np.ones(input.shape[-2:], input._data.dtype), diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """Return a matrix with zeros below a diagonal."""
    return input * np.triu(np.ones(input.shape[-2:], input._data.dtype), diagonal)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Return the coordinates of a grid, a Tensor for each dimension."""
    grids = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
    made = np.meshgrid(*(values(t) for t in grids), indexing=indexing)  # type: ignore[call-overload]
    return tuple(wrap(np.ascontiguousarray(one)) for one in made)


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    """Return where the elements of two Tensors are nearly the same."""
    return wrap(np.isclose(values(input), values(other), rtol, atol))


def bincount(input: Any, minlength: int = 0) -> Any:
    """Return how often each whole number occurs."""
    return wrap(np.bincount(values(input), minlength=minlength))


# ---- What is known of Tensors --------------------------------------------------------------------


def is_tensor(obj: Any) -> bool:
    """Return whether something is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """Return the number of elements."""
    return input.numel()


def is_grad_enabled() -> bool:
    """Return whether operations are recorded."""
    return not tape_is_silent()


class set_grad_enabled:
    """Record operations or not, from now on or in a ``with`` block."""

    def __init__(self, mode: bool) -> None:
        self._before = tape.set_silent(not mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        tape.set_silent(self._before)


class inference_mode(no_grad):
    """`no_grad`; ``inference_mode(False)`` does nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = mode

    def __enter__(self) -> None:
        self._before.append(tape.set_silent(self._mode or tape_is_silent()))

    def __call__(self, function: Any) -> Any:
        """Run a function that way, each time."""
        return super().__call__(function) if self._mode else function


def finfo(dtype: Any) -> Any:
    """Return what there is to know of floats: eps, max, tiny."""
    return np.finfo(as_numpy_dtype(dtype))


def set_default_dtype(d: Any) -> None:
    """Set the dtype of new float Tensors and layers, of all of deepc: float32 or float64."""
    _set_default_dtype(as_numpy_dtype(d))


def get_default_dtype() -> Any:
    """Return the dtype of new float Tensors."""
    return of_numpy(default_dtype())


def set_num_threads(number: int) -> None:
    """Set how many threads compute, at most."""
    from deepc._c import library

    library.set_num_threads(number)


def get_num_threads() -> int:
    """Return how many threads compute, at most."""
    from deepc._c import library

    return library.get_num_threads()


def use_deterministic_algorithms(mode: bool, **_: Any) -> None:
    """Do nothing: deepc's results are always the same."""


def set_float32_matmul_precision(precision: str) -> None:
    """Do nothing: products are float32's."""


# ---- Methods as functions ------------------------------------------------------------------------


def _function(name: str) -> Callable[..., Any]:
    method = getattr(Tensor, name)

    @functools.wraps(method)
    def function(input: Any, *arguments: Any, **keywords: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not "
                f"{type(input).__name__}"
            )
        return method(input, *arguments, **keywords)

    function.__qualname__ = function.__name__ = name
    return function


# THE list of methods that are functions too.
METHODS = (
    "abs", "add", "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "argsort", "bmm",
    "ceil", "chunk", "clamp", "clip", "clone", "cos", "cumsum", "detach", "div", "dot", "eq",
    "equal", "exp", "flatten", "floor", "gather", "ge", "gt", "index_select", "isfinite", "isinf",
    "isnan", "le", "log", "log_softmax", "logical_not", "logsumexp", "lt", "masked_select",
    "matmul", "max", "mean", "min", "mm", "mul", "mv", "narrow", "ne", "neg", "nonzero", "norm",
    "outer", "permute", "pow", "prod", "reciprocal", "relu", "remainder", "reshape", "round",
    "rsqrt", "sigmoid", "sign", "sin", "softmax", "sort", "split", "sqrt", "square", "squeeze",
    "std", "sub", "sum", "t", "tanh", "topk", "transpose", "unbind", "unique", "unsqueeze", "var",
)  # fmt: skip
# Functions of above that are methods too.
for _name in (
    "atan", "bincount", "broadcast_to", "count_nonzero", "diag", "erf", "expm1", "flip", "isclose",
    "lerp", "log10", "log1p", "log2", "logical_and", "logical_or", "logical_xor", "maximum",
    "median", "minimum", "movedim", "repeat_interleave", "roll", "tril", "triu",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
# By name, apart from this module's own names: among them are Python's `all`, `max` and `sum`.
FUNCTIONS: dict[str, Any] = {
    name: value
    for name, value in globals().items()
    if name[0] != "_" and getattr(value, "__module__", "") == __name__
}
FUNCTIONS.update({name: _function(name) for name in METHODS}, no_grad=no_grad)
FUNCTIONS.update(enable_grad=enable_grad)
