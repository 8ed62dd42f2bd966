"""What tests of Keras' face share: samples, and weights that are the same in Keras."""

from __future__ import annotations

import numpy as np

X = np.linspace(-1, 1, 36).reshape(12, 3).astype("float32")
KINDS = np.arange(12) % 2


def filled(model):
    model.set_weights(
        [0.6 + np.cos(np.arange(w.size) + i).reshape(w.shape) / 2
         for i, w in enumerate(model.get_weights())]
    )  # fmt: skip
    return model
