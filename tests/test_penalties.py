"""Penalties of parameters in training: their meaning, and one call for an epoch or step by step."""

from __future__ import annotations

import deepc
import numpy as np
import pytest
from deepc import SGD, SSE, Adam, Linear, Sequential, SoftmaxCrossEntropy, Tanh, fit
from deepc.training.penalties import Penalties

X = np.random.default_rng(0).normal(size=(23, 4)).astype(np.float32)
LABELS = np.arange(23) % 3
Y = np.eye(3, dtype=np.float32)[LABELS]


def network(dtype="float32"):
    return Sequential([Linear(4, 6, rng=1, dtype=dtype), Tanh(), Linear(6, 3, rng=2, dtype=dtype)])


def all_of(net):
    return [(p, 0.01 * i, 0.02) for i, p in enumerate(net.params())]


class Watcher(deepc.Callback):
    """Hooks of steps make training go step by step."""

    def on_step_end(self, step, logs):
        pass


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 5, 23])
@pytest.mark.parametrize("loss", [SSE(), SoftmaxCrossEntropy("mean")], ids=["sum", "mean"])
def test_an_epoch_in_one_call_has_the_bits_of_steps(loss, batch_size, dtype):
    results = []
    for callbacks in ([], [Watcher()]):
        net = network(dtype)
        history = fit(
            net, X.astype(dtype), Y.astype(dtype), loss=loss, optimizer=Adam(0.01), epochs=3,
            batch_size=batch_size, penalties=all_of(net), callbacks=callbacks, shuffle=True, rng=5,
            validation_data=(X.astype(dtype), Y.astype(dtype)),
        )  # fmt: skip
        results.append((list(history), history["val_loss"], [p.tobytes() for p in net.params()]))
    assert results[0] == results[1]


class Own(deepc.Layer):
    """A layer in Python, whose gradients are new arrays each time."""

    def __init__(self):
        self.w = np.full((4, 3), 0.5)
        self.w_grad = np.zeros_like(self.w)

    def forward(self, x):
        self.x = np.asarray(x)
        return self.x @ self.w

    def backward(self, gradient):
        self.w_grad = self.x.T @ np.asarray(gradient)

    def params(self):
        return [self.w]

    def grads(self):
        return [self.w_grad]


@pytest.mark.parametrize(("reduction", "share"), [("sum", 1), ("mean", 23)])
def test_a_step_against_the_formula(reduction, share):
    own, x, y = Own(), X.astype(np.float64), Y.astype(np.float64)
    w = own.w.copy()
    w[0, 0] = own.w[0, 0] = 0
    error = x @ w - y
    want = w - 0.1 * (2 * x.T @ error / share + 0.3 * np.sign(w) + 2 * 0.2 * w)
    penalty = 0.3 * np.abs(w).sum() + 0.2 * (w * w).sum()
    loss = SSE() if reduction == "sum" else SSE("mean")
    history = fit(own, x, y, loss=loss, optimizer=SGD(0.1), batch_size=23,
                  penalties=[(own.w, 0.3, 0.2)])  # fmt: skip
    np.testing.assert_allclose(own.w, want, rtol=1e-12)
    rows = (error**2).sum() + (penalty if reduction == "sum" else 23 * penalty)
    assert history[0] == pytest.approx(rows / 23, rel=1e-12)


def test_slopes_against_differences():
    net = network("float64")
    penalties = Penalties(net, all_of(net))
    for p, g in zip(net.params(), net.grads(), strict=True):
        g[...] = 0
        p += 0.01 * np.sign(p)  # away from the corner at 0, as biases are not
    penalties.add()
    for p, g in zip(net.params(), net.grads(), strict=True):
        for at in np.ndindex(p.shape):
            if p[at] == 0:
                assert g[at] == 0
                continue
            kept, values = p[at], []
            for h in (1e-6, -1e-6):
                p[at] = kept + h
                values.append(penalties.value())
            p[at] = kept
            assert g[at] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_refusals_change_nothing():
    net = network()
    before = [p.copy() for p in net.params()]
    w = next(iter(net.params()))
    for given, words in [
        (0.1, "penalties: expected a list of"),
        ([w], r"penalties\[0\]: expected \(parameter, l1, l2\)"),
        ([(w.copy(), 0, 1)], r"penalties\[0\]: expected an array"),
        ([(w, -1, 0)], r"penalties\[0\] l1"),
        ([(w, 0, float("nan"))], r"penalties\[0\] l2"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            fit(net, X, Y, loss=SSE(), optimizer=SGD(0.1), penalties=given)
    for p, kept in zip(net.params(), before, strict=True):
        np.testing.assert_array_equal(p, kept)
