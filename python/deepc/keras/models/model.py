"""What all models are: layers, built for an input, trained as one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import numpy as np

import deepc
from deepc import _tensorflow
from deepc._c.tape import Node
from deepc.autodiff.tensor import no_grad
from deepc.keras._graph import Graph, Packing, final_activation
from deepc.keras._names import automatic
from deepc.keras._progress import say
from deepc.keras._registry import named_like
from deepc.keras.layers.base import MODELS, Layer
from deepc.keras.layers.calls import calling, context, is_custom
from deepc.keras.layers.inputs import InputLayer
from deepc.keras.layers.places import (
    KerasTensor,
    as_shape,
    flat,
    mapped,
    mapped_shapes,
    sample_shapes,
)
from deepc.keras.models.trainer import Trainer
from deepc.layers import _plan

__all__ = ["Model", "first_reason", "of_places"]

_BY_STEPS = "Training goes step by step through Python"


class Model(Trainer):
    """A model: ``Model(inputs, outputs)`` of places, or a subclass with a ``call`` of its own.

    `compile` says how it is trained, `fit` trains it, `evaluate` and `predict` use it. A subclass
    makes its layers in the constructor and computes in ``call(inputs, training=None)``.

    Examples
    --------
    >>> import numpy as np
    >>> from deepc.keras import Model, layers
    >>> class Net(Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = layers.Dense(4, activation="tanh")
    ...         self.out = layers.Dense(1)
    ...     def call(self, inputs, training=None):
    ...         return self.out(self.hidden(inputs))
    >>> model = Net()
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 3)), np.ones(8), epochs=2, verbose=0)
    >>> model.count_params(), model.predict(np.ones((2, 3)), verbose=0).shape
    (21, (2, 1))
    """

    # Whether it is made of layers in an order that is known, not of a call that somebody wrote.
    _has_graph = False

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Make a model; of inputs and outputs a functional one."""
        if cls is Model and (arguments or "inputs" in named or "outputs" in named):
            return super().__new__(MODELS["Functional"], *arguments, **named)
        return super().__new__(cls, *arguments, **named)

    def __init__(
        self, *arguments: Any, name: str | None = None, trainable: bool = True, **given: Any
    ) -> None:
        if arguments or "inputs" in given or "outputs" in given:
            # A subclass of somebody's that is made of places is a functional model from here on.
            self.__class__ = of_places(cast(Any, type(self)))
            self.__init__(*arguments, name=name, trainable=trainable, **given)  # type: ignore[misc]
            return
        super().__init__(name=name or automatic(type(self).__name__), trainable=trainable, **given)
        self._chain: list[Layer] = []
        self._full = None
        self._finals = []
        self._quick = False
        self._pending: list[Any] | None = None
        self._shape_to_build: Any = None
        self._begin()

    # ---- Layers ----

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """Its layers, without the input."""
        return [layer for layer in self._sublayers() if not isinstance(layer, InputLayer)]

    def _shown_layers(self) -> list[Layer]:
        return self.layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place."""
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has "
                    f"{len(self.layers)} layers."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"No such layer: {name}. Existing layers are: {[layer.name for layer in self.layers]}."
        )

    @property
    def inputs(self) -> list[Any]:
        """The places of its inputs."""
        self._need_shape("inputs")
        return [layer.output for layer in self._chain if isinstance(layer, InputLayer)]

    def _need_shape(self, name: str) -> None:
        if self._full is None:
            kind = "Sequential model" if isinstance(self, MODELS["Sequential"]) else "Model"
            raise AttributeError(f"{kind} '{self.name}' has no defined {name} yet.")

    @property
    def input_shape(self) -> Any:
        """The shape of its input."""
        self._need_shape("input shape")
        return mapped_shapes(self._in, lambda one: (None, *one))

    @property
    def output_shape(self) -> Any:
        """The shape of its output."""
        self._need_shape("output shape")
        return mapped_shapes(self._out, lambda one: (None, *one))

    def _set_trains(self) -> None:
        _plan.note_change()

    def _traces(self) -> bool:
        return not self._has_graph or is_custom(type(self))

    def _tells_shape(self) -> bool:
        return not self._traces()

    def _check_input(self, sample: Any) -> None:
        pass  # its layers look at what they get

    # ---- Building ----

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of a shape, batch included: ``(None, 4)``, or several."""
        if self.built:
            return
        sample = mapped_shapes(input_shape, lambda one: as_shape(one[1:]))
        if not self._traces():
            self.build_for(sample)
            return
        self._build_from(mapped_shapes(sample, lambda one: np.zeros((2, *one), self._real())))

    def _build_custom(self, sample: Any, owner: str) -> None:
        self._in, self.built = sample, True
        if type(self).build is not Model.build:
            with calling(bool(context.training), "/".join(filter(None, (owner, self.name)))):
                self.build(mapped_shapes(sample, lambda one: (None, *one)))

    def _build_from(self, given: Any, batch: int | None = None) -> None:
        """Make all weights by computing the first rows of samples; look at what comes out.

        `batch` is how many rows a batch has, as `summary` shows it.
        """
        few = mapped(given, lambda array: self._as_tensor(np.asarray(array)[:2]))
        if not self._traces():
            if not self.built:
                self.build_for(sample_shapes(few))
            return
        context.batch = batch
        try:
            with calling(False, ""):
                result = self._computed((few,), False, {})
        finally:
            context.batch = None
        self._in, self._out = sample_shapes(few), sample_shapes(result)
        self._ready([final_activation(one) for one in flat(result)])

    def _ready(self, finals: list[str] | None = None) -> None:
        """Note how inputs and outputs lie in rows, and what the model is trained as."""
        self._packed_in = Packing(self._in, self._input_names())
        self._packed_out = Packing(self._out, self._output_names())
        if not self.compiles():
            self._full = Graph(self)
            if finals is None:
                zeros = mapped_shapes(
                    self._in, lambda one: _tensorflow.Tensor(np.zeros((2, *one), self._real()))
                )
                with calling(False, ""):
                    result = self._computed((zeros,), False, {})
                finals = [final_activation(one) for one in flat(result)]
        else:
            self._full = deepc.Sequential(self._made)
            self._quick = bool(self._made) and len(self._in) == len(self._out) == 1
            finals = [self._last_activation()]
        self._finals = finals
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.set_weights(pending)
        if self._compiled is not None:
            self._track()

    def _input_names(self) -> list[str] | None:
        places = [layer.name for layer in self._chain if isinstance(layer, InputLayer)]
        return places or None

    def _output_names(self) -> list[str] | None:
        if isinstance(self._out, dict):
            return list(self._out)
        count = len(self._out) if isinstance(self._out, list) else 1
        return [f"output_{i + 1}" for i in range(count)] if count > 1 else ["output"]

    def _last_activation(self) -> str:
        """Return the name of the activation that comes last in a chain."""
        inner = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        last: Any = inner[-1] if inner else None
        if isinstance(last, Model):
            return last._last_activation()
        function = getattr(last, "_activation", None)
        return function.__name__ if function is not None else ""

    def why_not_compiled(self) -> str:
        """Return why it is no chain of layers that become one network, "" if it is one."""
        return f"{type(self).__name__} is written in Python"

    def explain(self) -> str:
        """Return, line by line, what is compiled into a network and what is on the tape, and why.

        Examples
        --------
        >>> from deepc.keras import Sequential, layers
        >>> print(Sequential([layers.Input((2,)), layers.Dense(1)]).explain())
        layers[0]  Linear(2, 1)  network 1 (float32)
        Training is one call an epoch.
        >>> hidden = layers.Dense(4, activity_regularizer="l2", name="hidden")
        >>> print(Sequential([layers.Input((2,)), hidden, layers.Dense(1, name="out")]).explain())
        hidden  Dense  on the tape: it has an activity_regularizer
        out     Dense  on the tape, as the whole model is
        Training goes step by step through Python.
        """
        self._need_shape("explanation")
        own = self._own_steps()
        how = f": it has a {own} of its own" if own else ""
        if not isinstance(self._full, Graph):
            text = str(self._full.explain())
            return f"{text.rpartition('Training')[0]}{_BY_STEPS}{how}." if own else text
        shown = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        whys = [layer.why_not_compiled() for layer in shown]
        rows = [
            (layer.name, type(layer).__name__,
             f"on the tape: {why}" if why else "on the tape, as the whole model is")
            for layer, why in zip(shown, whys, strict=True)
        ]  # fmt: skip
        sizes = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
        lines = [f"{a:{sizes[0]}}  {b:{sizes[1]}}  {c}" for a, b, c in rows]
        if not any(whys):
            lines.append(f"{self.name} is on the tape: {self.why_not_compiled()}.")
        return "\n".join([*lines, f"{_BY_STEPS}{how}."])

    # ---- Computing ----

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute Tensors from Tensors; what a model of your own defines."""
        raise NotImplementedError(
            f"Exception encountered when calling {type(self).__name__}.call(): Model "
            f"{type(self).__name__} does not have a `call()` method implemented."
        )

    def _compute_now(self, given: Any) -> Any:
        """Compute Tensors as the call that runs trains or not."""
        return self._computed((given,), bool(context.training), {})

    def __call__(self, *inputs: Any, training: bool | None = None, **named: Any) -> Any:
        """Compute the outputs of arrays or Tensors; or go on from places."""
        self._check_begun()
        if self._quick and len(inputs) == 1 and not training and not named:
            # What comes most often goes straight into the library, which looks at it anyway.
            x = inputs[0]
            fits = type(x) is np.ndarray and x.ndim == 2 and x.shape[1] == self._in[0]
            if fits and len(x) and context.training is None and not _tensorflow.is_recording():
                return _tensorflow.Tensor(self._full.forward(x))
        outside = context.training is None and not _tensorflow.is_recording()
        plain = len(inputs) == 1 and not named and outside
        if plain and not any(isinstance(one, (Node, KerasTensor)) for one in flat(inputs)):
            with nullcontext() if isinstance(self._full, Graph) else no_grad():
                rows = self._rows_of(inputs[0], "inputs")
            return mapped(self._outputs(rows, bool(training)), _tensorflow.Tensor)
        return super().__call__(*inputs, training=training, **named)

    # ---- What it shows, and files ----

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers, their shapes and how many numbers they hold."""
        from deepc.keras._summary import table

        text = table(self, line_length, positions, show_trainable, layer_range, expand_nested)
        if print_fn is None:
            say(text, end="")
        else:
            print_fn(text)

    def save(self, filepath: Any, overwrite: bool = True, **given: Any) -> None:
        """Write the model to a ``.keras`` file, which Keras reads too."""
        from deepc.keras import _saving

        _saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a ``.weights.h5`` file, which Keras reads too."""
        from deepc.keras import _saving

        _saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Read weights from a ``.weights.h5`` or ``.keras`` file."""
        from deepc.keras import _saving

        _saving.load_weights(self, filepath, skip_mismatch)

    def to_json(self, **given: Any) -> str:
        """Return what describes the model, without its weights, as JSON."""
        import json

        from deepc.keras import _saving

        return json.dumps(_saving.described(self), **given)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make one from what `get_config` gave."""
        if {"layers", "input_layers", "output_layers"} <= set(config):
            from deepc.keras import _saving

            return _saving.functional_of(config, custom_objects, cls)
        return super().from_config(config)


@functools.cache
def of_places(cls: Any) -> Any:
    """Return a class of models of places that is a user's class in all else."""
    made = type(cls.__name__, (cls, MODELS["Functional"]), {"__init__": _init_of_places})
    made.__module__, made.__qualname__, made.__doc__ = cls.__module__, cls.__qualname__, cls.__doc__
    named_like(made, cls)
    return made


def _init_of_places(self: Any, *arguments: Any, **given: Any) -> None:
    MODELS["Functional"].__init__(self, *arguments, **given)


def first_reason(within: list[Layer]) -> str:
    """Return why one of some layers is no part of a network, "" if all are."""
    return next((why for layer in within if (why := layer.why_not_compiled())), "")


MODELS["Model"] = Model
