"""How a model is trained, measured and asked: by deepc's one loop."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from deepc._values import Array, as_int
from deepc.keras import _training, callbacks, losses
from deepc.keras._graph import Graph
from deepc.keras._progress import Progbar
from deepc.keras.layers.base import run_rows
from deepc.keras.layers.places import mapped
from deepc.keras.models.stepping import Given, OwnSteps, Stepping, Weights
from deepc.layers.sequential import compiled_network
from deepc.training.evaluate import measure, training
from deepc.training.session import Session
from deepc.training.sources import Source, Validation

__all__ = ["Trainer"]

_BATCH = 32


class Trainer(Stepping):
    """What a model has beside its layers: fit, evaluate, predict, and what `compile` says."""

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
        own = bool(self._own)
        if own:
            source, steps, validation = self._own_source(
                x, y, sample_weight, class_weight, batch, bool(shuffle),
                0.0 if validation_data is not None else validation_split, steps_per_epoch,
            )  # fmt: skip
        elif _training.is_stream(x):
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
            read = self._given_of if own else self._validation
            validation = read(validation_data, validation_steps, "validation ")
        verbose = 1 if verbose == "auto" else int(verbose)
        adapter = _training.adapter(told, self, epochs, steps, verbose)
        adapter.each = batch
        self.stop_training = False
        self.history = _new_history(self, verbose, epochs, steps)
        for callback in told:
            callback.set_params({**self.history.params, "validates": validation is not None})
            callback.set_model(self)
        session = self._session(own, adapter)
        watched = None
        if validation is not None:
            each = validation_batch_size or batch
            watched = Validation(validation, as_int(validation_freq, "validation_freq", 1), each)
        self._validated = watched
        backup = _backup_of(told)
        if backup is not None:
            from deepc.shipping.checkpoint import check

            if own:
                raise ValueError(
                    "BackupAndRestore: steps of your own may have a state that no file knows; the "
                    "nearest is callbacks.ModelCheckpoint"
                )
            check(session.optimizer, [adapter])
        # Steps of one's own say to each call whether it trains.
        with nullcontext() if own else training(session.model, True):
            self._run(session, source, initial_epoch, epochs, watched, adapter, backup)
        if backup is not None:
            backup.finish()
        if self.optimizer.rule.ema is not None and self.optimizer.rule.averages:
            self.optimizer.rule.take_averages(session.model)
        return self.history

    def _session(self, own: bool, adapter: Any) -> Session:
        """Return what goes over the epochs."""
        if own:
            trained, loss, rule = Weights(self), None, self.optimizer.rule
            measured: Any = self.metrics
            steps: Any = OwnSteps(self)
            return Session(trained, loss, rule, measured, [adapter], stepper=steps)  # type: ignore[arg-type]
        trained, loss, rule, _ = self._machinery()
        return Session(trained, loss, rule, self._tracked, [adapter], self._penalties)

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
        rows: Any
        if self._own:
            rows = self._given_of(x, steps) if y is None else self._as_given(x, y, sample_weight)
        else:
            if _training.is_stream(x):
                x, y, sample_weight = self._whole_batches(x, steps)
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

    def _measured(self, rows: Any, batch: int) -> dict[str, float]:
        if isinstance(rows, Given):
            return self._measured_by_steps(rows, batch)
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
        if self._own:
            return self._answer_of(logs, return_dict)
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
        if self._own:
            given = self._as_given(x, y, sample_weight, class_weight)
            self.reset_metrics()
            return self._answer_of(self._stepped("train_step", given.data), return_dict)
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
        if self._own:
            given = self._as_given(x, y, sample_weight)
            return self._answer_of(self._measured_by_steps(given, None), return_dict)
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
