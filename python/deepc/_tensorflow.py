"""What `deepc.tf` has: names, defaults and words of TensorFlow over `deepc.autodiff`."""

from __future__ import annotations

import random as _random
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from typing import cast as _cast

import numpy as np

from deepc._c import tape as _tape
from deepc._values import Array, describe
from deepc.autodiff import ops
from deepc.autodiff.tensor import Tensor as _Base
from deepc.autodiff.tensor import no_grad
from deepc.autodiff.transforms import _flatten, gradients
from deepc.initializers import random_tensor

__all__ = [
    "GradientTape", "Tensor", "Variable", "abs", "argmax", "bool", "cast", "concat", "constant",
    "convert_to_tensor", "equal", "exp", "float32", "float64", "function", "int32", "int64",
    "matmul", "maximum", "minimum", "nn", "one_hot", "ones", "ones_like", "random", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_sum", "reshape", "sqrt", "square", "transpose", "zeros",
    "zeros_like",
]  # fmt: skip

float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int32, int64, bool = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_)


# ---- Tensors -------------------------------------------------------------------------------------


class Tensor(_Base):
    """An array that does not change, as TensorFlow prints it; arithmetic keeps its dtype."""

    __slots__ = ()

    def numpy(self) -> Any:
        """Return the array, or the number if there is one of no dimensions."""
        return self.data[()]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        array = self.data if dtype is None else self.data.astype(dtype, copy=False)
        return _cast(Array, array.copy() if copy and array is self.data else array)

    def __repr__(self) -> str:
        return f"<tf.Tensor: shape={self.shape}, dtype={self.dtype}, numpy={_shown(self.data)}>"

    def __str__(self) -> str:
        return f"tf.Tensor({self.data}, shape={self.shape}, dtype={self.dtype})"


def _shown(data: Array) -> str:
    text = repr(data) if data.ndim else repr(data.item())
    return f"\n{text}" if "\n" in text else text


def _operator(name: str) -> Callable[[Any, Any], Any]:
    plain = getattr(_Base, name)

    def operator(self: Any, other: Any) -> Any:
        # What NumPy has made takes the Tensor's dtype, as Python's numbers do.
        if isinstance(other, (np.ndarray, np.generic, list)):
            other = np.asarray(other, self.dtype)
        return plain(self, other)

    operator.__name__ = name
    return operator


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"):
    setattr(Tensor, f"__{_name}__", _operator(f"__{_name}__"))

_tape.register([Tensor])


def _array(value: Any, dtype: Any = None) -> Array:
    """Return an array as TensorFlow would make it: of Python's numbers float32 and int32."""
    if isinstance(value, _tape.Node):
        value = value.data
    elif isinstance(value, (list, tuple)) and any(isinstance(v, _tape.Node) for v in value):
        value = [v.data if isinstance(v, _tape.Node) else v for v in value]
    given = isinstance(value, (np.ndarray, np.generic))
    array = np.asarray(value)
    if dtype is None and not given and array.dtype.kind in "fi":
        dtype = float32 if array.dtype.kind == "f" else int32
    if array.dtype.kind not in "fiub":
        raise TypeError(f"value: expected numbers, got {describe(value)}")
    return np.array(array, dtype, order="C")


def convert_to_tensor(value: Any, dtype: Any = None) -> Any:
    """Return a Tensor: the very one if it is one of that dtype."""
    if isinstance(value, Tensor) and dtype in (None, value.dtype):
        return value
    if isinstance(value, _tape.Node):
        result = value if dtype is None else ops.astype(value, np.dtype(dtype))
        return _wrapped(result)
    if isinstance(value, (list, tuple)) and any(isinstance(v, _tape.Node) for v in value):
        return ops.stack([convert_to_tensor(v, dtype) for v in value])
    return Tensor(_array(value, dtype))


def _wrapped(result: Any) -> Any:
    """Return a result as a Tensor: one of `deepc.autodiff` stays what it is."""
    return result if isinstance(result, _tape.Node) else Tensor(np.asarray(result))


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """Return a Tensor over a copy of a value."""
    array = _array(value, dtype)
    if shape is not None:
        full = np.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)
        array = np.array(full, order="C")
    return Tensor(array)


class Variable(Tensor):
    """A Tensor that can be assigned to; tapes watch it unless it is not `trainable`.

    Parameters
    ----------
    initial_value : array_like
    trainable : bool, optional
    name : str, optional
    dtype : optional

    Examples
    --------
    >>> from deepc import tf
    >>> v = tf.Variable([1.0, 2.0])
    >>> v.assign_sub([0.5, 0.5])
    <tf.Variable 'Variable:0' shape=(2,) dtype=float32, numpy=array([0.5, 1.5], dtype=float32)>
    """

    trainable: Any
    name: str

    def __new__(
        cls,
        initial_value: Any,
        trainable: Any = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> Any:
        """Make one over a copy of the value."""
        if callable(initial_value) and not isinstance(initial_value, _tape.Node):
            initial_value = initial_value()
        array = _array(initial_value, dtype)
        trained = trainable is not False and array.dtype.kind == "f"
        self = super().__new__(cls, array, trained)
        self.trainable = trainable is not False
        self.name = f"{name or 'Variable'}:0"
        return self

    def assign(self, value: Any) -> Any:
        """Replace the value. Gradients of what was computed before are those of the old one."""
        new = _array(value, self.dtype)
        if new.shape != self.shape:
            raise ValueError(
                f"Cannot assign value to variable ' {self.name}': Shape mismatch.The variable "
                f"shape {self.shape}, and the assigned value shape {new.shape} are incompatible."
            )
        array = self.data
        if sys.getrefcount(array) > 3:  # beside the Variable, this name and the call's own
            _tape.swap(self, new)
        else:
            self.data = new
        return self

    def assign_add(self, delta: Any) -> Any:
        """Add to the value."""
        return self.assign(self.data + _array(delta, self.dtype))

    def assign_sub(self, delta: Any) -> Any:
        """Subtract from the value."""
        return self.assign(self.data - _array(delta, self.dtype))

    def value(self) -> Any:
        """Return the value as a Tensor with this Variable in its history."""
        return ops.alias(self)

    read_value = value

    def __repr__(self) -> str:
        shown = _shown(self.data)
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype}, numpy={shown}>"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        return Variable, (self.data, self.trainable, self.name.removesuffix(":0"))

    def __copy__(self) -> Any:
        return Variable(*self.__reduce__()[1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.__copy__()


# ---- The tape ------------------------------------------------------------------------------------

_open = threading.local()


def is_recording() -> Any:
    """Whether a tape is open in this thread."""
    return getattr(_open, "count", 0) > 0


class GradientTape:
    """Asks for gradients as TensorFlow does.

    Trainable Variables are watched; any other Tensor is after ``watch``.

    Parameters
    ----------
    persistent : bool, optional
        Whether `gradient` may be called more than once.
    watch_accessed_variables : bool, optional
        Otherwise Variables have to be watched too.

    Examples
    --------
    >>> from deepc import tf
    >>> t = tf.Variable(2.0)
    >>> with tf.GradientTape() as outer:
    ...     with tf.GradientTape() as inner:
    ...         position = 4.9 * t**2
    ...     speed = inner.gradient(position, t)
    >>> outer.gradient(speed, t)
    <tf.Tensor: shape=(), dtype=float32, numpy=9.800000190734863>
    """

    def __init__(self, persistent: Any = False, watch_accessed_variables: Any = True) -> None:
        self._persistent = persistent
        self._watches_variables = watch_accessed_variables
        self._watched: dict[int, Any] = {}
        self._used = False

    def __enter__(self) -> GradientTape:
        _open.count = getattr(_open, "count", 0) + 1
        return self

    def __exit__(self, *error: object) -> None:
        _open.count -= 1

    def watch(self, tensor: Any) -> None:
        """Let gradients by a Tensor (or nested lists, tuples and dicts of them) be asked for."""
        leaves: list[Any] = []
        _flatten(tensor, leaves)
        for leaf in leaves:
            if not isinstance(leaf, _tape.Node):
                raise TypeError(f"tensor: expected a Tensor, got {describe(leaf)}; use constant()")
            if leaf.dtype.kind != "f":
                raise TypeError(f"tensor: expected floats, got {leaf.dtype}; use tf.cast()")
            leaf.requires_grad = True
            self._watched[id(leaf)] = leaf

    def watched_variables(self) -> tuple[Any, ...]:
        """Return the Variables that were watched by name."""
        return tuple(v for v in self._watched.values() if isinstance(v, Variable))

    def stop_recording(self) -> no_grad:
        """Compute without a history, in a ``with`` block."""
        return no_grad()

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """Return the gradients of the sum of all targets, in the structure of the sources.

        Parameters
        ----------
        target : Tensor, or list of them
        sources : Tensor or Variable, or nested lists, tuples and dicts of them
        output_gradients : array_like or list of them, optional
            What to start with in place of ones.
        unconnected_gradients : {"none", "zero"}, optional
            What a source gets that no target depends on.

        Returns
        -------
        Tensor, or None where a target does not depend on a source or that is not trainable

        Raises
        ------
        RuntimeError
            If it is called again and the tape is not persistent.
        ValueError
            If a source is a Tensor that was never watched.
        """
        self._use()
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                f"unconnected_gradients: expected 'none' or 'zero', got {unconnected_gradients!r}"
            )
        leaves: list[Any] = []
        build = _flatten(sources, leaves)
        asked = [self._is_asked(leaf, i) for i, leaf in enumerate(leaves)]
        targets = list(target) if isinstance(target, (list, tuple)) else [target]
        starts = output_gradients
        if starts is not None:
            starts = list(starts) if isinstance(target, (list, tuple)) else [starts]
        found = iter(
            gradients(
                [convert_to_tensor(t) for t in targets],
                [leaf for leaf, is_asked in zip(leaves, asked, strict=True) if is_asked],
                starts,
                create_graph=is_recording(),
            )
        )
        results = []
        for leaf, is_asked in zip(leaves, asked, strict=True):
            g = next(found) if is_asked else None
            if g is None and unconnected_gradients == "zero":
                g = np.zeros_like(leaf.data)
            results.append(g if g is None or isinstance(g, Tensor) else convert_to_tensor(g))
        return build(results)

    def jacobian(self, target: Any, source: Any) -> Any:
        """Return the slopes of every element of a target, of shape (*target, *source)."""
        self._use()
        self._is_asked(source, 0)
        rows = []
        for i in range(target.size):
            seed = np.zeros(target.shape, target.dtype)
            seed.flat[i] = 1
            rows.append(gradients([target], [source], [seed], unused="zeros")[0])
        return Tensor(np.reshape(rows, (*target.shape, *source.shape)).astype(source.dtype))

    def _use(self) -> None:
        if self._used and not self._persistent:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians)"
            )
        self._used = True

    def _is_asked(self, source: Any, place: int) -> Any:
        """Whether a source has gradients at all; refuse one of which they were forgotten."""
        if not isinstance(source, _tape.Node):
            raise TypeError(
                f"sources: expected a Tensor or a Variable at place {place}, got {describe(source)}"
            )
        if id(source) in self._watched:
            return True
        if isinstance(source, Variable):
            return source.requires_grad and self._watches_variables
        if source.requires_grad:
            return True
        raise ValueError(
            f"sources: the Tensor at place {place}, of shape {source.shape}, was not watched; call "
            "tape.watch() with it before computing, or make it a Variable"
        )


# ---- Functions -----------------------------------------------------------------------------------


def _function(function: Callable[..., Any], doc: str) -> Callable[..., Any]:
    def over_tensors(x: Any) -> Any:
        return function(convert_to_tensor(x))

    over_tensors.__doc__ = doc
    return over_tensors


square = _function(lambda x: x * x, "Return the square of each element.")
sqrt = _function(ops.sqrt, "Return the square root of each element.")
exp = _function(ops.exp, "Return e to the power of each element.")
abs = _function(ops.abs, "Return the absolute value of each element.")


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two operands as Tensors of the dtype of the one that is a Tensor already."""
    first = a if isinstance(a, _tape.Node) else b if isinstance(b, _tape.Node) else None
    dtype = None if first is None else first.dtype
    return (
        convert_to_tensor(a, None if isinstance(a, _tape.Node) else dtype),
        convert_to_tensor(b, None if isinstance(b, _tape.Node) else dtype),
    )


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of each pair of elements."""
    return ops.maximum(*_alike(a, b))


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of each pair of elements."""
    return ops.minimum(*_alike(a, b))


def matmul(a: Any, b: Any, transpose_a: Any = False, transpose_b: Any = False) -> Any:
    """Return the product of matrices; an array of NumPy's takes the dtype of the Tensor."""
    x, y = _alike(a, b)
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"matmul: expected matrices, got shapes {x.shape} and {y.shape}")
    x = ops.moveaxis(x, -1, -2) if transpose_a else x
    y = ops.moveaxis(y, -1, -2) if transpose_b else y
    return ops.matmul(x, y)


def _reduction(function: Callable[..., Any], doc: str) -> Callable[..., Any]:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Any:
        axis = tuple(axis) if isinstance(axis, list) else axis
        return _wrapped(function(convert_to_tensor(input_tensor), axis, keepdims))

    reduce.__doc__ = doc
    return reduce


reduce_sum = _reduction(ops.sum, "Return the sum of all elements, or along axes.")
reduce_mean = _reduction(ops.mean, "Return the mean of all elements, or along axes.")
reduce_max = _reduction(ops.max, "Return the largest element, or those along axes.")
reduce_min = _reduction(ops.min, "Return the smallest element, or those along axes.")


def zeros(shape: Any, dtype: Any = float32) -> Any:
    """Return a Tensor of zeros."""
    return Tensor(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float32) -> Any:
    """Return a Tensor of ones."""
    return Tensor(np.ones(shape, dtype))


def zeros_like(x: Any) -> Any:
    """Return zeros of the shape and dtype of a Tensor."""
    return Tensor(np.zeros_like(convert_to_tensor(x).data))


def ones_like(x: Any) -> Any:
    """Return ones of the shape and dtype of a Tensor."""
    return Tensor(np.ones_like(convert_to_tensor(x).data))


def cast(x: Any, dtype: Any) -> Any:
    """Return a Tensor in another dtype."""
    return _wrapped(ops.astype(convert_to_tensor(x), np.dtype(dtype)))


def reshape(x: Any, shape: Any) -> Any:
    """Return a Tensor in another shape."""
    return ops.reshape(convert_to_tensor(x), tuple(shape))


def transpose(x: Any, perm: Any = None) -> Any:
    """Return a Tensor with its dimensions reversed, or in another order."""
    return ops.transpose(convert_to_tensor(x), *([] if perm is None else [tuple(perm)]))


def concat(values: Any, axis: int) -> Any:
    """Return Tensors joined along an axis."""
    return ops.concatenate([convert_to_tensor(v) for v in values], axis)


def one_hot(indices: Any, depth: int, dtype: Any = float32) -> Any:
    """Return rows of zeros with a one at each index; of one outside there are zeros only."""
    places = np.asarray(_array(indices))
    return Tensor((places[..., None] == np.arange(depth)).astype(dtype))


def argmax(x: Any, axis: int | None = None) -> Any:
    """Return where the largest elements along an axis are, the first one if none is named."""
    return Tensor(np.asarray(np.argmax(_array(x), 0 if axis is None else axis)))


def equal(a: Any, b: Any) -> Any:
    """Return where elements are equal."""
    return Tensor(np.asarray(np.equal(_array(a), _array(b))))


def function(f: Any = None, **options: Any) -> Any:
    """Return a function as it is: there is no graph to compile."""
    return (lambda g: g) if f is None else f


def _uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = float32, seed: Any = None
) -> Any:
    """Return random numbers from `minval` up to `maxval`, which is 1 if not given."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        if maxval is None:
            raise ValueError("Must specify maxval for integer dtype")
        drawn = _drawn(shape, "uniform", float64, seed)
        return Tensor((minval + np.floor(drawn * (maxval - minval))).astype(dtype))
    high = 1 if maxval is None else maxval
    return Tensor(
        np.asarray(minval + _drawn(shape, "uniform", dtype, seed) * (high - minval), dtype)
    )


def _normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: Any = None
) -> Any:
    """Return normal random numbers."""
    return Tensor(np.asarray(mean + stddev * _drawn(shape, "normal", dtype, seed), dtype))


def _drawn(shape: Any, init: str, dtype: Any, seed: Any) -> Array:
    sizes = tuple(int(n) for n in (shape if np.ndim(shape) else (shape,)))
    if 0 in sizes or not sizes:
        one = random_tensor(1, init=init, rng=seed, dtype=dtype)
        return np.asarray(one[0] if not sizes else np.zeros(sizes, dtype))
    return np.asarray(random_tensor(*sizes, init=init, rng=seed, dtype=dtype))


random = SimpleNamespace(uniform=_uniform, normal=_normal, set_seed=_random.seed)
nn = SimpleNamespace(
    relu=_function(ops.relu, "Return what is positive, else 0."),
    sigmoid=_function(ops.sigmoid, "Return 1 / (1 + exp(-x))."),
    tanh=_function(ops.tanh, "Return the hyperbolic tangent."),
    softplus=_function(ops.softplus, "Return log(1 + exp(x))."),
    softmax=lambda logits, axis=-1: ops.softmax(convert_to_tensor(logits), axis),
)
# By these names an activation is known again where it is given as a function.
for _name, _of_name in vars(nn).items():
    _of_name.__name__ = _name
