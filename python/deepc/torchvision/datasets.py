"""MNIST and Fashion-MNIST by torchvision's names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from deepc._values import Array, nearest
from deepc.datasets._mnist import mnist_folder, mnist_part
from deepc.torch._tensor import wrap
from deepc.torch.utils.data import Dataset
from deepc.torchvision.transforms import whole_batch

__all__ = ["MNIST", "FashionMNIST"]


class MNIST(Dataset):
    """Handwritten digits: sample i is an image of 28 x 28 pixels and the digit.

    The images stay bytes; with ``transform=ToTensor()`` (and `Normalize`) a `DataLoader` makes
    batches of them at once.

    Parameters
    ----------
    root : str or path
        The folder with ``MNIST/raw`` in it, or with the four IDX files themselves, gzipped or not.
    train : bool, optional
        The 60,000 digits to train on, or the 10,000 to test with.
    transform : callable, optional
        What is done to an image (one of PIL's where PIL is installed, else an array): `ToTensor`.
    target_transform : callable, optional
        What is done to a digit.
    download : bool, optional
        Where the files are not in `root`, take those of `deepc.datasets.mnist`, which are
        downloaded once into the cache folder. What is there is found without it, too.

    Attributes
    ----------
    data : Tensor of uint8 of shape (samples, 28, 28)
    targets : Tensor of int64 of shape (samples,)
    classes : list of str

    Raises
    ------
    RuntimeError
        If there are no such files.
    """

    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
        "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        for name, function in (("transform", transform), ("target_transform", target_transform)):
            if function is not None and not callable(function):
                raise TypeError(f"{name}: expected a function, got {function!r}")
        self.root = os.path.expanduser(os.fspath(root))
        self.train = train
        self.transform, self.target_transform = transform, target_transform
        images, labels = self._files(download)
        self.data, self.targets = wrap(images), wrap(labels.astype(np.int64))

    def _files(self, download: bool) -> tuple[Array, Array]:
        """Return images and labels from the first place that has them."""
        part = "train" if self.train else "t10k"
        places: list[str] = []
        for place in self._places(download):
            places.append(place)
            if found := mnist_part(place, part):
                return found
        raise RuntimeError(
            f"Dataset not found. You can use download=True to download it. {self._sought(places)}"
        )

    def _places(self, download: bool) -> Iterator[str]:
        """Yield where the files may be; the last place is filled only when it is asked for."""
        yield from (self.raw_folder, self.root)
        yield mnist_folder(download)

    def _sought(self, places: list[str]) -> str:
        part = "train" if self.train else "t10k"
        return (
            f"There are no {part}-images-idx3-ubyte and {part}-labels-idx1-ubyte (or with .gz) in "
            f"{', '.join(repr(place) for place in places)}"
        )

    @property
    def raw_folder(self) -> str:
        """Where torchvision keeps the files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = _image(self.data._data[index])
        target: Any = int(self.targets._data[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _batch_maker(self) -> Callable[[Array], Any] | None:
        """Return what makes a batch of samples by their numbers, for a `DataLoader`."""
        whole = whole_batch(self.transform)
        own = type(self).__getitem__ is MNIST.__getitem__
        images, targets = self.data._data, self.targets._data
        if whole is None or self.target_transform is not None or not own or images.ndim != 3:
            return None
        return lambda chosen: [
            wrap(whole(np.take(images, chosen, axis=0))),
            wrap(np.take(targets, chosen)),
        ]

    def __repr__(self) -> str:
        lines = [
            f"Dataset {type(self).__name__}",
            f"    Number of datapoints: {len(self)}",
            f"    Root location: {self.root}",
            f"    Split: {'Train' if self.train else 'Test'}",
        ]
        if self.transform or self.target_transform:
            lines.append("    StandardTransform")
        for title, function in (
            ("Transform: ", self.transform),
            ("Target transform: ", self.target_transform),
        ):
            if function is not None:
                text = repr(function).split("\n")
                lines.append(title + text[0])
                lines += [" " * len(title) + line for line in text[1:]]
        return "\n".join(lines)


class FashionMNIST(MNIST):
    """Pictures of clothes in the format of MNIST, from files that are there.

    The same as `MNIST`, from ``FashionMNIST/raw`` in `root` or `root` itself; nothing is
    downloaded.
    """

    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip

    def _places(self, download: bool) -> Iterator[str]:
        yield from (self.raw_folder, self.root)

    def _sought(self, places: list[str]) -> str:
        return f"{super()._sought(places)}; deepc does not download Fashion-MNIST: put them there"


def _image(pixels: Array) -> Any:
    """Return pixels as one of PIL's images, as an array of their own where there is no PIL."""
    try:
        from PIL import Image
    except ImportError:
        return pixels.copy()
    return Image.fromarray(pixels)


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'deepc.torchvision.datasets' has no attribute {name!r}{nearest(name, __all__)}; "
        "torch.utils.data.TensorDataset takes arrays of your own"
    )
