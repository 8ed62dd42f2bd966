"""How a model is trained, measured and asked: by deepc's one loop."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import deepc
from deepc._values import Array, as_float, as_int
from deepc.keras import _training, callbacks, losses, metrics, optimizers
from deepc.keras._graph import Graph, Packing
from deepc.keras._progress import Progbar
from deepc.keras.layers.base import InputLayer, Layer, run_rows
from deepc.keras.layers.places import flat, mapped
from deepc.layers import _plan
from deepc.layers.sequential import compiled_network
from deepc.training.constraints import Constrained
from deepc.training.data import Rows, check_rows, class_weights, split
from deepc.training.evaluate import measure, training
from deepc.training.penalties import Penalties
from deepc.training.session import Session
from deepc.training.sources import Source, StreamSource, Validation

__all__ = ["Trainer"]

_BATCH = 32


class Trainer(Layer):
    """What a model has beside its layers: compile, fit, evaluate, predict."""

    optimizer: Any
    loss: Any
    stop_training: bool
    history: Any
    layers: list[Layer]
    # What it is trained as: a network of deepc, or a graph; how its inputs and outputs lie in rows;
    # the final activation of each output.
    _full: Any
    _packed_in: Packing
    _packed_out: Packing
    _finals: list[str]
    _quick: bool

    def _build_from(self, given: Any, batch: int | None = None) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        """Set what is there before `compile`."""
        self.optimizer = self.loss = self.history = None
        self.stop_training = False
        self._tracked: list[_training.Tracked] = []
        self._meanings: list[_training.Meaning] = []
        self._engine: tuple[Any, ...] | None = None
        self._compiled: dict[str, Any] | None = None
        self._penalties: Penalties | None = None
        self._validated: Validation | None = None
        self._modes: list[Any] = []
        self._last: Any = None

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
        made = optimizers.get(optimizer)
        chosen = _training.each(loss, self._as_loss)
        if loss_weights is not None:
            if not isinstance(loss_weights, (list, tuple, dict)):
                raise ValueError(
                    "loss_weights: expected a list or a dict of floats, one for each output, got "
                    f"{loss_weights!r}"
                )
            loss_weights = mapped(loss_weights, lambda one: as_float(one, "loss_weights"))
        from deepc.keras import metrics as named

        for given, argument in ((metrics, "metrics"), (weighted_metrics, "weighted_metrics")):
            _training.check_metrics(given, argument, named.get)
        self.optimizer, self.loss = made, loss
        self._compiled = {
            "optimizer": optimizer, "loss": loss, "metrics": metrics, "chosen": chosen,
            "weighted_metrics": weighted_metrics, "loss_weights": loss_weights,
        }  # fmt: skip
        self._engine = None
        self._tracked = []
        if self._full is not None:
            self._track()

    @staticmethod
    def _as_loss(loss: Any) -> Any:
        if loss is None or (isinstance(loss, str) and loss in ("crossentropy", "ce")):
            return loss
        return losses.get(loss)

    def _track(self) -> None:
        """Make the metrics of `compile`, once it is known which outputs there are."""
        from deepc.keras import metrics as named

        assert self._compiled is not None
        given = [(a, self._compiled[a]) for a in ("metrics", "weighted_metrics")]
        self._tracked = _training.tracked(named.get, given, self._packed_out)

    def _chosen(self) -> list[Any]:
        """Return the loss of each output, None for one without."""
        assert self._compiled is not None
        return self._packed_out_of(self._compiled["chosen"], "loss")

    def _packed_out_of(self, given: Any, name: str) -> list[Any]:
        """Return what was given for all outputs, or for each, for each of them."""
        out = self._packed_out
        if isinstance(given, dict):
            unknown = [key for key in given if key not in out.names]
            if unknown:
                raise ValueError(
                    f"In the dict argument `{name}`, key '{unknown[0]}' does not correspond to any "
                    f"model output. Received: {name}={given}; the outputs are {out.names}"
                )
            return [given.get(key) for key in out.names]
        if isinstance(given, (list, tuple)):
            if len(given) != len(out.names):
                raise ValueError(
                    f"For a model with several outputs, the argument `{name}` should have one "
                    f"entry for each of the {len(out.names)} outputs. Received: {name}={given}"
                )
            return list(given)
        return [given] * len(out.names)

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
        trains = tuple(layer.trainable for layer in self._within())
        if engine is not None and engine[1] == trains:
            # Layers of somebody else have changed.
            self._engine = (version, trains, engine[2])
            return engine[2]  # type: ignore[no-any-return]
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")
        chosen = self._chosen()
        if all(one is None for one in chosen):
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        if any(isinstance(one, str) for one in chosen):
            raise ValueError(
                "loss: 'crossentropy' is chosen when targets are known: call fit or evaluate first"
            )
        fused = [
            isinstance(one, losses.Loss) and one.fused_with(last)
            for one, last in zip(chosen, self._finals, strict=True)
        ]
        net: Any = self._full
        if isinstance(net, Graph):
            net.logits = fused
        elif fused[0]:
            net = deepc.Sequential(self._made[:-1])
        self._meanings = [
            _training.Meaning(last if f else "", shape)
            for f, last, shape in zip(fused, self._finals, self._packed_out.shapes, strict=True)
        ]
        loss = self._loss_of(chosen, fused)
        trained, rule = net, self.optimizer.rule
        variables = self.trainable_weights
        if isinstance(net, Graph):
            loss = _training.AddedLoss(loss, net)
        self._penalties = Penalties(
            net,
            [
                (v.value, v.regularizer.l1, v.regularizer.l2)
                for v in variables
                if v.regularizer is not None
            ],
        )
        constrained = [v for v in variables if v.constraint is not None]
        if constrained:
            rule = Constrained(rule, [(v.value, v.constraint) for v in constrained])
        self.optimizer.build(variables)
        machinery = (trained, loss, rule, net)
        self._engine = (_plan.structure_version, trains, machinery)
        self._modes = [made for made in self._made if hasattr(made, "train")]
        return machinery

    def _loss_of(self, chosen: list[Any], fused: list[bool]) -> Any:
        """Return deepc's loss of all outputs; set what the metrics of each get."""
        out = self._packed_out
        made = [
            None if one is None else _training.made(one, f, shape)
            for one, f, shape in zip(chosen, fused, out.shapes, strict=True)
        ]
        self._parts = _training.parts(chosen, out)
        mine = _training.loss_metrics(made, out) if out.several else []
        tracked = [item for item in self._tracked if not isinstance(item, _training.OutputLoss)]
        for item in tracked:
            item.meaning = self._meanings[item.output]
        self._tracked = [*mine, *tracked]
        for item in self._tracked:
            item.part = self._parts[item.output] if out.several else None
        assert self._compiled is not None
        if not out.several:
            if self._compiled["loss_weights"] is not None:
                raise ValueError(
                    "loss_weights: are for models with several outputs; the nearest for one is "
                    "sample_weight in fit, or a loss of your own"
                )
            return made[0]
        given = self._packed_out_of(self._compiled["loss_weights"], "loss_weights")
        return _training.parts_loss(self._parts, made, given)

    def _choose_crossentropy(self, given: list[Array | None]) -> None:
        """Take the crossentropy that fits the shapes, where compile left it open."""
        assert self._compiled is not None
        chosen = self._chosen()
        if not any(isinstance(one, str) for one in chosen):
            return
        for i, (one, y) in enumerate(zip(chosen, given, strict=True)):
            if isinstance(one, str) and y is not None:
                width = math.prod(self._packed_out.shapes[i])
                name = "categorical_crossentropy"
                if width == 1:
                    name = "binary_crossentropy"
                elif y.ndim == 1 or y.shape[-1] == 1:
                    name = "sparse_categorical_crossentropy"
                chosen[i] = losses.get(name)
        self._compiled["chosen"] = chosen if self._packed_out.several else chosen[0]

    # ---- Data ----

    def _rows_of(self, x: Any, name: str = "x", batch: int | None = None) -> Array:
        """Return samples as rows, the model built for them."""
        if self._full is None:
            given = _training.structured(x, name)
            rows = [len(one) for one in flat(given)]
            if not rows or not all(rows):
                raise ValueError(f"{name}: expected at least one sample, got none")
            self._build_from(given, min(batch or rows[0], rows[0]))
        packing = self._packed_in
        if packing.several:
            given = packing.listed(x, name, self.name)
        elif isinstance(x, (list, tuple)) and len(x) == 1 and np.ndim(x[0]) == len(self._in) + 1:
            given = [x[0]]  # a list of the one input
        else:
            given = [x[packing.names[0]] if _is_named(x, packing) else x]
        arrays = []
        for i, one in enumerate(given):
            array = _training.as_samples(one, f"{name}[{i}]" if packing.several else name)
            if len(array) == 0:
                raise ValueError(f"{name}: expected at least one sample, got shape {array.shape}")
            shape = packing.shapes[i]
            if array.shape[1:] != shape:
                if array.ndim == 1 and shape == (1,):
                    array = array[:, None]
                else:
                    self._refuse(array, shape, packing.names[i] if packing.several else "")
            arrays.append(array)
        _training.check_cardinality(**{f"{name}[{i}]": array for i, array in enumerate(arrays)})
        if isinstance(self._full, Graph):
            return packing.rows(arrays, self._row_dtype())
        return arrays[0].reshape(len(arrays[0]), -1)

    def _row_dtype(self) -> np.dtype[Any]:
        """Return the widest dtype that any weight has."""
        kinds = {v.dtype for v in self.weights if v.dtype.kind == "f"}
        return np.result_type(*kinds) if kinds else self._real()

    def _refuse(self, array: Array, shape: Any, place: str) -> None:
        expected = (None, *shape)
        if place:
            raise ValueError(
                f"Invalid input shape for input '{place}'. Expected shape {expected}, but input "
                f"has incompatible shape {array.shape}"
            )
        if array.shape == shape:
            raise ValueError(
                f"Invalid input shape for input {array.dtype} array. Expected shape {expected}, "
                f"but input has incompatible shape {array.shape}; for one sample use x[None]"
            )
        inner = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        first = inner[0].name if inner else self.name
        if array.ndim == 1:
            raise ValueError(
                f"Input 0 of layer '{first}' is incompatible with the layer: expected "
                f"min_ndim=2, found ndim=1. Full shape received: {array.shape}"
            )
        raise ValueError(
            f"Exception encountered when calling {type(self).__name__}.call(). Input 0 with name "
            f"'None' of layer '{first}' is incompatible with the layer: expected axis -1 of input "
            f"shape to have value {shape[-1] if shape else 1}, but received input with "
            f"shape {array.shape}"
        )

    def _data(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, name: str = "",
        batch: int | None = None,
    ) -> Rows:  # fmt: skip
        """Return checked samples, targets and weights."""
        if isinstance(x, tuple) and y is None and len(x) in (2, 3):
            x, y, sample_weight = (*x, sample_weight)[:3]
        if sample_weight is not None and class_weight is not None:
            raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
        rows = self._rows_of(x, f"{name}x", batch)
        if y is None:
            raise ValueError(f"{name}y: expected {len(rows)} targets, got None")
        out = self._packed_out
        if isinstance(sample_weight, (dict, list)) and out.several:
            raise ValueError(
                f"{name}sample_weight: expected one array for all outputs; weights of each output "
                "are not supported, the nearest is loss_weights"
            )
        weights = (
            None
            if sample_weight is None
            else _training.as_samples(sample_weight, f"{name}sample_weight")
        )
        if out.several or (isinstance(y, dict) and list(y) == out.names):
            listed = out.listed(y, f"{name}y", self.name)
        else:
            listed = [y]
        given = [None if one is None else _training.as_samples(one, f"{name}y") for one in listed]
        named = {f"y[{i}]" if out.several else "y": one for i, one in enumerate(given)}
        _training.check_cardinality(x=rows, sample_weight=weights, **named)
        self._choose_crossentropy(given)
        _, _, _, net = self._machinery()
        prepared, ignored = _training.all_targets(self._chosen(), given, out, f"{name}y")
        if ignored is not None:
            weights = ignored if weights is None else weights * ignored
        checked = check_rows(net, rows, prepared, self._checks_by(), weights, name)
        if class_weight is not None:
            if not isinstance(class_weight, dict) or any(
                isinstance(k, bool) or not isinstance(k, (int, np.integer)) for k in class_weight
            ):
                raise ValueError(
                    "`class_weight` must be a dictionary mapping integer class numbers to "
                    f"weights. Received: class_weight={class_weight}"
                )
            if out.several or len(out.shapes[0]) != 1:
                raise ValueError(
                    "`class_weight` is only supported for models with a single output of shape "
                    "(batch, classes); the nearest is sample_weight"
                )
            checked.weights = class_weights(class_weight, checked)
        return checked

    def _checks_by(self) -> Any:
        """Return the loss that tells what the library takes as targets."""
        _, loss, _, _ = self._machinery()
        return loss.inner if isinstance(loss, _training.AddedLoss) else loss

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
        >>> from deepc.keras import Sequential, layers
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
            rows = self._data(x, y, sample_weight, class_weight, batch=batch)
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
        backup = _backup_of(told)
        if backup is not None:
            self._check_backup(source, rule, adapter)
        with training(trained, True):
            self._run(session, source, initial_epoch, epochs, watched, adapter, backup)
        if backup is not None:
            backup.finish()
        if self.optimizer.rule.ema is not None and self.optimizer.rule.averages:
            self.optimizer.rule.take_averages(trained)
        return self.history

    def _run(
        self, session: Any, source: Any, first: int, epochs: int, watched: Any, adapter: Any,
        backup: Any,
    ) -> None:  # fmt: skip
        for item in self._tracked:
            if hasattr(item.metric, "batch_size"):
                item.metric.batch_size = adapter.each
        file = None if backup is None else backup.file()
        session.run(
            source,
            as_int(first, "initial_epoch", least=0),
            epochs,
            watched,
            adapter.advance,
            file,
            file is not None and os.path.exists(file.path),
        )

    @staticmethod
    def _check_backup(source: Any, rule: Any, adapter: Any) -> None:
        if isinstance(source, StreamSource) or source.steps is not None:
            raise ValueError(
                "BackupAndRestore: where batches come from a generator, or steps_per_epoch cuts "
                "the epochs, nobody can go back to a place; give x and y as arrays"
            )
        from deepc.shipping.checkpoint import check

        check(rule, [adapter])

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
        length = len(x) if hasattr(x, "__len__") else None
        return StreamSource(stream, net, self._checks_by(), steps), steps or length

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
        rows = self._data(x, y, sample_weight, batch=batch)
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
        >>> from deepc.keras import Sequential, layers
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
        rows = self._rows_of(x, batch=batch)
        count = math.ceil(len(rows) / batch)
        bar = Progbar(count, verbose=_verbosity(verbose))
        for callback in told:
            callback.set_model(self)
        _tell(told, "on_predict_begin", {})
        outputs = self._outputs(rows, False)
        for number in range(count if told else 0):
            _tell(told, "on_predict_batch_begin", number, {})
            part = mapped(outputs, _Cut(slice(number * batch, (number + 1) * batch)))
            _tell(told, "on_predict_batch_end", number, {"outputs": part})
        _tell(told, "on_predict_end", {})
        bar.update(count, finalize=True)
        return outputs

    def _outputs(self, rows: Array, train: bool) -> Any:
        if isinstance(self._full, Graph):
            logits, self._full.logits = self._full.logits, [False] * len(self._full.logits)
            try:
                made = run_rows(self._full, rows, (self._packed_out.width,), train)
            finally:
                self._full.logits = logits
            return self._packed_out.taken_apart(made)
        network = compiled_network(self._full)
        given = rows if network is None else network.as_input(rows, "x")
        if network is not None and network.takes_indices:
            network.check_indices(given, "x")
        return run_rows(self._full, given, self._out, train)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        return self.predict(x, verbose=0)

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
        if not self._quick or type(x) is not np.ndarray or type(y) is not np.ndarray:
            return None
        if x.ndim != 2 or not len(x):
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


class _Cut:
    """The rows of a batch out of arrays."""

    def __init__(self, rows: slice) -> None:
        self._rows = rows

    def __call__(self, array: Any) -> Any:
        return array[self._rows]


def _is_named(x: Any, packing: Packing) -> bool:
    return isinstance(x, dict) and list(x) == packing.names


def _as_batch(batch: Any) -> tuple[Any, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ValueError(
            f"x: expected batches of (x, y) or (x, y, sample_weight), got {type(batch).__name__}"
        )
    return tuple(batch)


def _verbosity(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


def _backup_of(told: list[Any]) -> Any:
    """Return the callback that keeps the state of the training, None if there is none."""
    return next((one for one in told if isinstance(one, callbacks.BackupAndRestore)), None)


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
