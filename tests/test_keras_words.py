"""What Keras' face prints and says: lines, tables, callbacks' words, errors."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from deepc import keras
from deepc.keras import callbacks, layers
from deepc.keras.optimizers import SGD


def masked(text):
    """Return a text with times masked."""
    text = re.sub(r"\d+s(?= )", "Ts", text)
    return re.sub(r"\d+(s|ms|us)/step", "T/step", text)


def small(**more):
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")])
    model.set_weights([np.ones((2, 1)), np.zeros(1)])
    model.compile(SGD(0.0), "binary_crossentropy", **more)
    return model


X, Y = np.ones((70, 2)), np.ones(70)
BAR = "━" * 20


def test_lines_of_fit_evaluate_and_predict(capsys):
    model = small(metrics=["accuracy"])
    model.fit(X, Y, epochs=2, validation_data=(X, Y))
    line = (
        f"3/3 {BAR} Ts T/step - accuracy: 1.0000 - loss: 0.1269 - val_accuracy: 1.0000 - "
        "val_loss: 0.1269"
    )
    assert masked(capsys.readouterr().out) == f"Epoch 1/2\n{line}\nEpoch 2/2\n{line}\n"
    model.evaluate(X, Y)
    assert masked(capsys.readouterr().out) == (
        f"3/3 {BAR} Ts T/step - accuracy: 1.0000 - loss: 0.1269\n"
    )
    model.predict(X)
    assert masked(capsys.readouterr().out) == f"3/3 {BAR} Ts T/step\n"
    model.fit(X, Y, verbose=2)
    assert masked(capsys.readouterr().out) == (
        "3/3 - Ts - T/step - accuracy: 1.0000 - loss: 0.1269\n"
    )
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


def test_small_numbers_have_an_exponent(capsys):
    bar = keras.utils.Progbar(100)
    bar.update(100, [("loss", 0.0), ("b", 3.7298e-4), ("c", 12.34567)])
    assert masked(capsys.readouterr().out) == (
        f"100/100 {BAR} Ts T/step - loss: 0.0000e+00 - b: 3.7298e-04 - c: 12.3457\n"
    )


def test_summary():
    code = (
        "from deepc import keras; from deepc.keras import layers as l\n"
        "m = keras.Sequential([l.Input((28, 28)), l.Flatten(), l.Dense(128), l.Dense(10)])\n"
        "m.compile('adam', 'mse')\n"
        "import numpy as np; m.fit(np.zeros((2, 28, 28)), np.zeros((2, 10)), verbose=0)\n"
        "m.summary()"
    )
    out = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True,
                         encoding="utf-8", check=True, env={**__import__("os").environ,
                                                           "COLUMNS": "80"}).stdout  # fmt: skip
    assert (
        out
        == """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ flatten (Flatten)               │ (None, 784)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 128)            │       100,480 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │         1,290 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 305,312 (1.16 MB)
 Trainable params: 101,770 (397.54 KB)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 203,542 (795.09 KB)
"""
    )


@pytest.mark.parametrize("length", [60, 70, 76, 88])
def test_widths_of_the_table(length):
    text = []
    small().summary(line_length=length, print_fn=text.append)
    first = text[0].splitlines()[1]
    ends = [int(0.45 * length), int(0.8 * length), length]
    widths = [ends[0] - 1, ends[1] - ends[0] - 2, ends[2] - ends[1] - 1]
    assert list(map(len, first[1:-1].split("┳"))) == widths
    assert text[0].endswith("\n")


def test_long_names_are_wrapped():
    text = []
    keras.backend.clear_session()
    model = keras.Sequential([layers.BatchNormalization()])
    model.summary(60, print_fn=text.append)
    assert "│ batch_normalization      │ ?" in text[0]
    assert "│ (BatchNormalization)     │ " in text[0]
    assert "(unbuilt)" in text[0]


# ---- Callbacks -----------------------------------------------------------------------------------


def run(callback, values, name="loss", rate=0.5):
    """Run a callback over epochs in which a number is as said; return the logs of each."""
    model = small()
    model.optimizer.learning_rate = rate
    model.history = callbacks.History()
    model.stop_training = False
    callback.set_model(model)
    callback.set_params({})
    callback.on_train_begin()
    seen = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full((2, 1), epoch + 1.0), np.zeros(1)])
        logs = {name: value}
        callback.on_epoch_end(epoch, logs)
        seen.append(logs)
        if model.stop_training:
            break
    callback.on_train_end()
    return seen, model


STOPPING = [
    ({"patience": 2}, [3, 2, 2, 2, 2, 2], 4),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.5, 2.4, 2.3, 2.2, 2.1], 5),
    ({"patience": 0}, [3, 2, 1, 2, 1], 4),
    ({"patience": 0}, [1, 1, 1], 2),
    ({"patience": 1, "start_from_epoch": 4}, [9, 8, 1, 2, 3, 4, 5], 6),
    ({"patience": 2, "baseline": 1}, [3, 2, 2.5, 2.5], 3),
    ({"patience": 2}, [1, np.nan, np.nan, np.nan], 3),
]


@pytest.mark.parametrize(("arguments", "values", "epochs"), STOPPING)
def test_early_stopping(arguments, values, epochs):
    seen, _ = run(callbacks.EarlyStopping("loss", **arguments), values)
    assert len(seen) == epochs


def test_early_stopping_restores_also_at_the_end(capsys):
    callback = callbacks.EarlyStopping("loss", patience=5, restore_best_weights=True, verbose=1)
    _, model = run(callback, [3, 1, 2, 2.5])
    assert model.get_weights()[0][0, 0] == 2.0
    assert capsys.readouterr().out == (
        "Restoring model weights from the end of the best epoch: 2.\n"
    )
    run(callbacks.EarlyStopping("loss", patience=1, verbose=1), [3, 2, 2])
    assert capsys.readouterr().out == "Epoch 3: early stopping\n"


def test_a_monitor_that_is_not_there_is_said():
    with pytest.warns(UserWarning, match="conditioned on metric `val_loss` which is not avail"):
        run(callbacks.EarlyStopping(), [1.0])


@pytest.mark.parametrize(
    ("cooldown", "rates"),
    [(0, [0.5, 0.5, 0.5, 0.05, 0.05, 0.005]), (2, [0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005])],
)
def test_reduce_on_plateau(cooldown, rates, capsys):
    callback = callbacks.ReduceLROnPlateau("loss", patience=2, cooldown=cooldown, verbose=1)
    seen, _ = run(callback, [1.0] * len(rates))
    np.testing.assert_allclose([logs["learning_rate"] for logs in seen], rates)
    assert "\nEpoch 3: ReduceLROnPlateau reducing learning rate to 0.05.\n" in (
        capsys.readouterr().out
    )


def test_scheduler_sets_and_shows_the_rate(capsys):
    model = small()
    callback = callbacks.LearningRateScheduler(lambda epoch, lr: 0.25, verbose=1)
    history = model.fit(X, Y, callbacks=[callback], verbose=2)
    assert history.history["learning_rate"] == [0.25]
    out = capsys.readouterr().out
    assert "\nEpoch 1: LearningRateScheduler setting learning rate to 0.25.\n" in out
    assert "- learning_rate: 0.2500" in out


def test_order_of_hooks():
    calls = []

    class Told(callbacks.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_") and "predict" not in name:
                return lambda *a: calls.append(name)
            return super().__getattribute__(name)

        def on_train_batch_end(self, batch, logs=None):
            pass

    small().fit(X[:2], Y[:2], validation_data=(X[:2], Y[:2]), verbose=0, callbacks=[Told()])
    assert calls == [
        "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
        "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip


def test_csv_logger_and_checkpoints(tmp_path, capsys):
    model = small()
    path = tmp_path / "deep" / "m{epoch:02d}.keras"
    best = callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True, verbose=1)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "l.csv"), best])
    head, first, *_ = (tmp_path / "l.csv").read_bytes().split(b"\r\n")
    assert head == b"epoch,loss"
    assert first.startswith(b"0,0.126")
    assert [p.name for p in sorted(path.parent.iterdir())] == ["m01.keras"]
    out = capsys.readouterr().out
    assert "\nEpoch 1: loss improved from None to 0.12693, saving model to " in out
    assert "\nEpoch 2: loss did not improve from 0.12693\n" in out


def test_stop_training_and_nan(capsys):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = small()
    history = model.fit(X, Y, epochs=5, batch_size=10, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2
    nan = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    nan.compile(SGD(1e30), "mse")
    with pytest.warns(RuntimeWarning, match="loss became"):
        nan.fit(X[:, :1], Y, verbose=0, batch_size=1, callbacks=[callbacks.TerminateOnNaN()])
    assert re.search(r"Batch \d+: Invalid loss, terminating training\n", capsys.readouterr().out)


# ---- Errors --------------------------------------------------------------------------------------


def dense(units=3, inputs=4, loss="mse", activation=None):
    model = keras.Sequential([layers.Input((inputs,)), layers.Dense(units, activation)])
    model.compile("sgd", loss)
    return model


FOUR = np.ones((10, 4))
CASES = [
    (lambda: keras.Sequential([layers.Dense(1)]).fit(FOUR, FOUR), "You must call `compile()`"),
    (lambda: keras.Sequential([layers.Dense(1)]).count_params(), "but the layer isn't built"),
    (lambda: dense().fit(np.ones((10, 3)), FOUR[:, :3]), "expected axis -1 of input shape to have"),
    (lambda: dense().predict(np.ones(4)), "but input has incompatible shape (4,)"),
    (lambda: layers.Dense(1)(np.ones(4)), "expected min_ndim=2, found ndim=1"),
    (lambda: dense().fit(FOUR, np.ones((5, 3))), "Data cardinality is ambiguous"),
    (lambda: dense(loss="sparse_categorical_crossentropy").fit(FOUR, np.ones((10, 3))),
     "must have rank (ndim) `target.ndim - 1`"),
    (lambda: dense(loss="categorical_crossentropy").fit(FOUR, np.ones(10)),
     "must have the same rank (ndim)"),
    (lambda: dense(loss="sparse_categorical_crossentropy").fit(FOUR, np.full(10, 4)),
     "label value of 4 which is outside the valid range of [0, 3)"),
    (lambda: small(metrics="accuracy"), "Expected `metrics` argument to be a list, tuple, or dict"),
    (lambda: layers.Dense(0), "Received an invalid value for `units`"),
    (lambda: layers.Dense(3.0), "Received an invalid value for `units`"),
    (lambda: layers.Dropout(1.5), "Expected a float value between 0 and 1"),
    (lambda: dense(loss=None).fit(FOUR, FOUR[:, :3]), "No loss to compute"),
    (lambda: keras.Sequential().build((None, 4)), "cannot be built because it has no layers"),
    (lambda: keras.Sequential(["a"]), "Only instances of `keras.Layer` can be added"),
    (lambda: keras.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
     "should have unique names. Name 'a'"),
    (lambda: dense().set_weights([np.ones((4, 3))]), "the layer was expecting 2 weights"),
    (lambda: dense().set_weights([np.ones((4, 2)), np.ones(3)]), "weight shape (4, 3) is not comp"),
    (lambda: dense().fit(FOUR, FOUR[:, :3], validation_split=1.0), "not sufficient to split"),
    (lambda: dense().save("x.txt"), "Invalid filepath extension for saving"),
    (lambda: dense().save_weights("x.h5"), "The filename must end in `.weights.h5`"),
    (lambda: keras.models.load_model("nope.keras"), "File not found: filepath=nope.keras"),
    (lambda: dense().get_layer("zzz"), "No such layer: zzz. Existing layers are: ['"),
    (lambda: dense().fit(FOUR, FOUR[:, :3], batch_size=0), "batch_size: expected at least 1"),
    (lambda: dense().fit(FOUR[:0], FOUR[:0, :3]), "expected at least one sample"),
    (lambda: dense().fit(FOUR * np.nan, FOUR[:, :3]), "expected finite numbers"),
    (lambda: dense(loss="sparse_categorical_crossentropy").fit(
        FOUR, np.zeros(10), class_weight=[1, 2]), "`class_weight` must be a dictionary"),
    (lambda: dense(loss="sparse_categorical_crossentropy").fit(
        FOUR, np.zeros(10), class_weight={"a": 1}), "`class_weight` must be a dictionary"),
    (lambda: dense().fit(FOUR, FOUR[:, :3], class_weight={0: 1}, sample_weight=np.ones(10)),
     "You cannot `class_weight` and `sample_weight`"),
    (lambda: layers.Dense(1, foo=1), "Unrecognized keyword arguments passed to Dense: {'foo': 1}"),
    (lambda: layers.Input(4), "Cannot convert '4' to a shape."),
    (lambda: keras.utils.to_categorical([-1]), "at least 0, got -1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), CASES, ids=range(len(CASES)))
def test_errors(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="Conv2D is not supported; the nearest is layers"):
        _ = layers.Conv2D
    with pytest.raises(AttributeError, match="no attribute 'Densse'; did you mean 'Dense'"):
        _ = layers.Densse
    with pytest.raises(AttributeError, match="TensorBoard is not supported"):
        _ = callbacks.TensorBoard
    with pytest.raises(AttributeError, match="before accessing `kernel`"):
        _ = layers.Dense(1).kernel
    with pytest.raises(TypeError, match="unexpected keyword argument 'nb_epoch'"):
        dense().fit(FOUR, FOUR[:, :3], nb_epoch=1)
    with pytest.raises(IndexError):
        keras.utils.to_categorical([3], 2)
    with pytest.raises(AttributeError, match=r"einsum is not supported; the nearest is ops.matmul"):
        _ = keras.ops.einsum


def test_names_of_layers_and_weights():
    keras.backend.clear_session()
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])
    assert repr(model) == "<Sequential name=sequential, built=True>"
    assert repr(model.layers[1]) == "<Dense name=dense_1, built=True>"
    assert layers.LeakyReLU().name == "leaky_re_lu"
    assert keras.optimizers.RMSprop().name == "rm_sprop"
    kernel = model.layers[0].kernel
    assert (kernel.path, kernel.name, kernel.shape) == ("sequential/dense/kernel", "kernel", (4, 3))
    assert repr(model.layers[0].bias) == (
        "<Variable path=sequential/dense/bias, shape=(3,), dtype=float32, value=[0. 0. 0.]>"
    )
    limit = np.sqrt(6 / 7)
    assert 0.5 * limit < np.abs(kernel.numpy()).max() <= limit


def test_files_come_back(tmp_path):
    model = keras.Sequential([layers.Input((4,)), layers.Dense(5, "gelu", kernel_regularizer="l2"),
                              layers.BatchNormalization(), layers.Dropout(0.3),
                              layers.Dense(3, "softmax")])  # fmt: skip
    model.compile(SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("f4")
    y = np.arange(20) % 3
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert again.optimizer.iterations == 1
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    fresh = keras.models.clone_model(model)
    assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])
    fresh.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), model.predict(x, verbose=0))
    content = (tmp_path / "m.keras").read_bytes()
    (tmp_path / "bad.keras").write_bytes(content.replace(b'"Dense"', b'"Dance"'))
    with pytest.raises(ValueError, match=r"damaged|layer 'Dance'"):
        keras.models.load_model(tmp_path / "bad.keras")
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"no \.keras file"):
        keras.models.load_model(tmp_path / "cut.keras")
