"""Steps that a model takes itself, by a `train_step` or `test_step` of its own, in the one loop.

The loop of `deepc.training.session` goes over the epochs; what a step is, the model says.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from deepc import _tensorflow
from deepc._c.tape import values
from deepc._values import describe
from deepc.autodiff import ops
from deepc.keras import _training, metrics
from deepc.keras._graph import final_activation, logits_of
from deepc.keras.layers.places import flat, mapped
from deepc.keras.losses import Loss
from deepc.keras.models.data import Feeding
from deepc.training.data import finite, split
from deepc.training.sources import Source, StreamSource
from deepc.training.steps import Stepper

__all__ = ["Given", "OwnSteps", "Stepping", "Weights"]

# What a model overrides so that its steps are its own.
_HOOKS = ("train_step", "test_step", "compute_loss", "compute_metrics")
# What it may override in Keras, but not here, where that would change nothing.
_NEVER_CALLED = (
    "predict_step", "make_train_function", "make_test_function", "make_predict_function",
    "stateless_compute_loss",
)  # fmt: skip


class Stepping(Feeding):
    """What a step of training, and one of evaluation, is; override it for one of your own."""

    # ---- What a model of one's own overrides ----

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step with a batch, ``(x, y, sample_weight)`` as far as given; return numbers.

        What it returns is shown and recorded: each number is the epoch's so far, of the last step
        at its end.
        """
        x, y, weights = unpacked(data)
        with _tensorflow.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weights)
        self._note_loss(loss, x)
        variables = self.trainable_weights
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.compute_metrics(x, y, y_pred, sample_weight=weights)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate a batch; return the numbers so far."""
        x, y, weights = unpacked(data)
        y_pred = self(x, training=False)
        self._note_loss(self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weights), x)
        return self.compute_metrics(x, y, y_pred, sample_weight=weights)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Any:  # fmt: skip
        """Return the compiled loss of predictions with what layers add, as a Tensor."""
        total: Any = None
        for i, (one, weight) in enumerate(self._losses_of(y_pred)):
            if one is None:
                continue
            p, target, weights = self._of_output(i, y, y_pred, sample_weight)
            fused = isinstance(one, Loss) and one.fused_with(final_activation(p))
            rows = ops.reshape(logits_of(p) if fused else p, (p.shape[0], -1))
            made = _training.made(one, fused, tuple(p.shape[1:]))
            value = made(rows, target, *(() if weights is None else (weights,)))
            if self._output_means:
                self._output_means[i].update_state(value, [float(p.shape[0])])
            value = value if weight is None else value * weight
            total = value if total is None else total + value
        for extra in self.losses:
            total = extra if total is None else total + extra
        if total is None:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Give the compiled metrics a batch; return all numbers so far."""
        for item in self._tracked:
            p, target, weights = self._of_output(item.output, y, y_pred, sample_weight)
            item.update(target, p.data, weights if item.weighted else None)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the numbers of all metrics so far, by name."""
        names = {id(item.metric): item.name for item in self._tracked}
        return {names.get(id(one), one.name): one.result() for one in self.metrics}

    def reset_metrics(self) -> None:
        """Let all metrics forget what they have seen."""
        for one in self.metrics:
            one.reset_state()

    @property
    def metrics(self) -> list[Any]:
        """The metrics: of the loss, as compiled, and those among the attributes of the model."""
        compiled = [item.metric for item in self._tracked if hasattr(item.metric, "reset_state")]
        held = [one for one in flat(list(self.__dict__.values()))
                if isinstance(one, metrics.Metric)]  # fmt: skip
        listed = [self._loss_mean, *self._output_means, *compiled, *held]
        return list({id(one): one for one in listed}.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns."""
        compiled = ["loss", *(item.name for item in self._tracked)]
        return self._listed_names() if self._own else compiled

    def _listed_names(self) -> list[str]:
        names = {id(item.metric): item.name for item in self._tracked}
        return list(dict.fromkeys(names.get(id(one), one.name) for one in self.metrics))

    # ---- What stands behind them ----

    def _own_steps(self) -> str:
        """Return which part of its steps somebody wrote, "" for none."""
        return _steps_itself(cast(Any, type(self)))

    def _note_loss(self, loss: Any, x: Any) -> None:
        rows = next(one.shape[0] for one in flat(x))
        self._loss_mean.update_state(loss, [float(rows)])

    def _losses_of(self, y_pred: Any) -> list[tuple[Any, Any]]:
        """Return the loss of each output with its weight."""
        assert self._compiled is not None
        if self._compiled["loss"] is None:
            return []
        self._know_outputs(y_pred)
        weights = self._packed_out_of(self._compiled["loss_weights"], "loss_weights")
        chosen = self._chosen()
        if any(isinstance(one, str) for one in chosen):
            raise ValueError(
                "loss: 'crossentropy' is chosen by fit; with steps of your own name "
                "'binary_crossentropy', 'categorical_crossentropy' or the sparse one"
            )
        if self._packed_out.several and not self._output_means:
            self._output_means = [metrics.Mean(f"{name}_loss") for name in self._packed_out.names]
        return list(zip(chosen, weights, strict=True))

    def _know_outputs(self, y_pred: Any) -> None:
        """Note what comes out of a model that nobody asked for it before."""
        if self._full is None:
            self._ready([final_activation(one) for one in flat(y_pred)])

    def _of_output(
        self, i: int, y: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """Return the predictions of an output, what is right as its loss takes it, and weights."""
        self._know_outputs(y_pred)
        out = self._packed_out
        p = list(flat(y_pred))[i]
        name = f"y[{i}]" if out.several else "y"
        given = out.listed(y, "y", self.name)[i] if out.several or isinstance(y, dict) else y
        if given is None:
            raise ValueError(f"{name}: expected {p.shape[0]} targets, got None")
        if out.several and isinstance(sample_weight, (dict, list, tuple)):
            sample_weight = _training.output_weights(
                mapped(sample_weight, values), out, p.shape[0], "sample_weight"
            )[i]
        target = _training.as_samples(values(given), name)
        target, ignored = _training.targets(self._chosen()[i], target, tuple(p.shape[1:]), name)
        weights = None if sample_weight is None else values(sample_weight).reshape(-1)
        if ignored is not None:
            weights = ignored if weights is None else weights * ignored
        return p, target, weights

    def _stepped(self, name: str, data: Any) -> dict[str, float]:
        """Take a step of the model's own; return its numbers as floats."""
        logs = getattr(self, name)(data)
        if not isinstance(logs, dict):
            raise TypeError(
                f"{type(self).__name__}.{name} gave {describe(logs)}; expected a dict of numbers "
                "by their names, as {m.name: m.result() for m in self.metrics}"
            )
        found: dict[str, float] = {}
        for key, value in logs.items():
            for inner, one in (value if isinstance(value, dict) else {key: value}).items():
                try:
                    array = np.asarray(values(one), np.float64)
                except (TypeError, ValueError):
                    array = np.zeros(0)
                if not array.size:
                    raise TypeError(
                        f"{type(self).__name__}.{name}: expected a number for {inner!r}, got "
                        f"{describe(one)}"
                    )
                found[str(inner)] = float(array.mean())
        return found

    def _measured_by_steps(self, rows: Given, batch: int | None) -> dict[str, float]:
        """Return the numbers of an evaluation by `test_step`."""
        self.reset_metrics()
        each, logs = batch or len(rows), {}
        for start in range(0, len(rows), each):
            logs = self._stepped("test_step", rows.part(slice(start, start + each)).data)
        return logs

    def _answer_of(self, logs: dict[str, float], return_dict: bool) -> Any:
        """Return numbers in Keras' order: the loss, the metrics, then others by their names."""
        if return_dict:
            return _training.sorted_logs(logs)
        listed = [name for name in self._listed_names() if name in logs]
        found = [logs[name] for name in (*listed, *sorted(set(logs) - set(listed)))]
        return found[0] if len(found) == 1 else found

    # ---- Data ----

    def _as_given(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None,
        name: str = "",
    ) -> Given:  # fmt: skip
        """Return samples, and what is right if there is that, as a step gets them."""
        if class_weight is not None:
            raise ValueError(
                "class_weight: is not supported with steps of your own; the nearest is "
                "sample_weight, which the step gets"
            )
        if isinstance(x, tuple) and y is None and len(x) in (2, 3):
            x, y, sample_weight = (*x, sample_weight)[:3]
        parts = []
        for what, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
            if what != "x" and isinstance(part, (list, tuple)) and any(map(np.ndim, part[:1])):
                made: Any = [_training.as_samples(one, f"{name}{what}[{i}]")
                             for i, one in enumerate(part)]  # fmt: skip
            else:
                made = None if part is None else _training.structured(part, f"{name}{what}")
            parts.append(mapped(made, functools.partial(self._checked, name=f"{name}{what}")))
        if parts[0] is None:
            raise ValueError(f"{name}x: expected an array, got None")
        listed = {f"{name}{what}[{i}]": one
                  for what, part in zip(("x", "y", "sample_weight"), parts, strict=True)
                  for i, one in enumerate(flat(part)) if one is not None}  # fmt: skip
        _training.check_cardinality(**listed)
        if not all(len(one) for one in listed.values()):
            raise ValueError(f"{name}x: expected at least one sample, got none")
        return Given(*parts)

    def _checked(self, array: Any, name: str) -> Any:
        if array is None or array.dtype.kind != "f":
            return array
        return finite(np.ascontiguousarray(array, self._real()), name)

    def _given_of(self, data: Any, steps: int | None = None, name: str = "") -> Given:
        """Return validation data, or batches, as rows."""
        if _training.is_stream(data):
            data = _training.whole_batches(data, steps, True)
        x, y, weights = unpacked(tuple(data) if isinstance(data, list) else data)
        return self._as_given(x, y, weights, name=name)

    def _own_source(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, batch: int, shuffle: bool,
        fraction: float, steps: int | None,
    ) -> tuple[Any, int | None, Any]:  # fmt: skip
        """Return where batches come from, how many an epoch has, and rows that are split off."""
        if _training.is_stream(x):
            length = len(x) if hasattr(x, "__len__") else None
            return StreamSource(x, self, None, steps, self._batches), steps or length, None
        rows: Any = self._as_given(x, y, sample_weight, class_weight)
        held = None
        if fraction:
            rows, held = split(rows, fraction)
        source = Source(rows, batch, shuffle, None, steps)
        return source, steps or math.ceil(len(rows) / batch), held

    def _batches(self, stream: Any, *_: Any) -> Iterator[Any]:
        for number, batch in enumerate(stream):
            yield self._given_of(batch, name=f"batch {number}: ")


@functools.cache
def _steps_itself(cls: Any) -> str:
    for name in _NEVER_CALLED:
        if hasattr(cls, name):
            raise TypeError(
                f"{cls.__name__}.{name}: is never called here; the nearest are call, train_step "
                "and test_step"
            )
    for name in ("train_step", "test_step"):
        named = list(inspect.signature(getattr(cls, name)).parameters)
        if len(named) != 2:
            raise TypeError(
                f"{cls.__name__}.{name}: expected (self, data), as with TensorFlow, got "
                f"({', '.join(named)}); compute gradients by tf.GradientTape of deepc.tf"
            )
    own = (name for name in _HOOKS if getattr(cls, name) is not getattr(Stepping, name))
    return next(own, "")


class Given:
    """Samples, what is right for them and weights, as they were given: arrays, lists or dicts."""

    takes_labels = False

    def __init__(self, x: Any, y: Any = None, weights: Any = None) -> None:
        self.x, self.actual, self.weights = x, y, weights

    def __len__(self) -> int:
        return len(next(flat(self.x)))

    def part(self, chosen: Any) -> Given:
        """Return some of the rows."""
        parts = (self.x, self.actual, self.weights)
        return Given(*(mapped(p, lambda a: None if a is None else a[chosen]) for p in parts))

    @property
    def data(self) -> Any:
        """What a step gets: x alone, or a tuple with what else was given, in Tensors."""
        x, y, weights = (
            mapped(part, lambda a: None if a is None else _tensorflow.Tensor(a))
            for part in (self.x, self.actual, self.weights)
        )
        if weights is not None:
            return x, y, weights
        return x if y is None else (x, y)


def unpacked(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and weights of what a step gets, None for what is missing."""
    if not isinstance(data, tuple):
        return data, None, None
    x, y, weights = (*data, None, None)[:3]
    return x, y, weights


class Weights:
    """The weights of a model that steps itself, for what copies them and puts them back."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def params(self) -> list[Any]:
        """Return those that train."""
        return [np.atleast_1d(v.value) for v in self._model.weights if v.trainable]

    def state(self) -> list[Any]:
        """Return the others."""
        return [np.atleast_1d(v.value) for v in self._model.weights if not v.trainable]


class OwnSteps(Stepper):
    """Trains by the model's own steps, batch after batch."""

    def __init__(self, model: Any) -> None:
        self._owner = model
        self.last: dict[str, float] = {}

    def run(
        self, part: Any, metrics: Any, start: int = 0, so_far: float = 0.0
    ) -> Iterator[tuple[int, float, None]]:
        """Take a step with each batch; yield how far it is, and the loss so far."""
        for stop, batch in part.batches(start):
            self.last = self._owner._stepped("train_step", batch.data)
            so_far += self.last.get("loss", 0.0) * len(batch)
            yield stop, so_far, None

    def begin(self, metrics: Any) -> None:
        """Let the metrics that there are now forget the epoch before."""
        self._owner.reset_metrics()

    def logs(self, total: float, rows: int, metrics: Any) -> dict[str, float]:
        """Return what the last step returned."""
        return dict(self.last)

    def measure(self, rows: Any, metrics: Any, batch_size: int | None) -> dict[str, float]:
        """Return what the steps of an evaluation give."""
        measured: dict[str, float] = self._owner._measured_by_steps(rows, batch_size)
        return measured
