"""What of lightning.pytorch.utilities programs use."""

from __future__ import annotations

from deepc._values import missing
from deepc.lightning._tables import ModelSummary
from deepc.lightning._words import MisconfigurationException, PossibleUserWarning

__all__ = ["MisconfigurationException", "ModelSummary", "PossibleUserWarning"]

__getattr__ = missing("deepc.lightning.pytorch.utilities", __all__)
