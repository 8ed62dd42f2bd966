"""One training: what takes part in it, and the loop over its epochs.

There is one loop, whoever asks for it. An epoch over arrays is one call into C, which counts what
is right for accuracies and writes out the predictions that other metrics are made of; it comes back
now and then for the progress bar and for Ctrl-C. A callback with hooks of steps, a stream of
batches, or a model, loss or optimizer that is partly Python make the loop go batch by batch, with
the same numbers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from deepc._values import warn
from deepc.layers import Layer
from deepc.layers.sequential import all_tensors
from deepc.losses import Loss
from deepc.optimizers import Optimizer
from deepc.training.callbacks import Callback, wants_steps
from deepc.training.evaluate import update_metric
from deepc.training.history import History
from deepc.training.metrics import Metric
from deepc.training.penalties import Penalties
from deepc.training.progress import Advance
from deepc.training.sources import Part, Source, StreamSource, Validation
from deepc.training.steps import Made, Stepper

# Only trainings that are kept in a file pay for what writes it.
if TYPE_CHECKING:
    from deepc.shipping.checkpoint import CheckpointFile, Progress

__all__ = ["Session"]


class Session:
    """One training, as its callbacks see it.

    Attributes
    ----------
    model : Layer
    loss : Loss
    optimizer : Optimizer
    metrics : list of Metric
    history : History
    epoch, epochs : int
        The epoch that runs, and where they end.
    validates : bool
        Whether there is a validation.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Any] = (),
        penalties: Penalties | None = None,
        stepper: Stepper | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = list(metrics)
        self.callbacks = list(callbacks)
        self.history = History()
        self.epoch = self.epochs = 0
        self.validates = False
        self.penalties = penalties
        # What takes the steps; somebody's own knows model, loss and optimizer by itself.
        self.stepper = stepper or Stepper(model, loss, optimizer, penalties)
        self._warned = False
        self._by_steps: list[Any] = []
        self._checkpoint: CheckpointFile | None = None
        self._progress: Progress | None = None

    # ---- What callbacks ask ----------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate in force."""
        return float(self.optimizer.lr)  # type: ignore[attr-defined]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.lr = value  # type: ignore[attr-defined]

    def stop(self, reason: str) -> None:
        """End the training after what runs now: this step where there are hooks of steps."""
        self.history.stopped = reason

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self.history.stopped is not None

    def copy_weights(self) -> list[Any]:
        """Return copies of all that the model has learned."""
        return [copy.deepcopy(tensor) for tensor in all_tensors(self.model)]

    def set_weights(self, weights: list[Any]) -> None:
        """Put such copies back."""
        for tensor, kept in zip(all_tensors(self.model), weights, strict=True):
            cast(Any, tensor)[:] = kept

    # ---- The loop --------------------------------------------------------------------------------

    def run(
        self,
        source: Source | StreamSource,
        first_epoch: int,
        epochs: int,
        validation: Validation | None,
        advance: Advance,
        checkpoint: CheckpointFile | None = None,
        resume: bool = False,
    ) -> History:
        """Train from an epoch up to another, or from where a checkpoint was written."""
        self.epochs = epochs
        self._checkpoint = checkpoint
        self.validates = validation is not None
        for callback in self.callbacks:
            callback.session = self
        self._call("on_train_begin")
        self._by_steps = [callback for callback in self.callbacks if wants_steps(callback)]
        if checkpoint:
            self._progress = source.progress(first_epoch)
            self._progress.metrics = self.metrics
            if resume:
                first_epoch = self._resume(checkpoint, source, advance)
        try:
            for epoch in range(first_epoch, epochs):
                if self.stopped:
                    break
                self.epoch = epoch
                if not self._progress or not self._progress.position:
                    self._call("on_epoch_begin", epoch)
                logs = self._train(source, epoch, advance)
                if logs is None:
                    break
                if validation is not None and validation.is_due(epoch):
                    self._call("on_validation_begin")
                    measured = self.stepper.measure(
                        validation.rows, self.metrics, validation.batch_size
                    )
                    logs.update({f"val_{name}": value for name, value in measured.items()})
                    self._call("on_validation_end", measured)
                self._call("on_epoch_end", epoch, logs)
                self.history.record(epoch, logs)
                self._note(epoch + 1, 0, 0.0, self.stopped or epoch + 1 == epochs)
        finally:
            self._call("on_train_end")
        return self.history

    def _resume(
        self, checkpoint: CheckpointFile, source: Source | StreamSource, advance: Advance
    ) -> int:
        """Take the state of a checkpoint; return the epoch to go on with."""
        progress = self._progress
        assert progress
        first_epoch = progress.epoch
        checkpoint.read(
            self.model, self.optimizer, self.callbacks, self.history, progress, source.go_to
        )
        done = (progress.epoch - first_epoch) * (source.samples or 0) + progress.position
        if done:
            advance(done, self.history[-1] if self.history else float("nan"))
        return progress.epoch

    def _note(
        self, epoch: int, position: int, loss: float, last: bool = False, step: int = 0
    ) -> None:
        """Note how far training is, and write it to the checkpoint if it is time to."""
        checkpoint, progress = self._checkpoint, self._progress
        if not (checkpoint and progress):
            return
        progress.epoch, progress.position, progress.loss = epoch, position, loss
        progress.step = step
        # A metric that adds up what no file holds lets nothing be written in the midst of an epoch.
        from deepc.shipping.checkpoint import state_of

        if position and any(state_of(item) is None for item in self.metrics):
            return
        if last or checkpoint.is_due(position == 0):
            checkpoint.write(self.model, self.optimizer, self.callbacks, self.history, progress)

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def _train(
        self, source: Source | StreamSource, epoch: int, advance: Advance
    ) -> dict[str, float] | None:
        """Go over an epoch; return its numbers, None where the source has run dry."""
        by_steps = self._by_steps
        # Whether an epoch is several parts, or one in whose midst the library comes back.
        several = bool(by_steps) or source.by_batches
        total, rows, first_step = 0.0, 0, 0
        logs: dict[str, float] = {}
        begin, begun_with = 0, 0.0  # where a part goes on
        progress = self._progress
        if progress and progress.position:
            if several:
                first_step, total, rows = progress.step, progress.loss, progress.position
            else:
                begin, begun_with = progress.position, progress.loss
            progress.position = 0
        else:
            self.stepper.begin(self.metrics)
        for step, part in enumerate(source.parts(epoch, bool(by_steps), first_step), first_step):
            for callback in by_steps:
                callback.on_step_begin(step)
            before, part_total = begin, begun_with
            made: list[Made] = []
            for done, so_far, came in self.stepper.run(part, self.metrics, begin, begun_with):
                if came is not None and progress:
                    # Batch by batch: a training that goes on from here must add up the same.
                    self._measure(part, before, done, came, part.batch_size)
                elif came is not None:
                    made.append(came)
                self._look_at(total + so_far, epoch, step - (-done // part.batch_size) - 1)
                advance(done - before, (total + so_far) / (rows + done))
                before = done
                part_total = so_far
                if not several and done < len(part):
                    self._note(epoch, done, so_far)
            begin, begun_with = 0, 0.0
            total += part_total
            rows += before
            if made:
                # All at once: sums of metrics must not depend on when the library came back.
                self._measure(part, 0, before, Made.of(made))
            if by_steps:
                logs = self.stepper.logs(total, rows, self.metrics)
                for callback in by_steps:
                    callback.on_step_end(step, logs)
                if self.stopped:
                    break
            if several and step + 1 != source.steps_of_an_epoch:
                self._note(epoch, rows, total, step=step + 1)
        return self.stepper.logs(total, rows, self.metrics) if rows else None

    def _measure(self, part: Part, start: int, stop: int, made: Made, each: int = 0) -> None:
        """Give the metrics what came of the rows from `start` to `stop`, `each` at a time."""
        predicted, right, told = made
        for item, is_told in zip(self.metrics, told, strict=True):
            if is_told:
                item.counted().add_right(right, stop - start, part.rows.targets is None)
        if predicted is None:
            return
        others = [item for item, is_told in zip(self.metrics, told, strict=True) if not is_told]
        for first in range(start, stop, each or stop - start):
            last = min(first + each, stop) if each else stop
            actual, weights = part.actual(first, last), part.weights(first, last)
            given = predicted[first - start : last - start]
            for item in others:
                update_metric(item, actual, given, weights)

    def _look_at(self, total: float, epoch: int, step: int) -> None:
        if not self._warned and not math.isfinite(total):
            self._warned = True
            warn(
                f"the loss became {total} in epoch {epoch}, step {step}: the learning rate may be "
                "too large",
                RuntimeWarning,
            )


# What a callback may be: the base class is no must, as long as the hooks are there.
HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
