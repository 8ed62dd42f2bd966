"""Regularizers: what is added to the loss for large weights."""

from __future__ import annotations

from typing import Any, ClassVar

from deepc._c.penalties import Penalties
from deepc._c.tape import Node
from deepc._values import as_array, as_float, missing
from deepc.autodiff.losses import penalty
from deepc.keras._names import find

__all__ = ["L1", "L1L2", "L2", "Regularizer", "get", "l1", "l1_l2", "l2"]


class Regularizer:
    """``l1 * sum of abs(w) + l2 * sum of w**2`` (without a half)."""

    _names: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = as_float(l1, "l1", 0.0), as_float(l2, "l2", 0.0)

    def __call__(self, x: Any) -> Any:
        """Return what is added to the loss; of a Tensor a Tensor with its history."""
        if isinstance(x, Node):
            return penalty(x, self.l1, self.l2)
        return Penalties([(as_array(x, "x"), None, self.l1, self.l2)]).add(False)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {name: getattr(self, name) for name in self._names}


class L1L2(Regularizer):
    """Both.

    Examples
    --------
    >>> L1L2(l1=0.5, l2=0.25)([1.0, -2.0])
    2.75
    """


class L1(Regularizer):
    """``l1 * sum of abs(w)``."""

    _names = ("l1",)

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(Regularizer):
    """``l2 * sum of w**2``."""

    _names = ("l2",)

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


l1, l2, l1_l2 = L1, L2, L1L2
CLASSES = {"l1": L1, "l2": L2, "l1_l2": L1L2, "L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier: Any) -> Regularizer | None:
    """Return a regularizer by its name, or as it is; None for None."""
    if isinstance(identifier, Regularizer) and type(identifier).__call__ is Regularizer.__call__:
        return identifier
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        config = identifier.get("config", {})
        made: Regularizer = find("regularizer", identifier.get("class_name"), CLASSES)(**config)
        return made
    if callable(identifier) and not isinstance(identifier, type):
        raise TypeError(
            "regularizer: a function has no derivative here; the nearest are "
            "regularizers.L1, L2 and L1L2"
        )
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    found: Regularizer = find("regularizer", identifier, CLASSES)()
    return found


__getattr__ = missing(
    "deepc.keras.regularizers", __all__, {"OrthogonalRegularizer": "regularizers.L2"}
)
