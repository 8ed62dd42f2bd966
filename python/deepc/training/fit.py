"""Training: the one loop over epochs and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from deepc._c import random
from deepc._c.network import Network, Samples
from deepc._c.optimizer import Tensors
from deepc._values import Array, as_array, as_bool, as_int, describe
from deepc.layers import Layer
from deepc.layers._plan import computes_with
from deepc.layers.sequential import compiled_network, output_width
from deepc.losses import BuiltinLoss, Loss
from deepc.optimizers import BuiltinOptimizer, Optimizer
from deepc.tensor import Tensor
from deepc.training.data import check_targets, finite
from deepc.training.progress import progress_bar

__all__ = ["fit"]

# How long one call into the library may take: Ctrl-C and the progress bar wait no longer than that.
SECONDS_A_CALL = 0.05


def fit(
    model: Layer,
    x: Tensor,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int = 1,
    shuffle: bool = False,
    rng: Any = None,
    progress: bool | None = None,
) -> list[float]:
    """Train a model for some epochs; return the mean loss of a sample in each.

    Each batch is one step: forward, loss, gradient, backward, update. Where model, loss and
    optimizer are deepc's own, an epoch is one call into C; what someone has written in Python takes
    part batch by batch, with the same results. The loss's reduction holds within a batch. Ctrl-C
    stops between two steps.

    Parameters
    ----------
    model : Layer
        A layer or a `Sequential`.
    x : list or ndarray of shape (samples, inputs)
        The samples.
    y : list or ndarray of shape (samples, outputs) or (samples,)
        What the model shall give for them; for `SoftmaxCrossEntropy` also integer class labels. A
        loss written in Python gets the rows of whatever array this is.
    loss : Loss
    optimizer : Optimizer
    epochs : int, optional
        How often to go over all samples.
    batch_size : int, optional
        Samples a step; the last batch of an epoch may be smaller. With 1, in compiled training,
        gradients go straight into the parameters: `grads` are then what they were before.
    shuffle : bool, optional
        Go over the samples in a new random order in each epoch.
    rng : int, random.Random or numpy.random.Generator, optional
        Where those orders come from; the ``random`` module if not given.
    progress : bool, optional
        Show a progress bar (which needs tqdm). If not given: on a terminal, if tqdm is installed.

    Returns
    -------
    list of float
        One loss an epoch: the sum over its samples divided by their number.

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
    if isinstance(model, type) or not hasattr(model, "forward"):
        raise TypeError(f"model: expected a layer, got {describe(model)}")
    for name, value, method in (("loss", loss, "gradient"), ("optimizer", optimizer, "step")):
        if isinstance(value, type) or not hasattr(value, method):
            raise TypeError(f"{name}: expected {name[0].upper() + name[1:]}, got {describe(value)}")
    epochs = as_int(epochs, "epochs", least=0)
    batch_size = as_int(batch_size, "batch_size", least=1)
    shuffle = as_bool(shuffle, "shuffle")
    if progress is not None:
        progress = as_bool(progress, "progress")
    keys = random.generator(rng)
    network = compiled_network(model)
    x = finite(as_array(x, "x", network.dtype if network else None), "x")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x: expected samples in rows, at least 1 x 1, got shape {x.shape}")
    if network and network.inputs and x.shape[1] != network.inputs:
        raise ValueError(f"x: expected {network.inputs} columns, got {x.shape[1]}")
    batch_size = min(batch_size, max(len(x), 2))  # a batch of one row stays a batch
    targets, labels = check_targets(y, x, output_width(model), loss)

    tensors = None
    own_loss = computes_with(loss, BuiltinLoss, ("loss", "gradient"))
    if network and own_loss and computes_with(optimizer, BuiltinOptimizer, ("step",)):
        tensors = cast(BuiltinOptimizer, optimizer).tensors(model)
    if network and tensors:
        epoch = _compiled_epoch(network, tensors, x, targets, labels, loss, optimizer, batch_size)
    else:
        actual: Array = labels if targets is None else targets  # type: ignore[assignment]
        epoch = _epoch_by_steps(model, x, actual, loss, optimizer, batch_size)

    history: list[float] = []
    with progress_bar(progress, epochs * len(x)) as advance:
        for _ in range(epochs):
            order = random.permutation(len(x), keys) if shuffle else None
            total, done = 0.0, 0
            for done_now, total in epoch(order):
                advance(done_now - done, total / done_now)
                done = done_now
            history.append(total / len(x))
    return history


Epoch = Callable[[Any], Iterator[tuple[int, float]]]


def _compiled_epoch(
    network: Network,
    tensors: Tensors,
    x: Array,
    targets: Array | None,
    labels: Array | None,
    loss: Any,
    optimizer: Any,
    batch_size: int,
) -> Epoch:
    def epoch(order: Array | None) -> Iterator[tuple[int, float]]:
        samples = Samples(
            network, x, targets, labels, order, batch_size, loss._kind, loss.reduction == "mean"
        )
        done = 0
        while done < len(x):
            done = network.train(optimizer._numbers, tensors, samples, SECONDS_A_CALL)
            yield done, samples.loss[0]

    return epoch


def _epoch_by_steps(
    model: Layer, x: Array, y: Array, loss: Any, optimizer: Optimizer, batch_size: int
) -> Epoch:
    def epoch(order: Array | None) -> Iterator[tuple[int, float]]:
        total = 0.0
        for start in range(0, len(x), batch_size):
            stop = min(start + batch_size, len(x))
            rows = slice(start, stop) if order is None else order[start:stop]
            # One sample is passed as a vector, as in the chapter's own loops.
            batch, actual = (x[rows], y[rows]) if batch_size > 1 else (x[rows][0], y[rows][0])
            predicted = model.forward(batch)
            value = loss.loss(predicted, actual)
            mean = getattr(loss, "reduction", "sum") == "mean"
            total += value * (stop - start) if mean else value
            model.backward(loss.gradient(predicted, actual))
            optimizer.step(model)
            yield stop, total

    return epoch
