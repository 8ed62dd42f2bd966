"""The file of `BackupAndRestore`: the engine's checkpoint, written by its batches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deepc.shipping.checkpoint import CheckpointFile

if TYPE_CHECKING:
    from deepc.keras.callbacks import BackupAndRestore

__all__ = ["Backup"]


class Backup(CheckpointFile):
    """The file of a backup, written after so many batches."""

    name = "training.safetensors"

    def __init__(self, callback: BackupAndRestore) -> None:
        super().__init__(os.path.join(callback.backup_dir, self.name), "epoch")
        self._callback = callback

    def is_due(self, at_end_of_epoch: bool) -> bool:
        each = self._callback.save_freq
        if each != "epoch" and self._callback._batches >= each:
            self._callback._batches = 0
            return True
        return at_end_of_epoch
