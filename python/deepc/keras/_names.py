"""Names as Keras makes and finds them: of layers, and of all that is chosen by a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deepc._values import nearest

__all__ = ["automatic", "find", "restart", "snake"]

_counts: dict[str, int] = {}


def snake(name: str) -> str:
    """Return a class's name in small letters: "LeakyReLU" becomes "leaky_re_lu"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def automatic(class_name: str) -> str:
    """Return the next name of an object of a class: dense, dense_1, dense_2."""
    name = snake(class_name)
    count = _counts.get(name, 0)
    _counts[name] = count + 1
    return f"{name}_{count}" if count else name


def restart() -> None:
    """Let names start without a number again."""
    _counts.clear()


def find(kind: str, identifier: Any, table: Mapping[str, Any]) -> Any:
    """Return what a table holds under a name; refuse any other name, and say the nearest one."""
    if isinstance(identifier, str) and identifier in table:
        return table[identifier]
    near = nearest(identifier, table) if isinstance(identifier, str) else ""
    raise ValueError(f"Could not interpret {kind} identifier: {identifier}{near}")
