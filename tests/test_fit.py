"""fit: the same numbers as the chapter's loop, what it returns, and how it is stopped."""

from __future__ import annotations

import copy
import os
import random
import signal
import sys
import threading
import time

import deepc
import numpy as np
import pytest
from deepc import (
    SGD,
    SSE,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    Dropout,
    GradientDescent,
    Layer,
    Linear,
    Loss,
    Momentum,
    Optimizer,
    Relu,
    RMSProp,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
)
from deepc._c import random as c_random
from deepc.layers.sequential import all_tensors
from reference import digest

OPTIMIZERS = {
    "GradientDescent": lambda: GradientDescent(0.05),
    "Momentum": lambda: Momentum(0.05),
    "SGD": lambda: SGD(0.01, 0.9, nesterov=True, weight_decay=0.01),
    "RMSProp": lambda: RMSProp(0.01),
    "Adam": lambda: Adam(0.01),
    "AdamW": lambda: AdamW(0.01),
    "Adagrad": lambda: Adagrad(0.05),
}


def network(dtype="float32", dropout=True):
    return Sequential(
        [
            Linear(6, 19, dtype=dtype, rng=1),
            Tanh(),
            *([Dropout(0.25, rng=2)] if dropout else []),
            Linear(19, 8, dtype=dtype, rng=3),
            Relu(),
            Linear(8, 4, dtype=dtype, rng=4),
        ]
    )


def data(dtype="float32", rows=23):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((rows, 6)).astype(dtype)
    return x, rng.standard_normal((rows, 4)).astype(dtype), rng.integers(0, 4, rows)


def loop(net, x, y, loss, optimizer, epochs=1, batch_size=1, orders=None):
    """The chapter's loop, over batches; return the mean loss of each epoch."""
    history = []
    for epoch in range(epochs):
        order = range(len(x)) if orders is None else orders[epoch]
        total = 0.0
        for start in range(0, len(x), batch_size):
            rows = list(order)[start : start + batch_size]
            batch, actual = (x[rows[0]], y[rows[0]]) if batch_size == 1 else (x[rows], y[rows])
            predicted = net.forward(batch)
            value = loss.loss(predicted, actual)
            total += value * (len(rows) if getattr(loss, "reduction", "") == "mean" else 1)
            net.backward(loss.gradient(predicted, actual))
            optimizer.step(net)
        history.append(total / len(x))
    return history


# ---- The same bits as the loop -------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_bits_as_the_loop(isa, dtype, name, batch_size):
    x, targets, labels = data(dtype)
    for loss, y in [
        (SSE(), targets),
        (SoftmaxCrossEntropy(), labels),
        (SoftmaxCrossEntropy("mean"), labels),
    ]:
        one, other = network(dtype), network(dtype)
        history = fit(
            one, x, y, loss=loss, optimizer=OPTIMIZERS[name](), epochs=3, batch_size=batch_size
        )
        expected = loop(other, x, y, loss, OPTIMIZERS[name](), 3, batch_size)
        assert digest(*one.params()) == digest(*other.params())
        assert history == pytest.approx(expected, rel=1e-15)
        assert one.layers[2]._structure.counter == other.layers[2]._structure.counter


@pytest.mark.parametrize("batch_size", [1, 5])
def test_shuffled_order_is_another_in_each_epoch_and_fixed_by_the_generator(
    batch_size, monkeypatch
):
    x, targets, _ = data()
    orders = []
    draw = c_random.permutation

    def recorded(*args):
        orders.append(draw(*args))
        return orders[-1]

    monkeypatch.setattr(c_random, "permutation", recorded)
    results = []
    for seed in (3, 3, 4):
        net = network()
        history = fit(
            net, x, targets, loss=SSE(), optimizer=Momentum(0.05), epochs=2, batch_size=batch_size,
            shuffle=True, rng=seed,
        )  # fmt: skip
        results.append((history, digest(*net.params())))
    assert results[0] == results[1]
    assert results[0] != results[2]
    assert all(sorted(order) == list(range(len(x))) for order in orders)
    assert len({order.tobytes() for order in orders}) == 4
    other = network()
    history = loop(other, x, targets, SSE(), Momentum(0.05), 2, batch_size, orders[:2])
    assert (history, digest(*other.params())) == results[0]


def test_random_seed_fixes_the_order():
    x, targets, _ = data()

    def run():
        net = network(dropout=False)
        fit(net, x, targets, loss=SSE(), optimizer=Momentum(0.05), epochs=2, shuffle=True)
        return digest(*net.params())

    random.seed(1)
    first = run()
    assert run() != first
    random.seed(1)
    assert run() == first
    state = random.getstate()
    fit(network(), x, targets, loss=SSE(), optimizer=Momentum(0.05))
    assert random.getstate() == state, "without shuffling nothing is drawn"


class OwnLoss(Loss):
    """Squared error under a name of its own."""

    def loss(self, predicted, actual):
        return SSE().loss(predicted, actual)

    def gradient(self, predicted, actual):
        return SSE().gradient(predicted, actual)


class OwnStep(Optimizer):
    """Momentum under a name of its own."""

    def __init__(self, learning_rate=0.05):
        self.inner = Momentum(learning_rate)

    def step(self, layer):
        self.inner.step(layer)


class Wrapped(Layer):
    """A layer of the library that the compiler of networks cannot see into."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, input):
        return self.layer.forward(input)

    def backward(self, gradient):
        return self.layer.backward(gradient)

    def params(self):
        return self.layer.params()

    def grads(self):
        return self.layer.grads()


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("own", ["loss", "optimizer", "layer", "all", "model"])
def test_own_parts_give_the_bits_of_ours(dtype, own, batch_size):
    x, targets, _ = data(dtype)
    rest = {"epochs": 2, "batch_size": batch_size, "shuffle": True, "rng": 5}
    ours, net = network(dtype), network(dtype)
    expected = fit(ours, x, targets, loss=SSE(), optimizer=Momentum(0.05), **rest)
    model = Wrapped(net) if own == "model" else net
    if own in ("layer", "all"):
        net.layers[1] = Wrapped(Tanh())
        net.layers[3] = Wrapped(net.layers[3])
    loss = OwnLoss() if own in ("loss", "all") else SSE()
    optimizer = OwnStep() if own in ("optimizer", "all") else Momentum(0.05)
    history = fit(model, x, targets, loss=loss, optimizer=optimizer, **rest)
    assert history == expected
    assert digest(*net.params()) == digest(*ours.params())


class HalfLoss(SSE):
    """A subclass that changes the gradient must be asked for it."""

    def gradient(self, predicted, actual):
        return 0.5 * super().gradient(predicted, actual)


class SlowStep(GradientDescent):
    """A subclass that changes the step must be asked for it."""

    def step(self, layer):
        self.lr *= 0.9
        super().step(layer)


def test_subclasses_are_heard():
    x, targets, _ = data("float64")
    half, plain = network("float64", False), network("float64", False)
    fit(half, x, targets, loss=HalfLoss(), optimizer=GradientDescent(0.04))
    fit(plain, x, targets, loss=SSE(), optimizer=GradientDescent(0.02))
    for a, b in zip(half.params(), plain.params(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    slow = SlowStep(0.01)
    fit(network("float64"), x, targets, loss=SSE(), optimizer=slow)
    assert slow.lr == pytest.approx(0.01 * 0.9 ** len(x))


class LabelLoss(Loss):
    """Takes labels, as a loss of one's own may."""

    def _errors(self, predicted, actual):
        return np.asarray(predicted, np.float64) - np.eye(4)[actual]

    def loss(self, predicted, actual):
        return float((self._errors(predicted, actual) ** 2).sum())

    def gradient(self, predicted, actual):
        return 2 * self._errors(predicted, actual)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_own_loss_gets_the_rows_of_any_targets(batch_size):
    x, _, labels = data("float64")
    mine, ours = network("float64", False), network("float64", False)
    fit(mine, x, labels, loss=LabelLoss(), optimizer=Adam(), batch_size=batch_size)
    fit(ours, x, np.eye(4)[labels], loss=SSE(), optimizer=Adam(), batch_size=batch_size)
    for a, b in zip(mine.params(), ours.params(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="y: expected 23 rows"):
        fit(mine, x, labels[:-1], loss=LabelLoss(), optimizer=Adam())


def test_a_step_replaced_on_one_optimizer_is_called():
    x, targets, _ = data("float64")
    optimizer, rates = GradientDescent(0.01), []
    step = optimizer.step
    optimizer.step = lambda layer: (rates.append(optimizer.lr), step(layer))
    fit(network("float64"), x, targets, loss=SSE(), optimizer=optimizer)
    assert rates == [0.01] * len(x)


# ---- What it takes and returns -------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_history_is_the_mean_loss_of_a_sample(reduction, own):
    x, targets, _ = data("float64")
    net = network("float64", dropout=False)
    before = SSE("mean").loss(net.forward(x), targets)
    # With steps of no length every epoch sees the same network; 23 samples, so the last batch is
    # smaller.
    optimizer = OwnStep(0.0) if own else Momentum(0.0)
    history = fit(net, x, targets, loss=SSE(reduction), optimizer=optimizer, epochs=3, batch_size=5)
    assert history == pytest.approx([before] * 3, rel=1e-12)
    assert all(type(value) is float for value in history)


def test_no_epochs():
    x, targets, _ = data()
    net = network()
    before = digest(*net.params())
    assert fit(net, x, targets, loss=SSE(), optimizer=Adam(), epochs=0) == []
    assert digest(*net.params()) == before


def test_forms_of_samples_and_targets():
    x, targets, labels = data("float64")
    results = set()
    for given_x, given_y in [
        (x, targets),
        (x.tolist(), targets.tolist()),
        (np.asfortranarray(x), np.repeat(targets, 2, 1)[:, ::2]),
        (x.astype(">f8"), targets),
    ]:
        net = network("float64")
        fit(net, given_x, given_y, loss=SSE(), optimizer=Adam(), batch_size=4)
        results.add(digest(*net.params()))
    assert len(results) == 1
    results.clear()
    for y in (
        labels,
        labels.tolist(),
        labels.astype(np.uint8),
        np.eye(4)[labels],
        np.eye(4)[labels].tolist(),
    ):
        net = network("float64")
        fit(net, x, y, loss=SoftmaxCrossEntropy(), optimizer=Adam(), batch_size=4)
        results.add(digest(*net.params()))
    assert len(results) == 1
    one = Sequential([Linear(6, 1, dtype="float64", rng=1)])
    other = Sequential([Linear(6, 1, dtype="float64", rng=1)])
    fit(one, x, targets[:, 0], loss=SSE(), optimizer=Adam())
    fit(other, x, targets[:, :1], loss=SSE(), optimizer=Adam())
    assert digest(*one.params()) == digest(*other.params())


def test_single_layer_is_a_model(rng):
    x = rng.standard_normal((50, 3))
    layer = Linear(3, 2, dtype="float64", rng=1)
    true = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    y = x @ true.T + [0.25, -4.0]
    history = fit(
        layer, x, y, loss=SSE("mean"), optimizer=GradientDescent(0.1), epochs=300, batch_size=10
    )
    assert history[-1] < 1e-12
    np.testing.assert_allclose(layer.w, true, atol=1e-5)
    np.testing.assert_allclose(layer.b, [0.25, -4.0], atol=1e-5)


def test_xor_is_learned():
    net = Sequential([Linear(2, 4, rng=1), Tanh(), Linear(4, 1, rng=2), Sigmoid()])
    x, y = xor()
    history = fit(net, x, y, loss=SSE(), optimizer=Momentum(0.5), epochs=2000)
    assert history[-1] < 0.01 < history[0]
    assert [round(net.forward(row)[0]) for row in x] == [0, 1, 1, 0]


def xor():
    return [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]


def test_shared_layer_trains_as_in_the_loop():
    def make():
        shared = Linear(6, 6, rng=1)
        return Sequential([shared, Tanh(), shared, Linear(6, 4, rng=2)])

    x, targets, _ = data()
    for batch_size in (1, 5):
        one, other = make(), make()
        fit(one, x, targets, loss=SSE(), optimizer=Adam(), batch_size=batch_size)
        loop(other, x, targets, SSE(), Adam(), 1, batch_size)
        assert digest(*one.params()) == digest(*other.params())


def test_goes_on_where_it_stopped():
    x, targets, _ = data()
    one, other = network(dropout=False), network(dropout=False)
    adam, same = Adam(), Adam()
    history = fit(one, x, targets, loss=SSE(), optimizer=adam, epochs=4)
    parts = [fit(other, x, targets, loss=SSE(), optimizer=same)[0] for _ in range(4)]
    assert history == parts
    assert digest(*one.params()) == digest(*other.params())
    assert adam.steps == same.steps == 4 * len(x)


def test_learning_rate_may_be_changed_between_calls():
    x, targets, _ = data()
    one, other = network(), network()
    a, b = GradientDescent(0.01), GradientDescent(0.01)
    fit(one, x, targets, loss=SSE(), optimizer=a)
    loop(other, x, targets, SSE(), b)
    a.lr = b.lr = 0.001
    fit(one, x, targets, loss=SSE(), optimizer=a)
    loop(other, x, targets, SSE(), b)
    assert digest(*one.params()) == digest(*other.params())


def test_refused_arguments_change_nothing():
    x, targets, labels = data()
    net, optimizer = network(), Adam()
    before = digest(*net.params())
    wrong_label, nan = labels.copy(), x.copy()
    wrong_label[-1], nan[-1, -1] = 4, np.nan
    good = {"loss": SoftmaxCrossEntropy(), "optimizer": optimizer}
    cases = [
        ("y", (net, x, wrong_label), {}), ("x", (net, nan, labels), {}),
        ("y", (net, x, targets[:, :3]), {"loss": SSE()}), ("x", (net, x[:, :3], labels), {}),
        ("y", (net, x, labels[:-1]), {}), ("epochs", (net, x, labels), {"epochs": -1}),
        ("batch_size", (net, x, labels), {"batch_size": 0}),
        ("rng", (net, x, labels), {"rng": "a"}),
        ("loss", (net, x, labels), {"loss": "mse"}),
        ("optimizer", (net, x, labels), {"optimizer": "adam"}),
        ("model", (None, x, labels), {}), ("y", (net, x, 3), {}), ("y", (net, x, None), {}),
        ("loss", (net, x, labels), {"loss": SSE}), ("model", (Linear, x, labels), {}),
        ("y", (Sequential([Wrapped(Tanh()), net]), x, wrong_label), {}),
        ("shuffle", (net, x, labels), {"shuffle": "no"}),
        ("progress", (net, x, labels), {"progress": "no"}),
    ]  # fmt: skip
    for name, args, kwargs in cases:
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            fit(*args, **{**good, **kwargs})
        assert digest(*net.params()) == before, name
        assert optimizer.steps == 0


class Narrow(Layer):
    """Nobody knows how wide its output is before it was computed."""

    def forward(self, input):
        if np.shape(input)[-1] > 4:
            raise ValueError("mine takes 4 columns")
        return input

    def backward(self, gradient):
        return gradient


@pytest.mark.parametrize("outputs", [4, 5])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_only_the_first_pass_shows_changes_nothing(batch_size, outputs):
    def make():
        return Sequential(
            [Linear(6, outputs, rng=1), BatchNorm(outputs), Dropout(0.5, rng=2), Narrow()]
        )

    x, targets, _ = data()
    net, optimizer = make(), Adam()
    if batch_size == 1:
        del net.layers[1]
    same = copy.deepcopy(net)
    with pytest.raises(ValueError, match=r"actual|mine takes"):
        fit(net, x, targets[:, :3], loss=SSE(), optimizer=optimizer, batch_size=batch_size)
    assert optimizer.steps == 0
    assert digest(*all_tensors(net)) == digest(*all_tensors(same))
    for one in (net, same):
        del one.layers[-1]
    assert digest(net.forward(x)) == digest(same.forward(x))


def test_dropout_outside_training_is_refused():
    x, targets, _ = data()
    net = network()
    net.layers[2].train = False
    before = digest(*net.params())
    with pytest.raises(RuntimeError, match="train"):
        fit(net, x, targets, loss=SSE(), optimizer=Adam())
    assert digest(*net.params()) == before


def test_model_without_parameters_stays_as_it_is():
    assert fit(Sequential([Relu()]), [[2.0]], [[1.0]], loss=SSE(), optimizer=Adam()) == [1.0]


class Frozen(Linear):
    """A layer whose parameters are not trained."""

    def params(self):
        return []

    def grads(self):
        return []


@pytest.mark.parametrize("batch_size", [1, 4])
def test_frozen_layer_is_not_trained(batch_size):
    x, targets, _ = data()

    def make():
        return Sequential([Frozen(6, 5, rng=1), Tanh(), Linear(5, 4, rng=2)])

    one, other = make(), make()
    before = one.layers[0].w.copy()
    fit(one, x, targets, loss=SSE(), optimizer=Adam(), batch_size=batch_size)
    loop(other, x, targets, SSE(), Adam(), 1, batch_size)
    assert np.array_equal(one.layers[0].w, before)
    assert digest(*one.params()) == digest(*other.params())
    assert digest(*one.params()) != digest(*make().params())


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
@pytest.mark.footprint
def test_a_step_leaves_nothing_behind():
    def pages():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1])

    x, targets, _ = data()
    net, loss, optimizer = network(), SSE(), Momentum(1e-6)
    growth = []
    for _ in range(5):
        before = pages()
        loop(net, x, targets, loss, optimizer, epochs=100)
        for _ in range(100):
            fit(net, x, targets, loss=loss, optimizer=optimizer)
        growth.append((pages() - before) * 4096)
    # 4000 steps a round: one lost array of each would be 500 kB in every round, while what
    # allocators and other threads of this process do comes and goes.
    assert min(growth) < 1 << 17, growth


# ---- Stopping ------------------------------------------------------------------------------------


def wait_after_ctrl_c(net, x, labels, **options):
    """Train for ever, press Ctrl-C after a while; return how long that took to have an effect."""
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    # A shell starts what it puts in the background with the signal ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with deepc.num_threads(1):
        timer = threading.Timer(0.2, interrupt)
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                fit(
                    net, x, labels, loss=SoftmaxCrossEntropy(), epochs=1_000_000, progress=False,
                    **options,
                )  # fmt: skip
            return time.perf_counter() - sent[0]
        finally:
            timer.cancel()
            timer.join()
            signal.signal(signal.SIGINT, handler)


# Promised are 0.1 s; the rest is for a machine that does other things too.
MOST_WAITED = 1.0
no_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")


@no_signals
@pytest.mark.parametrize("batch_size", [1, 64])
def test_ctrl_c_stops_in_time_and_leaves_a_usable_network(batch_size):
    # An epoch takes many seconds: only what looks at the clock within it stops in time.
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((60_000, 50)).astype(np.float32), rng.integers(0, 10, 60_000)
    net = Sequential([Linear(50, 1000, rng=1), Tanh(), Linear(1000, 1000, rng=2), Linear(1000, 10)])
    before, optimizer = digest(*net.params()), Momentum(1e-6)
    waited = wait_after_ctrl_c(net, x, labels, optimizer=optimizer, batch_size=batch_size)
    assert waited < MOST_WAITED
    assert digest(*net.params()) != before
    assert all(np.isfinite(p).all() for p in net.params())
    steps = optimizer.steps
    assert steps > 0
    history = fit(net, x[:100], labels[:100], loss=SoftmaxCrossEntropy(), optimizer=optimizer)
    assert np.isfinite(history[0])
    assert optimizer.steps == steps + 100


@no_signals
def test_ctrl_c_stops_in_the_midst_of_a_step_that_then_has_not_been():
    # One step takes several seconds.
    rng = np.random.default_rng(1)
    x = np.tile(rng.standard_normal((600, 784)).astype(np.float32), (100, 1))
    net = Sequential([Dropout(0.5), Linear(784, 700, rng=1), Tanh(), Linear(700, 10)])
    before, optimizer = digest(*net.params()), Momentum(1e-6)
    waited = wait_after_ctrl_c(
        net, x, np.zeros(len(x), int), optimizer=optimizer, batch_size=len(x)
    )
    assert waited < MOST_WAITED
    assert digest(*net.params()) == before
    assert optimizer.steps == net.layers[0]._structure.counter == 0


@no_signals
def test_ctrl_c_stops_in_time_where_layers_are_many():
    net = Sequential([Linear(1, 1)] + [Tanh() for _ in range(1500)])
    x, labels = np.ones((60_000, 1), np.float32), np.zeros(60_000, int)
    assert wait_after_ctrl_c(net, x, labels, optimizer=Momentum(1e-6)) < MOST_WAITED


@no_signals
def test_a_handler_that_raises_nothing_costs_a_step_its_time_only():
    rng = np.random.default_rng(1)
    x = np.tile(rng.standard_normal((600, 784)).astype(np.float32), (10, 1))
    labels, seen = np.zeros(len(x), int), []

    def train():
        net = Sequential([Dropout(0.5, rng=1), Linear(784, 700, rng=1), Linear(700, 2, rng=2)])
        fit(
            net, x, labels, loss=SoftmaxCrossEntropy("mean"), optimizer=Momentum(0.1),
            batch_size=len(x), progress=False,
        )  # fmt: skip
        return digest(*net.params())

    expected = train()
    handler = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    timer = threading.Timer(0.03, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    try:
        assert train() == expected
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)
    assert seen == [1]


def test_another_thread_runs_meanwhile():
    """The GIL is free during an epoch call."""
    x, _, labels = data(rows=20_000)
    turns = 0
    stop = threading.Event()

    def count():
        nonlocal turns
        while not stop.is_set():
            turns += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    with deepc.num_threads(1):
        counter.start()
        try:
            start = time.perf_counter()
            while time.perf_counter() - start < 0.3:
                fit(network(), x, labels, loss=SoftmaxCrossEntropy(), optimizer=Adam())
        finally:
            stop.set()
            counter.join()
    assert turns > 20


# ---- Progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_progress_bar(capfd, own):
    pytest.importorskip("tqdm")
    x, targets, _ = data()
    loss = OwnLoss() if own else SSE()
    fit(network(), x, targets, loss=loss, optimizer=Adam(), epochs=3, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "69.0/69.0" in err
    assert "loss" in err
    assert "samples/s" in err


def test_no_progress_bar_where_nobody_looks(capfd):
    x, targets, _ = data()
    for progress in (None, False):
        fit(network(), x, targets, loss=SSE(), optimizer=Adam(), progress=progress)
    assert capfd.readouterr() == ("", "")


def test_progress_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    x, targets, _ = data()
    net = network()
    before = digest(*net.params())
    with pytest.raises(ImportError, match="tqdm"):
        fit(net, x, targets, loss=SSE(), optimizer=Adam(), progress=True)
    assert digest(*net.params()) == before
    # On a terminal it is a convenience that may be missing.
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert len(fit(net, x, targets, loss=SSE(), optimizer=Adam())) == 1
