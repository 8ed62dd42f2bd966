"""The steps of a training: in C as far as everything is built in, else one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from deepc._c.network import Samples
from deepc._values import Array
from deepc.layers import Layer
from deepc.layers._plan import computes_with
from deepc.layers.sequential import compiled_network, what_forward_changes
from deepc.losses import BuiltinLoss, Loss
from deepc.optimizers import BuiltinOptimizer, Optimizer
from deepc.training.evaluate import total_loss
from deepc.training.penalties import Penalties

if TYPE_CHECKING:
    from deepc.training.sources import Part

__all__ = ["Stepper"]

# How long one call into the library may take: Ctrl-C and the progress bar wait no longer than that.
SECONDS_A_CALL = 0.05


class Stepper:
    """Trains a model, a loss and an optimizer on parts of an epoch."""

    def __init__(
        self, model: Layer, loss: Loss, optimizer: Optimizer, penalties: Penalties | None = None
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.penalties = penalties

    def run(
        self, part: Part, predictions: bool, start: int = 0, so_far: float = 0.0
    ) -> Iterator[tuple[int, float, Array | None]]:
        """Train on a part; yield how far it is, the loss so far, and what came since.

        `start` and `so_far` are where to go on, as they were yielded before.

        What came: the predictions of the rows since then in the order of their use, made before the
        step that they led to; None unless `predictions`.
        """
        network = compiled_network(self.model)
        own_loss = computes_with(self.loss, BuiltinLoss, ("loss", "gradient"))
        if network and own_loss and computes_with(self.optimizer, BuiltinOptimizer, ("step",)):
            tensors = cast(BuiltinOptimizer, self.optimizer).tensors(self.model)
            if tensors:
                return self._compiled(network, tensors, part, predictions, start, so_far)
        return self._one_by_one(part, predictions, start, so_far)

    def _compiled(
        self,
        network: Any,
        tensors: Any,
        part: Part,
        predictions: bool,
        start: int,
        so_far: float,
    ) -> Iterator[tuple[int, float, Array | None]]:
        rows, loss = part.rows, cast(Any, self.loss)
        made = None
        if predictions:
            made = np.empty((len(rows), network.outputs_for(rows.x.shape[1])), network.dtype)
        samples = Samples(
            network, rows.x, rows.targets, rows.labels, part.order, part.batch_size,
            loss._rule,
            cast(Any, self.optimizer).rates(-(-len(rows) // part.batch_size)), rows.weights, made,
            self.penalties.compiled() if self.penalties else None,
        )  # fmt: skip
        numbers = cast(Any, self.optimizer)._numbers
        samples.next[0], samples.loss[0] = start, so_far
        done = start
        while done < len(rows):
            before, done = done, network.train(numbers, tensors, samples, SECONDS_A_CALL)
            yield done, samples.loss[0], None if made is None else made[before:done]

    def _one_by_one(
        self, part: Part, predictions: bool, begin: int, total: float
    ) -> Iterator[tuple[int, float, Array | None]]:
        rows, each = part.rows, part.batch_size
        # What a layer in Python gives is not known before, so that it does not fit shows here.
        put_back: Callable[[], None] | None = what_forward_changes(self.model)
        for start in range(begin, len(rows), each):
            stop = min(start + each, len(rows))
            batch = rows.part(slice(start, stop) if part.order is None else part.order[start:stop])
            if each == 1:
                # One sample is passed as a vector, as in the chapter's own loops.
                x, actual = batch.x[0], batch.actual[0]
            else:
                x, actual = batch.x, batch.actual
            try:
                predicted = self.model.forward(x)
                value = total_loss(self.loss, predicted, actual, batch.weights, stop - start)
                self._go_back(predicted, actual, batch.weights)
                if self.penalties:
                    value += self.penalties.total(self.loss, stop - start, self.penalties.add())
            except BaseException:
                if put_back:
                    put_back()
                raise
            put_back = None
            self.optimizer.step(self.model)
            total += value
            made = np.atleast_2d(np.asarray(predicted)) if predictions else None
            yield stop, total, made

    def _go_back(self, predicted: Any, actual: Any, weights: Array | None) -> None:
        more = () if weights is None else (weights,)
        self.model.backward(cast(Any, self.loss).gradient(predicted, actual, *more))
