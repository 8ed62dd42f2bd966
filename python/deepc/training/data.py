"""What a model is trained on: samples, and targets or labels, checked before anything changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepc._c.arrays import array_sum
from deepc._values import Array, any_array, as_array
from deepc.losses import BuiltinLoss, Loss, as_labels, check_labels


def finite(array: Array, name: str) -> Array:
    """Return an array; refuse one that holds NaN or an infinity, and say where."""
    # The sum is one pass at memory speed; only if it is odd is it worth looking for the place.
    if not math.isfinite(array_sum(array)) and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}: expected finite numbers that {array.dtype} can hold, "
            f"got {array[place]} at {place}"
        )
    return array


def check_targets(
    y: Any, x: Array, outputs: int | None, loss: Loss
) -> tuple[Array | None, Array | None]:
    """Return targets or labels, checked; the other one is None."""
    given = any_array(y, "y")
    if not isinstance(loss, BuiltinLoss) and given.shape != (len(x), outputs or -1):
        if given.ndim == 0 or len(given) != len(x):
            raise ValueError(f"y: expected {len(x)} rows as in x, got shape {given.shape}")
        return given, None
    if given.ndim == 1 and isinstance(loss, BuiltinLoss) and loss.takes_labels:
        shape = (len(x), outputs if outputs else int(np.iinfo(np.int64).max))
        labels = as_labels(given, shape, "y")
        check_labels(given, shape[-1], "y")
        return None, labels
    targets = finite(as_array(given, "y", x.dtype), "y")
    if targets.ndim == 1 and outputs in (1, None):
        targets = targets[:, None]
    if targets.ndim != 2 or (outputs and targets.shape[1] != outputs):
        raise ValueError(
            f"y: expected shape ({len(x)}, {outputs or 'outputs'}), got {targets.shape}"
        )
    if len(targets) != len(x):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(targets)}")
    return targets, None
