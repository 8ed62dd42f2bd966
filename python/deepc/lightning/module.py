"""LightningModule and LightningDataModule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepc._values import describe, warn
from deepc.lightning import _saving
from deepc.lightning._hooks import DATA_HOOKS, MODULE_HOOKS, with_hooks
from deepc.lightning._hparams import Hyperparameters
from deepc.lightning._results import check_levels, number, reduction
from deepc.lightning._words import MisconfigurationException
from deepc.torch import nn

__all__ = ["LightningDataModule", "LightningModule"]


@with_hooks(MODULE_HOOKS)
class LightningModule(nn.Module, Hyperparameters):
    """A module that knows how it is trained: its steps, its optimizers, its hooks.

    A class of one's own gives ``training_step(batch, batch_idx)``, which returns the loss, and
    `configure_optimizers`; ``validation_step``, ``test_step`` and ``predict_step`` where wanted.
    """

    # Steps that a class of one's own gives.
    training_step: Any = None
    validation_step: Any = None
    test_step: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer: Any = None
        self._current_hook = ""
        self.automatic_optimization = True
        self.example_input_array: Any = None
        self.strict_loading = True
        self._toggled: dict[Any, bool] = {}

    # ---- Where it is -----------------------------------------------------------------------------

    @property
    def trainer(self) -> Any:
        """The Trainer that it is in."""
        if self._trainer is None:
            raise RuntimeError(f"{type(self).__qualname__} is not attached to a `Trainer`.")
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self._trainer = trainer

    @property
    def current_epoch(self) -> int:
        """The epoch that the Trainer is in; 0 without one."""
        return self._trainer.current_epoch if self._trainer else 0

    @property
    def global_step(self) -> int:
        """The optimizers' steps so far; 0 without a Trainer."""
        return self._trainer.global_step if self._trainer else 0

    @property
    def logger(self) -> Any:
        """The Trainer's first logger, or None."""
        return self._trainer.logger if self._trainer else None

    @property
    def loggers(self) -> list[Any]:
        """The Trainer's loggers."""
        return self._trainer.loggers if self._trainer else []

    @property
    def device(self) -> Any:
        """The CPU."""
        from deepc.torch import device

        return device("cpu")

    global_rank = local_rank = 0
    on_gpu = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print without disturbing the progress bar."""
        bar = self.trainer.progress_bar_callback
        (bar.print if bar is not None and bar.is_enabled else print)(*args, **kwargs)

    # ---- What it logs ----------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: Any = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        metric_attribute: str | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Log a number under a name.

        Parameters
        ----------
        name : str
        value : float or Tensor of one element
        prog_bar : bool, optional
            Show it in the progress bar.
        logger : bool, optional
            Give it to the loggers; True if not given.
        on_step, on_epoch : bool, optional
            Keep the value of each step, the reduced one of the epoch, or both (with ``_step`` and
            ``_epoch`` behind the name). If not given: in training steps of the step, else of the
            epoch.
        reduce_fx : "mean", "sum", "min" or "max", optional
            What the values of an epoch become; a mean counts the rows of each batch.
        add_dataloader_idx : bool, optional
            Put the number of the loader behind the name where there are several.
        batch_size : int, optional
            The rows that a mean counts; those of the batch's first tensor if not given.
        enable_graph, sync_dist, sync_dist_group, metric_attribute, rank_zero_only : optional
            Accepted; there is one process.
        """
        trainer = self._trainer
        if trainer is None:
            warn(
                "You are trying to `self.log()` but the `self.trainer` reference is not registered "
                "on the model yet. This is most likely because the model hasn't been passed to the "
                "`Trainer`"
            )
            return
        results, hook = trainer._metrics.results, self._current_hook
        if results is None and "predict" in hook:
            raise MisconfigurationException(
                "You are trying to `self.log()` but the loop's result collection is not registered "
                "yet. This is most likely because you are trying to log in a `predict` hook, but "
                "it doesn't support logging"
            )
        if not hook:
            raise MisconfigurationException(
                "You are trying to `self.log()` but it is not managed by the `Trainer` control flow"
            )
        step, epoch = check_levels(hook, on_step, on_epoch)
        if add_dataloader_idx and "/dataloader_idx_" in name:
            raise MisconfigurationException(
                f"You called `self.log` with the key `{name}` but it should not contain "
                "information about `dataloader_idx` when `add_dataloader_idx=True`"
            )
        if logger and not trainer.loggers:
            warn(
                f"You called `self.log({name!r}, ..., logger=True)` but have no logger configured. "
                "You can enable one by doing `Trainer(logger=ALogger(...))`"
            )
        assert results is not None, hook
        settings = (bool(prog_bar), logger is not False, step, epoch, reduction(reduce_fx))
        results.log(hook, name, number(name, value, hook), settings, add_dataloader_idx, batch_size)

    def log_dict(self, dictionary: Mapping[str, Any], **settings: Any) -> None:
        """Log several numbers; `settings` are those of `log`."""
        if not isinstance(dictionary, Mapping):
            raise TypeError(f"dictionary: expected a dict, got {describe(dictionary)}")
        for name, value in dictionary.items():
            self.log(name, value, **settings)

    # ---- What may be another way in a class of one's own -----------------------------------------

    def configure_optimizers(self) -> Any:
        """Return the optimizer; or several, with schedulers: see the page on Lightning."""
        raise MisconfigurationException(
            "`configure_optimizers` must be implemented to be used with the Lightning Trainer"
        )

    def configure_callbacks(self) -> Any:
        """Return callbacks that belong to this module."""
        return []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute; what calling the module does."""
        return super().forward(*args, **kwargs)

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """Return what `Trainer.predict` gives for a batch: what the module makes of it."""
        return self(args[0] if args else kwargs["batch"])

    def backward(self, loss: Any, *args: Any, **kwargs: Any) -> None:
        """Go back from the loss."""
        loss.backward(*args, **kwargs)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Make one step: `optimizer_closure` computes the loss and goes back from it."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Forget the gradients."""
        optimizer.zero_grad()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Make one step of a scheduler."""
        scheduler.step() if metric is None else scheduler.step(metric)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients as the Trainer says."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_validation_model_zero_grad(self) -> None:
        """Forget the gradients before a validation between two steps."""
        self.zero_grad()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before anything sees it."""
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before anything sees it."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Return the batch, which is where it has to be."""
        return batch

    # ---- Manual optimization ---------------------------------------------------------------------

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """Return the optimizer, or the list of them; their steps count as the Trainer's."""
        found = self.trainer._wrapped if use_pl_optimizer else self.trainer.optimizers
        return found[0] if len(found) == 1 else list(found)

    def lr_schedulers(self) -> Any:
        """Return the scheduler, the list of them, or None."""
        found = [each.scheduler for each in self.trainer.lr_scheduler_configs]
        return (found[0] if len(found) == 1 else found) if found else None

    def manual_backward(self, loss: Any, *args: Any, **kwargs: Any) -> None:
        """Go back from a loss, with the hooks around it."""
        if self.automatic_optimization:
            raise MisconfigurationException(
                "`automatic_optimization` should be `False` to use the `manual_backward` function."
            )
        self.trainer._backward(loss, *args, **kwargs)

    def clip_gradients(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Make the gradients of an optimizer's parameters no larger than a norm, or a value."""
        own = self.trainer.gradient_clip_val
        limit = own if gradient_clip_val is None else gradient_clip_val
        if own is not None and limit != own:
            raise MisconfigurationException(
                f"You have set `Trainer(gradient_clip_val={own})` and have passed "
                f"`clip_gradients(gradient_clip_val={limit})`. Please use only one of them."
            )
        if not limit:
            return
        how = gradient_clip_algorithm or self.trainer.gradient_clip_algorithm or "norm"
        if how not in ("norm", "value"):
            raise MisconfigurationException(
                f"`gradient_clip_algorithm` {how} is invalid. Allowed algorithms: "
                "['value', 'norm']."
            )
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        getattr(nn.utils, f"clip_grad_{how}_")(parameters, limit)

    def toggle_optimizer(self, optimizer: Any) -> None:
        """Let only an optimizer's parameters require gradients, until it is untoggled."""
        chosen = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for other in self.trainer.optimizers:
            for group in other.param_groups:
                for p in group["params"]:
                    self._toggled.setdefault(p, p.requires_grad)
                    p.requires_grad = self._toggled[p] if id(p) in chosen else False

    def untoggle_optimizer(self, optimizer: Any) -> None:
        """Let parameters require gradients again as they did."""
        for p, required in self._toggled.items():
            p.requires_grad = required
        self._toggled.clear()

    # ---- Freezing and loading --------------------------------------------------------------------

    def freeze(self) -> None:
        """Let no parameter require a gradient, and evaluate."""
        for p in self.parameters():
            p.requires_grad = False
        self.eval()

    def unfreeze(self) -> None:
        """Let all parameters require gradients, and train."""
        for p in self.parameters():
            p.requires_grad = True
        self.train()

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to no Trainer.
        return {**super().__getstate__(), "_trainer": None, "_toggled": {}, "_current_hook": ""}

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return a module with the weights of a checkpoint, made from its hyperparameters.

        Parameters
        ----------
        checkpoint_path : str or path
        map_location, hparams_file, weights_only : optional
            Accepted; everything is on the CPU and in the checkpoint.
        strict : bool, optional
            Whether the checkpoint must have just the module's weights.
        **kwargs
            Arguments in place of those in the checkpoint, or beside them.
        """
        checkpoint = _saving.load(checkpoint_path)
        module = cls(**_saving.arguments(cls, checkpoint, kwargs))
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(
            checkpoint["state_dict"], strict=module.strict_loading if strict is None else strict
        )
        return module


@with_hooks((*DATA_HOOKS, "setup", "teardown", "on_exception"))
class LightningDataModule(Hyperparameters):
    """Where the data of all stages come from.

    A class of one's own gives ``prepare_data``, ``setup(stage)`` and the loaders,
    ``train_dataloader`` and the others.
    """

    def __init__(self) -> None:
        self.trainer: Any = None

    @classmethod
    def from_datasets(
        cls,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        batch_size: int = 1,
        num_workers: int = 0,
        **kwargs: Any,
    ) -> LightningDataModule:
        """Return a data module that loads from data sets, the first one shuffled."""
        from deepc.torch.utils.data import DataLoader

        def loader(dataset: Any, shuffle: bool = False) -> Any:
            return DataLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers)

        given = {
            "train": train_dataset, "val": val_dataset, "test": test_dataset,
            "predict": predict_dataset,
        }  # fmt: skip
        module = cls(**kwargs)
        for stage, dataset in given.items():
            if dataset is not None:
                made = _loaders(dataset, loader, stage == "train")
                setattr(module, f"{stage}_dataloader", made)
        return module

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before anything sees it."""
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch before anything sees it."""
        return batch

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, **kwargs: Any) -> Any:
        """Return a data module made from a checkpoint's hyperparameters, with its state."""
        checkpoint = _saving.load(checkpoint_path)
        module = cls(**_saving.arguments(cls, checkpoint, kwargs, "datamodule_hyper_parameters"))
        module.load_state_dict(checkpoint.get(cls.__qualname__, {}))
        return module


def _loaders(dataset: Any, loader: Any, shuffle: bool) -> Any:
    several = isinstance(dataset, (list, tuple))

    def make() -> Any:
        return [loader(one, shuffle) for one in dataset] if several else loader(dataset, shuffle)

    return make
