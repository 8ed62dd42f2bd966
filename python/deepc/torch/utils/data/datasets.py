"""Data sets: what has samples by number, and parts and joins of such."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from deepc._values import Array, describe
from deepc.torch._tensor import Tensor, wrap
from deepc.torch.utils.data.samplers import order_of

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset",
    "TensorDataset", "batch_maker", "random_split",
]  # fmt: skip


class Dataset:
    """Something that has samples by their numbers; a class of one's own gives `__getitem__`.

    `__len__` belongs to it too, wherever a sampler or a `DataLoader` has to know how many there
    are.
    """

    def __class_getitem__(cls, item: Any) -> Any:
        """Take what annotations say, ``Dataset[int]``."""
        return cls

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples that come one after the other: a class of one's own gives `__iter__`."""

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")


class TensorDataset(Dataset):
    """Rows of tensors: sample i is the tuple of the tensors' rows i.

    Parameters
    ----------
    *tensors : Tensor
        All of the same length.

    Examples
    --------
    >>> from deepc import torch
    >>> TensorDataset(torch.arange(3), torch.tensor([1.0, 2.0, 3.0]))[1]
    (tensor(1), tensor(2.))
    """

    def __init__(self, *tensors: Any) -> None:
        for number, each in enumerate(tensors):
            if not isinstance(each, Tensor):
                raise TypeError(
                    f"TensorDataset: expected tensors, got {describe(each)} as number {number}; "
                    "torch.from_numpy makes a tensor of an array"
                )
        lengths = [len(each) for each in tensors]
        if len(set(lengths)) > 1:
            raise AssertionError(f"Size mismatch between tensors: their lengths are {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> Any:
        return tuple(each[index] for each in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset):
    """Several data sets side by side: sample i holds sample i of each, in a tuple or a dict."""

    def __init__(self, *datasets: Any, **named: Any) -> None:
        if bool(datasets) == bool(named):
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or ``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
                if datasets
                else "At least one dataset should be passed"
            )
        parts = list(datasets or named.values())
        if len({len(part) for part in parts}) > 1:
            raise ValueError("Size mismatch between datasets")
        self.datasets: Any = datasets or named
        self._length = len(parts[0])

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __len__(self) -> int:
        return self._length


class Subset(Dataset):
    """Some samples of a data set, by their numbers.

    Examples
    --------
    >>> len(Subset(range(10), [1, 3])), Subset(range(10), [1, 3])[1]
    (2, 3)
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return the samples of several numbers."""
        several = getattr(self.dataset, "__getitems__", None)
        chosen = [self.indices[i] for i in indices]
        return several(chosen) if several else [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Data sets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for part in self.datasets:
            if isinstance(part, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(part) for part in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        if index >= len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        part = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]


class ChainDataset(IterableDataset):
    """Iterable data sets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(part) for part in self.datasets)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Split a data set at random into parts of these lengths, or of these fractions of it.

    Fractions are rounded down; what is left goes to the first parts, one sample each.

    Examples
    --------
    >>> [len(part) for part in random_split(range(5), [0.5, 0.5])]
    [3, 2]
    """
    given: list[Any] = list(lengths)
    if given and math.isclose(sum(given), 1) and sum(given) <= 1:
        for number, fraction in enumerate(given):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {number} is not between 0 and 1")
        sizes = [math.floor(len(dataset) * fraction) for fraction in given]
        for i in range(len(dataset) - sum(sizes)):
            sizes[i % len(sizes)] += 1
        for number, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {number} is 0. This might result in an empty "
                    "dataset.",
                    stacklevel=2,
                )
        given = sizes
    if sum(given) != len(dataset):
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"They are {list(lengths)}, it has {len(dataset)} samples"
        )
    order = order_of(len(dataset), generator).tolist()
    ends = list(itertools.accumulate(int(size) for size in given))
    return [
        Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, given, strict=True)
    ]


def batch_maker(dataset: Any) -> Callable[[Array], Any] | None:
    """Return what makes a whole batch out of the numbers of its samples, as `default_collate`.

    None where samples have to be asked for one after the other: only what keeps them in arrays has
    many at once, and only if no class of the user's own changes what a sample is.
    """
    indices: Array | None = None
    while type(dataset) is Subset:
        given = dataset.indices
        own = np.asarray(given._data if isinstance(given, Tensor) else given)
        if own.ndim != 1 or own.dtype.kind not in "iu":
            return None
        indices, dataset = own if indices is None else own[indices], dataset.dataset
    make = _maker(dataset)
    if make is None or indices is None:
        return make
    return lambda chosen: make(indices[chosen])


def _maker(dataset: Any) -> Callable[[Array], Any] | None:
    if type(dataset) is TensorDataset and dataset.tensors:
        if any(each.requires_grad for each in dataset.tensors):
            return None
        arrays = [each._data for each in dataset.tensors]
        return lambda chosen: [wrap(np.take(array, chosen, axis=0)) for array in arrays]
    if type(dataset) is Tensor and not dataset.requires_grad:
        dataset = dataset._data
    if type(dataset) is np.ndarray and dataset.ndim and dataset.dtype.kind in "fiub":
        return lambda chosen: wrap(np.take(dataset, chosen, axis=0))
    return getattr(dataset, "_batch_maker", lambda: None)()
