"""ModelCheckpoint: which states of a training are kept, and under what names."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np

from deepc._values import warn
from deepc.lightning._callback import Callback
from deepc.lightning._words import MisconfigurationException, info
from deepc.torch import from_numpy

__all__ = ["Checkpoint", "ModelCheckpoint"]


class Checkpoint(Callback):
    """What saves a training; it is called after all other callbacks."""


class ModelCheckpoint(Checkpoint):
    """Save the training after epochs, so that it can be gone on with.

    Parameters
    ----------
    dirpath : str or path, optional
        The folder; ``checkpoints`` in the logger's, or the Trainer's, if not given.
    filename : str, optional
        With names of metrics in braces, ``"{epoch}-{val_loss:.2f}"``; ``"{epoch}-{step}"`` if not
        given.
    monitor : str, optional
        The metric by which the best are kept; without it the latest is.
    verbose : bool, optional
        Print what is saved.
    save_last : bool or "link", optional
        Keep the latest as ``last.ckpt`` too.
    save_top_k : int, optional
        How many of the best to keep; -1 for all, 0 for none.
    save_on_exception : bool, optional
        Save when the training fails.
    save_weights_only : bool, optional
        Leave out what only going on needs.
    mode : "min" or "max", optional
        Which way is better.
    auto_insert_metric_name : bool, optional
        Put ``name=`` before a metric in the file's name.
    every_n_train_steps, every_n_epochs : int, optional
    train_time_interval : timedelta, optional
        When to save; after each epoch if nothing is given.
    save_on_train_epoch_end : bool, optional
        Save at the end of the epoch, or of the validation.
    enable_version_counter : bool, optional
        Put ``-v1`` and so on behind a name that is taken, instead of replacing the file.

    Attributes
    ----------
    best_model_path, last_model_path : str
    best_model_score, current_score : Tensor or None
    best_k_models : dict of str to Tensor
    """

    CHECKPOINT_JOIN_CHAR = "-"
    CHECKPOINT_EQUALS_CHAR = "="
    CHECKPOINT_NAME_LAST = "last"
    FILE_EXTENSION = ".ckpt"
    STARTING_VERSION = 1

    def __init__(
        self,
        dirpath: Any = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: Any = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: str = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
    ) -> None:
        if mode not in ("min", "max"):
            raise MisconfigurationException(f"`mode` can be min, max but got {mode}")
        if save_top_k < -1:
            raise MisconfigurationException(
                f"Invalid value for save_top_k={save_top_k}. Must be >= -1"
            )
        if monitor is None and save_top_k not in (-1, 0, 1):
            raise MisconfigurationException(
                f"ModelCheckpoint(save_top_k={save_top_k}, monitor=None) is not a valid "
                "configuration. No quantity for top_k to track."
            )
        triggers = (every_n_train_steps, train_time_interval, every_n_epochs)
        if sum(bool(one) for one in triggers) > 1:
            raise MisconfigurationException(
                f"Combination of parameters every_n_train_steps={every_n_train_steps}, "
                f"every_n_epochs={every_n_epochs} and train_time_interval={train_time_interval} "
                "should be mutually exclusive."
            )
        for name, count in (("every_n_train_steps", every_n_train_steps),
                            ("every_n_epochs", every_n_epochs)):  # fmt: skip
            if count is not None and count < 0:
                raise MisconfigurationException(f"Invalid value for {name}={count}. Must be >= 0")
        self.dirpath = os.path.realpath(os.path.expanduser(dirpath)) if dirpath else None
        self.filename, self.monitor, self.verbose, self.mode = filename, monitor, verbose, mode
        self.save_last, self.save_top_k = save_last, save_top_k
        self.save_on_exception, self.save_weights_only = save_on_exception, save_weights_only
        self.auto_insert_metric_name = auto_insert_metric_name
        self.every_n_epochs = 1 if triggers == (None, None, None) else every_n_epochs or 0
        self.every_n_train_steps = every_n_train_steps or 0
        self._seconds = train_time_interval.total_seconds() if train_time_interval else None
        self._at_epoch_end, self._counts_versions = save_on_train_epoch_end, enable_version_counter
        self._is_put_off = False
        self._saved_step, self._saved_at = 0, 0.0
        self.best_k_models: dict[str, Any] = {}
        self.kth_best_model_path = self.best_model_path = self.last_model_path = ""
        self.best_model_score: Any = None
        self.current_score: Any = None
        self._last_saved = ""

    @property
    def state_key(self) -> str:
        """The name of its state in checkpoints."""
        return self._key_with(
            monitor=self.monitor, mode=self.mode, every_n_train_steps=self.every_n_train_steps,
            every_n_epochs=self.every_n_epochs, train_time_interval=self._seconds,
        )  # fmt: skip

    # ---- When ------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Choose the folder."""
        if self.dirpath is None:
            self.dirpath = self._folder(trainer)
        saves = stage == "fit" and self.save_top_k != 0
        if saves and os.path.isdir(self.dirpath) and os.listdir(self.dirpath):
            warn(f"Checkpoint directory {self.dirpath} exists and is not empty.")

    def _folder(self, trainer: Any) -> str:
        if not trainer.loggers:
            return os.path.join(trainer.default_root_dir, "checkpoints")
        logger = trainer.loggers[0]
        version = logger.version
        version = version if isinstance(version, str) else f"version_{version}"
        place = logger.save_dir or trainer.default_root_dir
        return os.path.join(place, str(logger.name), version, "checkpoints")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Look at the clock."""
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Save where steps or time say so."""
        steps = self.every_n_train_steps
        by_step = steps > 0 and trainer.global_step % steps == 0
        by_time = self._seconds is not None
        if by_time:
            by_time = time.monotonic() - self._saved_at >= (self._seconds or 0)
        if not (by_step or by_time) or self._is_skipped(trainer):
            return
        if by_time:
            self._saved_at = time.monotonic()
        candidates = self._candidates(trainer)
        if self.monitor is not None and self.monitor not in candidates:
            # A validation may still bring it.
            self._is_put_off = True
            return
        self._save_all(trainer, candidates)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save at the end of an epoch."""
        if not self._is_skipped(trainer) and self._saves_at_epoch_end(trainer):
            self._save_after_epoch(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Save at the end of a validation."""
        if self._is_skipped(trainer) or self._saves_at_epoch_end(trainer):
            return
        if self._is_put_off:
            self._is_put_off = False
            self._save_all(trainer, self._candidates(trainer))
        else:
            self._save_after_epoch(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Save the last state where nothing else did."""
        if self.save_last and not self._last_saved and not trainer.fast_dev_run:
            self._save_last(trainer, self._candidates(trainer))

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Save when the training fails."""
        if not self.save_on_exception or self._is_skipped(trainer):
            return
        candidates = self._candidates(trainer)
        path = self.format_checkpoint_name(candidates)
        self._save(trainer, path)
        self._save_last(trainer, candidates)
        info(
            f"An {type(exception).__name__} was raised with message: {exception}, saved "
            f"checkpoint to {path}"
        )

    def _is_skipped(self, trainer: Any) -> bool:
        nothing_new = self._saved_step == trainer.global_step
        return bool(
            trainer.fast_dev_run or not trainer.fitting or trainer.sanity_checking or nothing_new
        )

    def _saves_at_epoch_end(self, trainer: Any) -> bool:
        if self._at_epoch_end is not None:
            return self._at_epoch_end
        if trainer.check_val_every_n_epoch != 1:
            return False
        return not sum(trainer.num_val_batches) or trainer.val_check_interval == 1.0

    def _save_after_epoch(self, trainer: Any) -> None:
        candidates = self._candidates(trainer)
        if self.every_n_epochs >= 1 and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._save_best(trainer, candidates)
        if self._saved_step == trainer.global_step:
            self._save_last(trainer, candidates)

    def _save_all(self, trainer: Any, candidates: dict[str, Any]) -> None:
        self._save_best(trainer, candidates)
        self._save_last(trainer, candidates)

    # ---- What ------------------------------------------------------------------------------------

    def _candidates(self, trainer: Any) -> dict[str, Any]:
        """Return what file names and the choice of the best can refer to, as Python's numbers."""
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        found["epoch"] = int(found.get("epoch", trainer.current_epoch))
        found["step"] = int(found.get("step", trainer.global_step))
        return found

    def _save_best(self, trainer: Any, candidates: dict[str, Any]) -> None:
        if self.save_top_k == 0:
            return
        if self.monitor is None:
            path = self._free_name(candidates, self.best_model_path)
            previous, self.best_model_path = self.best_model_path, path
            self._save(trainer, path)
            if self.save_top_k == 1:
                self._remove(trainer, previous, path)
            return
        current = candidates.get(self.monitor)
        if current is None:
            message = (
                f"`ModelCheckpoint(monitor={self.monitor!r})` could not find the monitored key in "
                f"the returned metrics: {list(candidates)}. HINT: Did you call "
                f"`log({self.monitor!r}, value)` in the `LightningModule`?"
            )
            if trainer._has_validated:
                raise MisconfigurationException(message)
            warn(message)
        elif self._is_among_best(current):
            self._keep(trainer, candidates, current)
        elif self.verbose:
            info(
                f"Epoch {candidates['epoch']}, global step {candidates['step']}: {self.monitor!r} "
                f"was not in top {self.save_top_k}"
            )

    def _is_among_best(self, current: float) -> bool:
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return True
        worst = float(self.best_k_models[self.kth_best_model_path])
        return current < worst if self.mode == "min" else current > worst

    def _keep(self, trainer: Any, candidates: dict[str, Any], current: float) -> None:
        most = len(self.best_k_models) + 1 if self.save_top_k == -1 else self.save_top_k
        gone = ""
        if len(self.best_k_models) == most:
            gone = self.kth_best_model_path
            self.best_k_models.pop(gone)
        if math.isnan(current):
            current = math.inf if self.mode == "min" else -math.inf
        path = self._free_name(candidates, gone)
        self.current_score = from_numpy(np.asarray(np.float32(current)))
        self.best_k_models[path] = self.current_score
        first, last = (min, max) if self.mode == "min" else (max, min)

        def score(path: str) -> float:
            return float(self.best_k_models[path])

        if len(self.best_k_models) == most:
            self.kth_best_model_path = last(self.best_k_models, key=score)
        self.best_model_path = first(self.best_k_models, key=score)
        self.best_model_score = self.best_k_models[self.best_model_path]
        if self.verbose:
            info(
                f"Epoch {candidates['epoch']}, global step {candidates['step']}: {self.monitor!r} "
                f"reached {current:0.5f} (best {float(self.best_model_score):0.5f}), saving model "
                f"to {path!r} as top {most}"
            )
        self._save(trainer, path)
        self._remove(trainer, gone, path)

    def _save_last(self, trainer: Any, candidates: dict[str, Any]) -> None:
        if not self.save_last:
            return
        path = self._free_name(candidates, self.last_model_path, self.CHECKPOINT_NAME_LAST)
        previous, self.last_model_path = self.last_model_path, path
        if self.save_last == "link" and self._last_saved and self.save_top_k != 0:
            _link(self._last_saved, path)
        else:
            self._save(trainer, path)
        self._remove(trainer, previous, path)

    def _save(self, trainer: Any, path: str) -> None:
        trainer.save_checkpoint(path, self.save_weights_only)
        self._saved_step, self._last_saved = trainer.global_step, path
        for logger in trainer.loggers:
            logger.after_save_checkpoint(self)

    def _remove(self, trainer: Any, previous: str, path: str) -> None:
        """Remove a file that another one takes the place of, if it is one of this training's."""
        if not previous or previous == path or self.dirpath is None:
            return
        resumed = trainer.ckpt_path
        if resumed and os.path.abspath(resumed) == os.path.abspath(previous):
            return
        if os.path.abspath(previous).startswith(os.path.abspath(self.dirpath) + os.sep):
            with suppress(FileNotFoundError):
                os.remove(previous)

    # ---- Names -----------------------------------------------------------------------------------

    def format_checkpoint_name(
        self, metrics: dict[str, Any], filename: str | None = None, ver: int | None = None
    ) -> str:
        """Return the path of a file for these metrics.

        Examples
        --------
        >>> ModelCheckpoint(filename="{epoch}-{loss:.2f}").format_checkpoint_name(
        ...     {"epoch": 2, "loss": 0.123})
        'epoch=2-loss=0.12.ckpt'
        """
        default = "{epoch}" + self.CHECKPOINT_JOIN_CHAR + "{step}"

        def filled(match: re.Match[str]) -> str:
            name, form = match.group(1), match.group(2) or ""
            text = format(metrics.get(name, 0), form[1:])
            return f"{name}{self.CHECKPOINT_EQUALS_CHAR}{text}" if inserts else text

        inserts = self.auto_insert_metric_name
        text = re.sub(r"\{([^{}:]*)(:[^{}]*)?\}", filled, filename or self.filename or default)
        if ver is not None:
            text = f"{text}{self.CHECKPOINT_JOIN_CHAR}v{ver}"
        return os.path.join(self.dirpath or "", text + self.FILE_EXTENSION)

    def _free_name(self, metrics: dict[str, Any], own: str, filename: str | None = None) -> str:
        """Return a name that no file has but the one that is to be replaced."""
        path = self.format_checkpoint_name(metrics, filename)
        version = self.STARTING_VERSION
        while self._counts_versions and path != own and os.path.exists(path):
            path = self.format_checkpoint_name(metrics, filename, version)
            version += 1
        return path

    # ---- State -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        names = (
            "monitor", "best_model_score", "best_model_path", "current_score", "dirpath",
            "best_k_models", "kth_best_model_path", "last_model_path",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        before = state_dict.get("dirpath", self.dirpath)
        if self.dirpath == before:
            for name in ("best_model_score", "kth_best_model_path", "best_k_models",
                         "last_model_path"):  # fmt: skip
                setattr(self, name, state_dict[name])
        else:
            warn(
                f"The dirpath has changed from {before!r} to {self.dirpath!r}, therefore "
                "`best_model_score`, `kth_best_model_path`, `last_model_path` and `best_k_models` "
                "won't be reloaded. Only `best_model_path` will be reloaded."
            )
        self.best_model_path = state_dict["best_model_path"]


def _link(path: str, link: str) -> None:
    """Make a link to a file, or a copy where there are no links."""
    if os.path.abspath(path) == os.path.abspath(link):
        return
    with suppress(FileNotFoundError):
        os.remove(link)
    try:
        os.symlink(os.path.relpath(path, os.path.dirname(link)), link)
    except OSError:
        shutil.copy(path, link)
