"""Constraints: what weights are brought back to after each step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepc._values import Array, as_float
from deepc.keras._names import find, missing

__all__ = ["Constraint", "MaxNorm", "NonNeg", "UnitNorm", "get"]

_EPSILON = 1e-7


class Constraint:
    """Called with weights, it returns those that they become. Subclass it for your own."""

    _names: ClassVar[tuple[str, ...]] = ()

    def __call__(self, w: Any) -> Any:
        """Return the weights that these become."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {name: getattr(self, name) for name in self._names}


def _norms(w: Array, axis: Any) -> Array:
    return np.asarray(np.sqrt(np.sum(np.square(w), axis=axis, keepdims=True)))


class MaxNorm(Constraint):
    """No column is longer than `max_value`."""

    _names = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = as_float(max_value, "max_value", 0.0), axis

    def __call__(self, w: Any) -> Array:
        norms = _norms(w, self.axis)
        return np.asarray(w * (np.clip(norms, 0, self.max_value) / (_EPSILON + norms)))


class UnitNorm(Constraint):
    """All columns are of length 1."""

    _names = ("axis",)

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Array:
        return np.asarray(w / (_EPSILON + _norms(w, self.axis)))


class NonNeg(Constraint):
    """Nothing is below 0.

    Examples
    --------
    >>> NonNeg()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Any) -> Array:
        return np.asarray(np.maximum(w, 0))


max_norm, unit_norm, non_neg = MaxNorm, UnitNorm, NonNeg
CLASSES = {
    "max_norm": MaxNorm, "MaxNorm": MaxNorm, "unit_norm": UnitNorm, "UnitNorm": UnitNorm,
    "non_neg": NonNeg, "NonNeg": NonNeg,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """Return a constraint by its name, or as it is; None for None."""
    if identifier is None or isinstance(identifier, Constraint):
        return identifier
    if isinstance(identifier, dict):
        config = identifier.get("config", {})
        return find("constraint", identifier.get("class_name"), CLASSES)(**config)
    if isinstance(identifier, type) and issubclass(identifier, Constraint):
        return identifier()
    if callable(identifier):
        return identifier
    return find("constraint", identifier, CLASSES)()


__getattr__ = missing("deepc.keras.constraints", CLASSES, {"MinMaxNorm": "constraints.MaxNorm"})
