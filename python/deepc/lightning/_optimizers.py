"""What configure_optimizers gives: optimizers, schedulers, and when these step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from deepc._values import warn
from deepc.lightning._words import MisconfigurationException
from deepc.torch import optim
from deepc.torch.optim import Optimizer

__all__ = ["LightningOptimizer", "SchedulerConfig", "configured"]

_FORMS = (
    "Unknown configuration for model optimizers. Output from `model.configure_optimizers()` should "
    "be one of:\n * `Optimizer`\n * [`Optimizer`]\n * ([`Optimizer`], [`LRScheduler`])\n"
    ' * {"optimizer": `Optimizer`, (optional) "lr_scheduler": `LRScheduler`}\n'
)


@dataclass
class SchedulerConfig:
    """A scheduler, and when it steps."""

    scheduler: Any
    name: str | None = None
    interval: str = "epoch"
    frequency: int = 1
    reduce_on_plateau: bool = False
    monitor: str | None = None
    strict: bool = True


class LightningOptimizer:
    """An optimizer whose steps the Trainer counts; all else is the optimizer's own."""

    def __init__(self, optimizer: Any, trainer: Any) -> None:
        self.optimizer, self._trainer = optimizer, trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)

    def step(self, closure: Callable[[], Any] | None = None, **keywords: Any) -> Any:
        """Make one step; a closure computes the loss and goes back from it before."""
        return self._trainer._optimizer_step(self.optimizer, closure)

    def toggle_model(self, sync_grad: bool = True) -> Any:
        """Let only this optimizer's parameters require gradients in a ``with`` block."""
        return _Toggled(self._trainer.lightning_module, self)

    def __repr__(self) -> str:
        return f"Lightning{self.optimizer!r}"


class _Toggled:
    def __init__(self, module: Any, optimizer: Any) -> None:
        self._module, self._optimizer = module, optimizer

    def __enter__(self) -> None:
        self._module.toggle_optimizer(self._optimizer)

    def __exit__(self, *_: Any) -> None:
        self._module.untoggle_optimizer(self._optimizer)


class _NoOptimizer:
    """What stands in where a module has none."""

    def __init__(self) -> None:
        self.param_groups: list[Any] = []

    def step(self, closure: Any = None) -> None:
        """Change nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


def configured(module: Any) -> tuple[list[Any], list[SchedulerConfig]]:
    """Return the optimizers and the schedulers of a module."""
    given = module.configure_optimizers()
    if given is None:
        warn(
            "`LightningModule.configure_optimizers` returned `None`, this fit will run with no "
            "optimizer"
        )
        return [_NoOptimizer()], []
    optimizers, schedulers, monitor = _taken_apart(given)
    if module.automatic_optimization and len(optimizers) > 1:
        raise RuntimeError(
            "Training with multiple optimizers is only supported with manual optimization. Set "
            "`self.automatic_optimization = False`, then access your optimizers in `training_step` "
            "with `opt1, opt2, ... = self.optimizers()`."
        )
    automatic = module.automatic_optimization
    configs = [_config(each, monitor, automatic) for each in schedulers]
    for config in configs:
        owner = getattr(config.scheduler, "optimizer", None)
        if owner is not None and all(owner is not one for one in optimizers):
            raise MisconfigurationException(
                "Some schedulers are attached with an optimizer that wasn't returned from "
                "`configure_optimizers`."
            )
    return optimizers, configs


def _taken_apart(given: Any) -> tuple[list[Any], list[Any], str | None]:
    """Return optimizers, schedulers and the metric to monitor out of any of the forms."""
    if isinstance(given, Optimizer):
        return [given], [], None
    if isinstance(given, dict):
        optimizer = _optimizer_of(given)
        schedulers = [given["lr_scheduler"]] if given.get("lr_scheduler") is not None else []
        return [optimizer], schedulers, given.get("monitor")
    if not isinstance(given, (list, tuple)):
        raise MisconfigurationException(_FORMS)
    if len(given) == 2 and isinstance(given[0], (list, tuple)):
        optimizers, schedulers = given
        if all(isinstance(one, Optimizer) for one in optimizers):
            several = isinstance(schedulers, (list, tuple))
            return list(optimizers), list(schedulers) if several else [schedulers], None
    if all(isinstance(one, dict) for one in given):
        found = [one["lr_scheduler"] for one in given if one.get("lr_scheduler") is not None]
        return [_optimizer_of(one) for one in given], found, None
    if all(isinstance(one, Optimizer) for one in given):
        return list(given), [], None
    raise MisconfigurationException(_FORMS)


def _optimizer_of(given: dict[str, Any]) -> Any:
    extra = given.keys() - {"optimizer", "lr_scheduler", "monitor"}
    if extra:
        warn(f"Found unsupported keys in the optimizer configuration: {extra}", RuntimeWarning)
    if not isinstance(given.get("optimizer"), Optimizer):
        raise MisconfigurationException(_FORMS)
    return given["optimizer"]


def _config(given: Any, monitor: str | None, automatic: bool) -> SchedulerConfig:
    """Return when a scheduler steps, out of the scheduler or the dict that says it."""
    if not isinstance(given, dict):
        plateau = _is_plateau(given)
        if plateau and monitor is None and automatic:
            raise MisconfigurationException(
                "`configure_optimizers` must include a monitor when a `ReduceLROnPlateau` "
                'scheduler is used. For example: {"optimizer": optimizer, "lr_scheduler": '
                'scheduler, "monitor": "metric_to_track"}'
            )
        return SchedulerConfig(given, reduce_on_plateau=plateau, monitor=monitor)
    known = {field.name for field in fields(SchedulerConfig)}
    if given.keys() - known:
        warn(
            f"Found unsupported keys in the lr scheduler dict: {given.keys() - known}. HINT: "
            "remove them from the output of `configure_optimizers`.",
            RuntimeWarning,
        )
    chosen = {name: value for name, value in given.items() if name in known}
    if "scheduler" not in chosen:
        raise MisconfigurationException(
            'The lr scheduler dict must have the key "scheduler" with its item being an lr '
            "scheduler"
        )
    config = SchedulerConfig(**chosen)
    if config.interval not in ("step", "epoch"):
        raise MisconfigurationException(
            'The "interval" key in lr scheduler dict must be "step" or "epoch" but is '
            f'"{config.interval}"'
        )
    if not isinstance(config.frequency, int) or config.frequency < 1:
        raise MisconfigurationException(
            f'The "frequency" key in lr scheduler dict must be an int of at least 1 but is '
            f'"{config.frequency}"'
        )
    plateau = _is_plateau(config.scheduler)
    config.reduce_on_plateau = chosen.get("reduce_on_plateau", plateau)
    config.monitor = config.monitor or monitor
    if config.reduce_on_plateau and config.monitor is None and automatic:
        raise MisconfigurationException(
            "The lr scheduler dict must include a monitor when a `ReduceLROnPlateau` scheduler is "
            'used. For example: {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, '
            '"monitor": "your_loss"}}'
        )
    return config


def _is_plateau(scheduler: Any) -> bool:
    """Whether a scheduler wants to see a metric."""
    return isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau)
