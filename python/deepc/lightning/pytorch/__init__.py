"""The names of lightning.pytorch; also what ``import pytorch_lightning as pl`` has."""

from __future__ import annotations

from deepc._values import missing
from deepc.lightning._callback import Callback
from deepc.lightning._seed import seed_everything
from deepc.lightning.module import LightningDataModule, LightningModule
from deepc.lightning.pytorch import callbacks, loggers, utilities
from deepc.lightning.trainer import Trainer

__all__ = [
    "Callback", "LightningDataModule", "LightningModule", "Trainer", "callbacks", "loggers",
    "seed_everything", "utilities",
]  # fmt: skip

__getattr__ = missing(
    "deepc.lightning.pytorch",
    __all__,
    {
        "cli": "Trainer", "tuner": "Trainer", "strategies": "Trainer", "plugins": "Trainer",
        "profilers": "Python's cProfile",
    },
)  # fmt: skip
