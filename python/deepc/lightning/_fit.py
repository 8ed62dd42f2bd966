"""The loop of a training: what happens in which order, from its start to its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from deepc._values import warn
from deepc.lightning import _evaluate
from deepc.lightning._callback import Callback
from deepc.lightning._checkpoint import Checkpoint
from deepc.lightning._loaders import step_arguments
from deepc.lightning._results import Results
from deepc.lightning._stopping import EarlyStopping
from deepc.lightning._words import MisconfigurationException, info
from deepc.lightning.module import LightningModule
from deepc.torch import Tensor

__all__ = ["FitLoop"]


class FitLoop:
    """One `fit`: the epochs that are left, batch by batch."""

    def __init__(self, trainer: Any, loaders: Any, val_loaders: Any) -> None:
        self.trainer, self.module = trainer, trainer.lightning_module
        self.loaders, self.val_loaders = loaders, val_loaders
        self.results = Results(training=True)
        self._arguments = step_arguments(self.module.training_step)
        # Where the module does in a step what every module does, the Trainer does it itself.
        self._plain = {
            name: getattr(type(self.module), name) is getattr(LightningModule, name)
            for name in ("optimizer_step", "optimizer_zero_grad", "backward")
        }
        self._said: set[str] = set()
        self._is_last = False
        self._batch_idx = -1

    # ---- Epochs ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Train until a limit is reached, or somebody stops it."""
        trainer = self.trainer
        if self._is_done():
            return
        trainer._metrics.results = self.results
        trainer._call("on_train_start")
        while not self._is_done():
            self._epoch()
        trainer._call("on_train_end")

    def _is_done(self) -> bool:
        trainer = self.trainer
        if self.loaders.total == 0:
            info("`Trainer.fit` stopped: No training batches.")
            return True
        if self._reached_steps():
            info(f"`Trainer.fit` stopped: `max_steps={trainer.max_steps!r}` reached.")
            return True
        if trainer.max_epochs != -1 and trainer.current_epoch >= trainer.max_epochs:
            info(f"`Trainer.fit` stopped: `max_epochs={trainer.max_epochs!r}` reached.")
            return True
        return bool(trainer.should_stop and self._may_stop())

    def _reached_steps(self) -> bool:
        trainer = self.trainer
        return bool(trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps)

    def _may_stop(self) -> bool:
        """Whether what must at least be trained has been."""
        trainer = self.trainer
        epochs = not trainer.min_epochs or trainer.current_epoch >= trainer.min_epochs
        steps = not trainer.min_steps or trainer.global_step >= trainer.min_steps
        return bool(epochs and steps)

    def _epoch(self) -> None:
        trainer = self.trainer
        trainer._reload(self)
        self.loaders.start_epoch(trainer.current_epoch)
        trainer._note_random_state()
        skipped, trainer._batches_done = trainer._batches_done, 0
        trainer._call("on_train_epoch_start")
        self._is_last, self._batch_idx = False, -1
        batches = self.loaders.training_batches()
        for _ in range(skipped):
            next(batches, None)
            self._batch_idx += 1
        if skipped:
            trainer._go_on_randomly()
        while not self._ends_epoch():
            found = next(batches, None)
            if found is None or self._batch(*found):
                break
        self._end_epoch()

    def _ends_epoch(self) -> bool:
        """Whether no batch is to follow in this epoch."""
        trainer = self.trainer
        if self._reached_steps() or self._is_last:
            return True
        if not trainer.should_stop:
            return False
        if not self._may_stop():
            self._say(
                f"Trainer was signaled to stop but the required `min_epochs={trainer.min_epochs!r}`"
                f" or `min_steps={trainer.min_steps!r}` has not been met. Training will continue..."
            )
            return False
        return True

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            info(text)

    def _end_epoch(self) -> None:
        trainer, metrics = self.trainer, self.trainer._metrics
        metrics.in_batch = False
        trainer._epoch_ended = True
        # Who looks at metrics comes last: the module may have logged them in this very hook.
        trainer._call("on_train_epoch_end", only=_looks_not)
        trainer._call("on_train_epoch_end", only=_looks, module=False)
        logged = metrics.collect()
        if self._is_last:
            self._step_schedulers("epoch", plateau=True)
        # The step of the last batch, not the one that would follow.
        trainer._log_metrics(logged, trainer._stepped - 1)
        self.results.reset()
        trainer._epoch += 1
        trainer._epoch_ended = False

    # ---- Batches ---------------------------------------------------------------------------------

    def _batch(self, batch: Any, is_last: bool) -> bool:
        """Train on a batch; return whether the module ends the epoch here."""
        trainer = self.trainer
        self._batch_idx += 1
        index = self._batch_idx
        self._is_last = is_last
        trainer._batch_idx, trainer.is_last_batch = index, is_last
        trainer._batches_seen += 1
        batch = trainer._prepared(batch, 0)
        metrics = trainer._metrics
        metrics.in_batch = True
        self.results.begin_batch(batch)
        outputs: Any = {}
        skips = False
        if batch is None:
            warn("train_dataloader yielded None. If this was on purpose, ignore this warning...")
        else:
            skips = trainer._call("on_train_batch_start", batch, index) == -1
            if skips:
                self._is_last = True
            elif self.module.automatic_optimization:
                outputs = self._automatic(batch, index)
            else:
                outputs = self._manual(batch, index)
        self._step_schedulers("step", plateau=False)
        if self._is_last:
            self._step_schedulers("epoch", plateau=False)
        if skips:
            return True
        trainer._call("on_train_batch_end", outputs, batch, index)
        logged = metrics.collect()
        self.results.begin_batch(None)
        waits = self._waits()
        steps = not waits or not self.module.automatic_optimization
        if steps and (trainer._logs_now() or trainer.fast_dev_run):
            trainer._log_metrics(logged)
        self._validate()
        self._step_schedulers("step", plateau=True)
        if not waits:
            trainer._stepped += 1
        return False

    def _waits(self) -> bool:
        """Whether gradients are added up, and no step is made with this batch."""
        whole = (self._batch_idx + 1) % self.trainer.accumulate_grad_batches == 0
        return not whole and not self._is_last

    def _manual(self, batch: Any, index: int) -> dict[str, Any]:
        made = self.trainer._step("training_step", self._arguments(batch, index))
        if made is None or isinstance(made, Mapping):
            return dict(made or {})
        if isinstance(made, Tensor):
            return {"loss": made.detach()}
        raise MisconfigurationException(
            "In manual optimization, `training_step` must either return a Tensor or have no return."
        )

    def _automatic(self, batch: Any, index: int) -> dict[str, Any]:
        trainer, module = self.trainer, self.module
        optimizer = trainer._wrapped[0]
        outputs: dict[str, Any] = {}

        def closure() -> Any:
            loss, more = self._loss(trainer._step("training_step", self._arguments(batch, index)))
            if index % trainer.accumulate_grad_batches == 0:
                trainer._call("on_before_zero_grad", optimizer.optimizer)
                if self._plain["optimizer_zero_grad"]:
                    optimizer.optimizer.zero_grad()
                else:
                    module.optimizer_zero_grad(trainer.current_epoch, index, optimizer.optimizer)
            if loss is not None:
                trainer._backward(loss)
                outputs.update({"loss": loss.detach(), **more})
            return loss

        if self._waits():
            closure()
        elif self._plain["optimizer_step"]:
            trainer._optimizer_step(optimizer.optimizer, closure)
            trainer._global_step += 1
        else:
            module._current_hook = "optimizer_step"
            module.optimizer_step(trainer.current_epoch, index, optimizer, closure)
            trainer._global_step += 1
        return outputs

    def _loss(self, made: Any) -> tuple[Any, dict[str, Any]]:
        """Return the loss to go back from, and what else a training step has returned."""
        more: dict[str, Any] = {}
        if isinstance(made, Mapping):
            more = {name: value for name, value in made.items() if name != "loss"}
            made = made.get("loss")
            if made is None:
                raise MisconfigurationException(
                    "In automatic_optimization, when `training_step` returns a dict, the 'loss' "
                    "key needs to be present"
                )
        if made is None:
            warn("`training_step` returned `None`. If this was on purpose, ignore this warning...")
            return None, {}
        if not isinstance(made, Tensor):
            raise MisconfigurationException(
                "In automatic optimization, `training_step` must return a Tensor, a dict, or None "
                "(where the step will be skipped)."
            )
        each = self.trainer.accumulate_grad_batches
        return (made if each == 1 else made / each), more

    # ---- Validation and schedulers ---------------------------------------------------------------

    def _validate(self) -> None:
        trainer = self.trainer
        if self.val_loaders is None or not self._is_val_due():
            return
        if not self._waits():
            self.module.on_validation_model_zero_grad()
        _evaluate.run(trainer, self.val_loaders, "validation", fitting=True)
        trainer._metrics.results, trainer._metrics.in_batch = self.results, True

    def _is_val_due(self) -> bool:
        trainer = self.trainer
        every = trainer.check_val_every_n_epoch
        if every is not None and (trainer.current_epoch + 1) % every:
            return False
        if trainer.should_stop and self._may_stop():
            return True
        due = trainer.val_check_batch
        if math.isinf(due):
            return self._is_last
        done = trainer._batches_seen if every is None else self._batch_idx + 1
        return bool(done % due == 0)

    def _step_schedulers(self, interval: str, plateau: bool) -> None:
        trainer = self.trainer
        if not trainer.lr_scheduler_configs or not self.module.automatic_optimization:
            return
        if interval == "step" and self._waits():
            return
        done = (self._batch_idx if interval == "step" else trainer.current_epoch) + 1
        for config in trainer.lr_scheduler_configs:
            due = config.interval == interval and done % config.frequency == 0
            if config.reduce_on_plateau != plateau or not due:
                continue
            value = None
            if plateau:
                metrics = trainer.callback_metrics
                value = metrics.get(config.monitor)
                if value is None:
                    if config.strict:
                        raise MisconfigurationException(
                            f"ReduceLROnPlateau conditioned on metric {config.monitor} which is "
                            f"not available. Available metrics are: {list(metrics)}. Condition can "
                            "be set using `monitor` key in lr scheduler dict"
                        )
                    continue
            self.module._current_hook = "lr_scheduler_step"
            self.module.lr_scheduler_step(config.scheduler, value)


def _looks(callback: Callback) -> bool:
    """Whether a callback looks at metrics."""
    return isinstance(callback, (EarlyStopping, Checkpoint))


def _looks_not(callback: Callback) -> bool:
    return not _looks(callback)
