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
