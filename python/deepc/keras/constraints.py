"""Constraints by the names that Keras has for them: what weights become after each step."""

from __future__ import annotations

from typing import Any, ClassVar

from deepc._values import Array, as_float, missing
from deepc.keras._names import find
from deepc.training.constraints import limit_norms, positive

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get"]


class Constraint:
    """Called with weights, it returns those that they become. Subclass it for your own."""

    _names: ClassVar[tuple[str, ...]] = ()

    def __call__(self, w: Any) -> Any:
        """Return the weights that these become."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {name: getattr(self, name) for name in self._names}


class MinMaxNorm(Constraint):
    """No column is shorter than `min_value` or longer than `max_value`, or less so by `rate`."""

    _names = ("min_value", "max_value", "rate", "axis")

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = as_float(min_value, "min_value", 0.0)
        self.max_value = as_float(max_value, "max_value", 0.0)
        self.rate, self.axis = as_float(rate, "rate", 0.0, 1.0), axis

    def __call__(self, w: Any) -> Array:
        return limit_norms(w, self.min_value, self.max_value, self.rate, self.axis)


class MaxNorm(Constraint):
    """No column is longer than `max_value`."""

    _names = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = as_float(max_value, "max_value", 0.0), axis

    def __call__(self, w: Any) -> Array:
        return limit_norms(w, 0.0, self.max_value, axis=self.axis)


class UnitNorm(Constraint):
    """All columns are of length 1."""

    _names = ("axis",)

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Array:
        return limit_norms(w, 1.0, 1.0, axis=self.axis)


class NonNeg(Constraint):
    """Nothing is below 0.

    Examples
    --------
    >>> NonNeg()([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Any) -> Array:
        return positive(w)


max_norm, unit_norm, non_neg, min_max_norm = MaxNorm, UnitNorm, NonNeg, MinMaxNorm
CLASSES = {
    "max_norm": MaxNorm, "MaxNorm": MaxNorm, "unit_norm": UnitNorm, "UnitNorm": UnitNorm,
    "non_neg": NonNeg, "NonNeg": NonNeg, "min_max_norm": MinMaxNorm, "MinMaxNorm": MinMaxNorm,
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


__getattr__ = missing("deepc.keras.constraints", CLASSES)
