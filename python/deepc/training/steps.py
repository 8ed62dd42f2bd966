"""The steps of a training: in C as far as everything is built in, else one after the other."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from deepc._c.network import Samples
from deepc._values import Array
from deepc.layers import Layer
from deepc.layers._plan import computes_with
from deepc.layers.sequential import compiled_network, what_forward_changes
from deepc.losses import BuiltinLoss, Loss
from deepc.optimizers import BuiltinOptimizer, Optimizer
from deepc.training.evaluate import measure, total_loss
from deepc.training.metrics import Metric, takes_right
from deepc.training.penalties import Penalties

if TYPE_CHECKING:
    from deepc.training.sources import Part

__all__ = ["Made", "Stepper"]

# How long one call into the library may take: Ctrl-C and the progress bar wait no longer than that.
SECONDS_A_CALL = 0.05


class Made(NamedTuple):
    """What metrics are made of, of some rows in the order of their use.

    Attributes
    ----------
    predicted : ndarray of shape (rows, outputs) or None
        The predictions, made before the step that they led to; None where `right` is enough.
    right : int
        How many of them have their largest output where it should be.
    told : sequence of bool
        Which of the metrics are told that number, the others the predictions.
    """

    predicted: Array | None
    right: int
    told: Sequence[bool]

    @staticmethod
    def of(parts: Sequence[Made]) -> Made:
        """Return the rows of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        predicted = None
        if parts[0].predicted is not None:
            predicted = np.concatenate([cast(Array, part.predicted) for part in parts])
        return Made(predicted, sum(part.right for part in parts), parts[0].told)


class Stepper:
    """Trains a model, a loss and an optimizer on parts of an epoch."""

    def __init__(
        self, model: Layer, loss: Loss, optimizer: Optimizer, penalties: Penalties | None = None
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.penalties = penalties
        # What is prepared for the rows of an epoch, and what it depends on.
        self._kept: tuple[Samples, list[bool], int]
        self._key: tuple[Any, ...] = ()

    def run(
        self, part: Part, metrics: Sequence[Metric], start: int = 0, so_far: float = 0.0
    ) -> Iterator[tuple[int, float, Made | None]]:
        """Train on a part; yield how far it is, the loss so far, and what came since.

        `start` and `so_far` are where to go on, as they were yielded before. What came is what the
        metrics take; None without metrics.
        """
        network = compiled_network(self.model)
        own_loss = computes_with(self.loss, BuiltinLoss, ("loss", "gradient"))
        if network and own_loss and computes_with(self.optimizer, BuiltinOptimizer, ("step",)):
            tensors = cast(BuiltinOptimizer, self.optimizer).tensors(self.model)
            if tensors:
                return self._compiled(network, tensors, part, metrics, start, so_far)
        return self._one_by_one(part, [False] * len(metrics), start, so_far)

    def begin(self, metrics: Sequence[Any]) -> None:
        """Let metrics forget the epoch before."""
        for item in metrics:
            item.reset()

    def logs(self, total: float, rows: int, metrics: Sequence[Any]) -> dict[str, float]:
        """Return the numbers of so many rows, whose losses have a sum."""
        return {"loss": total / rows, **{item.name: item.result() for item in metrics}}

    def measure(
        self, rows: Any, metrics: list[Any], batch_size: int | None
    ) -> dict[str, float]:  # fmt: skip
        """Return loss and metrics of rows that are not trained on."""
        return measure(self.model, rows, self.loss, metrics, batch_size, self.penalties)

    def _compiled(
        self,
        network: Any,
        tensors: Any,
        part: Part,
        metrics: Sequence[Metric],
        start: int,
        so_far: float,
    ) -> Iterator[tuple[int, float, Made | None]]:
        rows, optimizer = part.rows, cast(Any, self.optimizer)
        samples, told, outputs = self._prepared(network, part, metrics)
        predictions = None
        if False in told:
            predictions = np.empty((len(rows), outputs), network.dtype)
        rates = optimizer.rates(-(-len(rows) // part.batch_size))
        samples.begin(part.order, rates, predictions, True in told, start, so_far)
        made, done, right = None, start, 0
        while done < len(rows):
            before, done = done, network.train(optimizer._numbers, tensors, samples, SECONDS_A_CALL)
            if told:
                before_right, right = right, samples.right[0]
                came = None if predictions is None else predictions[before:done]
                made = Made(came, right - before_right, told)
            yield done, samples.loss[0], made

    def _prepared(
        self, network: Any, part: Part, metrics: Sequence[Metric]
    ) -> tuple[Samples, list[bool], int]:
        """Return the rows of a part for C, which metrics are told what is right, and the outputs.

        They are those of the epoch before, unless something is another one now.
        """
        rows, rule = part.rows, cast(Any, self.loss)._rule
        penalties = self.penalties.compiled() if self.penalties else None
        key = (network, rows, part.batch_size, rule, penalties, *metrics)
        if len(key) != len(self._key) or any(map(operator.is_not, key, self._key)):
            outputs = network.outputs_for(rows.x.shape[1])
            samples = Samples(
                network, rows.x, rows.targets, rows.labels, rows.weights, part.batch_size, rule,
                penalties,
            )  # fmt: skip
            told = [
                takes_right(item, rows.targets is None, outputs, rows.weights is not None)
                for item in metrics
            ]
            self._kept = samples, told, outputs
            self._key = key
        return self._kept

    def _one_by_one(
        self, part: Part, told: Sequence[bool], begin: int, total: float
    ) -> Iterator[tuple[int, float, Made | None]]:
        # What a layer in Python gives is not known before, so that it does not fit shows here.
        put_back: Callable[[], None] | None = what_forward_changes(self.model)
        for stop, batch in part.batches(begin):
            rows = len(batch)
            if part.batch_size == 1:
                # One sample is passed as a vector, as in the chapter's own loops.
                x, actual = batch.x[0], batch.actual[0]
            else:
                x, actual = batch.x, batch.actual
            try:
                predicted = self.model.forward(x)
                value = total_loss(self.loss, predicted, actual, batch.weights, rows)
                self._go_back(predicted, actual, batch.weights)
                if self.penalties:
                    value += self.penalties.total(self.loss, rows, self.penalties.add())
            except BaseException:
                if put_back:
                    put_back()
                raise
            put_back = None
            self.optimizer.step(self.model)
            total += value
            made = Made(np.atleast_2d(np.asarray(predicted)), 0, told) if told else None
            yield stop, total, made

    def _go_back(self, predicted: Any, actual: Any, weights: Array | None) -> None:
        more = () if weights is None else (weights,)
        self.model.backward(cast(Any, self.loss).gradient(predicted, actual, *more))
