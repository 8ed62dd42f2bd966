"""What a module of the face says of names that it does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deepc._values import nearest

__all__ = ["missing"]


def missing(
    module: str, known: Iterable[str], others: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, which says what there is in place of what is not there."""
    names = [name for name in known if not name.startswith("_")]

    def __getattr__(name: str) -> Any:
        instead = (others or {}).get(name)
        if instead:
            raise AttributeError(f"{module}.{name} is not supported; the nearest is {instead}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}{nearest(name, names)}")

    return __getattr__
