"""A Tensor's numbers as torch prints them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._values import Array, default_dtype

__all__ = ["set_printoptions", "show"]

_OPTIONS: dict[str, Any] = {
    "precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None,
}  # fmt: skip


def set_printoptions(**options: Any) -> None:
    """Set how Tensors are printed: precision, threshold, edgeitems, linewidth, sci_mode."""
    unknown = set(options) - set(_OPTIONS)
    if unknown:
        raise TypeError(f"set_printoptions: expected some of {list(_OPTIONS)}, got {unknown}")
    _OPTIONS.update(options)


def _formatter(array: Array) -> Callable[[Any], str]:
    """Return what makes a text of each number, all of the same width."""
    if array.dtype.kind != "f":
        width = max((len(str(x)) for x in array.ravel().tolist()), default=0)
        return lambda x: str(x).rjust(width)
    digits = _OPTIONS["precision"]
    finite = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    low, high = (np.abs(finite).min(), np.abs(finite).max()) if finite.size else (1.0, 1.0)
    whole = bool((finite == np.ceil(finite)).all())
    science = high / low > 1000 or high > 1e8 or (not whole and low < 1e-4)
    if _OPTIONS["sci_mode"] is not None:
        science = _OPTIONS["sci_mode"]

    def one(x: float) -> str:
        if science:
            return f"{x:.{digits}e}"
        if whole:
            return f"{x:.0f}." if math.isfinite(x) else f"{x:.0f}"
        return f"{x:.{digits}f}"

    # What is not finite may be longer, as in torch.
    width = max((len(one(x)) for x in finite.tolist()), default=1)
    return lambda x: one(x).rjust(width)


def _lines(array: Array, text: Callable[[Any], str], indent: int, cut: bool) -> str:
    edge = _OPTIONS["edgeitems"]
    few = cut and array.ndim > 0 and len(array) > 2 * edge
    if array.ndim == 0:
        return text(array.item())
    if array.ndim > 1:
        parts = [array[:edge], array[-edge:]] if few else [array]
        rows = [[_lines(row, text, indent + 1, cut) for row in part] for part in parts]
        joined = [*rows[0], "...", *rows[1]] if few else rows[0]
        between = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
        return "[" + between.join(joined) + "]"
    values = array.tolist()
    if few:
        words = [*map(text, values[:edge]), " ...", *map(text, values[-edge:])]
    else:
        words = [text(x) for x in values]
    width = len(words[0]) if words else 1
    each = max(1, (_OPTIONS["linewidth"] - indent) // (width + 2))
    rows_of_words = [words[i : i + each] for i in range(0, len(words), each)] or [[]]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(row) for row in rows_of_words) + "]"


def _edges(array: Array) -> Array:
    """Return the elements that are shown of a large array."""
    edge = _OPTIONS["edgeitems"]
    for axis in range(array.ndim):
        n = array.shape[axis]
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis)
    return array


def show(array: Array, word: str, indent: int, suffixes: list[str]) -> str:
    """Return the text of a Tensor: ``tensor(...)``."""
    more = list(suffixes)
    if not array.size:
        text = "[]"
        if array.ndim != 1:
            more.insert(0, f"size={array.shape}")
    else:
        cut = array.size > _OPTIONS["threshold"]
        text = _lines(array, _formatter(_edges(array) if cut else array), indent, cut)
    if array.dtype not in (default_dtype(), np.dtype("i8"), np.dtype("?")):
        more.insert(1 if more and more[0].startswith("size") else 0, f"dtype=torch.{array.dtype}")
    elif array.dtype != default_dtype() and not array.size:
        more.append(f"dtype=torch.{array.dtype}")
    result = word + text
    last = len(result) - result.rfind("\n") + 1
    for suffix in more:
        if last + len(suffix) + 2 > _OPTIONS["linewidth"]:
            result += ",\n" + " " * indent + suffix
            last = indent + len(suffix)
        else:
            result += ", " + suffix
            last += len(suffix) + 2
    return result + ")"
