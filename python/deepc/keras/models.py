"""Models: layers one after the other, trained by deepc's one loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import deepc
from deepc._values import Array, as_int
from deepc.keras import _training, callbacks, layers, losses, metrics, optimizers
from deepc.keras._names import automatic, missing
from deepc.keras._progress import Progbar, say
from deepc.keras._variables import Variable
from deepc.keras.layers import InputLayer, KerasTensor, Layer, Shape
from deepc.layers import _plan
from deepc.layers.sequential import compiled_network
from deepc.losses import Loss as DeepcLoss
from deepc.training.data import Rows, check_rows, class_weights, split
from deepc.training.evaluate import measure, training
from deepc.training.penalties import Penalties
from deepc.training.session import Session
from deepc.training.sources import Source, StreamSource, Validation

__all__ = ["Functional", "Model", "Sequential", "load_model"]

_BATCH = 32


class Model(Layer):
    """A chain of layers from an input to an output: ``Model(inputs, outputs)``.

    `compile` says how it is trained, `fit` trains it, `evaluate` and `predict` use it.
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Make a model; of inputs and outputs a functional one."""
        if cls is Model and (arguments or "inputs" in named):
            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(self, *, name: str | None = None, trainable: bool = True, **given: Any) -> None:
        if type(self).__module__ != __name__ and type(self).__mro__[1] is Model:
            raise TypeError(
                f"{type(self).__name__}: models with a call of their own are not part of this "
                "face; the nearest is keras.Sequential, or a subclass of deepc.Layer"
            )
        super().__init__(name=name or automatic(type(self).__name__), trainable=trainable, **given)
        self._chain: list[Layer] = []
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.history: Any = None
        self._tracked: list[_training.Tracked] = []
        self._full: Any = None
        self._trained: Any = None
        self._meaning = _training.Meaning(None)
        self._engine: tuple[Any, ...] | None = None
        self._penalties: Penalties | None = None
        self._compiled: dict[str, Any] | None = None
        self._pending: list[Any] | None = None
        self._shape_to_build: Shape | None = None
        self._validated: Validation | None = None
        self._quick = False
        self._modes: list[Any] = []
        self._last: Any = None

    # ---- Layers ----

    @property
    def layers(self) -> list[Layer]:
        """Its layers, without the input."""
        return [layer for layer in self._chain if not isinstance(layer, InputLayer)]

    def _shown_layers(self) -> list[Layer]:
        return self.layers

    def _flat(self) -> Iterator[Layer]:
        for layer in self._chain:
            if isinstance(layer, Model):
                yield from layer._flat()
            else:
                yield layer

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
    def weights(self) -> list[Variable]:
        """All variables of all layers."""
        return [v for layer in self._flat() for v in layer.weights]

    variables = weights

    @property
    def trainable(self) -> bool:
        """Whether training changes it; assigning says it to all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        for layer in getattr(self, "_chain", []):
            layer.trainable = value

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [v for layer in self._flat() for v in layer.trainable_weights]

    trainable_variables = trainable_weights

    @property
    def inputs(self) -> list[Any]:
        """The places of its inputs."""
        self._need_shape("inputs")
        return [layer.output for layer in self._chain if isinstance(layer, InputLayer)]

    def _need_shape(self, name: str) -> None:
        if not self.built:
            raise AttributeError(f"Sequential model '{self.name}' has no defined {name} yet.")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of its input."""
        self._need_shape("input shape")
        return (None, *self._in)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of its output."""
        self._need_shape("output shape")
        return (None, *self._out)

    def _compute(self, sample: Shape) -> Shape:
        for layer in self._chain:
            sample = layer._compute(sample)
        return sample

    def build_for(self, sample: Shape, owner: str = "") -> Shape:
        """Make all weights for samples of a shape; return the shape of what comes out."""
        if self.built:
            return super().build_for(sample, owner)
        if not self.layers:
            raise ValueError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call "
                "`model.add(layer)`."
            )
        shape = sample
        path = f"{owner}/{self.name}" if owner else self.name
        for layer in self._chain:
            shape = layer.build_for(shape, path)
        self._in, self._out, self.built = sample, shape, True
        self._made = [made for layer in self._chain for made in layer._made]
        self._full = deepc.Sequential(self._made)
        self._quick = bool(self._made) and len(sample) == len(shape) == 1
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.set_weights(pending)
        return shape

    def _last_activation(self) -> str:
        flat = list(self._flat())
        function = getattr(flat[-1], "_activation", None) if flat else None
        return function.__name__ if function is not None else ""

    # ---- Compiling ----

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained: by which optimizer, loss and metrics."""
        if loss_weights is not None:
            raise ValueError(
                "loss_weights: models with several outputs are not supported; the nearest is "
                "sample_weight in fit"
            )
        if isinstance(loss, (list, tuple, dict)):
            raise ValueError("loss: expected one loss, got several; a model has one output here")
        made = optimizers.get(optimizer)
        chosen = None if loss is None else self._as_loss(loss)
        from deepc.keras import metrics as named

        tracked = _training.tracked(named.get, metrics, weighted_metrics)
        self.optimizer, self.loss, self._tracked = made, loss, tracked
        self._compiled = {
            "optimizer": optimizer, "loss": loss, "metrics": metrics, "chosen": chosen,
            "weighted_metrics": weighted_metrics,
        }  # fmt: skip
        self._engine = None

    @staticmethod
    def _as_loss(loss: Any) -> Any:
        if loss in ("crossentropy", "ce"):
            return loss
        return losses.get(loss)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss's first."""
        return [metrics.Mean(name="loss"), *(item.metric for item in self._tracked)]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns."""
        return ["loss", *(item.name for item in self._tracked)]

    def _machinery(self) -> tuple[Any, Any, Any, Any]:
        """Return what is trained, the loss for deepc, the rule, and the network that checks ask."""
        engine, version = self._engine, _plan.structure_version
        if engine is not None and engine[0] == version:
            return engine[2]  # type: ignore[no-any-return]
        trains = tuple(layer.trainable for layer in self._flat())
        if engine is not None and engine[1] == trains:
            # Layers of somebody else have changed.
            self._engine = (version, trains, engine[2])
            return engine[2]  # type: ignore[no-any-return]
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")
        chosen = self._compiled["chosen"]
        if chosen is None:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        if isinstance(chosen, str):
            raise ValueError(
                "loss: 'crossentropy' is chosen when targets are known: call fit or evaluate first"
            )
        last = self._last_activation()
        fused = isinstance(chosen, losses.Loss) and chosen.fused_with(last)
        net: Any = deepc.Sequential(self._made[:-1]) if fused else self._full
        self._meaning = _training.Meaning(self._made[-1] if fused else None)
        for item in self._tracked:
            item.meaning = self._meaning
        loss: Any = chosen if isinstance(chosen, DeepcLoss) else chosen.make(fused)
        trained, rule = net, self.optimizer.rule
        variables = self.trainable_weights
        self._penalties = Penalties(
            net, [(v.value, v.regularizer.l1, v.regularizer.l2)
                  for v in variables if v.regularizer is not None]
        )  # fmt: skip
        constrained = [v for v in variables if v.constraint is not None]
        if constrained:
            rule = _training.Constrained(rule, constrained)
        self.optimizer.build(variables)
        machinery = (trained, loss, rule, net)
        self._engine = (_plan.structure_version, trains, machinery)
        self._modes = [made for made in self._made if hasattr(made, "train")]
        return machinery

    def _choose_crossentropy(self, y: Array) -> None:
        """Take the crossentropy that fits the shapes, where compile left it open."""
        if self._compiled and isinstance(self._compiled["chosen"], str):
            width = math.prod(self._out)
            name = "categorical_crossentropy"
            if width == 1:
                name = "binary_crossentropy"
            elif y.ndim == 1 or y.shape[-1] == 1:
                name = "sparse_categorical_crossentropy"
            self._compiled["chosen"] = losses.get(name)

    # ---- Data ----

    def _rows_of(self, x: Any, name: str = "x") -> Array:
        """Return samples as rows, the model built for them."""
        array = _training.as_samples(x, name)
        if len(array) == 0:
            raise ValueError(f"{name}: expected at least one sample, got shape {array.shape}")
        if not self.built:
            self.build_for(array.shape[1:])
        if array.shape[1:] != self._in:
            if array.ndim == 1 and self._in == (1,):
                return array[:, None]
            self._refuse(array)
        return array.reshape(len(array), -1)

    def _refuse(self, array: Array) -> None:
        expected = (None, *self._in)
        if array.shape == self._in:
            raise ValueError(
                f"Invalid input shape for input {array.dtype} array. Expected shape {expected}, "
                f"but input has incompatible shape {array.shape}; for one sample use x[None]"
            )
        first = self.layers[0].name
        if array.ndim == 1:
            raise ValueError(
                f"Input 0 of layer '{first}' is incompatible with the layer: expected "
                f"min_ndim=2, found ndim=1. Full shape received: {array.shape}"
            )
        raise ValueError(
            f"Exception encountered when calling {type(self).__name__}.call(). Input 0 with name "
            f"'None' of layer '{first}' is incompatible with the layer: expected axis -1 of input "
            f"shape to have value {self._in[-1] if self._in else 1}, but received input with "
            f"shape {array.shape}"
        )

    def _data(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, name: str = ""
    ) -> Rows:
        """Return checked samples, targets and weights."""
        if isinstance(x, tuple) and y is None and len(x) in (2, 3):
            x, y, sample_weight = (*x, sample_weight)[:3]
        if sample_weight is not None and class_weight is not None:
            raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
        rows = self._rows_of(x, f"{name}x")
        if y is None:
            raise ValueError(f"{name}y: expected {len(rows)} targets, got None")
        given = _training.as_samples(y, f"{name}y")
        weights = (
            None
            if sample_weight is None
            else _training.as_samples(sample_weight, f"{name}sample_weight")
        )
        _training.check_cardinality(x=rows, y=given, sample_weight=weights)
        self._choose_crossentropy(given)
        _, _, _, net = self._machinery()
        assert self._compiled is not None
        chosen = self._compiled["chosen"]
        outputs = math.prod(self._out)
        prepared, ignored = _training.targets(chosen, given, outputs, f"{name}y")
        if ignored is not None:
            weights = ignored if weights is None else weights * ignored
        loss = chosen if isinstance(chosen, DeepcLoss) else chosen.make(net is not self._full)
        checked = check_rows(net, rows, prepared, loss, weights, name)
        if class_weight is not None:
            if not isinstance(class_weight, dict) or any(
                isinstance(k, bool) or not isinstance(k, (int, np.integer)) for k in class_weight
            ):
                raise ValueError(
                    "`class_weight` must be a dictionary mapping integer class numbers to "
                    f"weights. Received: class_weight={class_weight}"
                )
            checked.weights = class_weights(class_weight, checked)
        return checked

    # ---- Training ----

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> Any:
        """Train the model; return the `History` of its epochs.

        The arguments are those of Keras. An epoch is one call into C unless a callback wants to
        know of each batch.

        Examples
        --------
        >>> import numpy as np
        >>> model = Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0)
        >>> len(history.history["loss"])
        3
        """
        self._check_compiled()
        batch = as_int(_BATCH if batch_size is None else batch_size, "batch_size", least=1)
        epochs = as_int(epochs, "epochs", least=0)
        if steps_per_epoch is not None:
            steps_per_epoch = as_int(steps_per_epoch, "steps_per_epoch", least=1)
        told = _callbacks_of(callbacks)
        validation = None
        source: Any
        if _training.is_stream(x):
            if class_weight is not None or sample_weight is not None or validation_split:
                raise ValueError(
                    "class_weight, sample_weight and validation_split need arrays; give (x, y, "
                    "sample_weight) in each batch, and validation_data"
                )
            source, steps = self._stream(x, steps_per_epoch)
        else:
            rows = self._data(x, y, sample_weight, class_weight)
            if validation_split and validation_data is None:
                rows, validation = self._split(rows, validation_split)
            source = Source(rows, batch, bool(shuffle), None, steps_per_epoch)
            # A batch of one row is a batch all the same.
            source.batch_size = min(batch, max(len(rows), 2)) if batch > 1 else 1
            steps = steps_per_epoch or math.ceil(len(rows) / batch)
        if validation_data is not None:
            validation = self._validation(validation_data, validation_steps)
        trained, loss, rule, _ = self._machinery()
        verbose = 1 if verbose == "auto" else int(verbose)
        adapter = _training.adapter(told, self, epochs, steps, verbose)
        adapter.each = batch
        self.stop_training = False
        self.history = _new_history(self, verbose, epochs, steps)
        for callback in told:
            callback.set_params({**self.history.params, "validates": validation is not None})
            callback.set_model(self)
        session = Session(trained, loss, rule, self._tracked, [adapter], self._penalties)
        watched = None
        if validation is not None:
            each = validation_batch_size or batch
            watched = Validation(validation, as_int(validation_freq, "validation_freq", 1), each)
        self._validated = watched
        with training(trained, True):
            self._run(session, source, initial_epoch, epochs, watched, adapter)
        if self.optimizer.rule.ema is not None and self.optimizer.rule.averages:
            self.optimizer.rule.take_averages(trained)
        return self.history

    def _run(
        self, session: Any, source: Any, first: int, epochs: int, watched: Any, adapter: Any
    ) -> None:
        for item in self._tracked:
            if hasattr(item.metric, "batch_size"):
                item.metric.batch_size = adapter.each
        session.run(source, as_int(first, "initial_epoch", least=0), epochs, watched,
                    adapter.advance)  # fmt: skip

    def _check_compiled(self) -> None:
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")

    def _split(self, rows: Rows, fraction: float) -> tuple[Rows, Rows]:
        if not 0 < fraction < 1 or math.floor(len(rows) * (1 - fraction)) in (0, len(rows)):
            raise ValueError(
                f"Training data contains {len(rows)} samples, which is not sufficient to split it "
                "into a validation and training set as specified by "
                f"`validation_split={fraction}`. Either provide more data, or a different value "
                "for the `validation_split` argument."
            )
        return split(rows, fraction)

    def _stream(self, x: Any, steps: int | None) -> tuple[Any, int | None]:
        stream = _training.Stream(x, self._batch)
        first = stream.peek()
        self._data(*_as_batch(first))
        _, _, _, net = self._machinery()
        assert self._compiled is not None
        chosen = self._compiled["chosen"]
        loss = chosen if isinstance(chosen, DeepcLoss) else chosen.make(net is not self._full)
        length = len(x) if hasattr(x, "__len__") else None
        return StreamSource(stream, net, loss, steps), steps or length

    def _batch(self, batch: Any) -> Any:
        rows = self._data(*_as_batch(batch))
        given = (rows.x, rows.actual)
        return given if rows.weights is None else (*given, rows.weights)

    def _validation(self, data: Any, steps: int | None) -> Rows:
        if _training.is_stream(data):
            return self._data(*_training.whole_batches(data, steps), None, "validation ")
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data: expected (x, y) or (x, y, sample_weight), "
                f"got {type(data).__name__}"
            )
        x, y, weights = (*data, None)[:3]
        return self._data(x, y, weights, None, "validation ")

    # ---- Evaluation ----

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, and the metrics as compiled, over samples."""
        self._check_compiled()
        batch = as_int(_BATCH if batch_size is None else batch_size, "batch_size", least=1)
        told = _callbacks_of(callbacks)
        if _training.is_stream(x):
            x, y, sample_weight = _training.whole_batches(x, steps)
        rows = self._data(x, y, sample_weight)
        for callback in told:
            callback.set_model(self)
        bar = Progbar(math.ceil(len(rows) / batch), verbose=_verbosity(verbose))
        self._validated = Validation(rows, 1, batch)
        adapter = _training.Adapter(self, told, 1, None, 0)
        _tell(told, "on_test_begin", {})
        if any(_training.overrides(c, _training._TEST_HOOKS) for c in told):
            self._test_by_batches(adapter._tell)
        logs = self._measured(rows, batch)
        shown = _training.sorted_logs(logs)
        _tell(told, "on_test_end", shown)
        bar.update(math.ceil(len(rows) / batch), shown, finalize=True)
        return self._answer(logs, return_dict)

    def _measured(self, rows: Rows, batch: int) -> dict[str, float]:
        trained, loss, _, _ = self._machinery()
        for item in self._tracked:
            if hasattr(item.metric, "batch_size"):
                item.metric.batch_size = batch
        metrics: Any = self._tracked
        return measure(trained, rows, loss, metrics, batch, self._penalties)

    def _test_by_batches(self, tell: Callable[..., None]) -> None:
        """Tell callbacks of each batch of an evaluation, with the numbers so far."""
        watched: Any = self._validated
        rows, batch = watched.rows, watched.batch_size or _BATCH
        for number, start in enumerate(range(0, len(rows), batch)):
            tell("on_test_batch_begin", number, {})
            so_far = rows.part(slice(0, start + batch))
            tell("on_test_batch_end", number, _training.sorted_logs(self._measured(so_far, batch)))

    def _answer(self, logs: dict[str, float], return_dict: bool) -> Any:
        if return_dict:
            return _training.sorted_logs(logs)
        values = [logs["loss"], *(logs[item.name] for item in self._tracked)]
        return values if self._tracked else values[0]

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for samples.

        Examples
        --------
        >>> model = Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict(np.array([[1.0, 2.0]]), verbose=0).tolist()
        [[3.0]]
        """
        if verbose == 0 and callbacks is None and self.built and self._quick:
            # What comes most often goes straight into the library, which looks at it anyway.
            fits = type(x) is np.ndarray and x.ndim == 2 and x.shape[1] == self._in[0]
            if fits and len(x):
                return self._full.forward(x)
        return self._predict(x, batch_size, verbose, steps, callbacks)

    def _predict(
        self, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any
    ) -> Any:
        batch = as_int(_BATCH if batch_size is None else batch_size, "batch_size", least=1)
        told = _callbacks_of(callbacks)
        if _training.is_stream(x):
            x = _training.whole_batches(x, steps)[0]
        rows = self._rows_of(x)
        count = math.ceil(len(rows) / batch)
        bar = Progbar(count, verbose=_verbosity(verbose))
        for callback in told:
            callback.set_model(self)
        _tell(told, "on_predict_begin", {})
        outputs = self._outputs(rows, False)
        for number in range(count if told else 0):
            _tell(told, "on_predict_batch_begin", number, {})
            part = outputs[number * batch : (number + 1) * batch]
            _tell(told, "on_predict_batch_end", number, {"outputs": part})
        _tell(told, "on_predict_end", {})
        bar.update(count, finalize=True)
        return outputs

    def _outputs(self, rows: Array, train: bool) -> Array:
        network = compiled_network(self._full)
        given = rows if network is None else network.as_input(rows, "x")
        if network is not None and network.takes_indices:
            network.check_indices(given, "x")
        return layers.run_rows(self._full, given, self._out, train)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        return self.predict(x, verbose=0)

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute the outputs of an array; or go on from a place."""
        if isinstance(inputs, KerasTensor):
            return super().__call__(inputs, training)
        return self._outputs(self._rows_of(inputs, "inputs"), bool(training))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Take one step; return the loss and the metrics of the batch before it."""
        if sample_weight is None and class_weight is None and self._engine is not None:
            value = self._quick_step(x, y)
            if value is not None:
                return (
                    value
                    if not self._tracked and not return_dict
                    else self._of_batch(value, y, None, self._last, return_dict)
                )
        self._check_compiled()
        rows = self._data(x, y, sample_weight, class_weight)
        trained, loss, rule, _ = self._machinery()
        more = () if rows.weights is None else (rows.weights,)
        with training(trained, True):
            predicted = trained.forward(rows.x)
            value = float(loss.loss(predicted, rows.actual, *more))
            trained.backward(loss.gradient(predicted, rows.actual, *more))
            if self._penalties:
                value += self._penalties.add()
            rule.step(trained)
        return self._of_batch(value, rows.actual, rows.weights, predicted, return_dict)

    def _quick_step(self, x: Any, y: Any) -> float | None:
        """Step where arrays need no conversion; None, and nothing done, where they may."""
        if type(x) is not np.ndarray or type(y) is not np.ndarray or x.ndim != 2 or not len(x):
            return None
        trained, loss, rule, net = self._machinery()
        if trained is not net or len(x) != len(y) or x.shape[1] != self._in[0]:
            return None
        if not isinstance(loss, losses.BuiltIn) or y.dtype != (
            np.int64 if y.ndim == 1 and loss.takes_labels else x.dtype
        ):
            return None
        modes = self._modes
        for layer in modes:
            layer.train = True
        try:
            self._last = predicted = net.forward(x)
            try:
                value, gradient = loss.loss_and_gradient(predicted, y)
            except ValueError:
                return None  # and the long way says what is wrong
            if not math.isfinite(value):
                return None
            net.backward(gradient, False)
            if self._penalties:
                value += self._penalties.add()
            rule.step(net)
        finally:
            for layer in modes:
                layer.train = False
        return float(value)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss and the metrics of one batch."""
        self._check_compiled()
        rows = self._data(x, y, sample_weight)
        trained, loss, _, _ = self._machinery()
        more = () if rows.weights is None else (rows.weights,)
        predicted = trained.forward(rows.x)
        value = float(loss.loss(predicted, rows.actual, *more))
        if self._penalties:
            value += self._penalties.value()
        return self._of_batch(value, rows.actual, rows.weights, predicted, return_dict)

    def _of_batch(
        self, value: float, actual: Array, given: Array | None, predicted: Any, return_dict: bool
    ) -> Any:
        if not self._tracked and not return_dict:
            return value
        logs = {"loss": value}
        for item in self._tracked:
            item.reset()
            weights = given if item.weighted else None
            item.update(actual, predicted, weights)
            logs[item.name] = item.result()
        return self._answer(logs, return_dict)

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

        text = table(self, line_length, positions, show_trainable, layer_range)
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


def _as_batch(batch: Any) -> tuple[Any, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ValueError(
            f"x: expected batches of (x, y) or (x, y, sample_weight), got {type(batch).__name__}"
        )
    return tuple(batch)


def _verbosity(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _callbacks_of(given: Any) -> list[Any]:
    return callbacks.check(given)


def _tell(told: list[Any], hook: str, *arguments: Any) -> None:
    for callback in told:
        getattr(callback, hook)(*arguments)


def _new_history(model: Any, verbose: int, epochs: int, steps: int | None) -> Any:
    history = callbacks.History()
    history.set_model(model)
    history.set_params({"verbose": verbose, "epochs": epochs, "steps": steps})
    return history


class Sequential(Model):
    """Layers one after the other.

    Examples
    --------
    >>> model = Sequential([layers.Input((4,)), layers.Dense(3, activation="relu")])
    >>> model.count_params()
    15
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        for layer in layers or ():
            self._add(layer)
        self._build_if_known()

    def _add(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)})"
            )
        if any(layer.name == other.name for other in self._chain):
            raise ValueError(
                "All layers added to a Sequential model should have unique names. Name "
                f"'{layer.name}' is already the name of a layer in this model. Update the `name` "
                "argument to pass a unique name."
            )
        if isinstance(layer, InputLayer) and self._chain:
            raise ValueError("Input: stands first in a Sequential model, or not at all")
        self._chain.append(layer)

    def _build_if_known(self) -> None:
        if not self._chain or not self.layers:
            return
        first = self._chain[0]
        known = first._in if isinstance(first, InputLayer) else first._sample
        if known is None and isinstance(first, Model) and first.built:
            known = first._in
        if known is not None:
            self._unbuild()
            self.build_for(known)

    def _unbuild(self) -> None:
        self.built, self._engine, self._full, self._made = False, None, None, []

    def add(self, layer: Any) -> None:
        """Add a layer at the end."""
        self._add(layer)
        if self.built:
            known = self._in
            self._unbuild()
            self.build_for(known)
        else:
            self._build_if_known()

    def pop(self) -> Layer | None:
        """Take the last layer away; return it."""
        if not self.layers:
            return None
        layer = self._chain.pop()
        if self.built:
            known = self._in
            self._unbuild()
            if self.layers:
                self.build_for(known)
        return layer

    def get_config(self) -> dict[str, Any]:
        """Return what makes it anew, without its weights."""
        from deepc.keras import _saving

        return _saving.sequential_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make one from that."""
        from deepc.keras import _saving

        return _saving.sequential_of(config)


class Functional(Model):
    """A chain of layers from an `Input`: ``Model(inputs, outputs)``.

    Examples
    --------
    >>> place = layers.Input((4,))
    >>> model = Model(place, layers.Dense(2)(layers.Dense(3)(place)))
    >>> model.output_shape
    (None, 2)
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None,
        trainable: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(name=name, trainable=trainable)
        chain: list[Layer] = []
        first, place = _one(inputs, "inputs"), _one(outputs, "outputs")
        self._outputs_at = place
        while place is not first:
            if len(place.inputs) != 1:
                raise ValueError(
                    f"outputs: layer '{place.layer.name}' is not reached from the inputs"
                    if not place.inputs
                    else f"outputs: layer '{place.layer.name}' joins several branches, which is "
                    "not supported; the nearest is one chain"
                )
            chain.append(place.layer)
            place = place.inputs[0]
        self._chain = [first.layer, *reversed(chain)]
        if not isinstance(first.layer, InputLayer):
            self._chain[0] = InputLayer(first.shape[1:])
        self.build_for(self._chain[0]._in)

    def _shown_layers(self) -> list[Layer]:
        return self._chain

    @property
    def layers(self) -> list[Layer]:
        """Its layers, the input first."""
        return list(self._chain)

    def get_config(self) -> dict[str, Any]:
        """Return what makes it anew, without its weights."""
        from deepc.keras import _saving

        return _saving.functional_config(self)


def _one(places: Any, name: str) -> KerasTensor:
    if isinstance(places, (list, tuple)) and len(places) == 1:
        places = places[0]
    if not isinstance(places, KerasTensor):
        raise ValueError(
            f"{name}: expected one place, as Input or a layer gives it, got {places!r}; models "
            "with several inputs or outputs are not supported"
        )
    return places


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Read a model from a ``.keras`` file, written here or by Keras."""
    from deepc.keras import _saving

    return _saving.load_model(filepath, compile)


def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None) -> Any:
    """Return a model of the same layers, with weights of its own."""
    from deepc.keras import _saving

    return _saving.model_of(_saving.described(model))


__all__ += ["clone_model"]
layers.MODELS.update(Sequential=Sequential, Functional=Functional)
__getattr__ = missing("deepc.keras.models", __all__, {"model_from_json": "models.load_model"})
