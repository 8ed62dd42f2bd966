"""The Tensor of the torch face: the tape's, with torch's names, words and in-place operations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from deepc import autodiff
from deepc._c import random as _random
from deepc._c import tape
from deepc._c.losses import LOSSES
from deepc._c.tape import Node, over, values
from deepc._values import Array, any_array, default_dtype, describe, nearest
from deepc.autodiff import ops
from deepc.initializers import draw
from deepc.torch._print import show
from deepc.torch._rng import Generator, key
from deepc.torch._types import CPU, Size, as_numpy_dtype, device, dtype, float32, float64, of_numpy

__all__ = ["Tensor", "as_tensor", "from_numpy", "tensor"]

# What torch calls the operations that the tape has names for.
_NAMES = {
    "+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "neg": "Neg", "**": "Pow", "@": "Mm",
    "linear": "Addmm", "astype": "ToCopy", "reshape": "View",
    "getitem": "Select", "transpose": "T", "concatenate": "Cat", "broadcast_to": "Expand",
}  # fmt: skip


# The losses by number, as torch calls them.
_LOSSES = {
    facts.number: {
        "softmax_cross_entropy": "NllLoss", "squared_error": "MseLoss",
        "absolute_error": "MeanAbs", "smooth_l1": "SmoothL1Loss", "huber": "HuberLoss",
        "binary_cross_entropy_clamped": "BinaryCrossEntropy",
        "binary_cross_entropy_logits": "BinaryCrossEntropyWithLogits",
    }.get(name, name)
    for name, facts in LOSSES.items()
}  # fmt: skip


class _Node:
    """The operation that a Tensor is the result of; it has a name only."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        name = _NAMES.get(name) or "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self._name = f"{name}Backward0"

    def name(self) -> str:
        """Return the name."""
        return self._name

    def __repr__(self) -> str:
        return f"<{self._name}>"


class _OnTensors:
    """A hook that takes Tensors, for the tape, which has arrays."""

    __slots__ = ("_hook",)

    def __init__(self, hook: Callable[[Any], Any]) -> None:
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {describe(hook)}")
        self._hook = hook

    def __call__(self, gradient: Any) -> Any:
        if isinstance(gradient, Node):
            return self._hook(gradient)
        return _other(self._hook(wrap(gradient)))


class _Handle:
    """What takes a hook away again."""

    __slots__ = ("remove",)

    def __init__(self, remove: Callable[[], None]) -> None:
        self.remove = remove


class Extremes(NamedTuple):
    """The largest (or smallest, or sorted) elements along a dimension, and where they were."""

    values: Any
    indices: Any


def wrap(array: Any) -> Any:
    """Return a Tensor over an array, where it is."""
    return over(Tensor, np.asarray(array))


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Return a shape that came as numbers, or as one tuple or list of them."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return tuple(operator.index(n) for n in given)


def _dims(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _other(value: Any) -> Any:
    return value._data if isinstance(value, Node) else value


def _axis(dim: int, ndim: int) -> int:
    """Return a dimension as a number from 0."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, "
            f"{max(ndim, 1) - 1}], but got {dim})"
        )
    return dim % max(ndim, 1)


class Tensor(autodiff.Tensor):
    """An array with torch's methods, and a gradient.

    ``Tensor(2, 3)`` has that shape, ``Tensor([1, 2])`` those numbers as float32; `tensor` is the
    usual way to make one. Operations are recorded on deepc's tape. In place, only what needs no
    history is changed: ``t += x`` of a result makes a new Tensor.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __new__(cls, *data: Any, **more: Any) -> Any:
        """Make one."""
        more.pop("device", None)
        if more:
            raise TypeError(f"new() received an invalid keyword argument: {next(iter(more))!r}")
        if not data or all(isinstance(n, int) for n in data):
            return over(cls, np.zeros(data or (0,), default_dtype()))
        if isinstance(data[0], Size):
            return over(cls, np.zeros(data[0], default_dtype()))
        return over(cls, np.array(_as_array(data[0]), default_dtype()))

    # ---- What it is ------------------------------------------------------------------------------

    @property
    def data(self) -> Any:
        """The numbers without a history, in the same memory."""
        return over(Tensor, self._data)

    @data.setter
    def data(self, value: Any) -> None:
        array = self._data
        new = _as_array(value)
        if new is not array:
            if new.shape != array.shape:
                raise RuntimeError(
                    f"data: expected shape {list(array.shape)}, got {list(new.shape)}; a Tensor "
                    "keeps its memory, so make a new one of another shape"
                )
            array[...] = new
        _bump(self)

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has added to so far, None before the first."""
        found = self._grad
        return None if found is None else over(Tensor, found)

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and _other(value).shape != self._data.shape:
            raise RuntimeError("assigned grad has data of a different size")
        self._grad = None if value is None else _other(value)

    @property
    def shape(self) -> Size:  # type: ignore[override]
        """The shape."""
        return Size(self._data.shape)

    @property
    def dtype(self) -> dtype:  # type: ignore[override]
        """What it holds."""
        return of_numpy(self._data.dtype)

    @property
    def device(self) -> device:
        """The CPU."""
        return CPU

    is_cuda = False
    is_sparse = False
    layout = "torch.strided"

    @property
    def grad_fn(self) -> Any:
        """The operation that it is the result of, None for a leaf."""
        name = self._op
        if name == "loss":
            name = _LOSSES[self._code]
        return _Node(name) if name else None

    def size(self, dim: int | None = None) -> Any:  # type: ignore[override]
        """Return the shape, or the size of one dimension."""
        shape = self._data.shape
        return Size(shape) if dim is None else shape[_axis(dim, len(shape))]

    def dim(self) -> int:
        """Return the number of dimensions."""
        return cast(int, self._data.ndim)

    ndimension = dim

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return cast(int, self._data.ndim)

    def numel(self) -> int:
        """Return the number of elements."""
        return int(self._data.size)

    nelement = numel

    def element_size(self) -> int:
        """Return the bytes of an element."""
        return int(self._data.itemsize)

    def is_floating_point(self) -> bool:
        """Return whether it holds floats."""
        return bool(self._data.dtype.kind == "f")

    def is_contiguous(self) -> bool:
        """Return whether its memory is in the order of its elements."""
        return bool(self._data.flags.c_contiguous)

    def stride(self, dim: int | None = None) -> Any:
        """Return how many elements lie between neighbours, for each dimension or one."""
        strides = tuple(n // self._data.itemsize for n in self._data.strides)
        return strides if dim is None else strides[dim]

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return int(self._data.__array_interface__["data"][0])

    # ---- Out of torch ----------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> Array:
        """Return the array, in the same memory."""
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        return cast(Array, self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        array = array if dtype is None else array.astype(dtype, copy=False)
        return array.copy() if copy and array is self._data else array

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if self._data.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._data.size} elements cannot be converted to Scalar"
            )
        return self._data.item()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            many = "more than one value" if self._data.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
        return bool(self._data.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        if not self._data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self._data)))

    def __contains__(self, element: Any) -> bool:
        return bool((self._data == _other(element)).any())

    def __format__(self, spec: str) -> str:
        return (
            format(self.item(), spec) if spec and not self._data.ndim else format(str(self), spec)
        )

    def __repr__(self) -> str:
        more = []
        if self._op:
            more.append(f"grad_fn={self.grad_fn}")
        elif self.requires_grad:
            more.append("requires_grad=True")
        return show(self._data, "tensor(", 7, more)

    # ---- Gradients -------------------------------------------------------------------------------

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradients of this result to `grad` of the leaves that it depends on."""
        if create_graph or inputs is not None:
            raise RuntimeError(
                "backward: create_graph and inputs are not supported here; torch.autograd.grad "
                "gives gradients that can be differentiated again, of chosen inputs"
            )
        try:
            tape.backward(self, gradient, not retain_graph)
        except (RuntimeError, ValueError) as error:
            raise _explained(self, gradient, error) from None

    def detach(self) -> Any:
        """Return a Tensor in the same memory without a history."""
        return over(Tensor, self._data)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether a gradient is wanted; return the Tensor."""
        if requires_grad and self._data.dtype.kind != "f":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> Any:
        """Call a function with the whole gradient in each pass; it may return another.

        What is returned has a method `remove`.
        """
        return _Handle(super().register_hook(_OnTensors(hook)))

    def clone(self) -> Any:
        """Return a copy, through which gradients go back."""
        return tape.record("clone", _same, self._data.copy(), (self,), None)

    def contiguous(self) -> Any:
        """Return the elements in their order in memory: this Tensor, if they are."""
        return self if self._data.flags.c_contiguous else self.clone()

    # ---- Types -----------------------------------------------------------------------------------

    def to(self, *what: Any, **more: Any) -> Any:
        """Return the Tensor in another dtype; devices are the CPU."""
        kind = more.get("dtype")
        for one in (*what, more.get("device")):
            if isinstance(one, Tensor):
                kind = one.dtype
            elif isinstance(one, (str, device)):
                device(one)
            elif one is not None and not isinstance(one, bool):
                kind = one
        return self if kind is None else self.type(kind)

    def type(self, dtype: Any = None) -> Any:
        """Return the Tensor in another dtype, or the name of its own."""
        if dtype is None:
            return f"torch.{self.dtype._words}Tensor"
        kind = as_numpy_dtype(dtype)
        if kind == self._data.dtype:
            return self
        if kind.kind == "f":
            return ops.astype(self, kind)
        return wrap(self._data.astype(kind))

    def type_as(self, other: Any) -> Any:
        """Return the Tensor in the dtype of another."""
        return self.type(other.dtype)

    def float(self) -> Any:
        """Return the Tensor as float32."""
        return self.type(float32)

    def double(self) -> Any:
        """Return the Tensor as float64."""
        return self.type(float64)

    def long(self) -> Any:
        """Return the Tensor as int64."""
        return self.type(np.dtype("i8"))

    def int(self) -> Any:
        """Return the Tensor as int32."""
        return self.type(np.dtype("i4"))

    def bool(self) -> Any:
        """Return whether each element is not 0."""
        return self.type(np.dtype("?"))

    def cpu(self) -> Any:
        """Return the Tensor, which is on the CPU."""
        return self

    def cuda(self, *_: Any, **__: Any) -> Any:
        """Refuse: there is the CPU only."""
        device("cuda")

    def pin_memory(self) -> Any:
        """Return the Tensor."""
        return self

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: Any = False) -> Any:
        """Return a Tensor of this one's dtype."""
        return tensor(data, dtype=dtype or self.dtype, requires_grad=requires_grad)

    def new_zeros(self, *size: Any, dtype: Any = None) -> Any:
        """Return zeros of this Tensor's dtype."""
        return wrap(np.zeros(_shape(size), as_numpy_dtype(dtype) or self._data.dtype))

    def new_ones(self, *size: Any, dtype: Any = None) -> Any:
        """Return ones of this Tensor's dtype."""
        return wrap(np.ones(_shape(size), as_numpy_dtype(dtype) or self._data.dtype))

    def new_full(self, size: Any, fill_value: Any, dtype: Any = None) -> Any:
        """Return one number everywhere, in this Tensor's dtype."""
        return wrap(np.full(size, fill_value, as_numpy_dtype(dtype) or self._data.dtype))

    new_empty = new_zeros

    # ---- Elements --------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        try:
            if self.requires_grad:
                return ops.getitem(self, _plain(index))
            return wrap(self._data[_plain(index)])
        except IndexError as error:
            raise _index_error(self._data, index, error) from None

    def __setitem__(self, index: Any, value: Any) -> None:
        _in_place(self)
        if isinstance(value, Node) and value.requires_grad:
            raise RuntimeError(
                "a Tensor with a history cannot be written into another; torch.where, stack and "
                "cat make a new one"
            )
        self._data[_plain(index)] = _other(value)
        _bump(self)

    # ---- Comparisons: no history -----------------------------------------------------------------

    def __eq__(self, other: Any) -> Any:
        return wrap(np.equal(self._data, _other(other)))

    def __ne__(self, other: Any) -> Any:
        return wrap(np.not_equal(self._data, _other(other)))

    def __lt__(self, other: Any) -> Any:
        return wrap(np.less(self._data, _other(other)))

    def __le__(self, other: Any) -> Any:
        return wrap(np.less_equal(self._data, _other(other)))

    def __gt__(self, other: Any) -> Any:
        return wrap(np.greater(self._data, _other(other)))

    def __ge__(self, other: Any) -> Any:
        return wrap(np.greater_equal(self._data, _other(other)))

    eq, ne, lt, le, gt, ge = __eq__, __ne__, __lt__, __le__, __gt__, __ge__

    def __and__(self, other: Any) -> Any:
        return wrap(self._data & _other(other))

    def __or__(self, other: Any) -> Any:
        return wrap(self._data | _other(other))

    def __xor__(self, other: Any) -> Any:
        return wrap(self._data ^ _other(other))

    def __invert__(self) -> Any:
        return wrap(~self._data)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__
    logical_not = __invert__

    def __floordiv__(self, other: Any) -> Any:
        return wrap(np.floor_divide(self._data, _other(other)))

    def __mod__(self, other: Any) -> Any:
        if self.requires_grad:
            return self - wrap(self._data - np.mod(self._data, _other(other)))
        return wrap(np.mod(self._data, _other(other)))

    remainder = __mod__

    def __rpow__(self, other: Any) -> Any:
        return ops.power(wrap(np.asarray(other, self._data.dtype)), self)

    def equal(self, other: Any) -> Any:
        """Return whether another Tensor has the same shape and elements."""
        return bool(np.array_equal(self._data, _other(other)))

    def allclose(
        self, other: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False
    ) -> Any:
        """Return whether all elements are nearly those of another Tensor."""
        return bool(np.allclose(self._data, _other(other), rtol, atol, equal_nan))

    def isnan(self) -> Any:
        """Return where it is NaN."""
        return wrap(np.isnan(self._data))

    def isinf(self) -> Any:
        """Return where it is infinite."""
        return wrap(np.isinf(self._data))

    def isfinite(self) -> Any:
        """Return where it is finite."""
        return wrap(np.isfinite(self._data))

    def all(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return whether all elements are true."""
        return wrap(np.all(self._data, axis=dim, keepdims=keepdim))

    def any(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return whether any element is true."""
        return wrap(np.any(self._data, axis=dim, keepdims=keepdim))

    # ---- Functions of single elements ------------------------------------------------------------

    def pow(self, exponent: Any) -> Any:
        """Return the elements to a power."""
        return ops.power(self, exponent)

    def sign(self) -> Any:
        """Return the signs."""
        return wrap(np.sign(self._data))

    def floor(self) -> Any:
        """Return the next whole numbers below."""
        return wrap(np.floor(self._data))

    def ceil(self) -> Any:
        """Return the next whole numbers above."""
        return wrap(np.ceil(self._data))

    def round(self, decimals: Any = 0) -> Any:
        """Return the nearest numbers of so many decimals."""
        return wrap(np.round(self._data, decimals))

    def square(self) -> Any:
        """Return the squares."""
        return self * self

    def reciprocal(self) -> Any:
        """Return 1 divided by each element."""
        return 1.0 / self

    def rsqrt(self) -> Any:
        """Return 1 divided by each element's root."""
        return 1.0 / ops.sqrt(self)

    def neg(self) -> Any:
        """Return the elements with the other sign."""
        return -self

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        """Return the sum with alpha times another Tensor."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        """Return the difference from alpha times another Tensor."""
        return self - (other if alpha == 1 else other * alpha)

    def mul(self, other: Any) -> Any:
        """Return the product."""
        return self * other

    def div(self, other: Any) -> Any:
        """Return the quotient."""
        return self / other

    def clamp(self, min: Any = None, max: Any = None) -> Any:
        """Return the elements, or the limits that they are beyond."""
        if self._data.dtype.kind != "f":
            return wrap(np.clip(self._data, min, max))
        return ops.clip(self, min, max)

    clip = clamp  # type: ignore[assignment]

    def masked_fill(self, mask: Any, value: Any) -> Any:
        """Return the elements, or a number where a mask holds."""
        if self._data.dtype.kind != "f":
            return wrap(
                np.where(_other(mask), np.asarray(_other(value), self._data.dtype), self._data)
            )
        return ops.where(mask, value, self)

    # ---- Along dimensions ------------------------------------------------------------------------

    def sum(self, dim: Any = None, keepdim: Any = False, dtype: Any = None) -> Any:
        """Return the sum, of all elements or along dimensions."""
        if dtype is not None:
            return self.type(dtype).sum(dim, keepdim)
        if self._data.dtype.kind != "f":
            return wrap(self._data.sum(axis=_dims(dim), keepdims=keepdim, dtype=np.int64))
        return ops.sum(self, _dims(dim), keepdim)

    def mean(self, dim: Any = None, keepdim: Any = False, dtype: Any = None) -> Any:
        """Return the mean, of all elements or along dimensions."""
        if dtype is not None:
            return self.type(dtype).mean(dim, keepdim)
        if self._data.dtype.kind != "f":
            raise RuntimeError(
                "mean(): could not infer output dtype. Input dtype must be either a floating "
                f"point or complex dtype. Got: {self.dtype._words}"
            )
        return ops.mean(self, _dims(dim), keepdim)

    def var(
        self, dim: Any = None, unbiased: Any = True, keepdim: Any = False, *, correction: Any = None
    ) -> Any:
        """Return the variance; by n - 1 unless it is to be biased."""
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        return ops.var(
            self, _dims(dim), keepdim, int(unbiased) if correction is None else correction
        )

    def std(
        self, dim: Any = None, unbiased: Any = True, keepdim: Any = False, *, correction: Any = None
    ) -> Any:
        """Return the standard deviation; by n - 1 unless it is to be biased."""
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        return ops.std(
            self, _dims(dim), keepdim, int(unbiased) if correction is None else correction
        )

    def prod(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the product of all elements or along a dimension."""
        if self._data.dtype.kind != "f":
            return wrap(self._data.prod(axis=dim, keepdims=keepdim))
        return ops.prod(self, dim, keepdim)

    def norm(self, p: Any = 2, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the p-norm: the root of the sum of squares for 2."""
        if p in (2, "fro"):
            return ops.norm(self, _dims(dim), keepdim)
        if p in (float("inf"), float("-inf")):
            extreme = ops.max if p > 0 else ops.min
            return extreme(ops.abs(self), _dims(dim), keepdim)
        if p == 1:
            return ops.sum(ops.abs(self), _dims(dim), keepdim)
        if p == 0:
            return (self != 0).type(self.dtype).sum(dim, keepdim)
        return ops.power(ops.sum(ops.power(ops.abs(self), p), _dims(dim), keepdim), 1.0 / p)

    def _extreme(self, dim: Any, keepdim: Any, find: Any, pick: Any) -> Any:
        if isinstance(dim, Node):
            both = {ops.max: ops.maximum, ops.min: ops.minimum}
            return both[pick](self, dim)
        if not self._data.size:
            raise RuntimeError(
                f"{pick.__name__}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        if dim is None:
            if self._data.dtype.kind == "f":
                return pick(self)
            return wrap(self._data.max() if pick is ops.max else self._data.min())
        axis = _axis(dim, self._data.ndim)
        where = np.expand_dims(find(self._data, axis=axis), axis)
        found = self.gather(axis, where)
        if keepdim:
            return Extremes(found, wrap(where))
        return Extremes(ops.squeeze(found, axis), wrap(where.squeeze(axis)))

    def max(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the largest element; along a dimension also where it is."""
        return self._extreme(dim, keepdim, np.argmax, ops.max)

    def min(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the smallest element; along a dimension also where it is."""
        return self._extreme(dim, keepdim, np.argmin, ops.min)

    def amax(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the largest element, of all or along dimensions."""
        return ops.max(self, _dims(dim), keepdim)

    def amin(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return the smallest element, of all or along dimensions."""
        return ops.min(self, _dims(dim), keepdim)

    def argmax(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return where the largest element is."""
        return wrap(np.argmax(self._data, axis=dim, keepdims=keepdim and dim is not None))

    def argmin(self, dim: Any = None, keepdim: Any = False) -> Any:
        """Return where the smallest element is."""
        return wrap(np.argmin(self._data, axis=dim, keepdims=keepdim and dim is not None))

    def argsort(self, dim: Any = -1, descending: Any = False) -> Any:
        """Return the places of the elements in increasing order."""
        keyed = -self._data if descending else self._data
        return wrap(np.argsort(keyed, axis=dim, kind="stable"))

    def sort(self, dim: Any = -1, descending: Any = False) -> Any:
        """Return the elements in increasing order, and their places."""
        order = self.argsort(dim, descending)
        return Extremes(self.gather(dim, order), order)

    def topk(self, k: Any, dim: Any = -1, largest: Any = True) -> Any:
        """Return the k largest elements along a dimension, and their places."""
        order = self.argsort(dim, largest).narrow(dim, 0, k)
        return Extremes(self.gather(dim, order), order)

    def cumsum(self, dim: Any) -> Any:
        """Return running sums along a dimension."""
        axis = _axis(dim, self._data.ndim)
        if self._data.dtype.kind != "f":
            return wrap(np.cumsum(self._data, axis=axis))
        return tape.record("cumsum", _cumsum_rule, np.cumsum(self._data, axis=axis), (self,), axis)

    def softmax(self, dim: Any = -1) -> Any:
        """Return exp(x) divided by its sum along a dimension."""
        return ops.softmax(self, dim)

    def log_softmax(self, dim: Any = -1) -> Any:
        """Return the logarithm of softmax along a dimension."""
        return ops.log_softmax(self, dim)

    def logsumexp(self, dim: Any, keepdim: Any = False) -> Any:  # type: ignore[override]
        """Return the logarithm of the sum of exp(x) along dimensions."""
        return ops.logsumexp(self, _dims(dim), keepdim)

    # ---- Shapes ----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Any:
        """Return the elements in another shape."""
        new = _shape(shape)
        try:
            return ops.reshape(self, new)
        except ValueError:
            raise RuntimeError(
                f"shape '{list(new)}' is invalid for input of size {self._data.size}"
            ) from None

    def view(self, *shape: Any) -> Any:
        """Return the elements in another shape, in the same memory."""
        if len(shape) == 1 and isinstance(shape[0], dtype):
            return wrap(self._data.view(shape[0].dtype))
        result = self.reshape(*shape)
        data = self._data
        if not data.flags.c_contiguous and not np.shares_memory(result._data, data):
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one "
                "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            )
        return result

    def view_as(self, other: Any) -> Any:
        """Return the elements in the shape of another Tensor."""
        return self.view(other.shape)

    def reshape_as(self, other: Any) -> Any:
        """Return the elements in the shape of another Tensor."""
        return self.reshape(other.shape)

    def flatten(self, start_dim: Any = 0, end_dim: Any = -1) -> Any:
        """Return the dimensions from one to another as one."""
        shape = self._data.shape
        first, last = _axis(start_dim, len(shape)), _axis(end_dim, len(shape))
        return ops.reshape(self, (*shape[:first], -1, *shape[last + 1 :]))

    ravel = flatten

    def unflatten(self, dim: Any, sizes: Any) -> Any:
        """Return one dimension as several."""
        shape = self._data.shape
        axis = _axis(dim, len(shape))
        return ops.reshape(self, (*shape[:axis], *sizes, *shape[axis + 1 :]))

    def squeeze(self, dim: Any = None) -> Any:
        """Return the Tensor without dimensions of one element."""
        if dim is None:
            return ops.squeeze(self)
        shape = self._data.shape
        axes = [_axis(one, len(shape)) for one in (dim if isinstance(dim, tuple) else (dim,))]
        gone = tuple(axis for axis in axes if shape and shape[axis] == 1)
        return ops.squeeze(self, gone) if gone else self

    def unsqueeze(self, dim: Any) -> Any:
        """Return the Tensor with one more dimension, of one element."""
        return ops.expand_dims(self, _axis(dim, self._data.ndim + 1))

    def t(self) -> Any:
        """Return the matrix with rows and columns exchanged."""
        if self._data.ndim > 2:
            raise RuntimeError(
                f"t() expects a tensor with <= 2 dimensions, but self is {self._data.ndim}D"
            )
        return ops.transpose(self)

    @property
    def T(self) -> Any:
        """The Tensor with its dimensions reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> Any:
        """The Tensor with its last two dimensions exchanged."""
        return self.transpose(-1, -2)

    def transpose(self, dim0: Any, dim1: Any) -> Any:
        """Return the Tensor with two dimensions exchanged."""
        order = list(range(self._data.ndim))
        a, b = _axis(dim0, len(order)), _axis(dim1, len(order))
        order[a], order[b] = order[b], order[a]
        return ops.transpose(self, tuple(order))

    def permute(self, *dims: Any) -> Any:
        """Return the Tensor with its dimensions in another order."""
        return ops.transpose(self, _shape(dims))

    def expand(self, *sizes: Any) -> Any:
        """Return the Tensor repeated to a shape; -1 keeps a size."""
        new, shape = _shape(sizes), self._data.shape
        extra = len(new) - len(shape)
        full = tuple(shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(new))
        try:
            return ops.broadcast_to(self, full)
        except ValueError:
            raise RuntimeError(
                f"The expanded size of the tensor {list(new)} must match the existing size "
                f"{list(shape)}"
            ) from None

    def expand_as(self, other: Any) -> Any:
        """Return the Tensor repeated to the shape of another."""
        return self.expand(other.shape)

    def repeat(self, *sizes: Any) -> Any:
        """Return the Tensor repeated so many times along each dimension."""
        times = _shape(sizes)
        places = np.tile(np.arange(self._data.size).reshape(self._data.shape), times)
        return ops.getitem(ops.reshape(self, (-1,)), places)

    def unbind(self, dim: Any = 0) -> Any:
        """Return the Tensor's parts along a dimension."""
        axis = _axis(dim, self._data.ndim)
        before = (slice(None),) * axis
        return tuple(self[(*before, i)] for i in range(self._data.shape[axis]))

    def split(self, split_size: Any, dim: Any = 0) -> Any:
        """Return parts of a size, or of several sizes, along a dimension."""
        axis = _axis(dim, self._data.ndim)
        n = self._data.shape[axis]
        if isinstance(split_size, (list, tuple)):
            ends = np.cumsum(split_size).tolist()
            if not ends or ends[-1] != n:
                raise RuntimeError(
                    f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's "
                    f"size at dimension {dim}), but got split_sizes={list(split_size)}"
                )
        else:
            ends = [min(i + split_size, n) for i in range(0, n, split_size)]
        before = (slice(None),) * axis
        starts = [0, *ends[:-1]]
        return tuple(
            self[(*before, slice(start, end))] for start, end in zip(starts, ends, strict=True)
        )

    def chunk(self, chunks: Any, dim: Any = 0) -> Any:
        """Return so many parts along a dimension, the last maybe smaller."""
        if chunks < 1:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        return self.split(-(-self._data.shape[dim] // chunks), dim)

    def narrow(self, dim: Any, start: Any, length: Any) -> Any:
        """Return a part along a dimension."""
        axis = _axis(dim, self._data.ndim)
        return self[(slice(None),) * axis + (slice(start, start + length),)]

    def index_select(self, dim: Any, index: Any) -> Any:
        """Return the parts of these places along a dimension."""
        axis = _axis(dim, self._data.ndim)
        return self[(slice(None),) * axis + (index,)]

    def gather(self, dim: Any, index: Any) -> Any:
        """Return along a dimension the elements that an index of the result's shape names."""
        where = np.asarray(_other(index))
        axis = _axis(dim, self._data.ndim)
        full: list[Any] = list(np.indices(where.shape, sparse=True))
        full[axis] = where
        return self[tuple(full)]

    def masked_select(self, mask: Any) -> Any:
        """Return the elements where a mask holds."""
        return self[np.broadcast_to(_other(mask), self._data.shape)]

    def nonzero(self, as_tuple: Any = False) -> Any:
        """Return the places of what is not 0."""
        places = np.nonzero(self._data)
        return tuple(map(wrap, places)) if as_tuple else wrap(np.stack(places, -1))

    def unique(self, return_inverse: Any = False, return_counts: Any = False) -> Any:
        """Return the different elements in increasing order."""
        found = np.unique(self._data, return_inverse=return_inverse, return_counts=return_counts)
        return tuple(map(wrap, found)) if isinstance(found, tuple) else wrap(found)

    # ---- Products --------------------------------------------------------------------------------

    def __matmul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _product(as_tensor(other), self)

    matmul = mm = mv = dot = bmm = __matmul__

    def outer(self, other: Any) -> Any:
        """Return the products of all pairs of elements of two vectors."""
        return self.unsqueeze(1) * other.unsqueeze(0)

    # ---- In place --------------------------------------------------------------------------------

    def copy_(self, other: Any) -> Any:
        """Copy another Tensor's elements into this one."""
        return _write(self, _other(other))

    def fill_(self, value: Any) -> Any:
        """Make all elements one number."""
        return _write(self, _other(value))

    def zero_(self) -> Any:
        """Make all elements 0."""
        return _write(self, 0)

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Add alpha times another Tensor."""
        _in_place(self, other)
        return _write(self, self.detach().add(_free(other), alpha=alpha)._data)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Subtract alpha times another Tensor."""
        _in_place(self, other)
        return _write(self, self.detach().sub(_free(other), alpha=alpha)._data)

    def mul_(self, other: Any) -> Any:
        """Multiply by another Tensor."""
        _in_place(self, other)
        return _write(self, (self.detach() * _free(other))._data)

    def div_(self, other: Any) -> Any:
        """Divide by another Tensor."""
        _in_place(self, other)
        return _write(self, (self.detach() / _free(other))._data)

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """Add value times the product of two Tensors."""
        return self.add_(_free(tensor1) * _free(tensor2), alpha=value)

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """Add value times the quotient of two Tensors."""
        return self.add_(_free(tensor1) / _free(tensor2), alpha=value)

    def lerp_(self, end: Any, weight: Any) -> Any:
        """Go the part `weight` of the way to another Tensor."""
        return self.add_(_free(end) - self.detach(), alpha=weight)

    def pow_(self, exponent: Any) -> Any:
        """Raise to a power."""
        return _write(self, self.detach().pow(_free(exponent))._data)

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        """Hold the elements between limits."""
        return _write(self, np.clip(self._data, _other(min), _other(max)))

    def sqrt_(self) -> Any:
        """Take roots."""
        return _write(self, ops.sqrt(self._data))

    def masked_fill_(self, mask: Any, value: Any) -> Any:
        """Write a number where a mask holds."""
        _in_place(self)
        self._data[np.broadcast_to(_other(mask), self._data.shape)] = _other(value)
        return _bump(self)

    def uniform_(self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None) -> Any:
        """Draw all elements evenly from [a, b)."""
        _floats(self, "uniform_")
        rng = key(generator)
        return _write(self, draw(self._data.shape, "uniform", a, b, rng, self._data.dtype))

    def normal_(
        self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None
    ) -> Any:
        """Draw all elements from a normal distribution."""
        _floats(self, "normal_")
        rng = key(generator)
        shape = self._data.shape
        return _write(self, _random.normal(shape, self._data.dtype, rng, mean, std))

    def __iadd__(self, other: Any) -> Any:
        return self + other if _has_history(self, other) else self.add_(other)

    def __isub__(self, other: Any) -> Any:
        return self - other if _has_history(self, other) else self.sub_(other)

    def __imul__(self, other: Any) -> Any:
        return self * other if _has_history(self, other) else self.mul_(other)

    def __itruediv__(self, other: Any) -> Any:
        return self / other if _has_history(self, other) else self.div_(other)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # NumPy and copy look for such names
            raise AttributeError(name)
        instead = _OTHERS.get(name)
        if instead:
            raise AttributeError(f"Tensor.{name} is not supported; the nearest is {instead}")
        raise AttributeError(f"'Tensor' object has no attribute '{name}'{nearest(name, _PUBLIC)}")

    # ---- Copies ----------------------------------------------------------------------------------

    def __copy__(self) -> Any:
        return over(type(self), self._data).requires_grad_(self.requires_grad)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        if self._op:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment."
            )
        copied = over(type(self), self._data.copy("K")).requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        return _remade, (type(self), self._data, self.requires_grad)


def _remade(cls: type[Tensor], array: Array, requires_grad: bool) -> Any:
    return over(cls, array).requires_grad_(requires_grad)


_PUBLIC = [name for name in dir(Tensor) if not name.startswith("_")]
_OTHERS = {
    "half": "Tensor.float()", "bfloat16": "Tensor.float()", "einsum": "@ with permute",
    "scatter_": "Tensor[index] = value", "scatter_add_": "Tensor[index] += value",
    "unfold": "Tensor[index]", "share_memory_": "one process", "to_sparse": "the Tensor itself",
    "svd": "numpy.linalg", "inverse": "numpy.linalg", "det": "numpy.linalg",
}  # fmt: skip

tape.register([Tensor])


def _same(g: Any, y: Any, inputs: tuple[Any, ...], _: Any) -> Any:
    return (g,)


def _cumsum_rule(g: Any, y: Any, inputs: tuple[Any, ...], axis: int) -> Any:
    if isinstance(y, Node):
        raise RuntimeError("cumsum: its gradient cannot be differentiated again")
    return (np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis).copy(),)


# ---- Helpers -------------------------------------------------------------------------------------


def _bump(x: Any) -> Any:
    """Say to the tape that an array was changed: what was computed from it is out of date."""
    _set_data(x, x._data)
    return x


_set_data: Callable[[Any, Any], None] = Node._data.__set__


def _has_history(x: Any, other: Any) -> bool:
    """Whether an operation in place would have to be recorded: then it makes a new Tensor."""
    recorded = bool(x._op) or (isinstance(other, Node) and other.requires_grad)
    return recorded and not tape_is_silent()


def tape_is_silent() -> bool:
    """Return whether operations are not recorded."""
    silent = tape.set_silent(True)
    tape.set_silent(silent)
    return bool(silent)


def _in_place(x: Any, *others: Any) -> None:
    """Refuse to change in place what a history needs."""
    if tape_is_silent():
        return
    if x.requires_grad and not x._op:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    if x._op or any(isinstance(other, Node) and other.requires_grad for other in others):
        raise RuntimeError(
            "a Tensor with a history is not changed in place; use the method without the "
            "underscore, which makes a new one, or torch.no_grad()"
        )


def _free(x: Any) -> Any:
    return over(Tensor, x._data) if isinstance(x, Node) else x


def _write(x: Any, new: Any) -> Any:
    _in_place(x)
    try:
        x._data[...] = new
    except ValueError as error:
        if not x._data.flags.writeable:
            raise RuntimeError(f"the array of this Tensor is read-only: {error}") from None
        raise RuntimeError(
            f"The size of tensor a {list(x._data.shape)} must match the size of tensor b "
            f"{list(np.shape(new))}"
        ) from None
    return _bump(x)


def _floats(x: Any, name: str) -> None:
    if x._data.dtype.kind != "f":
        raise RuntimeError(f"\"{name}\" not implemented for '{x.dtype._words}'")


def _plain(index: Any) -> Any:
    """Return an index for NumPy."""
    if isinstance(index, Node):
        return index._data
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    if isinstance(index, list):
        return [_plain(part) for part in index]
    return index


def _index_error(array: Array, index: Any, error: IndexError) -> IndexError:
    if isinstance(index, int) and array.ndim:
        return IndexError(f"index {index} is out of bounds for dimension 0 with size {len(array)}")
    if "too many indices" in str(error):
        return IndexError(f"too many indices for tensor of dimension {array.ndim}")
    return error


def _product(a: Any, b: Any) -> Any:
    x, y = a._data, values(b)
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {of_numpy(x.dtype)._words} != "
            f"{of_numpy(y.dtype)._words}"
        )
    try:
        return ops.matmul(a, b)
    except ValueError:
        if x.ndim == y.ndim == 2:
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({x.shape[0]}x{x.shape[1]} and "
                f"{y.shape[0]}x{y.shape[1]})"
            ) from None
        raise RuntimeError(
            f"matmul: the sizes {list(x.shape)} and {list(y.shape)} do not fit"
        ) from None


def _explained(root: Any, gradient: Any, error: Exception) -> Exception:
    """Return what torch says where the tape refuses a backward."""
    if not root.requires_grad:
        return RuntimeError(
            "element 0 of tensors does not require grad and does not have a grad_fn"
        )
    if gradient is None and root._data.size != 1:
        return RuntimeError("grad can be implicitly created only for scalar outputs")
    if "forgotten" in str(error):
        return RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors "
            "after they have already been freed). Saved intermediate values of the graph are freed "
            "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
            "to backward through the graph a second time or if you need to access saved tensors "
            "after calling backward."
        )
    if isinstance(error, ValueError):
        return RuntimeError(str(error))
    return error


# ---- Into torch ----------------------------------------------------------------------------------


def _as_array(data: Any, kind: Any = None) -> Array:
    """Return an array of what a Tensor may be made of; whole numbers are int64."""
    if isinstance(data, Node):
        array = cast(Array, values(data))
        return array if kind is None else array.astype(kind, copy=False)
    if isinstance(data, np.ndarray):
        of_numpy(data.dtype)
        return data if kind is None else data.astype(kind, copy=False)
    if isinstance(data, (list, tuple)) and any(isinstance(one, Node) for one in data):
        data = [one._data.tolist() if isinstance(one, Node) else one for one in data]
    if isinstance(data, np.generic):
        return np.asarray(data, kind)
    try:
        array = any_array(data, "data")
    except ValueError as error:
        raise ValueError(f"expected sequence of equal length: {error}") from None
    if kind is not None and array.dtype.kind in "iufb":
        return array.astype(kind, copy=False)
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "f":
        return array.astype(default_dtype(), copy=False)
    if array.dtype.kind == "b":
        return array
    raise TypeError(f"new(): invalid data type, got {describe(data)}")


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a Tensor over a copy of the data.

    Examples
    --------
    >>> from deepc import torch
    >>> torch.tensor([2, 4.0])
    tensor([2., 4.])
    """
    if device is not None:
        _check_device(device)
    array = np.array(_as_array(data, as_numpy_dtype(dtype)), order="C")
    if requires_grad and array.dtype.kind != "f":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    result = over(Tensor, array)
    return cast(Tensor, result.requires_grad_() if requires_grad else result)


def _check_device(kind: Any) -> None:
    device(kind)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Return a Tensor over the data, in the same memory where that is possible."""
    if device is not None:
        _check_device(device)
    kind = as_numpy_dtype(dtype)
    if isinstance(data, Tensor):
        return cast(Tensor, data if kind is None else data.type(kind))
    return cast(Tensor, over(Tensor, _as_array(data, kind)))


def from_numpy(ndarray: Array) -> Tensor:
    """Return a Tensor over an array, in the same memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    of_numpy(ndarray.dtype)
    return cast(Tensor, over(Tensor, ndarray))
