"""The exact replay: every bit that the chapter's method in plain Python gives, and its results."""

from __future__ import annotations

import copy
import math
import os
import random
import sys

import deepc
import numpy as np
import pure_python
import pytest
from deepc import book, datasets
from pure_python import RECORDED

FIZZ_BUZZ = pure_python.fizz_buzz(range(101, 1024))
FIZZ_BUZZ_TEST = pure_python.fizz_buzz(range(1, 101))


def digits(rows, inputs=784):
    """Return so many samples that look like centred images."""
    generator = random.Random(1)
    x = [[generator.uniform(-0.13, 0.87) for _ in range(inputs)] for _ in range(rows)]
    return x, [pure_python.one_hot(generator.randrange(10), 10) for _ in range(rows)]


class Run:
    """One of the chapter's examples, in both ways."""

    def __init__(self, layers, pure_layers, loss, pure_loss, optimizer, pure_update, data):
        self.layers, self.pure_layers = layers, pure_layers
        self.loss, self.pure_loss = loss, pure_loss
        self.optimizer, self.pure_update = optimizer, pure_update
        self.data = data

    def start(self):
        """Return both networks and what random gives after each of them was made."""
        random.seed(0)
        net = book.Sequential(self.layers())
        state = random.getstate()
        random.seed(0)
        pure = pure_python.Chain(*self.pure_layers())
        return net, state, pure, random.getstate()


def fizz_buzz_layers():
    return [book.Linear(10, 25, init="uniform"), book.Tanh(), book.Linear(25, 4, init="uniform")]


def pure_fizz_buzz_layers():
    return [
        pure_python.Dense(10, 25, "uniform"),
        pure_python.tanh_layer(),
        pure_python.Dense(25, 4, "uniform"),
    ]


RUNS = {
    "xor": Run(
        lambda: [book.Linear(2, 2), book.Sigmoid(), book.Linear(2, 1)],
        lambda: [pure_python.Dense(2, 2), pure_python.sigmoid_layer(), pure_python.Dense(2, 1)],
        book.SSE,
        pure_python.squared_error,
        lambda: book.GradientDescent(learning_rate=0.1),
        lambda: pure_python.Descent(0.1),
        (pure_python.XOR_X * 100, pure_python.XOR_Y * 100),
    ),
    "fizzbuzz squared": Run(
        lambda: [*fizz_buzz_layers(), book.Sigmoid()],
        lambda: [*pure_fizz_buzz_layers(), pure_python.sigmoid_layer()],
        book.SSE,
        pure_python.squared_error,
        lambda: book.Momentum(learning_rate=0.1, momentum=0.9),
        lambda: pure_python.Averaged(0.1, 0.9),
        FIZZ_BUZZ,
    ),
    "fizzbuzz softmax": Run(
        fizz_buzz_layers,
        pure_fizz_buzz_layers,
        book.SoftmaxCrossEntropy,
        pure_python.cross_entropy,
        lambda: book.Momentum(learning_rate=0.1, momentum=0.9),
        lambda: pure_python.Averaged(0.1, 0.9),
        FIZZ_BUZZ,
    ),
    "logistic": Run(
        lambda: [book.Linear(784, 10)],
        lambda: [pure_python.Dense(784, 10)],
        book.SoftmaxCrossEntropy,
        pure_python.cross_entropy,
        lambda: book.Momentum(learning_rate=0.01, momentum=0.99),
        lambda: pure_python.Averaged(0.01, 0.99),
        digits(20),
    ),
    "deep": Run(
        lambda: [
            book.Linear(784, 30), book.Dropout(0.1), book.Tanh(),
            book.Linear(30, 10), book.Dropout(0.1), book.Tanh(), book.Linear(10, 10),
        ],
        lambda: [
            pure_python.Dense(784, 30), pure_python.Drop(0.1), pure_python.tanh_layer(),
            pure_python.Dense(30, 10), pure_python.Drop(0.1), pure_python.tanh_layer(),
            pure_python.Dense(10, 10),
        ],
        book.SoftmaxCrossEntropy,
        pure_python.cross_entropy,
        lambda: book.Momentum(learning_rate=0.01, momentum=0.99),
        lambda: pure_python.Averaged(0.01, 0.99),
        digits(20),
    ),
    "relu, normal, one output": Run(
        lambda: [book.Linear(30, 9, init="normal"), book.Relu(), book.Linear(9, 1)],
        lambda: [
            pure_python.Dense(30, 9, "normal"), pure_python.relu_layer(), pure_python.Dense(9, 1)
        ],
        book.SSE,
        pure_python.squared_error,
        lambda: book.GradientDescent(learning_rate=0.001),
        lambda: pure_python.Descent(0.001),
        (digits(200, 30)[0], [[float(i % 2)] for i in range(200)]),
    ),
}  # fmt: skip


def assert_same(net, pure):
    """The same parameters to the last bit."""
    linear = [layer for layer in net.layers if isinstance(layer, book.Linear)]
    dense = [layer for layer in pure.layers if isinstance(layer, pure_python.Dense)]
    assert len(linear) == len(dense) > 0
    for ours, theirs in zip(linear, dense, strict=True):
        assert ours.w.dtype == np.float64
        assert ours.w.tolist() == theirs.weights
        assert ours.b.tolist() == theirs.biases


# ---- Random numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_initial_weights(run):
    net, state, pure, pure_state = run.start()
    assert_same(net, pure)
    assert state == pure_state, "as many numbers drawn"


def test_random_tensors():
    random.seed(3)
    got = [
        book.random_uniform(2, 3),
        book.random_normal(4, mean=10, variance=2),
        book.random_tensor(3),
        book.random_tensor(2, init="uniform"),
        book.random_tensor(3, 2, init="xavier"),
        book.random_tensor(2, init="xavier"),
    ]
    random.seed(3)
    uniform, normal = pure_python.uniform_row, pure_python.normal_row
    assert got == [
        [uniform(3), uniform(3)],
        [10 + z for z in normal(4, 2)],
        normal(3),
        uniform(2),
        [normal(2, 2 / 5) for _ in range(3)],
        normal(2, 1 / 2),
    ]
    assert book.shape(book.random_uniform(2, 3, 4)) == [2, 3, 4]
    assert book.shape(book.random_normal(5, 6, mean=10)) == [5, 6]


def test_quantiles():
    for p in [0.0, 1e-30, 1e-9, 0.1, 0.25, 0.5, 0.75, 1 - 1e-9, 1.0, 2.0]:
        assert book.inverse_normal_cdf(p) == pure_python.quantile(p)
    assert book.inverse_normal_cdf(0.3, 5, 2) == 5 + 2 * pure_python.quantile(0.3)
    assert (
        abs(book.inverse_normal_cdf(0.3, tolerance=1e-12) - deepc.inverse_normal_cdf(0.3)) < 1e-12
    )


@pytest.mark.parametrize("form", [list, np.array])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout(p, form):
    x = [1.0, -2.0, 3.0, 0.5] * 10
    ours, theirs = book.Dropout(p), pure_python.Drop(p)
    for _ in range(3):
        state = random.getstate()
        expected = theirs.forward(x)
        after = random.getstate()
        random.setstate(state)
        got = ours.forward(form(x))
        assert random.getstate() == after
        assert isinstance(got, list if form is list else np.ndarray)
        assert list(got) == expected
        assert list(ours.mask) == theirs.kept
        assert list(ours.backward(form(x))) == theirs.backward(x)
    ours.train = theirs.training = False
    assert list(ours.forward(form(x))) == theirs.forward(x)
    with pytest.raises(RuntimeError, match="train"):
        ours.backward(form(x))


# ---- Training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [list, np.array])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_training_gives_the_same_bits(run, form):
    net, state, pure, pure_state = run.start()
    loss, optimizer, update = run.loss(), run.optimizer(), run.pure_update()
    for x, y in zip(*run.data, strict=True):
        random.setstate(state)
        predicted = net.forward(form(x))
        value = loss.loss(predicted, form(y))
        net.backward(loss.gradient(predicted, form(y)))
        optimizer.step(net)
        state = random.getstate()
        random.setstate(pure_state)
        expected = pure_python.train_step(pure, run.pure_loss, update, x, y)
        pure_state = random.getstate()
        assert value == pytest.approx(expected, rel=1e-12)
    assert_same(net, pure)
    assert state == pure_state
    for layer in [*net.layers, *pure.layers]:
        layer.train = layer.training = False
    for x in run.data[0][:10]:
        assert list(net.forward(form(x))) == pure.forward(x)


def test_deepc_itself_is_near():
    """From the replay's weights, with other rounding only."""
    for name in ("xor", "fizzbuzz squared", "fizzbuzz softmax", "logistic"):
        run = RUNS[name]
        net = run.start()[0]
        own = deepc.Sequential(
            [
                deepc.Linear(layer.input_dim, layer.output_dim, dtype="float64")
                if isinstance(layer, book.Linear)
                else getattr(deepc, type(layer).__name__)()
                for layer in net.layers
            ]
        )
        for param, start in zip(own.params(), net.params(), strict=True):
            param[:] = start
        x, y = (np.array(rows[:50]) for rows in run.data)
        kinds = {book.SSE: deepc.SSE, book.SoftmaxCrossEntropy: deepc.SoftmaxCrossEntropy}
        optimizer = run.optimizer()
        own_optimizer = (
            deepc.Momentum(optimizer.lr, optimizer.mo)
            if isinstance(optimizer, deepc.Momentum)
            else deepc.GradientDescent(optimizer.lr)
        )
        history = deepc.fit(net, x, y, loss=run.loss(), optimizer=optimizer)
        own_history = deepc.fit(own, x, y, loss=kinds[run.loss](), optimizer=own_optimizer)
        assert own_history == pytest.approx(history, rel=1e-11)
        for param, replayed in zip(own.params(), net.params(), strict=True):
            np.testing.assert_allclose(param, replayed, rtol=1e-10, atol=1e-12)


# ---- Where the chapter's runs end ----------------------------------------------------------------


def replay(name, epochs):
    """Train as the chapter does; return the network and the loss of the last epoch."""
    run = RUNS[name]
    net, loss, optimizer = run.start()[0], run.loss(), run.optimizer()
    x, y = (pure_python.XOR_X, pure_python.XOR_Y) if name == "xor" else run.data
    history = deepc.fit(net, x, y, loss=loss, optimizer=optimizer, epochs=epochs)
    return net, history[-1] * len(x)


def accuracy(net, data):
    x, y = data
    return sum(np.asarray(book.argmax(net.forward(x))) == book.argmax(y)) / len(x)


def test_xor():
    net, loss = replay("xor", 3000)
    assert loss < 1e-20
    if RECORDED:
        assert loss == pytest.approx(1.3065508742723008e-30, rel=1e-6)
    # What the chapter prints, and its reading of it: NOR, AND, and their NOR.
    rounded = [np.round(param, 2).tolist() for param in net.params()]
    assert rounded == [[[-1.64, -1.49], [-4.57, -3.36]], [1.77, 0.39], [[3.2, -3.5]], [-0.65]]
    for x, y in zip(pure_python.XOR_X, pure_python.XOR_Y, strict=True):
        assert net.forward(x) == pytest.approx(y, abs=1e-10)


@pytest.mark.slow
def test_fizz_buzz_with_cross_entropy():
    net, loss = replay("fizzbuzz softmax", 100)
    results = accuracy(net, FIZZ_BUZZ), accuracy(net, FIZZ_BUZZ_TEST)
    if RECORDED:
        assert results == (1.0, 0.96)
        assert loss == pytest.approx(6.361667069408122, rel=1e-9)
    assert min(results) >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif("DEEPC_LONG_TESTS" not in os.environ, reason="takes a minute or two")
def test_fizz_buzz_with_squared_error():
    net, loss = replay("fizzbuzz squared", 1000)
    results = accuracy(net, FIZZ_BUZZ), accuracy(net, FIZZ_BUZZ_TEST)
    if RECORDED:
        assert results == (pytest.approx(0.950, abs=5e-4), 0.90)
        assert loss == pytest.approx(64.53158454634283, rel=1e-9)
    assert min(results) >= 0.85


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif("DEEPC_MNIST" not in os.environ, reason="DEEPC_MNIST names no folder")
@pytest.mark.parametrize(("name", "recorded"), [("logistic", 0.8914), ("deep", 0.9076)])
def test_mnist(name, recorded):
    data = datasets.mnist(os.environ["DEEPC_MNIST"], dtype="float64")
    run = RUNS[name]
    random.seed(0)
    net = book.Sequential(run.layers())
    deepc.fit(net, data.train_x, data.train_y, loss=run.loss(), optimizer=run.optimizer())
    for layer in net.layers:
        if isinstance(layer, book.Dropout):
            layer.train = False
    result = float(np.mean(net.forward(data.test_x).argmax(1) == data.test_y))
    assert result == pytest.approx(recorded, abs=1e-9 if RECORDED else 0.01)


# ---- What else it must be ------------------------------------------------------------------------


def test_names():
    assert set(book.__all__) <= {*deepc.__all__}
    here = {name for name in book.__all__ if getattr(book, name) is not getattr(deepc, name)}
    assert here == {
        "Dropout", "GradientDescent", "Linear", "Momentum", "Sigmoid", "SoftmaxCrossEntropy",
        "Tanh", "dot", "inverse_normal_cdf", "normal_cdf", "random_normal", "random_tensor",
        "random_uniform", "sigmoid", "softmax", "tanh",
    }  # fmt: skip
    for name in here:
        if isinstance(getattr(book, name), type):
            assert issubclass(getattr(book, name), getattr(deepc, name))


def test_functions():
    generator = random.Random(5)
    for _ in range(200):
        x, y = ([generator.gauss(0, 3) for _ in range(17)] for _ in range(2))
        assert book.softmax(x) == pure_python.probabilities(x)
        assert book.softmax([x, y]) == [book.softmax(x), book.softmax(y)]
        assert book.dot(x, y) == pure_python.total([a * b for a, b in zip(x, y, strict=True)])
        assert [book.tanh(t) for t in x] == [pure_python.hyperbolic(t) for t in x]
        assert [book.sigmoid(t) for t in x] == [pure_python.squash(t) for t in x]
    assert (book.tanh(1e300), book.tanh(-1e300)) == (1.0, -1.0)
    assert (book.sigmoid(1e300), book.sigmoid(-1e300)) == (1.0, 0.0)
    assert math.isnan(book.tanh(math.nan))
    assert math.isnan(book.sigmoid(math.nan))
    assert book.dot([], []) == 0.0


def test_batches(rng):
    """The chapter has none; here they are samples in rows, and gradients add up, as in deepc."""
    deepc.set_default_dtype("float64")
    net, own = (
        module.Sequential([module.Linear(6, 5), module.Tanh(), module.Linear(5, 3), module.Relu()])
        for module in (book, deepc)
    )
    for param, start in zip(own.params(), net.params(), strict=True):
        param[:] = start
    x, labels = rng.standard_normal((7, 6)), rng.integers(0, 3, 7)
    for reduction in ("sum", "mean"):
        results = []
        for model, loss in (
            (net, book.SoftmaxCrossEntropy(reduction)),
            (own, deepc.SoftmaxCrossEntropy(reduction)),
        ):
            y = model.forward(x)
            d_x = model.backward(loss.gradient(y, labels))
            one_hot = deepc.one_hot_encode(labels, 3)
            assert loss.loss(y, labels) == pytest.approx(loss.loss(y, one_hot), rel=1e-12)
            results.append([y, d_x, loss.loss(y, labels), *map(np.copy, model.grads())])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert np.array_equal(net.forward(x)[2], net.forward(x[2]))


def test_lists_and_labels():
    loss = book.SoftmaxCrossEntropy()
    assert loss.gradient([0.0, 0.0], 1) == [0.5, -0.5]
    assert loss.gradient([[0.0, 0.0], [0.0, 0.0]], [[1, 0], [0, 1]]) == [[-0.5, 0.5], [0.5, -0.5]]
    assert loss.loss([0.0, -1e6], [0.0, 1.0]) == -math.log(1e-30)


def test_optimizers_take_parameters_in_lists():
    class Gain(book.Layer):
        def __init__(self):
            self.gains, self.gains_grad = [1.0, 2.0], [0.5, -1.0]

        def params(self):
            return [self.gains]

        def grads(self):
            return [self.gains_grad]

    layer = Gain()
    gains = layer.gains
    book.GradientDescent(0.5).step(layer)
    assert gains == [0.75, 2.5]
    optimizer = book.Momentum(1.0, 0.5)
    optimizer.step(layer)
    assert gains == [0.5, 3.0]
    assert [update.tolist() for update in optimizer.updates] == [[0.25, -0.5]]


def test_copies_go_on_alike():
    run = RUNS["fizzbuzz softmax"]
    net, loss, optimizer = run.start()[0], run.loss(), run.optimizer()
    x, y = (np.array(rows[:20]) for rows in run.data)
    deepc.fit(net, x, y, loss=loss, optimizer=optimizer)
    twin, twin_optimizer = copy.deepcopy((net, optimizer))
    deepc.fit(net, x, y, loss=loss, optimizer=optimizer)
    deepc.fit(twin, x, y, loss=loss, optimizer=twin_optimizer)
    for a, b in zip(net.params(), twin.params(), strict=True):
        assert a is not b
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: book.random_uniform(), ValueError, "dims"),
        (lambda: book.random_uniform(2, 0), ValueError, "dims"),
        (lambda: book.random_normal(2.5), TypeError, "dims"),
        (lambda: book.random_tensor(2, init="he"), ValueError, "init: .*'he'"),
        (lambda: book.inverse_normal_cdf(0.5, tolerance=0), ValueError, "tolerance"),
        (lambda: book.Linear(2, 2, "zeros"), ValueError, "init"),
        (lambda: book.Linear(0, 2), ValueError, "input_dim"),
        (lambda: book.Linear(2, 2).forward([1.0]), ValueError, "input: .*2"),
        (lambda: book.Linear(2, 2).forward(np.zeros((0, 2))), ValueError, "input"),
        (lambda: book.Linear(2, 2).forward(["a", "b"]), TypeError, "input"),
        (lambda: book.Linear(2, 2).backward([1.0, 2.0]), RuntimeError, "forward"),
        (lambda: book.Dropout(1.5), ValueError, "p: "),
        (lambda: book.Dropout(0.5).backward([1.0]), RuntimeError, "forward"),
        (lambda: book.softmax([]), ValueError, "tensor"),
        (lambda: book.softmax(["a"]), TypeError, "tensor"),
        (lambda: book.dot([1.0], [1.0, 2.0]), ValueError, "t1 and t2"),
        (lambda: book.dot([[1.0]], [[1.0]]), ValueError, "v and w"),
        (lambda: book.Momentum(0.1, 1.0), ValueError, "momentum"),
        (lambda: book.SoftmaxCrossEntropy().loss([1.0, 2.0], [1.0]), ValueError, "actual"),
        (lambda: book.SoftmaxCrossEntropy().gradient([1.0, 2.0], 2), ValueError, "actual"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_wrong_gradient_changes_nothing():
    layer = book.Linear(2, 3)
    layer.forward([1.0, 2.0])
    layer.backward([1.0, 2.0, 3.0])
    before = layer.w_grad.copy()
    for gradient in ([1.0], [[1.0, 2.0, 3.0]], 1.0):
        with pytest.raises(ValueError, match="gradient"):
            layer.backward(gradient)
    assert np.array_equal(layer.w_grad, before)


def test_nothing_of_the_library_draws_from_random_in_between():
    random.seed(7)
    book.Sequential([book.Tanh(), book.Dropout(0.5), book.Relu(), book.Sigmoid()])
    book.Momentum(0.1)
    first = random.random()
    random.seed(7)
    assert first == random.random()
    assert sys.modules["deepc.book"] is book
