"""MNIST as Keras has it: ``(x_train, y_train), (x_test, y_test)`` of bytes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from deepc._values import Array
from deepc.datasets import raw_mnist

__all__ = ["load_data"]

_Pair = tuple[Array, Array]


def load_data(path: Any = "mnist.npz") -> tuple[_Pair, _Pair]:
    """Return the images, (60000, 28, 28) and (10000, 28, 28), and the digits, all uint8.

    Parameters
    ----------
    path : str or path, optional
        An ``.npz`` file of Keras' kind, or a folder with the four IDX files. A name alone is
        looked for in ``~/.keras/datasets`` (or in ``KERAS_HOME``); where there is no such file,
        the data are downloaded once, as `deepc.datasets.mnist` does.
    """
    place = os.fspath(path)
    home = os.environ.get("KERAS_HOME", os.path.join(os.path.expanduser("~"), ".keras"))
    for candidate in (place, os.path.join(home, "datasets", place)):
        if os.path.isfile(candidate):
            return _read(candidate)
        if os.path.isdir(candidate):
            return raw_mnist(candidate)
    return raw_mnist()


def _read(path: str) -> tuple[_Pair, _Pair]:
    names = ("x_train", "y_train", "x_test", "y_test")
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in names if name not in file.files]
        if missing:
            raise ValueError(f"path: {path!r} lacks {', '.join(missing)}")
        x_train, y_train, x_test, y_test = (np.asarray(file[name]) for name in names)
    return (x_train, y_train), (x_test, y_test)
