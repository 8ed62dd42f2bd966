"""Samplers: in what order the numbers of samples come, and in what batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from deepc._c import random
from deepc._values import FLOAT64, Array
from deepc.torch._rng import key
from deepc.torch._tensor import Tensor, wrap

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
    "WeightedRandomSampler", "check_count", "order_of",
]  # fmt: skip


def order_of(count: int, generator: Any) -> Array:
    """Return the numbers below a count in a new random order."""
    return random.permutation(count, random.key(key(generator)))


def check_count(value: Any, name: str) -> int:
    """Return a positive whole number; refuse all else in torch's words."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")
    return int(value)


def _check_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be a boolean value, but got {name}={value}")
    return value


class Sampler:
    """Numbers of samples in some order: a class of one's own gives `__iter__`."""

    def __init__(self, data_source: Any = None) -> None:
        del data_source

    def __class_getitem__(cls, item: Any) -> Any:
        """Take what annotations say, ``Sampler[int]``."""
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class _Ordered(Sampler):
    """A sampler that knows its numbers at once, in an array."""

    def _order(self) -> Array:
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self._order().tolist())


class SequentialSampler(_Ordered):
    """All numbers, from 0 on."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def _order(self) -> Array:
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(_Ordered):
    """Numbers in a random order, a new one each time it is gone through.

    Parameters
    ----------
    data_source : sized
    replacement : bool, optional
        Draw each number anew, so that one may come twice.
    num_samples : int, optional
        How many numbers come; as many as there are samples if not given.
    generator : Generator, optional
        Where the randomness comes from, torch's own if not given.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = _check_flag(replacement, "replacement")
        self._num_samples = num_samples
        self.generator = generator
        check_count(self.num_samples, "num_samples")

    @property
    def num_samples(self) -> int:
        """How many numbers come."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self) -> Array:
        count, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            drawn = random.uniform((wanted,), FLOAT64, key(self.generator))
            return (drawn * count).astype(np.int64)
        if wanted == count:
            return order_of(count, self.generator)
        orders = [order_of(count, self.generator) for _ in range(-(-wanted // count))]
        return np.concatenate(orders)[:wanted]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_Ordered):
    """Given numbers in a random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def _order(self) -> Array:
        return np.asarray(self.indices)[order_of(len(self.indices), self.generator)]

    def __iter__(self) -> Iterator[Any]:
        return (self.indices[i] for i in order_of(len(self.indices), self.generator).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Ordered):
    """Numbers drawn by weights, which need not add up to 1.

    Parameters
    ----------
    weights : sequence of float
    num_samples : int
        How many to draw.
    replacement : bool, optional
        Whether a number that was drawn may come again.
    generator : Generator, optional
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.num_samples = check_count(num_samples, "num_samples")
        self.replacement = _check_flag(replacement, "replacement")
        array = np.asarray(weights._data if isinstance(weights, Tensor) else weights, FLOAT64)
        if array.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(array.shape)}"
            )
        if not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
            raise ValueError("weights: expected finite numbers of at least 0, one of them above 0")
        if not replacement and num_samples > np.count_nonzero(array):
            raise ValueError(
                f"num_samples: {num_samples} cannot be drawn without replacement from "
                f"{np.count_nonzero(array)} numbers whose weight is not 0"
            )
        self.weights = wrap(array)
        self.generator = generator

    def _order(self) -> Array:
        weights: Array = self.weights._data
        if self.replacement:
            ends = np.cumsum(weights)
            drawn = random.uniform((self.num_samples,), FLOAT64, key(self.generator)) * ends[-1]
            # The last end may be a rounding below what was drawn.
            last = int(np.flatnonzero(weights)[-1])
            found: Array = np.minimum(np.searchsorted(ends, drawn, side="right"), last)
            return found
        # The first of waiting times whose rates are the weights: one after the other these are
        # draws by the weights of what is left.
        drawn = random.uniform(weights.shape, FLOAT64, key(self.generator))
        with np.errstate(divide="ignore"):
            waiting = -np.log1p(-drawn) / weights
        waiting[weights == 0] = np.inf
        first: Array = np.argsort(waiting, kind="stable")
        return first[: self.num_samples]

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The numbers of another sampler in lists of so many.

    Examples
    --------
    >>> list(BatchSampler(SequentialSampler(range(5)), 2, False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = check_count(batch_size, "batch_size")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def arrays(self) -> Iterator[Any]:
        """Yield the same batches as arrays, cut from one where the other sampler has it."""
        order = getattr(self.sampler, "_order", None)
        # Who gives the numbers another order has written an __iter__ of their own.
        if order is None or type(self.sampler).__iter__ is not _Ordered.__iter__:
            yield from map(np.asarray, self)
            return
        numbers = order()
        for start in range(0, len(numbers), self.batch_size):
            batch = numbers[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + bool(rest and not self.drop_last)
