"""What is compiled, and how a change is noticed.

A `Sequential` cuts its layers into runs of built-in ones (`Run`, one compiled network each) and
layers that somebody wrote (`Foreign`). What was derived from the layers, such a plan or the tensors
that an optimizer steps, is good only as long as `structure_version` stays. Four events change it:
a list of layers that is in use is changed; `forward`, `backward`, `params` or `grads` of a built-in
layer or a `Sequential` is replaced, on the object or its class; a built-in layer that exists is
made anew by ``__init__``; a layer is frozen or thawed. Making or copying a network is none of them.
Who asks, in each call: a `Sequential` (forward, backward, what training wants of it) and an
optimizer (step).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from deepc._c.network import FlatteningNetwork, Network, Parts
from deepc._values import Array, any_array, dtype_of

if TYPE_CHECKING:
    from deepc.layers.base import BuiltinLayer, Layer

# ---- How a change is noticed ---------------------------------------------------------------------

# Counts the changes of any layers of this process. A cache keeps the value that it read before it
# was made, and is stale when the value differs.
structure_version = 0
_versions = itertools.count(1)


def note_change() -> None:
    """Make all caches stale, after a change.

    A thread that compiled in the midst of the change finds a value that no other thread drew, and
    compiles again.
    """
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
    # Not by vars(value): once the dictionary was asked for, attributes are found slower. Not by all
    # of a generator: it is asked several times in an epoch, for which a tiny network takes 100 us.
    if not isinstance(value, base):
        return False
    for name in methods:
        if getattr(getattr(value, name), "__func__", None) is not getattr(base, name):
            return False
    return True


# ---- What is compiled ----------------------------------------------------------------------------


class Foreign:
    """A layer inside a `Sequential` that somebody wrote in Python.

    A layer of the library whose forward was overridden may stand in several places: what it
    remembers of a pass is then kept for each place.
    """

    def __init__(self, position: str, layer: Layer) -> None:
        self.position = position
        self.layer = layer
        self.repeats = False
        self.shared: list[Array] = []
        self._remembered: Any = None

    def forward(self, input: Any) -> Any:
        return self._call(self.layer.forward, input)

    def backward(self, gradient: Any) -> Any:
        so_far = [grad.copy() for grad in self.shared]
        result = self._call(self.layer.backward, gradient)
        _add(self.shared, so_far)
        return result

    def _call(self, method: Callable[[Any], Any], value: Any) -> Any:
        layer = cast(Any, self.layer)
        before = layer._exchange(self._remembered) if self.repeats else None
        try:
            return method(value)
        except Exception as error:
            error.add_note(f"in layers[{self.position}], a layer of type {type(layer).__name__}")
            raise
        finally:
            if self.repeats:
                self._remembered = layer._exchange(before)


class Run:
    """Consecutive built-in layers of one dtype inside a `Sequential`.

    `flattens` is None, or the shape of a sample, () where any goes: its input may then have more
    than two dimensions.
    """

    def __init__(self, position: str, flattens: tuple[int, ...] | None = None) -> None:
        self.position = self.last_position = position
        self.flattens = flattens
        self.positions = [position] if flattens is not None else []
        self.layers: list[BuiltinLayer] = []
        self.parts: list[Parts] = []
        self.dtype: np.dtype[Any] | None = None
        # As far as single layers tell.
        self.inputs: int | None = None
        self.outputs: int | None = None
        # Gradients of layers that stand in a later run too: backward has been there already.
        self.shared: list[Array] = []
        self._networks: dict[np.dtype[Any], Network] = {}
        self._last: Network | None = None

    def takes(self, position: str, layer: BuiltinLayer, parts: Parts) -> bool:
        """Add a layer if it can follow."""
        dtype, (inputs, outputs) = parts.dtype, layer._widths
        if self.parts and (
            parts.kind == "embedding" or (dtype and self.dtype not in (None, dtype))
        ):
            return False
        self.layers.append(layer)
        self.parts.append(parts)
        self.positions.append(position)
        self.last_position = position
        self.dtype = self.dtype or dtype
        self.inputs = self.inputs or inputs
        self.outputs = outputs or self.outputs
        return True

    def network(self, dtype: np.dtype[Any]) -> Network:
        network = self._networks.get(dtype)
        if network is None:
            network = self._networks[dtype] = self._make_network(dtype)
        return network

    def _make_network(self, dtype: np.dtype[Any]) -> Network:
        try:
            if self.flattens is None:
                return Network(self.parts, dtype)
            return FlatteningNetwork(self.parts, dtype, self.flattens or None)
        except ValueError as error:
            error.add_note(f"in layers[{self.position}] to layers[{self.last_position}]")
            raise

    def forward(self, input: Any) -> Any:
        array = any_array(input, "input")
        plain = self.flattens is None and array.ndim in (1, 2)
        if plain and self.inputs and array.shape[-1] != self.inputs:
            raise ValueError(
                f"layers[{self.position}]: {self.layers[0]!r} expects {self.inputs} inputs, "
                f"but got {array.shape[-1]}"
            )
        dtype = self.dtype or dtype_of(input, "input")
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
        _add(self.shared, so_far)
        return result


class Plan:
    """What a `Sequential` made of its layers. It is replaced as a whole, never changed.

    `made_of` holds the parts of built-in layers, other layers themselves; `only` is the network if
    all is one; `repeats` says that the `Sequential` itself stands in several places. (A class with
    slots, because a named tuple's fields are found slower.)
    """

    __slots__ = ("made_of", "only", "over_tensors", "repeats", "runs", "version")

    def __init__(
        self,
        version: int,
        made_of: list[Any],
        runs: list[Run | Foreign],
        only: Network | None,
        repeats: bool,
    ) -> None:
        self.version, self.made_of, self.runs, self.only = version, made_of, runs, only
        self.repeats = repeats
        self.over_tensors: list[Any] | None = None  # made when one comes

    def at(self, version: int) -> Plan:
        """Return the same plan, good for another version."""
        return Plan(version, self.made_of, self.runs, self.only, self.repeats)


def make_plan(version: int, flat: Iterable[tuple[str, Layer, Any]], repeats: bool = False) -> Plan:
    """Cut layers, given with position and what they are made of, into runs.

    What a layer is made of is Parts for a built-in one, the shape of its samples for one that only
    flattens, None for any other.
    """
    runs: list[Run | Foreign] = []
    made_of: list[Any] = []
    flattening: tuple[str, Layer, tuple[int, ...]] | None = None
    for position, layer, what in flat:
        made_of.append(what if isinstance(what, Parts) else layer)
        last = runs[-1] if runs else None
        if isinstance(what, tuple) and not isinstance(what, Parts):
            if isinstance(last, Run):  # whose output is flat
                last.positions.append(position)
                continue
            if flattening is not None:
                runs.append(Foreign(*flattening[:2]))
            flattening = (position, layer, what)
            continue
        if not isinstance(what, Parts):
            if flattening is not None:
                runs.append(Foreign(*flattening[:2]))
            runs.append(Foreign(position, layer))
        else:
            builtin = cast("BuiltinLayer", layer)
            if flattening is not None or not isinstance(last, Run):
                last = Run(*((flattening[0], flattening[2]) if flattening else (position,)))
                runs.append(last)
            if not last.takes(position, builtin, what):
                last = Run(position)
                last.takes(position, builtin, what)
                runs.append(last)
        flattening = None
    if flattening is not None:
        runs.append(Foreign(*flattening[:2]))
    _add_up(runs, repeats)
    single = runs[0] if len(runs) == 1 and isinstance(runs[0], Run) else None
    only = single.network(single.dtype) if single and single.dtype else None
    return Plan(version, made_of, runs, only, repeats)


def _add_up(runs: list[Run | Foreign], repeats: bool) -> None:
    """Tell each run which gradients of its layers a later run computes too."""
    later: set[int] = set()
    layers = [run.layer for run in runs if isinstance(run, Foreign)]
    for run in reversed(runs):
        if isinstance(run, Run):
            holders: list[Any] = list(run.layers)
        elif hasattr(run.layer, "_exchange"):  # a layer of the library with a method of its own
            run.repeats = repeats or sum(layer is run.layer for layer in layers) > 1
            holders = [run.layer]
        else:
            continue
        grads = {
            id(grad): grad
            for layer in holders
            for grad in layer.grads()
            if isinstance(grad, np.ndarray)
        }
        run.shared = [grad for key, grad in grads.items() if key in later]
        later |= grads.keys()


def _add(grads: list[Array], so_far: list[Array]) -> None:
    for grad, later in zip(grads, so_far, strict=True):
        grad += later
