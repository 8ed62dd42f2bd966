"""Functions of Tensors by the names that Keras has for them: what layers and losses compute with.

They take Tensors, variables, arrays and numbers, and give Tensors whose gradients are known. Of
places, as `Input` gives them, they make layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepc import _tensorflow as _tf
from deepc._c.tape import values as _values
from deepc._values import missing
from deepc.autodiff import ops as _ops
from deepc.keras import activations as _activations
from deepc.keras.layers.merging import Operation
from deepc.keras.layers.places import KerasTensor, flat

__all__: list[str] = []


def _public(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function known: also to places, for which it becomes a layer."""
    name = function.__name__
    shown = "".join(part.capitalize() for part in name.split("_"))
    Operation._functions.setdefault(shown, function)

    @functools.wraps(function)
    def either(*arguments: Any, **named: Any) -> Any:
        given = flat((arguments, named))
        if any(isinstance(one, KerasTensor) for one in given):
            return Operation(shown)(*arguments, **named)
        return function(*arguments, **named)

    globals()[name] = either
    __all__.append(name)
    return either


def _as_tensor(x: Any) -> Any:
    return _tf.convert_to_tensor(x)


# ---- Element by element --------------------------------------------------------------------------


def _elementwise(name: str, function: Callable[[Any], Any], doc: str) -> None:
    def apply(x: Any) -> Any:
        return function(_as_tensor(x))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = doc
    _public(apply)


for _name, _function, _doc in (
    ("exp", _ops.exp, "Return e to the power of each element."),
    ("log", _ops.log, "Return the natural logarithm of each element."),
    ("sqrt", _ops.sqrt, "Return the square root of each element."),
    ("rsqrt", lambda x: 1.0 / _ops.sqrt(x), "Return one over the square root of each element."),
    ("square", lambda x: x * x, "Return the square of each element."),
    ("abs", _ops.abs, "Return the absolute value of each element."),
    ("absolute", _ops.abs, "Return the absolute value of each element."),
    ("negative", lambda x: -x, "Return each element with the other sign."),
    ("reciprocal", lambda x: 1.0 / x, "Return one over each element."),
    ("sin", _ops.sin, "Return the sine of each element."),
    ("cos", _ops.cos, "Return the cosine of each element."),
):
    _elementwise(_name, _function, _doc)


def _activation(name: str) -> None:
    function = _activations.FUNCTIONS[name]

    def apply(x: Any, **given: Any) -> Any:
        return function(_as_tensor(x), **given)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"Return the activation {name} of each element."
    _public(apply)


for _name in _activations.FUNCTIONS:
    if _name not in ("linear", "softmax", "log_softmax", "exponential"):
        _activation(_name)


@_public
def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) divided by its sum along an axis."""
    return _ops.softmax(_as_tensor(x), axis)


@_public
def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return the logarithm of `softmax`."""
    return _ops.log_softmax(_as_tensor(x), axis)


def _binary(name: str, function: Callable[[Any, Any], Any], doc: str) -> None:
    def apply(x1: Any, x2: Any) -> Any:
        return function(*_tf._alike(x1, x2))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = doc
    _public(apply)


for _name, _of_two, _doc in (
    ("add", lambda a, b: a + b, "Return the sums."),
    ("subtract", lambda a, b: a - b, "Return the differences."),
    ("multiply", lambda a, b: a * b, "Return the products."),
    ("divide", lambda a, b: a / b, "Return the quotients."),
    ("true_divide", lambda a, b: a / b, "Return the quotients."),
    ("maximum", _ops.maximum, "Return the larger of each pair."),
    ("minimum", _ops.minimum, "Return the smaller of each pair."),
    ("matmul", _ops.matmul, "Return the product of matrices."),
    ("dot", _ops.matmul, "Return the product of matrices and vectors."),
):
    _binary(_name, _of_two, _doc)


@_public
def power(x1: Any, x2: Any) -> Any:
    """Return elements to the power of others; whole numbers multiply."""
    plain = isinstance(x2, (int, float))
    return _ops.power(_as_tensor(x1), x2 if plain else _as_tensor(x2))


@_public
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """Return each element, or the limit that it is beyond."""
    return _ops.clip(_as_tensor(x), x_min, x_max)


@_public
def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Return elements of the first where a condition holds, of the second elsewhere."""
    return _ops.where(condition, *_tf._alike(x1, x2))


# ---- Along axes ----------------------------------------------------------------------------------


def _reduction(name: str, function: Callable[..., Any], doc: str) -> None:
    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = tuple(axis) if isinstance(axis, list) else axis
        return function(_as_tensor(x), axes, keepdims)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = doc
    _public(reduce)


for _name, _along, _doc in (
    ("sum", _ops.sum, "Return the sum of all elements, or along axes."),
    ("mean", _ops.mean, "Return the mean of all elements, or along axes."),
    ("max", _ops.max, "Return the largest element, or those along axes."),
    ("min", _ops.min, "Return the smallest element, or those along axes."),
    ("var", _ops.var, "Return the variance of all elements, or along axes."),
    ("std", _ops.std, "Return the standard deviation of all elements, or along axes."),
    ("prod", _ops.prod, "Return the product of all elements, or along an axis."),
    ("logsumexp", _ops.logsumexp, "Return the logarithm of the sum of exp(x)."),
):
    _reduction(_name, _along, _doc)


@_public
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the root of the sum of squares."""
    if ord not in (None, 2, "fro", "euclidean"):
        raise ValueError(f"ord: only the root of the sum of squares is there, got {ord!r}")
    return _ops.norm(_as_tensor(x), axis, keepdims)


@_public
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where the largest elements are: the place among all, or along an axis."""
    return _tf.Tensor(np.asarray(np.argmax(_values(x), axis, keepdims=keepdims)))


@_public
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where the smallest elements are: the place among all, or along an axis."""
    return _tf.Tensor(np.asarray(np.argmin(_values(x), axis, keepdims=keepdims)))


# ---- Shapes --------------------------------------------------------------------------------------


@_public
def reshape(x: Any, newshape: Any) -> Any:
    """Return a Tensor in another shape."""
    return _ops.reshape(_as_tensor(x), tuple(newshape))


@_public
def transpose(x: Any, axes: Any = None) -> Any:
    """Return a Tensor with its dimensions reversed, or in another order."""
    return _ops.transpose(_as_tensor(x), *([] if axes is None else [tuple(axes)]))


@_public
def expand_dims(x: Any, axis: int) -> Any:
    """Return a Tensor with one more dimension, of one element."""
    return _ops.expand_dims(_as_tensor(x), axis)


@_public
def squeeze(x: Any, axis: Any = None) -> Any:
    """Return a Tensor without dimensions of one element."""
    return _ops.squeeze(_as_tensor(x), axis)


@_public
def concatenate(xs: Any, axis: int = -1) -> Any:
    """Return Tensors joined along an axis."""
    return _ops.concatenate([_as_tensor(x) for x in xs], axis)


@_public
def stack(x: Any, axis: int = 0) -> Any:
    """Return Tensors joined along a new axis."""
    return _ops.stack([_as_tensor(one) for one in x], axis)


@_public
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Return a Tensor cut along an axis: into equal parts, or at places."""
    return _ops.split(_as_tensor(x), indices_or_sections, axis)


@_public
def take(x: Any, indices: Any, axis: int = 0) -> Any:
    """Return the elements of some places along an axis."""
    ndim = _values(x).ndim
    places = np.asarray(_values(indices), np.int64)
    return _ops.getitem(_as_tensor(x), (slice(None),) * (axis % ndim) + (places,))


@_public
def broadcast_to(x: Any, shape: Any) -> Any:
    """Return a Tensor repeated to a shape."""
    return _ops.broadcast_to(_as_tensor(x), tuple(shape))


def shape(x: Any) -> tuple[int | None, ...]:
    """Return the shape of a Tensor; of a place the batch is None."""
    return tuple(x.shape) if isinstance(x, KerasTensor) else tuple(_values(x).shape)


def ndim(x: Any) -> int:
    """Return how many dimensions a Tensor has."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return how many elements a Tensor has."""
    return int(_values(x).size)


# ---- Making and converting -----------------------------------------------------------------------


@_public
def cast(x: Any, dtype: Any) -> Any:
    """Return a Tensor in another dtype."""
    return _tf.cast(x, dtype)


@_public
def stop_gradient(variable: Any) -> Any:
    """Return a Tensor that no gradient passes through."""
    return _tf.Tensor(_values(variable))


@_public
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """Return rows of zeros with a one at each index."""
    if axis != -1:
        raise ValueError(f"axis: only -1 is supported, got {axis}")
    return _tf.one_hot(x, num_classes, dtype=_tf.float32 if dtype is None else np.dtype(dtype))


def _comparison(name: str, function: Callable[..., Any]) -> None:
    def compare(x1: Any, x2: Any) -> Any:
        return _tf.Tensor(np.asarray(function(_values(x1), _values(x2))))

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Return where elements are {name.replace('_', ' ')}."
    _public(compare)


for _name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
    _comparison(_name, getattr(np, _name))
_elementwise("sign", lambda x: _tf.Tensor(np.sign(x.data)), "Return the sign of each element.")


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """Return a Tensor: the very one if it is one of that dtype."""
    return _tf.convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> Any:
    """Return a copy as an array."""
    return np.array(_values(x))


def is_tensor(x: Any) -> bool:
    """Whether something is a Tensor."""
    return isinstance(x, _tf.Tensor)


zeros, ones, zeros_like, ones_like = _tf.zeros, _tf.ones, _tf.zeros_like, _tf.ones_like


def full(shape: Any, fill_value: Any, dtype: Any = _tf.float32) -> Any:
    """Return a Tensor of one number."""
    return _tf.Tensor(np.full(shape, fill_value, dtype))


def arange(*arguments: Any, dtype: Any = None) -> Any:
    """Return whole numbers, or others, one after the other."""
    return _tf.convert_to_tensor(np.arange(*arguments).astype(dtype or _tf.int32))


def eye(N: int, M: int | None = None, dtype: Any = _tf.float32) -> Any:
    """Return a matrix with ones on its diagonal."""
    return _tf.Tensor(np.eye(N, M, dtype=dtype))


__all__ += [
    "arange", "convert_to_numpy", "convert_to_tensor", "eye", "full", "is_tensor", "ndim", "ones",
    "ones_like", "shape", "size", "zeros", "zeros_like",
]  # fmt: skip
_LEFT_OUT = {
    **dict.fromkeys(("einsum", "tensordot", "inner", "outer"), "ops.matmul and ops.reshape"),
    **dict.fromkeys(("log1p", "expm1", "log2", "log10"), "ops.log and ops.exp"),
    **dict.fromkeys(("conv", "max_pool", "average_pool", "depthwise_conv"), "ops.matmul"),
    **dict.fromkeys(("scan", "while_loop", "fori_loop", "cond", "vectorized_map", "map"),
                    "a loop or an `if` in Python"),
    "binary_crossentropy": "losses.binary_crossentropy",
    "categorical_crossentropy": "losses.categorical_crossentropy",
    "sparse_categorical_crossentropy": "losses.sparse_categorical_crossentropy",
}  # fmt: skip
__getattr__ = missing("deepc.keras.ops", __all__, _LEFT_OUT)
