"""What a model consists of: a table of its layers, sizes and work."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc.layers import Layer, Linear
from deepc.layers.sequential import all_layers
from deepc.training.data import check_model

__all__ = ["summary"]


def summary(model: Layer) -> str:
    """Return a table of a model's layers: outputs, parameters, bytes, multiply-adds for a sample.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.

    Examples
    --------
    >>> import deepc
    >>> print(summary(deepc.Sequential([deepc.Linear(2, 3), deepc.Tanh(), deepc.Linear(3, 1)])))
    layer         outputs  parameters  bytes  multiply-adds
    Linear(2, 3)        3           9     36              6
    Tanh()              3           0      0              0
    Linear(3, 1)        1           4     16              3
    total               1          13     52              9
    """
    check_model(model)
    layers: list[Any] = [one for one in all_layers(model) if not hasattr(one, "layers")]
    rows = [("layer", "outputs", "parameters", "bytes", "multiply-adds")]
    width: int | None = None
    totals = [0, 0, 0]
    for layer in layers:
        width = getattr(layer, "_widths", (None, None))[1] or width
        arrays = [np.asarray(array) for array in layer.params()]
        work = layer.input_dim * layer.output_dim if isinstance(layer, Linear) else 0
        numbers = [sum(a.size for a in arrays), sum(a.nbytes for a in arrays), work]
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        rows.append((repr(layer), str(width or "?"), *(f"{n:,}" for n in numbers)))  # type: ignore[arg-type]
    rows.append(("total", str(width or "?"), *(f"{n:,}" for n in totals)))  # type: ignore[arg-type]
    sizes = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join([f"{row[0]:{sizes[0]}}", *(f"{row[i]:>{sizes[i]}}" for i in range(1, 5))])
        for row in rows
    )
