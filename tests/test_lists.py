"""Lists that the library reads and makes itself: the numbers of arrays, the errors of Python."""

from __future__ import annotations

import contextlib
import copy
from functools import partial

import deepc
import numpy as np
import pytest
from deepc import SSE, Linear, Sequential, SoftmaxCrossEntropy, Tanh
from many_callers import run_all
from reference import digest

X = np.random.default_rng(1).standard_normal((5, 3))
Y = np.random.default_rng(2).standard_normal((5, 2))


def network(dtype="float64"):
    return Sequential([Linear(3, 4, dtype=dtype, rng=1), Tanh(), Linear(4, 2, dtype=dtype, rng=2)])


def floats(value):
    """All numbers of nested lists, each a float of Python."""
    assert type(value) is list or type(value) is float
    return [value] if type(value) is float else [x for item in value for x in floats(item)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("x", "y"), [(X, Y), (X[0], Y[0]), (X[:1], Y[:1])])
@pytest.mark.parametrize("loss", [SSE("mean"), SoftmaxCrossEntropy()])
def test_lists_compute_what_arrays_do(dtype, x, y, loss):
    net, same = network(dtype), network(dtype)
    x_array = x.astype(dtype)
    predicted, expected = net.forward(x.tolist()), same.forward(x_array)
    assert floats(predicted) == expected.ravel().tolist()
    wide = expected.astype(np.float64)  # lists are of float64
    assert loss.loss(predicted, y.tolist()) == loss.loss(wide, y)
    gradient = loss.gradient(predicted, y.tolist())
    assert floats(gradient) == loss.gradient(wide, y).ravel().tolist()
    back = net.backward(gradient)
    assert floats(back) == same.backward(np.array(gradient, dtype)).ravel().tolist()
    assert np.shape(back) == x.shape
    assert digest(*net.grads()) == digest(*same.grads())


def test_layers_by_themselves_take_lists():
    layer = Linear(3, 2, dtype="float64", rng=1)
    assert floats(layer.forward(X.tolist())) == layer.forward(X).ravel().tolist()
    assert floats(Tanh().forward(X.tolist())) == Tanh().forward(X).ravel().tolist()


def test_a_list_may_hold_ints_and_numbers_of_numpy():
    net, expected = network(), network().forward([1.0, 2.0, 3.5])
    for x in ([1, 2, 3.5], [np.float64(1), 2, np.float32(3.5)], [True, 2, np.float64(3.5)]):
        assert net.forward(x) == expected
    assert SSE().loss([1, 2], [0.0, 4]) == 5.0


def test_a_list_and_an_array():
    predicted, actual = [1.0, 2.0], np.array([0.0, 4.0], np.float32)
    assert SSE().loss(predicted, actual) == 5.0
    assert floats(SSE().gradient(predicted, actual)) == [2.0, -4.0]
    got = SSE().gradient(actual, predicted)
    assert got.dtype == np.float32
    assert got.tolist() == [-2.0, 4.0]
    assert SSE().loss([[1.0, 2.0]], [[0.0, 4.0]], [0.5]) == 2.5
    assert floats(SoftmaxCrossEntropy().gradient([[0.0, 0.0]], [1])) == [0.5, -0.5]
    assert floats(SoftmaxCrossEntropy().gradient([0.0, 0.0], 0)) == [-0.5, 0.5]


def test_a_list_that_changes_after_forward_changes_nothing():
    net, same, x = network(), network(), X[0].tolist()
    net.forward(x), same.forward(X[0])
    x[:] = ["text"] * 3
    net.backward([1.0, -1.0]), same.backward(np.array([1.0, -1.0]))
    assert digest(*net.grads()) == digest(*same.grads())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("width", [3, 600, 2000])  # beyond some, lists are read to other memory
def test_each_backward_is_of_its_own_forward(dtype, width):
    net, same = (Sequential([Linear(width, 2, dtype=dtype, rng=1)]) for _ in range(2))
    x = np.random.default_rng(5).standard_normal((6, width)).astype(dtype)
    for rows in (x[0], x[1], x[:2], x[2:4], x[4], x[5]):
        assert net.forward(rows.tolist()) == same.forward(rows).tolist()
        gradient = np.ones((*rows.shape[:-1], 2), dtype)
        back = net.backward(gradient.tolist())
        assert floats(back) == same.backward(gradient).ravel().tolist()
        assert digest(*net.grads()) == digest(*same.grads())


@pytest.mark.parametrize("own", [True, False])
def test_a_list_is_never_read_to_an_array_of_the_users(own):
    layer, whole = Linear(3, 2, dtype="float64", rng=1), X.copy()
    row = whole[0].copy() if own else None
    layer.forward(row if own else whole[0])  # of which nobody but the layer has the view
    layer.forward([7.0, 8.0, 9.0])
    assert own is False or (row == X[0]).all()
    assert (whole == X).all()
    kept = layer._memory.last._last
    layer.forward([1.0, 2.0, 3.0])
    assert kept.tolist() == [7.0, 8.0, 9.0]
    frozen = X[0].copy()
    frozen.flags.writeable = False
    layer.forward(frozen)
    del frozen
    layer.forward([1.0, 2.0, 3.0])
    layer.backward([1.0, 0.0])
    assert layer.w_grad.tolist() == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("x", [[7.0, 8.0, "9"], [7.0, 8.0], [[7.0, 8.0, 9.0], [7.0]]])
def test_a_list_that_does_not_go_leaves_the_forward_before_it(x):
    layer = Linear(3, 2, dtype="float64", rng=1)
    for _ in range(2):
        layer.forward([1.0, 2.0, 3.0])
        with pytest.raises((TypeError, ValueError)):
            layer.forward(x)
        layer.backward([1.0, 0.0])
        assert layer.w_grad.tolist() == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]


def test_loss_and_gradient_and_the_losses_of_rows_take_lists():
    loss = SoftmaxCrossEntropy()
    x, y, weights = X.tolist(), np.eye(3)[[0, 1, 2, 0, 1]].tolist(), [1.0, 2.0, 0.0, 1.0, 1.0]
    value, gradient = loss.loss_and_gradient(x, y, weights)
    assert (value, gradient) == (loss.loss(x, y, weights), loss.gradient(x, y, weights))
    assert floats(gradient) == loss.gradient(X, np.array(y), np.array(weights)).ravel().tolist()
    assert floats(loss.row_losses(x, y, weights)) == pytest.approx(
        loss.row_losses(X, np.array(y), np.array(weights)).tolist(), abs=0
    )
    assert type(loss.row_losses(x[0], y[0])) is float


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0, "2", 3.0], TypeError, r"input: expected real numbers, got str '2' at \[1\]"),
        ([1.0, 10**400, 3.0], ValueError, "input: expected numbers that a float can hold"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], ValueError, "input: expected rows of equal length"),
        ([[1.0, 2.0, 3.0], 1.0], ValueError, "input: expected rows of equal length"),
        ([1.0, [2.0], 3.0], ValueError, "input: expected rows of equal length"),
        ([1.0, 2.0], ValueError, "input: expected 3 columns, got 2"),
        ([[[1.0, 2.0, 3.0]]], ValueError, "input: expected 1 or 2 dimensions"),
        ([1.0, None, 3.0], TypeError, r"input: expected real numbers, got None at \[1\]"),
        ([], ValueError, "input: expected at least 1 column"),
        ([[]], ValueError, "input: expected at least 1 column"),
    ],
)
def test_what_is_wrong_in_a_list_is_told(x, error, message):
    net = network()
    y = net.forward(X)
    with pytest.raises(error, match=message):
        net.forward(x)
    before = copy.deepcopy([np.asarray(p) for p in net.params()])
    with pytest.raises(ValueError, match="gradient: expected the shape of the last output"):
        net.forward(X.tolist()), net.backward([1.0, 2.0])
    assert digest(*net.params()) == digest(*before)
    assert y.shape == (5, 2)


def test_wrong_gradients_and_targets_in_lists_are_told():
    with pytest.raises(ValueError, match="actual: expected the shape of predicted"):
        SSE().gradient([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="actual: expected the shape of predicted"):
        SSE().loss([1.0, 2.0], [1.0])
    with pytest.raises(TypeError, match=r"actual: expected real numbers, got str 'a' at \[1\]"):
        SSE().loss([1.0, 2.0], [1.0, "a"])
    with pytest.raises(RuntimeError, match="call forward first"):
        network().backward([1.0, 2.0])


def test_a_step_on_lists_keeps_no_memory():
    tracemalloc = pytest.importorskip("tracemalloc")
    net, optimizer, loss = network(), deepc.Momentum(0.01), SSE()
    x, y = X[0].tolist(), Y[0].tolist()

    def steps(count):
        for _ in range(count):
            net.backward(loss.gradient(net.forward(x), y))
            optimizer.step(net)
            loss.loss(x, x)
            with contextlib.suppress(TypeError):
                net.forward([1.0, "2", 3.0])

    steps(10)
    tracemalloc.start()
    steps(10)
    before = tracemalloc.get_traced_memory()[0]
    steps(200)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000


# ---- Lists that come back ---------------------------------------------------------------------
# A list that its user drops is given out again; whatever he still holds must stay as it is.


def pictures(count, width=300):
    rng = np.random.default_rng(3)
    layer = Linear(width, 2, dtype="float64", rng=1)
    layer.forward([0.5] * width)
    gradients = rng.standard_normal((count, 2))
    return layer, gradients.tolist(), [(g @ layer.w).tolist() for g in gradients]


@pytest.mark.parametrize(
    "keep",
    [
        lambda result: None,
        lambda result: result,
        lambda result: result[7],
        lambda result: [result[0], result[-1]],
        lambda result: iter(result),
        lambda result: (result, result[3]),
        lambda result: result.append("more"),
        lambda result: result.__setitem__(5, 10**30),
        lambda result: result.__setitem__(5, result),
        lambda result: result.__setitem__(5, np.float64(2)),
        lambda result: result.clear(),
        lambda result: result.sort(),
    ],
)
@pytest.mark.parametrize("width", [8, 300])
def test_what_is_held_of_a_result_stays_and_what_is_changed_in_it_does_no_harm(keep, width):
    layer, gradients, right = pictures(40, width)
    held = []
    for gradient, expected in zip(gradients, right, strict=True):
        result = layer.backward(gradient)
        assert type(result) is list
        assert result == pytest.approx(expected, rel=1e-13)
        exact = list(map(float, result))
        held.append((keep(result), keep(exact)))
        del result
    for kept, same in held:
        if hasattr(kept, "__next__"):
            assert list(kept) == list(same)
        else:
            assert kept == same


@pytest.mark.parametrize("width", [8, 300])
def test_an_item_that_runs_code_when_its_list_is_made_anew(width):
    layer, gradients, right = pictures(9, width)
    seen = []

    class Last:
        def __del__(self):
            seen.append(layer.backward(gradients[2]))

    result = layer.backward(gradients[0])
    result[5] = Last()
    del result
    held = [layer.backward(gradients[i]) for i in (1, 3, 4, 5, 6)]
    for again, i in zip(held, (1, 3, 4, 5, 6), strict=True):
        assert again == pytest.approx(right[i], rel=1e-13)
    assert seen[0] == pytest.approx(right[2], rel=1e-13)


def test_threads_that_share_a_layer():
    layer = Linear(3, 2, dtype="float64", rng=1)
    right = {tuple(x): layer.forward(x) for x in X.tolist()}
    wrong = []

    def body(i):
        x = X[i].tolist()
        for _ in range(2000):
            if layer.forward(x) != right[tuple(x)]:
                wrong.append(i)

    run_all([partial(body, i) for i in range(4)])
    assert not wrong


@pytest.mark.parametrize("width", [8, 300])
def test_lists_of_many_threads(width):
    layer, gradients, right = pictures(8, width)
    wrong = []

    def body(i):
        one = copy.deepcopy(layer)
        one.forward([0.5] * width)
        for turn in range(200):
            k = (i + turn) % 8
            result = one.backward(gradients[k])
            if not np.allclose(result, right[k], rtol=1e-12):
                wrong.append((i, turn))

    run_all([partial(body, i) for i in range(4)])
    assert not wrong
