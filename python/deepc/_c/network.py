"""Compiled networks: their layers, a call forward, a call back, a call for many steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

import deepc._deepc as _deepc
from deepc._c.activations import ACTIVATIONS
from deepc._c.library import TYPED, check, pointer
from deepc._c.losses import Rule
from deepc._c.optimizer import Tensors
from deepc._deepc import ffi, lib
from deepc._values import Array, as_array, like

_from_buffer = ffi.from_buffer
_ndarray = np.ndarray

# Names of this module are found faster than those of another.
_OTHER_ARRAYS = lib.DC_OTHER_ARRAYS

_INTERRUPTED = lib.DC_INTERRUPTED
_interrupted = ffi.addressof(lib, "dc_arrays_interrupted")


def _kinds() -> dict[str, int]:
    names: list[str] = []
    while (name := lib.dc_layer_kind_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return {name: kind for kind, name in enumerate(names)}


LAYER_KINDS = _kinds()


def new_layer(kind: str, activation: str | None = None) -> Any:
    """Return a ``dc_layer`` that belongs to the caller."""
    layer = ffi.new("dc_layer *")
    layer.kind = LAYER_KINDS[kind]
    if activation is not None:
        layer.activation = ACTIVATIONS[activation].number
        layer.activation_parameter = ACTIVATIONS[activation].default
    return layer


def set_linear(
    layer: Any, weights: Array, bias: Array, d_weights: Array, d_bias: Array
) -> tuple[Any, ...]:
    """Point a linear layer to its C-contiguous arrays; keep the result as long as the layer."""
    layer.inputs, layer.outputs = weights.shape
    pointers = tuple(pointer(array, True) for array in (weights, d_weights, bias, d_bias))
    for i, array in enumerate((weights, bias)):
        parameter = layer.parameters[i]
        parameter.size = array.size
        parameter.value, parameter.gradient = pointers[2 * i : 2 * i + 2]
    return pointers


class Network:
    """Layers compiled into one sequence: a call forward, a call back, a call for many steps.

    `inputs` and `outputs` are its widths, None where any width goes.
    """

    __slots__ = (
        "_address", "_backward", "_forward", "_handle", "_last", "_layers", "_train",
        "dtype", "inputs", "outputs",
    )  # fmt: skip

    def __init__(self, layers: Sequence[Any], dtype: np.dtype[Any]) -> None:
        typed = TYPED[dtype]
        handle = ffi.new(f"dc_network_{typed.suffix} **")
        structures = [layer._structure for layer in layers]
        # The library keeps pointers to the structures and through them to arrays; a layer that is
        # made anew has others.
        self._layers = [
            (layer, layer._structure, getattr(layer, "_pointers", None)) for layer in layers
        ]
        check(typed.network_create(len(structures), structures, handle), "layers")
        self._handle = ffi.gc(handle[0], typed.network_free)
        self.dtype = dtype
        inputs = typed.network_inputs(self._handle)
        self.inputs: int | None = inputs or None
        self.outputs: int | None = typed.network_outputs(self._handle, inputs) or None
        # What the functions over arrays take.
        self._address = int(ffi.cast("uintptr_t", handle[0]))
        self._forward = getattr(_deepc, f"forward_{typed.suffix}")
        self._backward = getattr(_deepc, f"backward_{typed.suffix}")
        self._train = typed.network_train
        self._last: Array | None = None

    def forward(self, x: Any) -> Any:
        """Return the output for one sample or for a batch: a list for a list, else an array."""
        y = self._forward(self._address, x)
        if type(y) is _ndarray:
            self._last = x
            return y
        if y != _OTHER_ARRAYS:
            self._refuse_input(y, x)
        array = as_array(x, "input", self.dtype)
        if array.ndim not in (1, 2):
            raise ValueError(f"input: expected 1 or 2 dimensions, got shape {array.shape}")
        result = self.forward(array)
        return like(x, result)

    def _refuse_input(self, status: int, x: Array) -> None:
        if status == lib.DC_BAD_SIZE:
            if x.shape[-1] == 0:
                raise ValueError("input: expected at least 1 column, got an empty sample")
            raise ValueError(f"input: expected {self.inputs} columns, got {x.shape[-1]}")
        self._last = None  # only a size that cannot be leaves the last forward in place
        check(status, "forward")

    def backward(self, gradient: Any, input_gradient: bool = True) -> Any:
        """Fill the layers' gradients; return the gradient of the last input if it is wanted."""
        x = self._last
        if x is None:
            raise RuntimeError("backward: call forward first")
        result = self._backward(self._address, x, gradient, input_gradient)
        if type(result) is not int:
            return result
        array = as_array(gradient, "gradient", self.dtype)
        if array is gradient or result != _OTHER_ARRAYS:
            self._refuse_gradient(result, x, array)
        result = self.backward(array, input_gradient)
        return like(gradient, result) if input_gradient else None

    def _refuse_gradient(self, status: int, x: Array, gradient: Array) -> None:
        if status == _OTHER_ARRAYS:
            expected = (*x.shape[:-1], self.outputs or x.shape[-1])
            raise ValueError(
                f"gradient: expected the shape of the last output, {expected}, got {gradient.shape}"
            )
        if status == lib.DC_BAD_STATE:
            raise RuntimeError(
                "backward: the last forward was not one of training; "
                "a Dropout layer needs train = True in forward and backward"
            )
        check(status, "backward")

    def train(self, optimizer: Any, tensors: Tensors, samples: Samples, seconds: float) -> int:
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
            if status == lib.DC_BAD_STATE:
                raise RuntimeError("fit: a Dropout layer does not train; set its train = True")
            check(status, "fit")
        return cast(int, samples.next[0])


class Samples:
    """The rows of one epoch, how far it has come, and the loss so far."""

    __slots__ = ("_keep", "loss", "next", "pointer")

    def __init__(
        self,
        network: Network,
        x: Array,
        targets: Array | None,
        labels: Array | None,
        order: Array | None,
        batch_size: int,
        loss: Rule,
        rates: Array | None = None,
    ) -> None:
        typed = TYPED[network.dtype]
        samples = ffi.new(f"dc_samples_{typed.suffix} *")
        samples.rows, samples.cols = x.shape
        keep = [_from_buffer(typed.ctype, x)]
        samples.x = keep[0]
        for name, array, ctype in (
            ("targets", targets, typed.ctype),
            ("labels", labels, "int64_t[]"),
            ("order", order, "int64_t[]"),
            ("rates", rates, "double[]"),
        ):
            if array is not None:
                keep.append(_from_buffer(ctype, array))
                setattr(samples, name, keep[-1])
        samples.batch_size = batch_size
        rule = samples.loss
        rule.kind, rule.reduction, rule.parameter, rule.smoothing = loss
        samples.interrupted = _interrupted
        self._keep = keep
        self.pointer = samples
        self.next = ffi.new("size_t *")
        self.loss = ffi.new("double *")
