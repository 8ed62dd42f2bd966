"""What a model gives without being trained: predictions, its loss and metrics, and its modes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from deepc._values import Array, as_bool, as_int
from deepc.layers import Layer
from deepc.layers._plan import computes_with
from deepc.layers.sequential import all_layers, compiled_network
from deepc.losses import BuiltinLoss, Loss
from deepc.tensor import Tensor
from deepc.training.data import Rows, check_model, check_rows, samples
from deepc.training.metrics import Metric, metric_list, right_rows, takes_right
from deepc.training.penalties import Penalties

__all__ = ["evaluate", "predict", "training"]

# Rows that a layer written in Python gets at once where nobody says how many.
_ROWS_AT_ONCE = 1024


@contextmanager
def training(model: Layer, mode: bool = True) -> Iterator[None]:
    """Let all layers of a model train or not inside a ``with`` block; put them back afterwards.

    It matters for layers that compute differently in training, as `Dropout`.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.
    mode : bool, optional
        Whether they train.

    Examples
    --------
    >>> import deepc
    >>> net = deepc.Sequential([deepc.Dropout(0.5)])
    >>> with deepc.training(net, False):
    ...     net.forward([2.0, 2.0])
    [1.0, 1.0]
    >>> net.layers[0].train
    True
    """
    mode = as_bool(mode, "mode")
    layers: list[Any] = list(all_layers(model))
    changed = [layer for layer in layers if isinstance(getattr(layer, "train", None), bool)]
    before = [layer.train for layer in changed]
    try:
        for layer in changed:
            layer.train = mode
        yield
    finally:
        for layer, was in zip(changed, before, strict=True):
            layer.train = was


def predict(model: Layer, x: Tensor, *, batch_size: int | None = None) -> Any:
    """Return what a model gives for samples, with all its layers in evaluation.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.
    x : list or ndarray of shape (samples, inputs) or (inputs,)
        A batch of samples, or one.
    batch_size : int, optional
        How many rows a layer written in Python gets at once; the bits of what is compiled do not
        depend on it.

    Returns
    -------
    list or ndarray of shape (samples, outputs) or (outputs,)
        A list for a list, an array for all else.

    Raises
    ------
    ValueError, TypeError
        If the model does not take such samples.

    Examples
    --------
    >>> import deepc
    >>> deepc.predict(deepc.Sequential([deepc.Relu()]), [[-1.0, 2.0]])
    [[0.0, 2.0]]
    """
    check_model(model)
    if batch_size is not None:
        batch_size = as_int(batch_size, "batch_size", least=1)
    network = compiled_network(model)
    given: Any = x
    if not isinstance(x, list):
        given = samples(x, "x", None) if network is None else network.as_input(x, "x")
    return _predict(model, network, given, batch_size)


def _predict(model: Layer, network: Any, given: Any, batch_size: int | None) -> Any:
    """Return what a model gives for samples of the kind that it takes."""
    if network is not None and not network.is_training():
        return model.forward(given)
    with training(model, False):
        if network is not None or np.ndim(given) != 2:
            return model.forward(given)
        each = batch_size or _ROWS_AT_ONCE
        parts = [model.forward(given[i : i + each]) for i in range(0, len(given), each)]
    if isinstance(given, list):
        return [row for part in parts for row in part]
    return np.concatenate([np.asarray(part) for part in parts])


def evaluate(
    model: Layer,
    x: Tensor,
    y: Any,
    *,
    loss: Loss | None = None,
    metrics: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics of a model over samples, with its layers in evaluation.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.
    x : list or ndarray of shape (samples, inputs)
    y : list or ndarray of shape (samples, outputs) or (samples,)
        What is right: targets, or class labels where the loss takes them.
    loss : Loss, optional
        Its mean over the samples is the result's ``"loss"``.
    metrics : list, optional
        Names, metrics or functions; see `metric`.
    sample_weight : list or ndarray of shape (samples,), optional
        How much each sample counts in the loss, which is still divided by their number.
    batch_size : int, optional
        As for `predict`.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ValueError, TypeError
        If the arguments do not fit each other, or there are no samples.

    Examples
    --------
    >>> import deepc
    >>> net = deepc.Sequential([deepc.Relu()])
    >>> deepc.evaluate(net, [[1.0], [-1.0]], [[1.0], [1.0]], loss=deepc.SSE(), metrics=["mae"])
    {'loss': 0.5, 'mae': 0.5}
    """
    check_model(model)
    measured = metric_list(metrics)
    rows = check_rows(model, x, y, loss, sample_weight)
    return measure(model, rows, loss, measured, batch_size)


def measure(
    model: Layer,
    rows: Rows,
    loss: Loss | None,
    metrics: list[Metric],
    batch_size: int | None = None,
    penalties: Penalties | None = None,
) -> dict[str, float]:
    """Return loss and metrics of checked rows; the metrics start anew."""
    network = compiled_network(model)
    logs: dict[str, float] = {}
    if loss is None or batch_size is None or computes_with(loss, BuiltinLoss, ("loss",)):
        each, within = len(rows), batch_size
    else:
        # A loss written in Python need not be a mean over rows, and may ask what the model added in
        # its last call: it gets batches as training gives them, each after it was computed.
        each = within = batch_size
    made, total = [], 0.0
    for start in range(0, len(rows), each):
        part = rows.part(slice(start, start + each)) if each < len(rows) else rows
        predicted = np.asarray(_predict(model, network, part.x, within))
        made.append(predicted)
        if loss is not None:
            total += total_loss(loss, predicted, part.actual, part.weights, len(part))
            if penalties:
                total += penalties.total(loss, len(part), penalties.value())
    if loss is not None:
        logs["loss"] = total / len(rows)
    predicted = made[0] if len(made) == 1 else np.concatenate(made)
    # What a model or a loss in Python takes may have other shapes than those of a network.
    labels, right = rows.targets is None, None
    fits = predicted.ndim == 2 and rows.actual.shape == predicted.shape[: 1 if labels else 2]
    for item in metrics:
        item.reset()
        if fits and takes_right(item, labels, predicted.shape[1], rows.weights is not None):
            right = right_rows(rows.actual, predicted) if right is None else right
            item.counted().add_right(right, len(rows), labels)
        else:
            update_metric(item, rows.actual, predicted, rows.weights)
        logs[item.name] = item.result()
    return logs


def update_metric(item: Metric, actual: Any, predicted: Any, weights: Array | None) -> None:
    """Give a metric some rows; their weights too if it asks for them."""
    if weights is not None and item.weighted:
        item.update(actual, predicted, weights)
    else:
        item.update(actual, predicted)


def total_loss(loss: Any, predicted: Any, actual: Any, weights: Array | None, rows: int) -> float:
    """Return the sum of the losses of all rows, whatever the loss's reduction is.

    Where the reduction is a mean of elements, the loss of a row is the mean of its own.
    """
    if computes_with(loss, BuiltinLoss, ("loss",)):
        return cast(float, loss._total(predicted, actual, weights))
    more = () if weights is None else (weights,)
    value = float(loss.loss(predicted, actual, *more))
    return value if getattr(loss, "reduction", "sum") == "sum" else value * rows
