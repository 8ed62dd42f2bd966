"""How a Trainer calls: hooks, steps, backward passes, optimizers and loggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepc.lightning._hooks import is_own
from deepc.lightning.module import LightningDataModule, LightningModule
from deepc.torch import Tensor, float64

__all__ = ["Calls"]


class Calls:
    """What the loops ask of a Trainer."""

    lightning_module: Any
    datamodule: Any
    callbacks: list[Any]
    loggers: list[Any]
    precision: str
    should_stop: bool
    gradient_clip_val: float | None
    gradient_clip_algorithm: str | None
    log_every_n_steps: int
    fast_dev_run: bool | int
    _methods: dict[str, tuple[list[Any], Any]]
    _epoch: int
    _global_step: int
    _stepped: int

    def _ask(self, owner: Any, name: str) -> Any:
        """Call a hook of the module, or of the data module."""
        module = self.lightning_module
        before, module._current_hook = module._current_hook, name
        found = getattr(owner, name)()
        module._current_hook = before
        return found

    def _call(
        self, hook: str, *arguments: Any, only: Callable[[Any], bool] | None = None,
        module: bool = True,
    ) -> Any:  # fmt: skip
        """Call a hook of the callbacks and then of the module; return what the module says."""
        owner = self.lightning_module
        found = self._methods.get(hook)
        if found is None:
            callbacks = [one for one in self.callbacks if is_own(one, hook)]
            own = getattr(owner, hook) if is_own(owner, hook) else None
            found = self._methods[hook] = (callbacks, own)
        callbacks, own = found
        if not callbacks and own is None:
            return None
        before, owner._current_hook = owner._current_hook, hook
        for one in callbacks:
            if only is None or only(one):
                getattr(one, hook)(self, owner, *arguments)
        made = own(*arguments) if own is not None and module else None
        owner._current_hook = before
        return made

    def _step(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call a step of the module."""
        module = self.lightning_module
        # Set where attributes are, because a module looks at each one that is set on it.
        module.__dict__["_current_hook"] = name
        made = getattr(module, name)(*arguments)
        module.__dict__["_current_hook"] = ""
        return made

    def _prepared(self, batch: Any, loader: int) -> Any:
        """Return a batch as the module, or the data module, wants it."""
        if self.precision == "64-true":
            batch = _as_double(batch)
        for name in ("on_before_batch_transfer", "on_after_batch_transfer"):
            for owner, base in (
                (self.lightning_module, LightningModule), (self.datamodule, LightningDataModule),
            ):  # fmt: skip
                if owner is not None and getattr(type(owner), name) is not getattr(base, name):
                    batch = getattr(owner, name)(batch, loader)
        return batch

    def _backward(self, loss: Any, *args: Any, **kwargs: Any) -> None:
        """Go back from a loss, with the hooks around it."""
        self._call("on_before_backward", loss)
        self.lightning_module.backward(loss, *args, **kwargs)
        self._call("on_after_backward")

    def _optimizer_step(self, optimizer: Any, closure: Callable[[], Any] | None) -> Any:
        """Make a step of an optimizer with the hooks before it; none without a loss."""
        module = self.lightning_module
        loss = closure() if closure is not None else None
        if module.automatic_optimization:
            if loss is None:
                return None
            self._call("on_before_optimizer_step", optimizer)
            own = type(module).configure_gradient_clipping
            if self.gradient_clip_val or own is not LightningModule.configure_gradient_clipping:
                before, module._current_hook = module._current_hook, "configure_gradient_clipping"
                module.configure_gradient_clipping(
                    optimizer, self.gradient_clip_val, self.gradient_clip_algorithm
                )
                module._current_hook = before
        else:
            self._call("on_before_optimizer_step", optimizer)
            self._global_step += 1
        optimizer.step()
        return loss

    def _logs_now(self) -> bool:
        """Whether numbers of this step go to the loggers."""
        every = self.log_every_n_steps
        return bool(every and (self._stepped + 1) % every == 0) or self.should_stop

    def _log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Give numbers to the loggers."""
        if not self.loggers or not metrics:
            return
        plain = {name: float(value) for name, value in metrics.items()}
        if step is None:
            own = plain.pop("step", None)
            step = self._stepped if own is None else int(own)
        plain.setdefault("epoch", self._epoch)
        for logger in self.loggers:
            logger.log_metrics(plain, step)
            logger.save()

    def _log_hyperparams(self, model: Any) -> None:
        if not self.loggers or self.fast_dev_run:
            return
        found: dict[str, Any] = {}
        for owner in (self.datamodule, model):
            if owner is not None and getattr(owner, "_log_hyperparams", True):
                found.update(owner.hparams_initial)
        for logger in self.loggers:
            logger.log_hyperparams(found)
            logger.save()


def _as_double(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(float64) if batch.is_floating_point() else batch
    if isinstance(batch, dict):
        return {name: _as_double(part) for name, part in batch.items()}
    if isinstance(batch, (list, tuple)) and not hasattr(batch, "_fields"):
        return type(batch)(_as_double(part) for part in batch)
    return batch
