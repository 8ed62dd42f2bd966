"""The hooks of a LightningModule, a data module and a callback, one list for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["CALLBACK_HOOKS", "DATA_HOOKS", "MODULE_HOOKS", "is_own", "with_hooks"]

_STAGES = ("train", "validation", "test", "predict")
_OF_STAGES = tuple(
    f"on_{stage}_{when}"
    for stage in _STAGES
    for when in ("start", "end", "epoch_start", "epoch_end", "batch_start", "batch_end")
)
_COMMON = (
    *_OF_STAGES, "setup", "teardown", "on_fit_start", "on_fit_end", "on_before_zero_grad",
    "on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_save_checkpoint",
    "on_load_checkpoint",
)  # fmt: skip
DATA_HOOKS = (
    "prepare_data", "train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader",
)  # fmt: skip
# What a class of one's own may have beside these, with a meaning where it has it not, is written
# out in LightningModule.
MODULE_HOOKS = (*_COMMON, *DATA_HOOKS, "configure_model")
CALLBACK_HOOKS = (*_COMMON, "on_sanity_check_start", "on_sanity_check_end", "on_exception")


def _nothing(self: Any, *arguments: Any, **keywords: Any) -> Any:
    """Do nothing, until a class of one's own does something."""


def with_hooks(names: tuple[str, ...]) -> Callable[[type], type]:
    """Give a class methods of these names that do nothing."""

    def give(cls: type) -> type:
        for name in names:
            setattr(cls, name, _nothing)
        return cls

    return give


def is_own(thing: Any, name: str) -> bool:
    """Whether an object, or its class, does something in a hook."""
    method = vars(thing).get(name) or getattr(type(thing), name, None)
    return method is not None and method is not _nothing
