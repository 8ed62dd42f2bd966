"""Checkpoints: what a training needs to go on, in a file of `torch.save`, which holds no code."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepc._values import describe, warn
from deepc.torch import Tensor
from deepc.torch import load as load_file
from deepc.torch import save as save_file

__all__ = ["arguments", "load", "save"]

# What stands in place of a value that no file holds.
_LEFT_OUT = object()


def save(path: Any, checkpoint: Mapping[str, Any]) -> None:
    """Replace a file by one with a checkpoint; make its folder where there is none.

    Numbers, text, tensors, and lists, tuples and dicts of them are kept; anything else is left out
    with a warning, which names it.
    """
    lost: list[str] = []
    plain = _plain(dict(checkpoint), "", lost)
    if lost:
        warn(
            f"checkpoint: {', '.join(lost)} is left out: a file keeps numbers, text, tensors, and "
            "lists, tuples and dicts of them"
        )
    place = os.fspath(path)
    os.makedirs(os.path.dirname(os.path.abspath(place)), exist_ok=True)
    save_file(plain, place)


def load(path: Any) -> dict[str, Any]:
    """Return the checkpoint in a file."""
    found = load_file(path)
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise ValueError(
            f"{os.fspath(path)}: expected a checkpoint of a Trainer, which has a state_dict; a "
            "module takes weights by load_state_dict(torch.load(path))"
        )
    return found


def _plain(value: Any, place: str, lost: list[str]) -> Any:
    """Return a value as a file can hold it; note what it cannot."""
    if value is None or isinstance(value, (bool, int, float, str, Tensor, np.ndarray, np.generic)):
        return value
    if isinstance(value, Mapping):
        pairs = {key: _plain(one, _within(place, key), lost) for key, one in value.items()}
        return {key: one for key, one in pairs.items() if one is not _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        items = [_plain(one, _within(place, i), lost) for i, one in enumerate(value)]
        whole = not any(one is _LEFT_OUT for one in items)
        return (items if isinstance(value, list) else tuple(items)) if whole else _LEFT_OUT
    lost.append(f"{place} ({describe(value)})")
    return _LEFT_OUT


def _within(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


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
