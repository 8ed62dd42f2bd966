"""What every function of the package returns, and images made ready for a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepc._values import Array

__all__ = ["Dataset", "image_dataset"]

DIGIT_NAMES = tuple("0123456789")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples to train on and samples to test with.

    It unpacks into its four arrays: ``train_x, train_y, test_x, test_y = digits()``.

    Attributes
    ----------
    train_x, test_x : ndarray of shape (samples, inputs)
        The inputs, samples in rows, in a float dtype.
    train_y, test_y : ndarray of shape (samples,), int64
        The class of each sample, an index into `classes`. Only `xor`, which has no classes, has
        floats of shape (samples, 1).
    classes : tuple of str
        The names of the classes; empty if there are none.
    image_shape : tuple of two ints, or None
        Height and width, if the samples are images: ``train_x[i].reshape(image_shape)`` is one of
        them.

    Examples
    --------
    >>> from deepc.datasets import fizz_buzz
    >>> data = fizz_buzz()
    >>> data
    Dataset(train_x=float32 (923, 10), train_y=int64 (923,),
            test_x=float32 (100, 10), test_y=int64 (100,))
    >>> data.classes[data.test_y[14]]
    'fizzbuzz'
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Array]:
        return iter((self.train_x, self.train_y, self.test_x, self.test_y))

    def __repr__(self) -> str:
        names = ("train_x", "train_y", "test_x", "test_y")
        arrays = (f"{n}={a.dtype} {a.shape}" for n, a in zip(names, self, strict=True))
        return f"Dataset({', '.join(arrays)})"


def image_dataset(
    train_images: Array,
    train_labels: Array,
    test_images: Array,
    test_labels: Array,
    divisor: int,
    dtype: np.dtype[Any],
) -> Dataset:
    """Centre, scale and flatten images of bytes."""
    count, height, width = train_images.shape
    # One division after the other, as the chapter has it: in float64 that gives its very numbers.
    mean = int(train_images.sum(dtype=np.int64)) / count / height / width
    values = ((np.arange(256) - mean) / divisor).astype(dtype)

    def scaled(images: Array) -> Array:
        x = np.empty((len(images), height * width), dtype)
        flat = images.reshape(x.shape)
        for start in range(0, len(x), 1024):  # because NumPy widens indices to eight bytes each
            x[start : start + 1024] = values[flat[start : start + 1024]]
        return x

    return Dataset(
        scaled(train_images),
        train_labels.astype(np.int64),
        scaled(test_images),
        test_labels.astype(np.int64),
        DIGIT_NAMES,
        (height, width),
    )
