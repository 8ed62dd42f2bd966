"""The arguments of a Trainer: what is accepted, and what of that has an effect."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from deepc._values import describe, nearest
from deepc.lightning._checkpoint import Checkpoint, ModelCheckpoint
from deepc.lightning._loaders import batch_limit
from deepc.lightning._loggers import CSVLogger, Logger
from deepc.lightning._monitors import ModelSummary
from deepc.lightning._progress import ProgressBar, TQDMProgressBar
from deepc.lightning._stopping import Timer
from deepc.lightning._words import MisconfigurationException, info

__all__ = ["PRECISIONS", "Settings", "check_gradients", "check_known", "check_place", "listed"]

_WITHOUT_EFFECT = {
    "num_nodes": 1, "deterministic": None, "benchmark": None, "use_distributed_sampler": True,
    "profiler": None, "sync_batchnorm": False, "plugins": None, "model_registry": None,
    "enable_autolog_hparams": True,
}  # fmt: skip
PRECISIONS = {None: "32-true", 32: "32-true", "32": "32-true", "32-true": "32-true",
               64: "64-true", "64": "64-true", "64-true": "64-true"}  # fmt: skip


class Settings:
    """How a Trainer takes its arguments."""

    callbacks: list[Any]
    default_root_dir: str
    loggers: list[Any]
    max_epochs: int | None
    limit_train_batches: float
    limit_val_batches: float
    limit_test_batches: float
    limit_predict_batches: float
    max_steps: int

    def _limits(self, max_epochs: Any, min_epochs: Any, max_steps: Any, min_steps: Any) -> None:
        for name, value, lowest in (
            ("max_epochs", max_epochs, -1), ("max_steps", max_steps, -1),
            ("min_epochs", min_epochs, 0), ("min_steps", min_steps, 0),
        ):  # fmt: skip
            if value is not None and (not isinstance(value, int) or value < lowest):
                what = "a non-negative integer or -1" if lowest else "a non-negative integer"
                raise MisconfigurationException(f"`{name}` must be {what}. You passed in {value}.")
        self.max_epochs, self.min_epochs = max_epochs, min_epochs
        self.max_steps, self.min_steps = max_steps, min_steps

    def _add_callbacks(self, saves: bool, shows: bool, sums_up: bool, max_time: Any) -> None:
        """Add the callbacks that are there without being asked for; what saves comes last."""
        own = self.callbacks
        if any(isinstance(one, ModelCheckpoint) for one in own):
            if not saves:
                raise MisconfigurationException(
                    "Trainer was configured with `enable_checkpointing=False` but found "
                    "`ModelCheckpoint` in callbacks list."
                )
        elif saves:
            own.append(ModelCheckpoint())
        if max_time is not None:
            if any(isinstance(one, Timer) for one in own):
                info("Ignoring `Trainer(max_time=...)`, callbacks list already contains a Timer.")
            else:
                own.append(Timer(max_time))
        bars = [one for one in own if isinstance(one, ProgressBar)]
        if len(bars) > 1:
            raise MisconfigurationException(
                "You added multiple progress bar callbacks to the Trainer, but currently only one "
                "progress bar is supported."
            )
        if bars and not shows:
            raise MisconfigurationException(
                "Trainer was configured with `enable_progress_bar=False` but found "
                f"`{type(bars[0]).__name__}` in callbacks list."
            )
        if shows and not bars:
            own.append(TQDMProgressBar())
        tables = [type(one) for one in own if isinstance(one, ModelSummary)]
        if sums_up and tables:
            info(
                f"Trainer already configured with model summary callbacks: {tables}. Skipping "
                "setting a default `ModelSummary` callback."
            )
        elif sums_up:
            own.append(ModelSummary())
        own.sort(key=lambda one: isinstance(one, Checkpoint))

    def _chosen_loggers(self, logger: Any) -> list[Any]:
        if logger is None or logger is True:
            return [CSVLogger(self.default_root_dir)]
        return [] if logger is False else listed(logger, Logger, "logger")

    def _set_stages(
        self, fast: Any, limits: dict[str, Any], overfit: Any, interval: Any, every: Any,
        sanity: Any,
    ) -> None:  # fmt: skip
        """Set how many batches of each stage there are, and when a validation is due."""
        if not isinstance(fast, int) or fast < 0:
            raise MisconfigurationException(
                f"fast_dev_run={fast!r} is not a valid configuration. It should be >= 0."
            )
        if every is not None and (not isinstance(every, int) or every < 1):
            raise MisconfigurationException(
                f"`check_val_every_n_epoch` should be an integer of at least 1, found {every!r}."
            )
        if every is None and isinstance(interval, float):
            raise MisconfigurationException(
                "`val_check_interval` should be an integer when `check_val_every_n_epoch=None`, "
                f"found {interval!r}."
            )
        self.fast_dev_run: bool | int = True if fast == 1 else fast
        self.overfit_batches = limit(overfit, "overfit_batches")
        chosen = {name: limit(value, f"limit_{name}_batches") for name, value in limits.items()}
        self.val_check_interval = limit(interval, "val_check_interval")
        self.check_val_every_n_epoch = every
        self.num_sanity_val_steps = math.inf if sanity == -1 else sanity
        if fast:
            count = int(fast)
            chosen = dict.fromkeys(chosen, count)
            self.max_steps, self.max_epochs = count, 1
            self.num_sanity_val_steps, self.val_check_interval = 0, 1.0
            self.check_val_every_n_epoch = 1
            self.loggers = []
            info(
                f"Running in `fast_dev_run` mode: will run the requested loop using {count} "
                "batch(es). Logging and checkpointing is suppressed."
            )
        if self.overfit_batches:
            chosen["train"] = chosen["val"] = self.overfit_batches
        for name, value in chosen.items():
            setattr(self, f"limit_{name}_batches", value)


def check_known(more: dict[str, Any], known: Iterable[str]) -> None:
    for name in more:
        if name not in _WITHOUT_EFFECT:
            names = {*known, *_WITHOUT_EFFECT}
            raise TypeError(
                f"Trainer.__init__() got an unexpected keyword argument {name!r}"
                f"{nearest(name, names - {'self', 'more'})}"
            )


def check_place(accelerator: Any, devices: Any, strategy: Any) -> None:
    """Refuse what is not one CPU."""
    if accelerator not in ("auto", "cpu", None):
        raise ValueError(
            f"accelerator: expected 'auto' or 'cpu', got {describe(accelerator)}; deepc computes "
            "on the CPU"
        )
    if devices not in ("auto", 1, "1", None, [0], -1):
        raise ValueError(
            f"devices: expected 'auto' or 1, got {describe(devices)}; deepc uses its threads "
            "(deepc.set_num_threads) in one process"
        )
    if strategy not in ("auto", None):
        raise ValueError(f"strategy: expected 'auto', got {describe(strategy)}")


def check_gradients(batches: Any, value: Any, algorithm: Any) -> None:
    if not isinstance(batches, int) or isinstance(batches, bool) or batches < 1:
        raise MisconfigurationException(
            f"`accumulate_grad_batches` should be an int of at least 1, found {batches!r}."
        )
    if value is not None and not isinstance(value, (int, float)):
        raise TypeError(f"`gradient_clip_val` should be an int or a float. Got {value}.")
    if algorithm not in (None, "norm", "value"):
        raise MisconfigurationException(
            f"`gradient_clip_algorithm` {algorithm} is invalid. Allowed algorithms: ['value', "
            "'norm']."
        )


def listed(given: Any, kind: type, name: str) -> list[Any]:
    found = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    for one in found:
        if not isinstance(one, kind):
            raise TypeError(
                f"{name}: expected {kind.__name__}s, got {describe(one)}; those of Lightning "
                "itself are not deepc's"
            )
    return found


def limit(value: Any, name: str) -> float:
    """Return a limit, and say what a 1 means where somebody wrote it."""
    if value is None:
        return 1.0
    words = {
        ("limit_train_batches", int): "1 batch per epoch will be used.",
        ("limit_train_batches", float): "100% of the batches per epoch will be used.",
        ("val_check_interval", int): "validation will run after every batch.",
        ("val_check_interval", float): "validation will run at the end of the training epoch.",
    }
    if value == 1 and not isinstance(value, bool):
        whole = isinstance(value, int)
        default = "1 batch will be used." if whole else "100% of the batches will be used."
        text = words.get((name, type(value)), default)
        info(f"`Trainer({name}={value})` was configured so {text}{'' if whole else '.'}")
    return batch_limit(value, name)
