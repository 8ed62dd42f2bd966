"""Models that are no chain of built-in layers: graphs, and layers, models and losses of users.

What they compute is compared with NumPy in float64; that they print what Keras prints is looked at
beside Keras itself.
"""

from __future__ import annotations

import warnings

import deepc
import numpy as np
import pytest
from deepc import keras, tf
from deepc.keras import layers, ops
from deepc.keras._graph import Graph

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 2))


def filled(model):
    """Return a model with weights that are the same each time."""
    model.set_weights(
        [np.cos(np.arange(w.size) + i).reshape(w.shape) for i, w in enumerate(model.get_weights())]
    )
    return model


def two_inputs():
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    hidden = layers.Dense(4, "tanh", name="hidden")(a)
    joined = layers.Concatenate()([hidden, b, layers.Multiply()([hidden, hidden])])
    return filled(keras.Model([a, b], layers.Dense(1, name="out")(joined)))


# ---- Graphs --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_a_graph_computes_and_trains_as_numpy_does():
    model = two_inputs()
    w, b, v, c = (np.array(p) for p in model.get_weights())
    y = np.sin(X[:, :1])

    def forward():
        h = np.tanh(X @ w + b)
        joined = np.concatenate([h, Z, h * h], axis=1)
        return h, joined, joined @ v + c

    np.testing.assert_allclose(model.predict([X, Z], verbose=0), forward()[2], rtol=1e-12)
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = model.fit([X, Z], y, batch_size=24, epochs=3, shuffle=False, verbose=0).history
    expected = []
    for _ in range(3):
        h, joined, p = forward()
        expected.append(float(((p - y) ** 2).mean()))
        g = 2 * (p - y) / len(y)
        d_joined = g @ v.T
        d_h = d_joined[:, :4] + 2 * h * d_joined[:, 6:]
        d_z = d_h * (1 - h * h)
        v, c = v - 0.05 * joined.T @ g, c - 0.05 * g.sum(0)
        w, b = w - 0.05 * X.T @ d_z, b - 0.05 * d_z.sum(0)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-10)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-10)
    np.testing.assert_allclose(model.get_weights()[2], v, rtol=1e-10)


def test_a_chain_is_one_network_and_anything_else_is_not():
    place = layers.Input((3,))
    hidden = layers.Dense(4, "relu")(place)
    chain = keras.Model(place, layers.Dense(2)(layers.Dropout(0.5)(hidden)))
    assert isinstance(chain._full, deepc.Sequential)
    assert "network 1" in chain._full.explain()
    joined = keras.Model(place, layers.Dense(2)(layers.Add()([hidden, hidden])))
    assert isinstance(joined._full, Graph)
    assert isinstance(keras.Sequential([layers.Input((3,)), chain])._full, deepc.Sequential)


MERGES = {
    layers.Add: lambda a, b: a + b,
    layers.Subtract: lambda a, b: a - b,
    layers.Multiply: lambda a, b: a * b,
    layers.Average: lambda a, b: (a + b) / 2,
    layers.Maximum: np.maximum,
    layers.Minimum: np.minimum,
    layers.Concatenate: lambda a, b: np.concatenate([a, b], axis=-1),
}


@pytest.mark.parametrize("merge", MERGES, ids=lambda cls: cls.__name__)
@pytest.mark.usefixtures("float64")
def test_merging(merge):
    a, b = X[:6].reshape(3, 2, 3), X[6:12].reshape(3, 2, 3)
    np.testing.assert_array_equal(merge()([a, b]).numpy(), MERGES[merge](a, b))
    places = [layers.Input((2, 3)), layers.Input((2, 3))]
    model = keras.Model(places, merge()(places))
    np.testing.assert_array_equal(model.predict([a, b], verbose=0), MERGES[merge](a, b))
    assert model.output_shape == (None, *MERGES[merge](a, b).shape[1:])


def test_shapes_of_other_lengths_are_merged_from_the_end():
    a, b = np.ones((2, 3, 4)), np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(layers.Add()([a, b]).numpy(), a + b[:, None])


@pytest.mark.usefixtures("float64")
def test_a_layer_in_two_places_gets_both_gradients():
    place = layers.Input((3,))
    shared = layers.Dense(2, use_bias=False)
    model = filled(keras.Model(place, layers.Add()([shared(place), shared(place * 2.0)])))
    assert len(model.weights) == 1
    w = model.get_weights()[0]
    model.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
    y = np.zeros((24, 2))
    model.train_on_batch(X, y)
    expected = w - 0.1 * (3 * X).T @ (2 * (3 * X @ w - y)) / y.size
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-12)


def test_several_outputs_have_losses_metrics_and_weights_of_their_own():
    a = layers.Input((3,), name="a")
    outputs = [layers.Dense(1, name="number")(a), layers.Dense(2, "softmax", name="kind")(a)]
    model = filled(keras.Model(a, outputs))
    kinds = (X[:, 0] > 0).astype(int)
    model.compile(
        keras.optimizers.SGD(0.0),
        {"number": "mse", "kind": "sparse_categorical_crossentropy"},
        metrics={"kind": ["accuracy"]},
        loss_weights={"number": 1.0, "kind": 0.25},
    )
    logs = model.evaluate(X, {"number": X[:, 1], "kind": kinds}, verbose=0, return_dict=True)
    number, probabilities = model.predict(X, verbose=0)
    mse = ((number[:, 0] - X[:, 1]) ** 2).mean()
    ce = -np.log(probabilities[np.arange(24), kinds]).mean()
    assert logs["number_loss"] == pytest.approx(mse, rel=1e-5)
    assert logs["kind_loss"] == pytest.approx(ce, rel=1e-5)
    assert logs["loss"] == pytest.approx(mse + ce / 4, rel=1e-5)
    assert logs["kind_accuracy"] == pytest.approx((probabilities.argmax(1) == kinds).mean())
    assert list(logs) == ["kind_accuracy", "kind_loss", "loss", "number_loss"]


def test_a_saturated_sample_of_a_graph_has_the_loss_of_its_logits():
    place = layers.Input((2,))
    doubled = layers.Add()([place, place])
    model = keras.Model(place, layers.Dense(2, "softmax", use_bias=False)(doubled))
    model.set_weights([np.eye(2)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.evaluate(np.array([[50.0, 0.0]]), [1], verbose=0) == [100.0, 0.0]
    model.train_on_batch(np.array([[50.0, 0.0]]), [1])
    assert not np.array_equal(model.get_weights()[0], np.eye(2))


def test_graphs_come_back_from_files(tmp_path):
    a, b = layers.Input((3,), name="a"), layers.Input((4,), name="b")
    shared = layers.Dense(4, "tanh")
    hidden = shared(a) * 2.0 + b[:, 0:1]
    out = [layers.Dense(1)(ops.concatenate([hidden, ops.relu(b)])), shared(ops.square(a))]
    model = keras.Model({"a": a, "b": b}, out)
    model.compile("adam", ["mse", "mae"])
    data = {"a": X, "b": np.repeat(Z, 2, 1)}
    model.fit(data, [X[:, 0], np.ones((24, 4))], epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    for ours, theirs in zip(
        model.predict(data, verbose=0), again.predict(data, verbose=0), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    targets = [X[:, 0], np.ones((24, 4))]
    for one in (model, again):
        one.fit(data, targets, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
    copy = keras.models.clone_model(model)
    assert copy.count_params() == model.count_params()


def test_generators_and_callbacks_take_several_inputs():
    model = two_inputs()
    model.compile("adam", "mse")
    seen = []
    tell = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    batches = [([X[:8], Z[:8]], X[:8, 0]), ([X[8:12], Z[8:12]], X[8:12, 0])]
    model.fit(iter(batches), epochs=1, verbose=0, callbacks=[tell])
    assert seen == [0, 1]
    assert isinstance(model.evaluate(iter(batches), verbose=0), float)
    stop = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    history = model.fit([X, Z], X[:, 0], validation_split=0.25, epochs=2, verbose=0,
                        callbacks=[stop])  # fmt: skip
    assert "val_loss" in history.history


def test_more_dimensions_are_positions():
    z = X.reshape(4, 6, 3)
    layer = layers.Dense(2, "softmax")
    out = layer(z).numpy()
    assert (layer.kernel.shape, out.shape) == ((3, 2), (4, 6, 2))
    np.testing.assert_allclose(out.reshape(24, 2), layer(X).numpy(), rtol=1e-6)
    model = keras.Sequential([layers.Input((6, 3)), layer, layers.BatchNormalization()])
    model.compile("sgd", "mse")
    model.fit(z, out, verbose=0)
    tagger = keras.Sequential([layers.Input((6, 3)), layers.Dense(3, "softmax")])
    tagger.compile(
        keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    kinds = (z[..., 0] > 0).astype(int)
    tagger.fit(z, kinds, epochs=60, verbose=0)
    loss, accuracy = tagger.evaluate(z, kinds, verbose=0)
    p = tagger.predict(z, verbose=0)
    chosen = np.take_along_axis(p, kinds[..., None], -1)
    assert loss == pytest.approx(float(-np.log(chosen).mean()), rel=1e-4)
    assert accuracy > 0.9


# ---- Layers and models of users ------------------------------------------------------------------


class Scaled(layers.Layer):
    def __init__(self, units, **given):
        super().__init__(**given)
        self.units = units
        self.inner = layers.Dense(units, "tanh")

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), "ones", name="w")
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.inner(inputs)


class Net(keras.Model):
    def __init__(self, units=4):
        super().__init__()
        self.first = Scaled(units)
        self.blocks = [layers.Dense(3, "relu"), layers.BatchNormalization()]
        self.noise = layers.Dropout(0.5)
        self.out = layers.Dense(2, "softmax")

    def call(self, inputs, training=None):
        y = self.first(inputs)
        for block in self.blocks:
            y = block(y, training=training)
        return self.out(self.noise(y))


KINDS = (X[:, 0] > 0).astype(int)


def test_a_model_of_a_users_trains_and_knows_when_it_does():
    keras.utils.set_random_seed(0)
    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, KINDS, epochs=100, batch_size=8, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    quiet = model(X)
    np.testing.assert_array_equal(quiet, model.predict(X, verbose=0))
    assert not np.array_equal(model(X, training=True), quiet)
    assert len(model.weights) == 12
    assert [v.name for v in model.non_trainable_weights] == [
        "count", "moving_mean", "moving_variance",
    ]  # fmt: skip
    assert model.layers[0].w.path.endswith("/scaled/w") or "scaled" in model.layers[0].w.path
    assert model.count_params() == sum(w.size for w in model.get_weights())


@pytest.mark.usefixtures("float64")
def test_gradients_of_a_users_layer_are_those_of_differences():
    model = filled(keras.Sequential([layers.Input((3,)), Scaled(2), layers.Dense(1)]))
    y = X[:, :1]
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()
    model.train_on_batch(X, y)
    stepped = model.get_weights()
    for i, (old, new) in enumerate(zip(before, stepped, strict=True)):
        if not old.ndim:
            continue
        place = (0,) * old.ndim
        values = []
        for step in (1e-6, -1e-6):
            moved = [np.array(w) for w in before]
            moved[i][place] += step
            model.set_weights(moved)
            values.append(model.test_on_batch(X, y))
        assert (old - new)[place] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_what_is_frozen_stays():
    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, KINDS, verbose=0)
    model.first.trainable = False
    before = model.first.get_weights()
    model.fit(X, KINDS, epochs=2, verbose=0)
    for old, new in zip(before, model.first.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(v.path.split("/")[1] != "scaled" for v in model.trainable_weights)


def test_users_models_come_back_from_files(tmp_path):
    model = Net(5)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, KINDS, epochs=2, verbose=0)
    model.save(tmp_path / "net.keras")
    with pytest.raises(TypeError, match="Could not locate class 'Net'"):
        keras.models.load_model(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", custom_objects={"Net": Net})
    np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
    assert again.optimizer.iterations == 2
    model.save_weights(tmp_path / "net.weights.h5")
    third = Net(5)
    with pytest.raises(ValueError, match="not yet been built"):
        third.load_weights(tmp_path / "net.weights.h5")
    third.build((None, 3))
    third.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(model.predict(X, verbose=0), third.predict(X, verbose=0))


def test_registered_classes_are_found_without_being_given(tmp_path):
    register = keras.saving.register_keras_serializable(package="Tests")
    register(Scaled)
    model = keras.Sequential([layers.Input((3,)), Scaled(2, name="mine")])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.layers[0].get_config() == model.layers[0].get_config()
    assert again.layers[0].get_config()["units"] == 2
    np.testing.assert_array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))


def test_losses_that_layers_add():
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(ops.square(inputs)))
            return inputs

    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False), Penalty()])
    model.set_weights([[[2.0]]])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = np.array([[1.0]]), np.array([[1.0]])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(1 + 0.5 * 4)
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], [[2 - 0.1 * (2 + 2)]], rtol=1e-6)


def test_an_activation_that_is_a_function():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, lambda x: x * ops.sigmoid(x))])
    reference = keras.Sequential([layers.Input((3,)), layers.Dense(2, "silu")])
    reference.set_weights(model.get_weights())
    for one in (model, reference):
        one.compile("sgd", "mse")
        one.fit(X, Z, shuffle=False, verbose=0)
    for ours, theirs in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert isinstance(
        keras.Sequential([layers.Input((3,)), layers.Dense(2, ops.relu)])._full, deepc.Sequential
    )


# ---- Losses and metrics of users -----------------------------------------------------------------


def absolute(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Twice(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 2 * keras.losses.mean_absolute_error(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "factor"), [(absolute, 1), (Twice(), 2), (lambda y, p: ops.mean(abs(y - p)), 1)]
)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.usefixtures("float64")
def test_losses_of_users_train_as_built_in_ones(loss, factor, batch):
    def trained(loss, rate):
        model = filled(keras.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"),
                                         layers.Dense(1)]))  # fmt: skip
        model.compile(keras.optimizers.SGD(rate), loss, metrics=[absolute])
        logs = model.fit(X, X[:, 0], batch, epochs=3, shuffle=False, verbose=0).history
        return logs, model.get_weights(), model.evaluate(X, X[:, 0], verbose=0)

    ours, weights, evaluated = trained(loss, 0.1 / factor)
    theirs, expected, reference = trained("mae", 0.1)
    np.testing.assert_allclose(np.array(ours["loss"]) / factor, theirs["loss"], rtol=1e-12)
    np.testing.assert_allclose(ours["absolute"], theirs["loss"], rtol=1e-12)
    assert evaluated[0] / factor == pytest.approx(reference[0], rel=1e-12)
    for mine, his in zip(weights, expected, strict=True):
        np.testing.assert_allclose(mine, his, rtol=1e-10)


def test_targets_of_one_dimension_do_not_make_a_table_of_differences():
    """tensorflow/tensorflow#37770: (n,) against (n, 1) had n * n differences."""
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[1.0]]])
    squared = lambda y, p: ops.mean(ops.square(y - p))  # noqa: E731
    model.compile(keras.optimizers.SGD(0.0), squared, metrics=[squared])
    assert model.evaluate(np.array([1.0, 4.0]), np.array([1.0, 2.0]), verbose=0) == [2.0, 2.0]


def test_weights_of_samples_multiply_losses_of_users():
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[2.0]]])
    model.compile(keras.optimizers.SGD(0.0), lambda y, p: ops.square(y - p))
    x, y = np.arange(1.0, 6), np.zeros(5)
    assert model.evaluate(x, y, sample_weight=np.arange(1.0, 6), verbose=0) == 180.0


def test_losses_of_users_come_back_from_files(tmp_path):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", Twice(name="twice"), metrics=[absolute])
    model.save(tmp_path / "m.keras")
    known = {"Twice": Twice, "absolute": absolute}
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects=known)
    assert again.evaluate(X, X[:, 0], verbose=0) == model.evaluate(X, X[:, 0], verbose=0)
    with pytest.raises(ValueError, match="Twice"):
        keras.models.load_model(tmp_path / "m.keras")


# ---- Functions as layers -------------------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_a_lambda_is_a_function_of_tensors():
    def scaled(x, by=1.0, training=None):
        return ops.tanh(x) * (by if training is None or not training else 2 * by)

    place = layers.Input((3,))
    hidden = layers.Lambda(scaled, arguments={"by": 0.5})(layers.Dense(4)(place))
    joined = layers.Lambda(lambda both: ops.concatenate(both, axis=-1))([hidden, place])
    model = filled(keras.Model(place, layers.Dense(1)(joined)))
    assert joined.shape == (None, 7)
    w, b, v, c = model.get_weights()

    def outputs(by):
        return np.concatenate([by * np.tanh(X @ w + b), X], axis=1) @ v + c

    np.testing.assert_allclose(model.predict(X, verbose=0), outputs(0.5), rtol=1e-12)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    value = model.train_on_batch(X, X[:, :1])
    np.testing.assert_allclose(value, ((outputs(1.0) - X[:, :1]) ** 2).mean(), rtol=1e-12)
    moved, step = w.copy(), 1e-6
    moved[1, 2] += step
    after = np.concatenate([np.tanh(X @ moved + b), X], axis=1) @ v + c
    slope = (((after - X[:, :1]) ** 2).mean() - value) / step
    np.testing.assert_allclose(model.get_weights()[0][1, 2], w[1, 2] - 0.1 * slope, rtol=1e-5)


def test_a_lambda_in_a_chain_goes_into_no_file(tmp_path):
    model = keras.Sequential([layers.Dense(4), layers.Lambda(lambda x: x[:, :2] ** 2, name="cut"),
                              layers.Dense(1)])  # fmt: skip
    model.compile("adam", "mse")
    model.fit(X, X[:, 0], verbose=0)
    assert model.layers[1].output_shape == (None, 2)
    assert layers.Lambda(lambda x: x[:, :2]).compute_output_shape((None, 5)) == (None, 2)
    assert "Lambda  on the tape: its function is written in Python" in model.explain()
    with pytest.raises(ValueError, match="layer 'cut': a Lambda holds a function, which files"):
        model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    kept = model.get_weights()
    filled(model).load_weights(tmp_path / "m.weights.h5")
    for ours, theirs in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(TypeError, match="function: expected a function of Tensors"):
        layers.Lambda("relu")
    with pytest.raises(ValueError, match="mask: masks are not supported"):
        layers.Lambda(lambda x: x, mask=True)
    with pytest.raises(TypeError, match="gave ndarray instead of a Tensor"):
        layers.Lambda(lambda x: np.abs(x.numpy()))(X)


# ---- Trainings that are killed -------------------------------------------------------------------


class Killed(Exception):
    pass


def _chain():
    return keras.Sequential([layers.Input((3,)), layers.Dense(4, "gelu"), layers.Dropout(0.3),
                             layers.BatchNormalization(), layers.Dense(1)])  # fmt: skip


def _constrained():
    return keras.Sequential([layers.Input((3,)), layers.Dense(4, kernel_constraint="max_norm"),
                             layers.Dense(1, kernel_regularizer="l2")])  # fmt: skip


def _graph():
    place = layers.Input((3,))
    hidden = layers.Dropout(0.3)(Scaled(4)(place))
    joined = layers.Concatenate()([layers.BatchNormalization()(hidden), place])
    return keras.Model(place, layers.Dense(1)(joined))


@pytest.mark.parametrize("make", [_chain, _constrained, _graph])
@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_training_goes_on_where_it_was_killed(make, save_freq, tmp_path):
    def train(*callbacks, epochs=6):
        keras.utils.set_random_seed(5)
        model = make()
        model.compile(keras.optimizers.Nadam(0.05), "mse")
        plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)
        model.fit(X, X[:, 0], 8, epochs, verbose=0, callbacks=[plateau, *callbacks])
        return model

    def kill(epoch, logs=None):
        if epoch == 3:
            raise Killed

    whole = train()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq)
    with pytest.raises(Killed):
        train(backup, keras.callbacks.LambdaCallback(on_epoch_end=kill))
    assert list((tmp_path / "backup").iterdir())
    begun = []
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
    resumed = train(keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq), count)
    assert begun[-2:] == [4, 5]
    assert 0 not in begun
    assert not (tmp_path / "backup").exists()
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert float(whole.optimizer.learning_rate) == float(resumed.optimizer.learning_rate)


class Shuffled:
    """Batches in another order in each epoch, the same again for the same seed, as loaders have."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def __iter__(self):
        for rows in np.split(self._rng.permutation(len(X)), 3):
            yield X[rows], X[rows, 0], 1.0 + X[rows, 1] ** 2


def _endless(seed):
    rng = np.random.default_rng(seed)
    while True:
        rows = rng.permutation(len(X))[:8]
        yield X[rows], X[rows, 0]


BATCHES = {
    "loader": (lambda seed: (Shuffled(seed),), {}),
    "loader cut": (lambda seed: (Shuffled(seed),), {"steps_per_epoch": 4}),
    "generator": (lambda seed: (_endless(seed),), {"steps_per_epoch": 4}),
    "arrays cut": (lambda seed: (X + seed, X[:, 0]), {"batch_size": 8, "steps_per_epoch": 4}),
}


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_training_on_batches_goes_on_where_it_was_killed(kind, save_freq, tmp_path):
    make, given = BATCHES[kind]
    seen, folder = [], tmp_path / "backup"

    def train(*callbacks, seed=7):
        keras.utils.set_random_seed(5)
        model = _chain()
        model.compile(keras.optimizers.Adam(0.05), "mse")
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
        )
        model.fit(*make(seed), epochs=5, verbose=0, callbacks=[note, *callbacks], **given)
        return model, seen.copy(), seen.clear()

    def kill(batch, logs=None):
        if len(seen) == 11:
            raise Killed

    whole, losses, _ = train()
    backup = keras.callbacks.BackupAndRestore(folder, save_freq)
    with pytest.raises(Killed):
        train(backup, keras.callbacks.LambdaCallback(on_train_batch_end=kill))
    seen.clear()
    if kind != "arrays cut":
        with pytest.raises(ValueError, match="x: gives other batches than it gave"):
            train(keras.callbacks.BackupAndRestore(folder, save_freq), seed=8)
        assert not seen
    resumed, after, _ = train(keras.callbacks.BackupAndRestore(folder, save_freq))
    # Not one step is taken twice after the file was written, and each shows what it would have.
    each = len(losses) // 5
    assert len(losses) - len(after) == (10 if save_freq == 2 else 11 // each * each)
    assert after == losses[-len(after) :]
    assert not folder.exists()
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_backups_refuse_a_stream_that_is_spent(tmp_path):
    def once():
        yield from [(X[:8], X[:8, 0]), (X[8:], X[8:, 0])]

    model = _chain()
    model.compile("adam", "mse")
    keep = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    stream = Shuffled(0)
    model.fit(stream, verbose=0, callbacks=[keep])
    before = model.get_weights()
    with pytest.raises(ValueError, match="x: gives other batches than it gave"):
        model.fit(stream, epochs=2, verbose=0, callbacks=[keep])
    with pytest.raises(ValueError, match="x: gives other batches than it gave"):
        model.fit(once(), epochs=2, verbose=0, callbacks=[keep])
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_backups_refuse_the_file_of_another_model(tmp_path):
    model = _chain()
    model.compile("adam", "mse")
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    model.fit(X, X[:, 0], verbose=0, callbacks=[backup])
    other = _graph()
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"training.safetensors"):
        other.fit(X, X[:, 0], verbose=0, callbacks=[backup])
    with pytest.raises(ValueError, match="Invalid value for argument `save_freq`"):
        keras.callbacks.BackupAndRestore(tmp_path, 0)


# ---- Loops of users ------------------------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_a_users_loop_does_what_fit_does():
    def made():
        return filled(keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu"),
                                        layers.Dense(2, "softmax")]))  # fmt: skip

    fitted, looped = made(), made()
    fitted.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    fitted.fit(X, KINDS, batch_size=24, epochs=4, verbose=0)
    loss_of, optimizer = keras.losses.SparseCategoricalCrossentropy(), keras.optimizers.Adam(0.01)
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss = loss_of(KINDS, looped(X, training=True))
        gradients = tape.gradient(loss, looped.trainable_weights)
        optimizer.apply_gradients(zip(gradients, looped.trainable_weights, strict=True))
    assert isinstance(loss, tf.Tensor)
    for ours, theirs in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "bce", "kld", "hinge", "log_cosh"])
@pytest.mark.usefixtures("float64")
def test_losses_over_tensors_have_the_gradients_of_differences(name):
    y, p = (X[:4] > 0).astype(float), 1 / (1 + np.exp(-X[4:8]))
    function = getattr(keras.losses, name)
    tensor = tf.Tensor(np.array(p))
    tensor.requires_grad = True
    rows = function(y, tensor)
    np.testing.assert_allclose(rows.data, function(y, p), rtol=1e-12)
    ops.sum(rows * np.arange(1.0, 5)).backward()
    for place in ((0, 0), (3, 2)):
        moved = [np.array(p), np.array(p)]
        for one, step in zip(moved, (1e-6, -1e-6), strict=True):
            one[place] += step
        values = [float((function(y, one) * np.arange(1.0, 5)).sum()) for one in moved]
        slope = (values[0] - values[1]) / 2e-6
        assert tensor.grad[place] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_functions_of_ops_are_those_of_numpy():
    x = X[:4].astype("float32")
    for name in ("exp", "square", "abs", "sqrt", "log"):
        given = np.abs(x) + 0.5
        np.testing.assert_allclose(getattr(ops, name)(given), getattr(np, name)(given), rtol=1e-5)
    for name in ("sum", "mean", "max", "min", "var", "std"):
        np.testing.assert_allclose(
            getattr(ops, name)(x, axis=1), getattr(np, name)(x, axis=1), rtol=2e-5
        )
    np.testing.assert_array_equal(ops.take(x, [0, 2], axis=1), x[:, [0, 2]])
    np.testing.assert_array_equal(ops.one_hot([1, 0], 2), [[0, 1], [1, 0]])
    assert ops.shape(x) == (4, 3)
    assert int(ops.argmax(x)) == int(np.argmax(x))


def test_tensorflows_path_leads_to_the_same_modules():
    import deepc.tf.keras.layers
    from deepc.tf.keras import layers as same
    from deepc.tf.keras.datasets import mnist
    from deepc.tf.keras.models import Sequential

    assert same is layers
    assert deepc.tf.keras.layers is layers
    assert tf.keras.Sequential is keras.Sequential
    assert Sequential is keras.Sequential
    assert mnist is keras.datasets.mnist


def refusals():
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    both = two_inputs()
    both.compile("adam", "mse")

    class Bare(layers.Layer):
        pass

    class NoCall(keras.Model):
        pass

    class Forgot(layers.Layer):
        def __init__(self):
            self.units = 1

    class Detour(layers.Layer):
        def call(self, inputs):
            return np.asarray(inputs)

    def detour(y, p):
        return np.mean((np.asarray(y) - np.asarray(p)) ** 2)

    def fitting(loss):
        model = keras.Sequential([layers.Input((3,)), layers.Dense(1)])
        model.compile("sgd", loss)
        return lambda: model.fit(X, X[:, 0], verbose=0)

    return [
        (lambda: layers.Add()(a), "should be called on a list of inputs"),
        (lambda: layers.Add()([a, b]), r"incompatible shapes. Received shapes \(3,\) and \(2,\)"),
        (lambda: layers.Subtract()([a, a, a]), "exactly 2 inputs"),
        (lambda: layers.Concatenate(0)([a, a]), "not the batch, got 0"),
        (lambda: layers.Dense(2)([a, b]), r"expects 1 input\(s\), but it received 2"),
        (lambda: keras.Model(a, layers.Dense(1)(b)), "not connected to `inputs`: it needs 'b'"),
        (lambda: keras.Model(a, X), "`outputs` values must be KerasTensors"),
        (lambda: both.fit([X], X[:, 0]), r"expects 2 input\(s\), but it received 1"),
        (lambda: both.predict([Z, Z], verbose=0), r"for input 'a'. Expected shape \(None, 3\)"),
        (lambda: both.fit({"a": X, "c": Z}, X[:, 0]), r"keys \['a', 'c'\]"),
        (lambda: both.fit([X, Z[:5]], X[:, 0]), "Data cardinality is ambiguous"),
        (lambda: both.fit([X, np.full_like(Z, np.nan)], X[:, 0]), "expected finite numbers"),
        (lambda: Bare()(X), "does not have a `call` method"),
        (lambda: NoCall()(X), r"does not have a `call\(\)` method"),
        (lambda: Forgot()(X), r"forgot to call `super\(\).__init__\(\)`"),
        (lambda: Detour()(X), "gave ndarray instead of a Tensor"),
        (lambda: Bare().add_weight((None, 2)), "no `None` dimensions"),
        (lambda: Bare().add_loss(1.0), "expected a Tensor of one element"),
        (lambda: bool(a), "cannot be used as a boolean"),
        (lambda: np.exp(a), "a place without numbers"),
        (fitting(detour), "instead of a Tensor"),
        (fitting(lambda y, p: ops.mean(y)), "does not depend on the predictions"),
        (fitting(lambda y, p: None), "gave None"),
    ]


@pytest.mark.parametrize("case", range(len(refusals())))
def test_refusals(case):
    call, words = refusals()[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((ValueError, TypeError, RuntimeError, NotImplementedError), match=words):
            call()
