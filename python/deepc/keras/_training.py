"""What stands between a Keras model and deepc's training: data, metrics, callbacks, penalties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from deepc._values import Array, as_float, describe
from deepc.activations import Sigmoid
from deepc.keras import losses
from deepc.keras._progress import Progbar, say
from deepc.keras.layers.places import flat
from deepc.layers import Softmax
from deepc.losses import Loss as DeepcLoss
from deepc.training import metrics as built_in
from deepc.training import parts as several
from deepc.training.callbacks import Callback as DeepcCallback
from deepc.training.data import check_weights

__all__ = ["AddedLoss", "Adapter", "Meaning", "Tracked"]


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
            f"{name}: expected one array, got a dict of {list(x)}: the model has one input; "
            "several have a name each, as Input(name=...) says"
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


def structured(x: Any, name: str) -> Any:
    """Return samples as an array; where there are several inputs, as a list or a dict of arrays.

    A list is one of several inputs if what it holds are arrays of at least two dimensions.
    """
    if isinstance(x, Mapping):
        return {key: as_samples(one, f"{name}[{key!r}]") for key, one in x.items()}
    if isinstance(x, (list, tuple)) and x and all(getattr(one, "ndim", 0) > 1 for one in x):
        return [as_samples(one, f"{name}[{i}]") for i, one in enumerate(x)]
    return as_samples(x, name)


def _joined(batches: list[Any]) -> Any:
    first = batches[0]
    if isinstance(first, dict):
        return {key: np.concatenate([batch[key] for batch in batches]) for key in first}
    if isinstance(first, list):
        return [
            None if parts[0] is None else np.concatenate(parts)
            for parts in zip(*batches, strict=True)
        ]
    return np.concatenate(batches)


def whole_batches(stream: Any, steps: int | None, several: bool = False) -> tuple[Any, Any, Any]:
    """Return the batches of a stream as one array each of x, y and weights.

    Where there are `several` outputs, lists of y and weights hold those of each, of any shape.
    """
    parts: list[list[Any]] = [[], [], []]
    for number, batch in enumerate(stream):
        if steps is not None and number >= steps:
            break
        given = batch if isinstance(batch, (tuple, list)) else (batch,)
        for i, (part, value) in enumerate(zip(parts, given, strict=False)):
            if i and several and isinstance(value, (list, tuple)):
                part.append([one if one is None else as_samples(one, f"batch {number}")
                             for one in value])  # fmt: skip
            else:
                part.append(structured(value, f"batch {number}"))
        if steps is not None and number + 1 >= steps:
            break
    if not parts[0]:
        raise ValueError("x: gave no batches")
    x, y, weights = (_joined(part) if part else None for part in parts)
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
    """What outputs mean: in their shape, and where they come from before a final activation, after.

    Parameters
    ----------
    activation : str
        The activation that is still to come, "" for none.
    shape : tuple of int
        The shape of what belongs to a sample.
    """

    def __init__(self, activation: str, shape: tuple[int, ...]) -> None:
        self._layer: Any = {"softmax": Softmax, "sigmoid": Sigmoid, "": None}[activation]
        if self._layer is not None:
            self._layer = self._layer()
        self.shape = shape
        self.keeps_largest = len(shape) == 1 and activation != "sigmoid"
        self._seen: tuple[Any, Any] = (None, None)

    def __call__(self, outputs: Any) -> Any:
        if self._layer is None and len(self.shape) == 1:
            return outputs
        if self._seen[0] is not outputs:
            made = np.asarray(outputs)
            if self._layer is not None:
                made = np.asarray(self._layer.forward(made.reshape(-1, self.shape[-1])))
            self._seen = (outputs, made.reshape(-1, *self.shape))
        return self._seen[1]


class Tracked(built_in.Metric):
    """A metric of a compiled model, by the name that its logs have."""

    def __init__(self, metric: Any, name: str, weighted: bool, output: int = 0) -> None:
        self.metric = metric
        self.name = name
        self.weighted = weighted
        self.output = output
        self.better = getattr(metric, "better", None)
        self.meaning: Any = None
        self.part: Any = None

    def reset(self) -> None:
        self.metric.reset()

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        if self.part is not None:
            if self.weighted:
                weights = self.part.weights_of(actual, weights)
            predicted, actual = self.part.of(predicted, actual)
        meant = predicted if self.meaning is None else self.meaning(predicted)
        if np.ndim(meant) > 2:
            actual, meant, weights = self._by_position(np.asarray(actual), meant, weights)
        if weights is None:
            self.metric.update(actual, meant)
        else:
            self.metric.update(actual, meant, weights)

    def counted(self) -> Any:
        # A softmax leaves the largest output where it is; after a sigmoid several may be 1.
        whole = self.part is None and (self.meaning is None or self.meaning.keeps_largest)
        return self.metric.counted() if whole and isinstance(self.metric, built_in.Metric) else self

    def _by_position(self, actual: Array, meant: Array, weights: Any) -> tuple[Any, Any, Any]:
        """Return samples of several dimensions as rows; a user's function gets them as they are."""
        shape = meant.shape if actual.size == meant.size else meant.shape[:-1]
        if getattr(self.metric, "function", None) is not None:
            return actual.reshape(shape), meant, weights
        each = int(np.prod(meant.shape[1:-1]))
        weights = None if weights is None else np.repeat(weights, each)
        rows = meant.reshape(-1, meant.shape[-1])
        return actual.reshape(rows.shape if actual.size == rows.size else -1), rows, weights

    def result(self) -> float:
        value = self.metric.result()
        if isinstance(value, float):
            return float(value)
        value = np.asarray(value, np.float64)
        return float(value if value.ndim == 0 else value.mean())


class OutputLoss(Tracked):
    """The loss of one of several outputs, by itself."""

    def __init__(self, loss: Any, name: str, output: int) -> None:
        super().__init__(several.MeanLoss(loss, name), name, True, output)

    def update(self, actual: Any, predicted: Any, weights: Any = None) -> None:
        weights = self.part.weights_of(actual, weights)
        predicted, actual = self.part.of(predicted, actual)
        self.metric.update(actual, predicted, weights)


def check_metrics(given: Any, argument: str, get: Any) -> None:
    """Refuse what are no metrics, already in `compile`."""
    if given is None:
        return
    if not isinstance(given, (list, tuple, dict)):
        raise ValueError(
            f"Expected `{argument}` argument to be a list, tuple, or dict. Received instead: "
            f"{argument}={given} of type {type(given)}"
        )
    for one in flat(given):
        if one is not None:
            get(one)


def tracked(get: Any, given: list[tuple[str, Any]], out: Any) -> list[Tracked]:
    """Return the metrics of ``compile`` with their names, which differ."""
    found: list[Tracked] = []
    names: dict[str, int] = {}
    for argument, metrics in given:
        for i, listed in enumerate(_of_outputs(metrics, out, argument)):
            for item in listed:
                metric = get(item)
                before = f"{out.names[i]}_" if out.several else ""
                name = f"{before}{metric.name}"
                weighted = argument == "weighted_metrics"
                if weighted and name in names:
                    name = f"{before}weighted_{metric.name}"
                if name in names:
                    names[name] += 1
                    name = f"{name}_{names[name]}"
                names.setdefault(name, 0)
                found.append(Tracked(metric, name, weighted, i))
    return found


def _of_outputs(metrics: Any, out: Any, argument: str) -> list[list[Any]]:
    """Return the metrics of each output."""

    def listed(one: Any) -> list[Any]:
        return [m for m in flat(one) if m is not None]

    if metrics is None:
        return []
    if isinstance(metrics, dict):
        unknown = [key for key in metrics if key not in out.names]
        if unknown and out.several:
            raise ValueError(
                f"In the dict argument `{argument}`, key '{unknown[0]}' does not correspond to any "
                f"model output; the outputs are {out.names}"
            )
        if not out.several:
            return [listed(metrics)]
        return [listed(metrics.get(name)) for name in out.names]
    if not out.several:
        return [listed(metrics)]
    if len(metrics) != len(out.names):
        raise ValueError(
            f"For a model with multiple outputs, when providing the `{argument}` argument as a "
            "list, it should have as many entries as the model has outputs. Received:\n"
            f"{argument}={metrics}\nof length {len(metrics)} whereas the model has "
            f"{len(out.names)} outputs."
        )
    return [listed(one) for one in metrics]


# ---- Losses --------------------------------------------------------------------------------------


def each(given: Any, function: Callable[[Any], Any]) -> Any:
    """Return what a function makes of one thing, or of each in a list or a dict."""
    if isinstance(given, dict) and "class_name" not in given:
        return {key: function(one) for key, one in given.items()}
    if isinstance(given, (list, tuple)):
        return [function(one) for one in given]
    return function(given)


class ByPosition(DeepcLoss):
    """A loss of rows where a sample has several of them: the last dimension is what it looks at."""

    reduction = "mean"

    def __init__(self, loss: Any, shape: tuple[int, ...]) -> None:
        self._loss, self._width = loss, shape[-1]
        self._each = math.prod(shape[:-1])

    def _rows(self, predicted: Any, actual: Any, weights: tuple[Any, ...]) -> tuple[Any, ...]:
        p = np.asarray(predicted).reshape(-1, self._width)
        a = np.asarray(actual)
        a = a.reshape(p.shape) if a.size == p.size else a.reshape(-1).astype(np.int64)
        return (p, a, *(np.repeat(np.atleast_1d(w), self._each) for w in weights))

    def loss(self, predicted: Any, actual: Any, *weights: Any) -> float:
        return float(self._loss.loss(*self._rows(predicted, actual, weights)))

    def gradient(self, predicted: Any, actual: Any, *weights: Any) -> Any:
        made = self._loss.gradient(*self._rows(predicted, actual, weights))
        return np.asarray(made).reshape(np.shape(predicted))


def made(chosen: Any, fused: bool, shape: tuple[int, ...]) -> Any:
    """Return deepc's loss for an output of a shape."""
    if isinstance(chosen, DeepcLoss):
        return chosen
    loss = chosen.make(fused, shape)
    whole = chosen._mean or not chosen._built_in
    return loss if len(shape) == 1 or whole else ByPosition(loss, shape)


def parts(chosen: list[Any], out: Any) -> list[several.Part]:
    """Return where each output, and what is right for it, lies in rows."""
    found, start = [], 0
    for loss, shape, columns in zip(chosen, out.shapes, out.columns, strict=True):
        labels = bool(getattr(loss, "takes_labels", False)) and not isinstance(loss, DeepcLoss)
        width = math.prod(shape[:-1]) if labels else math.prod(shape)
        one = labels and len(shape) == 1
        found.append(several.Part(columns, slice(start, start + width), one))
        start += width
    for i, part in enumerate(found):
        part.weights = start + i
    return found


def loss_metrics(made: list[Any], out: Any) -> list[Tracked]:
    """Return metrics that show the losses of several outputs, each by itself."""
    return [
        OutputLoss(loss, f"{name}_loss", i)
        for i, (loss, name) in enumerate(zip(made, out.names, strict=True))
        if loss is not None
    ]


def parts_loss(parts: list[several.Part], made: list[Any], weights: list[Any]) -> Any:
    """Return the loss of all outputs."""
    return several.PartsLoss(
        [
            (part, loss, 1.0 if weight is None else as_float(weight, "loss_weights"))
            for part, loss, weight in zip(parts, made, weights, strict=True)
            if loss is not None
        ]
    )


def all_targets(
    chosen: list[Any], given: list[Array | None], out: Any, name: str,
    weights: list[Array | None] | None = None,
) -> tuple[Array, Array | None]:  # fmt: skip
    """Return what is right for all outputs as deepc takes it, and weights for what is ignored.

    `weights` are those of each output, which stand behind what is right.
    """
    if not out.several:
        assert given[0] is not None
        return targets(chosen[0], given[0], out.shapes[0], name)
    rows = next(len(y) for y in given if y is not None)
    columns = []
    for i, (loss, y, part) in enumerate(zip(chosen, given, parts(chosen, out), strict=True)):
        width = part.actual.stop - part.actual.start
        if loss is None:
            columns.append(np.zeros((rows, width)))
            continue
        if y is None:
            raise ValueError(f"{name}[{i}]: expected targets for output {out.names[i]!r}, got None")
        found, ignored = targets(loss, y, out.shapes[i], f"{name}[{i}]")
        if ignored is not None:
            raise ValueError("ignore_class: not supported where there are several outputs")
        if found.size != rows * width:
            raise ValueError(
                f"{name}[{i}]: expected {width} numbers for each sample, as output "
                f"{out.names[i]!r} has, got shape {found.shape}"
            )
        columns.append(found.reshape(rows, width))
    for one in weights or ():
        columns.append(np.ones((rows, 1)) if one is None else one.reshape(rows, 1))
    return np.concatenate(columns, axis=1), None


def output_weights(given: Any, out: Any, rows: int, name: str) -> list[Array | None]:
    """Return the weights of samples for each output, None where all weigh 1."""
    several = isinstance(given, dict) or len(given) == len(out.names)
    if not several or not all(one is None or np.ndim(one) for one in flat(given)):
        raise ValueError(
            f"You should provide one `sample_weight` array per output in `y`: {name} takes one "
            f"array for all outputs, or a list or a dict of an array for each of {out.names}; got "
            f"{describe(given)}"
        )
    if isinstance(given, dict):
        given = {key: given.get(key) for key in (*given, *out.names)}
    listed = out.listed(given, name, "")
    return [
        None if one is None else check_weights(one, np.empty((rows, 0)), f"{name}[{key!r}]")
        for key, one in zip(out.names, listed, strict=True)
    ]


# ---- What layers add -----------------------------------------------------------------------------


class AddedLoss(DeepcLoss):
    """A loss with what `add_loss` added in a graph's last pass."""

    def __init__(self, loss: Any, net: Any) -> None:
        self.inner, self._net = loss, net
        self.reduction = getattr(loss, "reduction", "sum")

    def loss(self, predicted: Any, actual: Any, *weights: Any) -> float:
        return float(self.inner.loss(predicted, actual, *weights)) + float(self._net.added)

    def gradient(self, predicted: Any, actual: Any, *weights: Any) -> Any:
        return self.inner.gradient(predicted, actual, *weights)


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

    @property
    def kept(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a file of the training keeps: all that callbacks have counted."""
        return tuple(
            f"{i}:{name}"
            for i, callback in enumerate(self.callbacks)
            for name in getattr(callback.__dict__.get("_made"), "kept", ())
        )

    def __getattr__(self, name: str) -> Any:
        place, colon, inner = name.partition(":")
        if not colon:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self.callbacks[int(place)]._made, inner)

    def _restore(self) -> None:
        """Give callbacks what a file had of them, which stands among the attributes."""
        for name in [name for name in vars(self) if ":" in name]:
            place, _, inner = name.partition(":")
            setattr(self.callbacks[int(place)]._made, inner, vars(self).pop(name))

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
        self._restore()
        self._tell("on_epoch_begin", epoch, {})
        self._rows = 0
        if self.verbose:
            if self.epochs > 1:
                say(f"Epoch {epoch + 1}/{self.epochs}")
            self.bar = Progbar(self.steps, verbose=self.verbose)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._restore()
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
        if self.callbacks:
            self._tell("on_test_end", sorted_logs(logs))

    def advance(self, rows: int, loss: float) -> None:
        """Go on by some rows; draw the bar if it is time."""
        self._rows += rows
        if self.bar is not None and self.bar.is_due():
            logs = self.session.stepper.logs(loss, 1, self.session.metrics)
            step = math.ceil(self._rows / self.each)
            self.bar.update(step, sorted_logs(logs), finalize=False)


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


def targets(loss: Any, y: Array, shape: tuple[int, ...], name: str) -> tuple[Array, Array | None]:
    """Return targets or labels as the library takes them, and weights for those that are ignored.

    The loss's kind decides: class numbers, one-hot rows, or numbers.
    """
    outputs = math.prod(shape)
    if isinstance(loss, DeepcLoss) or loss is None or not loss._built_in:
        return y, None
    if loss.takes_labels:
        labels = _labels(loss, y, shape, name)
        weights = None
        if loss._ignored is not None:
            if labels.ndim > 1:
                raise ValueError("ignore_class: not supported for samples of several positions")
            weights = (labels != loss._ignored).astype(np.float64)
            labels = np.where(labels == loss._ignored, 0, labels)
        outside = (labels < 0) | (labels >= shape[-1])
        if outside.any():
            shown = " ".join(map(str, labels.reshape(-1)[:20]))
            raise ValueError(
                f"{name}: Received a label value of {labels[outside][0]} which is outside the "
                f"valid range of [0, {shape[-1]}).  Label values: {shown}"
            )
        return labels, weights
    if y.ndim == 1 and outputs > 1 and len(y):
        cure = "; use keras.utils.to_categorical(y), or a sparse loss" if not loss._mean else ""
        raise ValueError(
            f"{name}: Arguments `target` and `output` must have the same rank (ndim). Received: "
            f"target.shape=(None,), output.shape={(None, *shape)}{cure}"
        )
    if y.shape[1:] != shape and (y.ndim > 2 or len(shape) > 1 or y.size != len(y) * outputs):
        raise ValueError(
            f"{name}: Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={(None, *y.shape[1:])}, output.shape={(None, *shape)}"
        )
    y = y.reshape(len(y), -1)
    if isinstance(loss, losses._Margin):
        y = loss.signs(y)
    return y, None


def _labels(loss: Any, y: Array, shape: tuple[int, ...], name: str) -> Array:
    """Return class numbers, one a sample, or one for each of its positions."""
    if len(shape) == 1:
        return losses.as_class_numbers(y, np.empty((len(y), shape[0])))
    inner = y[..., 0] if y.ndim == len(shape) + 1 and y.shape[-1] == 1 else y
    if inner.shape[1:] != shape[:-1]:
        raise ValueError(
            f"{name}: Argument `output` must have rank (ndim) `target.ndim - 1`. Received: "
            f"target.shape={(None, *y.shape[1:])}, output.shape={(None, *shape)}"
        )
    found = losses.as_class_numbers(inner.reshape(-1), np.empty((inner.size, shape[-1])))
    return found.reshape(len(y), -1)
