"""Layers by the names that Keras has for them.

Each is made of layers of deepc as soon as it knows the shape of its input, and shows their arrays:
a `Dense` is a `deepc.Linear` and an activation. A model puts all of them into one network; shapes
are a matter of this face, the network computes rows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import deepc
from deepc._values import Array, as_array, as_bool, as_dtype, as_float, as_int
from deepc.keras import activations, constraints, initializers, regularizers
from deepc.keras._names import automatic, missing
from deepc.keras._variables import Variable
from deepc.layers import Layer as DeepcLayer

__all__ = ["Input", "InputLayer", "InputSpec", "KerasTensor", "Layer"]

Shape = tuple[int, ...]
# The classes of models by name, which are layers too; they are told of here once they are there.
MODELS: dict[str, Any] = {}


class InputSpec:
    """What a layer says of the input that it takes; kept, not looked at."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class KerasTensor:
    """The place of an array between layers: a shape, and the layer that it comes from."""

    def __init__(self, shape: Shape, layer: Layer, inputs: tuple[KerasTensor, ...] = ()) -> None:
        self.shape: tuple[int | None, ...] = (None, *shape)
        self.layer = layer
        self.inputs = inputs
        self.dtype = deepc.default_dtype().name

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.layer.name}>"


def as_shape(shape: Any, name: str = "shape") -> Shape:
    """Return the shape of a sample."""
    if isinstance(shape, (int, np.integer)) or shape is None:
        raise ValueError(f"Cannot convert '{shape}' to a shape.")
    sizes = tuple(shape)
    if any(size is None for size in sizes):
        raise ValueError(
            f"{name}: sizes that are not known (None) are not supported behind the batch; "
            f"got {sizes}"
        )
    return tuple(as_int(size, name, least=1) for size in sizes)


class Layer:
    """What all layers share. Use one of its subclasses.

    Attributes
    ----------
    name : str
    built : bool
        Whether it knows its input, and so has its weights.
    trainable : bool
    """

    # What the constructor takes, for `get_config`.
    _arguments: tuple[str, ...] = ()

    def __init__(self, **given: Any) -> None:
        if type(self).__module__ != __name__ and type(self).__mro__[1] is Layer:
            raise TypeError(
                f"{type(self).__name__}: layers written in Python are not part of this face; the "
                "nearest is a subclass of deepc.Layer with forward and backward in a "
                "deepc.Sequential"
            )
        self.name: str = given.pop("name", None) or automatic(type(self).__name__)
        dtype = given.pop("dtype", None)
        self._dtype = None if dtype is None else as_dtype(dtype)
        self._trainable = as_bool(given.pop("trainable", True), "trainable")
        self._sample: Shape | None = None
        if "input_dim" in given and given["input_dim"] is not None:
            self._say_input()
            self._sample = as_shape((given.pop("input_dim"),), "input_dim")
        if "input_shape" in given:
            self._say_input()
            self._sample = as_shape(given.pop("input_shape"), "input_shape")
        given.pop("batch_size", None)
        if given:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}: {given}"
            )
        self.built = False
        self._in: Shape = ()
        self._out: Shape = ()
        self._made: list[DeepcLayer] = []
        self._variables: list[Variable] = []
        self._sources: list[KerasTensor] = []
        self._result: KerasTensor | None = None

    @staticmethod
    def _say_input() -> None:
        warnings.warn(
            "Do not pass an `input_shape`/`input_dim` argument to a layer. When using Sequential "
            "models, prefer using an `Input(shape)` object as the first layer in the model "
            "instead.",
            UserWarning,
            stacklevel=4,
        )

    # ---- Building ----

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of a shape, batch included: ``(None, 4)``."""
        self.build_for(as_shape(tuple(input_shape)[1:]))

    def build_for(self, sample: Shape, owner: str = "") -> Shape:
        """Make the weights for samples of a shape; return the shape of what comes out."""
        if self.built:
            if sample != self._in:
                raise ValueError(
                    f"Input 0 with name 'None' of layer '{self.name}' is incompatible with the "
                    f"layer: expected shape={(None, *self._in)}, found shape={(None, *sample)}"
                )
            return self._out
        self._out = self._compute(sample)
        self._in = sample
        self._make(sample)
        self.built = True
        for variable in self._variables:
            variable.path = "/".join(filter(None, (owner, self.name, variable.name)))
        self.trainable = self._trainable
        for layer in self._made:
            if hasattr(layer, "train"):
                layer.train = False  # models compute as they do outside training, but when training
        return self._out

    def _compute(self, sample: Shape) -> Shape:
        """Return the shape of the output for an input's."""
        return sample

    def _make(self, sample: Shape) -> None:
        """Make the layers of deepc and the variables."""

    def _real(self) -> np.dtype[Any]:
        return self._dtype or deepc.default_dtype()

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape for an input's, batch included."""
        return (None, *self._compute(as_shape(tuple(input_shape)[1:])))

    # ---- What it is asked ----

    @property
    def trainable(self) -> bool:
        """Whether training changes it; may be assigned."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = as_bool(value, "trainable")
        for layer in self._made:
            if hasattr(layer, "trainable"):
                layer.trainable = self._trainable and not getattr(layer, "_fixed", False)

    @property
    def weights(self) -> list[Variable]:
        """All variables."""
        return list(self._variables)

    variables = weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The variables that it does not."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    non_trainable_variables = non_trainable_weights

    @property
    def dtype(self) -> str:
        """The name of the dtype that it computes in."""
        return self._real().name

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of its input."""
        self._need("input_shape")
        return (None, *self._in)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of its output."""
        self._need("output_shape")
        return (None, *self._out)

    @property
    def input(self) -> Any:
        """The place of its input."""
        if not self._sources:
            raise AttributeError(f"The layer {self.name} has never been called and thus has no "
                                 "defined input.")  # fmt: skip
        return self._sources[0] if len(self._sources) == 1 else self._sources

    @property
    def output(self) -> KerasTensor:
        """The place of its output."""
        if self._result is None:
            raise AttributeError(f"The layer {self.name} has never been called and thus has no "
                                 "defined output.")  # fmt: skip
        return self._result

    def _need(self, name: str) -> None:
        if not self.built:
            raise AttributeError(f"You must build the layer before accessing `{name}`.")

    def _variable(self, name: str) -> Variable:
        self._need(name)
        return next(v for v in self._variables if v.name == name)

    def get_weights(self) -> list[Array]:
        """Return copies of all weights."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy other numbers into the weights."""
        mine, given = self.weights, list(weights)
        if len(given) != len(mine):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of "
                f"length {len(given)}, but the layer was expecting {len(mine)} weights."
            )
        arrays = [as_array(w, "weights", v.value.dtype) for w, v in zip(given, mine, strict=True)]
        for array, variable in zip(arrays, mine, strict=True):
            if array.shape != variable.shape:
                raise ValueError(
                    f"Layer {self.name} weight shape {variable.shape} is not compatible with "
                    f"provided weight shape {array.shape}."
                )
        for array, variable in zip(arrays, mine, strict=True):
            variable.value[...] = array

    def count_params(self) -> int:
        """Return how many numbers its weights hold."""
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't "
                "built. You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(v.value.size for v in self.weights)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        config: dict[str, Any] = {
            "name": self.name, "trainable": self._trainable, "dtype": self.dtype,
        }  # fmt: skip
        for name in self._arguments:
            own = f"_{name}" if f"_{name}" in self.__dict__ else name
            config[name] = _described(getattr(self, own, None))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make one from such arguments."""
        config = dict(config)
        dtype = config.pop("dtype", None)
        if isinstance(dtype, dict):
            dtype = dtype.get("config", {}).get("name")
        known = {"name", "trainable", *cls._arguments}
        return cls(dtype=dtype, **{k: v for k, v in config.items() if k in known})

    # ---- Computing ----

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute an array's output; or go on from a place that `Input` or a layer gave."""
        if isinstance(inputs, KerasTensor):
            out = self.build_for(tuple(inputs.shape[1:]))  # type: ignore[arg-type]
            self._sources = [inputs]
            self._result = KerasTensor(out, self, (inputs,))
            return self._result
        array = as_array(inputs, "inputs")
        self.build_for(array.shape[1:])
        return run_rows(deepc.Sequential(self._made), array, self._out, bool(training))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def run_rows(net: Any, array: Array, out: Shape, training: bool) -> Array:
    """Return what a network of deepc gives for samples of any shape."""
    rows = array.reshape(len(array), -1)
    if training:
        with deepc.training(net, True):
            made = net.forward(rows)
    else:
        made = net.forward(rows)
    return np.asarray(made).reshape(len(array), *out)


def _described(value: Any) -> Any:
    if isinstance(value, activations.Function):
        return activations.serialize(value)
    if isinstance(value, initializers.Initializer):
        return initializers.serialize(value)
    if isinstance(value, (regularizers.Regularizer, constraints.Constraint)):
        kind = "regularizers" if isinstance(value, regularizers.Regularizer) else "constraints"
        return {
            "module": f"keras.{kind}", "class_name": type(value).__name__,
            "config": value.get_config(), "registered_name": None,
        }  # fmt: skip
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


class InputLayer(Layer):
    """The first place of a model."""

    def __init__(self, shape: Any = None, name: str | None = None, **given: Any) -> None:
        given.pop("batch_size", None)
        if "batch_shape" in given:
            shape = tuple(given.pop("batch_shape"))[1:]
        super().__init__(name=name or automatic("InputLayer"), **given)
        self._shape = as_shape(shape)
        self.build_for(self._shape)
        self._result = KerasTensor(self._shape, self)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {"batch_shape": [None, *self._shape], "dtype": self.dtype, "sparse": False,
                "ragged": False, "name": self.name}  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make one from such arguments."""
        return cls(tuple(config["batch_shape"])[1:], name=config.get("name"))


def Input(
    shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None
) -> KerasTensor:
    """Return the place where samples of a shape, batch not included, come in.

    Examples
    --------
    >>> Input((4,)).shape
    (None, 4)
    """
    return InputLayer(shape, name=name, dtype=dtype).output


def _last_only(layer: Layer, sample: Shape) -> None:
    if len(sample) != 1:
        raise ValueError(
            f"Input 0 of layer '{layer.name}' is incompatible with the layer: expected ndim=2, "
            f"found ndim={len(sample) + 1}. Full shape received: {(None, *sample)}; "
            "put a Flatten before it"
        )


class Dense(Layer):
    """``activation(inputs @ kernel + bias)``.

    Examples
    --------
    >>> layer = Dense(2, kernel_initializer="ones")
    >>> layer(np.ones((1, 3))).tolist()
    [[3.0, 3.0]]
    """

    _arguments = (
        "units", "activation", "use_bias", "kernel_initializer", "bias_initializer",
        "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
        "bias_constraint",
    )  # fmt: skip

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **given: Any,
    ) -> None:
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ValueError(
                "Received an invalid value for `units`, expected a positive integer. Received: "
                f"units={units}"
            )
        if activity_regularizer is not None:
            raise ValueError(
                "activity_regularizer: not supported; the nearest is kernel_regularizer"
            )
        self.units = int(units)
        self._activation = activations.get(activation)
        self._use_bias = as_bool(use_bias, "use_bias")
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._kernel_regularizer = regularizers.get(kernel_regularizer)
        self._bias_regularizer = regularizers.get(bias_regularizer)
        self._kernel_constraint = constraints.get(kernel_constraint)
        self._bias_constraint = constraints.get(bias_constraint)
        super().__init__(**given)

    @property
    def activation(self) -> Any:
        """Its activation."""
        return self._activation

    @property
    def use_bias(self) -> bool:
        """Whether it has a bias."""
        return self._use_bias

    @property
    def kernel(self) -> Variable:
        """The weights, of shape (inputs, units)."""
        return self._variable("kernel")

    @property
    def bias(self) -> Variable | None:
        """The bias, of shape (units,)."""
        return self._variable("bias") if self._use_bias else None

    def _compute(self, sample: Shape) -> Shape:
        if not sample:
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: expected "
                "min_ndim=2, found ndim=1. Full shape received: (None,)"
            )
        _last_only(self, sample)
        return (self.units,)

    def _make(self, sample: Shape) -> None:
        dtype = self._real()
        kernel = self._kernel_initializer((sample[0], self.units), dtype)
        bias = self._bias_initializer((self.units,), dtype) if self._use_bias else None
        linear = deepc.Linear(
            sample[0], self.units, init="zeros", bias=self._use_bias, dtype=dtype, rng=0
        )
        linear.w = kernel.T
        self._variables = [Variable(linear.w.T, "kernel", gradient=linear.w_grad.T)]
        self._variables[0].regularizer = self._kernel_regularizer
        self._variables[0].constraint = self._kernel_constraint
        if bias is not None:
            linear.b = bias
            self._variables.append(Variable(linear.b, "bias", gradient=linear.b_grad))
            self._variables[1].regularizer = self._bias_regularizer
            self._variables[1].constraint = self._bias_constraint
        function = self._activation.make()
        self._made = [linear] if function is None else [linear, function]


class Activation(Layer):
    """An activation by its name."""

    _arguments: tuple[str, ...] = ("activation",)

    def __init__(self, activation: Any, **given: Any) -> None:
        self._activation = activations.get(activation)
        super().__init__(**given)

    @property
    def activation(self) -> Any:
        """The activation."""
        return self._activation

    def _compute(self, sample: Shape) -> Shape:
        if self._activation.__name__ in ("softmax", "log_softmax"):
            _last_only(self, sample)
        return sample

    def _make(self, sample: Shape) -> None:
        made = self._activation.make()
        self._made = [] if made is None else [made]


class ReLU(Activation):
    """``max(x, 0)``, with a slope below 0 or a limit of 6 above."""

    _arguments = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **given: Any,
    ) -> None:
        if threshold or max_value not in (None, 6) or (max_value and negative_slope):
            raise ValueError(
                "ReLU: built in are a negative_slope, or a max_value of 6; the nearest to others "
                "is layers.ReLU() or layers.LeakyReLU()"
            )
        self._max_value, self._negative_slope, self._threshold = max_value, negative_slope, 0.0
        relu = activations.FUNCTIONS["relu"]
        chosen: Any = relu._with({"max_value": 6} if max_value else {})
        if negative_slope:
            chosen = relu._with({"negative_slope": negative_slope})
        super().__init__(chosen, **given)


class LeakyReLU(Activation):
    """x, or ``negative_slope * x`` below 0."""

    _arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **given: Any) -> None:
        if "alpha" in given:
            negative_slope = given.pop("alpha")
            warnings.warn("Argument `alpha` is deprecated. Use `negative_slope` instead.",
                          stacklevel=2)  # fmt: skip
        self._negative_slope = as_float(negative_slope, "negative_slope", 0.0)
        function = activations.FUNCTIONS["leaky_relu"].with_parameter(self._negative_slope)
        super().__init__(function, **given)


class ELU(Activation):
    """x, or ``alpha * (exp(x) - 1)`` below 0."""

    _arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, **given: Any) -> None:
        self._alpha = as_float(alpha, "alpha", 0.0)
        super().__init__(activations.FUNCTIONS["elu"].with_parameter(self._alpha), **given)


class Softmax(Activation):
    """Probabilities out of scores, along each row."""

    _arguments = ("axis",)

    def __init__(self, axis: int = -1, **given: Any) -> None:
        if axis not in (-1, 1):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self._axis = -1
        super().__init__("softmax", **given)


class Identity(Layer):
    """Its input."""


class PReLU(Layer):
    """A slope below 0 for each input, which is learned."""

    _arguments = ("alpha_initializer",)

    def __init__(self, alpha_initializer: Any = "Zeros", **given: Any) -> None:
        self._alpha_initializer = initializers.get(alpha_initializer)
        super().__init__(**given)

    @property
    def alpha(self) -> Variable:
        """The slopes."""
        return self._variable("alpha")

    def _make(self, sample: Shape) -> None:
        made = deepc.PReLU(math.prod(sample), slope=0.0, dtype=self._real())
        made.slopes = self._alpha_initializer(sample, self._real()).reshape(-1)
        self._made, self._variables = [made], [Variable(made.slopes.reshape(sample), "alpha")]


def _check_rate(rate: Any) -> float:
    if (
        isinstance(rate, bool)
        or not isinstance(rate, (int, float, np.number))
        or not (0 <= rate <= 1)
    ):
        raise ValueError(
            "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
            f"Received: rate={rate}"
        )
    return float(rate)


class Dropout(Layer):
    """In training each input is 0 with probability `rate`, else divided by 1 - rate."""

    _arguments = ("rate", "seed", "noise_shape")

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **given: Any
    ) -> None:
        self.rate = _check_rate(rate)
        if noise_shape is not None:
            raise ValueError("noise_shape: not supported; each input is dropped by itself")
        self.seed, self.noise_shape = seed, noise_shape
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.Dropout(self.rate, inverted=True, rng=self.seed)] if self.rate else []


class GaussianNoise(Layer):
    """In training normal numbers are added."""

    _arguments = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **given: Any) -> None:
        self.stddev, self.seed = as_float(stddev, "stddev", 0.0), seed
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.GaussianNoise(self.stddev, rng=self.seed)]


class GaussianDropout(Layer):
    """In training inputs are multiplied by normal numbers around 1."""

    _arguments = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **given: Any) -> None:
        self.rate, self.seed = _check_rate(rate), seed
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        self._made = [deepc.GaussianDropout(self.rate, rng=self.seed)]


class Flatten(Layer):
    """Samples of any shape become rows of numbers.

    Examples
    --------
    >>> Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    _arguments = ("data_format",)

    def __init__(self, data_format: str | None = None, **given: Any) -> None:
        if data_format not in (None, "channels_last"):
            raise ValueError(f"data_format: only 'channels_last' is supported, got {data_format!r}")
        self.data_format = "channels_last"
        super().__init__(**given)

    def _compute(self, sample: Shape) -> Shape:
        return (math.prod(sample),)


class Reshape(Layer):
    """Samples in another shape."""

    _arguments = ("target_shape",)

    def __init__(self, target_shape: Any, **given: Any) -> None:
        self.target_shape = tuple(target_shape)
        super().__init__(**given)

    def _compute(self, sample: Shape) -> Shape:
        try:
            return tuple(np.empty(sample, bool).reshape(self.target_shape).shape)
        except ValueError:
            raise ValueError(
                "The total size of the tensor must be unchanged. Received: "
                f"input_shape={sample}, target_shape={self.target_shape}"
            ) from None


class _Affine(Layer):
    """Each input times a number plus another; neither is trained.

    It is a normalization with what it would have learned, so that it is compiled with the rest.
    """

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        raise NotImplementedError

    def _make(self, sample: Shape) -> None:
        made: Any = deepc.BatchNorm(math.prod(sample), epsilon=0.0, dtype=self._real())
        scale, offset = self._numbers(sample)
        made.gamma = np.broadcast_to(np.asarray(scale, self._real()), sample).reshape(-1)
        made.beta = np.broadcast_to(np.asarray(offset, self._real()), sample).reshape(-1)
        made._fixed, made.trainable = True, False
        self._made = [made]


class Rescaling(_Affine):
    """``inputs * scale + offset``.

    Examples
    --------
    >>> Rescaling(0.5, 1.0)(np.array([[2.0, 4.0]])).tolist()
    [[2.0, 3.0]]
    """

    _arguments = ("scale", "offset")

    def __init__(self, scale: Any, offset: Any = 0.0, **given: Any) -> None:
        self.scale, self.offset = scale, offset
        super().__init__(**given)

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        return self.scale, self.offset


class Normalization(_Affine):
    """Inputs less their mean, divided by their deviation: given, or found by `adapt`."""

    _arguments = ("axis", "mean", "variance")

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, **given: Any
    ) -> None:
        if axis != -1:
            raise ValueError(f"axis: only -1 is supported, got {axis!r}")
        self.axis, self.mean, self.variance = axis, mean, variance
        super().__init__(**given)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take mean and variance from data."""
        if self.built:
            raise ValueError("adapt: call it before the model is built")
        array = as_array(data, "data").astype(np.float64)
        columns = array.reshape(-1, array.shape[-1])
        self.mean, self.variance = columns.mean(axis=0), columns.var(axis=0)

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        if self.mean is None or self.variance is None:
            raise ValueError(
                f"Normalization '{self.name}': call adapt(data) first, or give mean and variance"
            )
        deviation = np.maximum(np.sqrt(np.asarray(self.variance, np.float64)), 1e-7)
        return 1 / deviation, -np.asarray(self.mean, np.float64) / deviation


class BatchNormalization(Layer):
    """Columns of a batch with mean 0 and variance 1, then scaled and shifted."""

    _arguments = (
        "axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer",
        "moving_mean_initializer", "moving_variance_initializer",
    )  # fmt: skip

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **given: Any,
    ) -> None:
        if axis not in (-1, 1):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self.axis, self.center, self.scale = -1, center, scale
        self.momentum = as_float(momentum, "momentum", 0.0, 1.0)
        self.epsilon = as_float(epsilon, "epsilon", 0.0)
        self._beta_initializer = initializers.get(beta_initializer)
        self._gamma_initializer = initializers.get(gamma_initializer)
        self._moving_mean_initializer = initializers.get(moving_mean_initializer)
        self._moving_variance_initializer = initializers.get(moving_variance_initializer)
        super().__init__(**given)

    def __getattr__(self, name: str) -> Any:
        if name in ("gamma", "beta", "moving_mean", "moving_variance"):
            return self._variable(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _compute(self, sample: Shape) -> Shape:
        _last_only(self, sample)
        return sample

    def _make(self, sample: Shape) -> None:
        made = deepc.BatchNorm(
            sample[0], self.momentum, self.epsilon, center=self.center, scale=self.scale,
            dtype=self._real(),
        )  # fmt: skip
        shown = [
            (self.scale, "gamma", "gamma", self._gamma_initializer, True),
            (self.center, "beta", "beta", self._beta_initializer, True),
            (True, "mean", "moving_mean", self._moving_mean_initializer, False),
            (True, "variance", "moving_variance", self._moving_variance_initializer, False),
        ]
        for there, attribute, name, initializer, trains in shown:
            if there:
                setattr(made, attribute, initializer(sample, self._real()))
                self._variables.append(Variable(getattr(made, attribute), name, "", trains))
        self._made = [made]


class LayerNormalization(Layer):
    """Each row with mean 0 and variance 1, then scaled and shifted."""

    _arguments = ("axis", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer")

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **given: Any,
    ) -> None:
        if axis not in (-1, 1, [-1], (-1,), [1]):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self.axis, self.center, self.scale = -1, center, scale
        self.epsilon = as_float(epsilon, "epsilon", 0.0)
        self._beta_initializer = initializers.get(beta_initializer)
        self._gamma_initializer = initializers.get(gamma_initializer)
        super().__init__(**given)

    def __getattr__(self, name: str) -> Any:
        if name in ("gamma", "beta"):
            return self._variable(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _compute(self, sample: Shape) -> Shape:
        _last_only(self, sample)
        return sample

    def _make(self, sample: Shape) -> None:
        made = deepc.LayerNorm(
            sample[0], self.epsilon, center=self.center, scale=self.scale, dtype=self._real()
        )
        for there, name, initializer in (
            (self.scale, "gamma", self._gamma_initializer),
            (self.center, "beta", self._beta_initializer),
        ):
            if there:
                setattr(made, name, initializer(sample, self._real()))
                self._variables.append(Variable(getattr(made, name), name))
        self._made = [made]


class Embedding(Layer):
    """The rows of a table that whole numbers name."""

    _arguments = ("input_dim", "output_dim", "embeddings_initializer", "mask_zero")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **given: Any,
    ) -> None:
        if mask_zero:
            raise ValueError("mask_zero: masks are not supported; the nearest is a class of its "
                             "own for what is padded")  # fmt: skip
        self.input_dim = as_int(input_dim, "input_dim", least=1)
        self.output_dim = as_int(output_dim, "output_dim", least=1)
        self.mask_zero = False
        self._embeddings_initializer = initializers.get(embeddings_initializer)
        self._regularizer = regularizers.get(embeddings_regularizer)
        self._constraint = constraints.get(embeddings_constraint)
        given.pop("input_length", None)
        super().__init__(**given)

    @property
    def embeddings(self) -> Variable:
        """The table."""
        return self._variable("embeddings")

    def _compute(self, sample: Shape) -> Shape:
        return (*sample, self.output_dim)

    def _make(self, sample: Shape) -> None:
        dtype = self._real()
        made = deepc.Embedding(self.input_dim, self.output_dim, init="zeros", dtype=dtype, rng=0)
        made.w = self._embeddings_initializer((self.input_dim, self.output_dim), dtype)
        self._made, self._variables = [made], [Variable(made.w, "embeddings", gradient=made.w_grad)]
        self._variables[0].regularizer = self._regularizer
        self._variables[0].constraint = self._constraint

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Look up whole numbers; or go on from a place."""
        if isinstance(inputs, KerasTensor):
            return super().__call__(inputs, training)
        array = np.asarray(inputs)
        self.build_for(array.shape[1:])
        return run_rows(deepc.Sequential(self._made), array, self._out, False)


_CLASSES: list[type[Layer]] = [
    Dense, Activation, ReLU, LeakyReLU, ELU, Softmax, Identity, PReLU, Dropout, GaussianNoise,
    GaussianDropout, Flatten, Reshape, Rescaling, Normalization, BatchNormalization,
    LayerNormalization, Embedding, InputLayer,
]  # fmt: skip
CLASSES: dict[str, type[Layer]] = {cls.__name__: cls for cls in _CLASSES}
__all__ += [name for name in CLASSES if name not in __all__]

_IMAGES = "layers.Flatten and layers.Dense: images are rows of pixels here"
_STEPS = "layers.Flatten and layers.Dense: there are no layers over time"
_LEFT_OUT = {
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D",
         "MaxPooling2D", "MaxPool2D", "AveragePooling2D", "GlobalAveragePooling2D",
         "GlobalMaxPooling2D", "UpSampling2D", "ZeroPadding2D", "RandomFlip", "RandomRotation",
         "RandomZoom", "Resizing", "CenterCrop"),
        _IMAGES,
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "Attention",
         "MultiHeadAttention", "GlobalAveragePooling1D", "MaxPooling1D", "Masking"),
        _STEPS,
    ),
    "Lambda": "a subclass of deepc.Layer",
    "ActivityRegularization": "kernel_regularizer of layers.Dense",
    "GroupNormalization": "layers.LayerNormalization",
    "UnitNormalization": "layers.LayerNormalization",
    "AlphaDropout": "layers.Dropout",
    "SpatialDropout1D": "layers.Dropout",
}  # fmt: skip

__getattr__ = missing("deepc.keras.layers", __all__, _LEFT_OUT)
