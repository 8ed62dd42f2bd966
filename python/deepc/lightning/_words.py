"""How Lightning speaks: lines on standard error, warnings, and its exception."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

__all__ = ["MisconfigurationException", "PossibleUserWarning", "info"]

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
