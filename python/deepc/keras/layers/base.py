"""What all layers share, those of this face and those that somebody writes."""

from __future__ import annotations

import functools
import inspect
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np

import deepc
from deepc import _tensorflow
from deepc._c.tape import Node
from deepc._values import Array, as_bool, as_dtype
from deepc.autodiff import bridges, ops
from deepc.autodiff.tensor import no_grad
from deepc.keras import activations, constraints, initializers, regularizers
from deepc.keras._names import automatic
from deepc.keras._registry import custom_name
from deepc.keras._variables import Variable
from deepc.keras.layers.calls import calling, context, is_custom, is_own, modes, takes
from deepc.keras.layers.holding import Holder
from deepc.keras.layers.places import (
    Call,
    KerasTensor,
    SampleOf,
    Shape,
    as_shape,
    flat,
    mapped,
    mapped_shapes,
    sample_shapes,
)
from deepc.layers import Layer as DeepcLayer

__all__ = ["Layer", "last_only", "run_rows", "variables_of", "written"]

# The classes of models by name, which are layers too; they are told of here once they are there.
MODELS: dict[str, Any] = {}


class Layer(Holder):
    """What all layers share; subclass it for one of your own.

    A layer of your own makes its weights with `add_weight`, in ``build(input_shape)`` or in its
    constructor, and computes in ``call(inputs)``, with the functions of `keras.ops` or `deepc.tf`:
    its gradient is that of the operations. Layers among its attributes belong to it.

    Attributes
    ----------
    name : str
    built : bool
        Whether it knows its input, and so has its weights.
    trainable : bool
    activity_regularizer : Regularizer or None
        What each call adds to the loss of the model for its output, divided by the batch's rows.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.keras.layers import Layer
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    >>> layer = Scale()
    >>> layer(np.array([[1.0, 2.0]])).numpy().tolist()
    [[1.0, 2.0]]
    >>> layer.weights
    [<Variable path=scale/scale, shape=(2,), dtype=float32, value=[1. 1.]>]
    """

    # What the constructor takes, for `get_config`.
    _arguments: tuple[str, ...] = ()
    # Whether it computes along the last dimension: other dimensions are samples to it.
    _last_axis = False
    # Whether its input names rows of a table.
    _takes_whole_numbers = False
    # What somebody wrote that comes after the layers of deepc.
    _after: Any = None

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Make one; of a class of a user's, note what it is made from."""
        self = super().__new__(cls)
        if is_custom(cls):
            self.__dict__["_given"] = (arguments, named)
        return self

    def __init__(self, **given: Any) -> None:
        self.name: str = given.pop("name", None) or automatic(type(self).__name__)
        dtype = given.pop("dtype", None)
        if isinstance(dtype, dict):
            dtype = dtype.get("config", {}).get("name")
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
        given.pop("autocast", None)
        self.activity_regularizer = regularizers.get(given.pop("activity_regularizer", None))
        if given:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}: {given}"
            )
        self.built = False
        self._in: Any = ()
        self._out: Any = ()
        self._made: list[DeepcLayer] = []
        self._variables: list[Variable] = []
        self._calls: list[Call] = []
        self._losses: list[Any] = []
        self._mark: object = None
        self._built_by: int | None = None

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
        if is_own(type(self)) and not self.built:
            self._build_own(as_shape(tuple(input_shape)[1:]), "")
        self.built = True

    def build_for(self, sample: Any, owner: str = "") -> Any:
        """Make the weights for samples of a shape; return the shape of what comes out.

        Of a layer with several inputs both are a list.
        """
        if self.built:
            self._check_input(sample)
            return self._out if sample == self._in else self._compute(sample)
        if self._traces():
            self._build_custom(sample, owner)
            return self._out
        self._build_own(sample, owner)
        return self._out

    def _build_own(self, sample: Any, owner: str) -> None:
        """Make the layers of deepc, and the variables that show their arrays."""
        self._check_single(sample)
        self._out = self._compute(sample)
        self._in = sample
        self._make(sample)
        self.built = True
        for variable in self._variables:
            variable.path = "/".join(filter(None, (owner, self.name, variable.name)))
        self._set_trains()
        for layer in self._made:
            if hasattr(layer, "train"):
                layer.train = False  # models compute as they do outside training, but when training

    def _build_custom(self, sample: Any, owner: str) -> None:
        """Let a user's layer make its weights; what comes out of it is found by the first call."""
        self._in = sample
        shapes = mapped_shapes(sample, lambda one: (None, *one))
        with calling(bool(context.training), "/".join(filter(None, (owner, self.name)))):
            self.build(shapes)
        if owner and is_own(type(self)):
            for variable in self._variables:
                if variable.path.startswith(f"{self.name}/"):
                    variable.path = f"{owner}/{variable.path}"
        self.built = True
        self._set_trains()

    def output_for(self, sample: Any, owner: str = "") -> Any:
        """Make the weights; return the shape of what comes out, by computing it where need be."""
        if not self._traces():
            return self.build_for(sample, owner)
        zeros = mapped_shapes(
            sample, lambda one: _tensorflow.Tensor(np.zeros((2, *one), self._real()))
        )
        with calling(False, owner), no_grad():
            self._computed((zeros,), False, {})
        return self._out

    def _check_input(self, sample: Any) -> None:
        """Refuse samples of another shape than those that it was built for."""
        if sample == self._in or is_custom(type(self)):
            return
        if self._last_axis and sample and self._in and sample[-1] == self._in[-1]:
            return
        if self._last_axis and not sample:
            raise ValueError(
                f"Input 0 with name 'None' of layer '{self.name}' is incompatible with the layer: "
                f"expected min_ndim=2, found ndim=1. Full shape received: {(None,)}"
            )
        if self._last_axis:
            raise ValueError(
                f"Input 0 with name 'None' of layer '{self.name}' is incompatible with the layer: "
                f"expected axis -1 of input shape to have value {self._in[-1]}, but received input "
                f"with shape {(None, *sample)}"
            )
        raise ValueError(
            f"Input 0 with name 'None' of layer '{self.name}' is incompatible with the "
            f"layer: expected shape={(None, *self._in)}, found shape={(None, *sample)}"
        )

    def _check_single(self, sample: Any) -> None:
        """Refuse several inputs."""
        if isinstance(sample, (list, dict)):
            raise ValueError(
                f"Layer '{self.name}' expects 1 input(s), but it received {len(sample)} input "
                "tensors; join them by layers.Concatenate or layers.Add"
            )

    def _compute(self, sample: Any) -> Any:
        """Return the shape of the output for an input's."""
        return sample

    def _make(self, sample: Any) -> None:
        """Make the layers of deepc and the variables."""

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape for an input's, batch included."""
        if not is_own(type(self)):
            raise NotImplementedError(
                f"Layer {type(self).__name__} should implement `def compute_output_shape(self, "
                "input_shape)`."
            )
        return (None, *self._compute(as_shape(tuple(input_shape)[1:])))

    def add_loss(self, loss: Any) -> None:
        """Add a number to the loss of the model, in each call: ``self.add_loss(0.1 * mean(x))``."""
        for one in loss if isinstance(loss, (list, tuple)) else [loss]:
            if not isinstance(one, Node) or one.data.size != 1:
                raise ValueError(
                    f"add_loss: expected a Tensor of one element, got {one!r:.60}; compute it from "
                    "the inputs or the weights in `call`"
                )
            self._losses.append(one)

    # ---- What it is asked ----

    @property
    def dtype(self) -> str:
        """The name of the dtype that it computes in."""
        return self._real().name

    compute_dtype = variable_dtype = dtype

    @property
    def input_shape(self) -> Any:
        """The shape of its input."""
        self._need("input_shape")
        return mapped_shapes(self._in, lambda one: (None, *one))

    @property
    def output_shape(self) -> Any:
        """The shape of its output."""
        self._need("output_shape")
        return mapped_shapes(self._out, lambda one: (None, *one))

    @property
    def input(self) -> Any:
        """The place of its input."""
        if not self._calls:
            raise AttributeError(f"The layer {self.name} has never been called and thus has no "
                                 "defined input.")  # fmt: skip
        sources = self._calls[0].inputs
        return sources[0] if len(sources) == 1 else sources

    @property
    def output(self) -> Any:
        """The place of its output."""
        if not self._calls:
            raise AttributeError(f"The layer {self.name} has never been called and thus has no "
                                 "defined output.")  # fmt: skip
        places = self._calls[0].outputs
        return places[0] if len(places) == 1 else places

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew.

        A layer of a user's that takes arguments which are no plain values overrides it.
        """
        config: dict[str, Any] = {
            "name": self.name, "trainable": self._trainable, "dtype": self.dtype,
        }  # fmt: skip
        for name in self._arguments:
            own = f"_{name}" if f"_{name}" in self.__dict__ else name
            config[name] = _described(getattr(self, own, None))
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = _described(self.activity_regularizer)
        given = self.__dict__.get("_given")
        if given is not None and type(self).get_config is Layer.get_config:
            # As far as nobody says it better: what the constructor was given.
            bound = inspect.signature(type(self).__init__).bind(self, *given[0], **given[1])
            bound.apply_defaults()
            kinds = inspect.signature(type(self).__init__).parameters
            config = {k: v for k, v in config.items() if takes(type(self).__init__, k)}
            for name, value in list(bound.arguments.items())[1:]:
                if kinds[name].kind is inspect.Parameter.VAR_KEYWORD:
                    config.update(value)
                elif kinds[name].kind is not inspect.Parameter.VAR_POSITIONAL:
                    config[name] = _described(value)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make one from such arguments."""
        config = dict(config)
        dtype = config.pop("dtype", None)
        if isinstance(dtype, dict):
            dtype = dtype.get("config", {}).get("name")
        if is_custom(cls):
            if takes(cls.__init__, "dtype"):
                config["dtype"] = dtype
            kept = {k: v for k, v in config.items() if takes(cls.__init__, k)}
            lost = set(config) - set(kept) - {"name", "trainable"}
            if lost:
                raise TypeError(
                    f"Error when deserializing class '{cls.__name__}' using config={config}: its "
                    f"constructor does not take {', '.join(sorted(lost))}"
                )
            return cls(**kept)
        known = {"name", "trainable", "activity_regularizer", *cls._arguments}
        return cls(dtype=dtype, **{k: v for k, v in config.items() if k in known})

    # ---- Computing ----

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute Tensors from Tensors; what a layer of your own defines."""
        if not is_own(type(self)):
            raise NotImplementedError(
                f"Exception encountered when calling {type(self).__name__}.call(): Layer "
                f"{type(self).__name__} does not have a `call` method implemented."
            )
        return self._on_tape(inputs)

    def _on_tape(self, x: Any) -> Any:
        """Compute a Tensor by the layers of deepc, which take rows."""
        sample = x.shape[1:]
        out = self._out if sample == self._in else self._compute(sample)
        if not self._made:
            y = ops.reshape(x, (x.shape[0], *out))
            return y if self._after is None else self._after(y)
        y = ops.reshape(x, (-1, sample[-1]) if self._last_axis else (x.shape[0], -1))
        if self._takes_whole_numbers:
            y = _whole(y, self)
        elif y.dtype != self._real():
            y = ops.astype(y, self._real())
        with modes(self._made):
            for layer in self._steps:
                y = layer(y)
        y = ops.reshape(y, (x.shape[0], *out))
        return y if self._after is None else self._after(y)

    def compiles(self) -> bool:
        """Whether its layers of deepc are all that it is, for samples as rows of numbers."""
        return not self.why_not_compiled()

    def why_not_compiled(self) -> str:
        """Return why it is no part of a network but computes on the tape, "" if it is one."""
        if is_custom(type(self)):
            return f"{type(self).__name__} is written in Python"
        if self._after:
            return "its activation is written in Python"
        if self.activity_regularizer is not None:
            return "it has an activity_regularizer"
        if self._last_axis and len(self._in) != 1:
            return "its samples have several dimensions"
        return ""

    @functools.cached_property
    def _steps(self) -> list[Any]:
        """The layers of deepc; what the tape does in one operation is one step."""
        fused = len(self._made) == 2 and isinstance(self._made[1], (deepc.Relu, deepc.Tanh))
        return [deepc.Sequential(self._made)] if fused else list(self._made)

    def __call__(self, *inputs: Any, training: bool | None = None, **named: Any) -> Any:
        """Compute a Tensor of an array or a Tensor; or go on from places of `Input` and layers."""
        self._check_begun()
        if any(isinstance(one, KerasTensor) for one in flat((inputs, named))):
            return self._connect(inputs, training, named)
        if not inputs and not named:
            raise TypeError(f"{type(self).__name__}.__call__() missing its inputs")
        history = (
            context.training is not None
            or _tensorflow.is_recording()
            or any(isinstance(one, Node) for one in flat((inputs, named)))
        )
        if training is None:
            training = bool(context.training)
        outermost = context.training is None
        if outermost:
            context.batch = next((len(x) for x in flat(inputs) if np.ndim(_bare(x))), None)
        try:
            with nullcontext() if history else no_grad():
                return self._computed(inputs, training, named)
        finally:
            if outermost:
                context.batch = None

    def _computed(self, inputs: tuple[Any, ...], training: bool, named: dict[str, Any]) -> Any:
        given = [mapped(_numbers(one), self._as_tensor) for one in inputs]
        named = mapped(named, self._as_tensor)
        owner = context.path
        if given and not self.built:
            self._built_by = context.batch
            self.build_for(sample_shapes(given[0]), owner)
        elif given and is_own(type(self)):
            self._check_input(sample_shapes(given[0]))
        path = "/".join(filter(None, (owner, self.name)))
        with calling(training, path):
            if self._mark is not context.mark:
                # The first use in a call from outside; those of other uses are added to it.
                self._losses, self._mark = [], context.mark
            if takes(type(self).call, "training"):
                named = {**named, "training": training}
            try:
                result = self.call(*given, **named)
            except Exception as error:
                if is_custom(type(self)) and not getattr(error, "__notes__", None):
                    shapes = ", ".join(str(getattr(x, "shape", x)) for x in flat(given))
                    error.add_note(f"in {type(self).__name__}.call() of inputs of shape {shapes}")
                raise
        if self._traces():
            self._check_result(result)
        if self.activity_regularizer is not None:
            for one in flat(result):
                self.add_loss(self.activity_regularizer(one) / float(one.shape[0]))
        return result

    def _tells_shape(self) -> bool:
        """Whether it says what comes out of it without computing it."""
        told = type(self).compute_output_shape is not Layer.compute_output_shape
        return told or not self._traces()

    def _kind(self) -> str:
        """Return what tables call its class."""
        return type(self).__name__

    def _traces(self) -> bool:
        """Whether nobody knows the shape of what comes out but by computing it."""
        return is_custom(type(self))

    def _check_result(self, result: Any) -> None:
        parts = list(flat(result))
        for one in parts:
            if not isinstance(one, Node):
                raise TypeError(
                    f"{type(self).__name__}.call() gave {type(one).__name__} instead of a Tensor: "
                    "compute with keras.ops or deepc.tf, whose gradients are known"
                )
        if not self._out:
            shapes = mapped(result, SampleOf)
            self._out = mapped_shapes(shapes, lambda one: one)

    def _as_tensor(self, value: Any) -> Any:
        """Return an input as a Tensor: floats in the layer's dtype."""
        if isinstance(value, Node) or not hasattr(value, "__array__"):
            return value
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = np.asarray(array, self._real())
        if array.dtype.kind not in "fiub":
            raise ValueError(f"inputs: expected numbers, got {type(value).__name__}")
        return _tensorflow.Tensor(array)

    def _connect(self, inputs: Any, training: bool | None, named: dict[str, Any]) -> Any:
        """Return the places of what comes out; note where they come from."""
        if training is not None:
            named = {**named, "training": training}
        shapes = mapped(inputs[0] if inputs else None, SampleOf)
        sample = mapped_shapes(shapes, lambda one: one)
        asked = type(self).compute_output_shape is not Layer.compute_output_shape
        if asked and is_custom(type(self)) and not isinstance(self, MODELS["Model"]):
            self.build_for(sample)
            shape = self.compute_output_shape(mapped_shapes(sample, lambda one: (None, *one)))
            out = self._out = mapped_shapes(shape, lambda one: as_shape(one[1:]))
        elif self._traces():
            out = self._traced(inputs, named)
        else:
            out = self.build_for(sample)
        call = Call(self, inputs, named)
        return mapped_shapes(out, lambda one: KerasTensor(one, call))

    def _traced(self, inputs: Any, named: dict[str, Any]) -> Any:
        """Return the shapes that a user's call gives, by calling it with zeros."""

        def zeros(place: Any) -> Any:
            if not isinstance(place, KerasTensor):
                return place
            dtype = self._real() if place.dtype.startswith("float") else place.dtype
            return _tensorflow.Tensor(np.zeros((2, *place.shape[1:]), dtype))

        given, more = mapped(list(inputs), zeros), mapped(named, zeros)
        with no_grad():
            result = self._computed(tuple(given), bool(more.pop("training", False)), more)
        for one in flat(result):
            if not one.shape or one.shape[0] != 2:
                raise ValueError(
                    f"{type(self).__name__}.call() gave the shape {one.shape} for a batch of 2: "
                    "the first dimension of what a layer gives is the batch"
                )
        return mapped_shapes(mapped(result, SampleOf), lambda one: one)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


# ---- Helpers -------------------------------------------------------------------------------------


def _bare(x: Any) -> Any:
    return x.data if isinstance(x, Node) else x


def _numbers(value: Any) -> Any:
    """Return nested lists of numbers as an array, anything else as it is."""
    if isinstance(value, (list, tuple)) and value:
        first = next(flat(value), None)
        if isinstance(first, (int, float, np.number)):
            return np.asarray(value)
    return value


def _whole(x: Any, layer: Layer) -> Any:
    """Return whole numbers, maybe kept as floats, as integers."""
    array = x.data
    if array.dtype.kind == "f":
        if not (array == np.floor(array)).all():
            raise ValueError(f"inputs: layer '{layer.name}' expects whole numbers")
        array = array.astype(np.int64)
    return _tensorflow.Tensor(array)


def variables_of(layer: Any, **names: str) -> list[Variable]:
    """Return the parameters of a layer of deepc as variables; `names` of C's names."""
    made = bridges.leaves(layer, Variable.over)
    for parameter, name in names.items():
        if parameter in made:
            made[parameter].name = made[parameter].path = name
    return [made[parameter] for parameter in names if parameter in made]


def written(activation: activations.Function) -> Any:
    """Return an activation that somebody wrote, None for one of the list."""
    return activation if isinstance(activation, activations.Written) else None


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
        own = type(value).__module__.startswith("deepc.keras.")
        return {
            "module": f"keras.{kind}" if own else None,
            "class_name": type(value).__name__,
            "config": value.get_config(),
            "registered_name": None if own else custom_name(type(value)),
        }  # fmt: skip
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def last_only(layer: Layer, sample: Shape) -> None:
    """Refuse samples that are single numbers."""
    if not sample:
        raise ValueError(
            f"Input 0 of layer '{layer.name}' is incompatible with the layer: expected min_ndim=2, "
            "found ndim=1. Full shape received: (None,)"
        )
