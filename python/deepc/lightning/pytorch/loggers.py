"""The loggers of lightning.pytorch.loggers."""

from __future__ import annotations

from deepc._values import missing
from deepc.lightning._loggers import CSVLogger, Logger

__all__ = ["CSVLogger", "Logger"]

__getattr__ = missing(
    "deepc.lightning.pytorch.loggers",
    __all__,
    dict.fromkeys(
        ("TensorBoardLogger", "WandbLogger", "MLFlowLogger", "CometLogger", "NeptuneLogger"),
        "CSVLogger",
    ),
)
