"""What torch calls dtype, Size and device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepc._values import describe

__all__ = ["Size", "as_numpy_dtype", "device", "dtype", "of_numpy"]


class dtype:
    """What a Tensor holds; NumPy takes it for its own of the same name."""

    __slots__ = ("_words", "dtype", "name")

    def __init__(self, name: str, kind: str, words: str) -> None:
        self.name, self.dtype, self._words = name, np.dtype(kind), words

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return of_numpy, (self.dtype,)

    @property
    def is_floating_point(self) -> bool:
        """Whether its numbers have fractions, and so gradients."""
        return self.dtype.kind == "f"

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.dtype.itemsize


float32, float64 = dtype("float32", "f4", "Float"), dtype("float64", "f8", "Double")
int64, int32 = dtype("int64", "i8", "Long"), dtype("int32", "i4", "Int")
int16, int8 = dtype("int16", "i2", "Short"), dtype("int8", "i1", "Char")
uint8, bool_ = dtype("uint8", "u1", "Byte"), dtype("bool", "?", "Bool")
# THE list: what torch has of them and NumPy too.
ALL = (float32, float64, int64, int32, int16, int8, uint8, bool_)
_OF_NUMPY = {one.dtype: one for one in ALL}
_OF_PYTHON: dict[Any, dtype] = {float: float64, int: int64, bool: bool_}


def of_numpy(kind: Any) -> dtype:
    """Return torch's dtype for NumPy's."""
    found = _OF_NUMPY.get(np.dtype(kind))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np.dtype(kind)}. The only supported types "
            f"are: {', '.join(one.name for one in ALL)}."
        )
    return found


def as_numpy_dtype(kind: Any) -> Any:
    """Return NumPy's dtype for what a `dtype` argument may be; None stays."""
    if kind is None or isinstance(kind, np.dtype):
        return kind
    if isinstance(kind, dtype):
        return kind.dtype
    if kind in _OF_PYTHON:
        return _OF_PYTHON[kind].dtype
    try:
        return of_numpy(kind).dtype
    except TypeError:
        raise TypeError(f"dtype must be torch.dtype, not {describe(kind)}") from None


class Size(tuple[int, ...]):
    """The shape of a Tensor: a tuple."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self)


class device:
    """Where a Tensor lies; there is the CPU only."""

    __slots__ = ("type",)
    index = None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        kind = str(getattr(type, "type", type)).partition(":")[0]
        if kind != "cpu":
            raise RuntimeError(
                f"device: deepc computes on the CPU only, got {str(type)!r}; "
                "torch.cuda.is_available() says so"
            )
        self.type = kind

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"

    def __str__(self) -> str:
        return self.type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) or other == self.type

    def __hash__(self) -> int:
        return hash(self.type)


CPU = device()
