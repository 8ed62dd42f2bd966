"""DataLoader: the samples of a data set in batches."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deepc._values import describe
from deepc.autodiff import ops
from deepc.torch._tensor import Tensor, wrap
from deepc.torch.utils.data.datasets import IterableDataset, batch_maker
from deepc.torch.utils.data.samplers import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    check_count,
)

__all__ = ["DataLoader", "default_collate", "default_convert"]

# What an attribute decides that iterators may already have read.
_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


def default_convert(data: Any) -> Any:
    """Return one sample with its arrays as tensors, in the containers that it came in."""
    if isinstance(data, np.ndarray) and data.dtype.kind in "fiub":
        return wrap(data)
    if isinstance(data, np.generic) and data.dtype.kind in "fiub":
        return wrap(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, list):
        return [default_convert(value) for value in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Return a list of samples as one batch.

    Tensors and arrays are stacked; Python ints become an int64 tensor, floats a float64 one; dicts
    stay dicts and tuples become lists, of what their parts become; strings stay as they are.

    Examples
    --------
    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    if not len(batch):
        raise ValueError("default_collate: expected a batch of at least one sample, got none")
    first = batch[0]
    if isinstance(first, Tensor):
        _check_shapes([tuple(each.shape) for each in batch])
        if any(each.requires_grad for each in batch):
            return ops.stack(list(batch))
        return wrap(np.stack([each._data for each in batch]))
    if isinstance(first, (np.ndarray, np.generic)) and first.dtype.kind in "fiub":
        arrays = [np.asarray(each) for each in batch]
        _check_shapes([each.shape for each in arrays])
        return wrap(np.stack(arrays))
    if isinstance(first, (bool, int)):
        return wrap(np.array(batch, bool if isinstance(first, bool) else np.int64))
    if isinstance(first, float):
        return wrap(np.array(batch, np.float64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([each[key] for each in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(each) != len(first) for each in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def _check_shapes(shapes: list[tuple[int, ...]]) -> None:
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shapes[0])} at entry 0 "
                f"and {list(shape)} at entry {number}"
            )


class DataLoader:
    """The samples of a data set in batches.

    A batch of a `TensorDataset`, of a tensor or an array, of torchvision's data sets, or of a
    `Subset` of these is gathered at once; what else there is gives its samples one after the other.

    Parameters
    ----------
    dataset : Dataset, or anything with ``__getitem__`` and ``__len__``; or an IterableDataset
    batch_size : int or None, optional
        Samples in a batch; None gives the samples themselves.
    shuffle : bool, optional
        Go over the samples in a new random order each time; repeatable under ``manual_seed``.
    sampler, batch_sampler : iterable, optional
        Numbers of samples, or lists of them, in place of `shuffle`, or of all that makes batches.
    num_workers : int, optional
        Accepted, and ignored: batches are made in the calling process.
    collate_fn : callable, optional
        Makes a batch of a list of samples; `default_collate` if not given.
    drop_last : bool, optional
        Leave out a last batch that is not full.
    generator : Generator, optional
        Where the order comes from.
    pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor : optional
    persistent_workers, pin_memory_device, in_order : optional
        Of workers and devices; accepted, and without effect.

    Examples
    --------
    >>> from deepc import torch
    >>> from deepc.torch.utils.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(torch.arange(3), torch.arange(3)), batch_size=2)
    >>> [x.tolist() for x, y in loader], len(loader)
    ([[0, 1], [2]], 2)
    """

    def __class_getitem__(cls, item: Any) -> Any:
        """Take what annotations say, ``DataLoader[int]``."""
        return cls

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                f"multiprocessing. Got {describe(num_workers)}"
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers:
            # The registry of warnings lets it be said once at each place in a program.
            warnings.warn(
                f"num_workers={num_workers} is ignored: batches are made in the calling process, "
                "which costs less than handing them over",
                stacklevel=2,
            )
        if not (hasattr(dataset, "__getitem__") or hasattr(dataset, "__iter__")):
            raise TypeError(f"dataset: expected samples by number, got {describe(dataset)}")
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn: expected a function, got {describe(collate_fn)}")
        self.dataset = dataset
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.timeout, self.worker_init_fn = timeout, worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.persistent_workers, self.in_order = persistent_workers, in_order
        self.generator = generator
        self._is_stream = isinstance(dataset, IterableDataset)
        self._choose(batch_size, shuffle, sampler, batch_sampler, drop_last)
        is_batched = self.batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if is_batched else default_convert)
        self._is_made = True

    def _choose(
        self, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
    ) -> None:
        """Find out what makes the batches; refuse what contradicts itself."""
        if self._is_stream:
            given = {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler}
            for name, value in given.items():
                if value is not None and value is not False:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, "
                        f"but got {name}={value}"
                    )
        if shuffle not in (None, True, False):
            raise TypeError(f"shuffle: expected a bool, got {describe(shuffle)}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        if sampler is None:
            if self._is_stream:
                sampler = itertools.repeat(None)
            elif shuffle:
                sampler = RandomSampler(self.dataset, generator=self.generator)
            else:
                sampler = SequentialSampler(self.dataset)
        if batch_size is not None:
            batch_size = check_count(batch_size, "batch_size")
            batch_sampler = BatchSampler(sampler, batch_size, bool(drop_last))
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and self.__dict__.get("_is_made"):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        if not self._is_stream:
            source: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
            return len(source)
        count: int = len(self.dataset)
        if self.batch_size is None:
            return count
        each: int = self.batch_size
        return count // each if self.drop_last else -(-count // each)

    def __iter__(self) -> Iterator[Any]:
        if self._is_stream:
            return self._stream()
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[i]) for i in self.sampler)
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        dataset, collate = self.dataset, self.collate_fn
        sampler: Any = self.batch_sampler
        make = batch_maker(dataset) if collate is default_collate else None
        several = getattr(dataset, "__getitems__", None)
        if make and type(sampler) is BatchSampler:
            yield from map(make, sampler.arrays())
        elif make:
            for numbers in sampler:
                yield make(np.asarray(numbers))
        else:
            for numbers in sampler:
                yield collate(several(numbers) if several else [dataset[i] for i in numbers])

    def _stream(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)
