"""Callbacks that show or change settings: learning rates, the table of the model, accumulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from deepc._values import describe
from deepc.lightning._callback import Callback
from deepc.lightning._tables import ModelSummary as Table
from deepc.lightning._words import MisconfigurationException, info
from deepc.torch import from_numpy

__all__ = ["GradientAccumulationScheduler", "LearningRateMonitor", "ModelSummary"]


class ModelSummary(Callback):
    """Print the table of a model's parts before the training.

    Parameters
    ----------
    max_depth : int, optional
        How deep to go into parts of parts; -1 for all, 0 prints nothing.
    """

    def __init__(self, max_depth: int = 1) -> None:
        self._max_depth = max_depth

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Print the table."""
        if self._max_depth:
            info(f"\n{Table(pl_module, self._max_depth)}")


class LearningRateMonitor(Callback):
    """Give the learning rates of all optimizers to the loggers.

    Parameters
    ----------
    logging_interval : "step" or "epoch", optional
        When; as the schedulers go if not given.
    log_momentum, log_weight_decay : bool, optional
        Log these settings of the optimizers as well.

    Attributes
    ----------
    lrs : dict of str to list of float
    """

    def __init__(
        self,
        logging_interval: str | None = None,
        log_momentum: bool = False,
        log_weight_decay: bool = False,
    ) -> None:
        if logging_interval not in (None, "step", "epoch"):
            raise MisconfigurationException(
                "logging_interval should be `step` or `epoch` or `None`."
            )
        self.logging_interval = logging_interval
        self.log_momentum, self.log_weight_decay = log_momentum, log_weight_decay
        self.lrs: dict[str, list[float]] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the names."""
        if not trainer.loggers:
            raise MisconfigurationException(
                "Cannot use `LearningRateMonitor` callback with `Trainer` that has no logger."
            )
        self.lrs = {name: [] for name, _, _ in self._groups(trainer)}

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        """Log where steps are asked for."""
        if self.logging_interval != "epoch" and trainer._logs_now():
            self._log(trainer, "step")

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        """Log where epochs are asked for."""
        if self.logging_interval != "step":
            self._log(trainer, "epoch")

    def _groups(self, trainer: Any) -> Iterator[tuple[str, Any, str | None]]:
        """Yield the name of each group of parameters, the group, and its scheduler's interval."""
        chosen = [(each.scheduler.optimizer, each) for each in trainer.lr_scheduler_configs]
        known = {id(optimizer) for optimizer, _ in chosen}
        chosen += [(one, None) for one in trainer.optimizers if id(one) not in known]
        kinds: Counter[str] = Counter()
        for optimizer, config in chosen:
            name = config.name if config is not None and config.name else None
            if name is None:
                name = f"lr-{type(optimizer).__name__}"
                kinds[name] += 1
                name += f"-{kinds[name] - 1}" if kinds[name] > 1 else ""
            several = len(optimizer.param_groups) > 1
            for number, group in enumerate(optimizer.param_groups, 1):
                part = group.get("name") or (f"pg{number}" if several else "")
                interval = config.interval if config is not None else None
                yield f"{name}/{part}" if part else name, group, interval

    def _log(self, trainer: Any, interval: str) -> None:
        found: dict[str, float] = {}
        for name, group, own in self._groups(trainer):
            # Rates without a scheduler do not change: they are logged whenever anything is.
            if self.logging_interval is None and own is not None and own != interval:
                continue
            self.lrs.setdefault(name, []).append(group["lr"])
            found[name] = group["lr"]
            if self.log_momentum:
                betas = group.get("betas")
                found[f"{name}-momentum"] = betas[0] if betas else group.get("momentum", 0)
            if self.log_weight_decay:
                found[f"{name}-weight_decay"] = group.get("weight_decay", 0)
        if not found:
            return
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer._stepped)
        trainer.callback_metrics.update(
            {name: from_numpy(np.asarray(value, np.float32)) for name, value in found.items()}
        )


class GradientAccumulationScheduler(Callback):
    """Let more batches make a step from certain epochs on.

    Parameters
    ----------
    scheduling : dict of int to int
        The batches of a step, by the epoch that they begin with.
    """

    def __init__(self, scheduling: dict[int, int]) -> None:
        if not isinstance(scheduling, dict) or not scheduling:
            raise TypeError(f"scheduling: expected a dict of epochs, got {describe(scheduling)}")
        for key, value in scheduling.items():
            if not isinstance(key, int) or key < 0:
                raise MisconfigurationException(
                    f"Epoch should be an int greater than or equal to 0. Got {key}."
                )
            if not isinstance(value, int) or value < 1:
                raise MisconfigurationException(
                    f"Accumulation factor should be an int greater than 0. Got {value}."
                )
        self.scheduling = {0: 1, **scheduling}

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        """Choose by the epoch."""
        begun = max(epoch for epoch in self.scheduling if epoch <= trainer.current_epoch)
        trainer.accumulate_grad_batches = self.scheduling[begun]
