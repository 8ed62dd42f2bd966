"""Checkpoints: a tree of plain values and arrays in one safetensors file.

Nothing in the file is ever executed. Numbers, strings, None, lists, tuples and dicts are kept, and
tensors and arrays in them; anything else is left out with a warning, which names it.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepc._files import replacing
from deepc._values import Array, describe
from deepc.lightning._words import warn
from deepc.shipping.safetensors import read_tensors, write_tensors
from deepc.shipping.tensors import marked, parts_of
from deepc.torch import Tensor, from_numpy

__all__ = ["arguments", "load", "save"]

# What stands in place of a value that no file holds.
_LEFT_OUT = object()


def save(path: Any, checkpoint: Mapping[str, Any]) -> None:
    """Replace a file by one with a checkpoint; make its folder where there is none."""
    arrays: dict[str, Array] = {}
    lost: list[str] = []
    tree = _packed(dict(checkpoint), "", arrays, lost)
    if lost:
        warn(
            f"checkpoint: {', '.join(lost)} is left out: a file keeps numbers, strings, tensors, "
            "and lists, tuples and dicts of them"
        )
    place = os.fspath(path)
    os.makedirs(os.path.dirname(os.path.abspath(place)), exist_ok=True)
    content = write_tensors(*marked(arrays, {"lightning": tree}))
    with replacing(place) as file:
        file.write(content)


def load(path: Any) -> dict[str, Any]:
    """Return the checkpoint in a file."""
    place = os.fspath(path)
    with open(place, "rb") as file:
        content = file.read()
    if content[:2] in (b"PK", b"\x80\x02"):
        raise ValueError(
            f"{place}: a checkpoint of torch holds code, and is not read; where torch is "
            "installed, safetensors.torch.save_file(torch.load(path)['state_dict'], "
            "'weights.safetensors') converts its weights"
        )
    arrays, metadata = read_tensors(content, place)
    tree = parts_of(arrays, metadata, place, ["lightning"])["lightning"]
    try:
        found = _unpacked(tree, arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not a checkpoint of a Trainer: {error!r}") from None
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise ValueError(f"{place}: expected a checkpoint with a state_dict")
    return found


def _packed(value: Any, place: str, arrays: dict[str, Array], lost: list[str]) -> Any:
    """Return a value as JSON can hold it; arrays in it go by their place."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, (Tensor, np.ndarray)):
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        if array.dtype.kind in "fiub":
            arrays[place] = array
            return {"tensor" if isinstance(value, Tensor) else "array": place}
    elif isinstance(value, Mapping):
        pairs = [
            [_packed(key, place, arrays, lost), _packed(v, _within(place, key), arrays, lost)]
            for key, v in value.items()
        ]
        return {"dict": [pair for pair in pairs if _LEFT_OUT not in pair]}
    elif isinstance(value, (list, tuple)):
        items = [_packed(v, _within(place, i), arrays, lost) for i, v in enumerate(value)]
        if not any(item is _LEFT_OUT for item in items):
            return items if isinstance(value, list) else {"tuple": items}
        return _LEFT_OUT
    lost.append(f"{place} ({describe(value)})")
    return _LEFT_OUT


def _within(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _unpacked(tree: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "dict":
        return {_unpacked(key, arrays): _unpacked(v, arrays) for key, v in value}
    if kind == "tuple":
        return tuple(_unpacked(item, arrays) for item in value)
    if kind == "float":
        return float(value)
    if kind == "array":
        return arrays[value]
    if kind == "tensor":
        return from_numpy(arrays[value])
    raise ValueError(f"there is no kind of value {kind!r}")


def arguments(
    cls: type, checkpoint: Mapping[str, Any], given: Mapping[str, Any],
    key: str = "hyper_parameters",
) -> dict[str, Any]:  # fmt: skip
    """Return what to make an object with: a checkpoint's hyperparameters, and what was given."""
    kept = {**checkpoint.get(key, {}), **given}
    parameters = inspect.signature(cls).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return kept
    names = {p.name for p in parameters}
    return {name: value for name, value in kept.items() if name in names}
