"""Update rules of the library and the tensors that one step updates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from deepc._c.library import TYPED, flat, pointer
from deepc._deepc import ffi, lib
from deepc._values import Array


def _rules() -> dict[str, int]:
    rules: dict[str, int] = {}
    while (name := lib.dc_rule_name(len(rules))) != ffi.NULL:
        rules[ffi.string(name).decode()] = len(rules)
    return rules


# The update rules of the library by name.
RULES = _rules()
# What is known of a rule beside its tensors: its settings and how far it has come.
NUMBERS = tuple(name for name, _ in ffi.typeof("dc_optimizer").fields if name != "rule")


def new_optimizer(rule: str) -> Any:
    """Return the numbers of an update rule, a ``dc_optimizer``."""
    optimizer = ffi.new("dc_optimizer *")
    optimizer.rule = RULES[rule]
    return optimizer


class Tensors:
    """The tensors that one optimizer step updates, as the library takes them.

    Each row is (gradient, parameter, states): arrays of one dtype and one memory layout, which this
    object keeps alive; `fields` names what the states are.
    """

    __slots__ = ("_keep", "count", "dtype", "pointer", "step")

    def __init__(
        self,
        optimizer: Any,
        rows: Sequence[tuple[Array, Array, Sequence[Array]]],
        fields: Sequence[str],
    ) -> None:
        self.dtype = rows[0][1].dtype
        self.count = len(rows)
        typed = TYPED[self.dtype]
        self.pointer = ffi.new(f"dc_tensor_{typed.suffix}[]", self.count)
        self._keep: list[Any] = []
        for tensor, (gradient, parameter, states) in zip(self.pointer, rows, strict=True):
            tensor.size = parameter.size
            arrays = {
                "gradient": gradient,
                "parameter": parameter,
                **dict(zip(fields, states, strict=True)),
            }
            for field, array in arrays.items():
                address = pointer(flat(array), field != "gradient")
                setattr(tensor, field, address)
                self._keep.append(address)
        # One step of an optimizer, a status: what is known beforehand stands in it already.
        self.step = partial(typed.optimizer_step, optimizer, self.count, self.pointer)
