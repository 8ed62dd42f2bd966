"""What a call of a layer says to the calls inside it, and whose code decides what a layer does."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["calling", "context", "is_custom", "is_own", "modes", "takes"]


class _Context(threading.local):
    """What the calls that run say to those inside: whether they train, and whose names come first.

    `training` is None outside of any call.
    """

    training: bool | None = None
    path = ""
    # Of one call from outside, with all calls inside it.
    mark: object = None
    # How many rows the data have that layers are built by, for tables; None where there are none.
    batch: int | None = None


context = _Context()


@contextmanager
def calling(training: bool, path: str) -> Iterator[None]:
    """Say to the calls inside whether they train."""
    before = context.training, context.path
    if context.training is None:
        context.mark = object()
    context.training, context.path = training, path
    try:
        yield
    finally:
        context.training, context.path = before


@contextmanager
def modes(made: Sequence[Any]) -> Iterator[None]:
    """Let layers of deepc train as the call that runs does."""
    changed = [layer for layer in made if hasattr(layer, "train")]
    before = [layer.train for layer in changed]
    for layer in changed:
        layer.train = bool(context.training)
    try:
        yield
    finally:
        for layer, was in zip(changed, before, strict=True):
            layer.train = was


@functools.cache
def _is_of_face(cls: Any) -> bool:
    """Whether a class is one of this package, and not one that an example there defines."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__.startswith("deepc.keras.") and vars(module).get(cls.__name__) is cls


@functools.cache
def _is_own(cls: Any) -> bool:
    return any(
        _is_of_face(base) and base.__name__ not in ("Holder", "Layer") for base in cls.__mro__
    )


@functools.cache
def _is_custom(cls: Any) -> bool:
    if _is_of_face(cls):
        return False
    return not _is_own(cls) or any(
        name in vars(base)
        for base in cls.__mro__
        if not _is_of_face(base) and base is not object
        for name in ("call", "build")
    )


def is_custom(cls: Any) -> bool:
    """Whether a user's code decides what a layer makes or computes."""
    return _is_custom(cls)


def is_own(cls: Any) -> bool:
    """Whether a layer is of this face, or a subclass of one."""
    return _is_own(cls)


@functools.cache
def takes(function: Any, name: str) -> bool:
    """Whether a function has an argument of a name."""
    parameters = inspect.signature(function).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    return name in parameters or (name != "training" and inspect.Parameter.VAR_KEYWORD in kinds)
