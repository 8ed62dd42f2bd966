"""torch.cuda: there is none, and code that asks hears so."""

from __future__ import annotations

from deepc._values import missing

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed_all", "synchronize"]


def is_available() -> bool:
    """Return False."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no device."""


manual_seed = manual_seed_all


def synchronize() -> None:
    """Do nothing: calls return when they are done."""


def empty_cache() -> None:
    """Do nothing."""


__getattr__ = missing("deepc.torch.cuda", __all__, {"amp": "float32", "Stream": "the CPU"})
