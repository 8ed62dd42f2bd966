"""Random programs of deepc's Python interface against a model of it in float64 NumPy.

    python tests/random_api.py [seconds [seed]]        10 seconds, a seed of the clock

A program builds a network, then computes, trains, changes, copies it and hands it junk. What comes
out must be near the model's; junk must be refused and change nothing. A failure names the seed of
its program, and ``random_api.py 0 SEED`` repeats it.
"""

from __future__ import annotations

import copy
import math
import pickle
import random
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import deepc
import numpy as np
from deepc import (
    SSE,
    BatchNorm,
    Dropout,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
)
from deepc._c.losses import LOSSES
from deepc.activations import LAYERS, Activation
from deepc.losses import CLASSES
from test_optimizers import CASES

# ---- The model -----------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.logaddexp(0, x)


# The value of each activation, by its parameter.
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "identity": lambda x, p: x,
    "sigmoid": lambda x, p: sigmoid(x),
    "tanh": lambda x, p: np.tanh(x),
    "relu": lambda x, p: np.maximum(x, 0),
    "leaky_relu": lambda x, p: np.where(x > 0, x, p * x),
    "elu": lambda x, p: np.where(x > 0, x, p * np.expm1(np.minimum(x, 0))),
    "celu": lambda x, p: np.where(x > 0, x, p * np.expm1(np.minimum(x, 0) / p)),
    "selu": lambda x, p: 1.0507009873554805
    * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "softplus": lambda x, p: softplus(x),
    "softsign": lambda x, p: x / (1 + abs(x)),
    "hard_sigmoid": lambda x, p: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x, p: x * np.clip(x / 6 + 0.5, 0, 1),
    "relu6": lambda x, p: np.clip(x, 0, 6),
    "exponential": lambda x, p: np.exp(x),
    "log_sigmoid": lambda x, p: -softplus(-x),
    "silu": lambda x, p: x * sigmoid(x),
    "gelu_tanh": lambda x, p: x
    * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "mish": lambda x, p: x * np.tanh(softplus(x)),
    "gelu": lambda x, p: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2,
}  # fmt: skip


def normalized(x: Any, axis: int, epsilon: float) -> Any:
    mean = x.mean(axis, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis, keepdims=True) + epsilon)


def function_of(layer: Any) -> Callable[[list[Any], Any], Any]:
    """Return what a layer computes of its parameters and its input in training, after a pass."""
    if isinstance(layer, Linear):
        return lambda p, x: x @ p[0].T + p[1]
    if isinstance(layer, Activation):
        parameter = getattr(layer, layer._parameter) if layer._parameter else None
        return lambda p, x: ACTIVATIONS[layer._activation or ""](x, parameter)
    if isinstance(layer, Dropout):
        factor = layer.mask / (1 - layer.p if layer.inverted else 1)
        return lambda p, x: x * factor
    if isinstance(layer, LayerNorm):
        return lambda p, x: normalized(x, -1, layer.epsilon) * p[0] + p[1]
    if isinstance(layer, BatchNorm):
        return lambda p, x: normalized(x, 0, layer.epsilon) * p[0] + p[1]
    if isinstance(layer, PReLU):
        return lambda p, x: np.where(x > 0, x, x * p[0])
    log = isinstance(layer, LogSoftmax)
    assert log or isinstance(layer, Softmax)

    def of_rows(p: list[Any], x: Any) -> Any:
        y = x - x.max(-1, keepdims=True)
        y = y - np.log(np.exp(y).sum(-1, keepdims=True))
        return y if log else np.exp(y)

    return of_rows


class Model:
    """What a network's last pass should have been, from formulas in float64."""

    def __init__(self, net: Any) -> None:
        self.functions = [function_of(layer) for layer in flat(net)]
        self.params = [[np.array(p, float) for p in layer.params()] for layer in flat(net)]
        self.largest = 0.0

    def forward(self, x: Any) -> Any:
        for function, params in zip(self.functions, self.params, strict=True):
            x = function(params, x)
            self.largest = float(np.maximum(self.largest, np.abs(x).max()))
        return x

    def slopes(self, x: Any, gradient: Any, rng: Any) -> list[tuple[Any, float, float]]:
        """Return a direction for each parameter and for x, and how fast (y * gradient) goes there.

        By differences; at a kink, where there is no one slope, NaN. The last number is how much the
        slopes of both sides differ, by curves and by small kinks.
        """
        found = []
        step = 1e-6
        for array in [p for params in self.params for p in params] + [x]:
            direction, before = rng.standard_normal(array.shape), array.copy()
            values = []
            for way in (-step, 0.0, step):
                array[...] = before + way * direction
                values.append(float((self.forward(x) * gradient).sum()))
            array[...] = before
            low, high = (values[1] - values[0]) / step, (values[2] - values[1]) / step
            kink = abs(high - low) > 1e-3 * (abs(high) + abs(low) + 1e-2)
            found.append((direction, math.nan if kink else (low + high) / 2, abs(high - low)))
        return found


def flat(net: Any) -> list[Any]:
    return [x for layer in net for x in (flat(layer) if isinstance(layer, Sequential) else [layer])]


def loss_of(loss: Any, predicted: Any, actual: Any) -> tuple[float, Any]:
    if isinstance(loss, SSE):
        return float(((predicted - actual) ** 2).sum()), 2 * (predicted - actual)
    top = predicted.max(axis=-1, keepdims=True)
    log = predicted - top - np.log(np.exp(predicted - top).sum(axis=-1, keepdims=True))
    return float(-(actual * log).sum()), actual.sum(axis=-1, keepdims=True) * np.exp(log) - actual


# ---- A program -----------------------------------------------------------------------------------

JUNK: list[Any] = [
    None, "text", b"bytes", object(), {}, [], [[]], [[1.0], [1.0, 2.0]], [None], ["1"], 1j, [1j],
    [10**400], np.array(["a"]), np.ones((2, 2, 2)), np.array([object()]), iter([1.0]), {1.0}, ...,
    np.ma.array([1.0, 2.0], mask=[0, 1]), lambda: 1, [[1.0, "x"]], float, np.datetime64("now"),
]  # fmt: skip
REDUCTIONS = ["sum", "mean", "mean_of_elements", "mean_by_weight"]
REFUSALS = (TypeError, ValueError, RuntimeError)


class Program:
    """One network, its model, and what is done with them."""

    def __init__(self, seed: int) -> None:
        self.random, self.rng = random.Random(seed), np.random.default_rng(seed)
        self.dtype = self.random.choice(["float32", "float64"])
        self.tolerance = 2e-4 if self.dtype == "float32" else 1e-9
        self.inputs, width = self.random.randint(1, 9), 0
        layers: list[Any] = []
        width = self.inputs
        for _ in range(self.random.randint(1, 4)):
            new = self.random.choice([1, 2, 3, 8, 17])
            layers.append(Linear(width, new, dtype=self.dtype, rng=self.random.randrange(99)))
            width = new
            if self.random.random() < 0.7:
                layers.append(self.between(width))
        if self.random.random() < 0.4:
            cut = self.random.randint(0, len(layers))
            layers[cut:] = [Sequential(layers[cut:])]
        self.net, self.outputs = Sequential(layers), width
        self.optimizer = self.new_optimizer()

    def new_optimizer(self) -> Any:
        """Return an optimizer; the rule of the model becomes the same."""
        # The step of Lion is a sign, which roundings may turn.
        make, rule = CASES[self.random.choice([name for name in CASES if name != "Lion"])]
        self.rule = rule()
        return make()

    def activation(self) -> Any:
        # Functions that grow fast are for once: behind each other they leave every range.
        return LAYERS[self.random.choice([name for name in ACTIVATIONS if name != "exponential"])]()

    def between(self, width: int) -> Any:
        """Return a layer that may stand behind so many columns, and keeps them."""
        seed = self.random.randrange(99)
        makers: list[Callable[[], Any]] = [
            Softmax,
            LogSoftmax,
            lambda: Dropout(self.random.choice([0.0, 0.3]), rng=seed),
            lambda: Dropout(0.5, inverted=True, rng=seed),
            lambda: LayerNorm(width, dtype=self.dtype),
            lambda: BatchNorm(width, 0.9, dtype=self.dtype),
            lambda: PReLU(width, dtype=self.dtype),
            lambda: PReLU(dtype=self.dtype),
            LAYERS["exponential"],
        ]
        return self.random.choice(makers)() if self.random.random() < 0.5 else self.activation()

    def has(self, kind: type) -> bool:
        return any(isinstance(layer, kind) for layer in flat(self.net))

    def numbers(self, *shape: int) -> Any:
        return self.rng.uniform(-1, 1, shape).astype(self.dtype)

    def guise(self, x: Any) -> Any:
        """Return the same numbers as something else that may be passed."""
        kind = self.random.randrange(7)
        if kind == 0:
            return x.tolist()
        if kind == 1:
            return np.asfortranarray(x)
        if kind == 2:
            wide = np.repeat(x, 2, axis=-1)
            return wide[..., ::2]
        if kind == 3:
            return x[..., ::-1].copy()[..., ::-1]
        if kind == 4:
            return x.astype(x.dtype.newbyteorder())
        if kind == 5:
            frozen = x.copy()
            frozen.flags.writeable = False
            return frozen
        return x

    def near(self, got: Any, expected: Any, what: str) -> None:
        got, expected = np.asarray(got, float), np.asarray(expected, float)
        assert got.shape == expected.shape, f"{what}: shape {got.shape}, right is {expected.shape}"
        most = self.tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
        assert np.allclose(got, expected, rtol=self.tolerance, atol=most), what

    def bits(self, net: Any = None) -> list[bytes]:
        params = [np.array(param) for param in (net or self.net).params()]
        for param in params:
            param[np.isnan(param)] = np.nan  # of which nobody promises the bits
        return [param.tobytes() for param in params]

    # What may be done, each by chance.

    def compute(self) -> bool:
        """Compare a pass; return whether its numbers are such that it could be."""
        one = self.random.random() < 0.4 and not self.has(BatchNorm)
        x = self.numbers(*(() if one else (self.random.randint(3, 9),)), self.inputs)
        given = self.guise(x)
        predicted = self.net.forward(given)
        model, exact = Model(self.net), x.astype(float)
        right = model.forward(exact)
        assert type(predicted) is (list if type(given) is list else np.ndarray)
        if not model.largest < 50:
            return False
        self.near(predicted, right, "forward")
        loss = self.random.choice([SSE(), SoftmaxCrossEntropy()])
        actual = self.rng.uniform(0, 1, right.shape)
        value, gradient = loss_of(loss, np.asarray(predicted, float), actual)
        self.near(loss.loss(predicted, self.guise(actual)), value, "loss")
        found = loss.gradient(predicted, self.guise(actual))
        self.near(found, gradient, "gradient of the loss")
        back = self.net.backward(found)
        got = [*self.net.grads(), back]
        slopes = model.slopes(exact, np.asarray(found, float), self.rng)
        for i, (grad, (direction, slope, apart)) in enumerate(zip(got, slopes, strict=True)):
            terms = np.asarray(grad, float) * direction
            # What cancels inside a layer is as large as the gradient behind it.
            size = float(np.abs(terms).sum() + np.abs(np.asarray(found, float)).sum())
            most = (1e-3 if self.dtype == "float32" else 1e-6) * size + apart
            if math.isfinite(slope) and size < 1e4:
                assert abs(float(terms.sum()) - slope) <= most + 1e-7, f"gradient {i}"
        return True

    def losses(self) -> None:
        """Compare any loss in float32 with float64, and its gradient with differences."""
        name = self.random.choice(list(CLASSES))
        reduction = self.random.choice(REDUCTIONS)
        loss: Any = CLASSES[name](reduction=reduction)
        shape = self.random.randint(1, 9), self.random.choice([1, 2, 3, 5, 8, 17, 33])
        low = -2.0 if name in ("huber", "log_cosh", "hinge", "squared_error") else 0.1
        p = self.rng.uniform(low, 0.9, shape).astype("f4").astype(float)
        t = self.rng.uniform(low, 0.9, shape).astype("f4").astype(float)
        more = [self.rng.uniform(0.5, 2, shape[0])] if self.random.random() < 0.5 else []
        if LOSSES[name].takes_labels and self.random.random() < 0.5:
            t = self.rng.integers(0, shape[1], shape[0])
        value, gradient = loss.loss(p, t, *more), loss.gradient(p, t, *more)
        narrow = [x.astype("f4") if x.dtype == float else x for x in (p, t, *more)]
        about = np.abs(gradient).sum() + abs(value) + shape[0] * 0.01
        assert abs(loss.loss(*narrow) - value) <= 1e-4 * about, f"{name} in float32"
        error = np.abs(loss.gradient(*narrow) - gradient).max()
        # What cancels is as large as weight over prediction, also where nothing is left of it.
        assert error <= 1e-4 * (np.abs(gradient).max() + 0.1), f"gradient of {name} in float32"
        direction, step = self.rng.standard_normal(shape), 1e-6
        above, below = (loss.loss(p + way * direction, t, *more) for way in (step, -step))
        low, high = (value - below) / step, (above - value) / step
        if abs(high - low) <= 1e-3 * (abs(high) + abs(low)):
            slope, sure = (high + low) / 2, np.abs(gradient * direction).sum() + abs(value)
            assert abs((gradient * direction).sum() - slope) <= 1e-5 * sure, f"gradient of {name}"

    def step(self) -> None:
        if not self.compute():
            return
        before, grads = [np.array(p, float) for p in self.net.params()], list(self.net.grads())
        self.optimizer.step(self.net)
        expected = self.rule.step(before, grads)
        for param, right in zip(self.net.params(), expected, strict=True):
            self.near(param, right, f"step of {self.optimizer}")
        if not max(np.abs(param).max() for param in self.net.params()) < 5:
            self.put_back(before)  # it would run away

    def put_back(self, params: list[Any]) -> None:
        for param, before in zip(self.net.params(), params, strict=True):
            param[...] = before
        self.optimizer = self.new_optimizer()

    def fit(self) -> None:
        rows = self.random.randint(2, 12)
        x, y = self.numbers(rows, self.inputs), self.numbers(rows, self.outputs)
        before = [np.array(p) for p in self.net.params()]
        size = self.random.randint(2 if self.has(BatchNorm) else 1, rows)
        other, same = copy.deepcopy(self.net), self.new_optimizer()
        ours = copy.deepcopy(same)
        reduction = self.random.choice(REDUCTIONS)
        loss: Any = self.random.choice([SSE, SoftmaxCrossEntropy])(reduction)
        if isinstance(loss, SoftmaxCrossEntropy) and self.random.random() < 0.5:
            y = self.rng.integers(0, self.outputs, rows)
        weights = self.rng.uniform(0.5, 2, rows) if self.random.random() < 0.5 else None
        history = deepc.fit(
            self.net, self.guise(x), self.guise(y), loss=loss, optimizer=ours, batch_size=size,
            progress=False, sample_weight=weights,
        )  # fmt: skip
        total = 0.0
        for start in range(0, rows, size):
            part = slice(start, start + size)
            more = [] if weights is None else [weights[part].astype(self.dtype)]
            predicted = other.forward(x[part])
            value = loss.loss(predicted, y[part], *more)
            total += value * (1 if reduction == "sum" else len(predicted))
            other.backward(loss.gradient(predicted, y[part], *more))
            same.step(other)
        assert self.bits() == self.bits(other), "fit and the same steps one by one"
        if math.isfinite(total):
            self.near(history[0], total / rows, "the loss that fit tells")
        self.put_back(before)  # a rate may be too large for a network

    def change(self) -> None:
        layers = self.net.layers
        place = self.random.randint(0, len(layers))
        if self.random.random() < 0.5 or len(layers) < 2:
            layers.insert(place, self.activation())
        elif isinstance(layers[place - 1], Activation):
            layers.pop(place - 1)
        if len(flat(self.net)) > 12:
            self.net.layers = [layer for layer in layers if not isinstance(layer, Activation)]
        self.optimizer = self.new_optimizer()

    def assign(self) -> None:
        linear = self.random.choice([one for one in flat(self.net) if isinstance(one, Linear)])
        new = self.numbers(*linear.w.shape)
        linear.w = self.guise(new)
        assert np.array_equal(linear.w, new), "weights that were assigned"

    def copied(self) -> None:
        how = self.random.randrange(8)
        other = (
            copy.deepcopy(self.net) if how > 5 else pickle.loads(pickle.dumps(self.net, how % 6))
        )
        assert self.bits(other) == self.bits(), "a copy"
        self.net = other
        self.optimizer = copy.copy(self.new_optimizer())

    def junk(self) -> None:
        value, before = self.random.choice(JUNK), self.bits()
        loss, calls = SSE(), []
        x = self.numbers(3, self.inputs)
        y = self.net.forward(x)
        linear = next(one for one in flat(self.net) if isinstance(one, Linear))
        calls = [
            lambda: self.net.forward(value),
            lambda: self.net.backward(value),
            lambda: loss.gradient(y, value),
            lambda: loss.loss(value, y),
            lambda: setattr(linear, "w", value),
            lambda: deepc.fit(self.net, x, value, loss=loss, optimizer=deepc.SGD()),
            lambda: deepc.fit(self.net, value, y, loss=loss, optimizer=deepc.SGD()),
            lambda: self.optimizer.step(value),
            lambda: self.net.layers.append(value) or self.net.forward(x),
            lambda: linear.__init__(value, 3),  # type: ignore[misc]
        ]
        layers = list(self.net.layers)
        call = self.random.choice(calls)
        try:
            call()
        except REFUSALS:
            pass
        else:
            raise AssertionError(f"{value!r} is taken by call {calls.index(call)}")
        finally:
            if len(self.net.layers) > len(layers):
                self.net.layers.pop()
        assert self.bits() == before, "what is refused changes nothing"

    def run(self) -> None:
        acts = [self.compute, self.step, self.step, self.fit, self.change, self.assign,
                self.copied, self.junk, self.losses]  # fmt: skip
        for _ in range(self.random.randint(3, 12)):
            self.random.choice(acts)()


def run(seconds: float, seed: int) -> int:
    """Run programs for so long, at least one; return how many."""
    until, count = time.monotonic() + seconds, 0
    while True:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # rates may be too large
                Program(seed + count).run()
        except Exception as error:
            error.add_note(f"repeat with: python tests/random_api.py 0 {seed + count}")
            raise
        count += 1
        if time.monotonic() >= until:
            return count


if __name__ == "__main__":
    given = [float(sys.argv[1]) if len(sys.argv) > 1 else 10.0,
             int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())]  # fmt: skip
    print(f"{run(given[0], int(given[1]))} programs from seed {given[1]}: all right")
