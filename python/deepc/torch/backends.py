"""torch.backends: what there could be beside the CPU; code that asks hears that there is none."""

from __future__ import annotations

__all__ = ["cudnn", "mps"]


class _Backend:
    """A backend that is not there; its switches may be set."""

    def is_available(self) -> bool:
        """Return False."""
        return False

    is_built = is_available


cudnn, mps, cuda, mkldnn = _Backend(), _Backend(), _Backend(), _Backend()
