"""Bad input over the whole public API: refused by the name of the argument, with nothing changed.

What is not asked here stands beside what it belongs to: test_datasets.py, test_weights.py,
test_threads.py.
"""

from __future__ import annotations

from types import SimpleNamespace

import deepc
import numpy as np
import pytest
from deepc import (
    SGD,
    SSE,
    Adagrad,
    Adam,
    AdamW,
    Dropout,
    GradientDescent,
    Linear,
    Momentum,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    kernels,
)
from deepc._c import library
from reference import digest

NAN, INF = float("nan"), float("inf")
RAGGED = [[1.0, 2.0], [3.0]]
HUGE = 10**400  # no float, no 64-bit integer


@pytest.fixture
def good():
    """Give things that are in order, to be called with one that is not."""
    net = Sequential([Linear(3, 4, rng=1), Tanh(), Dropout(0.5, rng=2), Linear(4, 2, rng=3)])
    optimizer = Momentum(0.1)
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    net.backward(net.forward(x))
    optimizer.step(net)
    read_only = np.ones((2, 2))
    read_only.flags.writeable = False
    return SimpleNamespace(
        net=net, optimizer=optimizer, x=x, y=np.zeros((5, 2), np.float32), labels=np.arange(5) % 2,
        square=np.eye(2), out=np.empty((2, 2)), read_only=read_only, memory=np.arange(16.0),
    )  # fmt: skip


def state_of(good):
    """Return a hash of all that a refused call must leave alone."""
    return digest(
        *good.net.params(), *good.net.grads(), *good.optimizer.updates, good.optimizer.steps,
        good.optimizer.lr, good.optimizer.mo, good.x, good.y, good.square, good.read_only,
        good.memory, deepc.get_num_threads(), str(deepc.default_dtype()),
        good.net.layers[2]._structure.counter, good.net.layers[2].p, good.net.layers[2].train,
    )  # fmt: skip


def fit(good, **changes):
    arguments = {
        "model": good.net, "x": good.x, "y": good.labels, "loss": SoftmaxCrossEntropy(),
        "optimizer": good.optimizer, **changes,
    }  # fmt: skip
    deepc.fit(arguments.pop("model"), arguments.pop("x"), arguments.pop("y"), **arguments)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


# The name that the message must start with or hold, and the call.
CASES = [
    # Layers
    ("input_dim", lambda g: Linear(0, 2)),
    ("input_dim", lambda g: Linear(-1, 2)),
    ("input_dim", lambda g: Linear(2.0, 2)),
    ("input_dim", lambda g: Linear(True, 2)),
    ("input_dim", lambda g: Linear("2", 2)),
    ("input_dim", lambda g: Linear(None, 2)),
    ("output_dim", lambda g: Linear(2, 0)),
    ("output_dim", lambda g: Linear(2, np.bool_(True))),
    ("output_dim", lambda g: Linear(2, [1])),
    ("init", lambda g: Linear(2, 2, init="he")),
    ("init", lambda g: Linear(2, 2, init=None)),
    ("dtype", lambda g: Linear(2, 2, dtype="float16")),
    ("dtype", lambda g: Linear(2, 2, dtype=int)),
    ("dtype", lambda g: Linear(2, 2, dtype=">f4")),
    ("rng", lambda g: Linear(2, 2, rng="seed")),
    ("rng", lambda g: Linear(2, 2, rng=1.5)),
    ("w", lambda g: setattr(g.net.layers[0], "w", [[1.0]])),
    ("w", lambda g: setattr(g.net.layers[0], "w", RAGGED)),
    ("b", lambda g: setattr(g.net.layers[0], "b", "four")),
    ("b_grad", lambda g: setattr(g.net.layers[0], "b_grad", 1.0)),
    ("p", lambda g: Dropout(-0.1)),
    ("p", lambda g: Dropout(1.1)),
    ("p", lambda g: Dropout(NAN)),
    ("p", lambda g: Dropout("0.5")),
    ("p", lambda g: Dropout(None)),
    ("p", lambda g: Dropout(True)),
    ("p", lambda g: Dropout(HUGE)),
    ("p", lambda g: setattr(g.net.layers[2], "p", 2)),
    ("train", lambda g: setattr(g.net.layers[2], "train", "no")),
    ("train", lambda g: setattr(g.net.layers[2], "train", None)),
    ("train", lambda g: setattr(g.net.layers[2], "train", np.zeros(2))),
    ("layers", lambda g: Sequential(None)),
    ("layers", lambda g: Sequential(Tanh())),
    (r"layers\[1\]", lambda g: Sequential([Tanh(), "Tanh"])),
    (r"layers\[0\]", lambda g: Sequential([Tanh])),
    # Forward and backward
    ("input", lambda g: g.net.forward([1.0, 2.0])),
    ("input", lambda g: g.net.forward(np.ones((2, 4)))),
    ("input", lambda g: g.net.forward(np.ones((1, 2, 3)))),
    ("input", lambda g: g.net.forward(np.empty((0, 4)))),
    ("input", lambda g: g.net.forward([])),
    ("input", lambda g: g.net.forward([[]])),
    ("input", lambda g: g.net.forward(1.0)),
    ("input", lambda g: g.net.forward(RAGGED)),
    ("input", lambda g: g.net.forward(["a", "b", "c"])),
    ("input", lambda g: g.net.forward([1.0, None, 2.0])),
    ("input", lambda g: g.net.forward([1.0, 2.0, HUGE])),
    ("input", lambda g: g.net.forward(np.ones(3, complex))),
    ("input", lambda g: g.net.forward(np.ones(3, "datetime64[s]"))),
    ("input", lambda g: g.net.forward(None)),
    ("input", lambda g: g.net.forward({"x": 1})),
    ("input", lambda g: Tanh().forward([])),
    ("input", lambda g: Tanh().forward(2.0)),
    ("input", lambda g: Dropout(0.5).forward(np.empty((2, 0)))),
    ("input", lambda g: Dropout(0.5).forward(RAGGED)),
    ("gradient", lambda g: g.net.backward([1.0, 2.0])),
    ("gradient", lambda g: g.net.backward(np.ones((4, 2)))),
    ("gradient", lambda g: g.net.backward(np.ones((5, 3)))),
    ("gradient", lambda g: g.net.backward(np.ones(10))),
    ("gradient", lambda g: g.net.backward(RAGGED)),
    ("gradient", lambda g: g.net.backward("all")),
    ("gradient", lambda g: g.net.backward(None)),
    # Losses
    ("reduction", lambda g: SSE("max")),
    ("reduction", lambda g: SSE(reduction=None)),
    ("reduction", lambda g: SoftmaxCrossEntropy(["sum"])),
    ("reduction", lambda g: SSE(reduction=np.ones(2))),
    ("predicted", lambda g: SSE().loss(np.ones((1, 2, 2)), np.ones((1, 2, 2)))),
    ("predicted", lambda g: SSE().loss(1.0, 1.0)),
    ("predicted", lambda g: SSE().loss(RAGGED, RAGGED)),
    ("predicted", lambda g: SSE().gradient("a", [1.0])),
    ("predicted", lambda g: SSE("mean").loss(np.empty((0, 2)), np.empty((0, 2)))),
    ("predicted", lambda g: SSE().gradient([], [])),
    ("predicted", lambda g: SoftmaxCrossEntropy().loss(np.empty((0, 2)), np.empty(0, int))),
    ("actual", lambda g: SSE().loss([1.0, 2.0], [1.0])),
    ("actual", lambda g: SSE().loss([1.0], 1.0)),
    ("actual", lambda g: SSE().gradient(g.y, g.y[:3])),
    ("actual", lambda g: SSE().gradient([[1.0, 2.0]], RAGGED)),
    ("actual", lambda g: SSE().loss([1.0], ["a"])),
    ("actual", lambda g: SSE().loss([1.0], None)),
    ("actual", lambda g: SoftmaxCrossEntropy().loss(g.y, [0, 1, 2, 0, 1])),
    ("actual", lambda g: SoftmaxCrossEntropy().gradient(g.y, [0, 1, -1, 0, 1])),
    ("actual", lambda g: SoftmaxCrossEntropy().loss(g.y, [0, 1])),
    ("actual", lambda g: SoftmaxCrossEntropy().loss(g.y, [0.0, 1.0, 1.0, 0.0, 1.0])),
    ("actual", lambda g: SoftmaxCrossEntropy().loss(g.y, g.labels.astype(bool))),
    ("actual", lambda g: SoftmaxCrossEntropy().gradient([1.0, 2.0], 2)),
    ("actual", lambda g: SoftmaxCrossEntropy().gradient([1.0, 2.0], True)),
    ("actual", lambda g: SoftmaxCrossEntropy().gradient([1.0, 2.0], HUGE)),
    ("actual", lambda g: SoftmaxCrossEntropy().gradient([1.0, 2.0], np.uint64(2**63))),
    ("actual", lambda g: SoftmaxCrossEntropy().loss(g.y, RAGGED)),
    ("actual", lambda g: SoftmaxCrossEntropy().loss([1.0, 2.0], None)),
    # Optimizers
    ("learning_rate", lambda g: GradientDescent(-0.1)),
    ("learning_rate", lambda g: GradientDescent(NAN)),
    ("learning_rate", lambda g: GradientDescent("fast")),
    ("learning_rate", lambda g: GradientDescent(True)),
    ("learning_rate", lambda g: GradientDescent(None)),
    ("learning_rate", lambda g: GradientDescent(HUGE)),
    ("learning_rate", lambda g: setattr(g.optimizer, "lr", INF)),
    ("momentum", lambda g: Momentum(0.1, 1.0)),
    ("momentum", lambda g: Momentum(0.1, -0.1)),
    ("momentum", lambda g: setattr(g.optimizer, "mo", NAN)),
    ("momentum", lambda g: SGD(0.1, momentum=1.5)),
    ("nesterov", lambda g: SGD(0.1, nesterov=True)),
    ("weight_decay", lambda g: SGD(0.1, weight_decay=-1)),
    ("decay", lambda g: RMSProp(0.1, decay=1.0)),
    ("epsilon", lambda g: RMSProp(0.1, epsilon=0.0)),
    ("epsilon", lambda g: Adagrad(0.1, epsilon=-1e-9)),
    ("beta1", lambda g: Adam(beta1=1.0)),
    ("beta2", lambda g: Adam(beta2=-0.5)),
    ("weight_decay", lambda g: AdamW(weight_decay=NAN)),
    ("updates", lambda g: setattr(g.optimizer, "updates", [RAGGED])),
    ("layer", lambda g: g.optimizer.step(Linear(2, 2))),
    ("layer", lambda g: g.optimizer.step(None)),
    ("layer", lambda g: g.optimizer.step(Linear)),
    # fit
    ("model", lambda g: fit(g, model=None)),
    ("model", lambda g: fit(g, model=Linear)),
    ("x", lambda g: fit(g, x=[])),
    ("x", lambda g: fit(g, x=np.ones(3))),
    ("x", lambda g: fit(g, x=g.x[:, :2])),
    ("x", lambda g: fit(g, x=g.x[:0], y=g.labels[:0])),
    ("x", lambda g: fit(g, x=changed(g.x, (4, 2), NAN))),
    ("x", lambda g: fit(g, x=changed(g.x, (0, 0), INF))),
    ("x", lambda g: fit(g, x=RAGGED)),
    ("x", lambda g: fit(g, x="samples")),
    ("y", lambda g: fit(g, y=g.labels[:4])),
    ("y", lambda g: fit(g, y=changed(g.labels, 4, 2))),
    ("y", lambda g: fit(g, y=changed(g.labels, 4, -1))),
    ("y", lambda g: fit(g, y=g.labels.astype(float))),
    ("y", lambda g: fit(g, y=np.zeros((5, 3)))),
    ("y", lambda g: fit(g, y=np.zeros((4, 2)), loss=SSE())),
    ("y", lambda g: fit(g, y=changed(g.y, (4, 1), NAN), loss=SSE())),
    ("y", lambda g: fit(g, y=g.labels, loss=SSE())),
    ("y", lambda g: fit(g, y=1)),
    ("y", lambda g: fit(g, y=None)),
    ("y", lambda g: fit(g, y=((1.0, 2.0), (1.0,)))),
    ("loss", lambda g: fit(g, loss="mse")),
    ("loss", lambda g: fit(g, loss=SSE)),
    ("loss", lambda g: fit(g, loss=None)),
    ("optimizer", lambda g: fit(g, optimizer="adam")),
    ("optimizer", lambda g: fit(g, optimizer=Adam)),
    ("epochs", lambda g: fit(g, epochs=-1)),
    ("epochs", lambda g: fit(g, epochs=1.0)),
    ("batch_size", lambda g: fit(g, batch_size=0)),
    ("batch_size", lambda g: fit(g, batch_size=True)),
    ("batch_size", lambda g: fit(g, batch_size=None)),
    ("rng", lambda g: fit(g, rng="seed")),
    ("rng", lambda g: fit(g, rng=0.5, shuffle=True)),
    # kernels
    ("a and b", lambda g: kernels.matmul(np.ones((2, 3)), np.ones((2, 3)))),
    ("a and b", lambda g: kernels.matmul(np.ones((2, 3)), np.ones((3, 2)), transpose_a=True)),
    ("a and b", lambda g: kernels.matmul(np.ones(3), np.ones(4))),
    ("a", lambda g: kernels.matmul(np.ones((1, 2, 2)), g.square)),
    ("a", lambda g: kernels.matmul(2.0, g.square)),
    ("a", lambda g: kernels.matmul(RAGGED, g.square)),
    ("b", lambda g: kernels.matmul(g.square, "b")),
    ("b", lambda g: kernels.matmul(g.square, None)),
    ("b", lambda g: kernels.matmul(g.square, g.square.astype(complex))),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=np.empty((2, 3)))),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=np.empty((2, 2), np.float32))),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=np.empty((2, 2)).T[:, ::-1])),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=g.read_only)),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=g.square)),
    ("out", lambda g: kernels.matmul(g.square, g.square, out=[[0.0, 0.0], [0.0, 0.0]])),
    ("out", lambda g: kernels.matmul(g.square, g.read_only, out=g.read_only)),
    ("out", lambda g: kernels.exp(g.square, out=g.read_only)),
    ("out", lambda g: kernels.exp(g.square, out=np.empty(4))),
    ("out", lambda g: kernels.log(g.square, out=3)),
    ("out", lambda g: kernels.tanh(g.memory[:8], out=g.memory[1:9])),
    ("out", lambda g: kernels.sigmoid(g.memory[1:9], out=g.memory[:8])),
    ("out", lambda g: kernels.relu(g.memory[:8], out=g.memory[::2])),
    ("out", lambda g: kernels.softmax(g.square, out=np.empty((2, 2), np.float32))),
    ("x", lambda g: kernels.exp("x")),
    ("x", lambda g: kernels.log(None)),
    ("x", lambda g: kernels.tanh(RAGGED)),
    ("x", lambda g: kernels.sigmoid([1 + 2j])),
    ("x", lambda g: kernels.relu([HUGE])),
    ("x", lambda g: kernels.softmax(object())),
    # Functions
    ("tensor", lambda g: deepc.softmax([])),
    ("tensor", lambda g: deepc.softmax(1.0)),
    ("tensor", lambda g: deepc.softmax(RAGGED)),
    ("t", lambda g: deepc.sigmoid("0")),
    ("x", lambda g: deepc.tanh(None)),
    ("x", lambda g: deepc.relu([1.0, "a"])),
    ("tensor", lambda g: deepc.shape(RAGGED)),
    ("tensor", lambda g: deepc.shape("abc")),
    ("tensor", lambda g: deepc.is_1d(None)),
    ("tensor", lambda g: deepc.tensor_sum([1.0, "a"])),
    ("tensor", lambda g: deepc.tensor_sum(RAGGED)),
    ("tensor", lambda g: deepc.zeros_like({})),
    ("f", lambda g: deepc.tensor_apply(2, [1.0])),
    ("f", lambda g: deepc.tensor_apply(np.add, [1.0])),
    ("f", lambda g: deepc.tensor_combine(np.sin, g.square, g.square)),
    ("tensor", lambda g: deepc.tensor_apply(abs, 2j)),
    ("t1 and t2", lambda g: deepc.tensor_combine(max, [1.0], [1.0, 2.0])),
    ("f", lambda g: deepc.tensor_combine(None, [1.0], [1.0])),
    ("xs", lambda g: deepc.argmax([])),
    ("xs", lambda g: deepc.argmax(np.empty((0, 3)))),
    ("xs", lambda g: deepc.argmax(["a", 1])),
    ("i", lambda g: deepc.one_hot_encode(10)),
    ("i", lambda g: deepc.one_hot_encode(-1)),
    ("i", lambda g: deepc.one_hot_encode(1.0)),
    ("i", lambda g: deepc.one_hot_encode(True)),
    ("i", lambda g: deepc.one_hot_encode([0, 3], 3)),
    ("i", lambda g: deepc.one_hot_encode(np.array([0.5]))),
    ("num_labels", lambda g: deepc.one_hot_encode(0, 0)),
    ("v and w", lambda g: deepc.dot([1.0], [1.0, 2.0])),
    ("v and w", lambda g: deepc.dot(g.square, g.square)),
    ("v and w", lambda g: deepc.dot([1.0, "a"], [1.0, 2.0])),
    ("x", lambda g: deepc.normal_cdf("0")),
    ("mu", lambda g: deepc.normal_cdf(0.0, mu=INF)),
    ("sigma", lambda g: deepc.normal_cdf(0.0, sigma=0.0)),
    ("sigma", lambda g: deepc.normal_cdf(0.0, sigma=NAN)),
    ("mu", lambda g: deepc.inverse_normal_cdf(0.5, mu="0")),
    ("sigma", lambda g: deepc.inverse_normal_cdf(0.5, sigma=-1.0)),
    ("p", lambda g: deepc.inverse_normal_cdf(0.0)),
    ("p", lambda g: deepc.inverse_normal_cdf(NAN)),
    ("dims", lambda g: deepc.random_uniform()),
    ("dims", lambda g: deepc.random_uniform(0)),
    ("dims", lambda g: deepc.random_normal(2, -1)),
    ("dims", lambda g: deepc.random_tensor(2.5)),
    ("variance", lambda g: deepc.random_normal(2, variance=-1.0)),
    ("mean", lambda g: deepc.random_normal(2, mean=INF)),
    ("init", lambda g: deepc.random_tensor(2, init="kaiming")),
    ("dtype", lambda g: deepc.random_tensor(2, dtype="float128")),
    ("rng", lambda g: deepc.random_tensor(2, rng=True)),
    # Settings
    ("dtype", lambda g: deepc.set_default_dtype("int32")),
    ("dtype", lambda g: deepc.set_default_dtype(None)),
    ("count", lambda g: deepc.set_num_threads(0)),
    ("count", lambda g: deepc.set_num_threads(2.0)),
    ("count", lambda g: deepc.set_num_threads(HUGE)),
    ("name", lambda g: library.set_isa("mmx")),
]


def identify(i):
    import inspect

    name, call = CASES[i]
    line = inspect.getsource(call).strip().rstrip(",")
    return f"{i}-{line.split('lambda g: ', 1)[-1][:60]}" if line else f"{i}-{name}"


@pytest.mark.parametrize("i", range(len(CASES)), ids=identify)
def test_refused_by_name_with_nothing_changed(good, i):
    name, call = CASES[i]
    before = state_of(good)
    with pytest.raises((ValueError, TypeError), match=rf"(^|\b){name}(?!\w)"):
        call(good)
    assert state_of(good) == before
    # And what was refused is not in the way of what comes next.
    deepc.fit(good.net, good.x, good.labels, loss=SoftmaxCrossEntropy(), optimizer=good.optimizer)


def test_dtype_float_means_float64():
    """Python's float is one of the two; its name in NumPy too."""
    deepc.set_default_dtype(float)
    assert deepc.default_dtype() == np.float64


def test_out_of_range_is_told_with_what_came_and_what_was_expected():
    for call, parts in [
        (lambda: Dropout(1.5), ("0", "1", "1.5")),
        (lambda: Linear(2, 2).forward([1.0] * 7), ("2", "7")),
        (lambda: SoftmaxCrossEntropy().loss([[0.0] * 3], [5]), ("0", "2", "5")),
        (lambda: kernels.matmul(np.ones((2, 3)), np.ones((4, 5))), ("(2, 3)", "(4, 5)")),
        (lambda: Linear(2, 2, dtype="int8"), ("float32", "float64", "int8")),
    ]:
        with pytest.raises(ValueError, match=r".") as caught:
            call()
        assert all(part in str(caught.value) for part in parts), caught.value


# ---- Labels and targets in other forms -----------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "loss", "error", "message"),
    [
        ([0, 1, 1], SSE(), ValueError, "class numbers? use one_hot_encode(y, 2) or SoftmaxCross"),
        ([[0], [1], [1]], SSE(), ValueError, "use one_hot_encode(y.ravel(), 2) or SoftmaxCross"),
        ([[0], [1], [1]], SoftmaxCrossEntropy(), ValueError, "of shape (3,): use y.ravel()"),
        ([0.0, 1.0, 1.0], SoftmaxCrossEntropy(), TypeError, "float64; use y.astype(int)"),
        ([0.0, np.nan, 1.0], SoftmaxCrossEntropy(), TypeError, "; 1 of them NaN or infinite"),
        ([False, True, True], SoftmaxCrossEntropy(), TypeError, "dtype bool; use y.astype(int)"),
        (["a", "b", "c"], SoftmaxCrossEntropy(), TypeError, "expected integer labels, got"),
        ([0, 2, 1], SoftmaxCrossEntropy(), ValueError, "expected labels from 0 to 1, got 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_the_cure(y, loss, error, message):
    net = Linear(2, 2, rng=0)
    before = digest(*net.params())
    with pytest.raises(error) as caught:
        deepc.fit(net, np.ones((3, 2)), y, loss=loss, optimizer=deepc.SGD())
    assert str(caught.value).startswith("y: expected ")
    assert message in str(caught.value)
    assert digest(*net.params()) == before


def test_one_output_is_one_class():
    with pytest.raises(ValueError, match="the model has 1 output, so 1 class"):
        deepc.fit(
            Linear(1, 1), [[1.0]], [1], loss=SoftmaxCrossEntropy(), optimizer=deepc.SGD()
        )  # fmt: skip


def test_labels_may_be_pythons_integers_in_an_array():
    right = None
    for y in ([1, 0, 1], np.array([1, 0, 1], object)):
        net = Linear(2, 2, rng=0)
        deepc.fit(net, np.ones((3, 2)), y, loss=SoftmaxCrossEntropy(), optimizer=deepc.SGD())
        right = right or digest(*net.params())
        assert digest(*net.params()) == right


@pytest.mark.parametrize("count", [10**30, 10**5000], ids=["30", "5000"])
def test_more_neurons_than_any_machine_holds(count):
    layer = deepc.Linear(2, 3)
    for call in (lambda: deepc.Linear(count, 1), lambda: layer.__init__(1, count),
                 lambda: deepc.LayerNorm(count), lambda: deepc.Embedding(count, 2)):  # fmt: skip
        with pytest.raises(ValueError, match=r"(dim|classes): expected at most"):
            call()
    with pytest.raises(MemoryError, match="shape"):
        deepc.Linear(2**40, 2**40)
    assert layer.w.shape == (3, 2)
