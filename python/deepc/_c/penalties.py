"""Penalties of large parameters, as the library takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from deepc._c.library import TYPED, check, flat, pointer
from deepc._deepc import ffi
from deepc._values import Array


class Penalties:
    """Parameters of one dtype with their penalties ``l1 * sum of abs(p) + l2 * sum of p**2``.

    Each row is (parameter, gradient or None, l1, l2). Parameter and gradient have one memory
    layout; this object keeps them alive.
    """

    __slots__ = ("_add", "_keep", "_sum", "count", "dtype", "pointer")

    def __init__(self, rows: Sequence[tuple[Array, Array | None, float, float]]) -> None:
        self.dtype: np.dtype[Any] = rows[0][0].dtype
        typed = TYPED[self.dtype]
        self.count = len(rows)
        self.pointer = ffi.new(f"dc_penalty_{typed.suffix}[]", self.count)
        self._keep: list[Any] = []
        for c, (parameter, gradient, l1, l2) in zip(self.pointer, rows, strict=True):
            value = pointer(flat(parameter))
            c.size, c.parameter, c.l1, c.l2 = len(value), value, l1, l2
            self._keep.append(value)
            if gradient is not None:
                c.gradient = slope = pointer(flat(gradient), True)
                if len(slope) != len(value) or gradient.dtype != self.dtype:
                    raise ValueError(
                        f"gradient: expected {len(value)} numbers of {self.dtype}, "
                        f"got {len(slope)} of {gradient.dtype}"
                    )
                self._keep.append(slope)
        self._add = typed.penalize
        self._sum = ffi.new("double *")
        self.add(gradients=False)

    def add(self, gradients: bool) -> float:
        """Return the sum of all penalties; add their slopes to the gradients, or not."""
        check(self._add(self.count, self.pointer, gradients, self._sum), "penalties: l1 or l2")
        return cast(float, self._sum[0])
