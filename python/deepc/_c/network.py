"""Compiled networks: their layers, a call forward, a call back, a call for many steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.activations import ACTIVATIONS
from deepc._c.library import TYPED, check, flat, pointer
from deepc._c.losses import Rule
from deepc._c.optimizer import StepTensors
from deepc._c.penalties import Penalties
from deepc._deepc import ffi, lib
from deepc._values import Array, any_array, as_array, as_integers, describe, like

_from_buffer = ffi.from_buffer
_ndarray = np.ndarray
_INT64, _DOUBLE, _SIZE, _NUMBER = map(ffi.typeof, ("int64_t[]", "double[]", "size_t *", "double *"))

# Names of this module are found faster than those of another.
_NOT_TAKEN = lib.DC_NOT_TAKEN

_BAD_SIZE, _BAD_LABEL, _BAD_STATE = lib.DC_BAD_SIZE, lib.DC_BAD_LABEL, lib.DC_BAD_STATE
_INTERRUPTED = lib.DC_INTERRUPTED
_interrupted = ffi.addressof(lib, "dc_arrays_interrupted")

# ---- Layers --------------------------------------------------------------------------------------


def _names(name_of: Callable[[int], Any]) -> list[str]:
    """Return the names that a function of the library gives for 0, 1 and so on."""
    names: list[str] = []
    while (name := name_of(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


KINDS = {name: kind for kind, name in enumerate(_names(lib.dc_layer_kind_name))}
# The names of the parameters of each kind, in their order.
PARAMETERS = {
    name: _names(lambda i, kind=kind: lib.dc_layer_parameter_name(kind, i))  # type: ignore[misc]
    for name, kind in KINDS.items()
}
# The numbers of a layer that a copy of it has too.
_NUMBERS = [
    name
    for name, field in ffi.typeof("dc_layer").fields
    if field.type.kind == "primitive" and name not in ("kind", "activation", "inputs", "outputs")
]


class Parameter(NamedTuple):
    """A parameter of a layer: its array, that of its gradient, and both as C sees them."""

    value: Array
    gradient: Array | None
    value_buffer: Any
    gradient_buffer: Any


class Parts(NamedTuple):
    """What C is told of a layer. It is made at once and replaced as a whole, never changed.

    The arrays in `parameters` are what users see; they may set the shape or dtype of such an array
    object to anything. What C believes stands in the structure, and what memory there is, in the
    buffers.
    """

    kind: str
    structure: Any
    dtype: np.dtype[Any] | None  # None: any
    parameters: dict[str, Parameter]

    def numbers(self) -> dict[str, Any]:
        """Return the numbers that a copy needs."""
        return {name: getattr(self.structure, name) for name in _NUMBERS}

    def trains(self, name: str) -> bool:
        """Whether a parameter has a gradient, to which optimizers listen."""
        place = PARAMETERS[self.kind].index(name)
        return bool(self.structure.parameters[place].gradient != ffi.NULL)

    def set_trains(self, name: str, trains: bool) -> None:
        """Let C compute the gradient of a parameter, or not."""
        parameter = self.parameters[name]
        if parameter.gradient is not None:
            c = self.structure.parameters[PARAMETERS[self.kind].index(name)]
            c.gradient = parameter.gradient_buffer if trains else ffi.NULL


def make_parts(
    kind: str,
    dtype: np.dtype[Any] | None = None,
    arrays: Mapping[str, tuple[Array, Array | None]] | None = None,
    *,
    activation: str | None = None,
    **numbers: Any,
) -> Parts:
    """Make what C is told of a layer from its kind, its arrays with their gradients, its numbers.

    An array is C-contiguous, or the transpose of one that is.
    """
    layer = ffi.new("dc_layer *")
    layer.kind = KINDS[kind]
    if activation is not None:
        layer.activation = ACTIVATIONS[activation].number
        layer.activation_parameter = ACTIVATIONS[activation].default
    for name, number in numbers.items():
        setattr(layer, name, number)
    parameters = {}
    for name, (value, gradient) in (arrays or {}).items():
        place = layer.parameters[PARAMETERS[kind].index(name)]
        buffer = pointer(flat(value), True)
        d_buffer = ffi.NULL if gradient is None else pointer(flat(gradient), True)
        if gradient is not None and len(d_buffer) != len(buffer):
            raise ValueError(f"{name}: expected a gradient of {len(buffer)} numbers")
        place.size, place.value, place.gradient = len(buffer), buffer, d_buffer
        parameters[name] = Parameter(value, gradient, buffer, d_buffer)
    return Parts(kind, layer, dtype, parameters)


# ---- Networks ------------------------------------------------------------------------------------


class Network:
    """Layers compiled into one sequence: a call forward, a call back, a call for many steps.

    Parameters
    ----------
    parts : sequence of Parts
    dtype : dtype
        What it computes in.

    Attributes
    ----------
    inputs, outputs : int or None
        Its widths; None where any width goes.
    takes_indices : bool
        Whether its input is whole numbers.
    """

    __slots__ = (
        "_address", "_backward", "_forward", "_handle", "_last", "_parts", "_train", "_typed",
        "dtype", "inputs", "outputs", "takes_indices",
    )  # fmt: skip

    def __init__(self, parts: Sequence[Parts], dtype: np.dtype[Any]) -> None:
        # The library keeps pointers to the structures, and through them to the arrays.
        self._parts = tuple(parts)
        for place in self._parts:
            if place.dtype not in (None, dtype):
                raise TypeError(f"layers: expected {dtype}, got a {place.kind} of {place.dtype}")
        self._typed = typed = TYPED[dtype]
        handle = ffi.new(f"dc_network_{typed.suffix} **")
        structures = [place.structure for place in self._parts]
        check(typed.network_create(len(structures), structures, handle), "layers")
        self._handle = ffi.gc(handle[0], typed.network_free)
        self.dtype = dtype
        inputs = typed.network_inputs(self._handle)
        self.inputs: int | None = inputs or None
        self.outputs = self.outputs_for(inputs)
        self.takes_indices = bool(typed.network_takes_indices(self._handle))
        # What the functions over arrays take.
        self._address = int(ffi.cast("uintptr_t", handle[0]))
        self._forward = getattr(_deepc, f"forward_{typed.suffix}")
        self._backward = getattr(_deepc, f"backward_{typed.suffix}")
        self._train = typed.network_train
        self._last: Array | None = None

    def is_training(self) -> bool:
        """Whether a layer computes as in training, not as in evaluation."""
        return any(part.structure.training for part in self._parts)

    def outputs_for(self, inputs: int) -> int | None:
        """Return how many outputs there are for so many inputs; None if these do not go."""
        return self._typed.network_outputs(self._handle, inputs) or None

    def as_input(self, x: Any, name: str) -> Array:
        """Return what the network takes: numbers of its dtype, or whole ones, in rows."""
        if self.takes_indices:
            array = any_array(x, name)
            if array.dtype.kind not in "iu" and array.size:
                raise TypeError(f"{name}: expected whole numbers, got {describe(x)}")
            return as_integers(array)
        return as_array(x, name, self.dtype)

    def forward(self, x: Any) -> Any:
        """Return the output for one sample or for a batch: a list for a list, else an array."""
        try:
            y = self._forward(self._address, x, self._last)
        except MemoryError:
            self._last = None  # what the network remembers may be of this pass already
            raise
        if type(y) is _ndarray:
            self._last = x
            return y
        if type(y) is list:  # for a list, whose numbers are where those of the last one were
            return y
        if type(y) is tuple:  # the array that was made of it and a list
            self._last, y = y
            return y
        if y != _NOT_TAKEN:
            self._refuse_input(y, x)
        array = self.as_input(x, "input")
        if array.ndim not in (1, 2):
            raise ValueError(f"input: expected 1 or 2 dimensions, got shape {array.shape}")
        result = self.forward(array)
        return like(x, result)

    def _refuse_input(self, status: int, x: Array) -> None:
        if status == _BAD_SIZE:
            if x.shape[-1] == 0:
                raise ValueError("input: expected at least 1 column, got an empty sample")
            raise ValueError(f"input: expected {self.inputs} columns, got {x.shape[-1]}")
        self._last = None  # only a size that cannot be leaves the last forward in place
        if status == _BAD_LABEL:
            self.check_indices(x, "input")
        check(status, "forward")

    def check_indices(self, x: Array, name: str) -> None:
        """Refuse numbers that name no row of the first layer's table."""
        rows = self._parts[0].structure.inputs
        wrong = x[(x < 0) | (x >= rows)]
        if wrong.size:
            raise ValueError(f"{name}: expected whole numbers from 0 to {rows - 1}, got {wrong[0]}")

    def backward(self, gradient: Any, input_gradient: bool = True) -> Any:
        """Fill the layers' gradients; return the gradient of the last input if it is wanted.

        Whole numbers have no gradient: it is None for them.
        """
        x = self._last
        if x is None:
            raise RuntimeError("backward: call forward first")
        result = self._backward(self._address, x, gradient, input_gradient)
        if type(result) is not int:
            return result
        array = as_array(gradient, "gradient", self.dtype)
        if array is gradient or result != _NOT_TAKEN:
            self._refuse_gradient(result, x, array)
        result = self.backward(array, input_gradient)
        return None if result is None else like(gradient, result)

    def _refuse_gradient(self, status: int, x: Array, gradient: Array) -> None:
        if status == _NOT_TAKEN:
            expected = (*x.shape[:-1], self.outputs_for(x.shape[-1]))
            raise ValueError(
                f"gradient: expected the shape of the last output, {expected}, got {gradient.shape}"
            )
        if status == _BAD_STATE:
            raise RuntimeError(
                "backward: the last forward was not one of training; "
                "a Dropout layer needs train = True in forward and backward"
            )
        check(status, "backward")

    def train(self, optimizer: Any, tensors: StepTensors, samples: Samples, seconds: float) -> int:
        """Train for about so many seconds; return the row to go on at."""
        self._last = None
        status = _INTERRUPTED
        # Python handles the signal that interrupted a step when the loop turns; if the handler
        # raises nothing, the step is taken after all.
        while status == _INTERRUPTED:
            status = self._train(
                self._handle, optimizer, tensors.count, tensors.pointer, samples.pointer, seconds,
                samples.next, samples.loss,
            )  # fmt: skip
        if status:
            if status == _BAD_STATE:
                raise RuntimeError("fit: a Dropout layer does not train; set its train = True")
            check(status, "fit")
        return cast(int, samples.next[0])


class FlatteningNetwork(Network):
    """A network whose input may have more dimensions: rows of all that is in them.

    Parameters
    ----------
    parts, dtype
        As for `Network`.
    sample_shape : tuple of int or None
        The shape of one sample, where it is known: such an input is one, not a batch.
    """

    __slots__ = ("_shape", "sample_shape")

    def __init__(
        self,
        parts: Sequence[Parts],
        dtype: np.dtype[Any],
        sample_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(parts, dtype)
        self.sample_shape = sample_shape
        self._shape: tuple[int, ...] = ()  # of the last input

    def as_input(self, x: Any, name: str) -> Array:
        """Return what the network takes, made flat."""
        return flatten(super().as_input(x, name), self.sample_shape, name)

    def forward(self, x: Any) -> Any:
        """Return the output for one sample or for a batch: a list for a list, else an array."""
        array = super().as_input(x, "input")
        result = super().forward(flatten(array, self.sample_shape, "input"))
        self._shape = array.shape
        return like(x, result)

    def backward(self, gradient: Any, input_gradient: bool = True) -> Any:
        """Fill the layers' gradients; return that of the last input, of its shape, if wanted."""
        result = super().backward(as_array(gradient, "gradient", self.dtype), input_gradient)
        return None if result is None else like(gradient, result.reshape(self._shape))


def flatten(array: Array, sample_shape: tuple[int, ...] | None, name: str) -> Array:
    """Return an array as one sample (1-D) or rows (2-D); a view where that is possible."""
    if sample_shape is not None:
        if array.shape == sample_shape:
            return array.reshape(-1)
        if array.ndim > 2 and array.shape[1:] != sample_shape:
            raise ValueError(
                f"{name}: expected samples of shape {sample_shape}, got shape {array.shape}"
            )
    if array.ndim <= 2:
        return array
    return array.reshape(len(array), math.prod(array.shape[1:]))


class Samples:
    """The rows of an epoch, how far it has come, the loss so far, and how many rows are right.

    Parameters
    ----------
    network : Network
    x, targets, labels, weights : ndarray
        The rows; one of targets and labels is None, weights may be.
    batch_size : int
    loss : Rule
    penalties : Penalties, optional
    """

    __slots__ = ("_batches", "_elements", "_keep", "_real", "loss", "next", "pointer", "right")

    def __init__(
        self,
        network: Network,
        x: Array,
        targets: Array | None,
        labels: Array | None,
        weights: Array | None,
        batch_size: int,
        loss: Rule,
        penalties: Penalties | None = None,
    ) -> None:
        typed = TYPED[network.dtype]
        self.pointer = samples = ffi.new(typed.samples)
        rows, cols = x.shape
        samples.rows, samples.cols, samples.batch_size = rows, cols, batch_size
        self._real = real = typed.ctype
        self._batches = -(-rows // batch_size)
        self._elements = rows * (network.outputs_for(cols) or 0)
        # What the structure points at.
        self._keep: dict[str, Any] = {"penalties": penalties}
        if network.takes_indices:
            self._set("indices", x, _INT64, rows * cols)
        else:
            self._set("x", x, real, rows * cols)
        self._set("targets", targets, real, self._elements)
        self._set("labels", labels, _INT64, rows)
        self._set("weights", weights, real, rows)
        rule = samples.loss
        rule.kind, rule.reduction, rule.parameter, rule.smoothing = loss
        samples.interrupted = _interrupted
        if penalties is not None:
            samples.penalties, samples.penalty_count = penalties.pointer, penalties.count
        self.next, self.loss, self.right = ffi.new(_SIZE), ffi.new(_NUMBER), ffi.new(_SIZE)

    def begin(
        self,
        order: Array | None,
        rates: Array | None,
        predictions: Array | None,
        counts: bool,
        start: int,
        loss: float,
    ) -> None:
        """Begin an epoch, or go on with one from row `start` of its order on, and from its loss.

        Each array may be None: see ``dc_samples_f32``. `counts`: whether to count what is right.
        """
        self._set("order", order, _INT64, self.pointer.rows)
        self._set("rates", rates, _DOUBLE, self._batches)
        self._set("predictions", predictions, self._real, self._elements)
        self.pointer.right = self.right if counts else ffi.NULL
        self.next[0], self.loss[0], self.right[0] = start, loss, 0

    def _set(self, field: str, array: Array | None, ctype: Any, count: int) -> None:
        if array is None:
            if field in self._keep:
                del self._keep[field]
                setattr(self.pointer, field, ffi.NULL)
            return
        # What an array says of itself may be wrong by now; what counts is the memory that it has.
        buffer = _from_buffer(ctype, array)
        if len(buffer) != count:
            raise ValueError(f"{field}: expected {count} numbers, got {len(buffer)}")
        setattr(self.pointer, field, buffer)
        self._keep[field] = buffer
