"""Classes and functions of users by the names that files have for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = [
    "CustomObjectScope", "custom_name", "custom_object_scope", "get_custom_objects", "named_like",
    "registered", "register_keras_serializable",
]  # fmt: skip

_known: dict[str, Any] = {}
_names: dict[Any, str] = {}


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """Make a class or a function known by a name, so that files may name it.

    Examples
    --------
    >>> from deepc import keras
    >>> @keras.saving.register_keras_serializable(package="Mine")
    ... class Double(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    >>> keras.saving.get_registered_name(Double)
    'Mine>Double'
    """

    def register(thing: Any) -> Any:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError("Cannot register a class that does not have a get_config() method.")
        full = f"{package}>{name or thing.__name__}"
        _known[full] = thing
        _names[thing] = full
        return thing

    return register


def named_like(thing: Any, other: Any) -> None:
    """Let files have the name of one class for another."""
    if other in _names:
        _names[thing] = _names[other]


def custom_name(thing: Any) -> str:
    """Return the name that files have for a user's class or function."""
    return _names.get(thing, str(getattr(thing, "__name__", type(thing).__name__)))


def registered(description: Mapping[str, Any] | str, custom_objects: Any = None) -> Any:
    """Return what a file names and somebody has registered, None if nobody has."""
    if isinstance(description, str):
        names = [description]
    else:
        names = [str(description.get(key)) for key in ("registered_name", "class_name")]
    for table in (custom_objects or {}, _known):
        for name in names:
            for key, thing in table.items():
                if name in (key, getattr(thing, "__name__", None)):
                    return thing
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the names that are known; more may be added to them."""
    return _known


def get_registered_name(thing: Any) -> str:
    """Return the name of a class or function in files."""
    return custom_name(thing)


def get_registered_object(name: str, custom_objects: Any = None) -> Any:
    """Return what is registered under a name, None if nothing is."""
    return registered(name, custom_objects)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Let files name more classes and functions inside a ``with`` block."""
    before = dict(_known)
    _known.update(custom_objects)
    try:
        yield
    finally:
        _known.clear()
        _known.update(before)


CustomObjectScope = custom_object_scope
