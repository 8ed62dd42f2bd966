"""Layers one after the other, and what training asks of a model."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, SupportsIndex, TypeGuard, overload

from deepc._c.network import Network
from deepc._values import Array, describe
from deepc.layers import _plan
from deepc.layers._plan import Foreign, Layers, Run, add_up, computes_with, note_change
from deepc.layers.base import COMPUTES, Hookable, Layer, is_builtin
from deepc.layers.linear import Linear
from deepc.tensor import Tensor

__all__ = ["Sequential", "all_layers", "compiled_network", "has_fixed_parameters", "output_width"]


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

    def __init__(self, layers: Iterable[Layer]) -> None:
        self._version = -1
        self._parts: list[Any] = []
        self._runs: list[Any] = []
        self._only: Network | None = None
        self.layers = layers
        _check_widths(self._flat())

    def __getstate__(self) -> dict[str, Any]:
        compiled = ("_version", "_parts", "_runs", "_only")
        return {k: v for k, v in self.__dict__.items() if k not in compiled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        Sequential.__init__(self, state.pop("_layers"))
        self.__dict__.update(state)

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
        self._layers = _as_layers(layers)
        note_change()

    def _flat(self, *around: Layer) -> Iterator[tuple[str, Layer]]:
        """All layers in order with their positions, those of inner Sequentials too."""
        if any(self is outer for outer in around):
            raise ValueError("layers: a Sequential cannot stand inside itself")
        for i, layer in enumerate(self._layers):
            if _is_plain(layer):
                for position, inner in layer._flat(self, *around):
                    yield f"{i}].layers[{position}", inner
            else:
                yield str(i), layer

    def _refresh(self) -> None:
        """Compile the layers if they are not those that were compiled last."""
        version = _plan.structure_version
        flat = list(self._flat())
        # What a network is made of: a layer of the library that was made anew has another
        # structure, and one that got a hook is no part of a network.
        parts = [layer._structure if is_builtin(layer) else layer for _, layer in flat]
        same = len(parts) == len(self._parts) and all(map(operator.is_, parts, self._parts))
        if self._version < 0 or not same:
            _check_widths(flat)
            runs: list[Any] = []
            for position, layer in flat:
                _check_layer(layer, f"layers[{position}]")
                if not is_builtin(layer):
                    runs.append(Foreign(position, layer))
                elif not (runs and isinstance(runs[-1], Run) and runs[-1].takes(position, layer)):
                    runs.append(Run(position, layer))
            add_up(runs)
            single = runs[0] if len(runs) == 1 and isinstance(runs[0], Run) else None
            self._only = single.network(single.dtype) if single and single.dtype else None
            self._parts, self._runs = parts, runs
        self._version = version

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
        if self._version != _plan.structure_version:
            self._refresh()
        network = self._only
        if network is not None:
            return network.forward(input)
        for run in self._runs:
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
        if self._version != _plan.structure_version:
            self._refresh()
        network = self._only
        if network is not None:
            return network.backward(gradient, input_gradient)
        for run in reversed(self._runs):
            gradient = run.backward(gradient)
        return gradient if input_gradient else None

    def params(self) -> Iterator[Tensor]:
        """Yield the parameters of all layers in order, each layer once."""
        return (param for layer in self._once() for param in layer.params())

    def grads(self) -> Iterator[Tensor]:
        """Yield the gradients in the order of `params`."""
        return (grad for layer in self._once() for grad in layer.grads())

    def _once(self) -> list[Layer]:
        # By identity: a layer that someone has written need not have a hash.
        return list({id(layer): layer for _, layer in self._flat()}.values())


def _as_layers(layers: Iterable[Layer]) -> Layers:
    try:
        new = Layers(layers)
    except TypeError:
        raise TypeError(f"layers: expected a list of layers, got {describe(layers)}") from None
    for i, layer in enumerate(new):
        _check_layer(layer, f"layers[{i}]")
    return new


def _check_layer(layer: Any, name: str) -> None:
    if isinstance(layer, type) or not (hasattr(layer, "forward") and hasattr(layer, "backward")):
        raise TypeError(
            f"{name}: expected a layer with forward and backward, got {describe(layer)}"
        )


def _check_widths(layers: Iterable[tuple[str, Layer]]) -> None:
    """Refuse a layer that cannot take what the one before it gives."""
    given: int | None = None
    for position, layer in layers:
        if not is_builtin(layer):
            given = None  # what somebody wrote may give any width
            continue
        inputs, outputs = layer._widths
        if inputs and given and inputs != given:
            raise ValueError(
                f"layers[{position}]: {layer!r} expects {inputs} inputs, "
                f"but the layer before it gives {given}"
            )
        given = outputs or given


def _is_plain(layer: Any) -> TypeGuard[Sequential]:
    """Whether a layer is nothing but the layers in it."""
    return type(layer) is Sequential and computes_with(layer, Sequential, COMPUTES)


# ---- What training asks of a model ---------------------------------------------------------------


def compiled_network(model: Layer) -> Network | None:
    """Return the network that a model is compiled into, None if part of it is Python."""
    if _is_plain(model):
        if model._version != _plan.structure_version:
            model._refresh()
        return model._only
    if is_builtin(model) and (dtype := model._dtype):
        return model._network(dtype)
    return None


def output_width(model: Layer) -> int | None:
    """Return how many outputs a model has, None if that is known to Python code only."""
    if _is_plain(model):
        if model._version != _plan.structure_version:
            model._refresh()
        last = model._runs[-1] if model._runs else None
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


def has_fixed_parameters(model: Layer) -> bool:
    """Whether parameters and gradients stay in the same memory while the layers stay."""
    cls = type(model)
    if isinstance(model, Sequential):
        own = cls.params is Sequential.params and cls.grads is Sequential.grads
        return own and all(has_fixed_parameters(layer) for _, layer in model._flat())
    methods: Any = (getattr(cls, "params", None), getattr(cls, "grads", None))
    return methods in ((Linear.params, Linear.grads), (Layer.params, Layer.grads))
