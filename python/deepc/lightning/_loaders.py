"""Where batches come from, how many of them there are, and in what form they reach a step."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from deepc._values import warn
from deepc.lightning._hooks import is_own
from deepc.lightning._words import MisconfigurationException
from deepc.torch.utils.data import DataLoader, RandomSampler, SequentialSampler

__all__ = ["Loaders", "batch_limit", "check_loader_argument", "step_arguments"]


_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def batch_limit(value: Any, name: str) -> float:
    """Return a limit of batches: a number of them as an int, a part of them as a float."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value <= 1:
            return value
        if value > 1 and value % 1 == 0:
            return int(value)
    raise MisconfigurationException(
        f"You have passed invalid value {value} for {name}, it has to be in [0.0, 1.0] or an int."
    )


class Loaders:
    """The loaders of a stage, and how many batches of each are used.

    Parameters
    ----------
    trainer : Trainer
    given : object
        What `fit` and the others were called with, None where the module is to say.
    stage : "train", "val", "test" or "predict"
    limit : int or float
        How many batches, or which part of them.
    """

    def __init__(self, trainer: Any, given: Any, stage: str, limit: float) -> None:
        self.stage = stage
        found = _requested(trainer, stage) if given is None else given
        self.together = stage == "train" and isinstance(found, (list, tuple, dict))
        self._form: Any = found
        several = isinstance(found, (list, tuple))
        parts = (
            list(found.values()) if isinstance(found, dict) else list(found) if several else [found]
        )
        for each in parts:
            if not hasattr(each, "__iter__") and not hasattr(each, "__getitem__"):
                prefix = "train_" if stage == "train" else ""
                entry = {"train": "fit", "val": "validate"}.get(stage, stage)
                raise TypeError(
                    "An invalid dataloader was passed to "
                    f"`Trainer.{entry}({prefix}dataloaders=...)`. Found {each}. Either pass the "
                    f"dataloader to the `.{entry}()` method OR implement `def "
                    f"{stage}_dataloader(self):` in your LightningModule/LightningDataModule."
                )
        self.parts = parts
        # Whether nobody knows how long a loader is: only the next batch says which is the last.
        self._is_open = any(math.isinf(_length(each)) for each in parts)
        self.batches = [_counted(each, stage, limit) for each in parts]

    def in_order(self) -> None:
        """Take samples in their order: what overfitting a few batches needs."""
        for i, each in enumerate(self.parts):
            if isinstance(each, DataLoader) and isinstance(each.sampler, RandomSampler):
                warn(
                    "You requested to overfit but enabled training dataloader shuffling. We are "
                    "turning off the training dataloader shuffling for you."
                )
                self.parts[i] = DataLoader(
                    each.dataset, each.batch_size, sampler=SequentialSampler(each.dataset),
                    collate_fn=each.collate_fn, drop_last=each.drop_last,
                )  # fmt: skip

    @property
    def total(self) -> float:
        """How many batches an epoch of training has, inf where nobody knows."""
        return max(self.batches)

    def start_epoch(self, epoch: int) -> None:
        """Tell samplers that want to know which epoch it is."""
        for each in self.parts:
            for sampler in (getattr(each, "sampler", None), getattr(each, "batch_sampler", None)):
                set_epoch = getattr(sampler, "set_epoch", None)
                if callable(set_epoch):
                    set_epoch(epoch)

    def training_batches(self) -> Iterator[tuple[Any, bool]]:
        """Yield the batches of an epoch, and whether each is the last."""
        total = self.total
        batches = itertools.islice(self._all(), _stop(total))
        if not self._is_open:
            for number, batch in enumerate(batches, 1):
                yield batch, number >= total
            return
        for batch in batches:
            for following in batches:
                yield batch, False
                batch = following
            yield batch, True

    def _all(self) -> Iterator[Any]:
        """Yield batches; of several loaders together, the shorter ones begin anew."""
        if not self.together:
            yield from self.parts[0]
            return
        going = [iter(part) for part in self.parts]
        ended = [False] * len(going)
        while True:
            found = []
            for i, part in enumerate(self.parts):
                batch = next(going[i], going)
                if batch is going:
                    ended[i] = True
                    going[i] = iter(part)
                    batch = next(going[i], None)
                found.append(batch)
            if all(ended):
                return
            if isinstance(self._form, dict):
                yield dict(zip(self._form, found, strict=True))
            else:
                yield found

    def batches_of(self, number: int, most: float) -> Iterator[Any]:
        """Yield the first batches of a loader."""
        yield from itertools.islice(iter(self.parts[number]), _stop(most))


def _stop(count: float) -> int | None:
    return None if math.isinf(count) else int(count)


def _requested(trainer: Any, stage: str) -> Any:
    """Return what the data module or the module gives for a stage."""
    name = f"{stage}_dataloader"
    for owner in (trainer.datamodule, trainer.lightning_module):
        if owner is not None and is_own(owner, name):
            return trainer._ask(owner, name)
    if stage == "train":
        raise MisconfigurationException(
            "`train_dataloader` must be implemented to be used with the Lightning Trainer"
        )
    raise MisconfigurationException(
        f"An invalid dataloader was passed to `Trainer`: pass `dataloaders=...`, or implement "
        f"`def {name}(self):` in your LightningModule/LightningDataModule."
    )


def _length(loader: Any) -> float:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return math.inf


def _counted(loader: Any, stage: str, limit: float) -> float:
    """Return how many batches of a loader are used."""
    length = _length(loader)
    if length == 0:
        warn(f"Total length of `{type(loader).__name__}` across ranks is zero. Please make sure "
             "this was your intention.")  # fmt: skip
        return 0
    if isinstance(limit, int):
        return min(length, limit)
    if math.isinf(length):
        if limit not in (0.0, 1.0):
            raise MisconfigurationException(
                f"When using an `IterableDataset`, `Trainer(limit_{stage}_batches)` must be `1.0` "
                f"or an int. An int specifies `num_{stage}_batches` to use."
            )
        return length if limit else 0
    count = int(length * limit)
    if count == 0 and limit > 0:
        raise MisconfigurationException(
            f"You requested to check {limit} of the `{stage}_dataloader` but {limit} * {length} < "
            f"1. Please increase the `limit_{stage}_batches` argument. Try at least "
            f"`limit_{stage}_batches={1.0 / length}`"
        )
    return count


def check_loader_argument(module: Any, step: str, several: bool) -> None:
    """Refuse a step that wants the number of the only loader, or cannot take one of several."""
    parameters = inspect.signature(getattr(module, step)).parameters
    own = parameters.get("dataloader_idx")
    name, stage = f"{type(module).__name__}.{step}", step.split("_")[0].replace("idation", "")
    if not several and own is not None and own.default is own.empty:
        raise RuntimeError(
            f"You provided only a single `{stage}_dataloader`, but have included `dataloader_idx` "
            f"in `{name}()`. Either remove the argument or give it a default value i.e. "
            "`dataloader_idx=0`."
        )
    takes = len(parameters) > 2 or any(p.kind in _MANY for p in parameters.values())
    takes = takes or own is not None
    if several and not takes:
        raise RuntimeError(
            f"You provided multiple `{stage}_dataloader`, but no `dataloader_idx` argument in "
            f"`{name}()`. Try adding `dataloader_idx=0` to its signature."
        )


def step_arguments(step: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """Return what picks, of a batch and its numbers, those arguments that a step takes."""
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return lambda *given: given
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return lambda *given: given
    if len(parameters) >= 3 or (len(parameters) == 2 and parameters[1].name != "dataloader_idx"):
        most = len(parameters)
        return lambda *given: given[:most]
    if len(parameters) == 2:
        return lambda batch, index, *more: (batch, *more)
    return lambda batch, *_: (batch,)
