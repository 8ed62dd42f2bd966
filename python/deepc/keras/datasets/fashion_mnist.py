"""Fashion-MNIST, in the format of MNIST, from files that are there."""

from __future__ import annotations

import os
from typing import Any

from deepc._values import Array
from deepc.keras.datasets import mnist

__all__ = ["load_data"]


def load_data(path: Any = "fashion-mnist") -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return the images and classes, uint8, from a folder of its four IDX files or an ``.npz``.

    A name alone is looked for in ``~/.keras/datasets`` too; nothing is downloaded.
    """
    home = os.environ.get("KERAS_HOME", os.path.join(os.path.expanduser("~"), ".keras"))
    place = os.fspath(path)
    if not any(os.path.exists(p) for p in (place, os.path.join(home, "datasets", place))):
        raise FileNotFoundError(
            f"path: there is no {place!r}; give a folder with Fashion-MNIST's four files"
        )
    return mnist.load_data(place)
