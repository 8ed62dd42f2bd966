"""The one module that crosses into C.

Everything above it hands over Python values. An array goes down as it is: functions in C read its
dtype, shape and memory, make the result and refuse what does not fit (see
``csrc/python/arrays_api.h``), because doing that in Python would take longer than a small network.
What was refused is converted here and goes down again, or gets an error that names the argument.
All else goes through cffi. Nothing else imports ``_deepc``.
"""

from __future__ import annotations

import math
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._deepc import ffi, lib

if sys.implementation.name != "cpython":  # pragma: no cover
    raise ImportError("deepc: needs CPython, whose id() is the address of an object")
lib.dc_arrays_initialize(id(_deepc))

Array = np.ndarray[Any, np.dtype[Any]]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)

_from_buffer = ffi.from_buffer
_ndarray = np.ndarray

# Names of this module are found faster than those of another.
_OTHER_ARRAYS = lib.DC_OTHER_ARRAYS
_TANH, _SIGMOID, _RELU = lib.DC_TANH, lib.DC_SIGMOID, lib.DC_RELU
_EXP, _LOG, _SOFTMAX = lib.DC_FUNCTION_EXP, lib.DC_FUNCTION_LOG, lib.DC_FUNCTION_SOFTMAX
_map_array, _matmul = _deepc.map, _deepc.matmul


# ---- Status, version, machine --------------------------------------------------------------------


def check(status: int, what: str = "") -> None:
    """Raise what a status of the library means; `what` names the call or its argument."""
    if not status:
        return
    text = ffi.string(lib.dc_status_text(status)).decode()
    message = f"{what}: {text}" if what else text
    if status == lib.DC_NO_MEMORY:
        raise MemoryError(message)
    if status == lib.DC_BAD_STATE:
        raise RuntimeError(message)
    raise ValueError(message)


def version() -> str:
    """Return the version of the library."""
    return cast(str, ffi.string(lib.dc_version()).decode())


def compiler() -> str:
    """Return the compiler that built the library."""
    return cast(str, ffi.string(lib.dc_compiler()).decode())


def isa() -> str:
    """Return the instruction set in force."""
    return cast(str, ffi.string(lib.dc_isa()).decode())


def available_isas() -> list[str]:
    """Return the instruction sets that this machine runs, best first."""
    names: list[str] = []
    while (name := lib.dc_isa_available(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


def set_isa(name: str) -> None:
    """Compute with another instruction set, one of `available_isas`.

    Raises
    ------
    ValueError
        If this machine or this build does not have it.
    """
    if not isinstance(name, str) or name not in available_isas():
        raise ValueError(f"name: {name!r} is not one of {', '.join(available_isas())}")
    check(lib.dc_set_isa(name.encode()), "name")


def get_num_threads() -> int:
    """Return how many threads a call may use.

    At first that is ``DEEPC_NUM_THREADS``, else the number of CPUs that this process may run on.
    """
    return cast(int, lib.dc_num_threads())


def set_num_threads(count: int) -> None:
    """Let a call use up to `count` threads. Results do not depend on it.

    Parameters
    ----------
    count : int
        1 to 256.

    Raises
    ------
    ValueError
        If `count` is less than 1 or more than the library can start.

    Examples
    --------
    >>> import deepc
    >>> before = deepc.get_num_threads()
    >>> deepc.set_num_threads(1)
    >>> deepc.get_num_threads()
    1
    >>> deepc.set_num_threads(before)
    """
    number = as_int(count, "count", least=1)
    if number > lib.DC_MOST_THREADS:
        raise ValueError(f"count: expected at most {lib.DC_MOST_THREADS}, got {number}")
    check(lib.dc_set_num_threads(number), "count")


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Let calls inside a ``with`` block use up to `count` threads.

    The number is one for the whole process: where several threads enter such blocks at once, the
    last one that is left decides.

    Examples
    --------
    >>> import deepc
    >>> with deepc.num_threads(1):
    ...     deepc.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


# ---- Numbers and arrays that come from outside ---------------------------------------------------

_default_dtype = FLOAT32


def as_dtype(dtype: Any, name: str = "dtype") -> np.dtype[Any]:
    """Return float32 or float64 as a NumPy dtype; None is the default one."""
    if dtype is None:
        return _default_dtype
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if result == FLOAT32:
        return FLOAT32
    if result == FLOAT64:
        return FLOAT64
    raise ValueError(f"{name}: expected float32 or float64, got {dtype!r}")


def default_dtype() -> np.dtype[Any]:
    """Return the dtype of new layers: float32, or what `set_default_dtype` said."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Choose the dtype of new layers: ``"float32"`` (as at the start) or ``"float64"``.

    Raises
    ------
    ValueError
        For any other dtype.

    Examples
    --------
    >>> import deepc
    >>> deepc.set_default_dtype("float64")
    >>> deepc.Linear(1, 1).w.dtype
    dtype('float64')
    >>> deepc.set_default_dtype("float32")
    """
    global _default_dtype
    if dtype is None:
        raise ValueError("dtype: expected float32 or float64, got None")
    _default_dtype = as_dtype(dtype)


def as_int(value: Any, name: str, least: int | None = None) -> int:
    """Return a whole number; refuse floats, booleans and what is less than `least`."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an int, got {describe(value)}")
    number: int = value.__index__()
    if least is not None and number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    return number


def as_bool(value: Any, name: str) -> bool:
    """Return True or False, also for 1 and 0; refuse what is merely true or false somehow."""
    if not isinstance(value, (int, np.bool_)) or value not in (0, 1):
        raise TypeError(f"{name}: expected a bool, got {describe(value)}")
    return bool(value)


def as_number(value: Any, name: str) -> float:
    """Return a number as a float, infinite where it is beyond the largest one."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {describe(value)}") from None
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_float(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within [low, high]."""
    number = as_number(value, name)
    if not (math.isfinite(number) and low <= number <= high):
        limits = "a finite number"
        if high < math.inf:
            limits += f" from {low} to {high}"
        elif low > -math.inf:
            limits += f" of at least {low}"
        raise ValueError(f"{name}: expected {limits}, got {number}")
    return number


def describe(value: Any) -> str:
    """Say in a few words what came, for an error message."""
    if isinstance(value, _ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def any_array(value: Any, name: str) -> Array:
    """Return `value` as an array of whatever it holds; refuse what is ragged."""
    if isinstance(value, _ndarray):
        return value
    try:
        return np.array(value)
    except ValueError:
        raise ValueError(
            f"{name}: expected rows of equal length, got a ragged {type(value).__name__}"
        ) from None


def as_array(value: Any, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` as a C-contiguous float32 or float64 array.

    Without `dtype`, float32 and float64 arrays keep theirs, and everything else becomes float64,
    which is what a Python float is.

    Raises
    ------
    TypeError
        If it holds anything but real numbers.
    ValueError
        If it is ragged.
    """
    array = any_array(value, name)
    kind = array.dtype.kind
    if kind not in "fiub":
        came = describe(value) if kind != "O" else f"{type(value).__name__} of Python objects"
        raise TypeError(f"{name}: expected real numbers, got {came}")
    if dtype is None:
        dtype = FLOAT32 if array.dtype == FLOAT32 else FLOAT64
    if array.dtype is dtype and array.flags.c_contiguous and type(array) is _ndarray:
        return array
    array = np.asarray(array, dtype, order="C")
    # An equal dtype may be another object, with metadata say; callers tell dtypes by identity.
    return array if array.dtype is dtype else array.view(dtype)


def as_integers(array: Array) -> Array:
    """Return an array of whole numbers as a C-contiguous one of int64."""
    array = np.asarray(array, INT64, order="C")
    return array if array.dtype is INT64 else array.view(INT64)


def _pointer(array: Array, writable: bool = False) -> Any:
    """Return a pointer to a C-contiguous array of float32 or float64."""
    return _from_buffer(TYPED[array.dtype].ctype, array, writable)


def _flat(array: Array) -> Array:
    """Return the array over the same memory whose buffer is contiguous: itself or its transpose."""
    return array if array.flags.c_contiguous else array.T


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros that start on a cache line."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def zeros_like(array: Array) -> Array:
    """Return zeros that start on a cache line, in the memory layout of `array`."""
    if array.flags.c_contiguous:
        return aligned_zeros(array.shape, array.dtype)
    return aligned_zeros(array.shape[::-1], array.dtype).T


class _Typed:
    """The functions of the library for one dtype, and its pointer type."""

    def __init__(self, suffix: str, ctype: str) -> None:
        self.suffix = suffix
        # As an object, because a name would be looked up in each call.
        self.ctype = ffi.typeof(ctype + "[]")
        self.pointer = ffi.typeof(ctype + " *")
        for name in dir(lib):
            if name.startswith("dc_") and name.endswith("_" + suffix):
                setattr(self, name[3 : -len(suffix) - 1], getattr(lib, name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


TYPED = {FLOAT32: _Typed("f32", "float"), FLOAT64: _Typed("f64", "double")}


# ---- Kernels over arrays -------------------------------------------------------------------------


def _check_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that cannot take the result; None stands for a new array."""
    if out is None:
        return
    if type(out) is not _ndarray:
        came = type(out).__name__ if isinstance(out, _ndarray) else describe(out)
        raise TypeError(f"out: expected a numpy.ndarray, got {came}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out: expected an array of shape {shape} and dtype {dtype}, got {describe(out)}"
        )
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out: expected a writable C-contiguous array")


def matmul(
    a: Any, b: Any, out: Array | None = None, transpose_a: bool = False, transpose_b: bool = False
) -> Array:
    """Return the matrix product of `a` and `b`, either transposed first if asked.

    Parameters
    ----------
    a, b : array_like
        Matrices whose inner sizes agree after transposing: (m, k) and (k, n). A vector counts as
        one row of `a` or one column of `b`, and the result then lacks that dimension, as in
        `numpy.matmul`. Slices of columns and transposed arrays are used where they are. float32 if
        both are, else float64.
    out : ndarray, optional
        Where to put the result: C-contiguous, of its shape and dtype, overlapping neither operand.
    transpose_a, transpose_b : bool, optional
        Use the transpose of `a`, of `b`.

    Returns
    -------
    ndarray
        The product, `out` if that was given.

    Raises
    ------
    ValueError
        If shapes do not fit or `out` cannot take the result.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc import kernels
    >>> kernels.matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    c = _matmul(a, b, out, transpose_a, transpose_b)
    if type(c) is _ndarray:
        return c
    a, b = any_array(a, "a"), any_array(b, "b")
    for name, array in (("a", a), ("b", b)):
        if array.ndim not in (1, 2):
            raise ValueError(f"{name}: expected 1 or 2 dimensions, got shape {array.shape}")
    m, k = (1, len(a)) if a.ndim == 1 else a.shape[::-1] if transpose_a else a.shape
    k_b, n = (len(b), 1) if b.ndim == 1 else b.shape[::-1] if transpose_b else b.shape
    if k != k_b:
        raise ValueError(
            f"a and b: inner sizes differ, {a.shape}{' transposed' if transpose_a else ''} "
            f"times {b.shape}{' transposed' if transpose_b else ''}"
        )
    dtype = FLOAT32 if a.dtype == b.dtype == FLOAT32 else FLOAT64
    _check_output(out, (m,) * (a.ndim == 2) + (n,) * (b.ndim == 2), dtype)
    if out is not None and (np.may_share_memory(out, a) or np.may_share_memory(out, b)):
        raise ValueError("out: overlaps a or b")
    a, b = as_array(a, "a", dtype), as_array(b, "b", dtype)
    return _checked(_matmul(a, b, out, transpose_a, transpose_b), "matmul")


def _checked(result: Any, what: str) -> Array:
    """Return a result that is an array; raise what a status means."""
    if type(result) is not _ndarray:
        check(result, what)
    return cast(Array, result)


def _map(function: int, x: Any, out: Array | None) -> Array:
    """Compute a function from arrays to arrays of the same shape."""
    y = _map_array(function, x, out)
    if type(y) is not _ndarray:
        x = as_array(x, "x")
        _check_output(out, x.shape, x.dtype)
        y = _map_array(function, x, out)
        if type(y) is not _ndarray:
            raise ValueError("out: overlaps x, but does not start where x starts")
    return cast(Array, y)


def exp(x: Any, out: Array | None = None) -> Array:
    """Return e to the power of each element, to 1 ulp in float32 and 2 in float64.

    Parameters
    ----------
    x : array_like
        float32 or float64; anything else becomes float64.
    out : ndarray, optional
        Where to put the result: C-contiguous, of the shape and dtype of `x`; may be `x` itself.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.exp([0.0, 1.0])
    array([1.        , 2.71828183])
    """
    return _map(_EXP, x, out)


def log(x: Any, out: Array | None = None) -> Array:
    """Return the natural logarithm of each element, to 1 ulp in float32 and 2 in float64.

    Parameters and result as for `exp`; the logarithm of 0 is minus infinity, of a negative number
    NaN.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.log([1.0, 0.0])
    array([  0., -inf])
    """
    return _map(_LOG, x, out)


def tanh(x: Any, out: Array | None = None) -> Array:
    """Return the hyperbolic tangent of each element, to 2 ulp. Parameters and result as for `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.tanh([0.0, 100.0])
    array([0., 1.])
    """
    return _map(_TANH, x, out)


def sigmoid(x: Any, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(-x)) of each element, to 2 ulp. Parameters and result as for `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return _map(_SIGMOID, x, out)


def relu(x: Any, out: Array | None = None) -> Array:
    """Return each element, or 0 where it is negative; NaN stays. Otherwise as `exp`.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return _map(_RELU, x, out)


def softmax(x: Any, out: Array | None = None) -> Array:
    """Return exp(x) divided by its sum along the last dimension; nothing overflows.

    Parameters and result as for `exp`. A row with NaN or plus infinity becomes NaN.

    Examples
    --------
    >>> from deepc import kernels
    >>> kernels.softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _map(_SOFTMAX, x, out)


def array_sum(x: Array) -> float:
    """Return the sum of a C-contiguous float array."""
    typed = TYPED[x.dtype]
    return cast(float, typed.sum(x.size, _from_buffer(typed.ctype, x)))


# ---- Random numbers ------------------------------------------------------------------------------


def random_key(rng: Any) -> int:
    """Return the 64-bit key of a new random stream.

    `rng` is None (the ``random`` module, so that ``random.seed`` fixes everything), a seed, or a
    ``random.Random`` or ``numpy.random.Generator`` to draw the key from.
    """
    if rng is None:
        return random.getrandbits(64)
    if isinstance(rng, random.Random):
        return rng.getrandbits(64)
    if hasattr(rng, "integers"):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    if isinstance(rng, (bool, np.bool_)) or not hasattr(rng, "__index__"):
        raise TypeError(
            "rng: expected None, an int, a random.Random or a numpy.random.Generator, "
            f"got {describe(rng)}"
        )
    return int(rng.__index__()) % 2**64


def random_generator(rng: Any) -> Any:
    """Return what successive keys can be drawn from: a seed becomes a generator, all else stays."""
    if rng is None or isinstance(rng, random.Random) or hasattr(rng, "integers"):
        return rng
    return random.Random(random_key(rng))


def random_uniform(shape: Sequence[int], dtype: np.dtype[Any], rng: Any = None) -> Array:
    """Return numbers from the uniform distribution on [0, 1)."""
    y = np.empty(tuple(shape), dtype)
    check(
        TYPED[dtype].random_uniform(random_key(rng), 0, y.size, _pointer(y, True)), "random_uniform"
    )
    return y


def random_normal(
    shape: Sequence[int],
    dtype: np.dtype[Any],
    rng: Any = None,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> Array:
    """Return numbers from the normal distribution of that mean and standard deviation."""
    y = np.empty(tuple(shape), dtype)
    status = TYPED[dtype].random_normal(
        random_key(rng), 0, y.size, mean, deviation, _pointer(y, True)
    )
    check(status, "random_normal")
    return y


def random_permutation(n: int, rng: Any = None) -> Array:
    """Return the numbers from 0 to n - 1 in random order."""
    order = np.empty(n, np.int64)
    check(lib.dc_random_permutation(random_key(rng), 0, n, _from_buffer("int64_t[]", order, True)))
    return order


def dropout_mask(key: int, counter: int, rate: float, shape: Sequence[int]) -> Array:
    """Return what dropout multiplies by: 1 where an element is kept, 0 where it is dropped."""
    mask = np.ones(tuple(shape), FLOAT32)
    pointer = _pointer(mask, True)
    check(lib.dc_dropout_f32(key, counter, rate, mask.size, pointer, pointer))
    return mask


# ---- Losses --------------------------------------------------------------------------------------

LOSSES = {"squared error": lib.DC_SQUARED_ERROR, "cross-entropy": lib.DC_SOFTMAX_CROSS_ENTROPY}


# These take kind, mean, predicted and actual: see arrays_api.h.
loss_of_arrays, loss_gradient_of_arrays = _deepc.loss, _deepc.loss_gradient


# ---- Optimizers ----------------------------------------------------------------------------------

RULES = {
    "gradient descent": lib.DC_GRADIENT_DESCENT,
    "momentum": lib.DC_MOMENTUM,
    "sgd": lib.DC_SGD,
    "rmsprop": lib.DC_RMSPROP,
    "adam": lib.DC_ADAM,
    "adamw": lib.DC_ADAMW,
    "adagrad": lib.DC_ADAGRAD,
}


def new_optimizer(rule: str) -> Any:
    """Return the numbers of an update rule, a ``dc_optimizer``."""
    optimizer = ffi.new("dc_optimizer *")
    optimizer.rule = RULES[rule]
    return optimizer


class Tensors:
    """The tensors that one optimizer step updates, as the library takes them.

    Each row is (gradient, parameter, states): arrays of one dtype and one memory layout, which this
    object keeps alive; `fields` names what the states are.
    """

    __slots__ = ("_keep", "count", "dtype", "pointer", "step")

    def __init__(
        self,
        optimizer: Any,
        rows: Sequence[tuple[Array, Array, Sequence[Array]]],
        fields: Sequence[str],
    ) -> None:
        self.dtype = rows[0][1].dtype
        self.count = len(rows)
        typed = TYPED[self.dtype]
        self.pointer = ffi.new(f"dc_tensor_{typed.suffix}[]", self.count)
        self._keep: list[Any] = []
        for tensor, (gradient, parameter, states) in zip(self.pointer, rows, strict=True):
            tensor.size = parameter.size
            arrays = {
                "gradient": gradient,
                "parameter": parameter,
                **dict(zip(fields, states, strict=True)),
            }
            for field, array in arrays.items():
                pointer = _pointer(_flat(array), field != "gradient")
                setattr(tensor, field, pointer)
                self._keep.append(pointer)
        # One step of an optimizer, a status: what is known beforehand stands in it already.
        self.step = partial(typed.optimizer_step, optimizer, self.count, self.pointer)


# ---- Networks ------------------------------------------------------------------------------------

LAYER_KINDS = {
    "linear": lib.DC_LAYER_LINEAR,
    "sigmoid": lib.DC_LAYER_SIGMOID,
    "tanh": lib.DC_LAYER_TANH,
    "relu": lib.DC_LAYER_RELU,
    "dropout": lib.DC_LAYER_DROPOUT,
}


def new_layer(kind: str) -> Any:
    """Return a ``dc_layer`` that belongs to the caller."""
    layer = ffi.new("dc_layer *")
    layer.kind = LAYER_KINDS[kind]
    return layer


def set_linear(
    layer: Any, weights: Array, bias: Array, d_weights: Array, d_bias: Array
) -> tuple[Any, ...]:
    """Point a linear layer to its C-contiguous arrays; keep the result as long as the layer."""
    layer.inputs, layer.outputs = weights.shape
    pointers = tuple(_pointer(array, True) for array in (weights, bias, d_weights, d_bias))
    layer.weights, layer.bias, layer.d_weights, layer.d_bias = pointers
    return pointers


class Network:
    """Layers compiled into one sequence: a call forward, a call back, a call for many steps.

    `inputs` and `outputs` are its widths, None where any width goes.
    """

    __slots__ = (
        "_address", "_backward", "_forward", "_handle", "_last", "_layers", "_train", "_width",
        "dtype", "inputs", "outputs",
    )  # fmt: skip

    def __init__(
        self,
        layers: Sequence[Any],
        dtype: np.dtype[Any],
        inputs: int | None,
        outputs: int | None,
    ) -> None:
        typed = TYPED[dtype]
        handle = ffi.new(f"dc_network_{typed.suffix} **")
        structures = [layer._structure for layer in layers]
        # The library keeps pointers to the structures and through them to arrays; a layer that is
        # made anew has others.
        self._layers = [
            (layer, layer._structure, getattr(layer, "_pointers", None)) for layer in layers
        ]
        check(typed.network_create(len(structures), structures, handle), "layers")
        self._handle = ffi.gc(handle[0], typed.network_free)
        self.dtype, self.inputs, self.outputs = dtype, inputs, outputs
        # What the functions over arrays take.
        self._address, self._width = int(ffi.cast("uintptr_t", handle[0])), outputs or 0
        self._forward = getattr(_deepc, f"forward_{typed.suffix}")
        self._backward = getattr(_deepc, f"backward_{typed.suffix}")
        self._train = typed.network_train
        self._last: Array | None = None

    def forward(self, x: Any) -> Any:
        """Return the output for one sample or for a batch: a list for a list, else an array."""
        y = self._forward(self._address, self._width, x)
        if type(y) is _ndarray:
            self._last = x
            return y
        if y != _OTHER_ARRAYS:
            self._refuse_input(y, x)
        array = as_array(x, "input", self.dtype)
        if array.ndim not in (1, 2):
            raise ValueError(f"input: expected 1 or 2 dimensions, got shape {array.shape}")
        result = self.forward(array)
        return result.tolist() if isinstance(x, list) else result

    def _refuse_input(self, status: int, x: Array) -> None:
        if status == lib.DC_BAD_SIZE:
            if len(x) == 0 and x.ndim == 2:
                raise ValueError("input: expected at least 1 row, got an empty batch")
            if x.size == 0:
                raise ValueError("input: expected at least 1 column, got an empty sample")
            raise ValueError(f"input: expected {self.inputs} columns, got {x.shape[-1]}")
        self._last = None  # only a size that cannot be leaves the last forward in place
        check(status, "forward")

    def backward(self, gradient: Any, input_gradient: bool = True) -> Any:
        """Fill the layers' gradients; return the gradient of the last input if it is wanted."""
        x = self._last
        if x is None:
            raise RuntimeError("backward: call forward first")
        result = self._backward(self._address, self._width, x, gradient, input_gradient)
        if type(result) is not int:
            return result
        array = as_array(gradient, "gradient", self.dtype)
        if array is gradient or result != _OTHER_ARRAYS:
            self._refuse_gradient(result, x, array)
        result = self.backward(array, input_gradient)
        return result.tolist() if input_gradient and isinstance(gradient, list) else result

    def _refuse_gradient(self, status: int, x: Array, gradient: Array) -> None:
        if status == _OTHER_ARRAYS:
            expected = (*x.shape[:-1], self.outputs or x.shape[-1])
            raise ValueError(
                f"gradient: expected the shape of the last output, {expected}, got {gradient.shape}"
            )
        if status == lib.DC_BAD_STATE:
            raise RuntimeError(
                "backward: the last forward was not one of training; "
                "a Dropout layer needs train = True in forward and backward"
            )
        check(status, "backward")

    def train(self, optimizer: Any, tensors: Tensors, samples: Samples, seconds: float) -> int:
        """Train for about so many seconds; return the row to go on at."""
        self._last = None
        status = self._train(
            self._handle, optimizer, tensors.count, tensors.pointer, samples.pointer, seconds,
            samples.next, samples.loss,
        )  # fmt: skip
        if status:
            if status == lib.DC_BAD_STATE:
                raise RuntimeError("fit: a Dropout layer does not train; set its train = True")
            check(status, "fit")
        return cast(int, samples.next[0])


class Samples:
    """The rows of one epoch, how far it has come, and the loss so far."""

    __slots__ = ("_keep", "loss", "next", "pointer")

    def __init__(
        self,
        network: Network,
        x: Array,
        targets: Array | None,
        labels: Array | None,
        order: Array | None,
        batch_size: int,
        loss: int,
        mean: bool,
    ) -> None:
        typed = TYPED[network.dtype]
        samples = ffi.new(f"dc_samples_{typed.suffix} *")
        samples.rows, samples.cols = x.shape
        keep = [_from_buffer(typed.ctype, x)]
        samples.x = keep[0]
        for name, array, ctype in (
            ("targets", targets, typed.ctype),
            ("labels", labels, "int64_t[]"),
            ("order", order, "int64_t[]"),
        ):
            if array is not None:
                keep.append(_from_buffer(ctype, array))
                setattr(samples, name, keep[-1])
        samples.batch_size, samples.loss, samples.mean = batch_size, loss, mean
        self._keep = keep
        self.pointer = samples
        self.next = ffi.new("size_t *")
        self.loss = ffi.new("double *")


if lib.dc_initialize():
    raise ValueError(
        f"DEEPC_ISA: expected one of {', '.join(available_isas())}, "
        f"got {os.environ.get('DEEPC_ISA')!r}"
    )
