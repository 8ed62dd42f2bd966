"""torchvision's data sets and transforms: its files, its numbers, its words."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from deepc import torch
from deepc.torch.utils.data import DataLoader, Subset
from deepc.torchvision import datasets, transforms

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


def write(folder, part="train", suffix="", images=IMAGES, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (
        (f"{part}-images-idx3-ubyte", images),
        (f"{part}-labels-idx1-ubyte", labels),
    ):
        sizes = struct.pack(f">{array.ndim}I", *array.shape)
        content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
        (folder / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPC_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("place", ["MNIST/raw", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_found(tmp_path, place, suffix):
    write(tmp_path / place, suffix=suffix)
    data = datasets.MNIST(tmp_path)
    assert len(data) == 6
    assert data.data.dtype is torch.uint8
    assert data.targets.dtype is torch.int64
    np.testing.assert_array_equal(data.data.numpy(), IMAGES)
    image, label = data[2]
    np.testing.assert_array_equal(np.asarray(image), IMAGES[2])
    assert (label, type(label)) == (4, int)
    assert data.classes[label] == "4 - four"
    assert data.class_to_idx["4 - four"] == 4


def test_cache_is_used_without_download(tmp_path):
    write(tmp_path / "cache" / "mnist", "t10k")
    assert len(datasets.MNIST(tmp_path / "nowhere", train=False)) == 6


def test_absent_files(tmp_path):
    with pytest.raises(RuntimeError, match=r"not found\. You can use download=True") as told:
        datasets.MNIST(tmp_path)
    assert "train-images-idx3-ubyte" in str(told.value)
    with pytest.raises(RuntimeError, match="does not download Fashion-MNIST"):
        datasets.FashionMNIST(tmp_path, download=True)
    write(tmp_path / "FashionMNIST" / "raw")
    assert datasets.FashionMNIST(tmp_path).classes[LABELS[0]] == "Dress"
    with pytest.raises(TypeError, match="transform: expected a function"):
        datasets.MNIST(write(tmp_path / "x"), transform=3)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.ToTensor(), transforms.PILToTensor(),
        transforms.Compose([transforms.ToTensor()]),
        transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]),
        transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda t: t.view(-1))]),
    ],
)  # fmt: skip
def test_batches_at_once_have_the_bits_of_single_samples(tmp_path, transform):
    data = datasets.MNIST(write(tmp_path), transform=transform)
    for dataset in (data, Subset(data, [5, 0, 2])):
        for x, y in DataLoader(dataset, batch_size=6):
            expected = [dataset[i] for i in range(len(dataset))]
            np.testing.assert_array_equal(x.numpy(), np.stack([e[0].numpy() for e in expected]))
            assert y.tolist() == [e[1] for e in expected]


def test_own_targets_and_data(tmp_path):
    to_tensor = transforms.ToTensor()
    data = datasets.MNIST(write(tmp_path), transform=to_tensor, target_transform=lambda y: y % 2)
    assert next(iter(DataLoader(data, batch_size=6)))[1].tolist() == [1, 1, 0, 1, 1, 1]
    data = datasets.MNIST(tmp_path, transform=to_tensor)
    ones = data.targets == 1
    data.data, data.targets = data.data[ones], data.targets[ones]
    x, y = next(iter(DataLoader(data, batch_size=6)))
    assert (x.shape, y.tolist()) == ((2, 1, 28, 28), [1, 1])


def test_to_tensor():
    to_tensor = transforms.ToTensor()
    np.testing.assert_array_equal(
        to_tensor(IMAGES[0]).numpy()[0], IMAGES[0].astype(np.float32) / np.float32(255)
    )
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert to_tensor(colours).shape == (3, 2, 4)
    floats = np.ones((2, 3))
    assert to_tensor(floats).dtype is torch.float64
    with pytest.raises(TypeError, match="pic should be PIL Image or ndarray"):
        to_tensor([1])
    with pytest.raises(ValueError, match=r"2/3 dimensional\. Got 1"):
        to_tensor(np.ones(3))


def test_to_tensor_takes_pictures():
    Image = pytest.importorskip("PIL.Image")
    for mode, shape in (("L", (1, 28, 28)), ("RGB", (3, 28, 28)), ("1", (1, 28, 28))):
        made = transforms.ToTensor()(Image.fromarray(IMAGES[0]).convert(mode))
        assert made.shape == shape
        assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_normalize():
    x = torch.tensor([[[0.0, 1.0]], [[0.5, 0.5]]])
    made = transforms.Normalize((0.5, 0.25), (0.5, 0.25))(x)
    assert made.tolist() == [[[-1.0, 1.0]], [[1.0, 1.0]]]
    assert x.tolist() == [[[0.0, 1.0]], [[0.5, 0.5]]]
    transforms.Normalize(0.5, 0.5, inplace=True)(x)
    assert x.tolist() == [[[-1.0, 1.0]], [[0.0, 0.0]]]
    for given, error, words in (
        (torch.ones((1, 2, 2)).long(), TypeError, "float tensor. Got torch.int64"),
        (torch.ones((2, 2)), ValueError, "tensor image of size"),
        (np.ones((1, 2, 2)), TypeError, "ToTensor"),
        (torch.ones((2, 2, 2)), ValueError, "mean: expected 2 numbers"),
    ):
        with pytest.raises(error, match=words):
            transforms.Normalize((0.5,) * (3 if given.shape[0] == 2 else 1), (0.5,))(given)
    with pytest.raises(ValueError, match="division by zero"):
        transforms.Normalize(0.5, 0.0)


def test_texts_and_unknown_names(tmp_path):
    data = datasets.MNIST(write(tmp_path), transform=transforms.Compose([transforms.ToTensor()]))
    assert repr(data) == (
        f"Dataset MNIST\n    Number of datapoints: 6\n    Root location: {tmp_path}\n"
        "    Split: Train\n    StandardTransform\nTransform: Compose(\n"
        "               ToTensor()\n           )"
    )
    with pytest.raises(TypeError, match="lambd should be callable"):
        transforms.Lambda(3)
    with pytest.raises(AttributeError, match="did you mean 'Normalize'"):
        _ = transforms.Normalise
    with pytest.raises(AttributeError, match="TensorDataset"):
        _ = datasets.CIFAR10
