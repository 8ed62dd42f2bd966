"""Tensor, Parameter and Scalar: the tape's nodes as Python sees them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from deepc._c import tape
from deepc._c.tape import Node
from deepc._values import Array, default_dtype, describe
from deepc.autodiff import ops

_F = TypeVar("_F", bound=Callable[..., Any])

# What NumPy's functions are for a Tensor.
_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: lambda a, b: _of(a) + _of(b), np.subtract: lambda a, b: _of(a) - _of(b),
    np.multiply: lambda a, b: _of(a) * _of(b), np.true_divide: lambda a, b: _of(a) / _of(b),
    np.negative: lambda a: -a, np.positive: lambda a: a, np.power: ops.power,
    np.matmul: ops.matmul, np.exp: ops.exp, np.log: ops.log, np.tanh: ops.tanh,
    np.sqrt: ops.sqrt, np.abs: ops.abs, np.sin: ops.sin, np.cos: ops.cos,
    np.maximum: ops.maximum, np.minimum: ops.minimum, np.square: lambda a: a * a,
}  # fmt: skip
_COMPARISONS = {
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.sign,
    np.floor, np.ceil, np.rint, np.isnan, np.isfinite, np.isinf,
}  # fmt: skip


def _of(x: Any) -> Any:
    """Return an operand of NumPy's as one of the tape's: its numbers are as weak as Python's."""
    if isinstance(x, (Node, int, float)) and not isinstance(x, np.generic):
        return x
    return x.item() if isinstance(x, np.generic) else Tensor(x)


@tape.family(scalars=False)
class Tensor(Node):
    """An array, what it was computed from, and its gradient.

    Arithmetic follows NumPy's broadcasting. Python numbers take the Tensor's dtype; float32 with
    float64 is float64. Nothing is changed in place: ``t += 1`` makes a new Tensor.

    Parameters
    ----------
    data : array_like
        float32 and float64 arrays are used where they are, not copied. Python floats become the
        default dtype, integers stay integers.
    requires_grad : bool, optional
        Whether `backward` of what is computed from it fills its `grad`.
    dtype : optional
        Another dtype: float32, float64, or integers.

    Attributes
    ----------
    data : ndarray
        The numbers. Assigning copies into the same array, ``t.data -= 0.1 * t.grad`` works.
    grad : ndarray or None
        The gradient, added to by every `backward`; None before the first.
    requires_grad : bool
    label : str or None
        A name for drawings and messages.

    Examples
    --------
    >>> from deepc.autodiff import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    array([2., 4.], dtype=float32)
    """

    __slots__ = ()
    __hash__ = object.__hash__

    # ---- Gradients ----

    def backward(self, gradient: Any = None, free: bool = False) -> None:
        """Add the gradients of this result to the `grad` of all leaves that it depends on.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient to start with, of this shape; needed unless there is one element only.
        free : bool, optional
            Forget the graph at once, although somebody still holds the result; what is computed
            from its nodes cannot go back any more.

        Raises
        ------
        ValueError
            If there are several elements and no `gradient`.
        RuntimeError
            If it depends on nothing that requires a gradient, or on an array that has been changed
            in place since.
        """
        tape.backward(self, gradient, free)

    def zero_grad(self) -> None:
        """Let the gradient stand for zeros; the array itself is written by the next `backward`."""
        tape.zero([self])

    def detach(self) -> Any:
        """Return a Tensor over the same memory without a history."""
        return _family(self)(self._data)

    def retain_grad(self) -> None:
        """Keep the gradient of a Tensor that is a result; leaves keep theirs anyway."""
        tape.retain(self)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call a function with the whole gradient once in each pass; it may return another.

        Returns
        -------
        callable
            Removes the hook again.
        """
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {describe(hook)}")
        hooks = self._hooks
        if hooks is None:
            hooks = {}
            self._hooks = hooks
        key = object()
        hooks = cast(dict[Any, Any], hooks)
        hooks[key] = hook
        return lambda: cast(None, hooks.pop(key, None))

    # ---- What arrays have ----

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    @property
    def T(self) -> Any:
        """The Tensor with its dimensions reversed."""
        return ops.transpose(self)

    @property
    def is_leaf(self) -> bool:
        """Whether it is no result of an operation that was recorded."""
        return not self._op

    def numpy(self) -> Array:
        """Return the array, without the history."""
        return cast(Array, self._data)

    def tolist(self) -> Any:
        """Return the numbers in lists."""
        return self._data.tolist()

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item: expected one element, got shape {self.shape}")
        return self._data.item()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a Tensor of no dimensions has none")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self)):
            yield ops.getitem(self, i)

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ValueError(
                f"bool: a Tensor of shape {self.shape} is neither true nor false; use .data.any() "
                "or .data.all()"
            )
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(f"index: expected integers, got {self._data.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self._data.item() if self._data.size == 1 and spec else repr(self), spec)

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        if self._data.dtype == np.float64:
            text += ", dtype=float64" if self._data.dtype != default_dtype() else ""
        return (
            f"Tensor({text}{', requires_grad=True' if self.is_leaf and self.requires_grad else ''})"
        )

    def __getitem__(self, index: Any) -> Any:
        return ops.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor does not support item assignment; put(t, index, value), where() and stack() "
            "make a new one"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise TypeError(
                "a Tensor that requires a gradient is no array: use t.data, or t.detach() to go on "
                "without gradients"
            )
        array = self._data if dtype is None else self._data.astype(dtype, copy=False)
        return cast(Array, array.copy() if copy and array is self._data else array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            return NotImplemented
        if ufunc in _COMPARISONS:
            return ufunc(*(x._data if isinstance(x, Node) else x for x in inputs))
        function = _UFUNCS.get(ufunc)
        return function(*inputs) if function else NotImplemented

    # ---- Operators ----

    def __pow__(self, other: Any) -> Any:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return ops.power(Tensor(np.asarray(other, self._data.dtype)), self)

    def __matmul__(self, other: Any) -> Any:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __abs__(self) -> Any:
        return ops.abs(self)

    def __eq__(self, other: Any) -> Any:
        return np.equal(self._data, _bare(other))

    def __ne__(self, other: Any) -> Any:
        return np.not_equal(self._data, _bare(other))

    def __lt__(self, other: Any) -> Any:
        return np.less(self._data, _bare(other))

    def __le__(self, other: Any) -> Any:
        return np.less_equal(self._data, _bare(other))

    def __gt__(self, other: Any) -> Any:
        return np.greater(self._data, _bare(other))

    def __ge__(self, other: Any) -> Any:
        return np.greater_equal(self._data, _bare(other))

    # ---- Copies hold values, no history ----

    def __copy__(self) -> Any:
        return type(self)(self._data, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(self._data.copy(), self.requires_grad)

    def __reduce__(self) -> Any:
        return type(self), (self._data, self.requires_grad)

    # ---- Functions as methods ----

    exp, log, sqrt, abs, sin, cos = ops.exp, ops.log, ops.sqrt, ops.abs, ops.sin, ops.cos
    tanh, sigmoid, relu, softplus = ops.tanh, ops.sigmoid, ops.relu, ops.softplus
    gelu, silu, elu, leaky_relu = ops.gelu, ops.silu, ops.elu, ops.leaky_relu
    softmax, log_softmax, logsumexp = ops.softmax, ops.log_softmax, ops.logsumexp
    sum, mean, var, std, norm, prod = ops.sum, ops.mean, ops.var, ops.std, ops.norm, ops.prod
    max, min, clip = ops.max, ops.min, ops.clip
    reshape, transpose, flatten, squeeze = ops.reshape, ops.transpose, ops.flatten, ops.squeeze
    argmax, astype, split, power = ops.argmax, ops.astype, ops.split, ops.power


def _bare(x: Any) -> Any:
    return x._data if isinstance(x, Node) else x


class Parameter(Tensor):
    """A Tensor to be trained: a copy of its data, with a gradient of zeros from the start.

    Parameters
    ----------
    data : array_like
    dtype : optional
        float32 or float64.
    """

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True, dtype: Any = None) -> Any:
        """Make one."""
        array = np.array(tape.convert(data, dtype), order="C")
        if array.dtype.kind != "f":
            array = array.astype(default_dtype())
        self = super().__new__(cls, array, requires_grad)
        tape.adopt(self, np.zeros_like(array), False)
        return self

    @classmethod
    def over(cls, data: Array, gradient: Array) -> Any:
        """Return a parameter over two arrays that belong to somebody else, such as a layer."""
        self = Tensor.__new__(cls, data, True)
        tape.adopt(self, gradient, True)
        return self


@tape.family(scalars=True)
class Scalar(Node):
    """A number, what it was computed from, and its gradient.

    Parameters
    ----------
    data : float

    Attributes
    ----------
    data : float
    grad : float
        The gradient, added to by every `backward`: of leaves and of results.

    Examples
    --------
    >>> from deepc.autodiff import Scalar
    >>> a = Scalar(2.0)
    >>> b = a * a + 3
    >>> b.backward()
    >>> b.data, a.grad
    (7.0, 4.0)
    """

    __slots__ = ()
    __hash__ = object.__hash__
    # NumPy's numbers leave operations to the Scalar.
    __array_ufunc__ = None

    def backward(self, gradient: float = 1.0, free: bool = False) -> None:
        """Add the gradients of this number to the `grad` of all that it was computed from."""
        tape.backward(self, gradient, free)

    def detach(self) -> Any:
        """Return the number without a history."""
        return Scalar(self.data)

    def item(self) -> float:
        """Return the number."""
        return float(self.data)

    def __repr__(self) -> str:
        return f"Scalar(data={self.data}, grad={self.grad})"

    def __pow__(self, other: Any) -> Any:
        return tape.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return tape.power(other, self)

    def __abs__(self) -> Any:
        return self if self.data >= 0 else -self

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.data, digits)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __eq__(self, other: Any) -> Any:
        return self.data == _number(other)

    def __ne__(self, other: Any) -> Any:
        return self.data != _number(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < _number(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _number(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _number(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _number(other)

    def __reduce__(self) -> Any:
        return Scalar, (self.data,)

    def __copy__(self) -> Any:
        return Scalar(self.data)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return Scalar(self.data)

    def exp(self) -> Any:
        """Return e to the power of the number."""
        return tape.exp(self)

    def log(self) -> Any:
        """Return the natural logarithm."""
        return tape.log(self)

    def tanh(self) -> Any:
        """Return the hyperbolic tangent."""
        return tape.tanh(self)

    def sigmoid(self) -> Any:
        """Return 1 / (1 + exp(-x))."""
        return tape.sigmoid(self)

    def relu(self) -> Any:
        """Return ``(x > 0) * x``, the product: its slope times an infinite gradient may be NaN."""
        return tape.relu_product(self)


def _number(other: Any) -> Any:
    return other.data if isinstance(other, Scalar) else other


tape.register([Scalar, Tensor], parameter=Parameter)


def _family(tensor: Tensor) -> type[Tensor]:
    return Tensor if isinstance(tensor, Parameter) else type(tensor)


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Return a Tensor over a copy of the data."""
    array = np.array(tape.convert(data, dtype), order="C")
    return cast(Tensor, Tensor(array, requires_grad))


# ---- Settings ------------------------------------------------------------------------------------


class _Setting:
    """A flag of the tape inside a ``with`` block, or inside a function."""

    _set: Callable[[bool], bool]
    _value = True

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(type(self)._set(self._value))

    def __exit__(self, *error: object) -> None:
        type(self)._set(self._before.pop())

    def __call__(self, function: _F) -> _F:
        """Run a function that way, each time."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            with type(self)():
                return function(*arguments, **keywords)

        return cast(_F, wrapped)


class no_grad(_Setting):
    """Compute without writing down a history: in a ``with`` block, or as a decorator.

    Examples
    --------
    >>> from deepc.autodiff import Tensor, no_grad
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     y = 2 * x
    >>> y.requires_grad
    False
    """

    _set = tape.set_silent


class enable_grad(_Setting):
    """Write down histories, inside `no_grad` too."""

    _set, _value = tape.set_silent, False


class detect_nan(_Setting):
    """Raise where an operation makes the first NaN, forward or back, and name the operation."""

    _set = tape.set_detects


def zero_grad(parameters: Sequence[Node]) -> None:
    """Let the gradients of several parameters stand for zeros."""
    tape.zero(list(parameters))
