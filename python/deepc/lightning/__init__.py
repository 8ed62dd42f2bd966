"""Lightning, as far as it is about small dense networks: its hooks, lines and words.

``from deepc.lightning.pytorch import Trainer`` takes the place of ``from lightning.pytorch import
Trainer``. The modules that it trains are those of `deepc.torch`.
"""

from deepc.lightning import pytorch
from deepc.lightning._callback import Callback
from deepc.lightning._seed import seed_everything
from deepc.lightning.module import LightningDataModule, LightningModule
from deepc.lightning.trainer import Trainer

__all__ = [
    "Callback", "LightningDataModule", "LightningModule", "Trainer", "pytorch", "seed_everything",
]  # fmt: skip
