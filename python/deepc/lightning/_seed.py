"""One seed for all random numbers."""

from __future__ import annotations

import os
import random

import numpy as np

from deepc._values import describe, warn
from deepc.lightning._words import info
from deepc.torch import manual_seed

__all__ = ["seed_everything"]

_VARIABLE = "PL_GLOBAL_SEED"
_LARGEST = 2**32 - 1


def seed_everything(seed: int | None = None, workers: bool = False, verbose: bool = True) -> int:
    """Seed Python's, NumPy's and torch's random numbers; return the seed.

    Parameters
    ----------
    seed : int, optional
        If not given, what the variable ``PL_GLOBAL_SEED`` says, else 0.
    workers : bool, optional
        Accepted; loaders have no workers.
    verbose : bool, optional
        Print the seed to standard error.

    Examples
    --------
    >>> seed_everything(42, verbose=False)
    42
    """
    if seed is None:
        given = os.environ.get(_VARIABLE)
        if given is None:
            seed = 0
            if verbose:
                warn(f"No seed found, seed set to {seed}")
        elif given.isdigit():
            seed = int(given)
        else:
            raise ValueError(f"Invalid seed specified via {_VARIABLE}: {given!r}")
    if isinstance(seed, bool) or not hasattr(seed, "__int__"):
        raise TypeError(f"seed: expected an int, got {describe(seed)}")
    seed = int(seed)
    if not 0 <= seed <= _LARGEST:
        raise ValueError(f"{seed} is not in bounds, numpy accepts from 0 to {_LARGEST}")
    if verbose:
        info(f"Seed set to {seed}")
    os.environ[_VARIABLE] = str(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    manual_seed(seed)
    return seed
