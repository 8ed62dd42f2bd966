"""The callbacks of lightning.pytorch.callbacks."""

from __future__ import annotations

from deepc._values import missing
from deepc.lightning._callback import Callback, LambdaCallback
from deepc.lightning._checkpoint import Checkpoint, ModelCheckpoint
from deepc.lightning._monitors import (
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelSummary,
)
from deepc.lightning._progress import ProgressBar, TQDMProgressBar
from deepc.lightning._stopping import EarlyStopping, Timer

__all__ = [
    "Callback", "Checkpoint", "EarlyStopping", "GradientAccumulationScheduler", "LambdaCallback",
    "LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "ProgressBar", "TQDMProgressBar",
    "Timer",
]  # fmt: skip

__getattr__ = missing(
    "deepc.lightning.pytorch.callbacks",
    __all__,
    {
        "RichProgressBar": "TQDMProgressBar", "RichModelSummary": "ModelSummary",
        "BaseFinetuning": "LightningModule.freeze",
        "OnExceptionCheckpoint": "ModelCheckpoint(save_on_exception=True)",
    },
)  # fmt: skip
