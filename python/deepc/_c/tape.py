"""The tape's node and its functions, and what they ask of Python where C cannot take an operand.

A node is a value, what it was computed from, and its gradient: ``csrc/python/tape.h`` says how it
works. The functions take nodes, arrays and numbers alike: of nodes they record, of arrays they
compute. The helpers here know arrays only; those over Tensors are added by ``deepc.autodiff``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.library import TYPED, check, pointer
from deepc._c.losses import LOSSES
from deepc._values import FLOAT32, FLOAT64, Array, any_array, as_array, default_dtype, describe

if TYPE_CHECKING:

    class Node:
        """What Scalar and Tensor share: a value, what it was computed from, its gradient."""

        data: Any
        grad: Any
        _data: Any
        _grad: Any
        requires_grad: bool
        shape: tuple[int, ...]
        dtype: np.dtype[Any]
        label: Any
        _prev: tuple[Any, ...]
        _op: str
        _version: int
        _code: int
        _hooks: dict[Any, Callable[[Any], Any]] | None

        def __new__(cls, *arguments: Any, **keywords: Any) -> Any: ...
        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __pos__(self) -> Any: ...

else:
    Node = _deepc.Node

# Elementwise, of a node, an array or a number each.
exp, log, tanh = _deepc.tape_exp, _deepc.tape_log, _deepc.tape_tanh
sigmoid, relu, relu_product = _deepc.tape_sigmoid, _deepc.tape_relu, _deepc.tape_relu_product
# (a, b): a / b but 0 where a is 0; (a > 0) b; a ** b, of Scalars only.
quotient, gate, power = _deepc.tape_quotient, _deepc.tape_gate, _deepc.tape_power
# (x): the sum of all elements; (x, array): x summed or repeated to the array's shape.
total, fit = _deepc.tape_sum, _deepc.tape_fit
# (y, int64 numbers from 0 of rows, g): adds rows of g to those of y; whether C took them.
add_rows = _deepc.tape_add_rows
# (x, axis or -1 for all, keepdims): NotImplemented of what C does not take.
product = _deepc.tape_product
# (x, number, parameter), (x): NotImplemented of what C does not take as it is.
activation = _deepc.tape_activation
softmax, log_softmax = _deepc.tape_softmax, _deepc.tape_log_softmax
# (a, b, transpose_a, transpose_b): of matrices, else NotImplemented.
matmul = _deepc.tape_matmul
# (x, w, b or None, activation), where activation + TRANSPOSED says that w is (outputs, inputs);
# (kind, reduction, predicted, actual[, parameter]).
TRANSPOSED = 1 << 16
linear, loss = _deepc.tape_linear, _deepc.tape_loss
# (steps, x): each of a list applied to what the one before gave; a function, or (w, b, activation).
chain = _deepc.tape_chain
# (x, list of (w, b, activation)): one linear after the other, NotImplemented where something does
# not fit as it is.
linears = _deepc.tape_linears
# (x, address, list of leaves, owner, name): a compiled network as one operation, or NotImplemented.
network = _deepc.tape_network
# (name, rule, data, inputs, context): an operation that Python computed. Its backward is
# rule(g, y, inputs, context), over arrays, or over nodes where gradients are differentiated again.
record = _deepc.tape_record
# (node, inputs, backward, name): an operation whose backward(*inputs, output) adds to .grad, which
# is lent to it.
lent = _deepc.tape_lent
# (dict, function): the parameters among its values, and in lists, tuples and dicts of them, each
# once. Of any other value function(value) gives a list of those that are in it.
collect: Callable[..., list[Any]] = _deepc.tape_collect
# (object, method, function): sets the gradients of those among its attributes to 0; False where its
# `parameters` is another method.
zero_own = _deepc.tape_zero_own
# A list of Scalars as one Tensor; the elements of a Tensor as a list of Scalars.
gather, spread = _deepc.tape_gather, _deepc.tape_spread
# (tensor, index): one element, by its number, as a Scalar; (leaf, array): the array takes the place
# of its own, which what was computed before keeps.
item, swap = _deepc.tape_item, _deepc.tape_swap
# (tensor, array, shared): the array is its gradient, shared with a layer or not; (list): gradients
# stand for zeros, and (list, True) passes over what is no node; (list): gradients are zeros where
# they stood for it, and the parameters are about to change.
adopt, zero, settle = _deepc.tape_adopt, _deepc.tape_zero, _deepc.tape_settle
retain = _deepc.tape_retain
# (list of leaves): how many have a gradient; what was computed from these is out of date from now
# on. (class, array): a Tensor of that class over an array as it is.
due, over = _deepc.tape_due, _deepc.tape_over
# (node, seed or None, free); (ys, seeds, xs, create): tuples.
backward, gradients = _deepc.tape_backward, _deepc.tape_gradients
# (value): set for this thread; returns what it was.
set_silent, set_detects = _deepc.tape_silent, _deepc.tape_detects

# What a layer and a loss do with a Tensor: autodiff, which knows how, puts it here.
bridges: dict[str, Callable[..., Any]] = {}

CROSS_ENTROPY = LOSSES["softmax_cross_entropy"].number
SQUARED_ERROR = LOSSES["squared_error"].number

os.register_at_fork(after_in_child=_deepc.tape_after_fork)

_OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide}


def dropped(x: Array, key: int, rate: float) -> Array:
    """Return a C-contiguous array with elements dropped by the first pass of a random stream."""
    y = np.empty_like(x)
    typed = TYPED[x.dtype]
    check(typed.dropout(key, 0, rate, x.size, pointer(x), pointer(y, True)), "dropout")
    return y


def convert(value: Any, dtype: Any = None) -> Array:
    """Return what a Tensor holds: a C-contiguous array of float32, float64, integers or booleans.

    Floats keep their dtype where they have one of the two; lists of Python floats take the default
    dtype.
    """
    if isinstance(value, Node):
        value = value._data
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Node) for item in value):
        raise TypeError(
            "data: a list of Tensors or Scalars; stack() joins them and keeps their gradients"
        )
    array = any_array(value, "data")
    if dtype is not None:
        dtype = np.dtype(dtype)
        if dtype.kind not in "iub" and dtype not in (FLOAT32, FLOAT64):
            raise ValueError(f"dtype: expected float32, float64 or integers, got {dtype}")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"data: expected real numbers, got {describe(value)}")
        return np.asarray(array, dtype, order="C")
    if array.dtype.kind in "iub":
        return np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.kind == "f" and not isinstance(value, (np.ndarray, np.generic)):
        return as_array(array, "data", default_dtype())
    return as_array(array, "data")


def _weak(value: Any) -> Any:
    """Return an operand as an array or a number; None if it is neither."""
    if isinstance(value, (bool, int, float, np.ndarray)):
        return value
    if isinstance(value, np.generic):
        return value.item() if value.dtype.kind in "iub" else np.asarray(value)
    if isinstance(value, (list, tuple)):
        return any_array(value, "operand")
    return None


def result_dtype(*values: Any) -> np.dtype[Any]:
    """Return the dtype of a result: the wider of the float arrays'; numbers and integers are weak.

    Arrays of integers among themselves keep NumPy's rules.
    """
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    if any(dtype.itemsize > 4 for dtype in floats):
        return FLOAT64
    if floats:
        return FLOAT32
    if any(isinstance(value, float) for value in values) or not arrays:
        return default_dtype()
    return np.result_type(*arrays)


def binary(name: str, a: Any, b: Any) -> Any:
    """Compute an operation that C does not take as it is, by NumPy's rules of broadcasting."""
    strong = [value for value in (a, b) if isinstance(value, np.ndarray)]
    left, right = _weak(a), _weak(b)
    if left is None or right is None:
        return NotImplemented
    dtype = result_dtype(*(strong or (left, right)))
    if any(isinstance(value, float) for value in (left, right)) and dtype.kind != "f":
        dtype = default_dtype()
    if name in ("gate", "quotient", "/") and dtype.kind != "f":
        dtype = default_dtype()
    left, right = np.asarray(left, dtype), np.asarray(right, dtype)
    try:
        np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        raise ValueError(
            f"{name}: shapes {left.shape} and {right.shape} do not fit: dimensions, from the last, "
            "have to be equal or 1"
        ) from None
    with np.errstate(all="ignore"):
        if name == "gate":
            result = (left > 0) * right
        elif name in _OPERATIONS:
            result = _OPERATIONS[name](left, right)
        else:
            result = np.where(left == 0, 0, left / right)
    return np.asarray(result, dtype)


def unary(name: str, x: Any) -> Any:
    """Compute a function of one operand that C does not take as it is."""
    weak = _weak(x)
    if weak is None:
        raise TypeError(f"{name}: expected a Tensor, an array or a number, got {describe(x)}")
    if name == "sum" and isinstance(weak, np.ndarray) and weak.dtype.kind in "iub":
        return np.asarray(weak.sum())
    if name == "neg" and isinstance(weak, np.ndarray) and weak.dtype.kind in "iu":
        return -weak
    array = np.array(weak, result_dtype(weak), order="C")
    if array.dtype.kind != "f":
        array = array.astype(default_dtype())
    return _UNARY[name](array)


_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda x: np.asarray(-x), "exp": exp, "log": log, "sigmoid": sigmoid, "tanh": tanh,
    "relu": relu, "sum": total,
}  # fmt: skip


def fitted(x: Any, like: Array) -> Array:
    """Return x summed or repeated to the shape of an array, in its dtype."""
    array = np.asarray(x, like.dtype, order="C")
    extra = array.ndim - like.ndim
    try:
        if np.broadcast_shapes(array.shape, like.shape) == like.shape:
            return np.array(np.broadcast_to(array, like.shape), order="C")
    except ValueError:
        pass
    if extra < 0 or any(n not in (1, m) for n, m in zip(like.shape, array.shape[extra:])):  # noqa: B905
        raise ValueError(
            f"gradient: expected shape {like.shape} or one that broadcasts to it, got {array.shape}"
        )
    axes = (
        *range(extra),
        *(extra + i for i, n in enumerate(like.shape) if n == 1 != array.shape[extra + i]),
    )
    return summed(array, axes, True).reshape(like.shape)


def summed(x: Array, axes: Sequence[int], keepdims: bool) -> Array:
    """Return sums over some axes, in the order of the library's sums whatever the axes are."""
    axes = tuple(axes)
    if x.dtype.kind == "f" and axes:
        return cast(Array, _deepc.tape_summed(np.ascontiguousarray(x), axes, keepdims))
    return np.asarray(x.sum(axis=axes, keepdims=keepdims)) if axes else x


def seed(value: Any, like: Array) -> Array:
    """Return what backward starts with: of the result's shape, which is not summed to."""
    array = as_array(value, "gradient", like.dtype)
    if array.shape != like.shape and array.size != 1:
        raise ValueError(
            f"gradient: expected the shape of the result, {like.shape}, got {array.shape}"
        )
    if array.size == like.size:
        array = array.reshape(like.shape)
    return np.array(np.broadcast_to(array, like.shape), order="C")


_Function = TypeVar("_Function", bound=Callable[..., Any])


def quick(words: Mapping[Any, int]) -> Callable[[_Function], _Function]:
    """Make a function a builtin that does what is usual without a detour, as a decorator.

    Its last argument is one of these words; with others, the function itself is called.
    """

    def made(function: _Function) -> _Function:
        code, usual = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        shown = [f"{name}={value!r}" for name, value in zip(names[::-1], usual[::-1], strict=False)]
        signature = ", ".join([*names[: -len(usual)], *shown[::-1]])
        text = f"{function.__name__}({signature})\n--\n\n{function.__doc__ or ''}"
        return cast(_Function, _deepc.tape_quick(function, names, words, words[usual[-1]], text))

    return made


_Class = TypeVar("_Class", bound=type[Node])
_families: list[type[Node]] = []


def family(scalars: bool) -> Callable[[_Class], _Class]:
    """Make a class one of the tape's own, as a decorator; its objects are faster to drop."""

    def made(cls: _Class) -> _Class:
        own = {name: value for name, value in vars(cls).items() if name != "__slots__"}
        return cast(_Class, _deepc.tape_family(f"{cls.__module__}.{cls.__name__}", scalars, own))

    return made


def register(families: Sequence[type[Node]] = (), **helpers: Callable[..., Any]) -> None:
    """Make classes known whose instances operations return, and functions that the tape asks.

    The first family is Scalar, the second Tensor, later ones those of faces. A family's class has
    empty ``__slots__``.
    """
    for family in families:
        own = next(cls for cls in family.__mro__ if cls.__base__ is Node)
        if family.__basicsize__ != own.__basicsize__ or family.__dictoffset__:
            raise TypeError(f"{family.__name__}: a family of the tape needs __slots__ = ()")
    _families.extend(families)
    _deepc.tape_register(_families, helpers)


register(convert=convert, binary=binary, unary=unary, fit=fitted, seed=seed)


def values(x: Any) -> Any:
    """Return the array of a Tensor, an array as it is, anything else as an array."""
    if isinstance(x, Node):
        data = x._data
        return data if isinstance(data, np.ndarray) else np.asarray(data)
    return x if isinstance(x, np.ndarray) else convert(x)
