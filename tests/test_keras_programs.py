"""Programs of Keras' users, whole, with the import changed; and the public `check_gradients`."""

from __future__ import annotations

import deepc
import numpy as np
import pytest
from deepc import datasets


@pytest.fixture
def digits(tmp_path):
    """A file of Keras' kind with the bundled digits, 16 x 16 in a frame of 28 x 28."""
    data = datasets.digits()
    arrays = {}
    for part, x, y in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        height, width = data.image_shape
        images = np.zeros((len(x), 28, 28), np.uint8)
        low, high = x.min(), x.max()
        images[:, :height, :width] = ((x - low) / (high - low) * 255).reshape(-1, height, width)
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images, y.astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", **arrays)
    return tmp_path / "mnist.npz"


def test_the_program_with_flatten(digits, capsys):
    import deepc.tf as tf
    from deepc.keras.datasets import mnist

    (train_images, train_labels), (test_images, test_labels) = mnist.load_data(digits)
    train_images = train_images / 255.0
    test_images = test_images / 255.0
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`"):
        flatten = tf.keras.layers.Flatten(input_shape=(28, 28))
    model = tf.keras.Sequential(
        [
            flatten,
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train_images, train_labels, epochs=5)
    test_loss, test_acc = model.evaluate(test_images, test_labels)
    assert test_acc > 0.8
    assert test_loss < 1
    assert repr(history).startswith("<keras.src.callbacks.history.History object at 0x")
    assert capsys.readouterr().out.count("Epoch ") == 5


def test_the_program_without_an_input(digits):
    from deepc import keras
    from deepc.keras import layers
    from deepc.keras.datasets import mnist

    (train_images, train_labels), (test_images, test_labels) = mnist.load_data(digits)
    train_images = train_images.reshape((-1, 28 * 28)).astype("float32") / 255
    test_images = test_images.reshape((-1, 28 * 28)).astype("float32") / 255
    model = keras.Sequential(
        [layers.Dense(512, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=5, batch_size=128, verbose=0)
    assert model.evaluate(test_images, test_labels, verbose=0)[1] > 0.8


def layers_to_check():
    double = {"dtype": "float64"}
    return [
        deepc.Linear(3, 2, rng=1, **double),
        deepc.Sequential([deepc.Linear(3, 4, rng=1, **double), deepc.Tanh(),
                          deepc.Linear(4, 2, rng=2, **double), deepc.Softmax()]),
        deepc.BatchNorm(3, **double), deepc.LayerNorm(3, **double), deepc.PReLU(3, **double),
        deepc.LogSoftmax(),
    ]  # fmt: skip


@pytest.mark.parametrize("layer", layers_to_check(), ids=lambda layer: type(layer).__name__)
def test_gradients_of_layers(layer):
    x = np.random.default_rng(1).normal(size=(5, 3))
    assert deepc.check_gradients(layer, x, rng=3) < 1e-7


def test_gradients_of_losses_and_wrong_ones():
    x, y = np.random.default_rng(1).normal(size=(5, 3)), np.eye(3)[[0, 1, 2, 0, 1]]
    for name in ("huber", "log_cosh", "squared_error", "categorical_hinge", "cosine_similarity"):
        from deepc.keras.losses import BuiltIn

        assert deepc.check_gradients(BuiltIn(name, "mean"), x, y) < 1e-7

    class Wrong(deepc.Tanh):
        def backward(self, gradient):
            return 2 * super().backward(gradient)

    with pytest.raises(AssertionError, match=r"input, element \(0, 0\): the gradient is"):
        deepc.check_gradients(Wrong(), x)
    with pytest.raises(ValueError, match="need float64"):
        deepc.check_gradients(deepc.Linear(3, 1), x)
    with pytest.raises(TypeError, match="expected a function, a layer or a loss"):
        deepc.check_gradients(3, x)
