"""Weights of samples for each of several outputs. The numbers are those of Keras 3.15 on JAX."""

from __future__ import annotations

import numpy as np
import pytest
from deepc import keras
from deepc.keras import layers
from deepc.losses import SSE
from deepc.training.parts import Part, PartsLoss
from keras_models import KINDS, X, filled

NUMBERS = np.sin(X[:, :2])
V, W = 1.0 + np.arange(12.0) / 4, 2.0 - np.arange(12.0) / 8


def two_outputs(**given):
    place = layers.Input((3,))
    hidden = layers.Dense(4, "tanh")(place)
    outputs = [layers.Dense(2, name="number")(hidden),
               layers.Dense(2, "softmax", name="kind")(hidden)]  # fmt: skip
    model = filled(keras.Model(place, outputs))
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), ["mse", "sparse_categorical_crossentropy"],
        loss_weights=[1.0, 0.5], **given,
    )  # fmt: skip
    return model


EPOCHS = {
    "kind_accuracy": [0.5, 0.583333, 0.416667],
    "kind_loss": [0.95398, 0.947845, 0.912507],
    "kind_weighted_accuracy": [0.47619, 0.603175, 0.428571],
    "loss": [2.181821, 4.637593, 2.120147],
    "number_loss": [1.704831, 4.16367, 1.663893],
    "number_mae": [0.675044, 0.959657, 0.866131],
    "number_mse": [0.717824, 1.753124, 0.700587],
    "val_kind_accuracy": [0.571429, 0.428571, 0.571429],
    "val_kind_loss": [1.194043, 1.119365, 1.128974],
    "val_kind_weighted_accuracy": [0.604396, 0.450549, 0.571429],
    "val_loss": [1.044378, 2.0739, 2.935765],
    "val_number_loss": [0.447356, 1.514218, 2.371279],
    "val_number_mae": [0.383671, 0.954497, 1.157381],
    "val_number_mse": [0.255632, 0.865267, 1.355016],
}
AFTER = {
    "kind_accuracy": 0.5, "kind_loss": 0.936835, "kind_weighted_accuracy": 0.52381,
    "loss": 2.070868, "number_loss": 1.60245, "number_mae": 0.820049, "number_mse": 0.674716,
}  # fmt: skip
FORMS = {
    "lists": ([NUMBERS, KINDS], [V, W]),
    "dicts": ({"number": NUMBERS, "kind": KINDS}, {"kind": W, "number": V}),
    "columns": ([NUMBERS, KINDS[:, None]], (V[:, None], W[:, None])),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_output_has_weights_of_its_own_as_in_keras(form):
    y, weights = FORMS[form]
    model = two_outputs(
        metrics=[["mae"], ["accuracy"]], weighted_metrics=[["mse"], ["accuracy"]]
    )  # fmt: skip
    history = model.fit(
        X, y, 5, 3, shuffle=False, verbose=0, sample_weight=weights,
        validation_data=(X[:7], [NUMBERS[:7], KINDS[:7]], [V[:7], W[:7]]),
    ).history  # fmt: skip
    assert sorted(history) == sorted(EPOCHS)
    for name, values in EPOCHS.items():
        np.testing.assert_allclose(history[name], values, rtol=3e-6, err_msg=name)
    logs = [
        model.evaluate(X, y, 5, verbose=0, sample_weight=weights, return_dict=True),
        model.test_on_batch(X, y, weights, return_dict=True),
        model.train_on_batch(X, y, weights, return_dict=True),
    ]
    for found in logs:
        for name, value in AFTER.items():
            np.testing.assert_allclose(found[name], value, rtol=3e-6, err_msg=name)
    np.testing.assert_allclose(sum(abs(w).sum() for w in model.get_weights()), 35.07648, rtol=1e-5)


def test_generators_bring_them_too_and_none_means_that_all_weigh_1():
    def stream():
        for rows in (slice(0, 5), slice(5, 12)):
            yield X[rows], [NUMBERS[rows], KINDS[rows]], [V[rows], None]

    arrays, batches = two_outputs(), two_outputs()
    given = {"sample_weight": {"number": V}}
    for rows in (slice(0, 5), slice(5, 12)):
        arrays.train_on_batch(X[rows], [NUMBERS[rows], KINDS[rows]], {"number": V[rows]})
    batches.fit(stream(), verbose=0)
    for ours, theirs in zip(arrays.get_weights(), batches.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    one = batches.evaluate(stream(), verbose=0)
    np.testing.assert_allclose(
        one, batches.evaluate(X, [NUMBERS, KINDS], verbose=0, **given), rtol=1e-6
    )


def test_the_same_weights_for_each_are_those_for_all():
    models = [two_outputs(), two_outputs()]
    for model, weights in zip(models, (W, [W, W]), strict=True):
        model.fit(X, [NUMBERS, KINDS], 4, 2, verbose=0, shuffle=False, sample_weight=weights)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_loss_of_parts_has_the_slope_of_its_own_weights():
    rng = np.random.default_rng(0)
    parts = [Part(slice(0, 2), slice(0, 2), weights=3), Part(slice(2, 3), slice(2, 3), weights=4)]
    loss = PartsLoss([(parts[0], SSE("mean"), 1.0), (parts[1], SSE("mean"), 0.5)])
    p = rng.normal(size=(4, 3))
    actual = np.concatenate([rng.normal(size=(4, 3)), rng.uniform(size=(4, 2))], axis=1)
    squares = (p - actual[:, :3]) ** 2
    by_hand = (squares[:, :2].sum(1) * actual[:, 3] + 0.5 * squares[:, 2] * actual[:, 4]).mean()
    np.testing.assert_allclose(loss.loss(p, actual), by_hand, rtol=1e-12)
    slope = loss.gradient(p, actual)
    for place in np.ndindex(p.shape):
        moved = [p.copy(), p.copy()]
        for one, step in zip(moved, (1e-6, -1e-6), strict=True):
            one[place] += step
        difference = (loss.loss(moved[0], actual) - loss.loss(moved[1], actual)) / 2e-6
        np.testing.assert_allclose(slope[place], difference, rtol=1e-6)
    # Weights for all outputs count where there are none of one's own.
    np.testing.assert_allclose(
        loss.loss(p, actual[:, :3], np.full(4, 2.0)),
        2 * (squares[:, :2].sum(1) + 0.5 * squares[:, 2]).mean(), rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([W], "You should provide one `sample_weight` array per output in `y`: sample_weight"),
        ([1.0, 2.0], r"an array for each of \['number', 'kind'\]"),
        ({"kinds": W}, r"sample_weight: expected a dict of \['number', 'kind'\]"),
        ([V, W[:5]], r"sample_weight\['kind'\]: expected 12 numbers, one a row of x"),
        ([-V, W], r"sample_weight\['number'\]: expected numbers of at least 0, got -3.75"),
        ([V, W * np.nan], r"sample_weight\['kind'\]"),
        ([V, np.ones((12, 2))], r"sample_weight\['kind'\]: expected 12 numbers"),
    ],
)
def test_what_is_no_weight_for_each_is_refused(weights, said):
    model = two_outputs()
    before = model.get_weights()
    with pytest.raises(ValueError, match=said):
        model.fit(X, [NUMBERS, KINDS], verbose=0, sample_weight=weights)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
