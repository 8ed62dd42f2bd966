"""torch.utils.data: what torch gives for the same data, and its words for mistakes."""

from __future__ import annotations

from collections import Counter, namedtuple

import numpy as np
import pytest
from deepc import torch
from deepc.torch.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


class Rows(Dataset):
    """Samples that come one after the other."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return torch.tensor([float(i)]), i


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


PAIRS = TensorDataset(torch.arange(5), torch.arange(5.0))


def shown(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch."), value.tolist()
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return type(value)(map(shown, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([1, 2], ("int64", [1, 2])), ([1.0, 2.0], ("float64", [1.0, 2.0])),
        ([True, False], ("bool", [True, False])), (["a", "b"], ["a", "b"]), ([b"x"], [b"x"]),
        ([np.float32(1), np.float32(2)], ("float32", [1.0, 2.0])),
        ([np.int32(1)], ("int32", [1])), ([np.ones(2)] * 2, ("float64", [[1.0, 1.0]] * 2)),
        ([np.array([1, 2], np.int16)] * 2, ("int16", [[1, 2]] * 2)),
        ([(1, 2.0)] * 2, [("int64", [1, 1]), ("float64", [2.0, 2.0])]),
        ([[1, "a"]] * 2, [("int64", [1, 1]), ("a", "a")]),
        ([{"a": 1, "b": [1, 2]}] * 2,
         {"a": ("int64", [1, 1]), "b": [("int64", [1, 1]), ("int64", [2, 2])]}),
        ([torch.ones(2)] * 2, ("float32", [[1.0, 1.0]] * 2)),
    ],
)  # fmt: skip
def test_collate(batch, expected):
    assert shown(default_collate(batch)) == expected


def test_collate_keeps_names_and_gradients():
    Point = namedtuple("Point", "x y")
    made = default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert type(made).__name__ == "Point"
    assert made.x.tolist() == [1, 3]
    w = torch.ones(2, requires_grad=True)
    default_collate([w, w * 2]).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: default_collate([torch.ones(2), torch.ones(3)]), RuntimeError,
         r"equal size, but got \[2\] at entry 0 and \[3\] at entry 1"),
        (lambda: default_collate([[1, 2], [1]]), RuntimeError, "should be of equal size"),
        (lambda: default_collate([None]), TypeError, "found <class 'NoneType'>"),
        (lambda: default_collate([]), ValueError, "at least one sample"),
        (lambda: DataLoader(PAIRS, batch_size=0), ValueError,
         "batch_size should be a positive integer value, but got batch_size=0"),
        (lambda: DataLoader(PAIRS, batch_size=1.5), ValueError, "got batch_size=1.5"),
        (lambda: DataLoader(PAIRS, batch_size=True), ValueError, "got batch_size=True"),
        (lambda: DataLoader(PAIRS, num_workers=-1), ValueError, "non-negative"),
        (lambda: DataLoader(PAIRS, timeout=-1), ValueError, "non-negative"),
        (lambda: DataLoader(PAIRS, shuffle=True, sampler=[1]), ValueError, "mutually exclusive"),
        (lambda: DataLoader(PAIRS, batch_sampler=[[1]], batch_size=3), ValueError,
         "batch_sampler option is mutually exclusive"),
        (lambda: DataLoader(PAIRS, batch_size=None, drop_last=True), ValueError, "auto-batching"),
        (lambda: DataLoader(PAIRS, foo=1), TypeError, "foo"),
        (lambda: DataLoader(5), TypeError, "dataset: expected samples by number, got int 5"),
        (lambda: DataLoader(PAIRS, collate_fn=3), TypeError, "collate_fn: expected a function"),
        (lambda: DataLoader(TensorDataset(torch.ones(0)), shuffle=True), ValueError,
         "num_samples should be a positive integer value, but got num_samples=0"),
        (lambda: DataLoader(Stream(), shuffle=True), ValueError, "unspecified shuffle option"),
        (lambda: DataLoader(Stream(), sampler=[1]), ValueError, "unspecified sampler option"),
        (lambda: len(DataLoader(Stream())), TypeError, "no len"),
        (lambda: setattr(DataLoader(PAIRS), "batch_size", 2), ValueError, "should not be set"),
        (lambda: TensorDataset(torch.ones(2), torch.ones(3)), AssertionError, "Size mismatch"),
        (lambda: TensorDataset(np.ones(2)), TypeError, "torch.from_numpy"),
        (lambda: random_split(PAIRS, [2, 2]), ValueError, "does not equal the length"),
        (lambda: random_split(PAIRS, [1.5, -0.5]), ValueError, "Fraction at index 0"),
        (lambda: ConcatDataset([]), AssertionError, "empty"),
        (lambda: ConcatDataset([PAIRS])[-6], ValueError, "should not exceed dataset length"),
        (lambda: ConcatDataset([PAIRS])[5], IndexError, "5"),
        (lambda: Dataset()[0], NotImplementedError, "__getitem__"),
        (lambda: RandomSampler(PAIRS, replacement=1), TypeError, "boolean"),
        (lambda: RandomSampler([]), ValueError, "num_samples=0"),
        (lambda: WeightedRandomSampler([1.0], -1), ValueError, "num_samples=-1"),
        (lambda: WeightedRandomSampler([0.0, 1.0], 2, False), ValueError, "num_samples: 2 cannot"),
        (lambda: WeightedRandomSampler([-1.0], 1), ValueError, "weights: expected"),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size=0"),
        (lambda: BatchSampler([1], 1, 0), ValueError, "drop_last should be a boolean"),
        (lambda: list(DataLoader(Subset(PAIRS, [0, 7]))), IndexError, "7"),
        (lambda: StackDataset(), ValueError, "At least one dataset"),
    ],
)  # fmt: skip
def test_mistakes(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "dataset",
    [
        PAIRS, Rows(), Subset(PAIRS, [4, 0, 3]), Subset(Subset(PAIRS, [4, 0, 3, 3]), [1, 3]),
        Subset(Rows(), torch.tensor([2, 1])), torch.arange(6.0).reshape(3, 2), [1, 2, 3],
        np.arange(6.0).reshape(3, 2), ConcatDataset([PAIRS, PAIRS]), PAIRS + Subset(PAIRS, [1]),
        StackDataset(torch.arange(3), torch.ones(3)), StackDataset(a=torch.arange(3), b=[1, 2, 3]),
    ],
    ids=lambda dataset: type(dataset).__name__,
)  # fmt: skip
@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}, {"batch_size": 2, "drop_last": True}])
def test_batches_are_what_samples_make(dataset, settings):
    loader = DataLoader(dataset, **settings)
    size = settings.get("batch_size", 1)
    samples = [dataset[i] for i in range(len(dataset))]
    groups = [samples[i : i + size] for i in range(0, len(samples), size)]
    if settings.get("drop_last"):
        groups = [group for group in groups if len(group) == size]
    assert [shown(batch) for batch in loader] == [shown(default_collate(g)) for g in groups]
    assert len(loader) == len(groups)


def test_batch_is_a_copy():
    data = torch.zeros(4)
    next(iter(DataLoader(data, batch_size=4)))[0] = 7.0
    assert data.tolist() == [0.0] * 4


def test_own_class_is_asked_for_each_sample():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)[0] * 2

    assert [b.tolist() for b in DataLoader(Doubled(torch.arange(3)), 2)] == [[0, 2], [4]]


def test_changed_indices_are_seen():
    part = Subset(PAIRS, [0, 1])
    loader = DataLoader(part, batch_size=2)
    assert next(iter(loader))[0].tolist() == [0, 1]
    part.indices[0] = 4
    assert next(iter(loader))[0].tolist() == [4, 1]


def test_orders_are_repeatable_and_new_each_time():
    loader = DataLoader(torch.arange(50), batch_size=50, shuffle=True)
    torch.manual_seed(3)
    first, second = next(iter(loader)).tolist(), next(iter(loader)).tolist()
    torch.manual_seed(3)
    assert next(iter(loader)).tolist() == first
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    generator = torch.Generator()
    own = DataLoader(torch.arange(50), batch_size=50, shuffle=True, generator=generator)
    generator.manual_seed(5)
    first = next(iter(own)).tolist()
    generator.manual_seed(5)
    assert next(iter(own)).tolist() == first


def test_samplers():
    assert list(SequentialSampler(PAIRS)) == [0, 1, 2, 3, 4]
    assert sorted(RandomSampler(PAIRS, num_samples=5)) == [0, 1, 2, 3, 4]
    assert len(list(RandomSampler(PAIRS, num_samples=12))) == 12
    assert set(RandomSampler(PAIRS, replacement=True, num_samples=400)) == {0, 1, 2, 3, 4}
    assert sorted(SubsetRandomSampler([3, 9, 5])) == [3, 5, 9]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    loader = DataLoader(PAIRS, batch_sampler=[[4, 0], [2]])
    assert [b[0].tolist() for b in loader] == [[4, 0], [2]]
    assert len(loader) == 2


@pytest.mark.parametrize("replacement", [True, False])
def test_weighted_draws_follow_the_weights(replacement):
    torch.manual_seed(0)
    sampler = WeightedRandomSampler([0.0, 1.0, 3.0], 1, replacement)
    counts = Counter(next(iter(sampler)) for _ in range(2000))
    assert counts[0] == 0
    assert abs(counts[2] / 2000 - 0.75) < 0.04


def test_random_split():
    assert [len(p) for p in random_split(range(5), [0.5, 0.5])] == [3, 2]
    parts = random_split(range(10), [7, 3])
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    with pytest.warns(UserWarning, match="Length of split at index 0 is 0"):
        assert [len(p) for p in random_split(range(2), [0.0, 1.0])] == [0, 2]


def test_streams():
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2, drop_last=True)] == [
        [0, 1], [2, 3]]  # fmt: skip
    assert list(DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]
    chained = DataLoader(ChainDataset([Stream(), Stream()]), batch_size=4)
    assert [b.tolist() for b in chained] == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4]]


def test_without_batches_samples_come_as_they_are():
    assert [shown(s) for s in DataLoader(PAIRS, batch_size=None)][1] == [
        ("int64", 1), ("float32", 1.0)]  # fmt: skip
    assert list(DataLoader(PAIRS, batch_size=2, collate_fn=len)) == [2, 2, 1]


def test_workers_are_ignored_with_a_word():
    with pytest.warns(UserWarning, match="num_workers=2 is ignored"):
        assert len(DataLoader(PAIRS, num_workers=2, pin_memory=True, persistent_workers=True)) == 5
