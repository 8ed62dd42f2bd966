"""Update rules of the library and the tensors that one step updates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.library import TYPED, check, flat
from deepc._deepc import ffi, lib
from deepc._values import Array

CLIPS = {
    "clip_value": lib.DC_CLIP_VALUE,
    "clip_norm": lib.DC_CLIP_NORM,
    "global_clip_norm": lib.DC_CLIP_GLOBAL_NORM,
}
NOT_TAKEN, BAD_VALUE = lib.DC_NOT_TAKEN, lib.DC_BAD_VALUE


def _rules() -> dict[str, int]:
    rules: dict[str, int] = {}
    while (name := lib.dc_rule_name(len(rules))) != ffi.NULL:
        rules[ffi.string(name).decode()] = len(rules)
    return rules


# The update rules of the library by name.
RULES = _rules()
# What is known of a rule beside its tensors: its settings and how far it has come.
NUMBERS = tuple(name for name, _ in ffi.typeof("dc_optimizer").fields if name != "rule")
# The tensors that a rule may keep beside each parameter, in the order of dc_optimizer_states.
STATES = ("first", "second", "third", "accumulated", "average")


def new_optimizer(rule: str) -> Any:
    """Return the numbers of an update rule, a ``dc_optimizer``."""
    optimizer = ffi.new("dc_optimizer *")
    optimizer.rule = RULES[rule]
    return optimizer


def copy_numbers(optimizer: Any) -> Any:
    """Return a ``dc_optimizer`` with the same numbers."""
    return ffi.new("dc_optimizer *", optimizer[0])


def states_of(optimizer: Any) -> tuple[str, ...]:
    """Return which tensors a rule with these settings keeps beside each parameter."""
    needed = lib.dc_optimizer_states(optimizer)
    return tuple(name for i, name in enumerate(STATES) if needed >> i & 1)


class StepTensors:
    """The tensors that one optimizer step updates, as the library takes them.

    Each row is (gradient, parameter, states): arrays of one dtype and one memory layout, which this
    object keeps alive; `fields` names what the states are. What an array says of itself may be
    wrong; what counts is the memory that it has. `leaves`: those of the tape over the same arrays.
    """

    __slots__ = ("_keep", "count", "dtype", "grads", "params", "pointer", "step", "step_of")

    def __init__(
        self,
        optimizer: Any,
        rows: Sequence[tuple[Array, Array, Sequence[Array]]],
        fields: Sequence[str],
        dtype: np.dtype[Any],
        no_decay: Sequence[bool] = (),
        leaves: Sequence[Any] = (),
    ) -> None:
        self.dtype = dtype
        self.count = len(rows)
        self.params = tuple(row[1] for row in rows)
        self.grads = tuple(row[0] for row in rows)
        typed = TYPED[self.dtype]
        self.pointer = ffi.new(f"dc_tensor_{typed.suffix}[]", self.count)
        self._keep: list[Any] = [optimizer]
        for tensor, (gradient, parameter, states) in zip(self.pointer, rows, strict=True):
            arrays = {
                "gradient": gradient,
                "parameter": parameter,
                **dict(zip(fields, states, strict=True)),
            }
            for field, array in arrays.items():
                memory = ffi.from_buffer(typed.ctype, flat(array), field != "gradient")
                tensor.size = tensor.size or len(memory)
                if array.dtype != dtype or len(memory) != tensor.size:
                    raise ValueError(
                        f"{field}: expected {tensor.size} numbers of {dtype}, "
                        f"got {len(memory)} of {array.dtype}"
                    )
                setattr(tensor, field, memory)
                self._keep.append(memory)
        for tensor, off in zip(self.pointer, no_decay, strict=False):
            tensor.no_decay = off
        addresses = [int(ffi.cast("uintptr_t", x)) for x in (optimizer, self.pointer)]
        # One step of an optimizer, a status: what is known beforehand stands in it already. step_of
        # takes the parameters and gradients that somebody says are still these; as many as here.
        step = getattr(_deepc, f"step_{typed.suffix}")
        self.step_of: partial[int] = partial(step, *addresses, list(leaves))
        self.step: partial[int] = partial(self.step_of, self.params, None)
        # They know addresses only, and are called also where nobody else holds this object.
        for function in (self.step_of, self.step):
            vars(function)["memory"] = (self._keep, self.pointer)

    def frozen(self) -> int | None:
        """Return which parameter has become read-only, None if none has."""
        for i, p in enumerate(self.params):
            if not p.flags.writeable:
                return i
        return None


def clip_arrays(arrays: Sequence[Array], kind: str, limit: float, epsilon: float) -> float:
    """Clip arrays of one dtype in place, as one gradient each; return the norm of all before."""
    if not arrays:
        return 0.0
    typed = TYPED[arrays[0].dtype]
    memory = [ffi.from_buffer(typed.ctype, flat(array), True) for array in arrays]
    pointers = ffi.new(f"{typed.pointer.item.cname} *[]", memory)
    sizes = ffi.new("size_t[]", [len(one) for one in memory])
    norm = ffi.new("double *")
    number = CLIPS[kind]
    check(typed.clip_arrays(number, limit, epsilon, len(memory), sizes, pointers, norm), kind)
    return cast(float, norm[0])
