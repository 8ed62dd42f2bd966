"""How a Trainer writes checkpoints, and goes on from them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from deepc._values import warn
from deepc.lightning import _saving
from deepc.torch import default_generator

__all__ = ["Restores"]


class Restores:
    """What a Trainer does with checkpoints."""

    lightning_module: Any
    datamodule: Any
    callbacks: list[Any]
    optimizers: list[Any]
    lr_scheduler_configs: list[Any]
    checkpoint_callback: Any
    checkpoint_callbacks: Any
    fast_dev_run: bool | int
    is_last_batch: bool
    ckpt_path: str | None
    _entry: str
    _epoch_ended: bool
    _epoch: int
    _global_step: int
    _stepped: int
    _batch_idx: int
    _batches_seen: int
    _batches_done: int
    # The state of torch's random numbers at the start of the epoch, and one to go on with.
    _random: tuple[Any, Any]

    def _note_random_state(self) -> None:
        self._random = (default_generator.source.getstate(), self._random[1])

    def _go_on_randomly(self) -> None:
        """Draw random numbers from where a checkpoint in the midst of an epoch was written."""
        if self._random[1] is not None:
            default_generator.source.setstate(self._random[1])
        self._random = (self._random[0], None)

    def save_checkpoint(
        self, filepath: Any, weights_only: bool = False, storage_options: Any = None
    ) -> None:
        """Save the module's weights, and what going on needs unless `weights_only`."""
        if self.lightning_module is None:
            raise AttributeError(
                "Saving a checkpoint is only possible if a model is attached to the Trainer. Did "
                "you call `Trainer.save_checkpoint()` before calling `Trainer.{fit,validate,test,"
                "predict}`?"
            )
        _saving.save(filepath, self._checkpoint(weights_only))

    def _checkpoint(self, weights_only: bool) -> dict[str, Any]:
        model, data = self.lightning_module, self.datamodule
        found: dict[str, Any] = {
            "epoch": self._epoch,
            "global_step": self._global_step,
            "state_dict": dict(model.state_dict()),
        }
        if not weights_only:
            within = self._entry == "fit" and not self._epoch_ended and not self.is_last_batch
            now = default_generator.source.getstate()
            found["loops"] = {
                "epoch": self._epoch + (self._entry == "fit" and not within),
                "batches": self._batch_idx + 1 if within else 0,
                "stepped": self._stepped,
                "batches_seen": self._batches_seen,
                "random": [_packed(state) for state in (self._random[0] if within else now, now)],
            }
            found["callbacks"] = {
                one.state_key: state for one in self.callbacks if (state := one.state_dict())
            }
            found["optimizer_states"] = [one.state_dict() for one in self.optimizers]
            found["lr_schedulers"] = [
                each.scheduler.state_dict() for each in self.lr_scheduler_configs
            ]
        for owner, key in ((model, "hyper_parameters"), (data, "datamodule_hyper_parameters")):
            if owner is not None and owner.hparams:
                found[key] = dict(owner.hparams)
        if data is not None and (state := data.state_dict()):
            found[type(data).__qualname__] = state
        if not weights_only:
            for callback in self.callbacks:
                callback.on_save_checkpoint(self, model, found)
        model.on_save_checkpoint(found)
        return found

    def _restore(self, checkpoint: dict[str, Any], fits: bool) -> None:
        """Take the weights of a checkpoint, and the callbacks' states where training goes on."""
        model, data = self.lightning_module, self.datamodule
        if data is not None and type(data).__qualname__ in checkpoint:
            data.load_state_dict(checkpoint[type(data).__qualname__])
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"], strict=model.strict_loading)
        if not fits:
            return
        states = checkpoint.get("callbacks", {})
        unknown = [key for key in states if key not in {one.state_key for one in self.callbacks}]
        if unknown:
            warn(
                "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint "
                "need to be provided during `Trainer` instantiation. Please add the following "
                f"callbacks: {unknown}."
            )
        for callback in self.callbacks:
            callback.on_load_checkpoint(self, model, checkpoint)
            if callback.state_key in states:
                callback.load_state_dict(states[callback.state_key])

    def _restore_training(self, checkpoint: dict[str, Any]) -> None:
        """Take where a training was, its optimizers and its schedulers."""
        if "loops" not in checkpoint:
            raise KeyError(
                "Trying to restore training state but checkpoint contains only the model. This is "
                "probably due to `ModelCheckpoint.save_weights_only` being set to `True`."
            )
        loops = checkpoint["loops"]
        self._epoch, self._batches_done = loops["epoch"], loops["batches"]
        self._global_step = checkpoint["global_step"]
        self._stepped, self._batches_seen = loops["stepped"], loops["batches_seen"]
        begun, now = (_unpacked(state) for state in loops["random"])
        default_generator.source.setstate(begun)
        self._random = (begun, now)
        for kind, things in (
            ("optimizer_states", self.optimizers),
            ("lr_schedulers", [each.scheduler for each in self.lr_scheduler_configs]),
        ):
            states = checkpoint[kind]
            if len(states) != len(things):
                raise ValueError(
                    f"{kind}: the checkpoint has {len(states)} of them, the module {len(things)}"
                )
            for thing, state in zip(things, states, strict=True):
                thing.load_state_dict(state)

    def _path_of(self, entry: str, path: Any, provided: bool) -> str | None:
        """Return the checkpoint that is meant, None for the weights as they are."""
        if path is None and (provided or entry == "fit"):
            self.ckpt_path = None
            return None
        if path is None:
            path = "best"
            warn(
                f"`.{entry}(ckpt_path=None)` was called without a model. The best model of the "
                f"previous `fit` call will be used. You can pass `.{entry}(ckpt_path='best')` to "
                f"use the best model or `.{entry}(ckpt_path='last')` to use the last model. If you "
                "pass a value, this warning will be silenced."
            )
        if path == "best":
            path = self._best_path(entry)
        elif path == "last":
            found = {one.last_model_path for one in self.checkpoint_callbacks} - {""}
            there = [one for one in found if os.path.exists(one)]
            if not there:
                warn(
                    f'.{entry}(ckpt_path="last") is set, but there is no last checkpoint '
                    "available. No checkpoint will be loaded. HINT: Set `ModelCheckpoint(..., "
                    "save_last=True)`."
                )
                return None
            path = max(there, key=os.path.getmtime)
        self.ckpt_path = os.fspath(path)
        return self.ckpt_path

    def _best_path(self, entry: str) -> str:
        callback = self.checkpoint_callback
        if callback is None:
            raise ValueError(
                f'`.{entry}(ckpt_path="best")` is set but `ModelCheckpoint` is not configured.'
            )
        if not callback.best_model_path:
            if self.fast_dev_run:
                raise ValueError(
                    f'You cannot execute `.{entry}(ckpt_path="best")` with `fast_dev_run=True`. '
                    f"Please pass an exact checkpoint path to `.{entry}(ckpt_path=...)`"
                )
            raise ValueError(
                f'`.{entry}(ckpt_path="best")` is set but `ModelCheckpoint` is not configured to '
                "save the best model."
            )
        return str(callback.best_model_path)


def _packed(state: Any) -> Any:
    """Return the state of a generator of Python's as an array and a number."""
    version, numbers, rest = state
    return (version, np.array(numbers, np.int64), rest)


def _unpacked(state: Any) -> Any:
    version, numbers, rest = state
    return (version, tuple(numbers.tolist()), rest)
