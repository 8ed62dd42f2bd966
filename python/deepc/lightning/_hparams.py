"""save_hyperparameters: the arguments that an object was made with."""

from __future__ import annotations

import copy
import inspect
import types
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any

from deepc._values import describe, nearest

__all__ = ["AttributeDict", "Hyperparameters"]


class AttributeDict(dict[str, Any]):
    """A dict whose values are attributes as well.

    Examples
    --------
    >>> AttributeDict(lr=0.01).lr
    0.01
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f'Missing attribute "{name}"{nearest(name, map(str, self))}'
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        width = max((len(str(name)) for name in self), default=0)
        lines = [f'"{name}":{" " * (width + 1 - len(name))}{self[name]}' for name in sorted(self)]
        return "\n".join(lines)


class Hyperparameters:
    """What a module and a data module know of how they were made."""

    def save_hyperparameters(
        self,
        *args: Any,
        ignore: str | Iterable[str] | None = None,
        frame: types.FrameType | None = None,
        logger: bool = True,
    ) -> None:
        """Keep the arguments of the ``__init__`` that calls this in `hparams`.

        Parameters
        ----------
        *args : str, or a dict or Namespace
            The names of those to keep; all if not given. Or the hyperparameters themselves.
        ignore : str or iterable of str, optional
            Names of those not to keep.
        frame : frame, optional
            Where the arguments are to be found.
        logger : bool, optional
            Whether loggers write them down.
        """
        caller = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
        given = _arguments(self, caller)
        left_out = {ignore} if isinstance(ignore, str) else set(ignore or ())
        if not args:
            kept = given
        elif all(isinstance(name, str) for name in args):
            unknown = [name for name in args if name not in given]
            if unknown:
                raise ValueError(
                    f"save_hyperparameters: {type(self).__name__}.__init__ has no argument "
                    f"{unknown[0]!r}{nearest(unknown[0], given)}"
                )
            kept = {name: given[name] for name in args}
        else:
            kept = _as_dict(args)
        kept = {name: value for name, value in kept.items() if name not in left_out}
        self.__dict__.setdefault("_hparams", AttributeDict()).update(kept)
        self.__dict__["_hparams_initial"] = copy.deepcopy(self.__dict__["_hparams"])
        self.__dict__["_log_hyperparams"] = logger

    @property
    def hparams(self) -> AttributeDict:
        """What `save_hyperparameters` kept; it may be changed."""
        found: AttributeDict = self.__dict__.setdefault("_hparams", AttributeDict())
        return found

    @property
    def hparams_initial(self) -> AttributeDict:
        """A copy of what `save_hyperparameters` kept at first."""
        found: AttributeDict = self.__dict__.get("_hparams_initial", AttributeDict())
        return copy.deepcopy(found)


def _as_dict(args: tuple[Any, ...]) -> dict[str, Any]:
    if len(args) == 1 and isinstance(args[0], (Mapping, Namespace)):
        return dict(args[0] if isinstance(args[0], Mapping) else vars(args[0]))
    raise TypeError(
        "save_hyperparameters: expected names of arguments, a dict or a Namespace, got "
        f"{describe(args[0])}"
    )


def _arguments(owner: Any, frame: Any) -> dict[str, Any]:
    """Return the arguments of the ``__init__`` of an object that runs in a frame.

    A base's ``__init__`` may be what saves: then those of the class above count as well.
    """
    found: dict[str, Any] = {}
    while frame is not None and frame.f_code.co_name == "__init__":
        names, _, keywords, values = inspect.getargvalues(frame)
        if not names or values.get(names[0]) is not owner:
            break
        own = {name: values[name] for name in names[1:] if name in values}
        found = {**found, **own, **(values.get(keywords, {}) if keywords else {})}
        frame = frame.f_back
    return found
