"""Layers one after the other, and what training asks of a model."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, SupportsIndex, TypeGuard, cast, overload

from deepc._c.network import Network, Parts
from deepc._values import Array, as_bool, check_part, describe
from deepc.layers import _plan
from deepc.layers._plan import Layers, Plan, Run, computes_with, make_plan, note_change
from deepc.layers.base import COMPUTES, HOLDS, BuiltinLayer, Hookable, Layer, is_builtin
from deepc.layers.rowwise import Flatten
from deepc.tensor import Tensor

__all__ = [
    "Sequential",
    "all_layers",
    "all_tensors",
    "compiled_network",
    "has_fixed_parameters",
    "leaves_of",
    "output_width",
    "what_forward_changes",
]


class Sequential(Hookable):
    """Layers one after the other: the output of each is the input of the next.

    Runs of deepc's own layers are compiled into one network each. Layers may be added, replaced or
    removed through `layers` at any time, and one layer may stand in several places; its gradients
    then add up.

    Parameters
    ----------
    layers : iterable of Layer
        Each must take what the one before it gives, as far as their widths are known.

    Attributes
    ----------
    layers : list of Layer

    Examples
    --------
    >>> from deepc import Linear, Sequential, Tanh, shape
    >>> net = Sequential([Linear(2, 3), Tanh(), Linear(3, 1)])
    >>> len(net.forward([0.5, -0.5]))
    1
    >>> [shape(param) for param in net.params()]
    [[3, 2], [3], [1, 3], [1]]
    >>> len(net), net[1]
    (3, Tanh())
    """

    _layers: Layers
    _plan: Plan

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = layers

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_plan"}
        # A plain list: copying one whose changes are noticed would be noticed too.
        return {**state, "_layers": list(self._layers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        layers = state.pop("_layers")
        self.__dict__.update(state)
        self.layers = layers

    @reprlib.recursive_repr("Sequential([...])")
    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self.layers))}])"

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Layer:
        """Return a layer, or for a slice a `Sequential` of the very layers."""
        found = self._layers[index]
        return Sequential(found) if isinstance(found, list) else found

    @property
    def layers(self) -> list[Layer]:
        """The layers; changes are noticed at the next call."""
        return self._layers

    @layers.setter
    def layers(self, layers: Iterable[Layer]) -> None:
        new = _as_layers(layers)
        anew = hasattr(self, "_layers")
        flat = list(_what(_flat(new, self)))
        _check_widths(flat)
        plan = make_plan(_plan.structure_version, flat)
        self._layers, self._plan = new, plan
        if anew:
            note_change()

    def _exchange(self, other: Plan | None) -> Plan:
        """Go on with what was remembered elsewhere, None: with nothing; return what was so far."""
        before = self._plan
        if other is None:
            flat = list(_what(_flat(self._layers, self)))
            other = make_plan(_plan.structure_version, flat, True)
        self._plan = other
        return before

    def _refresh(self) -> Plan:
        """Return the plan for the layers as they are, a new one if they are not those of the old.

        A built-in layer that was made anew has other parts, and one that got a method of its own is
        no part of a network.
        """
        version, plan = _plan.structure_version, self._plan
        flat = list(_what(_flat(self._layers, self)))
        made_of = [what if isinstance(what, Parts) else layer for _, layer, what in flat]
        same = len(made_of) == len(plan.made_of) and all(map(operator.is_, made_of, plan.made_of))
        if not same:
            _check_widths(flat)
        new = plan.at(version) if same else make_plan(version, flat, plan.repeats)
        self._plan = new
        return new

    @overload
    def forward(self, input: list[Any]) -> list[Any]: ...
    @overload
    def forward(self, input: Array) -> Array: ...
    @overload
    def forward(self, input: Any) -> Any: ...
    def forward(self, input: Any) -> Any:
        """Return the output of the last layer for one sample (1-D) or a batch (2-D).

        Parameters
        ----------
        input : list or ndarray
            The sample or batch.

        Returns
        -------
        list or ndarray
            A list for a list, an array for an array.

        Raises
        ------
        ValueError
            If a layer does not take the width of the one before it: the message names its position
            and both numbers.
        """
        plan = self._plan
        if plan.version != _plan.structure_version:
            plan = self._refresh()
        network = plan.only
        if network is not None:
            return network.forward(input)
        for run in plan.runs:
            input = run.forward(input)
        return input

    @overload
    def backward(self, gradient: Any, input_gradient: Literal[False]) -> None: ...
    @overload
    def backward(self, gradient: list[Any], input_gradient: Literal[True] = ...) -> list[Any]: ...
    @overload
    def backward(self, gradient: Array, input_gradient: Literal[True] = ...) -> Array: ...
    @overload
    def backward(self, gradient: Any, input_gradient: bool = ...) -> Any: ...
    def backward(self, gradient: Any, input_gradient: bool = True) -> Any:
        """Carry a gradient back through all layers; store the gradients of the parameters.

        Parameters
        ----------
        gradient : list or ndarray
            The loss's gradient with respect to the last output, of its shape.
        input_gradient : bool, optional
            Whether the gradient of the input is wanted; training does not need it, and without it
            the first layer saves that work and None is returned.

        Returns
        -------
        list or ndarray or None
            The loss's gradient with respect to the last input: a list for a list.

        Raises
        ------
        RuntimeError
            If there was no `forward` before, or a `Dropout` is not training.
        ValueError
            If its shape is not that of the last output.
        """
        plan = self._plan
        if plan.version != _plan.structure_version:
            plan = self._refresh()
        network = plan.only
        if network is not None:
            return network.backward(gradient, input_gradient)
        for run in reversed(plan.runs):
            gradient = run.backward(gradient)
        return gradient if input_gradient else None

    def params(self) -> Iterator[Tensor]:
        """Yield the parameters of all layers in order, each layer once."""
        return (param for layer in self._once() for param in layer.params())

    def grads(self) -> Iterator[Tensor | None]:
        """Yield the gradients in the order of `params`; None for what is frozen."""
        return (grad for layer in self._once() for grad in layer.grads())

    def state(self) -> Iterator[Array]:
        """Yield what belongs to the layers beside their parameters, as the averages of a norm."""
        inner = (getattr(layer, "state", tuple) for layer in self._once())
        return (array for state in inner for array in state())

    @property
    def trainable(self) -> bool:
        """Whether any layer trains; assigning says it to all of them."""
        return any(getattr(layer, "trainable", True) for layer in self._once())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = as_bool(value, "trainable")
        for layer in self._once():
            if hasattr(layer, "trainable"):
                cast(Any, layer).trainable = value

    def current_plan(self) -> Plan | None:
        """Return the plan as the layers are; None if a method was replaced by a user's."""
        if not _is_plain(self):
            return None
        plan = self._plan
        return plan if plan.version == _plan.structure_version else self._refresh()

    def _once(self) -> list[Layer]:
        # By identity: a layer that someone has written need not have a hash.
        return list({id(layer): layer for _, layer in _flat(self._layers, self)}.values())

    def explain(self) -> str:
        """Return, line by line, which layers are compiled into which network, and which are not.

        What is compiled costs one call of the library. A layer is not if it, or one of its methods,
        was written in Python; the line says which. Training is one call an epoch only where all is
        one network.

        Examples
        --------
        >>> from deepc import Layer, Linear, Sequential, Tanh
        >>> class Mine(Tanh):
        ...     def forward(self, input):
        ...         return super().forward(input)
        >>> print(Sequential([Linear(2, 3), Tanh(), Mine(), Linear(3, 1)]).explain())
        layers[0]  Linear(2, 3)  network 1 (float32)
        layers[1]  Tanh()        network 1 (float32)
        layers[2]  Mine()        Python: Mine has a forward of its own
        layers[3]  Linear(3, 1)  network 2 (float32)
        Training goes step by step through Python.
        """
        plan = self._plan
        if plan.version != _plan.structure_version:
            plan = self._refresh()
        where: dict[str, str] = {}
        networks = [run for run in plan.runs if isinstance(run, Run)]
        for number, run in enumerate(networks, 1):
            dtype = "the dtype of its input" if run.dtype is None else str(run.dtype)
            where.update(dict.fromkeys(run.positions, f"network {number} ({dtype})"))
        rows = [
            (f"layers[{position}]", repr(layer), where.get(position) or f"Python: {_why(layer)}")
            for position, layer in _flat(self._layers, self)
        ]
        sizes = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
        lines = [f"{a:{sizes[0]}}  {b:{sizes[1]}}  {c}" for a, b, c in rows]
        how = "is one call an epoch" if plan.only else "goes step by step through Python"
        return "\n".join([*lines, f"Training {how}."])


def _flat(layers: Iterable[Layer], *around: Layer) -> Iterator[tuple[str, Layer]]:
    """All layers in order with their positions, those of inner Sequentials too."""
    for i, layer in enumerate(layers):
        if _is_plain(layer):
            if any(layer is outer for outer in around):
                raise ValueError("layers: a Sequential cannot stand inside itself")
            for position, inner in _flat(layer._layers, layer, *around):
                yield f"{i}].layers[{position}", inner
        else:
            yield str(i), layer


def _what(flat: Iterable[tuple[str, Layer]]) -> Iterator[tuple[str, Layer, Any]]:
    """Add to each layer what a plan makes of it; refuse what is no layer, or cannot stand twice."""
    seen: dict[int, str] = {}
    for position, layer in flat:
        _check_layer(layer, f"layers[{position}]")
        if is_builtin(layer):
            yield position, layer, layer._memory.parts
        elif isinstance(layer, Flatten) and computes_with(layer, Flatten, COMPUTES):
            yield position, layer, layer.sample_shape or ()
        else:
            # What the library remembers of a pass, a plan keeps for each place; what somebody's
            # own backward needs, the second pass of the same layer would overwrite.
            if id(layer) in seen and not _goes_back_by_itself(layer):
                raise ValueError(
                    f"layers[{position}]: the same layer stands at layers[{seen[id(layer)]}], and "
                    f"{_why(layer, 'backward')}, so it remembers one pass only; use two layers"
                )
            seen[id(layer)] = position
            yield position, layer, None


def _check_widths(layers: Iterable[tuple[str, Layer, Any]]) -> None:
    """Refuse a layer that cannot take what the one before it gives."""
    given: int | None = None
    for position, layer, what in layers:
        if not isinstance(what, Parts) or what.kind == "embedding":
            given = None  # what somebody wrote may give any width
            continue
        inputs, outputs = cast(BuiltinLayer, layer)._widths
        if inputs and given and inputs != given:
            raise ValueError(
                f"layers[{position}]: {layer!r} expects {inputs} inputs, "
                f"but the layer before it gives {given}"
            )
        given = outputs or given


def _goes_back_by_itself(layer: Layer) -> bool:
    """Whether it is the library that remembers what a layer's backward needs, if anything is."""
    for cls in (BuiltinLayer, Sequential):
        if isinstance(layer, cls):
            return computes_with(layer, cls, ("backward",))
    return True  # a layer of somebody's own, who knows what it remembers


def _why(layer: Layer, *names: str) -> str:
    """Say why a layer is not compiled, by the methods of these names; all that matter if none."""
    cls: type = Sequential if isinstance(layer, Sequential) else BuiltinLayer
    names = names or ((*COMPUTES, *HOLDS) if cls is Sequential else COMPUTES)
    if not isinstance(layer, cls):
        return f"{type(layer).__name__} is no layer of deepc"
    for name in names:
        if name in vars(layer):
            return f"its {name} was replaced"
        if getattr(type(layer), name) is not getattr(cls, name):
            return f"{type(layer).__name__} has a {name} of its own"
    return "it changes a shape that only Python sees"


def _as_layers(layers: Iterable[Layer]) -> Layers:
    try:
        new = Layers(layers)
    except TypeError:
        raise TypeError(f"layers: expected a list of layers, got {describe(layers)}") from None
    for i, layer in enumerate(new):
        _check_layer(layer, f"layers[{i}]")
    return new


def _check_layer(layer: Any, name: str) -> None:
    check_part(layer, name, "a layer with forward and backward", "forward", "backward")


def _is_plain(layer: Any) -> TypeGuard[Sequential]:
    """Whether a layer is nothing but the layers in it."""
    return computes_with(layer, Sequential, (*COMPUTES, *HOLDS))


# ---- What training asks of a model ---------------------------------------------------------------


def compiled_network(model: Layer) -> Network | None:
    """Return the network that a model is compiled into, None if part of it is Python."""
    if _is_plain(model):
        plan = model._plan
        return (plan if plan.version == _plan.structure_version else model._refresh()).only
    if is_builtin(model):
        memory = model._memory
        return model._network(memory.parts.dtype, memory) if memory.parts.dtype else None
    # A model of another kind that is a chain of layers, over the same arrays.
    chain = getattr(model, "_as_sequential", None)
    return compiled_network(chain()) if callable(chain) else None


def output_width(model: Layer) -> int | None:
    """Return how many outputs a model has, None if that is known to Python code only."""
    network = compiled_network(model)
    if network is not None:
        return network.outputs
    if _is_plain(model):
        last = model._plan.runs[-1] if model._plan.runs else None
        return last.outputs if isinstance(last, Run) else None
    return model._widths[1] if is_builtin(model) else None


def all_layers(model: Layer) -> list[Layer]:
    """Return every layer of a model once, also those inside other layers that hold `layers`."""
    found: dict[int, Layer] = {}

    def visit(layer: Any) -> None:
        if id(layer) not in found:
            found[id(layer)] = layer
            inner = getattr(layer, "layers", None)
            for one in inner if isinstance(inner, (list, tuple)) else ():
                visit(one)

    visit(model)
    return list(found.values())


def all_tensors(model: Any) -> list[Tensor]:
    """Return all that a model has learned: its parameters, then what its layers keep beside."""
    state = getattr(model, "state", None)
    return [*model.params(), *(state() if callable(state) else ())]


def what_forward_changes(model: Layer) -> Callable[[], None]:
    """Return what puts back all that passes of its layers in training change from here on.

    That is how far their random streams are, and the averages of norms.
    """
    layers = [layer for layer in all_layers(model) if isinstance(layer, BuiltinLayer)]
    numbers = [(layer._structure, layer._structure.counter) for layer in layers]
    arrays = [(array, array.copy()) for layer in layers for array in layer.state()]

    def put_back() -> None:
        for structure, counter in numbers:
            structure.counter = counter
        for array, before in arrays:
            array[...] = before

    return put_back


def has_fixed_parameters(model: Layer) -> bool:
    """Whether parameters and gradients stay in the same memory while the layers stay."""
    if isinstance(model, Sequential):
        own = computes_with(model, Sequential, HOLDS)
        return own and all(has_fixed_parameters(layer) for _, layer in _flat(model._layers, model))
    if isinstance(model, BuiltinLayer):
        return computes_with(model, BuiltinLayer, HOLDS)
    return computes_with(model, Layer, HOLDS)


def leaves_of(model: Any) -> list[Any]:
    """Return the tape's leaves over the parameters of a model, as far as there are any."""
    if isinstance(model, Sequential):
        return [leaf for layer in model._once() for leaf in leaves_of(layer)]
    if isinstance(model, BuiltinLayer):
        return list((model._memory.leaves or {}).values())
    leaves = getattr(model, "_leaves", None)
    return list(leaves()) if callable(leaves) else []
