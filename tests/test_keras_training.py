"""Training through Keras' face: values computed with NumPy in float64, and by Keras itself."""

from __future__ import annotations

import numpy as np
import pytest
from deepc import keras
from deepc.keras import layers, optimizers

X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1], [0.5, -0.5]])
Y = np.array([0, 1, 1, 0, 1])


def network(**more):
    kernels = ([[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]], [[0.7, -0.8], [0.9, 0.1], [-0.2, 0.3]])
    model = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(3, "tanh", **more),
            layers.Dense(2, "softmax"),
        ]
    )
    model.set_weights([kernels[0], np.zeros(3), kernels[1], np.zeros(2)])
    return model


SGD, RATE = optimizers.SGD, optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
# Optimizer, arguments of fit, losses, accuracies, what evaluate gives, kernel and bias afterwards.
GOLD = [
    ("sgd", {}, [0.69572377, 0.69107335], [0.8, 0.6], 0.68653628, 0.09157326, -0.01111977),
    (lambda: SGD(0.1, momentum=0.9), {}, [0.69958949, 0.64371549], None, 0.65764284, -0.03143410,
     -0.22237177),
    ("rmsprop", {}, [0.69439977, 0.68877317], [0.8, 0.6], 0.68535703, 0.09064576, -0.01201943),
    ("adam", {}, [0.69535889, 0.69228335], [0.8, 0.6], 0.69060791, 0.09604987, -0.00558150),
    ("adamw", {}, [0.69536013, 0.69228314], [0.8, 0.6], 0.69060509, 0.09604750, -0.00558143),
    ("adagrad", {}, [0.69561006, 0.69453299], [0.8, 0.6], 0.69370298, 0.09809251, -0.00235465),
    ("adamax", {}, [0.69540683, 0.69305593], [0.8, 0.6], 0.69195797, 0.09724149, -0.00407582),
    ("nadam", {}, [0.69524698, 0.69303200], [0.8, 0.6], 0.69149205, 0.09636343, -0.00466395),
    ("lion", {}, [0.69505381, 0.69265325], [0.8, 0.6], 0.69107773, 0.095, -0.006),
    (lambda: SGD(0.1), {"class_weight": {0: 2.0, 1: 0.5}}, [0.65110682, 0.63516143], [0.6, 0.6],
     0.73217602, 0.08478008, 0.03905539),
    (lambda: SGD(0.1), {"sample_weight": np.arange(1.0, 6)}, [1.73596762, 1.60382844], [0.8, 0.4],
     0.67315454, 0.05687547, -0.23132235),
    (lambda: SGD(0.1), {"validation_split": 0.4}, [0.92240672, 0.83144745], [2 / 3, 1 / 3],
     0.63887433, -0.01879061, -0.10206477),
    (lambda: SGD(0.1, clipnorm=0.1), {}, [0.69158134, 0.67796685], None, 0.66940050, 0.07592940,
     -0.04239616),
    (lambda: SGD(0.1, global_clipnorm=0.1), {}, [0.69506228, 0.68855560], None, 0.68295028,
     0.08584956, -0.01570168),
    (lambda: SGD(RATE), {}, [0.69941459, 0.67076473], None, 0.66188452, 0.07099112, -0.04548290),
]  # fmt: skip


@pytest.mark.parametrize("metrics", [None, ["accuracy"]])
@pytest.mark.parametrize("case", GOLD, ids=range(len(GOLD)))
@pytest.mark.usefixtures("float64")
def test_gold(case, metrics):
    optimizer, arguments, losses, accuracies, evaluated, kernel, bias = case
    model = network()
    made = optimizer if isinstance(optimizer, str) else optimizer()
    model.compile(made, "sparse_categorical_crossentropy", metrics=metrics)
    history = model.fit(X, Y, batch_size=2, epochs=2, shuffle=False, verbose=0, **arguments).history
    np.testing.assert_allclose(history["loss"], losses, atol=6e-9)
    result = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(evaluated, abs=6e-9)
    if metrics and accuracies:
        np.testing.assert_allclose(history["accuracy"], accuracies, atol=1e-9)
    weights = model.get_weights()
    assert weights[0][0, 0] == pytest.approx(kernel, abs=6e-9)
    assert weights[3][0] == pytest.approx(bias, abs=6e-9)


@pytest.mark.usefixtures("float64")
def test_a_saturated_sample_has_the_loss_of_its_logits():
    model = keras.Sequential([layers.Input((2,)), layers.Dense(2, "softmax", use_bias=False)])
    model.set_weights([np.eye(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate(np.array([[100.0, 0.0]]), [1], verbose=0) == 100.0
    assert model.train_on_batch(np.array([[100.0, 0.0]]), [1]) == 100.0
    assert not np.array_equal(model.get_weights()[0], np.eye(2))
    one = keras.Sequential([layers.Input((1,)), layers.Dense(1, "sigmoid", use_bias=False)])
    one.set_weights([np.eye(1)])
    one.compile("sgd", "binary_crossentropy")
    assert one.evaluate(np.array([[100.0]]), [0], verbose=0) == 100.0


def doubling():
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[2.0]]])
    return model


def test_an_epoch_is_the_mean_of_its_rows():
    model = doubling()
    model.compile(SGD(0.0), "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()],
                  weighted_metrics=["mae"])  # fmt: skip
    x, y = np.arange(1.0, 6.0), np.zeros(5)
    history = model.fit(x, y, batch_size=2, shuffle=False, verbose=0).history
    assert history["loss"] == [44.0]
    assert history["mae"] == [6.0]
    assert history["root_mean_squared_error"][0] == pytest.approx(6.63325, abs=1e-5)
    weighted = model.evaluate(x, y, sample_weight=np.arange(1.0, 6), verbose=0, return_dict=True)
    assert weighted["loss"] == 180.0
    assert weighted["weighted_mae"] == pytest.approx(7.3333, abs=1e-4)
    assert weighted["mae"] == 6.0


def test_batch_hooks_get_running_values_and_change_nothing():
    seen = []

    class Batches(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

    model = doubling()
    model.compile(SGD(0.01), "mse")
    model.fit(np.arange(1.0, 6.0), np.zeros(5), 2, shuffle=False, verbose=0, callbacks=[Batches()])
    other = doubling()
    other.compile(SGD(0.01), "mse")
    other.fit(np.arange(1.0, 6.0), np.zeros(5), 2, shuffle=False, verbose=0)
    assert [batch for batch, _ in seen] == [0, 1, 2]
    assert seen[0][1] == pytest.approx(10.0)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_regularizers_are_part_of_every_loss():
    model = keras.Sequential(
        [
            layers.Input((1,)),
            layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.5)),
        ]
    )
    model.set_weights([[[2.0]]])
    model.compile(SGD(0.1), "mse")
    x, y = np.array([[1.0]]), np.array([[1.0]])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(1 + 0.5 * 4)
    # The gradient is 2 (2 - 1) + 2 0.5 2.
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], [[2 - 0.1 * 4]], rtol=1e-6)


def test_constraints_hold_after_each_step():
    model = keras.Sequential([layers.Input((2,)), layers.Dense(3, kernel_constraint="unit_norm")])
    model.compile(SGD(0.5), "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 3)), batch_size=4, verbose=0)
    np.testing.assert_allclose(np.linalg.norm(model.get_weights()[0], axis=0), 1, rtol=1e-5)


def test_averages_are_taken_at_the_end():
    model = doubling()
    model.compile(SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    model.fit(np.ones((2, 1)), np.zeros(2), batch_size=1, verbose=0)
    # 2 becomes 1.6 and 1.28; their average begins as 1.6.
    np.testing.assert_allclose(model.get_weights()[0], [[0.5 * 1.6 + 0.5 * 1.28]], rtol=1e-6)


def test_shapes_and_splits():
    model = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    assert model.weights == []
    model.compile("sgd", "mse")
    seen = []

    class Epochs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))

    history = model.fit(np.ones((10, 2, 2)), np.ones(10), validation_split=0.25, epochs=4,
                        initial_epoch=2, verbose=0, callbacks=[Epochs()])  # fmt: skip
    assert history.epoch == [2, 3]
    assert seen == [(2, ["loss", "val_loss"]), (3, ["loss", "val_loss"])]
    assert model.predict(np.ones((3, 2, 2)), verbose=0).shape == (3, 1)


def test_generators_and_steps():
    def endless():
        while True:
            yield np.ones((4, 1)), np.ones(4)

    model = doubling()
    model.compile(SGD(0.01), "mse")
    history = model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert model.optimizer.iterations == 6
    loader = [(np.ones((4, 1)), np.ones(4)), (np.ones((2, 1)), np.ones(2))]
    assert isinstance(model.evaluate(iter(loader), verbose=0), float)
    assert model.predict(iter([b[0] for b in loader]), verbose=0).shape == (6, 1)


def test_embedding_trains():
    model = keras.Sequential([layers.Embedding(5, 3), layers.Flatten(), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x = np.array([[0, 1], [2, 3], [4, 0], [1, 2]])
    history = model.fit(x, [0, 1, 0, 1], epochs=200, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    with pytest.raises(ValueError, match="from 0 to 4, got -1"):
        model.predict(np.array([[-1, 0]]), verbose=0)


def test_dropout_and_normalization_know_when_they_train():
    model = keras.Sequential([layers.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.5)])
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    quiet = model(x)
    np.testing.assert_array_equal(quiet, model.predict(x, verbose=0))
    assert not np.array_equal(model(x, training=True), quiet)
    assert not np.array_equal(model.get_weights()[2], np.zeros(3))


def test_one_seed_one_result():
    def trained():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(np.ones((20, 3)) * np.arange(20)[:, None] / 20, np.arange(20), verbose=0)
        return model.get_weights()

    for a, b in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- What users have reported of Keras -----------------------------------------------------------


def identity(*metrics):
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[1.0]]])
    model.compile(SGD(0.0), "mse", metrics=list(metrics))
    return model


def test_what_is_shown_is_not_averaged_twice(capsys):
    x, y = np.arange(1.0, 11.0), np.zeros(10)
    logs = identity("mae").fit(x, y, batch_size=1, shuffle=False).history
    assert (logs["loss"], logs["mae"]) == ([38.5], [5.5])
    assert "- loss: 38.5000 - mae: 5.5000\n" in capsys.readouterr().out


def test_the_last_small_batch_counts_by_its_rows():
    x, y = np.sqrt([10.0, 10.0, 9.0]), np.zeros(3)
    logs = identity().fit(x, y, batch_size=2, shuffle=False, verbose=0).history
    assert logs["loss"][0] == pytest.approx(29 / 3)


def test_validation_is_the_end_of_the_data_before_any_shuffling():
    x, y = np.arange(10.0), np.zeros(10)
    logs = identity("mae").fit(x, y, validation_split=0.25, verbose=0).history
    assert logs["val_mae"] == [8.0]
    assert logs["mae"] == [3.0]


def test_evaluate_gives_the_loss_then_metrics_as_compiled():
    model = identity("mse", "mae")
    x, y = np.array([1.0, 2.0]), np.zeros(2)
    assert model.evaluate(x, y, verbose=0) == [2.5, 2.5, 1.5]
    assert list(model.evaluate(x, y, verbose=0, return_dict=True)) == ["loss", "mae", "mse"]


class Wrong(keras.metrics.SparseCategoricalAccuracy):
    """A user's metric, which sees the rows first."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert np.allclose(np.sum(y_pred, axis=1), 1)
        super().update_state(3 - np.asarray(y_true), y_pred, sample_weight)


@pytest.mark.parametrize("weights", [None, np.arange(50.0)])
@pytest.mark.parametrize("last", ["softmax", "sigmoid", None])
def test_accuracy_is_that_of_the_predictions_whatever_the_last_activation(last, weights):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 5)).astype("float32"), rng.integers(0, 4, 50)
    layer = layers.Dense(4, last)
    model = keras.Sequential([layers.Input((5,)), layer])
    if last == "sigmoid":  # several outputs are 1 then, and the first of them counts
        layer.bias.assign([40.0, 50.0, 0.0, 0.0])
        kind, targets = "categorical", np.eye(4)[y]
        loss = "binary_crossentropy"
    else:
        kind, targets = "sparse_categorical", y
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
    wrong = [Wrong(name="wrong")] if last == "softmax" else []
    exact = ["accuracy", f"{kind}_accuracy", *wrong]
    model.compile("sgd", loss, metrics=exact, weighted_metrics=["accuracy"])
    right = model.predict(x, verbose=0).argmax(axis=1) == y
    opposite = (model.predict(x, verbose=0).argmax(axis=1) == 3 - y).mean()
    evaluated = model.evaluate(x, targets, sample_weight=weights, verbose=0, return_dict=True)
    trained = model.fit(x, targets, sample_weight=weights, batch_size=50, verbose=0).history
    for logs in evaluated, {name: values[0] for name, values in trained.items()}:
        assert logs["accuracy"] == pytest.approx(right.mean())
        assert logs[f"{kind}_accuracy"] == pytest.approx(right.mean())
        assert logs["weighted_accuracy"] == pytest.approx(np.average(right, weights=weights))
        assert "wrong" not in logs or logs["wrong"] == pytest.approx(opposite)


def test_predict_equals_a_call():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(1, 3)).astype("float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), model(x))
    np.testing.assert_array_equal(model.predict_on_batch(x), model(x, training=False))
