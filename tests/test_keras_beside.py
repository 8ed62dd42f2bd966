"""The same programs with Keras itself, where one is installed: what they print must be the same.

The variable KERAS_PYTHON names the Python in whose environment Keras is; `make test-keras` makes
one. Times are masked, and so are the colours that Keras prints into pipes too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

KERAS_PYTHON = os.environ.get("KERAS_PYTHON")
pytestmark = pytest.mark.skipif(not KERAS_PYTHON, reason="KERAS_PYTHON names no Python with Keras")

START = """
import numpy as np
x = np.linspace(-1, 1, 120).reshape(40, 3).astype("float32")
labels = np.arange(40) % 2
def net(*last, first="tanh"):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, first), *last])
    model.set_weights([0.6 + np.cos(np.arange(w.size) + i).reshape(w.shape) / 2
                       for i, w in enumerate(model.get_weights())])
    return model
def filled(model):
    model.set_weights([np.cos(np.arange(w.size) + i).reshape(w.shape) / 2
                       for i, w in enumerate(model.get_weights())])
    return model
"""
PROGRAMS = {
    "classes": """
model = net(layers.Dense(2, "softmax"))
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, labels, epochs=3, shuffle=False, validation_split=0.25)
model.evaluate(x, labels)
print(model.predict(x[:3]).round(3))
model.summary()
""",
    "one output": """
model = net(layers.Dense(1, "sigmoid"))
model.compile("adam", "binary_crossentropy",
              metrics=["accuracy", keras.metrics.Precision()])
history = model.fit(x, labels, epochs=2, batch_size=8, shuffle=False, verbose=2)
print(sorted(history.history), history.epoch, history.params)
print([round(v, 4) for v in model.evaluate(x, labels, verbose=0)])
""",
    "regression": """
model = net(layers.LeakyReLU(), layers.Dense(2, kernel_regularizer="l2"), first="gelu")
model.compile(keras.optimizers.RMSprop(0.01), "mse", metrics=["mae"])
model.fit(x, x[:, :2], epochs=2, shuffle=False, callbacks=[
    keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2, verbose=1)])
model.summary(line_length=70, show_trainable=True)
""",
    "normalization": """
model = net(layers.BatchNormalization(), layers.LayerNormalization(), layers.Dense(1))
model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "huber")
model.fit(x, x[:, 0], epochs=2, shuffle=False, validation_data=(x, x[:, 0]))
print(model.train_on_batch(x, x[:, :1]) > 0, model.count_params())
model.summary()
""",
    "early stopping": """
model = net(layers.Dense(2, "softmax"))
model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
model.fit(x, labels, epochs=9, shuffle=False, callbacks=[
    keras.callbacks.ReduceLROnPlateau("loss", patience=1, verbose=1),
    keras.callbacks.EarlyStopping("loss", patience=2, verbose=1, restore_best_weights=True)])
""",
    "graph": """
a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
h = layers.Dense(4, "tanh")(a)
s = layers.Add()([h, layers.Dense(4)(b)])
joined = layers.Concatenate()([s, h, layers.Multiply()([h, s]), b])
outputs = [layers.Dense(1, name="number")(joined), layers.Dense(2, "softmax", name="kind")(s)]
model = filled(keras.Model([a, b], outputs))
model.summary()
model.compile("adam", ["mse", "sparse_categorical_crossentropy"],
              metrics=[["mae"], ["accuracy"]], loss_weights=[1.0, 0.5])
model.fit([x, x[:, :2]], [x[:, 0], labels], epochs=2, batch_size=8, shuffle=False,
          validation_split=0.25)
print([round(v, 4) for v in model.evaluate([x, x[:, :2]], [x[:, 0], labels], verbose=0)[:3]])
print([p.shape for p in model.predict({"a": x, "b": x[:, :2]}, verbose=0)])
model.compile("sgd", {"number": "mae", "kind": "sparse_categorical_crossentropy"},
              metrics={"kind": "accuracy"})
model.fit({"a": x, "b": x[:, :2]}, {"number": x[:, 0], "kind": labels}, shuffle=False, verbose=2)
""",
    "shared and merged": """
a = layers.Input((3,), name="a")
shared = layers.Dense(3, "relu")
both = [shared(a), shared(a * 2.0)]
merged = [layers.Average()(both), layers.Maximum()(both), layers.Minimum()(both),
          layers.Subtract()(both)]
out = layers.Dense(1)(layers.Concatenate()(merged)) + a[:, 0:1]
model = filled(keras.Model(a, out))
model.summary(line_length=70, show_trainable=True)
model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", metrics=["mae"])
model.fit(x, x[:, 0], epochs=3, batch_size=8, shuffle=False)
print(model.predict(x[:3], verbose=0).round(3))
""",
    "layers of one's own": """
class Scaled(layers.Layer):
    def __init__(self, units, **given):
        super().__init__(**given)
        self.units, self.inner = units, layers.Dense(units, "tanh")
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        self.offset = self.add_weight(shape=(), initializer="zeros", trainable=False)
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.w) + self.offset + self.inner(inputs)
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.blocks = Scaled(4), [layers.Dense(3, "relu"), layers.Dense(3)]
        self.dropout, self.last = layers.Dropout(0.0), layers.Dense(2, "softmax")
    def call(self, inputs, training=False):
        y = self.first(inputs)
        for block in self.blocks:
            y = block(y)
        return self.last(self.dropout(y, training=training))
model = Net()
model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.evaluate(x, labels, verbose=0)
filled(model)
model.fit(x, labels, epochs=3, batch_size=16, shuffle=False)
model.summary()
print([v.path for v in model.weights], model, model.layers[0].get_config()["units"])
again = keras.Sequential([layers.Input((3,)), Scaled(2), layers.Dense(1)])
again.summary()
filled(again).compile("sgd", "mse")
again.fit(x, x[:, 0], shuffle=False, verbose=2)
""",
    "losses of one's own": """
ops = keras.ops
def error(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred) + ops.abs(y_true - y_pred), axis=-1)
class Weighted(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.losses.mean_squared_error(y_true, y_pred) * 3
class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.01 * ops.sum(ops.square(inputs)))
        return inputs
for loss in (error, Weighted(), lambda y_true, y_pred: ops.sum(ops.square(y_true - y_pred))):
    model = net(layers.Dense(2))
    model.compile("sgd", loss, metrics=[error])
    model.fit(x, x[:, :2], batch_size=8, shuffle=False, verbose=2)
    print(round(model.evaluate(x, x[:, :2], sample_weight=None, verbose=0)[0], 3))
model = net(Penalty(), layers.Dense(2))
model.compile(keras.optimizers.Adam(0.01), Weighted(), metrics=["mae"])
model.fit(x, x[:, :2], epochs=2, shuffle=False, sample_weight=np.arange(40.0) / 40)
""",
    "activities": """
model = net(layers.BatchNormalization(activity_regularizer="l1"),
            layers.ActivityRegularization(0.1),
            layers.Dense(2, "softmax", activity_regularizer=keras.regularizers.L1L2(0.1, 0.2)))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, labels, epochs=3, batch_size=16, shuffle=False, validation_data=(x, labels))
print([round(float(v), 4) for v in model.train_on_batch(x, labels)])
model.summary()
print(model.layers[2].get_config()["l1"], model.layers[3].get_config()["activity_regularizer"])
""",
    "steps of one's own": """
class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(4, "tanh", kernel_regularizer="l2"), layers.Dense(1)
        self.seen = keras.metrics.Mean(name="seen")
    def call(self, inputs, training=False):
        return self.out(self.hidden(inputs))
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        error = keras.ops.mean(keras.ops.square(keras.ops.reshape(y, (-1, 1)) - y_pred))
        return error + sum(self.losses)
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.seen.update_state(y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)
model = Own()
model.predict(x, verbose=0)
filled(model).compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
model.fit(x, x[:, 0], epochs=3, batch_size=16, shuffle=False, validation_data=(x[:8], x[:8, 0]))
model.evaluate(x, x[:, 0], batch_size=16)
print([round(float(v), 4) for v in model.evaluate(x, x[:, 0], verbose=0)])
print([round(float(v), 4) for v in model.predict(x[:3], verbose=0).ravel()])
""",
    "more dimensions": """
z = np.linspace(-1, 1, 240).reshape(20, 4, 3).astype("float32")
kinds = np.arange(80).reshape(20, 4) % 2
model = filled(keras.Sequential([layers.Input((4, 3)), layers.Dense(5, "tanh"),
                                 layers.LayerNormalization(), layers.Dense(2, "softmax")]))
model.summary()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(z, kinds, epochs=2, batch_size=4, shuffle=False, validation_data=(z, kinds))
model.compile("adam", "mse", metrics=["mae"])
model.fit(z, z[..., :2], shuffle=False)
print(model.predict(z[:1], verbose=0).round(3))
""",
}


def printed(python, imports, program, **environment):
    code = imports + START + program
    result = subprocess.run(
        [python, "-X", "utf8", "-W", "ignore", "-c", code],
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr.decode()
    # As bytes, because a text's carriage returns would become ends of lines.
    text = re.sub(r"\x1b\[\d+m", "", result.stdout.decode())
    # Of a bar that is drawn again and again in place the last picture counts.
    text = "\n".join(re.split("[\b\r]+", line)[-1].rstrip() for line in text.split("\n"))
    text = re.sub(r"\d+s(?= )", "Ts", text)
    return re.sub(r"\d+(s|ms|us)/step", "T/step", text)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_text(name):
    program = PROGRAMS[name]
    ours = printed(
        sys.executable, "from deepc import keras\nfrom deepc.keras import layers\n", program
    )
    theirs = printed(
        KERAS_PYTHON,
        "import keras\nfrom keras import layers\n",
        program,
        KERAS_BACKEND=os.environ.get("KERAS_BACKEND", "jax"),
    )
    assert ours == theirs
