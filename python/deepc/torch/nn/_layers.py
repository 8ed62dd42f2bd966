"""Layers: modules over deepc's layers and operations, with torch's names and first weights."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, cast

import numpy as np

import deepc
from deepc import layers as _layers
from deepc._c import tape
from deepc._c.arrays import aligned_zeros
from deepc._c.network import Network
from deepc._c.tape import over
from deepc._values import as_dtype, as_float, describe
from deepc.autodiff import ops
from deepc.initializers import random_tensor
from deepc.layers import _plan
from deepc.layers.base import BuiltinLayer
from deepc.torch._rng import key
from deepc.torch._tensor import Tensor
from deepc.torch._types import as_numpy_dtype
from deepc.torch.nn import functional as F
from deepc.torch.nn._module import Module, Parameter, gradient_array, retire, settings

_TRANSPOSED = tape.TRANSPOSED
_linears = tape.linears


def _size(value: Any, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {describe(value)}") from None
    if number < 1:
        raise ValueError(f"{name}: expected at least 1, got {number}")
    return number


class Linear(Module):
    """``y = x @ weight.T + bias``; both start evenly in +-1 / sqrt(in_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, optional
    dtype : optional
        torch.float32 or torch.float64.

    Attributes
    ----------
    weight : Parameter of shape (out_features, in_features)
    bias : Parameter of shape (out_features,) or None

    Examples
    --------
    >>> from deepc import torch
    >>> from deepc.torch import nn
    >>> nn.Linear(3, 2)(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        inputs, outputs = _size(in_features, "in_features"), _size(out_features, "out_features")
        self.in_features, self.out_features = inputs, outputs
        kind = as_dtype(as_numpy_dtype(dtype))
        # The memory is inputs x outputs, as deepc's own layer has it.
        self.weight = Parameter.over(aligned_zeros((inputs, outputs), kind).T)
        self.bias = Parameter.over(aligned_zeros((outputs,), kind)) if bias else None
        if self.bias is None:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases anew."""
        rng, weight = key(), self.weight._data
        weight[...] = random_tensor(
            self.out_features, self.in_features, init="fan_in_uniform", rng=rng, dtype=weight.dtype
        )
        if self.bias is not None:
            self.bias.data.uniform_(-(self.in_features**-0.5), self.in_features**-0.5)

    def _changed(self) -> None:
        super()._changed()
        own = self._parameters
        self.__dict__["_steps"] = [(own.get("weight"), own.get("bias"), _TRANSPOSED)]

    def forward(self, input: Any) -> Any:
        """Return ``input @ weight.T + bias``."""
        y = _linears(input, self._steps)
        return F.linear(input, self.weight, self.bias) if y is NotImplemented else y

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )

    def _deepc(self) -> _layers.Layer:
        """Return deepc's layer over the same arrays."""
        weight, bias = self.weight, self.bias
        if not weight._data.T.flags.c_contiguous:
            raise TypeError(f"{self!r}: a Linear whose weight was replaced is no layer of deepc")
        if bias is None:
            return _layers.Linear.over(weight._data, gradient_array(weight))
        return _layers.Linear.over(
            weight._data, gradient_array(weight), bias._data, gradient_array(bias)
        )

    def _leaves(self) -> list[Any]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]


class Identity(Module):
    """The input as it is; arguments do not matter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Return the input."""
        return input


class Flatten(Module):
    """The dimensions from one to another as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """Return the input with fewer dimensions."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return the dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def _deepc(self) -> _layers.Layer:
        return _layers.Flatten()


class Unflatten(Module):
    """One dimension as several."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        """Return the input with more dimensions."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Return dimension and sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


# ---- Activations ---------------------------------------------------------------------------------


class _Activation(Module):
    """An activation: a function of `functional`, with the numbers that its repr shows."""

    _function: ClassVar[Callable[..., Any]]
    # What the constructor takes, in order, and what it is if not given.
    _defaults: ClassVar[dict[str, Any]] = {}
    # What deepc's layer is made of these numbers; None where there is none.
    _layer_of: ClassVar[Callable[..., _layers.Layer] | None] = None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()
        values = settings(self, given, named)
        self.__dict__.update(values)
        if list(values) in ([], ["inplace"]):
            # Nothing to look up in each call.
            self.__dict__["forward"] = type(self)._function

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._changed()

    def forward(self, input: Any) -> Any:
        """Return the function of the input."""
        numbers = {name: getattr(self, name) for name in self._defaults if name != "inplace"}
        return type(self)._function(input, **numbers)

    def extra_repr(self) -> str:
        """Return the numbers."""
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name in self._defaults
            if name != "inplace" or self.inplace
        ]
        return ", ".join(shown)

    def _deepc(self) -> _layers.Layer:
        make = type(self)._layer_of
        if make is None:
            raise TypeError(f"{self!r}: deepc has no such layer")
        return make(self)


def _make(name: str, function: Any, layer: Any = None, **defaults: Any) -> Any:
    """Return an activation's class."""
    members = {
        "__doc__": function.__doc__, "__module__": "deepc.torch.nn", "_defaults": defaults,
        "_function": staticmethod(function),
        "_layer_of": staticmethod(layer) if layer else None,
    }  # fmt: skip
    return type(name, (_Activation,), members)


_IN_PLACE = {"inplace": False}
ReLU = _make("ReLU", F.relu, lambda _: deepc.Relu(), **_IN_PLACE)
Tanh = _make("Tanh", F.tanh, lambda _: deepc.Tanh())
Sigmoid = _make("Sigmoid", F.sigmoid, lambda _: deepc.Sigmoid())
LeakyReLU = _make(
    "LeakyReLU", F.leaky_relu, lambda m: deepc.LeakyReLU(m.negative_slope),
    negative_slope=0.01, **_IN_PLACE,
)  # fmt: skip
ELU = _make("ELU", F.elu, lambda m: deepc.ELU(m.alpha), alpha=1.0, **_IN_PLACE)
CELU = _make("CELU", F.celu, lambda m: deepc.CELU(m.alpha), alpha=1.0, **_IN_PLACE)
SELU = _make("SELU", F.selu, lambda _: deepc.SELU(), **_IN_PLACE)
GELU = _make("GELU", F.gelu, lambda m: deepc.GELU(m.approximate == "tanh"), approximate="none")
SiLU = _make("SiLU", F.silu, lambda _: deepc.SiLU(), **_IN_PLACE)
Mish = _make("Mish", F.mish, lambda _: deepc.Mish(), **_IN_PLACE)
Softplus = _make("Softplus", F.softplus, None, beta=1.0, threshold=20.0)
Softsign = _make("Softsign", F.softsign, lambda _: deepc.Softsign())
ReLU6 = _make("ReLU6", F.relu6, lambda _: deepc.ReLU6(), **_IN_PLACE)
Hardtanh = _make("Hardtanh", F.hardtanh, None, min_val=-1.0, max_val=1.0, **_IN_PLACE)
Hardsigmoid = _make("Hardsigmoid", F.hardsigmoid, lambda _: deepc.HardSigmoid(), **_IN_PLACE)
Hardswish = _make("Hardswish", F.hardswish, lambda _: deepc.HardSiLU(), **_IN_PLACE)
LogSigmoid = _make("LogSigmoid", F.logsigmoid, lambda _: deepc.LogSigmoid())
Softmax = _make("Softmax", F.softmax, lambda _: _layers.Softmax(), dim=None)
LogSoftmax = _make("LogSoftmax", F.log_softmax, lambda _: _layers.LogSoftmax(), dim=None)
# Those over whole rows, whose dimension may be another one.
_ROWWISE = {Softmax, LogSoftmax}
# Those that a product has in the same operation.
FUSED = {ReLU: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}


class PReLU(Module):
    """x where it is positive, else ``weight * x``; the weight is learned."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = _size(num_parameters, "num_parameters")
        kind = as_dtype(as_numpy_dtype(dtype))
        self.weight = Parameter.over(np.full(self.num_parameters, init, kind))

    def forward(self, input: Any) -> Any:
        """Return the function of the input."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return the number of weights."""
        return f"num_parameters={self.num_parameters}"


class Dropout(Module):
    """Elements dropped with probability p, the rest divided by 1 - p, in training only."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        """Return the input with elements dropped; outside training as it is."""
        return F.dropout(input, self.p, True) if self.training else input

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}, inplace={self.inplace}"

    def _deepc(self) -> _layers.Layer:
        return _layers.Dropout(self.p, inverted=True, rng=key())


# ---- Layers over a layer of deepc ----------------------------------------------------------------


class _Compiled:
    """Layers of deepc as one operation of the tape; each call has a network of its own.

    The leaves are the parameters of the layers, in whose gradients' arrays the layers put theirs.
    """

    __slots__ = ("dtype", "inputs", "layers", "leaves", "modes", "name", "parts", "pool")

    def __init__(self, layers: list[Any], leaves: list[Any], name: str) -> None:
        self.layers, self.leaves, self.name = layers, leaves, name
        self.parts = [layer._memory.parts for layer in layers]
        self.dtype: Any = leaves[0]._data.dtype
        self.pool: list[Network] = []
        self.inputs = Network(self.parts, self.dtype).inputs
        # Layers that compute something else in training.
        self.modes = [layer for layer in layers if isinstance(layer, _layers.BatchNorm)]

    def __call__(self, x: Any) -> Any:
        """Return the output of rows, NotImplemented for anything else."""
        run = _Pass(self)
        return tape.network(x, run.network._address, self.leaves, run, self.name)


class _Pass:
    """A network with one pass in its memory; it is used again once nobody needs that."""

    # Not the module: what a user keeps of outputs in it would refer back to it.
    __slots__ = ("modes", "network", "pool")

    def __init__(self, of: _Compiled) -> None:
        self.pool = pool = of.pool
        try:
            self.network = pool.pop()
        except IndexError:
            self.network = Network(of.parts, of.dtype)
        self.modes = [(layer, layer._train) for layer in of.modes]

    def restore(self) -> None:
        """Let the layers be in the modes of the pass."""
        for layer, mode in self.modes:
            if layer._train is not mode:
                layer.train = mode

    def __del__(self) -> None:
        self.pool.append(self.network)


_MADE = ("_layer", "_compiled")


class _OverLayer(Module):
    """A module over a layer of deepc, whose arrays its parameters and buffers are."""

    # What torch calls its parameters, and what deepc does; the same of its buffers.
    _names: ClassVar[dict[str, str]] = {}
    _kept: ClassVar[dict[str, str]] = {}

    _layer: Any
    _compiled: _Compiled | None

    def _adopt(self, layer: BuiltinLayer) -> None:
        """Make parameters and buffers over the arrays of a layer."""
        self.__dict__["_layer"] = layer
        for name, own in self._names.items():
            if layer._c_params[own] in layer._memory.parts.parameters:
                new = Parameter.over(getattr(layer, own), True, getattr(layer, f"{own}_grad"))
                super().__setattr__(name, new)
            else:
                self.register_parameter(name, None)
        for name, own in self._kept.items():
            self.register_buffer(name, over(Tensor, getattr(layer, own)))
        leaves = self._leaves()
        self.__dict__["_compiled"] = (
            _Compiled([layer], leaves, type(self).__name__) if leaves else None
        )

    def _leaves(self) -> list[Any]:
        leaves = [self._parameters[name] for name in self._names]
        return [leaf for leaf in leaves if leaf is not None]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._names and isinstance(value, Parameter):
            # The layer's memory stays, and so does the parameter over it.
            own = self._parameters.get(name)
            if own is None:
                raise TypeError(f"{name}: {self!r} has been made without")
            own.data = value._data
            return
        super().__setattr__(name, value)
        if name == "eps" and "_layer" in self.__dict__:
            self._layer.epsilon = value

    def _run(self, input: Any) -> Any:
        """Return the layer's output for rows, as one operation."""
        x, layer = F._tensor(input, type(self).__name__)._data, self._layer
        if x.dtype != layer._memory.parts.dtype:
            raise RuntimeError(
                f"{self!r}: expected {layer._dtype} as its weights are, got {x.dtype}; "
                ".double() and .float() change the one or the other"
            )
        rows = np.ascontiguousarray(x)
        if rows is not x:
            input = ops._plain(input, x.dtype)
        if self._compiled is None:
            return self._plainly(input)
        return self._compiled(input)

    def _plainly(self, input: Any) -> Any:
        """Return the output where there is no parameter, by operations."""
        raise NotImplementedError

    def _remade(self, layer: BuiltinLayer) -> None:
        """Go on over another layer: the same numbers, maybe of another dtype."""
        before = {**self._parameters, **self._buffers}
        self._adopt(layer)
        for name, new in {**self._parameters, **self._buffers}.items():
            old = before.get(name)
            if new is not None and old is not None:
                new.data = old._data
                if isinstance(new, Parameter):
                    new.requires_grad_(old.requires_grad)
                    retire(old)

    def _new_layer(self, dtype: Any) -> BuiltinLayer:
        raise NotImplementedError

    def _widths_fit(self) -> bool:
        """Whether it is over the columns of rows."""
        return True

    def _convert(self, kind: np.dtype[Any]) -> None:
        if self._layer._dtype != kind:
            self._remade(self._new_layer(kind))
            self._changed()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in _MADE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        kinds = [p._data.dtype for p in (*self._parameters.values(), *self._buffers.values())
                 if p is not None and p._data.dtype.kind == "f"]  # fmt: skip
        self._remade(self._new_layer(kinds[0] if kinds else None))
        super().__setstate__({})

    def _deepc(self) -> _layers.Layer:
        return cast(_layers.Layer, self._layer)


def _normalized(x: Any, axis: int, eps: float) -> Any:
    """Return x with mean 0 and variance 1 along an axis."""
    centred = x - ops.mean(x, axis, True)
    return centred / ops.sqrt(ops.mean(centred * centred, axis, True) + eps)


class BatchNorm1d(_OverLayer):
    """Each column of a batch with mean 0 and variance 1, then scaled and shifted.

    The running variance is the unbiased one, as torch has it.
    """

    _names = {"weight": "gamma", "bias": "beta"}  # noqa: RUF012
    _kept = {"running_mean": "mean", "running_var": "variance"}  # noqa: RUF012
    _momentum_set: float | None = None

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features = _size(num_features, "num_features")
        self.eps = as_float(eps, "eps", 0.0)
        self.momentum = momentum
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        self.__dict__["_has_bias"] = self.affine and bool(bias)
        self._adopt(self._new_layer(as_dtype(as_numpy_dtype(dtype))))
        self.register_buffer("num_batches_tracked", over(Tensor, np.zeros((), np.int64)))

    def _new_layer(self, dtype: Any) -> BuiltinLayer:
        self.__dict__["_momentum_set"] = None
        return _layers.BatchNorm(
            self.num_features, 1.0 - (0.0 if self.momentum is None else self.momentum), self.eps,
            center=self._has_bias, scale=self.affine, unbiased=True, dtype=dtype,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        """Return the normalized input, (n, c) or (n, c, l)."""
        shape = input._data.shape
        if len(shape) not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {len(shape)}D input)")
        if shape[1] != self.num_features:
            raise RuntimeError(
                f"running_mean should contain {shape[1]} elements not {self.num_features}"
            )
        if len(shape) == 3:
            rows = input.permute(0, 2, 1).reshape(-1, shape[1])
            return self._rows(rows, shape).reshape(shape[0], shape[2], shape[1]).permute(0, 2, 1)
        return self._rows(input, shape)

    def _rows(self, input: Any, shape: tuple[int, ...]) -> Any:
        self._begin(len(input._data), shape)
        return self._run(input)

    def _begin(self, rows: int, shape: tuple[int, ...]) -> None:
        """Prepare the layer for a pass over so many rows."""
        layer, training = self._layer, self.training
        if training:
            if rows == 1:
                raise ValueError(
                    "Expected more than 1 value per channel when training, got input size "
                    f"torch.Size({list(shape)})"
                )
            count = self.num_batches_tracked._data
            count += 1
            momentum = 1.0 / float(count) if self.momentum is None else self.momentum
            if momentum != self._momentum_set:
                layer.momentum = 1.0 - momentum
                self.__dict__["_momentum_set"] = momentum
        mode = training or not self.track_running_stats
        if layer._train is not mode:
            layer.train = mode

    def _plainly(self, input: Any) -> Any:
        layer = self._layer
        if not layer._train:
            return (input - self.running_mean) / ops.sqrt(self.running_var + self.eps)
        # The layer moves the averages.
        layer.forward(input._data)
        return _normalized(input, 0, self.eps)

    def reset_running_stats(self) -> None:
        """Let the running averages start anew."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Let averages and parameters start anew."""
        self.reset_running_stats()
        for name, number in (("weight", 1), ("bias", 0)):
            if self._parameters[name] is not None:
                self._parameters[name].data.fill_(number)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self._has_bias}, "
            f"track_running_stats={self.track_running_stats}"
        )


class LayerNorm(_OverLayer):
    """The last dimensions with mean 0 and variance 1, then scaled and shifted."""

    _names = {"weight": "gamma", "bias": "beta"}  # noqa: RUF012

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps = as_float(eps, "eps", 0.0)
        self.elementwise_affine = bool(elementwise_affine)
        self.__dict__["_has_bias"] = self.elementwise_affine and bool(bias)
        self._adopt(self._new_layer(as_dtype(as_numpy_dtype(dtype))))

    def _new_layer(self, dtype: Any) -> BuiltinLayer:
        return _layers.LayerNorm(
            math.prod(self.normalized_shape), self.eps, center=self._has_bias,
            scale=self.elementwise_affine, dtype=dtype,
        )  # fmt: skip

    def _adopt(self, layer: BuiltinLayer) -> None:
        super()._adopt(layer)
        if len(self.normalized_shape) == 1:
            return
        for name in self._names:
            parameter = self._parameters[name]
            if parameter is not None:
                shaped = parameter._data.reshape(self.normalized_shape)
                Module.__setattr__(self, name, Parameter.over(shaped))

    def forward(self, input: Any) -> Any:
        """Return the normalized input."""
        shape, own = input._data.shape, self.normalized_shape
        if shape[len(shape) - len(own) :] != own:
            raise RuntimeError(
                f"Given normalized_shape={list(own)}, expected input with shape "
                f"[*, {', '.join(map(str, own))}], but got input of size{list(shape)}"
            )
        if len(own) > 1:
            return F.layer_norm(input, own, self.weight, self.bias, self.eps)
        if len(shape) == 2:
            return self._run(input)
        return self._run(input.reshape(-1, own[0])).reshape(shape)

    def _plainly(self, input: Any) -> Any:
        return _normalized(input, -1, self.eps)

    def _widths_fit(self) -> bool:
        return len(self.normalized_shape) == 1

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self._has_bias}"
        )


class Embedding(Module):
    """The rows of a table that whole numbers name; it starts with normal numbers."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        device: Any = None, dtype: Any = None, _weight: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_embeddings = _size(num_embeddings, "num_embeddings")
        self.embedding_dim = _size(embedding_dim, "embedding_dim")
        if padding_idx is not None and padding_idx < 0:
            padding_idx += num_embeddings
        self.padding_idx = padding_idx
        kind = as_dtype(as_numpy_dtype(dtype))
        table = aligned_zeros((self.num_embeddings, self.embedding_dim), kind)
        self.weight = Parameter.over(table)
        if _weight is None:
            self.reset_parameters()
        else:
            self.weight.data = _weight

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        self.weight.data.normal_()
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """Return one with a given table."""
        made = cls(
            embeddings.shape[0], embeddings.shape[1], padding_idx=padding_idx, _weight=embeddings
        )
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input: Any) -> Any:
        """Return the rows."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        more = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{more}"


# ---- Containers ----------------------------------------------------------------------------------


class Sequential(Module):
    """Modules one after the other.

    Products with their activations, one after another, are one call of the library.

    Examples
    --------
    >>> from deepc.torch import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> net[0], len(net)
    (Linear(in_features=2, out_features=3, bias=True), 3)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    _steps: tuple[int, Any] = (-1, None)

    def __call__(self, *input: Any, **more: Any) -> Any:
        """Return ``forward(input)``."""
        # What would go another way has another version: _prepared looks at it.
        version, steps = self._steps
        if version != _plan.structure_version or len(input) != 1 or more:
            return super().__call__(*input, **more)
        # As in forward: to share the loop would cost a call, a twentieth of a small network's time.
        x = input[0]
        for chain, step in steps:
            if chain is not None:
                y = _linears(x, chain)
                if y is not NotImplemented:
                    x = y
                    continue
            x = step(x)
        return x

    def forward(self, input: Any) -> Any:
        """Return the output of the last module."""
        for chain, step in self._prepared():
            if chain is not None:
                y = _linears(input, chain)
                if y is not NotImplemented:
                    input = y
                    continue
            input = step(input)
        return input

    def _prepared(self) -> Any:
        """Return what to do with an input: lists of products, and the modules as they are.

        It is kept for the next calls where nothing of the Sequential itself was replaced.
        """
        steps: list[tuple[Any, Any]] = []
        modules = list(_flat(self))
        place = 0
        while place < len(modules):
            taken = _compilable(modules[place:])
            if taken:
                steps.append((None, _compiled_run(taken)))
                place += len(taken)
                continue
            chain: list[Any] = []
            while place < len(modules) and _is_plain(modules[place], Linear):
                one = modules[place]
                following = modules[place + 1] if place + 1 < len(modules) else None
                name = FUSED.get(type(following))
                fused = name is not None and _is_plain(following, type(following))
                number = ops.fused(name if fused else None) + _TRANSPOSED
                chain.append((one.weight, one.bias, number))
                taken += [one, following] if fused else [one]
                place += 1 + fused
            if chain:
                steps.append((chain, _in_turn(taken)))
            else:
                steps.append((None, modules[place]))
                place += 1
        if _is_plain(self, Sequential):
            self.__dict__["_steps"] = (_plan.structure_version, steps)
        return steps

    def _place(self: Any, index: int) -> str:
        names: list[str] = list(self._modules)
        if not -len(names) <= operator.index(index) < len(names):
            raise IndexError(f"index {index} is out of range")
        return names[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return self._modules[self._place(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._place(index), module)

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [self._place(index)]
        for name in gone:
            delattr(self, name)
        kept = list(self._modules.values())
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(kept):
            self.add_module(str(i), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self: Any) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def __add__(self, other: Iterable[Module]) -> Sequential:
        return Sequential(*self, *other)

    def append(self: Any, module: Module) -> Any:
        """Add a module at the end; return the Sequential."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self: Any, index: int, module: Module) -> Any:
        """Add a module before another; return the Sequential."""
        modules = list(self)
        modules.insert(index, module)
        for i, one in enumerate(modules):
            self.add_module(str(i), one)
        return self

    def extend(self: Any, modules: Iterable[Module]) -> Any:
        """Add modules at the end; return the Sequential."""
        for module in modules:
            self.append(module)
        return self

    def pop(self, index: int) -> Module:
        """Remove a module and return it."""
        module = self[index]
        del self[index]
        return cast(Module, module)

    def _as_sequential(self) -> _layers.Sequential:
        """Return deepc's Sequential over the same arrays."""
        return _layers.Sequential([module.as_deepc() for module in _flat(self)])


# What the modules compute with, unless somebody has replaced it.
_FORWARD = {cls: cls.forward for cls in (Linear, BatchNorm1d, LayerNorm, Sequential)}


def _is_plain(module: Any, cls: Any) -> bool:
    """Whether a module is of just that class, and nothing of it was replaced."""
    if type(module) is not cls or module._hooks is not None:
        return False
    own = vars(module).get("forward")
    return getattr(cls, "forward", None) is _FORWARD.get(cls, _Activation.forward) and (
        own is None or own is getattr(cls, "_function", None)
    )


def _flat(module: Sequential) -> Iterator[Any]:
    for one in module._modules.values():
        if _is_plain(one, Sequential):
            yield from _flat(cast(Sequential, one))
        else:
            yield one


def _compilable(modules: list[Any]) -> list[Any]:
    """Return the first modules that are to be one network: products, activations and norms.

    None without a norm: products by themselves, and other activations, are operations whose
    gradients can be differentiated again.
    """
    taken: list[Any] = []
    for module in modules:
        kind = type(module)
        is_activation = isinstance(module, _Activation) and kind._layer_of and kind not in _ROWWISE
        is_norm = isinstance(module, _OverLayer) and module._compiled and module._widths_fit()
        is_linear = kind is Linear and module.weight._data.T.flags.c_contiguous
        if not _is_plain(module, kind) or not (is_activation or is_norm or is_linear):
            break
        taken.append(module)
    if not any(isinstance(module, _OverLayer) for module in taken):
        return []
    leaves = _leaves_of(taken)
    alike = len({leaf._data.dtype for leaf in leaves}) == 1
    return taken if alike and len({id(leaf) for leaf in leaves}) == len(leaves) else []


def _leaves_of(modules: list[Any]) -> list[Any]:
    return [leaf for module in modules if hasattr(module, "_leaves") for leaf in module._leaves()]


def _compiled_run(modules: list[Any]) -> Callable[[Any], Any]:
    """Return what computes modules as one operation, or what it does not take, one by one."""
    compiled = _Compiled([module._deepc() for module in modules], _leaves_of(modules), "Sequential")
    norms = [module for module in modules if isinstance(module, BatchNorm1d)]
    in_turn, inputs, dtype = _in_turn(modules), compiled.inputs, compiled.dtype

    def run(x: Any) -> Any:
        a = x._data if isinstance(x, Tensor) else None
        if a is None or a.ndim != 2 or a.dtype != dtype or inputs not in (None, a.shape[1]):
            return in_turn(x)
        if not a.flags.c_contiguous:
            x = ops._plain(x, dtype)
        for norm in norms:
            norm._begin(len(a), a.shape)
        return compiled(x)

    return run


def _in_turn(modules: list[Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for module in modules:
            x = module(x)
        return x

    return run


class ModuleList(Module):
    """A list of modules, which belong to the module that has it."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    __len__, __iter__, append = Sequential.__len__, Sequential.__iter__, Sequential.append
    extend, insert, _place = Sequential.extend, Sequential.insert, Sequential._place
    __setitem__, __delitem__, pop = (
        Sequential.__setitem__, Sequential.__delitem__, Sequential.pop,
    )  # fmt: skip

    def __repr__(self) -> str:
        texts = [repr(module) for module in self]
        lines, place = [], 0
        while place < len(texts):
            end = place
            while end + 1 < len(texts) and texts[end + 1] == texts[place]:
                end += 1
            start = f"({place}): " if end == place else f"({place}-{end}): {end - place + 1} x "
            lines.append("\n  " + (start + texts[place]).replace("\n", "\n  "))
            place = end + 1
        return f"{type(self).__name__}({''.join(lines)}" + ("\n)" if lines else ")")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[self._place(index)]


class ModuleDict(Module):
    """Modules by name, which belong to the module that has it."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules by name."""
        for name, module in modules.items():
            self.add_module(name, module)

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._modules))

    def keys(self) -> Any:
        """Return the names."""
        return self._modules.keys()

    def items(self) -> Any:
        """Return names and modules."""
        return self._modules.items()

    def values(self) -> Any:
        """Return the modules."""
        return self._modules.values()


class ParameterList(Module):
    """A list of parameters, which belong to the module that has it."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        for value in values:
            self.append(value)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end; return the list."""
        parameter = value if isinstance(value, Parameter) else Parameter(value)
        self.register_parameter(str(len(self)), parameter)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: int) -> Any:
        return list(self)[index]
