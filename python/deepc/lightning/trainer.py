"""Trainer: what runs a LightningModule's steps, hooks and callbacks in their order."""

from __future__ import annotations

import inspect
import math
import os
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from deepc._values import describe, warn
from deepc.autodiff import detect_nan
from deepc.lightning import _evaluate, _saving
from deepc.lightning._arguments import (
    PRECISIONS,
    Settings,
    check_gradients,
    check_known,
    check_place,
    listed,
)
from deepc.lightning._callback import Callback
from deepc.lightning._calls import Calls
from deepc.lightning._checkpoint import Checkpoint
from deepc.lightning._fit import FitLoop
from deepc.lightning._hooks import is_own
from deepc.lightning._knows import Knows
from deepc.lightning._loaders import Loaders
from deepc.lightning._optimizers import LightningOptimizer, configured
from deepc.lightning._restore import Restores
from deepc.lightning._results import Metrics
from deepc.lightning._stopping import Timer
from deepc.lightning._tables import results_table
from deepc.lightning._words import MisconfigurationException, PossibleUserWarning, info
from deepc.lightning.module import LightningDataModule, LightningModule
from deepc.torch import default_generator

__all__ = ["Trainer"]

# The step that each entry but `fit` runs.
_STEPS = {"validate": "validation_step", "test": "test_step", "predict": "predict_step"}


class Trainer(Settings, Knows, Calls, Restores):
    """Runs the steps, hooks and callbacks of a `LightningModule` in their order.

    Parameters
    ----------
    accelerator, devices, strategy, precision : optional
        One CPU; float32, or float64 with ``precision="64-true"``.
    logger : Logger, list of them, or bool, optional
        Where numbers are written: a `CSVLogger` if not given.
    callbacks : Callback or list of them, optional
    fast_dev_run : bool or int, optional
        Try everything with so few batches, and write nothing.
    max_epochs, min_epochs, max_steps, min_steps : int, optional
        Where the training ends, and what must at least be trained; -1 is no limit.
    max_time : str, timedelta or dict, optional
        How long the training may take.
    limit_train_batches, limit_val_batches, limit_test_batches, limit_predict_batches : optional
        How many batches of a stage are used, or as a float which part of them.
    overfit_batches : int or float, optional
        Train and validate with so few batches, in their order.
    val_check_interval : int or float, optional
        Batches from one validation to the next, or which part of an epoch.
    check_val_every_n_epoch : int or None, optional
        Epochs from one validation to the next; None counts batches over all epochs.
    num_sanity_val_steps : int, optional
        Batches of validation to try before the training; -1 for all.
    log_every_n_steps : int, optional
        Steps from one entry in the loggers to the next.
    enable_checkpointing, enable_progress_bar, enable_model_summary : bool, optional
    accumulate_grad_batches : int, optional
        Batches whose gradients make one step.
    gradient_clip_val : float, optional
        The largest norm, or value, of gradients.
    gradient_clip_algorithm : "norm" or "value", optional
    detect_anomaly : bool, optional
        Name the operation that first makes a NaN.
    reload_dataloaders_every_n_epochs : int, optional
    default_root_dir : str or path, optional
        Where loggers and checkpoints write, the current folder if not given.
    barebones : bool, optional
        Only train: no logger, checkpoints, bar, table or sanity check.
    num_nodes, deterministic, benchmark, inference_mode, use_distributed_sampler : optional
    profiler, sync_batchnorm, plugins, model_registry, enable_autolog_hparams : optional
        Accepted; deepc computes the same bits each time, in one process.
    """

    def __init__(
        self,
        *,
        accelerator: Any = "auto",
        strategy: Any = "auto",
        devices: Any = "auto",
        precision: Any = None,
        logger: Any = None,
        callbacks: Any = None,
        fast_dev_run: bool | int = False,
        max_epochs: int | None = None,
        min_epochs: int | None = None,
        max_steps: int = -1,
        min_steps: int | None = None,
        max_time: Any = None,
        limit_train_batches: float | None = None,
        limit_val_batches: float | None = None,
        limit_test_batches: float | None = None,
        limit_predict_batches: float | None = None,
        overfit_batches: float = 0.0,
        val_check_interval: float | None = None,
        check_val_every_n_epoch: int | None = 1,
        num_sanity_val_steps: int | None = None,
        log_every_n_steps: int | None = None,
        enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
        inference_mode: bool = True,
        detect_anomaly: bool = False,
        barebones: bool = False,
        reload_dataloaders_every_n_epochs: int = 0,
        default_root_dir: Any = None,
        **more: Any,
    ) -> None:
        check_known(more, inspect.signature(Trainer.__init__).parameters)
        check_place(accelerator, devices, strategy)
        if precision not in PRECISIONS:
            raise ValueError(
                f"precision: expected '32-true' or '64-true', got {describe(precision)}"
            )
        self.precision = PRECISIONS[precision]
        self.callbacks: list[Any] = listed(callbacks, Callback, "callbacks")
        self.default_root_dir = os.fspath(default_root_dir or os.getcwd())
        self._limits(max_epochs, min_epochs, max_steps, min_steps)
        check_gradients(accumulate_grad_batches, gradient_clip_val, gradient_clip_algorithm)
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.reload_dataloaders_every_n_epochs = reload_dataloaders_every_n_epochs
        self._detects = detect_anomaly
        self.barebones = barebones
        self.log_every_n_steps = 50 if log_every_n_steps is None else log_every_n_steps
        saves, shows, sums_up = (
            not barebones if flag is None else flag
            for flag in (enable_checkpointing, enable_progress_bar, enable_model_summary)
        )
        self._add_callbacks(saves, shows, sums_up, max_time)
        info("GPU available: False, used: False")
        info("TPU available: False, using: 0 TPU cores")
        self.loggers = self._chosen_loggers(False if barebones and logger is None else logger)
        sanity = 0 if barebones else 2
        self._set_stages(
            fast_dev_run,
            {"train": limit_train_batches, "val": limit_val_batches, "test": limit_test_batches,
             "predict": limit_predict_batches},
            overfit_batches, val_check_interval, check_val_every_n_epoch,
            sanity if num_sanity_val_steps is None else num_sanity_val_steps,
        )  # fmt: skip
        self._set_state()

    # ---- Settings --------------------------------------------------------------------------------

    def _set_state(self) -> None:
        """Begin with nothing trained."""
        self.lightning_module: Any = None
        self.datamodule: Any = None
        self.optimizers: list[Any] = []
        self._wrapped: list[LightningOptimizer] = []
        self.lr_scheduler_configs: list[Any] = []
        self._metrics = Metrics()
        self._methods: dict[str, tuple[list[Any], Any]] = {}
        self._stage = self._entry = ""
        self.sanity_checking = self.should_stop = self.interrupted = False
        self.is_last_batch = self._has_validated = self._epoch_ended = False
        self._epoch = self._global_step = self._stepped = 0
        # In this epoch to be skipped; in this epoch trained; in all epochs trained.
        self._batches_done, self._batch_idx, self._batches_seen = 0, -1, 0
        self.val_check_batch: float = math.inf
        self._random: tuple[Any, Any] = (None, None)
        self._loop: FitLoop | None = None
        self._loaders: dict[str, Loaders] = {}
        self.ckpt_path: str | None = None

    # ---- Entries ---------------------------------------------------------------------------------

    def fit(
        self,
        model: Any,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: Any = None,
        ckpt_path: Any = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train a module.

        Parameters
        ----------
        model : LightningModule
        train_dataloaders : iterable of batches, or several in a list or dict; or a data module
        val_dataloaders : iterable of batches, or several in a list, optional
        datamodule : LightningDataModule, optional
            Where the loaders come from.
        ckpt_path : str or path, optional
            A checkpoint to go on from; ``"last"`` and ``"best"`` are those of this Trainer.
        weights_only : bool, optional
            Accepted; a checkpoint never holds code.
        """
        if isinstance(train_dataloaders, LightningDataModule):
            datamodule, train_dataloaders = train_dataloaders, None
        if datamodule is not None and not (train_dataloaders is None and val_dataloaders is None):
            raise MisconfigurationException(
                "You cannot pass `train_dataloader` or `val_dataloaders` to "
                "`trainer.fit(datamodule=...)`"
            )
        _check_module(model)
        given = {"train": train_dataloaders, "val": val_dataloaders}
        self._run("fit", model, given, datamodule, ckpt_path, True, self._fit)

    def validate(
        self,
        model: Any = None,
        dataloaders: Any = None,
        ckpt_path: Any = None,
        verbose: bool = True,
        datamodule: Any = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Measure with the validation's step; return what was logged, a dict for each loader.

        Without a module it is the last one, with the best weights that were saved.
        """
        return self._measure("validate", model, dataloaders, ckpt_path, verbose, datamodule)

    def test(
        self,
        model: Any = None,
        dataloaders: Any = None,
        ckpt_path: Any = None,
        verbose: bool = True,
        datamodule: Any = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Measure with the test's step; return what was logged, a dict for each loader.

        Without a module it is the last one, with the best weights that were saved.
        """
        return self._measure("test", model, dataloaders, ckpt_path, verbose, datamodule)

    def predict(
        self,
        model: Any = None,
        dataloaders: Any = None,
        datamodule: Any = None,
        return_predictions: bool | None = None,
        ckpt_path: Any = None,
        weights_only: bool | None = None,
    ) -> Any:
        """Return what the module predicts, a list with an element for each batch.

        Of several loaders it is a list of such lists.
        """
        keep = return_predictions is not False
        given, datamodule = self._sources("predict", dataloaders, datamodule)
        chosen = self._chosen(model, "predict")

        def go() -> Any:
            return _evaluate.predict(self, self._load("predict"), keep)

        return self._run("predict", chosen, given, datamodule, ckpt_path, model is not None, go)

    def _measure(
        self, entry: str, model: Any, dataloaders: Any, ckpt_path: Any, verbose: bool,
        datamodule: Any,
    ) -> list[dict[str, float]]:  # fmt: skip
        name, stage = ("val", "validation") if entry == "validate" else ("test", "test")
        given, datamodule = self._sources(name, dataloaders, datamodule)
        chosen = self._chosen(model, entry)

        def go() -> Any:
            results = _evaluate.run(self, self._load(name), stage)
            table = results_table(results, entry) if verbose else ""
            if table:
                print(table)
            return results

        provided = model is not None
        found = self._run(entry, chosen, given, datamodule, ckpt_path, provided, go)
        return found  # type: ignore[no-any-return]

    def _sources(self, name: str, loaders: Any, datamodule: Any) -> tuple[dict[str, Any], Any]:
        if isinstance(loaders, LightningDataModule):
            loaders, datamodule = None, loaders
        if loaders is not None and datamodule is not None:
            entry = {"val": "validate"}.get(name, name)
            raise MisconfigurationException(
                f"You cannot pass both `trainer.{entry}(dataloaders=..., datamodule=...)`"
            )
        return {name: loaders}, datamodule

    def _chosen(self, model: Any, entry: str) -> Any:
        if model is None and self.lightning_module is None:
            raise TypeError(
                f"`Trainer.{entry}()` requires a `LightningModule` when it hasn't been passed in a "
                "previous run"
            )
        chosen = self.lightning_module if model is None else model
        _check_module(chosen)
        return chosen

    # ---- A run -----------------------------------------------------------------------------------

    def _run(
        self, entry: str, model: Any, given: dict[str, Any], datamodule: Any, ckpt_path: Any,
        provided: bool, go: Callable[[], Any],
    ) -> Any:  # fmt: skip
        """Do all that stands around a stage, in its order."""
        self._entry, self._stage = entry, "train" if entry == "fit" else ""
        self._given, self._loaders = given, {}
        self.should_stop = self.interrupted = False
        self.lightning_module, model._trainer = model, self
        self.datamodule = datamodule
        if datamodule is not None:
            datamodule.trainer = self
        try:
            if entry == "fit":
                self._check_fit(model)
            elif not is_own(model, _STEPS[entry]):
                raise MisconfigurationException(
                    f"No `{_STEPS[entry]}()` method defined to run `Trainer.{entry}`."
                )
            path = self._path_of(entry, ckpt_path, provided)
            found = self._in_order(entry, model, path, go)
        except KeyboardInterrupt as error:
            info("\nDetected KeyboardInterrupt, attempting graceful shutdown ...")
            self._fail(error)
            raise
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            model._current_hook = ""
            self._entry = self._stage = ""
            self.sanity_checking = False
        return found

    def _fail(self, error: BaseException) -> None:
        self.interrupted = True
        for callback in self.callbacks:
            callback.on_exception(self, self.lightning_module, error)
        if self.datamodule is not None:
            self.datamodule.on_exception(error)
        for logger in self.loggers:
            logger.finalize("failed")

    def _in_order(self, entry: str, model: Any, path: str | None, go: Callable[[], Any]) -> Any:
        fits = entry == "fit"
        self._attach(model)
        data = self.datamodule
        for owner in (data, model):
            if owner is not None:
                self._ask(owner, "prepare_data")
        if data is not None:
            data.setup(entry)
        self._call("setup", entry)
        self._ask(model, "configure_model")
        checkpoint = None
        if path is not None:
            info(f"Restoring states from the checkpoint path at {path}")
            checkpoint = _saving.load(path)
            self._restore(checkpoint, fits)
        self._metrics.results = None
        self._metrics.clear()
        if self.precision == "64-true":
            model.double()
        if fits:
            self._ask_optimizers(model)
            self._call("on_fit_start")
        self._log_hyperparams(model)
        if checkpoint is not None:
            if fits:
                self._restore_training(checkpoint)
            words = "Restored all states" if fits else "Loaded model weights"
            info(f"{words} from the checkpoint at {path}")
        model.zero_grad()
        found = go()
        for logger in self.loggers:
            logger.finalize("success")
        if fits:
            self._call("on_fit_end")
        if data is not None:
            data.teardown(entry)
        self._call("teardown", entry)
        return found

    def _check_fit(self, model: Any) -> None:
        needs = (
            "Lightning `Trainer` expects as minimum a `training_step()`, `train_dataloader()` and "
            "`configure_optimizers()` to be defined."
        )
        own = type(model).configure_optimizers is not LightningModule.configure_optimizers
        for name, there in (
            ("training_step", is_own(model, "training_step")),
            ("configure_optimizers", own or "configure_optimizers" in vars(model)),
        ):
            if not there:
                raise MisconfigurationException(f"No `{name}()` method defined. {needs}")
        if not model.automatic_optimization:
            for name, value, none in (
                ("gradient_clip_val", self.gradient_clip_val or None, None),
                ("accumulate_grad_batches", self.accumulate_grad_batches, 1),
            ):
                if value != none:
                    what = "clipping" if none is None else "accumulation"
                    raise MisconfigurationException(
                        f"Automatic gradient {what} is not supported for manual optimization. "
                        f"Remove `Trainer({name}={value})` or switch to automatic optimization."
                    )
        has_loader = self._given["val"] is not None or any(
            owner is not None and is_own(owner, "val_dataloader")
            for owner in (self.datamodule, model)
        )
        has_step = is_own(model, "validation_step")
        if has_loader and not has_step:
            warn("You passed in a `val_dataloader` but have no `validation_step`. Skipping val "
                 "loop.")  # fmt: skip
        if has_step and not has_loader:
            warn(
                "You defined a `validation_step` but have no `val_dataloader`. Skipping val loop.",
                PossibleUserWarning,
            )
        self._validates = has_loader and has_step
        if self.max_epochs is None:
            self.max_epochs = -1
            if self.max_steps == -1 and self._first(Timer) is None:
                self.max_epochs = 1000
                warn(
                    "`max_epochs` was not set. Setting it to 1000 epochs. To train without an "
                    "epoch limit, set `max_epochs=-1`.",
                    PossibleUserWarning,
                )

    def _attach(self, model: Any) -> None:
        """Let callbacks log through the module; take those that belong to the module."""
        more = model.configure_callbacks()
        more = list(more) if isinstance(more, (list, tuple)) else [more]
        if more:
            kinds = {type(one) for one in more}
            gone = {type(one).__name__ for one in self.callbacks if type(one) in kinds}
            if gone:
                info(
                    "The following callbacks returned in `LightningModule.configure_callbacks` "
                    f"will override existing callbacks passed to Trainer: {', '.join(sorted(gone))}"
                )
            self.callbacks = [one for one in self.callbacks if type(one) not in kinds] + more
            self.callbacks.sort(key=lambda one: isinstance(one, Checkpoint))
        for callback in self.callbacks:
            callback.log, callback.log_dict = model.log, model.log_dict
        self._methods.clear()

    def _ask_optimizers(self, model: Any) -> None:
        model._current_hook = "configure_optimizers"
        self.optimizers, self.lr_scheduler_configs = configured(model)
        self._wrapped = [LightningOptimizer(one, self) for one in self.optimizers]
        model._current_hook = ""

    def _load(self, stage: str) -> Loaders:
        limit = getattr(self, f"limit_{stage}_batches")
        loaders = self._loaders[stage] = Loaders(self, self._given.get(stage), stage, limit)
        if self.overfit_batches and stage in ("train", "val") and self.fitting:
            loaders.in_order()
        return loaders

    def _reload(self, loop: FitLoop) -> None:
        """Ask for the loaders again where it is time."""
        every = self.reload_dataloaders_every_n_epochs
        if every and self._epoch and self._epoch % every == 0:
            loop.loaders = self._load("train")
            if loop.val_loaders is not None:
                loop.val_loaders = self._load("val")

    def _fit(self) -> None:
        validates = self._validates and self.limit_val_batches != 0
        if validates and self.num_sanity_val_steps and not self._global_step:
            self._sanity_check(self._load("val"))
        self._stage = "train"
        if self.limit_train_batches == 0:
            return
        train = self._load("train")
        self._choose_interval(train.total)
        if validates and "val" not in self._loaders:
            self._load("val")
        self._loop = FitLoop(self, train, self._loaders.get("val"))
        watch: AbstractContextManager[Any] = detect_nan() if self._detects else nullcontext()
        with watch:
            self._loop.run()

    def _choose_interval(self, total: float) -> None:
        """Find out after how many batches a validation is due."""
        interval = self.val_check_interval
        if isinstance(interval, int):
            every = self.check_val_every_n_epoch
            if interval > total and every is not None and self._validates:
                raise ValueError(
                    f"`val_check_interval` ({interval}) must be less than or equal to the number "
                    f"of the training batches ({int(total)}). If you want to disable validation "
                    "set `limit_val_batches` to 0.0 instead. If you want to validate based on the "
                    "total training batches, set `check_val_every_n_epoch=None`."
                )
            self.val_check_batch = interval
        elif math.isinf(total):
            if interval != 1.0:
                raise MisconfigurationException(
                    "When using an IterableDataset for `train_dataloader`, "
                    "`Trainer(val_check_interval)` must be `1.0` or an int. An int k specifies "
                    "checking validation every k training batches."
                )
            self.val_check_batch = math.inf
        else:
            self.val_check_batch = max(1, int(total * interval))
        if self.loggers and total < self.log_every_n_steps and not self.fast_dev_run:
            warn(
                f"The number of training batches ({total}) is smaller than the logging interval "
                f"Trainer(log_every_n_steps={self.log_every_n_steps}). Set a lower value for "
                "log_every_n_steps if you want to see logs for the training epoch.",
                PossibleUserWarning,
            )

    def _sanity_check(self, loaders: Loaders) -> None:
        """Try a few batches of validation; no random number of the training is used up."""
        everywhere = np.random.get_state()  # noqa: NPY002
        states = random.getstate(), default_generator.source.getstate()
        self.sanity_checking = True
        self._call("on_sanity_check_start")
        _evaluate.run(self, loaders, "validation", fitting=True)
        self._call("on_sanity_check_end")
        self._metrics.clear()
        self.sanity_checking = False
        random.setstate(states[0])
        np.random.set_state(everywhere)  # noqa: NPY002
        default_generator.source.setstate(states[1])


def _check_module(model: Any) -> None:
    if not isinstance(model, LightningModule):
        raise TypeError(
            f"`model` must be a `LightningModule`, got `{type(model).__name__}`; a class of your "
            "own with training_step and configure_optimizers is one"
        )
