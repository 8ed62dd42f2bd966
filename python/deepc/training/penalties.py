"""Penalties of large parameters, as a part of the loss that a training makes small."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from deepc._c.penalties import Penalties as TypedPenalties
from deepc._values import Array, as_float, describe
from deepc.layers import Layer

__all__ = ["Penalties"]


class Penalties:
    """What ``l1 * sum of abs(p) + l2 * sum of p**2`` of some parameters adds to a loss.

    Parameters
    ----------
    model : Layer
        Whose parameters they are.
    given : sequence of (parameter, l1, l2)
        Each parameter an array out of ``model.params()``; l1 and l2 at least 0.
    """

    def __init__(self, model: Layer, given: Any) -> None:
        self._model = model
        self._rows: list[tuple[int, float, float]] = []
        if not isinstance(given, (list, tuple)):
            raise TypeError(
                f"penalties: expected a list of (parameter, l1, l2), got {describe(given)}"
            )
        params = list(cast(Any, model).params())
        places = {_address(p): i for i, p in enumerate(params) if isinstance(p, np.ndarray)}
        for k, one in enumerate(given):
            name = f"penalties[{k}]"
            if not isinstance(one, (list, tuple)) or len(one) != 3:
                raise TypeError(f"{name}: expected (parameter, l1, l2), got {describe(one)}")
            place = places.get(_address(one[0])) if isinstance(one[0], np.ndarray) else None
            if place is None or params[place].dtype.char not in "fd":
                raise ValueError(
                    f"{name}: expected an array of float32 or float64 out of model.params(), "
                    f"got {describe(one[0])}"
                )
            l1, l2 = as_float(one[1], f"{name} l1", 0.0), as_float(one[2], f"{name} l2", 0.0)
            self._rows.append((place, l1, l2))
        self._arrays: list[Any] = []
        self._typed: list[TypedPenalties] = []
        self._bind()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def _bind(self) -> None:
        """Look whether the model's arrays are still those that the library was told of."""
        params, grads = (list(found()) for found in (self._model.params, self._model.grads))
        arrays = [array for i, _, _ in self._rows for array in (params[i], grads[i])]
        if len(arrays) == len(self._arrays) and all(map(_same, arrays, self._arrays)):
            return
        by_dtype: dict[Any, list[tuple[Any, Any, float, float]]] = {}
        for i, l1, l2 in self._rows:
            param, grad = cast(Any, params[i]), cast(Any, grads[i])
            if grad is not None and not _are_alike(param, grad):
                raise TypeError(
                    f"penalties: expected a gradient of parameter {i} with its dtype, shape and "
                    f"memory layout, got {describe(grad)}"
                )
            by_dtype.setdefault(param.dtype, []).append((param, grad, l1, l2))
        self._typed = [TypedPenalties(rows) for rows in by_dtype.values()]
        self._arrays = arrays

    def compiled(self) -> TypedPenalties | None:
        """Return what a compiled network, which is of one dtype, is told; None for nothing."""
        self._bind()
        return self._typed[0] if self._typed else None

    def value(self) -> float:
        """Return the sum of all."""
        self._bind()
        return float(sum(typed.add(False) for typed in self._typed))

    def add(self) -> float:
        """Add their slopes to the gradients of the model's last backward; return the sum."""
        self._bind()
        return float(sum(typed.add(True) for typed in self._typed))

    def total(self, loss: Any, rows: int, value: float) -> float:
        """Return what they add to the total of the losses of a batch's rows.

        Of a mean over the rows each row has the whole of it.
        """
        return value if getattr(loss, "reduction", "sum") == "sum" else value * rows


def _address(array: Array) -> tuple[int, int]:
    """Return where the numbers of an array lie, and how many."""
    return int(array.__array_interface__["data"][0]), array.size


def _same(a: Any, b: Any) -> bool:
    return a is b


def _are_alike(a: Any, b: Any) -> bool:
    return (
        isinstance(b, np.ndarray)
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.flags.c_contiguous == b.flags.c_contiguous
        and (a.flags.c_contiguous or a.flags.f_contiguous)
    )
