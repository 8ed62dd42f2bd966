"""Callbacks: what happens between the epochs of a training, and, where asked, between its steps.

A callback is told when training, an epoch, a step or the validation begins and ends, and may look
at the model, add numbers to the epoch's, change the optimizer, or stop the training. As long as
none of them defines a hook of steps, an epoch stays one call into C.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepc._values import Array, as_float, as_int, describe, warn

# What reads and writes files is imported where it is used: most trainings have no such callback.
if TYPE_CHECKING:
    from pathlib import Path

    from deepc.training.session import Session

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "JSONLog",
    "ReduceOnPlateau",
    "Schedule",
    "StopOnNaN",
]


class Callback:
    """Something that takes part in a training. Subclass it and define the hooks that you need.

    Attributes
    ----------
    session : Session
        The training that it takes part in, from `on_train_begin` on: its ``model``,
        ``optimizer``, ``history``, ``epoch``, ``epochs``, and ``stop(reason)``.
    kept : tuple of str
        The names of attributes that a checkpoint of the training keeps: numbers, strings, None, or
        lists of arrays.

    Examples
    --------
    >>> import deepc
    >>> class Print(deepc.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, sorted(logs))
    >>> net = deepc.Linear(1, 1)
    >>> deepc.fit(net, [[1.0]], [[2.0]], loss=deepc.SSE(), optimizer=deepc.SGD(0.1),
    ...           epochs=2, callbacks=[Print()]) and None
    0 ['loss']
    1 ['loss']
    """

    session: Session
    kept: tuple[str, ...] = ()

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, also where training was stopped early."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch and its validation; what is added to `logs` is recorded."""

    def on_step_begin(self, step: int) -> None:
        """Before a step of this epoch; defining it makes training go step by step."""

    def on_step_end(self, step: int, logs: dict[str, float]) -> None:
        """After a step, with the numbers of the epoch so far; as `on_step_begin`."""

    def on_validation_begin(self) -> None:
        """Before the validation of an epoch."""

    def on_validation_end(self, logs: dict[str, float]) -> None:
        """After it, with its numbers."""


def wants_steps(callback: Any) -> bool:
    """Whether a callback defines a hook of steps, so that each step must come back to Python."""
    return any(
        getattr(type(callback), name, None) is not getattr(Callback, name)
        or name in getattr(callback, "__dict__", {})
        for name in ("on_step_begin", "on_step_end")
    )


_LARGER_IS_BETTER = ("acc", "accuracy", "auc", "precision", "recall", "f1", "r2")


def larger_is_better(monitor: str, metrics: Any = ()) -> bool | None:
    """Whether a series gets better upwards; None where neither metrics nor its name tell."""
    name = monitor.removeprefix("val_")
    for item in metrics:
        if item.name == name and item.better:
            return bool(item.better == "max")
    if name == "loss" or name.endswith("loss"):
        return False
    parts = name.split("_")
    if any(part in _LARGER_IS_BETTER for part in parts):
        return True
    if any(part in ("error", "mse", "mae", "rmse", "mape", "msle") for part in parts):
        return False
    return None


class Watching(Callback):
    """A callback that watches one series: what it is, which way is better, what was best so far.

    Parameters
    ----------
    monitor : str
        The name of the series, ``"val_loss"`` say.
    mode : {"auto", "min", "max"}, optional
        Which way is better; ``"auto"`` knows losses and the metrics of the library.
    min_delta : float, optional
        What is less better than that is no better.
    """

    kept: tuple[str, ...] = ("best", "_missed")

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor: expected the name of a series, got {describe(monitor)}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(as_float(min_delta, "min_delta"))
        self.best: float | None = None
        self._missed = False

    def on_train_begin(self) -> None:
        self.best = None
        self._missed = False

    def _upwards(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        up = larger_is_better(self.monitor, self.session.metrics)
        if up is None:
            raise ValueError(
                f"monitor: nobody knows which way {self.monitor!r} gets better; say mode='min' "
                "or mode='max'"
            )
        return up

    def _current(self, logs: dict[str, float]) -> float | None:
        """Return the series' number of this epoch; None, with a warning once, where it has none."""
        value = logs.get(self.monitor)
        if value is None and not self._missed:
            self._missed = True
            warn(self._missing(logs))
        return value

    def _missing(self, logs: dict[str, float]) -> str:
        return (
            f"{type(self).__name__}: monitors {self.monitor!r}, which is not measured; "
            f"measured are {', '.join(logs)}"
        )

    def improves(self, current: float, best: float | None) -> bool:
        """Whether a number is better than the best one so far; the first one, None before it, is.

        After a first number that is NaN nothing is better, as in Keras.
        """
        if best is None:
            return True
        if self._upwards():
            return current > best + self.min_delta
        return current < best - self.min_delta


class EarlyStopping(Watching):
    """Stop when a series has not got better for some epochs.

    Parameters
    ----------
    monitor : str, optional
        ``"val_loss"`` if not given.
    patience : int, optional
        So many epochs in a row may be no better; the next one that is not ends the training. With
        0, the first one does; the first epoch of all never does.
    min_delta : float, optional
        What is less better than that is no better.
    mode : {"auto", "min", "max"}, optional
    restore_best : bool, optional
        Put the weights of the best epoch back at the end, also if training ran to its end.
    baseline : float, optional
        Count an epoch as better only if it also beats this number.
    start_from : int, optional
        Look at nothing before that epoch.

    Attributes
    ----------
    best : float or None
        The best number so far.
    best_epoch : int or None
        Its epoch.
    stopped_epoch : int or None
        The epoch after which it stopped the training.
    """

    kept = (*Watching.kept, "wait", "best_epoch", "stopped_epoch", "_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = False,
        baseline: float | None = None,
        start_from: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = as_int(patience, "patience", least=0)
        self.restore_best = restore_best
        self.baseline = baseline
        self.start_from = as_int(start_from, "start_from", least=0)
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self.wait = 0
        self._weights: list[Array] | None = None

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.wait = 0
        self.best_epoch = self.stopped_epoch = None
        self._weights = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        current = self._current(logs)
        if current is None or epoch < self.start_from:
            return
        if self.restore_best and self._weights is None:
            # If nothing is ever better, these are the ones to go back to.
            self._keep(epoch)
        self.wait += 1
        if self.improves(current, self.best):
            self.best = current
            self._keep(epoch)
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.session.stop(f"stopped by {self.monitor}")

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best:
            self._weights = self.session.copy_weights()

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.session.set_weights(self._weights)
            self.session.history.best_epoch = self.best_epoch
            self._weights = None


class Checkpoint(Watching):
    """Save the model after each epoch, or after each that is better than all before.

    Parameters
    ----------
    path : str or path-like
        Where to; ``{epoch}`` (from 1) and the names of series are filled in, ``"{epoch:02d}"``,
        ``"{val_loss:.3f}"``. The ending tells what is written: see `save`.
    monitor : str, optional
        ``"val_loss"`` if not given; looked at if `best_only`.
    best_only : bool, optional
    weights_only : bool, optional
        Write the weights, not the whole model.
    mode : {"auto", "min", "max"}, optional
    every : int, optional
        Epochs from one file to the next.
    """

    def __init__(
        self,
        path: Any,
        monitor: str = "val_loss",
        best_only: bool = False,
        weights_only: bool = False,
        mode: str = "auto",
        every: int = 1,
    ) -> None:
        super().__init__(monitor, mode)
        self.path = path
        self.best_only = best_only
        self.weights_only = weights_only
        self.every = as_int(every, "every", least=1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % self.every:
            return
        if self.best_only:
            current = self._current(logs)
            if current is None or not self.improves(current, self.best):
                return
            self.best = current
        self.write(self.filled(epoch, logs))

    def filled(self, epoch: int, logs: dict[str, float]) -> Path:
        """Return the path for an epoch."""
        from pathlib import Path

        text = str(self.path)
        try:
            return Path(text.format(epoch=epoch + 1, **logs))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"path: {text!r} asks for {error}, and this training measures "
                f"epoch, {', '.join(logs)}"
            ) from None

    def write(self, path: Path) -> None:
        """Write the file; a folder that is not there is made."""
        from deepc.shipping import files

        path.parent.mkdir(parents=True, exist_ok=True)
        if self.weights_only:
            files.save_weights(self.session.model, path)
        else:
            files.save(self.session.model, path)


class ReduceOnPlateau(Watching):
    """Make the learning rate smaller when a series has not got better for some epochs.

    The rate that an epoch was trained with is recorded as ``learning_rate``.

    Parameters
    ----------
    monitor : str, optional
        ``"val_loss"`` if not given.
    factor : float, optional
        What the rate is multiplied by, below 1.
    patience : int, optional
        Epochs in a row that are no better until it is.
    min_delta : float, optional
    mode : {"auto", "min", "max"}, optional
    cooldown : int, optional
        Epochs after a reduction in which none is counted.
    min_rate : float, optional
        The rate never falls below.
    """

    kept = (*Watching.kept, "wait", "_cooling")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "auto",
        cooldown: int = 0,
        min_rate: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = as_float(factor, "factor", 0.0)
        if self.factor >= 1:
            raise ValueError(f"factor: expected less than 1, got {factor}")
        self.patience = as_int(patience, "patience", least=0)
        self.cooldown = as_int(cooldown, "cooldown", least=0)
        self.min_rate = as_float(min_rate, "min_rate", 0.0)
        self.wait = self._cooling = 0

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.wait = self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs["learning_rate"] = rate = self.session.learning_rate
        current = self._current(logs)
        if current is None:
            return
        if self._cooling:
            self._cooling -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best = current
            self.wait = 0
        elif not self._cooling:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_rate:
                self.session.learning_rate = max(rate * self.factor, self.min_rate)
                self.reduced(epoch, self.session.learning_rate)
                self._cooling = self.cooldown
                self.wait = 0

    def reduced(self, epoch: int, rate: float) -> None:
        """Do what a face does after a reduction: print its line."""


class Schedule(Callback):
    """Set the learning rate at the begin of each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, rate)`` or ``schedule(epoch)``: the epoch from 0, the rate so far; the
        rate from now on.
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function, got {describe(schedule)}")
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int) -> None:
        try:
            rate = self.schedule(epoch, self.session.learning_rate)
        except TypeError:
            rate = self.schedule(epoch)
        self.session.learning_rate = as_float(rate, "schedule", 0.0)
        self.scheduled(epoch, self.session.learning_rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs["learning_rate"] = self.session.learning_rate

    def scheduled(self, epoch: int, rate: float) -> None:
        """Do what a face does after the rate was set: print its line."""


class CSVLog(Callback):
    """Write the numbers of each epoch as a line of a CSV file, complete after each epoch.

    Parameters
    ----------
    path : str or path-like
    separator : str, optional
    append : bool, optional
        Go on in a file that is there; its columns stay.
    """

    def __init__(self, path: Any, separator: str = ",", append: bool = False) -> None:
        from pathlib import Path

        self.path = Path(path)
        self.separator = separator
        self.append = append
        self._columns: list[str] | None = None

    def on_train_begin(self) -> None:
        import csv

        self._columns = None
        if self.append and self.path.exists() and self.path.stat().st_size:
            with self.path.open(newline="", encoding="utf-8") as file:
                self._columns = next(csv.reader(file, delimiter=self.separator))[1:]
        else:
            self.path.write_bytes(b"")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self._columns is None:
            names = sorted(logs)
            validated = any(name.startswith("val_") for name in names)
            if self.session.validates and not validated:
                # This epoch is not validated, a later one will be.
                names += [f"val_{name}" for name in names]
            self._columns = names
            self._write(["epoch", *names])
        self._write([epoch, *(logs.get(name, "NA") for name in self._columns)])

    def _write(self, row: list[Any]) -> None:
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerow(row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(text.getvalue())


class JSONLog(Callback):
    """Write the numbers of each epoch as a line of JSON, complete after each epoch.

    Each line is an object with ``epoch``, ``seconds`` since training began, and the numbers.

    Parameters
    ----------
    path : str or path-like
    append : bool, optional
        Go on in a file that is there.
    """

    def __init__(self, path: Any, append: bool = False) -> None:
        from pathlib import Path

        self.path = Path(path)
        self.append = append
        self._start = 0.0

    def on_train_begin(self) -> None:
        self._start = time.perf_counter()
        if not self.append:
            self.path.write_bytes(b"")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        import json

        seconds = round(time.perf_counter() - self._start, 3)
        # JSON has no NaN and no infinity: null says that there is no number.
        numbers = {k: v if math.isfinite(v) else None for k, v in logs.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, "seconds": seconds, **numbers}) + "\n")


class StopOnNaN(Callback):
    """Stop when the loss of an epoch is NaN or infinite.

    Parameters
    ----------
    raise_error : bool, optional
        Raise a ``FloatingPointError`` instead of ending quietly.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if not np.isfinite(logs.get("loss", 0.0)):
            message = f"the loss of epoch {epoch} is {logs['loss']}"
            if self.raise_error:
                raise FloatingPointError(message)
            self.session.stop(message)
