"""Penalties of what layers give: activity_regularizer, ActivityRegularization, add_loss.

The numbers are those of Keras 3.15 on JAX, or of differences of the loss itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from deepc import autodiff, keras, tf
from deepc.autodiff.losses import penalty
from deepc.keras import layers, ops
from keras_models import KINDS, X, filled


def chain():
    both = keras.regularizers.L1L2(0.1, 0.2)
    hidden = layers.Dense(4, "tanh", activity_regularizer=both)
    out = layers.Dense(2, "softmax", activity_regularizer="l2", kernel_regularizer="l1")
    return keras.Sequential([layers.Input((3,)), hidden, out])


def mixed():
    return keras.Sequential([
        layers.Input((3,)),
        layers.Dense(4),
        layers.BatchNormalization(activity_regularizer="l1"),
        layers.ActivityRegularization(0.01, 0.02),
        layers.LeakyReLU(activity_regularizer=keras.regularizers.L1(0.05)),
        layers.Dense(2, "softmax"),
    ])  # fmt: skip


def positions():
    hidden = layers.Dense(4, "tanh", activity_regularizer=keras.regularizers.L1L2(0.1))
    return keras.Sequential([layers.Input((3,)), layers.Reshape((3, 1)), hidden, layers.Flatten(),
                             layers.Dense(2, "softmax")])  # fmt: skip


def shared():
    place = layers.Input((3,))
    one = layers.Dense(3, "tanh", activity_regularizer=keras.regularizers.L2(0.1))
    joined = layers.Add()([one(place), one(one(place))])
    return keras.Model(place, layers.Dense(2, "softmax")(joined))


# Losses and losses of the validation of three epochs; the sum of the weights' sizes after them; the
# loss that is evaluated, as a batch of training before its step, and after it.
GOLD = {
    chain: ([1.397694, 1.346033, 1.256109], [1.154549, 1.079454, 0.971941], 10.72738,
            [1.153158, 1.153158, 1.097041]),
    mixed: ([0.911438, 0.862531, 0.836622], [0.758422, 0.752301, 0.754985], 24.19149,
            [0.790981, 0.818024, 0.785945]),
    positions: ([1.154806, 1.044417, 1.031452], [0.929279, 0.931394, 0.921637], 17.20044,
                [1.004569, 1.004569, 0.980138]),
}  # fmt: skip


@pytest.mark.parametrize("make", GOLD)
def test_what_layers_give_adds_to_the_loss_as_in_keras(make):
    losses, validated, sizes, after = GOLD[make]
    model = filled(make())
    sgd = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        X, KINDS, 5, 3, shuffle=False, verbose=0, validation_data=(X[:7], KINDS[:7]),
        validation_batch_size=4,
    ).history  # fmt: skip
    np.testing.assert_allclose(history["loss"], losses, rtol=2e-6)
    np.testing.assert_allclose(history["val_loss"], validated, rtol=3e-6)
    np.testing.assert_allclose(sum(abs(w).sum() for w in model.get_weights()), sizes, rtol=1e-5)
    found = [
        model.evaluate(X, KINDS, batch_size=5, verbose=0)[0],
        model.train_on_batch(X, KINDS)[0],
        model.test_on_batch(X, KINDS)[0],
    ]
    np.testing.assert_allclose(found, after, rtol=3e-6)


@pytest.mark.parametrize("make", [chain, mixed, positions, shared])
@pytest.mark.usefixtures("float64")
def test_their_slopes_are_those_of_differences(make):
    model = filled(make())
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    before = model.get_weights()
    trains = {id(v) for v in model.trainable_weights}
    before_of = [id(v) in trains for v in model.weights]
    # With batch statistics the loss of a step is not that of an evaluation.
    kept = model.train_on_batch if make is mixed else model.test_on_batch
    value = kept(X, KINDS)
    model.set_weights(before)
    model.train_on_batch(X, KINDS)
    slopes = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.isfinite(value)
    for i in [i for i, is_trained in enumerate(before_of) if is_trained]:
        place = tuple(n // 2 for n in before[i].shape)
        values = []
        for step in (1e-6, -1e-6):
            moved = [w.copy() for w in before]
            moved[i][place] += step
            model.set_weights(moved)
            values.append(kept(X, KINDS))
        np.testing.assert_allclose(
            slopes[i][place], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-8
        )


@pytest.mark.usefixtures("float64")
def test_each_use_of_a_shared_layer_adds_its_own():
    model = filled(shared())
    w, b = model.get_weights()[:2]
    once = np.tanh(X @ w + b)
    twice = np.tanh(once @ w + b)
    expected = 0.1 * (2 * (once**2).sum() + (twice**2).sum()) / len(X)
    for call in (lambda: model(X), lambda: model.predict(X, verbose=0)):
        call()
        np.testing.assert_allclose(sum(map(float, model.losses)), expected, rtol=1e-6)
    model.compile("sgd", "sparse_categorical_crossentropy")
    p = model.predict(X, verbose=0)
    entropy = -np.log(p[np.arange(12), KINDS]).mean()
    np.testing.assert_allclose(
        model.evaluate(X, KINDS, verbose=0, batch_size=5), entropy + expected, rtol=1e-6
    )


@pytest.mark.usefixtures("float64")
def test_what_add_loss_adds_is_evaluated_batch_by_batch():
    class Penalty(layers.Layer):
        def call(self, inputs, training=False):
            if training:
                return inputs  # An evaluation must not see what a step before it added.
            self.add_loss(ops.sum(ops.square(inputs)))
            return inputs

    model = filled(keras.Sequential([layers.Input((3,)), Penalty(), layers.Dense(1)]))
    model.compile("sgd", "mse")
    error = ((model.predict(X, verbose=0)[:, 0] - X[:, 0]) ** 2).mean()
    sums = [(X[i : i + 5].astype(float) ** 2).sum() for i in (0, 5, 10)]
    expected = error + np.dot(sums, [5, 5, 2]) / 12
    np.testing.assert_allclose(model.evaluate(X, X[:, 0], 5, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(model.train_on_batch(X, X[:, 0]), error, rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_a_loop_of_ones_own_gets_the_slopes_of_all_penalties():
    fitted, looped = filled(chain()), filled(chain())
    fitted.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    loss_of, sgd = keras.losses.SparseCategoricalCrossentropy(), keras.optimizers.SGD(0.1)
    for _ in range(3):
        value = fitted.train_on_batch(X, KINDS)
        with tf.GradientTape() as tape:
            loss = loss_of(KINDS, looped(X, training=True))
            for one in looped.losses:
                loss = loss + one
        np.testing.assert_allclose(float(loss), value, rtol=1e-6)
        gradients = tape.gradient(loss, looped.trainable_weights)
        sgd.apply_gradients(zip(gradients, looped.trainable_weights, strict=True))
    for ours, theirs in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_operation_of_a_penalty():
    rng = np.random.default_rng(0)
    for array in (rng.normal(size=(3, 4)), rng.normal(size=(4, 3)).T, np.array(-2.0), np.zeros(0)):
        x = autodiff.Tensor(array, requires_grad=True)
        y = penalty(x, 0.3, 0.7)
        np.testing.assert_allclose(
            y.data, 0.3 * np.abs(array).sum() + 0.7 * (array**2).sum(), rtol=1e-12
        )
        y.backward()
        np.testing.assert_allclose(x.grad, 0.3 * np.sign(array) + 1.4 * array, rtol=1e-12)
    autodiff.check_gradients(lambda x: penalty(x, 0.3, 0.7), rng.normal(size=(3, 2)))
    hessian = autodiff.hessian(lambda x: penalty(x * x, 0.3, 0.7))(np.array([1.0, -2.0]))
    np.testing.assert_allclose(hessian, np.diag([0.6 + 8.4, 0.6 + 33.6]), rtol=1e-12)


def test_explain_says_what_is_on_the_tape_and_why():
    keras.backend.clear_session()
    assert chain().explain().split("\n") == [
        "dense    Dense  on the tape: it has an activity_regularizer",
        "dense_1  Dense  on the tape: it has an activity_regularizer",
        "Training goes step by step through Python.",
    ]
    rows = keras.Sequential([layers.Input((4, 3)), layers.Dense(2)])
    assert "its samples have several dimensions" in rows.explain()
    place = layers.Input((3,))
    split = keras.Model(place, [layers.Dense(1)(place), layers.Dense(1)(place)])
    assert "its layers are no chain from one input to one output" in split.explain()
    with pytest.raises(AttributeError, match="has no defined explanation yet"):
        keras.Sequential([layers.Dense(1)]).explain()


def test_files_and_configs_keep_them(tmp_path):
    model = filled(mixed())
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    kept = [layer.activity_regularizer for layer in again.layers]
    assert [one and one.get_config() for one in kept] == [
        None, {"l1": 0.01}, {"l1": 0.01, "l2": 0.02}, {"l1": 0.05}, None,
    ]  # fmt: skip
    assert again.evaluate(X, KINDS, verbose=0) == model.evaluate(X, KINDS, verbose=0)
    config = layers.ActivityRegularization(0.5).get_config()
    assert (config["l1"], config["l2"], "activity_regularizer" in config) == (0.5, 0.0, False)


def test_what_is_no_regularizer_is_refused():
    with pytest.raises(TypeError, match=r"regularizer: a function has no derivative here"):
        layers.Dense(1, activity_regularizer=lambda y: y)
    with pytest.raises(ValueError, match="Could not interpret regularizer identifier: l3"):
        layers.LeakyReLU(activity_regularizer="l3")
