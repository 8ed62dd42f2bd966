"""How Lightning speaks: lines on standard error, warnings, and its exception."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import suppress
from typing import Any

__all__ = ["MisconfigurationException", "PossibleUserWarning", "info", "warn"]

# Where Lightning's users turn its lines off.
_LOGGERS = ("lightning", "lightning.pytorch", "pytorch_lightning")


class MisconfigurationException(Exception):
    """What was asked for contradicts itself, or something it needs is not there."""


class PossibleUserWarning(UserWarning):
    """Something that may well be meant."""


def info(text: str) -> None:
    """Print a line to standard error, unless one of Lightning's loggers is set above INFO."""
    if any(logging.getLogger(name).level > logging.INFO for name in _LOGGERS):
        return
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def warn(text: str, category: Any = UserWarning) -> None:
    """Warn, as coming from whoever called the Trainer."""
    warnings.warn(text, category, stacklevel=_outside())


def _outside() -> int:
    """Return how many frames up the first one outside of this package is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("deepc.lightning"):
        level, frame = level + 1, frame.f_back
    return level
