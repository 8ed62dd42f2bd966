"""Callbacks by the names that Keras has for them; what they do is done by deepc's."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._values import describe, missing
from deepc.keras._progress import say
from deepc.training import callbacks as built_in

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN",
]  # fmt: skip

_Logs = dict[str, float] | None


class Callback:
    """Something that takes part in a training. Subclass it and define the hooks that you need.

    Attributes
    ----------
    model : Model
    params : dict
        ``verbose``, ``epochs``, ``steps``.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Say which model is trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Say how it is trained."""
        self.params = params

    def on_train_begin(self, logs: _Logs = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: _Logs = None) -> None:
        """After the last one."""

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        """After an epoch and its validation; what is added to `logs` is shown and recorded."""

    def on_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        """Before a step, as `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: _Logs = None) -> None:
        """After a step, as `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        """Before a step; defining it makes training go step by step through Python."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: _Logs = None) -> None:
        """After a step, with the numbers of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: _Logs = None) -> None:
        """Before an evaluation or a validation."""

    def on_test_end(self, logs: _Logs = None) -> None:
        """After it."""

    def on_test_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        """Before a batch of it."""

    def on_test_batch_end(self, batch: int, logs: _Logs = None) -> None:
        """After a batch of it."""

    def on_predict_begin(self, logs: _Logs = None) -> None:
        """Before predictions."""

    def on_predict_end(self, logs: _Logs = None) -> None:
        """After them."""

    def on_predict_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        """Before a batch of them."""

    def on_predict_batch_end(self, batch: int, logs: _Logs = None) -> None:
        """After a batch of them."""


class History(Callback):
    """What `fit` returns: the numbers of each epoch.

    Attributes
    ----------
    history : dict of str to list of float
    epoch : list of int
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._epochs_of: dict[str, list[int]] = {}

    def record(self, epoch: int, logs: dict[str, float]) -> None:
        """Add an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
            self._epochs_of.setdefault(name, []).append(epoch)

    def epochs_of(self, name: str) -> list[int]:
        """Return the epochs in which a series was measured."""
        return list(self._epochs_of[name])

    def __repr__(self) -> str:
        return f"<keras.src.callbacks.history.History object at {id(self):#x}>"


class _Link:
    """A model as deepc's callbacks see a training."""

    def __init__(self, model: Any, params: dict[str, Any]) -> None:
        self.model = model
        self.validates = bool(params.get("validates"))
        self.said = 0.0  # the last rate that was set, before the optimizer rounds it

    @property
    def metrics(self) -> list[Any]:
        return list(getattr(self.model, "_tracked", []))

    @property
    def history(self) -> Any:
        return self.model.history

    @property
    def learning_rate(self) -> float:
        return float(self.model.optimizer.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.said = value
        self.model.optimizer.learning_rate = value

    def stop(self, reason: str) -> None:
        self.model.stop_training = True

    def copy_weights(self) -> Any:
        return self.model.get_weights()

    def set_weights(self, weights: Any) -> None:
        self.model.set_weights(weights)


class _Of(Callback):
    """A callback that one of deepc's does the work of."""

    _made: Any

    def __init__(self, made: Any, verbose: int = 0) -> None:
        super().__init__()
        self._made = made
        self.verbose = verbose

    def on_train_begin(self, logs: _Logs = None) -> None:
        self._made.session = _Link(self.model, self.params)
        self._made.on_train_begin()

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        self._made.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        self._made.on_epoch_end(epoch, {} if logs is None else logs)

    def on_train_end(self, logs: _Logs = None) -> None:
        self._made.on_train_end()

    def __getattr__(self, name: str) -> Any:
        made = self.__dict__.get("_made")
        if made is not None and not name.startswith("_") and hasattr(made, name):
            return getattr(made, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


class _EarlyStopping(built_in.EarlyStopping):
    def _missing(self, logs: dict[str, float]) -> str:
        return (
            f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
            f"Available metrics are: {','.join(logs)}"
        )


class EarlyStopping(_Of):
    """Stop when a number has not got better for some epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        made = _EarlyStopping(
            monitor, patience, min_delta, mode, restore_best_weights, baseline, start_from_epoch
        )
        super().__init__(made, verbose)

    @property
    def stopped_epoch(self) -> int:
        """The epoch after which it stopped the training, 0 if it did not."""
        return self._made.stopped_epoch or 0

    def on_train_end(self, logs: _Logs = None) -> None:
        if self.verbose and self._made.stopped_epoch is not None:
            say(f"Epoch {self._made.stopped_epoch + 1}: early stopping")
        if self.verbose and self._made._weights is not None:
            best = self._made.best_epoch + 1
            say(f"Restoring model weights from the end of the best epoch: {best}.")
        super().on_train_end(logs)


class ModelCheckpoint(Callback):
    """Save the model, or its weights, after epochs or batches."""

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        path = str(filepath)
        ending = ".weights.h5" if save_weights_only else ".keras"
        if not path.endswith(ending):
            what = "weights_only" if save_weights_only else "the whole model"
            raise ValueError(
                f"The filepath provided must end in `{ending}` ({what} is saved). "
                f"Received: filepath={filepath}"
            )
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer "
                "values"
            )
        self._watch = built_in.Checkpoint(path, monitor, save_best_only, save_weights_only, mode)
        self.filepath, self.monitor, self.verbose = path, monitor, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._batches = self._epoch = 0
        if save_freq != "epoch":
            # Only then must each step come back to Python.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: _Logs = None) -> None:
        self._watch.session = _Link(self.model, self.params)  # type: ignore[assignment]
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: _Logs = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(self._epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: dict[str, float]) -> None:
        path = self._watch.filled(epoch, logs)
        if self.save_best_only:
            current = self._watch._current(logs)
            if current is None:
                return
            if not self._watch.improves(current, self.best):
                if self.verbose:
                    say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            if self.verbose:
                before = "None" if self.best is None else f"{self.best:.5f}"
                say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {before} to "
                    f"{current:.5f}, saving model to {path}")  # fmt: skip
            self.best = current
        elif self.verbose:
            say(f"\nEpoch {epoch + 1}: saving model to {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose and self.save_best_only:
            say(f"\nEpoch {epoch + 1}: finished saving model to {path}")


class BackupAndRestore(Callback):
    """Keep the state of the training in a file, and go on from there if it was killed.

    The state is that of the training itself: weights, optimizer, order of the rows, what callbacks
    have counted. A training that goes on gives the bits that it would have given. Batches of a
    generator or a loader are gone over again up to the place, without training; what gives other
    batches than it gave before is refused.

    Parameters
    ----------
    backup_dir : str or path
        A folder for the file.
    save_freq : "epoch" or int, optional
        Write it after each epoch, or after so many batches too.
    double_checkpoint : bool, optional
        Taken and not needed: the file is replaced whole.
    delete_checkpoint : bool, optional
        Whether the file is removed when training has come to its end.
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not str(backup_dir):
            raise ValueError("Empty `backup_dir` argument passed")
        is_number = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and not (is_number and save_freq > 0):
            raise ValueError(
                "Invalid value for argument `save_freq`. Received: "
                f"save_freq={save_freq}. Expected either 'epoch' or a positive integer."
            )
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.delete_checkpoint = delete_checkpoint
        if save_freq != "epoch":
            # Only then must each step come back to Python.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]
        self._batches = 0

    def _after_batch(self, batch: int, logs: _Logs = None) -> None:
        self._batches += 1

    def file(self) -> Any:
        """Return where the training keeps its state."""
        # Only a training that is kept in a file pays for what writes it.
        from deepc.keras._backup import Backup

        os.makedirs(self.backup_dir, exist_ok=True)
        return Backup(self)

    def finish(self) -> None:
        """Remove the file, and the folder if nothing else is in it."""
        from deepc.keras._backup import Backup

        if self.delete_checkpoint:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(self.backup_dir, Backup.name))
            if not os.listdir(self.backup_dir):
                os.rmdir(self.backup_dir)


class _Plateau(built_in.ReduceOnPlateau):
    verbose = 0

    def reduced(self, epoch: int, rate: float) -> None:
        if self.verbose:
            said = self.session.said  # type: ignore[attr-defined]
            say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {said}.")


class ReduceLROnPlateau(_Of):
    """Make the learning rate smaller when a number has not got better for some epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}"
            )
        made = _Plateau(monitor, factor, patience, min_delta, mode, cooldown, min_lr)
        made.verbose = verbose
        super().__init__(made, verbose)


class LearningRateScheduler(Callback):
    """Set the learning rate at the begin of each epoch, by ``schedule(epoch, lr)``."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function, got {describe(schedule)}")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"The output of the `schedule` function should be a float. Got: {rate}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            say(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{float(rate)}."
            )

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(_Of):
    """Write the numbers of each epoch as a line of a CSV file."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__(built_in.CSVLog(filename, separator, append))


class TerminateOnNaN(Callback):
    """Stop when the loss of a batch is NaN or infinite."""

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: _Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}.")
            say(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: ...)``."""

    def __init__(self, **hooks: Callable[..., None] | None) -> None:
        super().__init__()
        for name, function in hooks.items():
            if not hasattr(Callback, name) or not name.startswith("on_"):
                raise TypeError(f"LambdaCallback: {name!r} is no hook")
            if function is not None:
                setattr(self, name, function)


def check(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list; refuse what is none."""
    if callbacks is None:
        return []
    given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for i, callback in enumerate(given):
        if isinstance(callback, type) or not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks[{i}]: expected a keras.callbacks.Callback, got {describe(callback)}"
            )
    return given


__getattr__ = missing(
    "deepc.keras.callbacks",
    __all__,
    {
        "TensorBoard": "callbacks.CSVLogger", "RemoteMonitor": "callbacks.LambdaCallback",
        "ProgbarLogger": "verbose=1",
        "SwapEMAWeights": "use_ema of the optimizer", "OrbaxCheckpoint": "ModelCheckpoint",
    },
)  # fmt: skip
