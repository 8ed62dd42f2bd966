"""What stands between a Keras model and deepc's training: data, metrics, callbacks, penalties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from deepc._values import Array, describe
from deepc.keras import losses
from deepc.keras._progress import Progbar, say
from deepc.layers import Layer as DeepcLayer
from deepc.losses import Loss as DeepcLoss
from deepc.optimizers import Optimizer as DeepcOptimizer
from deepc.training import metrics as built_in
from deepc.training.callbacks import Callback as DeepcCallback

__all__ = ["Adapter", "Constrained", "Meaning", "Tracked"]


# ---- Arrays --------------------------------------------------------------------------------------


def is_stream(x: Any) -> bool:
    """Whether x brings whole batches."""
    if isinstance(x, (np.ndarray, list, tuple, str, Mapping)) or x is None:
        return False
    return not (hasattr(x, "to_numpy") or hasattr(x, "__array__")) and isinstance(x, Iterable)


def as_samples(x: Any, name: str) -> Array:
    """Return samples of any kind as an array."""
    if x is None:
        raise ValueError(f"{name}: expected an array, got None")
    if isinstance(x, Mapping):
        raise ValueError(
            f"{name}: models with several inputs are not supported; the nearest is one array with "
            "all columns"
        )
    if hasattr(x, "detach"):
        x = x.detach()
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    elif hasattr(x, "numpy") and not isinstance(x, np.ndarray):
        x = x.numpy()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of the same length: {error}") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: Unrecognized data type: expected numbers, got {describe(x)}")
    if array.ndim == 0:
        raise ValueError(f"{name}: expected samples in rows, got the number {array}")
    return array


def check_cardinality(**arrays: Array | None) -> None:
    """Refuse arrays of different lengths."""
    sizes = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            "Data cardinality is ambiguous. Make sure all arrays contain the same number of "
            "samples." + "\n".join(f"'{name}' sizes: {size}" for name, size in sizes.items())
        )


def whole_batches(stream: Any, steps: int | None) -> tuple[Array, Array | None, Array | None]:
    """Return the batches of a stream as one array each of x, y and weights."""
    parts: list[list[Array]] = [[], [], []]
    for number, batch in enumerate(stream):
        if steps is not None and number >= steps:
            break
        given = batch if isinstance(batch, (tuple, list)) else (batch,)
        for part, value in zip(parts, given, strict=False):
            part.append(as_samples(value, f"batch {number}"))
        if steps is not None and number + 1 >= steps:
            break
    if not parts[0]:
        raise ValueError("x: gave no batches")
    x, y, weights = (np.concatenate(part) if part else None for part in parts)
    assert x is not None
    return x, y, weights


class Stream:
    """Batches made ready, one at a time; it can be gone over again if the first one can."""

    def __init__(self, stream: Any, ready: Callable[..., Any]) -> None:
        self._stream = stream
        self._ready = ready
        self._first: list[Any] = []

    def peek(self) -> Any:
        """Return the first batch, which will come again."""
        if iter(self._stream) is self._stream:
            self._first = [next(self._stream, None)]
            if self._first == [None]:
                raise ValueError("x: gave no batches")
            return self._first[0]
        return next(iter(self._stream))

    def __iter__(self) -> Iterator[Any]:
        while self._first:
            yield self._ready(self._first.pop())
        for batch in self._stream:
            yield self._ready(batch)


# ---- Metrics -------------------------------------------------------------------------------------


class Meaning:
    """What outputs mean, where the network was trained without its last activation."""

    def __init__(self, layer: DeepcLayer | None) -> None:
        self._layer = layer
        self._seen: tuple[Any, Any] = (None, None)

    def __call__(self, outputs: Any) -> Any:
        if self._layer is None:
            return outputs
        if self._seen[0] is not outputs:
            self._seen = (outputs, self._layer.forward(outputs))
        return self._seen[1]


class Tracked(built_in.Metric):
    """A metric of a compiled model, by the name that its logs have."""

    def __init__(self, metric: Any, name: str, weighted: bool) -> None:
        self.metric = metric
        self.name = name
        self.weighted = weighted
        self.better = getattr(metric, "better", None)
        self.meaning = Meaning(None)

    def reset(self) -> None:
        self.metric.reset()

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        meant = self.meaning(predicted)
        if weights is None:
            self.metric.update(actual, meant)
        else:
            self.metric.update(actual, meant, weights)

    def result(self) -> float:
        value = np.asarray(self.metric.result(), np.float64)
        return float(value if value.ndim == 0 else value.mean())


def tracked(compiled: Any, metrics: Any, weighted_metrics: Any) -> list[Tracked]:
    """Return the metrics of ``compile`` with their names, which differ."""
    found: list[Tracked] = []
    names: dict[str, int] = {}
    for given, argument in ((metrics, "metrics"), (weighted_metrics, "weighted_metrics")):
        if given is None:
            continue
        if isinstance(given, dict):
            given = list(given.values())
        if not isinstance(given, (list, tuple)):
            raise ValueError(
                f"Expected `{argument}` argument to be a list, tuple, or dict. Received instead: "
                f"{argument}={given} of type {type(given)}"
            )
        weighted = argument == "weighted_metrics"
        for item in (one for part in given for one in (part if isinstance(part, list) else [part])):
            metric = compiled(item)
            name = metric.name
            if weighted and name in names:
                name = f"weighted_{name}"
            if name in names:
                names[name] += 1
                name = f"{name}_{names[name]}"
            names.setdefault(name, 0)
            found.append(Tracked(metric, name, weighted))
    return found


# ---- Constraints ---------------------------------------------------------------------------------


class Constrained(DeepcOptimizer):
    """An update rule after which weights are brought back to where they may be."""

    def __init__(self, rule: Any, variables: list[Any]) -> None:
        self._rule, self._variables = rule, variables

    @property
    def lr(self) -> float:
        """The learning rate."""
        return float(self._rule.lr)

    @lr.setter
    def lr(self, value: float) -> None:
        self._rule.lr = value

    def step(self, layer: Any) -> None:
        self._rule.step(layer)
        for variable in self._variables:
            variable.value[...] = variable.constraint(variable.value)


# ---- Callbacks -----------------------------------------------------------------------------------

_STEP_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
_TEST_HOOKS = ("on_test_batch_begin", "on_test_batch_end")


def overrides(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback of Keras' kind does something in one of these hooks."""
    from deepc.keras.callbacks import Callback

    return any(
        getattr(type(callback), hook, None) is not getattr(Callback, hook)
        or hook in callback.__dict__
        for hook in hooks
    )


def sorted_logs(logs: Mapping[str, float]) -> dict[str, float]:
    """Return logs in Keras' order: those of training by name, then those of validation."""
    return dict(sorted(logs.items(), key=lambda item: (item[0].startswith("val_"), item[0])))


class Adapter(DeepcCallback):
    """Tells callbacks of Keras' kind what happens in a training of deepc's, and draws the bar."""

    def __init__(
        self, model: Any, callbacks: list[Any], epochs: int, steps: int | None, verbose: int
    ) -> None:
        self.model = model
        self.callbacks = callbacks
        self.epochs = epochs
        self.steps = steps
        self.verbose = verbose
        self.bar: Progbar | None = None
        self.logs: dict[str, float] = {}
        self.each = 1
        self._rows = 0

    def _tell(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)
        if self.model.stop_training:
            self.session.stop("a callback stopped the training")

    def on_train_begin(self) -> None:
        self._tell("on_train_begin", {})

    def on_train_end(self) -> None:
        self._tell("on_train_end", self.logs)

    def on_epoch_begin(self, epoch: int) -> None:
        self._tell("on_epoch_begin", epoch, {})
        self._rows = 0
        if self.verbose:
            if self.epochs > 1:
                say(f"Epoch {epoch + 1}/{self.epochs}")
            self.bar = Progbar(self.steps, verbose=self.verbose)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        shared = sorted_logs(logs)
        self._tell("on_epoch_end", epoch, shared)
        logs.update(shared)
        self.logs = shared
        self.model.history.record(epoch, shared)
        if self.bar is not None:
            done = self.steps or math.ceil(self._rows / self.each)
            self.steps = self.bar.target = done
            self.bar.update(done, shared, finalize=True)
        # A rate that no training can go on with is said where it was set.

    def on_validation_begin(self) -> None:
        self._tell("on_test_begin", {})
        if any(overrides(callback, _TEST_HOOKS) for callback in self.callbacks):
            self.model._test_by_batches(self._tell)

    def on_validation_end(self, logs: dict[str, float]) -> None:
        self._tell("on_test_end", sorted_logs(logs))

    def advance(self, rows: int, loss: float) -> None:
        """Go on by some rows; draw the bar if it is time."""
        self._rows += rows
        if self.bar is not None and self.bar.is_due():
            metrics = {item.name: item.result() for item in self.session.metrics}
            step = math.ceil(self._rows / self.each)
            self.bar.update(step, sorted_logs({"loss": loss, **metrics}), finalize=False)


class StepAdapter(Adapter):
    """The same where a callback wants to know of each batch."""

    def on_step_begin(self, step: int) -> None:
        self._tell("on_train_batch_begin", step, {})

    def on_step_end(self, step: int, logs: dict[str, float]) -> None:
        self._tell("on_train_batch_end", step, sorted_logs(logs))


def adapter(callbacks: list[Any], *arguments: Any) -> Adapter:
    """Return the adapter that these callbacks need."""
    by_steps = any(overrides(callback, _STEP_HOOKS) for callback in callbacks)
    return (StepAdapter if by_steps else Adapter)(arguments[0], callbacks, *arguments[1:])


def targets(loss: Any, y: Array, outputs: int, name: str) -> tuple[Array, Array | None]:
    """Return targets or labels as the library takes them, and weights for those that are ignored.

    The loss's kind decides: class numbers, one-hot rows, or numbers.
    """
    if isinstance(loss, DeepcLoss) or loss is None:
        return y, None
    if loss.takes_labels:
        labels = losses.as_class_numbers(y, np.empty((len(y), outputs)))
        weights = None
        if loss._ignored is not None:
            weights = (labels != loss._ignored).astype(np.float64)
            labels = np.where(labels == loss._ignored, 0, labels)
        outside = (labels < 0) | (labels >= outputs)
        if outside.any():
            shown = " ".join(map(str, labels[:20]))
            raise ValueError(
                f"{name}: Received a label value of {labels[outside][0]} which is outside the "
                f"valid range of [0, {outputs}).  Label values: {shown}"
            )
        return labels, weights
    if y.ndim == 1 and outputs > 1 and len(y):
        cure = "; use keras.utils.to_categorical(y), or a sparse loss" if not loss._mean else ""
        raise ValueError(
            f"{name}: Arguments `target` and `output` must have the same rank (ndim). Received: "
            f"target.shape=(None,), output.shape=(None, {outputs}){cure}"
        )
    y = y.reshape(len(y), -1)
    if y.shape[1] != outputs:
        raise ValueError(
            f"{name}: Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={(None, y.shape[1])}, output.shape={(None, outputs)}"
        )
    if isinstance(loss, losses._Margin):
        y = loss.signs(y)
    return y, None
