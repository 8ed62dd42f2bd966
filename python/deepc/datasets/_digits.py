"""The handwritten digits that come with the package."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from deepc._values import as_dtype
from deepc.datasets._base import Dataset, image_dataset
from deepc.datasets._idx import read_idx

__all__ = ["digits"]

FOLDER = os.path.join(os.path.dirname(__file__), "data")


def digits(dtype: Any = None) -> Dataset:
    """Return 1,797 real handwritten digits of 8 x 8 pixels, which come with the package.

    Of each class every fifth image, in the order of the file, is for testing: 355 in all; 1,442 are
    for training. The same thirteen people wrote both parts: on the hand of somebody else a network
    does worse.

    A pixel was a count from 0 (paper) to 16 (ink). As in the chapter the mean of all training
    pixels is subtracted, and the rest divided, here by 16: values lie between -0.31 and 0.69.

    Parameters
    ----------
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (samples, 64); y the digits.

    Notes
    -----
    Optical Recognition of Handwritten Digits, by E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, under CC BY 4.0; its test set, as scikit-learn
    distributes it.

    Examples
    --------
    >>> data = digits()
    >>> data.train_x.shape, data.test_x.shape, data.image_shape
    ((1442, 64), (355, 64), (8, 8))
    >>> pixels = 16 * (data.train_x[0] - data.train_x.min())
    >>> for row in pixels.reshape(data.image_shape):
    ...     print("".join(" .:oO@"[int(pixel / 3)] for pixel in row).rstrip())
      .Oo
      O@o@.
     .@  o:
     .O  ::
     .:  o:
     .o  O:
      O.oO
      :Oo
    """
    real = as_dtype(dtype)
    images = read_idx(os.path.join(FOLDER, "digits-images-idx3-ubyte.gz"))
    labels = read_idx(os.path.join(FOLDER, "digits-labels-idx1-ubyte.gz"))
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[4::5]] = True
    return image_dataset(images[~test], labels[~test], images[test], labels[test], 16, real)
