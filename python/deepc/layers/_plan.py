"""What is compiled, and how a change is noticed.

A `Sequential` cuts its layers into runs of built-in ones (`Run`, one compiled network each) and
layers that somebody wrote (`Foreign`). What was derived from the layers, such a plan or the tensors
that an optimizer steps, is good only as long as `structure_version` stays. Three events change it:
a list of layers is changed, a method of a layer is replaced by a function of its own, a built-in
layer that exists is made anew by ``__init__``. Who asks, in each call: a `Sequential` (forward,
backward, what training wants of it) and an optimizer (step).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from deepc._c.network import Network
from deepc._values import Array, any_array, as_array

if TYPE_CHECKING:
    from deepc.layers.base import BuiltinLayer, Layer

# ---- How a change is noticed ---------------------------------------------------------------------

# Numbers the changes made so far to any layers of this process; whoever looks takes the number
# first, so that a change meanwhile is seen at the next look.
structure_version = 0
_versions = itertools.count(1)


def note_change() -> None:
    # After the change, and a number that no other thread draws: who looks in between will look
    # again.
    global structure_version
    structure_version = next(_versions)


def noticed(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def change(self: list[Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            note_change()

    return change


class Layers(list["Layer"]):
    """A list of layers whose changes are noticed."""


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
              "__delitem__", "__iadd__", "__imul__", "__setitem__"):  # fmt: skip
    setattr(Layers, _name, noticed(getattr(list, _name)))


def computes_with(value: Any, base: type, methods: tuple[str, ...]) -> bool:
    """Whether an object has the methods of a class of the library, not a subclass's or its own."""
    return isinstance(value, base) and all(
        getattr(type(value), name) is getattr(base, name) and name not in vars(value)
        for name in methods
    )


# ---- What is compiled ----------------------------------------------------------------------------


class Foreign:
    """A layer inside a `Sequential` that somebody wrote in Python."""

    def __init__(self, position: str, layer: Layer) -> None:
        self.position = position
        self.layer = layer

    def forward(self, input: Any) -> Any:
        try:
            return self.layer.forward(input)
        except Exception as error:
            self._say_where(error)
            raise

    def backward(self, gradient: Any) -> Any:
        try:
            return self.layer.backward(gradient)
        except Exception as error:
            self._say_where(error)
            raise

    def _say_where(self, error: Exception) -> None:
        error.add_note(f"in layers[{self.position}], a layer of type {type(self.layer).__name__}")


class Run:
    """Consecutive built-in layers of one dtype inside a `Sequential`."""

    def __init__(self, position: str, layer: BuiltinLayer) -> None:
        self.position = position
        self.layers = [layer]
        self.dtype = layer._dtype
        self.last_position = position
        self.inputs, self.outputs = layer._widths
        # Gradients of layers that stand in a later run too: backward has been there already.
        self.shared: list[Array] = []
        self._networks: dict[np.dtype[Any], Network] = {}
        self._last: Network | None = None

    def takes(self, position: str, layer: BuiltinLayer) -> bool:
        """Add a layer if it can follow."""
        dtype, (inputs, outputs) = layer._dtype, layer._widths
        if dtype and self.dtype and dtype != self.dtype:
            return False
        self.layers.append(layer)
        self.last_position = position
        self.dtype = self.dtype or dtype
        self.inputs = self.inputs or inputs
        self.outputs = outputs or self.outputs
        return True

    def network(self, dtype: np.dtype[Any]) -> Network:
        network = self._networks.get(dtype)
        if network is None:
            network = Network(self.layers, dtype)
            self._networks[dtype] = network
        return network

    def forward(self, input: Any) -> Any:
        array = any_array(input, "input")
        if self.inputs and array.ndim in (1, 2) and array.shape[-1] != self.inputs:
            raise ValueError(
                f"layers[{self.position}]: {self.layers[0]!r} expects {self.inputs} inputs, "
                f"but got {array.shape[-1]}"
            )
        dtype = self.dtype or as_array(array, "input").dtype
        self._last = network = self.network(dtype)
        return network.forward(input)

    def backward(self, gradient: Any) -> Any:
        if self._last is None:
            raise RuntimeError("backward: call forward first")
        so_far = [grad.copy() for grad in self.shared]
        try:
            result = self._last.backward(gradient)
        except ValueError as error:
            error.add_note(f"at the output of layers[{self.last_position}]")
            raise
        for grad, later in zip(self.shared, so_far, strict=True):
            grad += later
        return result


def add_up(runs: list[Any]) -> None:
    """Tell each run which of its layers stand in a later run too."""
    later: set[int] = set()
    for run in reversed(runs):
        if isinstance(run, Run):
            layers = {id(layer): layer for layer in run.layers}
            run.shared = [
                cast(Array, grad)
                for key, layer in layers.items()
                if key in later
                for grad in layer.grads()
            ]
            later |= layers.keys()
