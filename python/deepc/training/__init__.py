"""Training: the one engine, and what it needs.

The package can be called, as what its name says: ``with deepc.training(model, False)`` puts the
layers of a model into evaluation for a block. `deepc.training.evaluate.training` is the function.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any


class _Training(ModuleType):
    """The package, which `deepc.training(model, mode)` calls."""

    def __call__(self, model: Any, mode: bool = True) -> AbstractContextManager[None]:
        from deepc.training.evaluate import training

        return training(model, mode)


sys.modules[__name__].__class__ = _Training
