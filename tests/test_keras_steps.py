"""Models with a train_step, test_step, compute_loss or compute_metrics of their own.

The numbers are those of Keras 3.15 on JAX, of its own step over the same data; what a step computes
is compared with `fit` without one, with NumPy, and with differences.
"""

from __future__ import annotations

import numpy as np
import pytest
from deepc import keras, tf
from deepc.keras import layers, ops
from keras_models import KINDS, X, filled


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4, "tanh", kernel_regularizer="l2")
        self.out = layers.Dense(2, "softmax")

    def call(self, inputs, training=None):
        return self.out(self.hidden(inputs))


class Guide(Net):
    """The step of Keras' own guide."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def trained(cls, epochs=3, **given):
    model = cls()
    model(X)
    filled(model)
    sgd = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, KINDS, 5, epochs, shuffle=False, **{"verbose": 0, **given})
    return model


def test_the_step_of_the_guide_gives_what_keras_gives(capsys):
    model = trained(Guide, verbose=2, validation_data=(X[:7], KINDS[:7]))
    history = model.history.history
    gold = {
        "accuracy": [0.5, 0.5, 0.583333],
        "val_accuracy": [0.428571, 0.571429, 0.428571],
        "val_loss": [0.7547, 0.745956, 0.742239],
        # The step takes the mean of its batches, of 5, 5 and 2 rows; Keras' own step weighs them.
        "loss": [0.761232, 0.75001, 0.744101],
    }
    assert sorted(history) == sorted(gold)
    for name, values in gold.items():
        np.testing.assert_allclose(history[name], values, rtol=3e-6, err_msg=name)
    printed = capsys.readouterr().out.split("\n")
    assert printed[1].startswith("3/3 - ")
    assert printed[1].endswith(
        "- accuracy: 0.5000 - loss: 0.7612 - val_accuracy: 0.4286 - val_loss: 0.7547"
    )
    found = model.evaluate(X, KINDS, batch_size=5, verbose=0)
    np.testing.assert_allclose(found, [0.735586, 0.5], rtol=3e-6)
    np.testing.assert_allclose(model.train_on_batch(X, KINDS), [0.735586, 0.5], rtol=3e-6)


def test_the_built_in_step_is_that_of_fit():
    class Same(Net):
        def train_step(self, data):
            return super().train_step(data)

    class Chain(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    def chain(cls):
        return lambda: cls([layers.Input((3,)), layers.Dense(4, "relu", activity_regularizer="l1"),
                            layers.BatchNormalization(), layers.Dense(2, "softmax")])  # fmt: skip

    weights = 1.0 + np.arange(12.0) / 6
    for plain, own in ((Net, Same), (chain(keras.Sequential), chain(Chain))):
        a, b = (
            trained(cls, sample_weight=weights, validation_data=(X, KINDS, weights), epochs=4)
            for cls in (plain, own)
        )
        for name, values in a.history.history.items():
            np.testing.assert_allclose(b.history.history[name], values, rtol=1e-5, err_msg=name)
        for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_several_outputs_with_weights_of_their_own():
    class Both(keras.Model):
        def __init__(self):
            super().__init__()
            self.number, self.kind = layers.Dense(2), layers.Dense(2, "softmax")

        def call(self, inputs):
            return {"number": self.number(inputs), "kind": self.kind(inputs)}

    class Own(Both):
        def train_step(self, data):
            return super().train_step(data)

    y = {"number": X[:, :2] ** 2, "kind": KINDS}
    weights = {"number": 1.0 + np.arange(12.0), "kind": 2.0 - np.arange(12.0) / 8}
    models = []
    for cls in (Both, Own):
        model = cls()
        model.predict(X, verbose=0)
        filled(model).compile(
            keras.optimizers.Adam(0.05),
            {"number": "mse", "kind": "sparse_categorical_crossentropy"},
            loss_weights={"number": 2.0, "kind": 0.5},
            metrics={"number": "mae"}, weighted_metrics={"kind": "accuracy"},
        )  # fmt: skip
        model.fit(X, y, 5, 3, shuffle=False, verbose=0, sample_weight=weights)
        models.append(model)
    logs = [model.history.history for model in models]
    assert list(logs[0]) == list(logs[1])
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-5, err_msg=name)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    first, second = (model.evaluate(X, y, sample_weight=weights, verbose=0) for model in models)
    np.testing.assert_allclose(first, second, rtol=1e-5)


@pytest.mark.usefixtures("float64")
def test_the_slopes_of_a_step_are_those_of_differences():
    class Own(Net):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight)
            return loss + 0.3 * ops.mean(ops.square(self.hidden(x)))

    model = Own()
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model(X)
    before = filled(model).get_weights()
    w, b, v, c = before
    h = np.tanh(X @ w + b)
    p = np.exp(h @ v + c)
    p /= p.sum(1, keepdims=True)
    by_hand = -np.log(p[np.arange(12), KINDS]).mean() + 0.01 * (w**2).sum() + 0.3 * (h**2).mean()
    np.testing.assert_allclose(model.train_on_batch(X, KINDS), by_hand, rtol=1e-9)
    slopes = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    for i, place in ((0, (1, 2)), (1, (3,)), (2, (2, 1)), (3, (0,))):
        values = []
        for step in (1e-6, -1e-6):
            moved = [array.copy() for array in before]
            moved[i][place] += step
            model.set_weights(moved)
            values.append(model.test_on_batch(X, KINDS))
        difference = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(slopes[i][place], difference, rtol=1e-5)


class Autoencoder(keras.Model):
    """No targets, no `call`, no compiled loss, metrics of its own: as Keras' example of a VAE."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = layers.Dense(2, "tanh"), layers.Dense(3)
        self.total, self.error = keras.metrics.Mean(name="loss"), keras.metrics.Mean(name="error")

    @property
    def metrics(self):
        return [self.total, self.error]

    def _step(self, x):
        code = self.encoder(x)
        error = ops.mean(ops.square(self.decoder(code) - x))
        return error, error + 0.01 * ops.sum(ops.square(code)) / tf.cast(x.shape[0], "float32")

    def train_step(self, data):
        with tf.GradientTape() as tape:
            error, loss = self._step(data)
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights, strict=True))
        self.total.update_state(loss)
        self.error.update_state(error)
        return {"loss": self.total.result(), "error": self.error.result()}

    def test_step(self, data):
        error, loss = self._step(data)
        self.total.update_state(loss)
        self.error.update_state(error)
        return {m.name: m.result() for m in self.metrics}


def test_a_model_without_targets_trains_by_its_own_step():
    def batches():
        yield from (X[:6], X[6:])

    model = Autoencoder()
    model.compile(keras.optimizers.Adam(0.05))
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    history = model.fit(
        X, batch_size=5, epochs=60, verbose=0, validation_split=0.25, callbacks=[stopping]
    ).history
    assert sorted(history) == ["error", "loss", "val_error", "val_loss"]
    assert history["error"][-1] < 0.2 * history["error"][0]
    best = model.evaluate(X[9:], verbose=0)
    np.testing.assert_allclose(best[0], min(history["val_loss"]), rtol=1e-5)
    before = model.evaluate(batches(), verbose=0, return_dict=True)
    w, b, v, c = model.get_weights()
    code = np.tanh(X @ w + b)
    np.testing.assert_allclose(before["error"], ((code @ v + c - X) ** 2).mean(), rtol=1e-5)
    model.fit(batches(), verbose=0, validation_data=batches())
    after = model.evaluate(X, batch_size=6, verbose=0, return_dict=True)
    np.testing.assert_allclose(model.history.history["val_loss"], after["loss"], rtol=1e-5)
    assert after != before


def test_two_optimizers_and_no_loss_by_that_name():
    class Game(keras.Model):
        def __init__(self):
            super().__init__()
            self.maker, self.judge = layers.Dense(3), layers.Dense(1)

        def compile(self, maker, judge, loss_fn):
            super().compile()
            self.maker_optimizer, self.judge_optimizer, self.loss_fn = maker, judge, loss_fn

        def train_step(self, real):
            noise = tf.random.normal((real.shape[0], 2))
            made = self.maker(noise)
            both = tf.concat([made, real], axis=0)
            labels = np.concatenate([np.ones((len(noise), 1)), np.zeros((len(noise), 1))])
            with tf.GradientTape() as tape:
                judged = self.loss_fn(labels, self.judge(both))
            gradients = tape.gradient(judged, self.judge.trainable_weights)
            self.judge_optimizer.apply_gradients(
                zip(gradients, self.judge.trainable_weights, strict=True)
            )
            with tf.GradientTape() as tape:
                fooled = self.loss_fn(labels[len(noise) :], self.judge(self.maker(noise)))
            gradients = tape.gradient(fooled, self.maker.trainable_weights)
            self.maker_optimizer.apply_gradients(
                zip(gradients, self.maker.trainable_weights, strict=True)
            )
            return {"d_loss": judged, "g_loss": fooled}

    keras.utils.set_random_seed(0)
    model = Game()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01), loss)
    told = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: told.append(logs))
    history = model.fit(X, batch_size=5, epochs=2, verbose=0, callbacks=[watch]).history
    assert sorted(history) == ["d_loss", "g_loss"]
    assert len(told) == 6
    # An epoch's numbers are those of its last step.
    assert [told[2]["d_loss"], told[5]["d_loss"]] == history["d_loss"]
    assert model.maker_optimizer.iterations == model.judge_optimizer.iterations == 6
    assert sorted(model.train_on_batch(X, return_dict=True)) == ["d_loss", "g_loss"]


def test_callbacks_see_the_numbers_of_steps_and_change_the_rate():
    class Own(Net):
        def train_step(self, data):
            return {**super().train_step(data), "rows": np.float32(data[0].shape[0])}

    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=10.0)
    model = trained(Own, callbacks=[plateau], epochs=3)
    assert model.history.history["rows"] == [2.0, 2.0, 2.0]
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.025)
    assert model.train_on_batch(X, KINDS, return_dict=True)["rows"] == 12.0


def test_metrics_of_a_models_own_begin_anew_each_epoch():
    class Own(Net):
        def __init__(self):
            super().__init__()
            self.seen = keras.metrics.Sum(name="seen")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.seen.update_state(np.ones(x.shape[0]))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    model = trained(Own, validation_data=(X[:7], KINDS[:7]))
    history = model.history.history
    assert model.metrics_names == ["loss", "accuracy", "seen"]
    assert (history["seen"], history["val_seen"]) == ([12.0] * 3, [7.0] * 3)
    assert model.evaluate(X, KINDS, verbose=0, return_dict=True)["seen"] == 12.0


def test_what_a_step_must_be():
    class Stateless(Net):
        def train_step(self, state, data):
            return {}, state

    class Silent(Net):
        def train_step(self, data):
            pass

    class Wordy(Net):
        def train_step(self, data):
            return {"loss": "small"}

    for cls, said in (
        (Stateless, r"Stateless.train_step: expected \(self, data\), as with TensorFlow, got"),
        (Silent, "Silent.train_step gave None; expected a dict of numbers"),
        (Wordy, "Wordy.train_step: expected a number for 'loss', got"),
    ):
        with pytest.raises(TypeError, match=said):
            trained(cls)

    class Predicts(Guide):
        def predict_step(self, data):
            return self(data)

    with pytest.raises(TypeError, match=r"Predicts\.predict_step: is never called here"):
        trained(Predicts)
    with pytest.raises(ValueError, match="class_weight: is not supported with steps of your own"):
        trained(Guide, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        trained(Guide).fit(X * np.nan, KINDS)
    with pytest.raises(ValueError, match="Data cardinality is ambiguous"):
        trained(Guide).fit(X, KINDS[:5])
    model = Guide()
    model.compile("sgd")
    with pytest.raises(ValueError, match="x: expected an array, got None"):
        model.fit(None)
    model = Autoencoder()
    model.compile("sgd")
    with pytest.raises(ValueError, match="No loss to compute"):
        model.compute_loss(y_pred=None)


def test_a_class_of_ones_own_made_of_places(tmp_path):
    class Own(keras.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            return {**logs, "steps": float(self.optimizer.iterations)}

    class Wide(Own):
        def __init__(self, units, **given):
            place = layers.Input((3,))
            super().__init__(place, layers.Dense(2, "softmax")(layers.Dense(units)(place)), **given)
            self.units = units

    def made(cls):
        place = layers.Input((3,))
        hidden = layers.Concatenate()([layers.Dense(4, "tanh")(place), place])
        return cls(inputs=place, outputs=layers.Dense(2, "softmax")(hidden), name="net")

    models = [filled(made(cls)) for cls in (keras.Model, Own)]
    for model in models:
        model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
        model.fit(X, KINDS, 5, 3, shuffle=False, verbose=0)
    plain, own = models
    losses = [model.history.history["loss"] for model in models]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert own.history.history["steps"] == [3.0, 6.0, 9.0]
    for ours, theirs in zip(own.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert (isinstance(own, Own), type(own).__name__, own.output_shape) == (True, "Own", (None, 2))
    own.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert isinstance(again, Own)
    assert again.predict(X, verbose=0).tolist() == own.predict(X, verbose=0).tolist()
    again.fit(X, KINDS, verbose=0)
    assert "steps" in again.history.history
    wide = Wide(5, name="wide")
    wide.compile("sgd", "sparse_categorical_crossentropy")
    wide.fit(X, KINDS, 6, verbose=0)
    assert (wide.units, wide.name, wide.history.history["steps"]) == (5, "wide", [2.0])


def test_a_call_of_ones_own_counts_in_a_class_made_of_places():
    class Twice(keras.Model):
        def call(self, inputs, training=None):
            return 2.0 * self.layers[-1](inputs)

    place = layers.Input((3,))
    model = filled(Twice(place, layers.Dense(1)(place)))
    w, b = model.get_weights()
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * (X @ w + b), rtol=1e-6)


def test_a_step_computes_a_sure_and_wrong_prediction_from_its_logits():
    class Own(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    model = Own([layers.Input((2,)), layers.Dense(2, "softmax")])
    model.set_weights([np.eye(2) * 100.0, np.zeros(2)])
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    assert model.train_on_batch(np.array([[1.0, 0.0]]), np.array([1])) == 100.0
    assert model.get_weights()[0].tolist() == [[99.0, 1.0], [0.0, 100.0]]


def test_explain_tells_of_steps():
    class Chain(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    chain = Chain([layers.Input((3,)), layers.Dense(1)])
    assert chain.explain().endswith("network 1 (float32)\nTraining goes step by step through "
                                    "Python: it has a train_step of its own.")  # fmt: skip
    assert trained(Guide).explain().endswith("Python: it has a train_step of its own.")


def test_backups_refuse_steps_whose_state_nobody_knows(tmp_path):
    with pytest.raises(ValueError, match="BackupAndRestore: steps of your own may have a state"):
        trained(Guide, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
