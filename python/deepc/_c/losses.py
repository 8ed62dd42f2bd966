"""The losses as the library lists them: their numbers, known here by name only."""

from __future__ import annotations

from typing import NamedTuple, cast

import deepc._deepc as _deepc
from deepc._deepc import ffi, lib


class LossFacts(NamedTuple):
    """What the library knows of a loss beside its formula."""

    number: int
    parameter: str  # the name of its parameter, "" if it has none
    default: float  # the parameter where none is given
    least: float  # the smallest that makes sense
    takes_labels: bool  # whether class numbers may stand for targets
    takes_smoothing: bool  # whether targets are probabilities, which may be smoothed
    is_rowwise: bool  # whether a row's loss is more than the sum of its elements'


def _listed() -> dict[str, LossFacts]:
    losses: dict[str, LossFacts] = {}
    while (name := lib.dc_loss_name(number := len(losses))) != ffi.NULL:
        losses[ffi.string(name).decode()] = LossFacts(
            number,
            ffi.string(lib.dc_loss_parameter(number)).decode(),
            lib.dc_loss_default(number),
            lib.dc_loss_least(number),
            bool(lib.dc_loss_takes_labels(number)),
            bool(lib.dc_loss_takes_smoothing(number)),
            bool(lib.dc_loss_is_rowwise(number)),
        )
    return losses


LOSSES = _listed()

# What becomes of the losses of the rows.
REDUCTIONS = {
    "sum": cast(int, lib.DC_SUM),
    "mean": cast(int, lib.DC_MEAN_OF_ROWS),
    "mean_of_elements": cast(int, lib.DC_MEAN_OF_ELEMENTS),
    "mean_by_weight": cast(int, lib.DC_MEAN_BY_WEIGHT),
}

# A number of LOSSES, one of REDUCTIONS, parameter, smoothing.
Rule = tuple[int, int, float, float]

# All take (rule, predicted, actual, weights): see csrc/python/arrays_api.h.
loss_of_arrays = _deepc.loss
loss_gradient_of_arrays = _deepc.loss_gradient
loss_and_gradient_of_arrays = _deepc.loss_and_gradient
loss_rows_of_arrays = _deepc.loss_rows
