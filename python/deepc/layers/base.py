"""What every layer is, what the built-in ones share, and how one notices a replaced method."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeGuard, cast, overload

import numpy as np

from deepc._c import tape
from deepc._c.arrays import aligned_zeros_like
from deepc._c.network import Network, Parts, make_parts
from deepc._values import (
    Array,
    as_array,
    as_bool,
    as_dtype,
    dtype_of,
)
from deepc.layers._plan import computes_with, note_change
from deepc.tensor import Tensor

__all__ = ["BuiltinLayer", "Hookable", "Layer", "ParameterArray", "TwoModes", "is_builtin"]

# The methods that decide what a layer computes, and those that say what of it trains.
COMPUTES = ("forward", "backward")
HOLDS = ("params", "grads")


class Layer:
    """Something that computes outputs from inputs and carries gradients back.

    Subclass it and define `forward` and `backward`; also `params` and `grads` if it has parameters
    to train. Tensors may be lists of floats or arrays: what a layer is given in `forward` is what
    the layer before it returned.

    Examples
    --------
    >>> from deepc import Layer, Linear, Sequential
    >>> class Double(Layer):
    ...     def forward(self, input):
    ...         return [2 * x for x in input]
    ...     def backward(self, gradient):
    ...         return [2 * g for g in gradient]
    >>> Sequential([Double(), Double()]).forward([1.0, 2.0])
    [4.0, 8.0]
    """

    def forward(self, input: Any) -> Any:
        """Return the output for `input`; keep what `backward` will need."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, gradient: Any) -> Any:
        """From the loss's gradient at the last output, return the one at the last input.

        Gradients of parameters are stored for `grads`.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def params(self) -> Iterable[Tensor]:
        """Return the parameters; an optimizer changes them in place."""
        return ()

    def grads(self) -> Iterable[Tensor | None]:
        """Return the gradients of the parameters, in the order of `params`.

        None stands for a parameter that is not to be changed.
        """
        return ()

    def __call__(self, input: Any) -> Any:
        """Return ``forward(input)``; for a Tensor of `deepc.autodiff` a Tensor with its history."""
        if isinstance(input, tape.Node):
            return tape.bridges["layer"](self, input)
        return self.forward(input)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Noticed(ABCMeta):
    """A class of which it is noticed when one of the methods that decide is replaced.

    An abstract class's class, so that subclasses may be abstract too.
    """

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in COMPUTES or name in HOLDS:
            note_change()

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        if name in COMPUTES or name in HOLDS:
            note_change()


class Hookable(Layer, metaclass=_Noticed):
    """A layer of which it is noticed when one of its methods is replaced by a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in COMPUTES or name in HOLDS:
            note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in COMPUTES or name in HOLDS:
            note_change()


class ParameterArray:
    """An attribute of a built-in layer: one of its parameters; ``<name>_grad``: its gradient.

    Assigning copies into the same memory.
    """

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._parameter = name.removesuffix("_grad")

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: BuiltinLayer, owner: type) -> Array: ...
    def __get__(self, layer: BuiltinLayer | None, owner: type) -> Self | Array:
        if layer is None:
            return self
        parameter = layer._memory.parts.parameters.get(layer._c_names[self._parameter])
        if parameter is None:
            raise AttributeError(f"{self._name}: {layer!r} has no such parameter")
        array = parameter.value if self._name == self._parameter else parameter.gradient
        return cast(Array, array)

    def __set__(self, layer: BuiltinLayer, value: Tensor) -> None:
        array = self.__get__(layer, type(layer))
        new = as_array(value, self._name, array.dtype)
        if new.shape != array.shape:
            raise ValueError(f"{self._name}: expected shape {array.shape}, got {new.shape}")
        array[...] = new


class _Memory:
    """All that a built-in layer holds of C's. One attribute, so that no copy can forget a part."""

    __slots__ = ("idle", "last", "leaves", "networks", "over_tensors", "parts")

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.networks: dict[np.dtype[Any], Network] = {}
        self.last: Network | None = None
        # Of the tape: the parameters as its leaves; networks whose last pass nobody needs.
        self.leaves: dict[str, Any] | None = None
        self.idle: dict[np.dtype[Any], list[Network]] = {}
        self.over_tensors: tuple[int, Any] = (-1, None)  # version, what to do with a Tensor


class BuiltinLayer(Hookable):
    """A layer of the library, of one of its kinds. By itself it is a network of one layer."""

    _kind: str
    _activation: str | None = None
    # What users call its parameters, in order, and what C does; then the same of arrays that belong
    # to it but are not trained.
    _c_params: ClassVar[dict[str, str]] = {}
    _c_state: ClassVar[dict[str, str]] = {}
    _c_names: ClassVar[dict[str, str]] = {}

    _memory: _Memory
    _trainable = True
    _frozen: frozenset[str] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._c_names = {**cls._c_params, **cls._c_state}

    def __init__(self) -> None:
        self._make({})

    def _make(
        self, arrays: Mapping[str, Array | None], dtype: np.dtype[Any] | None = None, **numbers: Any
    ) -> None:
        """Make the layer, maybe anew, from arrays that it keeps; None: it goes without that one."""
        given = {}
        for name, array in arrays.items():
            if array is not None:
                gradient = aligned_zeros_like(array) if name in self._c_params else None
                given[self._c_names[name]] = (array, gradient)
        parts = make_parts(self._kind, dtype, given, activation=self._activation, **numbers)
        anew = hasattr(self, "_memory")  # and maybe inside a Sequential
        # Whoever looks has the old layer or the new one, never a mixture.
        self._memory = _Memory(parts)
        if anew:
            self._freeze_parts()
            note_change()

    def _exchange(self, other: _Memory | None) -> _Memory:
        """Go on with what was remembered elsewhere, None: with nothing; return what was so far."""
        before = self._memory
        fits = other is not None and other.parts is before.parts
        self._memory = cast(_Memory, other) if fits else _Memory(before.parts)
        return before

    def _adopt(
        self,
        given: dict[str, tuple[Array, Array | None]],
        dtype: np.dtype[Any],
        inputs: int,
        outputs: int,
    ) -> None:
        """Make the layer from parameters, by C's names, and the gradients that go with them."""
        parts = make_parts(
            self._kind, dtype, given, activation=self._activation, inputs=inputs, outputs=outputs
        )
        self._memory = _Memory(parts)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_memory"}
        parts = self._memory.parts
        arrays = {
            name: (parts.parameters[c_name].value, parts.parameters[c_name].gradient)
            for name, c_name in self._c_names.items()
            if c_name in parts.parameters
        }
        widths = {"inputs": parts.structure.inputs, "outputs": parts.structure.outputs}
        return {**state, "_made_of": (parts.dtype, arrays, {**parts.numbers(), **widths})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        dtype, arrays, numbers = state.pop("_made_of")
        self.__dict__.update(state)
        # A dtype that was pickled is another object, and dtypes are told by identity.
        dtype = None if dtype is None else as_dtype(dtype)
        values = {name: aligned_zeros_like(value) for name, (value, _) in arrays.items()}
        self._make(values, dtype, **numbers)
        for name, (value, gradient) in arrays.items():
            new = self._memory.parts.parameters[self._c_names[name]]
            new.value[...] = value
            if new.gradient is not None:
                new.gradient[...] = gradient
        self._freeze_parts()

    @property
    def _structure(self) -> Any:
        return self._memory.parts.structure

    @property
    def _dtype(self) -> np.dtype[Any] | None:
        """The dtype that the layer computes in; None: that of its input."""
        return self._memory.parts.dtype

    @property
    def _widths(self) -> tuple[int | None, int | None]:
        """How many inputs and outputs it has; None: any number, the same for both."""
        width = self._structure.inputs or None
        return width, width

    # ---- What trains ----

    @property
    def trainable(self) -> bool:
        """Whether it trains; False keeps all its parameters as they are. May be assigned."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = as_bool(value, "trainable")
        self._frozen = frozenset()
        self._freeze_parts()
        note_change()

    def freeze(self, *names: str) -> None:
        """Keep some parameters as they are in training, such as ``"w"``; all if none is named.

        Their gradients are not computed. `trainable` = True undoes it.

        Examples
        --------
        >>> from deepc import Linear
        >>> layer = Linear(2, 1)
        >>> layer.freeze("w")
        >>> [gradient is None for gradient in layer.grads()]
        [True, False]
        """
        for name in names:
            if name not in self._c_params:
                known = ", ".join(map(repr, self._c_params)) or "none"
                raise ValueError(f"names: expected some of {known}, got {name!r}")
        if not names:
            self.trainable = False
            return
        self._frozen |= frozenset(names)
        self._freeze_parts()
        note_change()

    def _freeze_parts(self) -> None:
        parts = self._memory.parts
        for name, c_name in self._c_params.items():
            if c_name in parts.parameters:
                parts.set_trains(c_name, self._trainable and name not in self._frozen)

    def params(self) -> list[Tensor]:
        """Return the parameters; assigning to one in place changes the layer."""
        parameters = self._memory.parts.parameters
        return [parameters[c].value for c in self._c_params.values() if c in parameters]

    def grads(self) -> list[Tensor | None]:
        """Return their gradients after `backward`, summed over the batch; None for frozen ones."""
        parts = self._memory.parts
        return [
            parts.parameters[c].gradient if parts.trains(c) else None
            for c in self._c_params.values()
            if c in parts.parameters
        ]

    def state(self) -> list[Array]:
        """Return what belongs to the layer beside its parameters, as the averages of a norm."""
        parameters = self._memory.parts.parameters
        return [parameters[c].value for c in self._c_state.values() if c in parameters]

    def _leaves_made(self) -> None:
        """Let optimizers look again: the tape has to know of their steps from now on."""
        note_change()

    # ---- What it computes ----

    def _network(self, dtype: np.dtype[Any], memory: _Memory | None = None) -> Network:
        memory = memory or self._memory
        network = memory.networks.get(dtype)
        if network is None:
            network = memory.networks[dtype] = Network([memory.parts], dtype)
        return network

    @overload
    def forward(self, input: list[Any]) -> list[Any]: ...
    @overload
    def forward(self, input: Array) -> Array: ...
    @overload
    def forward(self, input: Any) -> Any: ...
    def forward(self, input: Any) -> Any:
        """Return the output for one sample (1-D) or a batch (2-D, samples in rows).

        Parameters
        ----------
        input : list or ndarray
            The sample or batch. The layer keeps it for `backward`.

        Returns
        -------
        list or ndarray
            A list for a list, an array for an array; no rows for no rows.

        Raises
        ------
        ValueError
            If its width is not the layer's.
        """
        memory = self._memory
        dtype = memory.parts.dtype or dtype_of(input, "input")
        network = self._network(dtype, memory)
        memory.last = network
        return network.forward(input)

    @overload
    def backward(self, gradient: list[Any]) -> list[Any]: ...
    @overload
    def backward(self, gradient: Array) -> Array: ...
    @overload
    def backward(self, gradient: Any) -> Any: ...
    def backward(self, gradient: Any) -> Any:
        """Return the gradient of the last input; store those of the parameters.

        Parameters
        ----------
        gradient : list or ndarray
            The loss's gradient with respect to the last output, of its shape.

        Returns
        -------
        list or ndarray
            A list for a list, an array for an array.

        Raises
        ------
        RuntimeError
            If there was no `forward` before.
        ValueError
            If its shape is not that of the last output.
        """
        last = self._memory.last
        if last is None:
            raise RuntimeError("backward: call forward first")
        return last.backward(gradient)


class TwoModes(BuiltinLayer):
    """A built-in layer that computes something else in training than outside it."""

    @property
    def train(self) -> bool:
        """Whether it is in training; may be assigned."""
        return bool(self._structure.training)

    @train.setter
    def train(self, value: bool) -> None:
        self._structure.training = as_bool(value, "train")


def is_builtin(layer: Any) -> TypeGuard[BuiltinLayer]:
    """Whether a layer computes with nothing but the library: no method is a user's."""
    return computes_with(layer, BuiltinLayer, COMPUTES)
