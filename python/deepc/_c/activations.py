"""The activations as the library lists them: their numbers, known here by name only."""

from __future__ import annotations

from typing import NamedTuple, cast

import deepc._deepc as _deepc
from deepc._c.library import TYPED, check, pointer
from deepc._deepc import ffi, lib
from deepc._values import Array


class Activation(NamedTuple):
    """What the library knows of an activation beside its formula."""

    number: int
    parameter: str  # the name of its parameter, "" if it has none
    default: float  # the parameter where none is given
    least: float  # the smallest that makes sense
    needs_input: bool  # whether its slope is computed from its input, not its output


def _listed() -> dict[str, Activation]:
    activations: dict[str, Activation] = {}
    while (name := lib.dc_activation_name(number := len(activations))) != ffi.NULL:
        activations[ffi.string(name).decode()] = Activation(
            number,
            ffi.string(lib.dc_activation_parameter(number)).decode(),
            lib.dc_activation_default(number),
            lib.dc_activation_least(number),
            bool(lib.dc_activation_needs_input(number)),
        )
    return activations


ACTIVATIONS = _listed()

# (number, parameter, x, out): see csrc/python/arrays_api.h.
activation_of_array = _deepc.activation


def activation_backward(number: int, parameter: float, kept: Array, d_y: Array, d_x: Array) -> None:
    """Write d_y times the slope to d_x, given what the activation keeps: three arrays alike."""
    status = TYPED[kept.dtype].activation_backward(
        number, parameter, kept.size, pointer(kept), pointer(d_y), pointer(d_x, True)
    )
    check(cast(int, status), "activation_backward")
