"""Losses and metrics of Keras' face: values computed with NumPy in float64, and by Keras."""

from __future__ import annotations

import math

import numpy as np
import pytest
from deepc import keras, tf
from deepc.keras import activations, constraints, losses, metrics, regularizers

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
Z = np.array([[2.0, 1.0, 0.1], [0.5, -1.0, 3.0]])
Y2, P2 = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.5, 2.0], [2.0, 2.0]])
BINARY = np.array([[1.0, 0.0, 1.0]])

VALUES = [
    (losses.SparseCategoricalCrossentropy(), [0, 1], P, 0.7803238741),
    (losses.SparseCategoricalCrossentropy(from_logits=True), [0, 1], Z, 2.2563521728),
    (losses.CategoricalCrossentropy(label_smoothing=0.1), np.eye(3)[[0, 1]], P, 0.8403928446),
    (losses.SparseCategoricalCrossentropy(), [0], np.array([[0.2, 0.2, 0.2]]), 1.0986122887),
    (losses.SparseCategoricalCrossentropy(), [0], np.array([[0.0, 0.5, 0.5]]), 16.1180957),
    (losses.BinaryCrossentropy(), BINARY, np.array([[0.9, 0.2, 0.5]]), 0.3405504158),
    (losses.BinaryCrossentropy(from_logits=True), BINARY, np.array([[2.0, -1, 0]]), 0.3777789597),
    (
        losses.BinaryCrossentropy(label_smoothing=0.2),
        BINARY,
        np.array([[0.9, 0.2, 0.5]]),
        0.460001047,
    ),
    (losses.MeanSquaredError(), Y2, P2, 2.5625),
    (losses.MeanAbsoluteError(), Y2, P2, 1.125),
    (losses.MeanAbsolutePercentageError(), Y2, P2, 35.8333333),
    (losses.MeanSquaredLogarithmicError(), Y2, P2, 0.153251758),
    (losses.Huber(), Y2, P2, 0.78125),
    (losses.LogCosh(), Y2, P2, 0.7158059605),
    (losses.Poisson(), Y2, P2, 0.0407656299),
    (losses.CosineSimilarity(), Y2, P2, -0.9770062051),
    (losses.SparseCategoricalCrossentropy(ignore_class=-1), [0, -1], P, 0.3566749439),
]


@pytest.mark.parametrize(
    ("loss", "y", "p", "expected"), VALUES, ids=lambda v: getattr(v, "name", "")
)
def test_values(loss, y, p, expected):
    assert loss(y, p) == pytest.approx(expected, abs=6e-8)


def test_each_sample_and_weights():
    none = losses.SparseCategoricalCrossentropy(reduction="none")
    np.testing.assert_allclose(none([0, 1], P), [0.3566749439, 1.2039728043], atol=1e-10)
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy([0, 1], P), none([0, 1], P))
    assert losses.MeanSquaredError()(Y2, P2, sample_weight=[1, 3]) == pytest.approx(7.5625)
    y, p = np.zeros((5, 1)), np.array([[2.0], [4], [6], [8], [10]])
    w = [1, 2, 3, 4, 5]
    assert losses.MeanSquaredError()(y, p, w) == 180.0
    assert losses.MeanSquaredError(reduction="mean_with_sample_weight")(y, p, w) == 60.0


def test_a_column_and_a_vector_are_the_same():
    assert losses.MeanSquaredError()([1.0, 2.0], [[1.0], [4.0]]) == 2.0


def test_hinges():
    y, p = np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]])
    assert losses.Hinge()(y, p) == pytest.approx((1.5 + 0.75) / 2)
    assert losses.SquaredHinge()(y, p) == pytest.approx((1.5**2 + 0.75**2) / 2)
    assert losses.CategoricalHinge()(y, p) == pytest.approx(0.5 - 0.25 + 1)


def test_metrics():
    for made in (metrics.Precision(), metrics.Recall()):
        made.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        assert made.result() == pytest.approx(2 / 3)
    assert metrics.AUC()([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]) == pytest.approx(0.75)
    rmse = metrics.RootMeanSquaredError()
    rmse.update_state([1.0], [2.0])
    rmse.update_state([0.0, 0.0], [3.0, 0.0])
    assert rmse.result() == pytest.approx(1.8257418584)
    assert metrics.Precision().result() == 0
    batches = metrics.RootMeanSquaredError()
    batches.update_state([1.0, 2.0], [1.2, 1.8])
    batches.update_state([0.7, 2.0], [1.1, 2.0])
    assert batches.result() == pytest.approx(math.sqrt(0.06))


def test_accuracy_looks_at_shapes():
    y, p = np.array([[1, 1], [0, 1]]), np.array([[0.9, 0.8], [0.6, 0.7]])
    by_name = metrics.get("accuracy")
    by_name.update_state(y, p)
    assert by_name.result() == 1.0
    assert metrics.BinaryAccuracy()(y, p) == 0.75
    with pytest.raises(
        ValueError, match=r"Could not interpret metric identifier: acuracy.*'accuracy'"
    ):
        metrics.get("acuracy")


def test_losses_as_metrics():
    made = metrics.get("sparse_categorical_crossentropy")
    assert made([0, 1], P) == pytest.approx(0.7803238741)
    assert made.name == "sparse_categorical_crossentropy"


def test_activations():
    x = np.array([-1.0, 0.5])
    for name, expected in {
        "gelu": [-0.158655, 0.345731], "silu": [-0.268941, 0.31123], "mish": [-0.303401, 0.375245],
        "hard_sigmoid": [0.333333, 0.583333], "leaky_relu": [-0.2, 0.5],
    }.items():  # fmt: skip
        np.testing.assert_allclose(activations.get(name)(x), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"Could not interpret activation function.*'relu'"):
        activations.get("ReLU")
    assert activations.get(keras.ops.relu) is activations.get("relu")
    assert activations.get(tf.nn.tanh) is activations.get("tanh")
    with pytest.raises(TypeError, match=r"activation: sum gave .* of the same shape"):
        activations.get(keras.ops.sum)(x)


def test_regularizers_and_constraints():
    assert regularizers.get("l1_l2") is not None
    assert regularizers.L2(0.5)([[1.0, 2.0]]) == 2.5
    assert regularizers.L1L2(1, 2)(np.array([-1.0, 2.0])) == 13
    with pytest.raises(TypeError, match="no derivative"):
        regularizers.get(type("Own", (regularizers.L2,), {"__call__": lambda self, x: 1.0})())
    w = np.array([[3.0, 0.1], [4.0, 0.1]])
    np.testing.assert_allclose(np.linalg.norm(constraints.max_norm(2)(w), axis=0)[0], 2)
    np.testing.assert_allclose(np.linalg.norm(constraints.unit_norm()(w), axis=0), 1, atol=1e-6)
    between = constraints.MinMaxNorm(1.0, 2.0, rate=0.5)(w)
    lengths = np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(
        np.linalg.norm(between, axis=0), (np.clip(lengths, 1, 2) + lengths) / 2, rtol=1e-6
    )
    np.testing.assert_array_equal(constraints.non_neg()([-1.0, 2.0]), [0, 2])
    with pytest.raises(ValueError, match=r"axis: expected dimensions of shape \(2, 2\), got 2"):
        constraints.max_norm(2, axis=2)(w)


def test_refusals():
    with pytest.raises(ValueError, match=r"Could not interpret loss identifier: Mse.*'mse'"):
        losses.get("Mse")
    with pytest.raises(AttributeError, match="Dice is not supported"):
        _ = losses.Dice
    with pytest.raises(ValueError, match="must have rank"):
        losses.SparseCategoricalCrossentropy()(np.eye(3)[:2], P)
