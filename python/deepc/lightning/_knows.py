"""What a Trainer knows: where it is, its metrics, how many batches there are."""

from __future__ import annotations

import math
from typing import Any

from deepc.lightning._checkpoint import Checkpoint
from deepc.lightning._loaders import Loaders
from deepc.lightning._progress import ProgressBar
from deepc.lightning._results import Metrics, as_tensors
from deepc.lightning._stopping import EarlyStopping
from deepc.torch import Tensor

__all__ = ["Knows"]


class Knows:
    """What can be read of a Trainer."""

    lightning_module: Any
    callbacks: list[Any]
    loggers: list[Any]
    default_root_dir: str
    max_epochs: Any
    max_steps: int
    accumulate_grad_batches: int
    num_sanity_val_steps: float
    _metrics: Metrics
    _stage: str
    _entry: str
    _epoch: int
    _global_step: int
    _loaders: dict[str, Loaders]
    _load: Any

    current_epoch = property(lambda self: self._epoch, doc="The number of the epoch, from 0.")
    global_step = property(lambda self: self._global_step, doc="The optimizers' steps so far.")
    model = property(lambda self: self.lightning_module, doc="The module.")
    fitting = property(lambda self: self._entry == "fit", doc="Whether `fit` runs.")
    training = property(lambda self: self._stage == "train", doc="Whether it trains now.")
    validating = property(lambda self: self._stage == "validation", doc="Whether it validates.")
    testing = property(lambda self: self._stage == "test", doc="Whether it tests.")
    predicting = property(lambda self: self._stage == "predict", doc="Whether it predicts.")
    logger = property(lambda self: next(iter(self.loggers), None), doc="The first logger, or None.")
    is_global_zero, world_size, num_devices, num_nodes = True, 1, 1, 1
    global_rank = local_rank = node_rank = 0

    @property
    def evaluating(self) -> bool:
        """Whether it validates or tests."""
        return self._stage in ("validation", "test")

    @property
    def callback_metrics(self) -> dict[str, Any]:
        """What has been logged, as tensors by name."""
        self._metrics.collect()
        found = self._metrics.callback
        found.update(as_tensors({n: v for n, v in found.items() if not isinstance(v, Tensor)}))
        return found

    @property
    def logged_metrics(self) -> dict[str, Any]:
        """What the loggers are given, as tensors by name."""
        self._metrics.collect()
        return as_tensors(
            {n: float(v) if isinstance(v, Tensor) else v for n, v in self._metrics.logged.items()}
        )

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """What the bar shows, as numbers by name."""
        self._metrics.collect()
        return self._metrics.bar

    def _batches(self, stage: str) -> list[float]:
        loaders = self._loaders.get(stage)
        return loaders.batches if loaders else []

    @property
    def num_training_batches(self) -> float:
        """The batches of an epoch, inf where nobody knows."""
        loaders = self._loaders.get("train")
        return loaders.total if loaders else math.inf

    @property
    def num_val_batches(self) -> list[float]:
        """The batches of a validation, by loader."""
        return self._batches("val")

    @property
    def num_sanity_val_batches(self) -> list[float]:
        """The batches of the check before the training, by loader."""
        return [min(self.num_sanity_val_steps, count) for count in self._batches("val")]

    @property
    def num_test_batches(self) -> list[float]:
        """The batches of a test, by loader."""
        return self._batches("test")

    @property
    def num_predict_batches(self) -> list[float]:
        """The batches of a prediction, by loader."""
        return self._batches("predict")

    @property
    def estimated_stepping_batches(self) -> float:
        """The optimizer's steps that the training will have."""
        if self.max_epochs == -1:
            return math.inf if self.max_steps == -1 else self.max_steps
        if "train" not in self._loaders:
            self._load("train")
        steps = self.num_training_batches / self.accumulate_grad_batches
        if math.isinf(steps):
            return steps if self.max_steps == -1 else self.max_steps
        total: int = math.ceil(steps) * max(self.max_epochs, 1)
        return total if self.max_steps == -1 else min(self.max_steps, total)

    @property
    def train_dataloader(self) -> Any:
        """What `fit` trains with."""
        return self._loaders["train"]._form if "train" in self._loaders else None

    @property
    def val_dataloaders(self) -> Any:
        """What validates."""
        return self._loaders["val"]._form if "val" in self._loaders else None

    def _first(self, kind: type) -> Any:
        return next((one for one in self.callbacks if isinstance(one, kind)), None)

    checkpoint_callback = property(lambda self: self._first(Checkpoint), doc="What saves, or None.")
    early_stopping_callback = property(
        lambda self: self._first(EarlyStopping), doc="The first EarlyStopping, or None."
    )
    progress_bar_callback = property(
        lambda self: self._first(ProgressBar), doc="The progress bar, or None."
    )

    @property
    def checkpoint_callbacks(self) -> list[Any]:
        """All that save."""
        return [one for one in self.callbacks if isinstance(one, Checkpoint)]

    @property
    def log_dir(self) -> str | None:
        """The folder of the first logger, or the root."""
        return self.logger.log_dir if self.loggers else self.default_root_dir

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print."""
        print(*args, **kwargs)
