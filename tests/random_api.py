"""Random programs of deepc's Python interface against a model of it in float64 NumPy.

    python tests/random_api.py [seconds [seed]]        10 seconds, a seed of the clock

A program builds a network, then computes, trains, changes, copies it and hands it junk. What comes
out must be near the model's; junk must be refused and change nothing. A failure names the seed of
its program, and ``random_api.py 0 SEED`` repeats it.
"""

from __future__ import annotations

import copy
import pickle
import random
import sys
import time
from typing import Any

import deepc
import numpy as np
from deepc import SSE, Linear, Relu, Sequential, Sigmoid, SoftmaxCrossEntropy, Tanh

# ---- The model -----------------------------------------------------------------------------------

ACTIVATIONS: dict[type, tuple[Any, Any]] = {
    # The function, and its slope by its output.
    Tanh: (np.tanh, lambda y: 1 - y * y),
    Sigmoid: (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    Relu: (lambda x: np.maximum(x, 0), lambda y: (y > 0) * 1.0),
}


class Model:
    """The same layers in NumPy: pairs of weights and biases, or the class of an activation."""

    def __init__(self, net: Any) -> None:
        self.layers = [
            [layer.w.astype(float), layer.b.astype(float)] if isinstance(layer, Linear)
            else type(layer)
            for layer in flat(net)
        ]  # fmt: skip

    def forward(self, x: Any) -> Any:
        self.seen = [x]
        for layer in self.layers:
            x = x @ layer[0].T + layer[1] if isinstance(layer, list) else ACTIVATIONS[layer][0](x)
            self.seen.append(x)
        return x

    def backward(self, gradient: Any) -> tuple[Any, list[Any]]:
        """Return the gradient of the input and those of the parameters."""
        grads: list[Any] = []
        for layer, x, y in zip(
            reversed(self.layers), reversed(self.seen[:-1]), reversed(self.seen[1:]), strict=True
        ):
            if isinstance(layer, list):
                grads[:0] = [np.atleast_2d(gradient).T @ np.atleast_2d(x),
                             np.atleast_2d(gradient).sum(axis=0)]  # fmt: skip
                gradient = gradient @ layer[0]
            else:
                gradient = gradient * ACTIVATIONS[layer][1](y)
        return gradient, grads


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
                layers.append(self.random.choice([Tanh, Sigmoid, Relu])())
        if self.random.random() < 0.4:
            cut = self.random.randint(0, len(layers))
            layers[cut:] = [Sequential(layers[cut:])]
        self.net, self.outputs = Sequential(layers), width
        self.optimizer = self.new_optimizer()

    def new_optimizer(self) -> Any:
        return self.random.choice(
            [deepc.GradientDescent(0.01), deepc.Momentum(0.01, 0.9), deepc.Adam(0.01)]
        )

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
        return [np.asarray(param).tobytes() for param in (net or self.net).params()]

    # What may be done, each by chance.

    def compute(self) -> None:
        shape = (
            (self.inputs,)
            if self.random.random() < 0.4
            else (self.random.randint(1, 9), self.inputs)
        )
        x, model = self.numbers(*shape), Model(self.net)
        given = self.guise(x)
        predicted, right = self.net.forward(given), model.forward(x.astype(float))
        self.near(predicted, right, "forward")
        assert type(predicted) is (list if type(given) is list else np.ndarray)
        loss = self.random.choice([SSE(), SoftmaxCrossEntropy()])
        actual = self.rng.uniform(0, 1, right.shape)
        value, gradient = loss_of(loss, np.asarray(predicted, float), actual)
        self.near(loss.loss(predicted, self.guise(actual)), value, "loss")
        found = loss.gradient(predicted, self.guise(actual))
        self.near(found, gradient, "gradient of the loss")
        back, grads = model.backward(np.asarray(found, float))
        self.near(self.net.backward(found), back, "gradient of the input")
        for got, expected in zip(self.net.grads(), grads, strict=True):
            self.near(got, expected, "gradient of a parameter")

    def step(self) -> None:
        self.compute()
        before, grads = [np.array(p, float) for p in self.net.params()], list(self.net.grads())
        plain = isinstance(self.optimizer, deepc.GradientDescent)
        self.optimizer.step(self.net)
        for param, old, grad in zip(self.net.params(), before, grads, strict=True):
            if plain:
                self.near(param, old - 0.01 * np.asarray(grad, float), "step")
            assert np.isfinite(np.asarray(param)).all(), "a step leads to no number"

    def fit(self) -> None:
        rows = self.random.randint(1, 12)
        x, y = self.numbers(rows, self.inputs), self.numbers(rows, self.outputs)
        size, other = self.random.randint(1, rows), copy.deepcopy(self.net)
        same = copy.deepcopy(self.optimizer) if self.optimizer.steps == 0 else deepc.Momentum(0.01)
        ours = copy.deepcopy(same)
        loss = SSE("mean")
        deepc.fit(
            self.net, self.guise(x), self.guise(y), loss=loss, optimizer=ours, batch_size=size,
            progress=False,
        )  # fmt: skip
        for start in range(0, rows, size):
            predicted = other.forward(x[start : start + size])
            other.backward(loss.gradient(predicted, y[start : start + size]))
            same.step(other)
        assert self.bits() == self.bits(other), "fit and the same steps one by one"
        self.optimizer = self.new_optimizer()

    def change(self) -> None:
        layers = self.net.layers
        place = self.random.randint(0, len(layers))
        if self.random.random() < 0.5 or len(layers) < 2:
            layers.insert(place, self.random.choice([Tanh, Sigmoid, Relu])())
        elif not isinstance(layers[place - 1], (Linear, Sequential)):
            layers.pop(place - 1)
        if len(flat(self.net)) > 12:
            self.net.layers = [layer for layer in layers if isinstance(layer, (Linear, Sequential))]
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
        acts = [self.compute, self.step, self.fit, self.change, self.assign, self.copied, self.junk]
        for _ in range(self.random.randint(3, 12)):
            self.random.choice(acts)()


def run(seconds: float, seed: int) -> int:
    """Run programs for so long, at least one; return how many."""
    until, count = time.monotonic() + seconds, 0
    while True:
        try:
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
