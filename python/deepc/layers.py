"""Layers: what a network is made of.

A layer is anything with `forward` and `backward`. Those defined here compute in C; a run of them
inside a `Sequential` is compiled into one network, so that it costs one call. A layer that someone
writes in Python works beside them.
"""

from __future__ import annotations

import functools
import itertools
import operator
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeGuard, cast

import numpy as np

from deepc import _native
from deepc._native import Array
from deepc.initializers import random_tensor
from deepc.tensor import Tensor

__all__ = ["Dropout", "Layer", "Linear", "Sequential"]


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
        raise NotImplementedError

    def backward(self, gradient: Any) -> Any:
        """From the loss's gradient at the last output, return the one at the last input.

        Gradients of parameters are stored for `grads`.
        """
        raise NotImplementedError

    def params(self) -> Iterable[Tensor]:
        """Return the parameters; an optimizer changes them in place."""
        return ()

    def grads(self) -> Iterable[Tensor]:
        """Return the gradients of the parameters, in the order of `params`."""
        return ()


_COMPUTES = ("forward", "backward")


class _Hookable(Layer):
    """A layer of which it is noticed when one of its methods is replaced by a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _COMPUTES:
            _note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in _COMPUTES:
            _note_change()


class CompiledLayer(_Hookable):
    """A layer of the library, of one of its kinds. By itself it is a network of one layer."""

    _kind: str
    # What is made anew in a copy of the layer.
    _transient = frozenset({"_structure", "_networks", "_last", "_pointers"})

    def __init__(self) -> None:
        anew = "_structure" in self.__dict__  # and maybe inside a Sequential
        self._structure = _native.new_layer(self._kind)
        if anew:
            _note_change()
        self._networks: dict[np.dtype[Any], _native.Network] = {}
        self._last: _native.Network | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in self._transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        CompiledLayer.__init__(self)
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def _dtype(self) -> np.dtype[Any] | None:
        """The dtype that the layer computes in; None: that of its input."""
        return None

    @property
    def _widths(self) -> tuple[int | None, int | None]:
        """How many inputs and outputs it has; None: any number, the same for both."""
        return None, None

    def _network(self, dtype: np.dtype[Any]) -> _native.Network:
        network = self._networks.get(dtype)
        if network is None:
            network = self._networks[dtype] = _native.Network([self], dtype, *self._widths)
        return network

    def forward(self, input: Tensor) -> Tensor:
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
        dtype = self._dtype or _native.as_array(input, "input").dtype
        network = self._network(dtype)
        self.__dict__["_last"] = network
        return cast(Tensor, network.forward(input))

    def backward(self, gradient: Tensor) -> Tensor:
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
        return cast(Tensor, self._last.backward(gradient))


class Linear(CompiledLayer):
    """A layer of neurons, each a weighted sum of all inputs plus a bias.

    ``output[o] = sum over i of w[o][i] * input[i] + b[o]``

    Parameters
    ----------
    input_dim : int
        Number of inputs; afterwards an attribute that cannot be changed.
    output_dim : int
        Number of neurons; as `input_dim`.
    init : {"xavier", "normal", "uniform"}, optional
        How weights and biases start; see `random_tensor`.
    dtype : {"float32", "float64"}, optional
        What it computes in; the default dtype if not given.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the initial numbers come from; the ``random`` module if not given, so that
        ``random.seed`` fixes them.

    Attributes
    ----------
    w : ndarray of shape (output_dim, input_dim)
        The weights: ``w[o]`` are those of neuron o. Assigning copies into the same memory.
    b : ndarray of shape (output_dim,)
        The biases.
    w_grad, b_grad : ndarray
        Their gradients after `backward`, summed over the batch.

    Examples
    --------
    >>> layer = Linear(2, 1)
    >>> layer.w = [[1.0, 2.0]]
    >>> layer.b = [0.5]
    >>> layer.forward([10.0, 20.0])
    [50.5]
    >>> layer.backward([1.0])
    [1.0, 2.0]
    >>> layer.w_grad
    array([[10., 20.]], dtype=float32)
    """

    _kind = "linear"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        init: str = "xavier",
        *,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        super().__init__()
        inputs = _native.as_int(input_dim, "input_dim", least=1)
        outputs = _native.as_int(output_dim, "output_dim", least=1)
        self._allocate(inputs, outputs, _native.as_dtype(dtype))
        self._initialize(init, rng)

    def _allocate(self, inputs: int, outputs: int, dtype: np.dtype[Any]) -> None:
        # The library keeps weights as inputs x outputs, so that a product with a row of inputs runs
        # along memory; w is the transposed view that the book's indices ask for.
        shape = (inputs, outputs)
        buffers = [_native.aligned_zeros(s, dtype) for s in (shape, shape[1:], shape, shape[1:])]
        self._w, self._b, self._w_grad, self._b_grad = (buffer.T for buffer in buffers)
        self._pointers = _native.set_linear(self._structure, *buffers)

    def _initialize(self, init: str, rng: Any) -> None:
        rng = _native.random_generator(rng)
        self.w = random_tensor(
            self.output_dim, self.input_dim, init=init, rng=rng, dtype=self._dtype
        )
        self.b = random_tensor(self.output_dim, init=init, rng=rng, dtype=self._dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        arrays = self._w, self._b, self._w_grad, self._b_grad
        # A dtype that was pickled is another object, and dtypes are told by identity.
        self._allocate(self.input_dim, self.output_dim, _native.as_dtype(self._w.dtype))
        for new, old in zip((self._w, self._b, self._w_grad, self._b_grad), arrays, strict=True):
            new[...] = old

    def __repr__(self) -> str:
        return f"Linear({self.input_dim}, {self.output_dim})"

    @property
    def input_dim(self) -> int:
        """Number of inputs."""
        return cast(int, self._w.shape[1])

    @property
    def output_dim(self) -> int:
        """Number of neurons."""
        return cast(int, self._w.shape[0])

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self._w.dtype

    @property
    def _widths(self) -> tuple[int, int]:
        return self.input_dim, self.output_dim

    @property
    def w(self) -> Array:
        """The weights, (output_dim, input_dim)."""
        return self._w

    @w.setter
    def w(self, value: Tensor) -> None:
        _assign(self._w, value, "w")

    @property
    def b(self) -> Array:
        """The biases, (output_dim,)."""
        return self._b

    @b.setter
    def b(self, value: Tensor) -> None:
        _assign(self._b, value, "b")

    @property
    def w_grad(self) -> Array:
        """The gradient of the weights, summed over the batch."""
        return self._w_grad

    @w_grad.setter
    def w_grad(self, value: Tensor) -> None:
        _assign(self._w_grad, value, "w_grad")

    @property
    def b_grad(self) -> Array:
        """The gradient of the biases, summed over the batch."""
        return self._b_grad

    @b_grad.setter
    def b_grad(self, value: Tensor) -> None:
        _assign(self._b_grad, value, "b_grad")

    def params(self) -> list[Tensor]:
        """Return [w, b]."""
        return [self._w, self._b]

    def grads(self) -> list[Tensor]:
        """Return [w_grad, b_grad]."""
        return [self._w_grad, self._b_grad]


def _assign(array: Array, value: Tensor, name: str) -> None:
    new = _native.as_array(value, name)
    if new.shape != array.shape:
        raise ValueError(f"{name}: expected shape {array.shape}, got {new.shape}")
    array[...] = new


class Dropout(CompiledLayer):
    """Zeros in place of randomly chosen inputs while training; their expectation otherwise.

    While `train` is True each input is replaced by 0 with probability `p`, and what is left is
    unchanged. While it is False all inputs are multiplied by 1 - p, and `backward` raises
    `RuntimeError`.

    Parameters
    ----------
    p : float
        The probability of dropping an input, 0 to 1.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the key of the layer's random stream comes from; the ``random`` module if not given.
        The stream is fixed by that key and by how many training passes there were.

    Attributes
    ----------
    p : float
    train : bool
    mask : ndarray
        1 where the last training pass kept an input, 0 where it dropped it.

    Examples
    --------
    >>> layer = Dropout(0.25)
    >>> layer.train = False
    >>> layer.forward([1.0, 2.0])
    [0.75, 1.5]
    """

    _kind = "dropout"

    def __init__(self, p: float, *, rng: Any = None) -> None:
        super().__init__()
        self.p = p
        self.train = True
        self._structure.key = _native.random_key(rng)

    def __getstate__(self) -> dict[str, Any]:
        s = self._structure
        return {**super().__getstate__(), "_numbers": (s.rate, s.training, s.key, s.counter)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        s_numbers = state.pop("_numbers")
        super().__setstate__(state)
        s = self._structure
        s.rate, s.training, s.key, s.counter = s_numbers

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

    @property
    def p(self) -> float:
        """The probability of dropping an input."""
        return cast(float, self._structure.rate)

    @p.setter
    def p(self, value: float) -> None:
        self._structure.rate = _native.as_float(value, "p", 0.0, 1.0)

    @property
    def train(self) -> bool:
        """Whether inputs are dropped."""
        return bool(self._structure.training)

    @train.setter
    def train(self, value: bool) -> None:
        self._structure.training = _native.as_bool(value, "train")

    @property
    def mask(self) -> Array:
        """1 where the last training pass kept an input, 0 where it dropped it."""
        s = self._structure
        if s.rows == 0:
            raise RuntimeError("mask: call forward in training first")
        shape = (s.rows, s.width) if s.rows > 1 else (s.width,)
        return _native.dropout_mask(s.key, s.counter - 1, s.rate, shape)


# ---- Sequences -----------------------------------------------------------------------------------

# Numbers the changes made to the list of layers of any Sequential: whatever was derived from such a
# list is good only as long as the number stays. Compiled networks and optimizers look at it in each
# call.
structure_version = 0
_versions = itertools.count(1)


def _note_change() -> None:
    # After the change, and a number that no other thread draws: who looks in between will look
    # again.
    global structure_version
    structure_version = next(_versions)


def _noticed(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def change(self: list[Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            _note_change()

    return change


class _Layers(list[Layer]):
    """A list of layers whose changes are noticed."""


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
              "__delitem__", "__iadd__", "__imul__", "__setitem__"):  # fmt: skip
    setattr(_Layers, _name, _noticed(getattr(list, _name)))


class Sequential(_Hookable):
    """Layers one after the other: the output of each is the input of the next.

    Runs of deepc's own layers are compiled into one network each. Layers may be added, replaced or
    removed through `layers` at any time, and one layer may stand in several places; its gradients
    then add up.

    Parameters
    ----------
    layers : iterable of Layer

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
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        self._version = -1
        self._compiled: list[Any] = []
        self._runs: list[Any] = []
        self._only: _native.Network | None = None
        self.layers = layers

    def __getstate__(self) -> dict[str, Any]:
        compiled = ("_version", "_compiled", "_runs", "_only")
        return {k: v for k, v in self.__dict__.items() if k not in compiled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        Sequential.__init__(self, state.pop("_layers"))
        self.__dict__.update(state)

    @reprlib.recursive_repr("Sequential([...])")
    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self.layers))}])"

    @property
    def layers(self) -> list[Layer]:
        """The layers; changes are noticed at the next call."""
        return self._layers

    @layers.setter
    def layers(self, layers: Iterable[Layer]) -> None:
        self._layers = _as_layers(layers)
        _note_change()

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
        version = structure_version
        flat = list(self._flat())
        # What a network is made of: a layer of the library that was made anew has another
        # structure, and one that got a hook is no part of a network.
        parts = [layer._structure if _is_compiled(layer) else layer for _, layer in flat]
        same = len(parts) == len(self._compiled) and all(map(operator.is_, parts, self._compiled))
        if self._version < 0 or not same:
            runs: list[Any] = []
            for position, layer in flat:
                _check_layer(layer, f"layers[{position}]")
                if not _is_compiled(layer):
                    runs.append(_Foreign(position, layer))
                elif not (runs and isinstance(runs[-1], _Run) and runs[-1].takes(position, layer)):
                    runs.append(_Run(position, layer))
            _add_up(runs)
            single = runs[0] if len(runs) == 1 and isinstance(runs[0], _Run) else None
            self._only = single.network(single.dtype) if single and single.dtype else None
            self._compiled, self._runs = parts, runs
        self._version = version

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
        if self._version != structure_version:
            self._refresh()
        network = self._only
        if network is not None:
            return network.forward(input)
        for run in self._runs:
            input = run.forward(input)
        return input

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
        if self._version != structure_version:
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


def _as_layers(layers: Iterable[Layer]) -> _Layers:
    try:
        new = _Layers(layers)
    except TypeError:
        raise TypeError(
            f"layers: expected a list of layers, got {_native.describe(layers)}"
        ) from None
    for i, layer in enumerate(new):
        _check_layer(layer, f"layers[{i}]")
    return new


def _check_layer(layer: Any, name: str) -> None:
    if isinstance(layer, type) or not (hasattr(layer, "forward") and hasattr(layer, "backward")):
        raise TypeError(
            f"{name}: expected a layer with forward and backward, got {_native.describe(layer)}"
        )


def computes_with(value: Any, base: type, methods: tuple[str, ...]) -> bool:
    """Whether an object has the methods of a class of the library, not a subclass's or its own."""
    return isinstance(value, base) and all(
        getattr(type(value), name) is getattr(base, name) and name not in vars(value)
        for name in methods
    )


def _is_compiled(layer: Any) -> TypeGuard[CompiledLayer]:
    return computes_with(layer, CompiledLayer, _COMPUTES)


def _is_plain(layer: Any) -> TypeGuard[Sequential]:
    """Whether a layer is nothing but the layers in it."""
    return type(layer) is Sequential and computes_with(layer, Sequential, _COMPUTES)


class _Foreign:
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


class _Run:
    """Consecutive compiled layers of one dtype inside a `Sequential`."""

    def __init__(self, position: str, layer: CompiledLayer) -> None:
        self.position = position
        self.layers = [layer]
        self.dtype = layer._dtype
        self.last_position = position
        self.inputs, self.outputs = layer._widths
        # Gradients of layers that stand in a later run too: backward has been there already.
        self.shared: list[Array] = []
        self._networks: dict[np.dtype[Any], _native.Network] = {}
        self._last: _native.Network | None = None

    def takes(self, position: str, layer: CompiledLayer) -> bool:
        """Add a layer if it can follow."""
        dtype, (inputs, outputs) = layer._dtype, layer._widths
        if dtype and self.dtype and dtype != self.dtype:
            return False
        if inputs and self.outputs and inputs != self.outputs:
            raise ValueError(
                f"layers[{position}]: {layer!r} expects {inputs} inputs, "
                f"but the layer before it gives {self.outputs}"
            )
        self.layers.append(layer)
        self.last_position = position
        self.dtype = self.dtype or dtype
        self.inputs = self.inputs or inputs
        self.outputs = outputs or self.outputs
        return True

    def network(self, dtype: np.dtype[Any]) -> _native.Network:
        network = self._networks.get(dtype)
        if network is None:
            network = _native.Network(self.layers, dtype, self.inputs, self.outputs)
            self._networks[dtype] = network
        return network

    def forward(self, input: Any) -> Any:
        array = _native.any_array(input, "input")
        if self.inputs and array.ndim in (1, 2) and array.shape[-1] != self.inputs:
            raise ValueError(
                f"layers[{self.position}]: {self.layers[0]!r} expects {self.inputs} inputs, "
                f"but got {array.shape[-1]}"
            )
        dtype = self.dtype or _native.as_array(array, "input").dtype
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


def _add_up(runs: list[Any]) -> None:
    """Tell each run which of its layers stand in a later run too."""
    later: set[int] = set()
    for run in reversed(runs):
        if isinstance(run, _Run):
            layers = {id(layer): layer for layer in run.layers}
            run.shared = [
                cast(Array, grad)
                for key, layer in layers.items()
                if key in later
                for grad in layer.grads()
            ]
            later |= layers.keys()


# ---- What training asks of a model ---------------------------------------------------------------


def compiled_network(model: Layer) -> _native.Network | None:
    """Return the network that a model is compiled into, None if part of it is Python."""
    if _is_plain(model):
        if model._version != structure_version:
            model._refresh()
        return model._only
    if _is_compiled(model) and (dtype := model._dtype):
        return model._network(dtype)
    return None


def output_width(model: Layer) -> int | None:
    """Return how many outputs a model has, None if that is known to Python code only."""
    if _is_plain(model):
        if model._version != structure_version:
            model._refresh()
        last = model._runs[-1] if model._runs else None
        return last.outputs if isinstance(last, _Run) else None
    return model._widths[1] if _is_compiled(model) else None


def has_fixed_parameters(model: Layer) -> bool:
    """Whether parameters and gradients stay in the same memory while the layers stay."""
    cls = type(model)
    if isinstance(model, Sequential):
        own = cls.params is Sequential.params and cls.grads is Sequential.grads
        return own and all(has_fixed_parameters(layer) for _, layer in model._flat())
    methods: Any = (getattr(cls, "params", None), getattr(cls, "grads", None))
    return methods in ((Linear.params, Linear.grads), (Layer.params, Layer.grads))
