"""Callback: what happens at the hooks of a training, apart from the module."""

from __future__ import annotations

from collections.abc import Callable as Function
from typing import Any

from deepc._values import nearest
from deepc.lightning._hooks import CALLBACK_HOOKS, with_hooks

__all__ = ["Callback", "LambdaCallback"]


@with_hooks(CALLBACK_HOOKS)
class Callback:
    """Something that is called at the hooks of a Trainer.

    A class of one's own gives the hooks that it needs: ``on_train_epoch_end(trainer, pl_module)``
    and the like.
    """

    @property
    def state_key(self) -> str:
        """The name of its state in checkpoints."""
        return type(self).__qualname__

    def _key_with(self, **settings: Any) -> str:
        return f"{type(self).__qualname__}{settings!r}"

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""


class LambdaCallback(Callback):
    """Functions for hooks, by the hooks' names.

    Examples
    --------
    >>> callback = LambdaCallback(on_train_end=lambda trainer, module: print("done"))
    >>> callback.on_train_end(None, None)
    done
    """

    def __init__(self, **hooks: Function[..., Any]) -> None:
        for name, function in hooks.items():
            if name not in CALLBACK_HOOKS:
                raise TypeError(
                    f"LambdaCallback: there is no hook {name!r}{nearest(name, CALLBACK_HOOKS)}"
                )
            setattr(self, name, function)
