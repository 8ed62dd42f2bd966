"""MNIST: its four files, in a folder, in the cache or from a mirror."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from deepc._values import Array, as_dtype, describe
from deepc.datasets._base import Dataset, image_dataset
from deepc.datasets._download import KnownFile, download
from deepc.datasets._idx import read_idx

__all__ = ["mnist", "mnist_folder", "mnist_part", "raw_mnist"]

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

MNIST_FILES = (
    KnownFile(
        "train-images-idx3-ubyte",
        47040016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    KnownFile(
        "train-labels-idx1-ubyte",
        60008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    KnownFile(
        "t10k-images-idx3-ubyte",
        7840016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    KnownFile(
        "t10k-labels-idx1-ubyte",
        10008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def mnist(folder: str | os.PathLike[str] | None = None, dtype: Any = None) -> Dataset:
    """Return MNIST: 60,000 handwritten digits of 28 x 28 pixels to train on, 10,000 to test with.

    As in the chapter the mean of all training pixels is subtracted from a pixel (0 to 255), and the
    difference is divided by 256.

    Parameters
    ----------
    folder : str or path, optional
        Where the four IDX files are: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
        ``t10k-images-idx3-ubyte``, ``t10k-labels-idx1-ubyte``; with ``.idx`` in place of ``-idx``
        and with ``.gz`` at the end they are found as well. If not given, they are downloaded once,
        11 MB from a public mirror, checked by SHA-256, and kept in ``mnist`` in the cache folder:
        that is the variable ``DEEPC_CACHE``, else ``deepc`` in ``XDG_CACHE_HOME``, else
        ``~/.cache/deepc``.
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (samples, 784); y the digits.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or not all of the files are in it.
    ValueError
        If a file is truncated or not what its name says: the message tells its name, what was
        expected and what came.
    ConnectionError
        If they are neither in the cache nor to be had from a mirror: the message says which files
        to put where.

    Examples
    --------
    >>> data = mnist("path/to/folder")  # doctest: +SKIP
    >>> data.train_x.shape, data.test_x.shape  # doctest: +SKIP
    ((60000, 784), (10000, 784))
    """
    real = as_dtype(dtype)
    (train_images, train_labels), (test_images, test_labels) = raw_mnist(folder)
    return image_dataset(train_images, train_labels, test_images, test_labels, 256, real)


def raw_mnist(
    folder: str | os.PathLike[str] | None = None,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return MNIST as its files have it: (images, labels) to train on, and to test with, uint8.

    Parameters
    ----------
    folder : str or path, optional
        As for `mnist`, also what is raised.
    """
    paths = _downloaded_mnist() if folder is None else _mnist_in(folder)
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    _check_mnist(paths[0], train_images, paths[1], train_labels)
    _check_mnist(paths[2], test_images, paths[3], test_labels)
    return (train_images, train_labels), (test_images, test_labels)


def mnist_part(folder: str, part: str) -> tuple[Array, Array] | None:
    """Return the images and labels, uint8, of one part of what has MNIST's files and format.

    Parameters
    ----------
    folder : str
        Where the files may be.
    part : "train" or "t10k"

    Returns
    -------
    tuple or None
        None if not both files are there.
    """
    names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
    images_path, labels_path = (_find(folder, name) for name in names)
    if images_path is None or labels_path is None:
        return None
    images, labels = read_idx(images_path), read_idx(labels_path)
    _check_mnist(images_path, images, labels_path, labels)
    return images, labels


def mnist_folder(download: bool = False) -> str:
    """Return the folder in the cache that MNIST's files are kept in; fetch them if wanted."""
    if download:
        _downloaded_mnist()
    return os.path.join(_cache_folder(), "mnist")


def _mnist_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the paths of the four files in a folder."""
    try:
        place = os.fspath(folder)
    except TypeError:
        place = None
    if not isinstance(place, str):
        raise TypeError(f"folder: expected a path, got {describe(folder)}")
    if not os.path.isdir(place):
        raise FileNotFoundError(f"folder: there is no folder {place!r}")
    found = [_find(place, file.name) for file in MNIST_FILES]
    missing = [file.name for file, path in zip(MNIST_FILES, found, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(
            f"folder: {place!r} lacks {', '.join(missing)} (with or without .gz at the end)"
        )
    return [path for path in found if path is not None]


def _find(folder: str, name: str) -> str | None:
    """Return the path of a file under one of the names that it goes by."""
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = os.path.join(folder, spelling + suffix)
            if os.path.isfile(path):
                return path
    return None


def _check_mnist(images_path: str, images: Array, labels_path: str, labels: Array) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise ValueError(
            f"{images_path}: expected uint8 of shape (n, 28, 28), got {images.dtype} of shape "
            f"{images.shape}"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f"{labels_path}: expected uint8 of shape (n,), got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    if len(labels) != len(images):
        raise ValueError(
            f"{labels_path}: expected {len(images)} labels, one for each image in "
            f"{os.path.basename(images_path)}, got {len(labels)}"
        )
    if labels.max() > 9:
        place = int(np.argmax(labels > 9))
        raise ValueError(f"{labels_path}: expected labels 0 to 9, got {labels[place]} at {place}")


def _cache_folder() -> str:
    own = os.environ.get("DEEPC_CACHE")
    if own:
        return own
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # such a value is to be ignored, says the XDG specification
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "deepc")


def _downloaded_mnist() -> list[str]:
    """Return the paths of the four files in the cache; download those that it lacks."""
    folder = mnist_folder()
    os.makedirs(folder, exist_ok=True)
    try:
        return [_find(folder, file.name) or download(file, MIRRORS, folder) for file in MNIST_FILES]
    except ConnectionError as error:
        names = ", ".join(f"{file.name}.gz" for file in MNIST_FILES)
        raise ConnectionError(
            f"MNIST could not be downloaded ({error}). Offline, put the files {names} "
            f"into {folder}, or into any folder and call mnist(folder)."
        ) from None
