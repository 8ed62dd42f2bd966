"""The loops of validation, test and prediction."""

from __future__ import annotations

from typing import Any

from deepc._values import warn
from deepc.lightning._loaders import check_loader_argument, step_arguments
from deepc.lightning._results import Results
from deepc.torch import no_grad

__all__ = ["predict", "run"]


class _Evaluating:
    """A module in evaluation without gradients in a ``with`` block; all parts as before after."""

    def __init__(self, module: Any) -> None:
        self._module, self._no_grad = module, no_grad()

    def __enter__(self) -> None:
        self._modes = [(part, part.training) for part in self._module.modules()]
        self._module.eval()
        self._no_grad.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._no_grad.__exit__(*error)
        # From the inside out: a part may set the modes of its own parts.
        for part, mode in reversed(self._modes):
            if part.training != mode:
                part.training = mode


def run(trainer: Any, loaders: Any, stage: str, fitting: bool = False) -> list[dict[str, float]]:
    """Measure with all loaders; return what was logged, by loader.

    Parameters
    ----------
    trainer : Trainer
    loaders : Loaders
    stage : "validation" or "test"
    fitting : bool, optional
        Whether it is part of a training.
    """
    limits = loaders.batches
    if trainer.sanity_checking:
        limits = trainer.num_sanity_val_batches
    if sum(limits) == 0:
        return []
    metrics, module = trainer._metrics, trainer.lightning_module
    results = metrics.results = Results(training=False)
    metrics.in_batch = False
    before, trainer._stage = trainer._stage, stage
    check_loader_argument(module, f"{stage}_step", len(loaders.parts) > 1)
    pick = step_arguments(getattr(module, f"{stage}_step"))
    if fitting:
        loaders.start_epoch(trainer.current_epoch)
    seen: list[dict[str, Any]] = []
    with _Evaluating(module):
        trainer._call(f"on_{stage}_start")
        trainer._call(f"on_{stage}_epoch_start")
        for number in range(len(loaders.parts)):
            _one_loader(trainer, loaders, number, limits[number], stage, results, pick)
            metrics.in_batch = False
            loader = number if len(loaders.parts) > 1 else None
            seen.append({} if trainer.sanity_checking else metrics.collect(loader))
        results.begin_batch(None)
        trainer._call(f"on_{stage}_epoch_end")
        last = {} if trainer.sanity_checking else metrics.collect()
        everything = {name: value for one in seen for name, value in one.items()} | last
        if not trainer.sanity_checking:
            trainer._has_validated = True
            trainer._log_metrics(everything)
        trainer._call(f"on_{stage}_end")
    trainer._stage = before
    return [{name: float(v) for name, v in {**one, **last}.items()} for one in seen]


def _one_loader(
    trainer: Any, loaders: Any, number: int, limit: float, stage: str, results: Any, pick: Any
) -> None:
    metrics = trainer._metrics
    several = len(loaders.parts) > 1
    more = (number,) if several else ()
    for index, batch in enumerate(loaders.batches_of(number, limit)):
        batch = trainer._prepared(batch, number)
        metrics.in_batch = True
        results.begin_batch(batch, number if several else None)
        trainer._call(f"on_{stage}_batch_start", batch, index, *more)
        made = trainer._step(f"{stage}_step", pick(batch, index, *more))
        trainer._call(f"on_{stage}_batch_end", made, batch, index, *more)
        logged = metrics.collect(results.loader)
        if logged and not trainer.sanity_checking:
            trainer._log_metrics(logged, index)


def predict(trainer: Any, loaders: Any, keep: bool) -> Any:
    """Return what the module predicts for each batch; in a list for each loader if several."""
    module, metrics = trainer.lightning_module, trainer._metrics
    metrics.results = None
    trainer._stage = "predict"
    pick = step_arguments(module.predict_step)
    several = len(loaders.parts) > 1
    check_loader_argument(module, "predict_step", several)
    predictions: list[list[Any]] = []
    with _Evaluating(module):
        trainer._call("on_predict_start")
        trainer._call("on_predict_epoch_start")
        for number, limit in enumerate(loaders.batches):
            made = []
            more = (number,) if several else ()
            for index, batch in enumerate(loaders.batches_of(number, limit)):
                batch = trainer._prepared(batch, number)
                trainer._call("on_predict_batch_start", batch, index, *more)
                one = trainer._step("predict_step", pick(batch, index, *more))
                if one is None:
                    warn("predict returned None if it was on purpose, ignore this warning...")
                trainer._call("on_predict_batch_end", one, batch, index, *more)
                if keep:
                    made.append(one)
            predictions.append(made)
        trainer._call("on_predict_epoch_end")
        trainer._call("on_predict_end")
    return (predictions if several else predictions[0]) if keep else None
