"""Callbacks that end a training: when it no longer helps, or when its time is over."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

import numpy as np

from deepc._values import describe, warn
from deepc.lightning._callback import Callback
from deepc.lightning._words import MisconfigurationException, info
from deepc.torch import Tensor, from_numpy

__all__ = ["EarlyStopping", "Timer"]

_BETTER = {"min": np.less, "max": np.greater}
_SIGN = {"min": "<", "max": ">"}


class EarlyStopping(Callback):
    """End the training when a metric does not get better any more.

    Parameters
    ----------
    monitor : str
        A name that is logged.
    min_delta : float, optional
        It is better only by more than that.
    patience : int, optional
        How many times in a row it may be no better.
    verbose : bool, optional
        Print what is found.
    mode : "min" or "max", optional
        Which way is better.
    strict : bool, optional
        Refuse to go on where the metric is not there.
    check_finite : bool, optional
        End it when the metric is NaN or infinite.
    stopping_threshold, divergence_threshold : float, optional
        End it when the metric is better than the one, or worse than the other.
    check_on_train_epoch_end : bool, optional
        Look at the end of an epoch, or of a validation; if not given, of what there is one of.
    log_rank_zero_only : bool, optional
        Accepted; there is one process.

    Attributes
    ----------
    best_score : Tensor
    wait_count, stopped_epoch : int
    """

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        if mode not in _BETTER:
            raise MisconfigurationException(f"`mode` can be min, max, got {mode}")
        self.monitor, self.patience, self.verbose, self.mode = monitor, patience, verbose, mode
        self.strict, self.check_finite = strict, check_finite
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.min_delta = min_delta if mode == "max" else -min_delta
        self.wait_count = self.stopped_epoch = 0
        self.stopping_reason_message: str | None = None
        self._at_epoch_end = check_on_train_epoch_end
        self._best: Any = np.float32(math.inf if mode == "min" else -math.inf)

    @property
    def best_score(self) -> Any:
        """The best value so far."""
        return from_numpy(np.asarray(self._best))

    @property
    def state_key(self) -> str:
        """The name of its state in checkpoints."""
        return self._key_with(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {
            "wait_count": self.wait_count, "stopped_epoch": self.stopped_epoch,
            "best_score": self.best_score, "patience": self.patience,
            "stopping_reason_message": self.stopping_reason_message,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        self.wait_count, self.stopped_epoch = state_dict["wait_count"], state_dict["stopped_epoch"]
        self._best = state_dict["best_score"].numpy()[()]
        self.patience = state_dict["patience"]
        self.stopping_reason_message = state_dict.get("stopping_reason_message")

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Choose when to look."""
        if self._at_epoch_end is None:
            whole = trainer.val_check_interval == 1.0 and trainer.check_val_every_n_epoch == 1
            self._at_epoch_end = whole

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the end of an epoch."""
        if self._at_epoch_end:
            self._look(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the end of a validation."""
        if not self._at_epoch_end and trainer.fitting and not trainer.sanity_checking:
            self._look(trainer)

    def _look(self, trainer: Any) -> None:
        if trainer.fast_dev_run:
            return
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            message = (
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                "Pass in or modify your `EarlyStopping` callback to use any of the following: "
                f"`{'`, `'.join(metrics)}`"
            )
            if self.strict:
                raise RuntimeError(message)
            if self.verbose:
                warn(message, RuntimeWarning)
            return
        value = metrics[self.monitor]
        current = value.numpy().reshape(-1)[0] if isinstance(value, Tensor) else np.float32(value)
        stop, reason = self._judge(current)
        if stop:
            trainer.should_stop = True
            self.stopped_epoch = trainer.current_epoch
            self.stopping_reason_message = reason
        if reason and self.verbose:
            info(reason)

    def _judge(self, current: Any) -> tuple[bool, str | None]:
        """Return whether to stop, and what is to be said."""
        better, what = _BETTER[self.mode], f"{self.monitor} = {current}"
        if self.check_finite and not np.isfinite(current):
            return True, (
                f"Monitored metric {what} is not finite. Previous best value was "
                f"{self._best:.3f}. Signaling Trainer to stop."
            )
        if self.stopping_threshold is not None and better(current, self.stopping_threshold):
            return True, (
                f"Stopping threshold reached: {what} {_SIGN[self.mode]} {self.stopping_threshold}. "
                "Signaling Trainer to stop."
            )
        if self.divergence_threshold is not None and better(-current, -self.divergence_threshold):
            return True, (
                f"Divergence threshold reached: {what} {_SIGN[self.mode]} "
                f"{self.divergence_threshold}. Signaling Trainer to stop."
            )
        if better(current - type(current)(self.min_delta), self._best):
            gain = f"by {abs(self._best - current):.3f} >= min_delta = {abs(self.min_delta)}"
            first = f"improved {gain}" if np.isfinite(self._best) else "improved"
            self._best, self.wait_count = current, 0
            return False, f"Metric {self.monitor} {first}. New best score: {current:.3f}"
        self.wait_count += 1
        if self.wait_count < self.patience:
            return False, None
        return True, (
            f"Monitored metric {self.monitor} did not improve in the last {self.wait_count} "
            f"records. Best score: {self._best:.3f}. Signaling Trainer to stop."
        )


class Timer(Callback):
    """Measure the time that each stage takes, and end the training when it is over.

    Parameters
    ----------
    duration : str, timedelta or dict, optional
        ``"DD:HH:MM:SS"``, or the arguments of a timedelta.
    interval : "step" or "epoch", optional
        Look after each step, or after each epoch.
    verbose : bool, optional
        Print when the time is over.
    """

    def __init__(self, duration: Any = None, interval: str = "step", verbose: bool = True) -> None:
        if interval not in ("step", "epoch"):
            raise MisconfigurationException(
                f"Unsupported parameter value `Timer(interval={interval})`. Possible choices are: "
                "step, epoch"
            )
        self._seconds = seconds_of(duration, "duration")
        self._interval, self._verbose = interval, verbose
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._before = 0.0

    def start_time(self, stage: str = "train") -> float | None:
        """Return when a stage began, in seconds of a clock that only goes on."""
        return self._begun.get(stage)

    def end_time(self, stage: str = "train") -> float | None:
        """Return when a stage ended."""
        return self._ended.get(stage)

    def time_elapsed(self, stage: str = "train") -> float:
        """Return the seconds that a stage has taken."""
        before = self._before if stage == "train" else 0.0
        begun = self._begun.get(stage)
        if begun is None:
            return before
        return self._ended.get(stage, time.monotonic()) - begun + before

    def time_remaining(self, stage: str = "train") -> float | None:
        """Return the seconds that are left, None where there is no limit."""
        return None if self._seconds is None else self._seconds - self.time_elapsed(stage)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin."""
        self._begin("train")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End."""
        self._ended["train"] = time.monotonic()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin."""
        self._begin("validate")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """End."""
        self._ended["validate"] = time.monotonic()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin."""
        self._begin("test")

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """End."""
        self._ended["test"] = time.monotonic()

    def _begin(self, stage: str) -> None:
        self._begun[stage] = time.monotonic()
        self._ended.pop(stage, None)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Look at the clock."""
        if self._interval == "step":
            self._look(trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        """Look at the clock."""
        if self._interval == "epoch":
            self._look(trainer)

    def _look(self, trainer: Any) -> None:
        if self._seconds is None or self.time_elapsed() < self._seconds:
            return
        if not trainer.should_stop and self._verbose:
            elapsed = timedelta(seconds=int(self.time_elapsed()))
            info(f"Time limit reached. Elapsed time is {elapsed}. Signaling Trainer to stop.")
        trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {"time_elapsed": {"train": self.time_elapsed()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        self._before = state_dict.get("time_elapsed", {}).get("train", 0.0)


def seconds_of(duration: Any, name: str) -> float | None:
    """Return a time in seconds, that came as "DD:HH:MM:SS", as a timedelta, or as its arguments."""
    if duration is None:
        return None
    if isinstance(duration, str):
        parts = duration.split(":")
        if len(parts) != 4 or not all(part.isdigit() for part in parts):
            raise ValueError(f'{name}: expected "DD:HH:MM:SS", got {describe(duration)}')
        days, hours, minutes, seconds = map(int, parts)
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    elif isinstance(duration, dict):
        duration = timedelta(**duration)
    if not isinstance(duration, timedelta):
        raise TypeError(f'{name}: expected "DD:HH:MM:SS" or a timedelta, got {describe(duration)}')
    return duration.total_seconds()
