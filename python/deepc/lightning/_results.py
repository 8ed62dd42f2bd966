"""What `self.log` keeps: the value of a step, and the reduced value of an epoch.

Numbers are of float32, or of float64 where such a value came, and added up in the order in which
they came: so they are the very numbers that Lightning shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from deepc._values import warn
from deepc.lightning._words import MisconfigurationException
from deepc.torch import Tensor, from_numpy

__all__ = ["Metrics", "Results", "as_tensors", "check_levels", "number", "reduction", "rows_of"]

# Hooks of a batch, with the levels that `log` takes there if nothing is said: (on_step, on_epoch).
_STEP, _EPOCH = (True, False), (False, True)
_LEVELS = {
    **dict.fromkeys((
        "on_before_backward", "backward", "on_after_backward", "on_before_optimizer_step",
        "optimizer_step", "configure_gradient_clipping", "clip_gradients", "on_before_zero_grad",
        "optimizer_zero_grad", "on_train_batch_start", "on_train_batch_end", "training_step",
    ), _STEP),
    **dict.fromkeys((
        "on_validation_batch_start", "on_validation_batch_end", "on_test_batch_start",
        "on_test_batch_end", "validation_step", "test_step",
    ), _EPOCH),
}  # fmt: skip
# Hooks of an epoch, where a step would mean nothing.
_EPOCH_ONLY = {
    "on_train_start", "on_train_epoch_start", "on_train_epoch_end", "on_validation_start",
    "on_validation_epoch_start", "on_validation_epoch_end", "on_test_start", "on_test_epoch_start",
    "on_test_epoch_end",
}  # fmt: skip
_REDUCTIONS = {"mean": "mean", "avg": "mean", "min": "min", "max": "max", "sum": "sum"}


def check_levels(hook: str, on_step: bool | None, on_epoch: bool | None) -> tuple[bool, bool]:
    """Return at which levels a value is kept, by the hook that logs it."""
    levels = _LEVELS.get(hook)
    if levels is None:
        if hook not in _EPOCH_ONLY:
            raise MisconfigurationException(
                f"You can't `self.log()` inside `{hook}`. HINT: You can still log directly to the "
                "logger by using `self.logger.log_metrics`."
            )
        for name, value, only in (("on_step", on_step, False), ("on_epoch", on_epoch, True)):
            if value is not None and bool(value) is not only:
                raise MisconfigurationException(
                    f"You can't `self.log({name}={value})` inside `{hook}`, must be one of "
                    f"{(only,)}."
                )
        return _EPOCH
    step = levels[0] if on_step is None else on_step
    epoch = levels[1] if on_epoch is None else on_epoch
    if not step and not epoch:
        raise MisconfigurationException("`self.log(on_step=False, on_epoch=False)` is not useful.")
    return step, epoch


def reduction(name: Any) -> str:
    """Return "mean", "min", "max" or "sum"; refuse all else."""
    known = name if isinstance(name, str) else getattr(name, "__name__", "")
    if known.lower() not in _REDUCTIONS:
        raise MisconfigurationException(
            f"Only `self.log(..., reduce_fx={{min,max,mean,sum}})` are supported. Found: {name}"
        )
    return _REDUCTIONS[known.lower()]


def rows_of(batch: Any, says: bool = True) -> int:
    """Return the length of the first tensor in a batch; 1 if it has no dimensions.

    Where others are of another length, it warns if it is to say so.
    """
    sizes = _sizes(batch)
    first: int | None = next(sizes, None)
    if first is None:
        raise MisconfigurationException(
            "We could not infer the batch_size from the batch. Either simplify its structure or "
            "provide the batch_size as `self.log(..., batch_size=batch_size)`."
        )
    if says and any(size != first for size in sizes):
        warn(
            "Trying to infer the `batch_size` from an ambiguous collection. The batch size we "
            f"found is {first}. To avoid any miscalculations, use `self.log(..., "
            "batch_size=batch_size)`."
        )
    return first


def _sizes(batch: Any) -> Iterator[int]:
    if isinstance(batch, (Tensor, np.ndarray)):
        shape = (batch._data if isinstance(batch, Tensor) else batch).shape
        yield shape[0] if shape else 1
    elif isinstance(batch, str):
        yield len(batch)
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from _sizes(part)
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from _sizes(part)


class _Entry:
    """One name that one hook logs."""

    __slots__ = (
        "bar", "epoch", "fresh", "hook", "last", "loader", "logger", "name", "reduce", "rows",
        "step", "suffix", "value",
    )  # fmt: skip

    def __init__(self, hook: str, name: str, suffix: str, settings: tuple[Any, ...]) -> None:
        self.hook, self.name, self.suffix = hook, name, suffix
        self.bar, self.logger, self.step, self.epoch, self.reduce = settings
        self.loader: int | None = None
        self.last: Any = None
        self.reset()

    def settings(self) -> tuple[Any, ...]:
        """Return how it was logged at first."""
        return self.bar, self.logger, self.step, self.epoch, self.reduce

    def reset(self) -> None:
        start = {"min": math.inf, "max": -math.inf}.get(self.reduce, 0.0)
        self.value: Any = np.float32(start)
        self.rows = 0
        self.fresh = False

    def update(self, value: Any, rows: int) -> None:
        kind = type(value)
        self.fresh = True
        self.last = value
        if not self.epoch:
            return
        if self.reduce == "mean":
            self.value = self.value + value * kind(rows)
            self.rows += rows
        elif self.reduce == "sum":
            self.value = self.value + value
        else:
            # Of a NaN nothing is less or greater: it stays.
            better = value < self.value if self.reduce == "min" else value > self.value
            self.value = value if better or value != value else self.value

    def result(self) -> Any:
        if self.reduce == "mean":
            return self.value / type(self.value)(self.rows) if self.rows else self.value
        return self.value

    def names(self, on_step: bool) -> tuple[str, str]:
        """Return the bare name, and the one that says which of two levels it is."""
        full = self.name + self.suffix
        if not (self.step and self.epoch):
            return full, full
        return full, f"{self.name}_{'step' if on_step else 'epoch'}{self.suffix}"


class Results:
    """What is logged in one loop, from one reset to the next."""

    def __init__(self, training: bool) -> None:
        self.training = training
        self.entries: dict[Any, _Entry] = {}
        self.batch: Any = None
        self.loader: int | None = None
        self._rows: int | None = None
        self._has_counted = False

    def begin_batch(self, batch: Any, loader: int | None = None) -> None:
        """Note which batch is going on, and from which loader if there are several."""
        self.batch, self.loader, self._rows = batch, loader, None

    def log(
        self, hook: str, name: str, value: Any, settings: tuple[Any, ...], with_loader: bool,
        rows: int | None,
    ) -> None:  # fmt: skip
        """Add a value to what a hook logs under a name."""
        key = (hook, name, self.loader if with_loader else None)
        entry = self.entries.get(key)
        if entry is None:
            suffix = "" if key[2] is None else f"/dataloader_idx_{self.loader}"
            entry = self.entries[key] = _Entry(hook, name, suffix, settings)
            entry.loader = self.loader
        elif entry.settings() != settings or entry.loader != self.loader:
            raise MisconfigurationException(
                f"You called `self.log({name}, ...)` twice in `{hook}` with different arguments. "
                "This is not allowed"
            )
        if rows is None:
            counts = entry.epoch and entry.reduce == "mean"
            if self._rows is None and self.batch is not None and counts:
                self._rows = rows_of(self.batch, not self._has_counted)
                self._has_counted = True
            rows = 1 if self._rows is None else self._rows
        entry.update(value, rows)

    def reset(self) -> None:
        """Begin anew; the names keep their places."""
        for entry in self.entries.values():
            entry.reset()

    def take(self, on_step: bool, loader: int | None = None) -> tuple[dict[str, Any], ...]:
        """Return what there is for callbacks, for the logger and for the bar, by name."""
        seen: tuple[dict[str, Any], ...] = ({}, {}, {})
        for entry in self.entries.values():
            if not entry.fresh or entry.loader != loader:
                continue
            if not (entry.step if on_step else entry.epoch):
                continue
            value = entry.last if on_step else entry.result()
            bare, full = entry.names(on_step)
            if entry.logger:
                seen[1][full] = value
            if self.training or (entry.epoch and not on_step):
                seen[0][bare] = seen[0][full] = value
            if entry.bar:
                seen[2][full] = float(value)
        return seen


class Metrics:
    """What the Trainer knows: for callbacks, for loggers, for the bar."""

    def __init__(self) -> None:
        self.results: Results | None = None
        # Whether a batch is going on: then values are those of the step.
        self.in_batch = False
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.callback: dict[str, Any] = {}
        self.logged: dict[str, Any] = {}
        self.bar: dict[str, float] = {}

    def collect(self, loader: int | None = None) -> dict[str, Any]:
        """Take over what has been logged; return what is for the logger."""
        if self.results is None:
            return {}
        callback, logged, bar = self.results.take(self.in_batch, loader)
        self.callback.update(callback)
        self.logged.update(logged)
        self.bar.update(bar)
        return logged


def number(name: str, value: Any, hook: str) -> Any:
    """Return a value to be logged as a NumPy number; refuse what is no single number."""
    if isinstance(value, Tensor):
        array = value._data
        if array.size != 1:
            raise ValueError(
                f"`self.log({name}, {value})` was called, but the tensor must have a single "
                f"element. You can try doing `self.log({name}, {value}.mean())`"
            )
        if array.dtype.kind == "f":
            return array.reshape(-1)[0]
        warn(
            f"You called `self.log({name!r}, ...)` in your `{hook}` but the value needs to be "
            "floating to be reduced. Converting it to torch.float32. You can silence this "
            "warning by converting the value to floating point yourself."
        )
        return np.float32(array.reshape(-1)[0])
    if not isinstance(value, (int, float, np.number)):
        raise ValueError(
            f"`self.log({name}, {value})` was called, but `{type(value).__name__}` values cannot "
            "be logged"
        )
    with np.errstate(over="ignore"):
        return np.float32(value)


def as_tensors(values: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as tensors without dimensions."""
    return {name: from_numpy(np.asarray(value)) for name, value in values.items()}
