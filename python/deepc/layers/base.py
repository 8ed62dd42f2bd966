"""What every layer is, what the built-in ones share, and how one notices a replaced method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard, overload

import numpy as np

from deepc._c.network import Network, new_layer
from deepc._values import Array, as_array
from deepc.layers._plan import computes_with, note_change
from deepc.tensor import Tensor

__all__ = ["BuiltinLayer", "Hookable", "Layer", "is_builtin"]

# The methods that decide what a layer computes.
COMPUTES = ("forward", "backward")


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

    def grads(self) -> Iterable[Tensor]:
        """Return the gradients of the parameters, in the order of `params`."""
        return ()

    def __call__(self, input: Any) -> Any:
        """Return ``forward(input)``."""
        return self.forward(input)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Hookable(Layer):
    """A layer of which it is noticed when one of its methods is replaced by a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in COMPUTES:
            note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in COMPUTES:
            note_change()


class BuiltinLayer(Hookable):
    """A layer of the library, of one of its kinds. By itself it is a network of one layer."""

    _kind: str
    _activation: str | None = None
    # What is made anew in a copy of the layer.
    _transient = frozenset({"_structure", "_networks", "_last", "_pointers"})

    def __init__(self) -> None:
        anew = "_structure" in self.__dict__  # and maybe inside a Sequential
        self._structure = new_layer(self._kind, self._activation)
        if anew:
            note_change()
        self._networks: dict[np.dtype[Any], Network] = {}
        self._last: Network | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in self._transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        BuiltinLayer.__init__(self)
        self.__dict__.update(state)

    @property
    def _dtype(self) -> np.dtype[Any] | None:
        """The dtype that the layer computes in; None: that of its input."""
        return None

    @property
    def _widths(self) -> tuple[int | None, int | None]:
        """How many inputs and outputs it has; None: any number, the same for both."""
        return None, None

    def _network(self, dtype: np.dtype[Any]) -> Network:
        network = self._networks.get(dtype)
        if network is None:
            network = self._networks[dtype] = Network([self], dtype)
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
            The sample or batch.

        Returns
        -------
        list or ndarray
            A list for a list, an array for an array.

        Raises
        ------
        ValueError
            If its width is not the layer's.
        """
        dtype = self._dtype or as_array(input, "input").dtype
        network = self._network(dtype)
        self.__dict__["_last"] = network
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
        if self._last is None:
            raise RuntimeError("backward: call forward first")
        return self._last.backward(gradient)


def is_builtin(layer: Any) -> TypeGuard[BuiltinLayer]:
    """Whether a layer computes with nothing but the library: no method is a user's."""
    return computes_with(layer, BuiltinLayer, COMPUTES)
