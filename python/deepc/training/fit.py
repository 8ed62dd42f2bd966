"""Training: the one function that every training goes through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepc._c import random
from deepc._values import as_bool, as_float, as_int, check_part, describe
from deepc.layers import Layer
from deepc.losses import Loss
from deepc.optimizers import Optimizer
from deepc.tensor import Tensor
from deepc.training.data import check_model, check_rows, class_weights, is_stream, split
from deepc.training.history import History
from deepc.training.metrics import metric_list
from deepc.training.penalties import Penalties
from deepc.training.progress import progress_bar
from deepc.training.session import HOOKS, Session
from deepc.training.sources import Source, StreamSource, Validation

if TYPE_CHECKING:
    from deepc.shipping.checkpoint import CheckpointFile

__all__ = ["fit"]


def fit(
    model: Layer,
    x: Tensor,
    y: Any = None,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int = 1,
    shuffle: bool = False,
    rng: Any = None,
    progress: bool | None = None,
    metrics: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    validation_freq: int = 1,
    validation_batch_size: int | None = None,
    callbacks: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    penalties: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    checkpoint: Any = None,
    every: Any = "epoch",
    resume: bool = False,
) -> History:
    """Train a model for some epochs; return the loss of each, and what else was measured.

    Each batch is one step: forward, loss, gradient, backward, update. Where model, loss and
    optimizer are deepc's own, an epoch is one call into C; what someone has written in Python takes
    part batch by batch, with the same results. The loss's reduction holds within a batch. Ctrl-C
    stops between two steps.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.
    x : list or ndarray of shape (samples, inputs), or an iterable of batches
        The samples. Without `y`: something that gives ``(x, y)`` or ``(x, y, sample_weight)`` for
        each step, a generator or a loader; an endless one needs `steps_per_epoch`.
    y : list or ndarray of shape (samples, outputs) or (samples,), optional
        What the model shall give for them; for `SoftmaxCrossEntropy` also integer class labels. A
        loss written in Python gets the rows of whatever array this is.
    loss : Loss
    optimizer : Optimizer
    epochs : int, optional
        Where the epochs end: with ``initial_epoch=2`` and 5, three are trained.
    batch_size : int, optional
        Samples a step; the last batch of an epoch may be smaller. With 1, in compiled training,
        gradients go straight into the parameters: `grads` are then what they were before.
    shuffle : bool, optional
        Go over the samples in a new random order in each epoch.
    rng : int, random.Random or numpy.random.Generator, optional
        Where those orders come from; the ``random`` module if not given. One key is drawn for all
        epochs, so the order of an epoch depends on its number only.
    progress : bool, optional
        Show a progress bar (which needs tqdm). If not given: on a terminal and in a notebook, if
        tqdm is installed.
    metrics : list, optional
        What else to measure: names (``"accuracy"``), metrics, or functions of (actual, predicted).
        A row's prediction is the one before the step that it led to.
    validation_data : tuple, optional
        ``(x, y)`` or ``(x, y, sample_weight)`` to measure after epochs, with names that begin with
        ``val_``.
    validation_split : float, optional
        Keep that fraction, the last rows before any shuffling, for validation instead.
    validation_freq : int, optional
        Epochs from one validation to the next.
    validation_batch_size : int, optional
        Rows that layers written in Python get at once in validation.
    callbacks : list of Callback, optional
        What happens between epochs; see `Callback`.
    class_weight : dict of int to float, optional
        How much the samples of each class count in training; those not named 1.
    sample_weight : list or ndarray of shape (samples,), optional
        How much each sample counts in training. The loss is still divided by their number.
    penalties : list of (parameter, l1, l2), optional
        Adds ``l1 * sum of abs(p) + l2 * sum of p**2`` to the loss of each batch and of validation,
        and its slope to the gradients; each parameter is an array out of ``model.params()``. A loss
        that is a sum has it once a batch.
    initial_epoch : int, optional
        The first epoch's number.
    steps_per_epoch : int, optional
        Steps that make an epoch; the next one goes on where it ended.
    checkpoint : str or path, optional
        A ``.safetensors`` or ``.npz`` file that keeps the state of the training: weights, random
        streams, optimizer, order of the rows, history, callbacks. It is replaced whole; `load`
        reads the model out of it.
    every : "epoch" or float, optional
        When it is written: after each epoch, or whenever so many seconds have passed, then also in
        the midst of an epoch (unless a metric adds up what no file holds, as functions do).
        And at the end.
    resume : bool, optional
        Go on from that file if it is there. A training that was killed anywhere ends, after it was
        resumed with the same arguments, with the bits of one that was not. Where `x` gives batches,
        it is gone over again up to the place, and must give the same ones: a generator cannot.

    Returns
    -------
    History
        A list with one loss an epoch: the sum over its samples divided by their number. The other
        series have names: ``history["val_loss"]``.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be; the model is unchanged then.

    Examples
    --------
    >>> import deepc, random
    >>> random.seed(0)
    >>> net = deepc.Sequential([deepc.Linear(2, 4), deepc.Tanh(), deepc.Linear(4, 1)])
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
    >>> sgd = deepc.GradientDescent(0.1)
    >>> history = deepc.fit(net, x, y, loss=deepc.SSE(), optimizer=sgd, epochs=2000)
    >>> history[-1] < 1e-6
    True
    """
    check_model(model)
    check_part(loss, "loss", "Loss", "gradient")
    check_part(optimizer, "optimizer", "Optimizer", "step")
    epochs = as_int(epochs, "epochs", least=0)
    initial_epoch = as_int(initial_epoch, "initial_epoch", least=0)
    batch_size = as_int(batch_size, "batch_size", least=1)
    shuffle = as_bool(shuffle, "shuffle")
    rng = random.generator(rng)
    if progress is not None:
        progress = as_bool(progress, "progress")
    if steps_per_epoch is not None:
        steps_per_epoch = as_int(steps_per_epoch, "steps_per_epoch", least=1)
    penalized = None if penalties is None else Penalties(model, penalties)
    measured = metric_list(metrics)
    taking_part = _callbacks(callbacks)
    validation = None
    source: Source | StreamSource
    if is_stream(x, y):
        _refuse_for_streams(class_weight, sample_weight, validation_split, shuffle)
        source = StreamSource(x, model, loss, steps_per_epoch)
    else:
        rows = check_rows(model, x, y, loss, sample_weight)
        if class_weight is not None:
            by_class = class_weights(class_weight, rows)
            rows.weights = by_class if rows.weights is None else rows.weights * by_class
        fraction = as_float(validation_split, "validation_split", 0.0, 1.0)
        if validation_data is None and fraction > 0:
            rows, kept = split(rows, fraction)
            validation = kept
        batch_size = min(batch_size, max(len(rows), 2))  # a batch of one row stays a batch
        source = Source(rows, batch_size, shuffle, rng, steps_per_epoch)
    resume = as_bool(resume, "resume")
    file = _checkpoint(checkpoint, every, resume, source, optimizer, taking_part)
    if validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise TypeError(
                "validation_data: expected (x, y) or (x, y, sample_weight), "
                f"got {describe(validation_data)}"
            )
        val_x, val_y, val_weight = (*validation_data, None)[:3]
        validation = check_rows(model, val_x, val_y, loss, val_weight, "validation ")
    session = Session(model, loss, optimizer, measured, taking_part, penalized)
    every = as_int(validation_freq, "validation_freq", least=1)
    total = None if source.samples is None else (epochs - initial_epoch) * source.samples
    with progress_bar(progress, total) as advance:
        return session.run(
            source,
            initial_epoch,
            epochs,
            Validation(validation, every, validation_batch_size) if validation else None,
            advance,
            file,
            resume and file is not None and os.path.exists(file.path),
        )


def _checkpoint(
    path: Any, every: Any, resume: bool, source: Source | StreamSource, optimizer: Any,
    callbacks: list[Any],
) -> CheckpointFile | None:  # fmt: skip
    if path is None:
        if resume or every != "epoch":
            raise ValueError(f"{'resume' if resume else 'every'}: needs a checkpoint")
        return None
    from deepc.shipping.checkpoint import CheckpointFile, check

    kept = CheckpointFile(path, every)
    if isinstance(source, StreamSource) and isinstance(source.stream, Iterator):
        raise ValueError(
            f"checkpoint: x is {describe(source.stream)}, whose batches come once; to go on from a "
            "place they must come again: expected an object whose __iter__ begins anew each time, "
            "or x and y as arrays"
        )
    check(optimizer, callbacks)
    return kept


def _callbacks(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    if not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    for i, callback in enumerate(callbacks):
        check_part(callback, f"callbacks[{i}]", "a Callback", *HOOKS)
    return list(callbacks)


def _refuse_for_streams(
    class_weight: Any, sample_weight: Any, validation_split: float, shuffle: bool
) -> None:
    for name, given, instead in (
        ("class_weight", class_weight is not None, "give (x, y, sample_weight) in each batch"),
        ("sample_weight", sample_weight is not None, "give (x, y, sample_weight) in each batch"),
        ("validation_split", validation_split != 0, "use validation_data"),
        ("shuffle", shuffle, "shuffle where the batches are made"),
    ):
        if given:
            raise ValueError(f"{name}: x gives batches, not all samples; {instead}")
