"""Layers and sequences of them: numbers, gradients, forms of tensors, what may be changed when."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import time

import deepc
import numpy as np
import pytest
import reference
from deepc import Dropout, GradientDescent, Layer, Linear, Relu, Sequential, Sigmoid, Tanh
from hypothesis import given
from hypothesis import strategies as st

ACTIVATIONS = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": Relu}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def close(got, expected, dtype, scale=1.0):
    assert np.shape(got) == np.shape(expected)
    tolerance = TOLERANCE[np.dtype(dtype).name]
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=scale * tolerance)


def same_network(layers):
    """Return the reference of some layers, with the masks of their last training pass."""
    result = []
    for layer in layers:
        if isinstance(layer, Linear):
            result.append((layer.w.copy(), layer.b.copy()))
        elif isinstance(layer, Dropout):
            result.append(np.asarray(layer.mask, np.float64) if layer.train else 1 - layer.p)
        else:
            result.append(type(layer).__name__.lower())
    return reference.Network(result)


# ---- Single layers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(1, 1), (2, 3), (17, 5), (784, 30), (5, 300), (300, 1)]
)
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_linear(isa, dtype, inputs, outputs, rows, rng):
    layer = Linear(inputs, outputs, dtype=dtype, rng=1)
    x = rng.standard_normal((rows, inputs)).astype(dtype)
    expected = same_network([layer])
    y = layer.forward(x)
    assert y.dtype == dtype
    close(y, expected.forward(x), dtype, 10)
    d_y = rng.standard_normal((rows, outputs)).astype(dtype)
    (w_grad, b_grad), d_x = expected.backward(d_y)
    close(layer.backward(d_y), d_x, dtype, 10)
    close(layer.w_grad, w_grad, dtype, 10)
    close(layer.b_grad, b_grad, dtype, 10)
    # One sample, as a vector.
    close(layer.forward(x[0]), expected.forward(x[:1])[0], dtype, 10)
    (w_grad, b_grad), d_x = expected.backward(d_y[:1])
    close(layer.backward(d_y[0]), d_x[0], dtype, 10)
    close(layer.w_grad, w_grad, dtype, 10)
    close(layer.b_grad, b_grad, dtype, 10)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(1,), (7,), (100,), (1, 5), (9, 16), (33, 31)])
def test_activation(isa, dtype, name, shape, rng):
    layer = ACTIVATIONS[name]()
    x, d_y = (rng.normal(0, 2, shape).astype(dtype) for _ in range(2))
    expected = reference.Network([name])
    y = layer.forward(x)
    close(y, expected.forward(x), dtype)
    # The derivative is a function of the output; the exact one hides that 1 - y loses digits.
    close(layer.backward(d_y), reference.DERIVATIVE[name](y.astype(np.float64)) * d_y, dtype)
    assert list(layer.params()) == []
    assert list(layer.grads()) == []


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_alone_takes_any_width_in_turn(name, rng):
    layer = ACTIVATIONS[name]()
    for shape in [(3,), (200,), (1,), (40, 7), (2, 300), (300, 2), (5,)]:
        x = rng.standard_normal(shape)
        close(layer.forward(x), reference.FORWARD[name](x), np.float64)
        assert layer.backward(x).shape == shape


def test_activation_of_millions(rng):
    """Wider than any layer of neurons, and then narrow again."""
    layer = Tanh()
    x = np.linspace(-2, 2, 3_000_000, dtype=np.float32)
    narrow = layer.forward(x[:10])
    assert np.abs(layer.forward(x) - np.tanh(x)).max() < 1e-6
    assert np.array_equal(layer.forward(x[:10]), narrow)
    layer.backward(x[:10])


def test_relu_keeps_nan_and_stops_gradients_at_zero(dtype):
    layer = Relu()
    y = layer.forward(np.array([-1, 0, 2, np.nan], dtype))
    assert np.array_equal(y, np.array([0, 0, 2, np.nan]), equal_nan=True)
    assert layer.backward(np.ones(4, dtype))[:3].tolist() == [0, 0, 1]


# ---- Networks ------------------------------------------------------------------------------------


def deep(dtype, seed=1):
    return Sequential(
        [
            Linear(5, 8, dtype=dtype, rng=seed),
            Tanh(),
            Linear(8, 6, dtype=dtype, rng=seed + 1),
            Sigmoid(),
            Linear(6, 7, dtype=dtype, rng=seed + 2),
            Relu(),
            Linear(7, 3, dtype=dtype, rng=seed + 3),
        ]
    )


NETWORKS = {
    "deep": deep,
    "activation first": lambda dtype: Sequential([Tanh(), Linear(5, 3, dtype=dtype)]),
    "activation last": lambda dtype: Sequential([Linear(5, 3, dtype=dtype), Sigmoid()]),
    "activations in a row": lambda dtype: Sequential(
        [
            Linear(5, 4, dtype=dtype), Tanh(), Sigmoid(), Tanh(),
            Linear(4, 3, dtype=dtype), Relu(), Tanh(),
        ]
    ),
    "linear layers in a row": lambda dtype: Sequential(
        [Linear(5, 9, dtype=dtype), Linear(9, 2, dtype=dtype), Linear(2, 3, dtype=dtype)]
    ),
    "dropout first and last": lambda dtype: Sequential(
        [Dropout(0.3, rng=1), Linear(5, 40, dtype=dtype), Dropout(0.5, rng=2)]
    ),
    "dropout after activations": lambda dtype: Sequential(
        [
            Linear(5, 30, dtype=dtype), Sigmoid(), Dropout(0.4, rng=3), Linear(30, 20, dtype=dtype),
            Tanh(), Dropout(0.2, rng=4), Dropout(0.2, rng=5), Tanh(), Linear(20, 3, dtype=dtype),
        ]
    ),
    "dropout before activations": lambda dtype: Sequential(
        [Linear(5, 30, dtype=dtype), Dropout(0.4, rng=6), Relu(), Linear(30, 4, dtype=dtype)]
    ),
    "nested": lambda dtype: Sequential(
        [
            Linear(5, 6, dtype=dtype),
            Sequential([Tanh(), Sequential([Linear(6, 7, dtype=dtype)]), Sigmoid()]),
            Linear(7, 3, dtype=dtype),
        ]
    ),
    "one layer": lambda dtype: Sequential([Linear(5, 3, dtype=dtype)]),
}  # fmt: skip


def flat(layers):
    for layer in layers:
        yield from flat(layer.layers) if isinstance(layer, Sequential) else [layer]


@pytest.mark.parametrize("rows", [None, 1, 4, 65])
@pytest.mark.parametrize("case", NETWORKS)
def test_network_matches_numpy(isa, dtype, case, rows, rng):
    net = NETWORKS[case](dtype)
    for _ in range(2):  # the second time with memory that is in use
        x = rng.standard_normal((rows or 1, 5)).astype(dtype)
        given_x = x if rows else x[0]
        y = net.forward(given_x)
        expected = same_network(list(flat(net.layers)))
        close(y, expected.forward(x) if rows else expected.forward(x)[0], dtype)
        d_y = rng.standard_normal(y.shape).astype(dtype)
        grads, d_x = expected.backward(d_y.reshape(rows or 1, -1))
        close(net.backward(d_y), d_x if rows else d_x[0], dtype, 10)
        got = list(net.grads())
        assert len(got) == len(grads)
        for grad, want in zip(got, grads, strict=True):
            close(grad, want, dtype, 100)


@pytest.mark.parametrize("case", NETWORKS)
def test_gradients_are_finite_differences(case, rng):
    net = NETWORKS[case](np.float64)
    x = rng.standard_normal((4, 5))
    targets = rng.standard_normal(net.forward(x).shape)
    dropouts = [layer for layer in flat(net.layers) if isinstance(layer, Dropout)]

    def forward():
        for layer in dropouts:
            layer._structure.counter = 0  # the same masks each time
        return net.forward(x)

    def loss():
        return deepc.SSE().loss(forward(), targets)

    d_x = net.backward(deepc.SSE().gradient(forward(), targets))
    grads = [grad.copy() for grad in net.grads()]
    np.testing.assert_allclose(d_x, reference.finite_differences(loss, x), rtol=1e-4, atol=1e-6)
    for param, grad in zip(net.params(), grads, strict=True):
        np.testing.assert_allclose(
            grad, reference.finite_differences(loss, param), rtol=1e-4, atol=1e-6
        )


@given(
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    names=st.lists(st.sampled_from([None, *ACTIVATIONS]), min_size=5, max_size=5),
    rows=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_network(widths, names, rows, seed):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(Linear(widths[i], widths[i + 1], dtype="float64", rng=seed + i))
        if names[i]:
            layers.append(ACTIVATIONS[names[i]]())
    net, expected = Sequential(layers), same_network(layers)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, widths[0]))
    y = net.forward(x)
    close(y, expected.forward(x), np.float64, 100)
    d_y = rng.standard_normal(y.shape)
    grads, d_x = expected.backward(d_y)
    close(net.backward(d_y), d_x, np.float64, 1000)
    for grad, want in zip(net.grads(), grads, strict=True):
        close(grad, want, np.float64, 1000)


def test_gradient_of_a_batch_is_the_sum_over_its_samples(dtype, rng):
    net = deep(dtype)
    x, d_y = rng.standard_normal((12, 5)).astype(dtype), rng.standard_normal((12, 3)).astype(dtype)
    net.forward(x)
    d_x = net.backward(d_y)
    together = [grad.copy() for grad in net.grads()]
    total = [np.zeros(grad.shape) for grad in together]
    for i in range(12):
        net.forward(x[i])
        close(net.backward(d_y[i]), d_x[i], dtype)
        total = [t + grad for t, grad in zip(total, net.grads(), strict=True)]
    for grad, want in zip(together, total, strict=True):
        close(grad, want, dtype, 10)


def test_backward_twice_gives_the_same(dtype, rng):
    net = deep(dtype)
    x, d_y = rng.standard_normal((6, 5)).astype(dtype), rng.standard_normal((6, 3)).astype(dtype)
    net.forward(x)
    first = reference.digest(net.backward(d_y), *net.grads())
    assert first == reference.digest(net.backward(d_y), *net.grads())


def test_input_gradient_can_be_left_out(dtype, rng):
    net, d_y = deep(dtype), rng.standard_normal((6, 3)).astype(dtype)
    net.forward(rng.standard_normal((6, 5)).astype(dtype))
    net.backward(d_y)
    expected = reference.digest(*net.grads())
    for grad in net.grads():
        grad[:] = 0
    assert net.backward(d_y, input_gradient=False) is None
    assert reference.digest(*net.grads()) == expected


def test_inputs_and_gradients_are_left_alone(dtype, rng):
    for make in NETWORKS.values():
        net = make(dtype)
        x = rng.standard_normal((6, 5)).astype(dtype)
        before_x = x.tobytes()
        y = net.forward(x)
        kept = y.tobytes()
        d_y = y.copy()
        net.backward(d_y)
        net.forward(x[::-1].copy())
        assert x.tobytes() == before_x
        assert y.tobytes() == d_y.tobytes() == kept, "an output handed out must not change"


# ---- Lists and arrays ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Linear(3, 2, dtype="float64"), Tanh, Sigmoid, Relu,
                                  lambda: Dropout(0.5), lambda: Sequential([Linear(3, 2), Tanh()]),
                                  lambda: Sequential([Tanh()])])  # fmt: skip
def test_lists_give_lists_and_arrays_give_arrays(make):
    layer = make()
    for x in ([0.5, -1.0, 2.0], [[0.5, -1.0, 2.0], [1.0, 2.0, 3.0]]):
        y = layer.forward(x)
        assert isinstance(y, list)
        d_x = layer.backward(y)
        assert isinstance(d_x, list)
        assert deepc.shape(d_x) == deepc.shape(x)
        assert all(type(t) is float for t in np.array(y, object).ravel())
        array = layer.forward(np.array(x))
        assert isinstance(array, np.ndarray)
        assert isinstance(layer.backward(array), np.ndarray)
        if not isinstance(layer, Dropout):
            assert array.tolist() == y


def test_tuples_integers_and_other_dtypes_are_taken():
    layer = Linear(2, 1)
    layer.w, layer.b = [[1, 2]], [3]
    for x in [(1, 2), [1, 2], np.array([1, 2]), np.array([1, 2], np.float16), [True, 2]]:
        assert np.asarray(layer.forward(x)).tolist() == [8.0]
    assert layer.forward(np.array([1.0, 2.0])).dtype == np.float32


def test_layout_of_inputs_and_gradients_does_not_matter(isa, dtype, rng):
    net = deep(dtype)
    x, d_y = rng.standard_normal((6, 5)).astype(dtype), rng.standard_normal((6, 3)).astype(dtype)
    expected = reference.digest(net.forward(x), net.backward(d_y), *net.grads())

    def one_byte_off(a):
        view = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    for view in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),  # read-only
        lambda a: a.astype(a.dtype.newbyteorder()),
        one_byte_off,
    ):
        got = reference.digest(net.forward(view(x)), net.backward(view(d_y)), *net.grads())
        assert got == expected


def test_activations_alone_keep_the_dtype_of_arrays_and_take_lists_as_float64():
    third = 1 / 3
    assert Tanh().forward([third]) == deepc.tanh([third])
    assert Tanh().forward(np.array([third], np.float32)).dtype == np.float32
    assert Tanh().forward(np.array([1, 2])).dtype == np.float64


# ---- Parameters ----------------------------------------------------------------------------------


def test_parameters_are_changed_in_place(dtype):
    layer = Linear(3, 2, dtype=dtype)
    w, b = layer.params()
    assert w is layer.w
    assert w.shape == (2, 3)
    assert b.shape == (2,)
    w[:] = [[1, 2, 3], [4, 5, 6]]
    b[:] = [1.0, 2.0]
    net = Sequential([layer])
    assert net.forward([1.0, 1.0, 1.0]) == [7.0, 17.0]
    w[1, 2] = 0
    b += 1
    assert net.forward([1.0, 1.0, 1.0]) == layer.forward([1.0, 1.0, 1.0]) == [8.0, 12.0]


def test_setters_copy_into_the_same_memory():
    layer = Linear(2, 2, dtype="float64")
    net = Sequential([layer])
    w, b, w_grad, b_grad = layer.w, layer.b, layer.w_grad, layer.b_grad
    given_w = np.array([[1.0, 2.0], [3.0, 4.0]])
    layer.w = given_w
    layer.b = [5, 6]
    given_w[:] = 0
    assert layer.w is w
    assert layer.b is b
    assert net.forward([1.0, 1.0]) == [8.0, 13.0]
    layer.w_grad, layer.b_grad = [[1, 2], [3, 4]], [5, 6]
    assert layer.w_grad is w_grad
    assert [grad.tolist() for grad in net.grads()] == [[[1, 2], [3, 4]], [5, 6]]
    assert layer.b_grad is b_grad
    layer.w = layer.w.T  # overlaps itself
    assert w.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("name", ["w", "b", "w_grad", "b_grad"])
def test_setters_refuse_another_shape_and_change_nothing(name):
    layer = Linear(2, 2)
    before = getattr(layer, name).copy()
    for value in ([1.0], [[1.0]], [[1.0, 2.0]], 3.0, [[1.0, 2.0], [3.0]], ["a", "b"], None):
        with pytest.raises((ValueError, TypeError), match=name):
            setattr(layer, name, value)
    assert np.array_equal(getattr(layer, name), before)


def test_initial_numbers(dtype):
    assert (
        Linear(40, 30, dtype=dtype, rng=3).w.tobytes()
        == Linear(40, 30, dtype=dtype, rng=3).w.tobytes()
    )
    random.seed(5)
    first = Linear(4, 3, dtype=dtype).w.copy()
    second = Linear(4, 3, dtype=dtype).w.copy()
    random.seed(5)
    assert np.array_equal(Linear(4, 3, dtype=dtype).w, first)
    assert not np.array_equal(first, second)
    wide = Linear(300, 200, dtype=dtype, rng=1)
    # The variance of an estimate of a variance from n normal numbers is 2 / n of it squared.
    n = wide.w.size
    assert wide.w.var() == pytest.approx(2 / 500, rel=5 * math.sqrt(2 / n))
    assert abs(wide.w.mean()) < 5 * math.sqrt(2 / 500 / n)
    normal = Linear(300, 200, init="normal", dtype=dtype, rng=1)
    assert normal.w.var() == pytest.approx(1, rel=5 * math.sqrt(2 / n))
    uniform = Linear(300, 200, init="uniform", dtype=dtype, rng=1)
    assert uniform.w.min() >= 0
    assert uniform.w.max() < 1
    assert uniform.w.mean() == pytest.approx(0.5, abs=5 / math.sqrt(12 * n))


def test_default_dtype():
    assert Linear(2, 2).w.dtype == np.float32
    deepc.set_default_dtype("float64")
    assert Linear(2, 2).w.dtype == np.float64
    assert Linear(2, 2, dtype="float32").w.dtype == np.float32


# ---- The same layer in several places ------------------------------------------------------------


def test_shared_layer_adds_its_gradients_and_is_listed_once(isa, dtype, rng):
    shared, first = Linear(6, 6, dtype=dtype, rng=1), Linear(5, 6, dtype=dtype, rng=2)
    net = Sequential([first, shared, Tanh(), shared, Sequential([shared])])
    twin = Sequential([first] + [Linear(6, 6, dtype=dtype, rng=1) for _ in range(3)])
    twin.layers.insert(2, Tanh())
    x, d_y = rng.standard_normal((7, 5)).astype(dtype), rng.standard_normal((7, 6)).astype(dtype)
    assert net.forward(x).tobytes() == twin.forward(x).tobytes()
    d_x, w_grad = net.backward(d_y), shared.w_grad.copy()
    b_grad = shared.b_grad.copy()
    close(d_x, twin.backward(d_y), dtype)
    others = [layer for layer in twin.layers if isinstance(layer, Linear)][1:]
    close(w_grad, sum(layer.w_grad.astype(np.float64) for layer in others), dtype, 10)
    close(b_grad, sum(layer.b_grad.astype(np.float64) for layer in others), dtype, 10)
    params = list(net.params())
    assert [id(p) for p in params] == [id(p) for p in (first.w, first.b, shared.w, shared.b)]
    assert len(list(net.grads())) == 4
    # Again: the sum starts anew at each backward.
    net.backward(d_y)
    assert np.array_equal(shared.w_grad, w_grad)


# ---- The list of layers --------------------------------------------------------------------------


def output_of(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


CHANGES = {
    "append": lambda layers: layers.append(Tanh()),
    "insert": lambda layers: layers.insert(1, Sigmoid()),
    "replace": lambda layers: layers.__setitem__(1, Relu()),
    "replace a slice": lambda layers: layers.__setitem__(slice(1, 2), [Sigmoid(), Tanh()]),
    "del": lambda layers: layers.__delitem__(1),
    "pop": lambda layers: layers.pop(),
    "remove": lambda layers: layers.remove(layers[1]),
    "clear": lambda layers: layers.clear(),
    "extend": lambda layers: layers.extend([Tanh(), Linear(4, 2, rng=9)]),
    "+=": lambda layers: layers.__iadd__([Tanh()]),
    "*=": lambda layers: layers.__imul__(2),
    "reverse": lambda layers: layers.reverse(),
    "sort": lambda layers: layers.sort(key=repr),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_change_of_the_list_is_noticed_at_the_next_call(change, nested, rng):
    inner = Sequential([Linear(4, 4, rng=1), Tanh(), Linear(4, 4, rng=2)])
    net = Sequential([inner]) if nested else inner
    x = rng.standard_normal((3, 4)).astype(np.float32)
    before = net.forward(x)
    CHANGES[change](inner.layers)
    after = net.forward(x)
    assert after.tobytes() == output_of(inner.layers, x).tobytes()
    assert after.tobytes() != before.tobytes()
    net.backward(after)
    layers = dict.fromkeys(layer for layer in inner.layers if isinstance(layer, Linear))
    assert [id(p) for p in net.params()] == [id(p) for layer in layers for p in (layer.w, layer.b)]


def test_layers_may_be_assigned(rng):
    net, x = deep("float32"), rng.standard_normal(5).astype(np.float32)
    net.forward(x)
    net.layers = net.layers[:2]
    assert net.forward(x).shape == (8,)
    net.layers = (Linear(5, 1),)
    assert net.forward(x).shape == (1,)


def test_backward_after_a_change_needs_a_forward():
    net = Sequential([Linear(2, 2)])
    y = net.forward([1.0, 2.0])
    net.layers.append(Tanh())
    with pytest.raises(RuntimeError, match="forward"):
        net.backward(y)


def test_sequential_inside_itself():
    net = Sequential([Linear(2, 2)])
    net.layers.append(Sequential([net]))
    calls = (
        lambda: net.forward([1.0, 2.0]),
        lambda: list(net.params()),
        lambda: GradientDescent(0.1).step(net),
    )
    for call in calls:
        with pytest.raises(ValueError, match="inside itself"):
            call()
    assert repr(net) == "Sequential([Linear(2, 2), Sequential([Sequential([...])])])"
    net.layers.pop()
    assert len(net.forward([1.0, 2.0])) == 2


def test_sequential_of_none():
    net = Sequential([])
    assert net.forward([1.0, 2.0]) == [1.0, 2.0]
    assert net.backward([3.0]) == [3.0]
    assert list(net.params()) == []


def test_what_is_no_layer_is_refused_by_its_place():
    for wrong in (3, None, "Tanh", Tanh, lambda x: x):
        with pytest.raises(TypeError, match=r"layers\[1\]"):
            Sequential([Tanh(), wrong])
        net = Sequential([Tanh()])
        net.layers.append(wrong)
        with pytest.raises(TypeError, match=r"layers\[1\]"):
            net.forward([1.0])
    with pytest.raises(TypeError, match="layers"):
        Sequential(Tanh())


def test_layer_made_anew_is_noticed(rng):
    """Calling __init__ again is a known way to start from new weights."""
    layer = Linear(4, 4, rng=1)
    net = Sequential([Tanh(), layer, Tanh()])
    optimizer, x = deepc.Momentum(0.1), rng.standard_normal((3, 4)).astype(np.float32)
    net.backward(net.forward(x))
    optimizer.step(net)
    layer.__init__(4, 4, rng=2)
    y = net.forward(x)
    assert y.tobytes() == output_of(net.layers, x).tobytes()
    before = layer.w.copy()
    net.backward(y)
    optimizer.step(net)
    assert not np.array_equal(layer.w, before)
    outer = Sequential([net])
    outer.forward(x)
    net.__init__([layer])
    assert outer.forward(x).tobytes() == layer.forward(x).tobytes()


# ---- Widths --------------------------------------------------------------------------------------


def test_wrong_width_inside_is_told_with_place_and_both_numbers():
    cases = [
        ([Linear(2, 3), Tanh(), Linear(4, 1)], r"layers\[2\].* 4 .* 3\b"),
        (
            [Linear(2, 3), Sequential([Tanh(), Linear(5, 1)])],
            r"layers\[1\]\.layers\[1\].* 5 .* 3\b",
        ),
        ([Linear(2, 3), Dropout(0.5), Sequential([]), Linear(4, 1)], r"layers\[3\].* 4 .* 3\b"),
        ([Linear(2, 3, dtype="float64"), Linear(6, 1)], r"layers\[1\].* 6 .* 3\b"),
        ([Halve(), Linear(2, 3), Linear(6, 1)], r"layers\[2\].* 6 .* 3\b"),
    ]  # fmt: skip
    for layers, message in cases:
        # At once; where they are changed, at the next call.
        with pytest.raises(ValueError, match=message):
            Sequential(layers)
        net = Sequential(layers[:-1])
        net.layers.append(layers[-1])
        for _ in range(2):
            with pytest.raises(ValueError, match=message):
                net.forward([1.0, 2.0])
    net = Sequential([Linear(2, 3), Halve(), Linear(4, 1)])  # which gives nobody knows how many
    with pytest.raises(ValueError, match=r"layers\[2\].* 4 .* 3\b"):
        net.forward([1.0, 2.0])


# ---- What Python's own functions do with a Sequential --------------------------------------------


def test_length_items_iteration_and_call():
    layers = [Linear(2, 3, rng=0), Tanh(), Halve(), Linear(3, 1, rng=1)]
    net = Sequential(layers)
    assert len(net) == 4
    assert list(net) == layers
    assert net[0] is layers[0]
    assert net[-1] is net[np.int64(3)] is layers[3]
    part = net[:2]
    assert type(part) is Sequential
    assert list(part) == layers[:2]
    assert part.layers is not net.layers
    for wrong, error in ((4, IndexError), (-5, IndexError), ("0", TypeError)):
        with pytest.raises(error):
            net[wrong]
    for model in (net, part, *layers[:2]):
        x = np.linspace(0, 1, 8).reshape(4, 2) if model is not layers[1] else np.ones((4, 3))
        assert np.array_equal(model(x), model.forward(x))
    assert len(Sequential([])) == 0
    assert part([0.5, 0.5]) == part.forward([0.5, 0.5])


def test_reprs_show_what_was_set():
    class Mine(Linear):
        pass

    class Block(Sequential):
        pass

    for layer, right in (
        (Linear(2, 3), "Linear(2, 3)"),
        (Linear(2, 3, dtype="float64"), "Linear(2, 3, dtype='float64')"),
        (Mine(1, 2), "Mine(1, 2)"),
        (Dropout(0.25), "Dropout(0.25)"),
        (Halve(), "Halve()"),
        (Layer(), "Layer()"),
        (Block([Tanh(), Block([])]), "Block([Tanh(), Block([])])"),
    ):
        assert repr(layer) == right
    net = Sequential([Tanh()])
    net.layers.append(net)
    assert repr(net) == "Sequential([Tanh(), Sequential([...])])"


def test_what_is_not_defined_is_told_by_name():
    class Mine(Layer):
        pass

    for call, name in ((Mine().forward, "forward"), (Mine().backward, "backward"), (Mine(), "for")):
        with pytest.raises(NotImplementedError, match=f"Mine defines no {name}"):
            call([1.0])
    with pytest.raises(NotImplementedError, match="Mine defines no forward"):
        Sequential([Mine()]).forward([1.0])


def test_wrong_width_outside_is_told_with_both_numbers():
    net = Sequential([Linear(3, 2), Tanh()])
    for layer in (
        net,
        net.layers[0],
        Sequential([Tanh(), Linear(3, 2)]),
        Sequential([Linear(3, 2), Halve()]),
    ):
        for x in ([1.0], [[1.0] * 4] * 2, np.ones(2), np.ones((5, 6))):
            with pytest.raises(ValueError, match=rf"3.*{np.shape(x)[-1]}\b"):
                layer.forward(x)
        layer.forward([1.0, 2.0, 3.0])
        for gradient in ([1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], np.ones((2, 2))):
            with pytest.raises(ValueError, match=r"gradient.*\(2,\)"):
                layer.backward(gradient)


def test_refused_input_leaves_the_last_forward_in_place():
    net = Sequential([Linear(2, 2, rng=1), Tanh()])
    y = net.forward([1.0, 2.0])
    expected = net.backward(y)
    wrong_width, empty = np.ones((3, 5), np.float32), np.ones((2, 0), np.float32)
    for wrong in ([1.0, "a"], [[1.0, 2.0], [3.0]], np.ones((1, 1, 2)), None, wrong_width, empty):
        with pytest.raises((TypeError, ValueError), match="input"):
            net.forward(wrong)
    assert net.backward(y) == expected


def test_backward_without_forward():
    for layer in (
        Linear(2, 2),
        Tanh(),
        deep("float32"),
        Sequential([Tanh()]),
        Sequential([Tanh(), Halve()]),
    ):
        with pytest.raises(RuntimeError, match="forward"):
            layer.backward([1.0, 2.0])


# ---- Layers written in Python --------------------------------------------------------------------


class Halve(Layer):
    """Works on whatever NumPy takes; keeps lists as lists."""

    def forward(self, input):
        return deepc.tensor_apply(lambda x: 0.5 * x, input)

    def backward(self, gradient):
        return deepc.tensor_apply(lambda g: 0.5 * g, gradient)


class Gain(Layer):
    """Multiplies each input by a parameter; both are lists, as in the chapter."""

    def __init__(self, gains):
        self.gains = list(gains)
        self.gains_grad = [0.0] * len(self.gains)

    def forward(self, input):
        self.input = input
        return deepc.tensor_combine(lambda x, g: x * g, list(input), self.gains)

    def backward(self, gradient):
        self.gains_grad = deepc.tensor_combine(lambda x, g: x * g, list(self.input), list(gradient))
        return deepc.tensor_combine(lambda x, g: x * g, list(gradient), self.gains)

    def params(self):
        return [self.gains]

    def grads(self):
        return [self.gains_grad]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("form", [list, np.array])
def test_own_layer_anywhere(place, form, rng):
    layers = [Linear(3, 3, dtype="float64", rng=1), Tanh(), Linear(3, 3, dtype="float64", rng=2)]
    plain = Sequential(layers)
    gains = [0.5, 2.0, -1.0]
    gain = Gain(gains)
    net = Sequential([*layers[:place], gain, *layers[place:]])
    expected = reference.Network([(layers[0].w, layers[0].b), "tanh", (layers[2].w, layers[2].b)])
    expected.layers.insert(place, np.array(gains))
    x, d_y = rng.standard_normal(3), rng.standard_normal(3)
    y = net.forward(form(x))
    close(y, expected.forward(x[None])[0], np.float64)
    grads, d_x = expected.backward(d_y[None])
    close(net.backward(form(d_y)), d_x[0], np.float64, 10)
    for grad, want in zip(plain.grads(), grads, strict=True):
        close(grad, want, np.float64, 10)
    before = expected.values[place][0]
    after = reference.Network(expected.layers[place + 1 :])
    after.forward(expected.values[place + 1])
    _, d_after = after.backward(d_y[None])
    close(gain.gains_grad, before * d_after[0], np.float64, 10)
    assert [id(p) for p in net.params()].count(id(gain.gains)) == 1
    assert len(list(net.params())) == len(list(net.grads())) == 5


class LoudTanh(Tanh):
    """A subclass that computes something else must not be compiled away."""

    def forward(self, input):
        self.seen = input
        return super().forward(input)


class NamedLinear(Linear):
    """A subclass that computes the same and adds something."""

    def __init__(self, *args, name, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = name


def test_subclasses_of_the_librarys_layers(rng):
    loud, named = LoudTanh(), NamedLinear(3, 2, name="last", rng=2)
    net = Sequential([Linear(3, 3, rng=1), loud, named])
    same = Sequential([Linear(3, 3, rng=1), Tanh(), Linear(3, 2, rng=2)])
    x = rng.standard_normal((4, 3)).astype(np.float32)
    assert net.forward(x).tobytes() == same.forward(x).tobytes()
    assert loud.seen.shape == (4, 3)
    d_y = np.ones((4, 2), np.float32)
    assert net.backward(d_y).tobytes() == same.backward(d_y).tobytes()


class Doubled(Sequential):
    """A sequence that does something with its output."""

    def forward(self, input):
        return 2 * super().forward(input)

    def backward(self, gradient):
        return super().backward(2 * gradient)


def test_subclass_of_sequential_inside_another(rng):
    inner = Doubled([Linear(3, 3, rng=1), Tanh()])
    net = Sequential([inner, Linear(3, 2, rng=2)])
    x = rng.standard_normal((4, 3)).astype(np.float32)
    assert (
        net.forward(x).tobytes()
        == net.layers[1].forward(2 * Sequential(inner.layers).forward(x)).tobytes()
    )
    assert net.backward(np.ones((4, 2), np.float32)).shape == (4, 3)
    inner.layers.append(Tanh())
    assert (
        net.forward(x).tobytes()
        == net.layers[1].forward(2 * Sequential(inner.layers).forward(x)).tobytes()
    )
    assert len(list(net.params())) == 4


def test_the_dimensions_are_those_of_the_weights():
    layer = Linear(4, 5)
    for name in ("input_dim", "output_dim"):
        with pytest.raises(AttributeError, match=name):
            setattr(layer, name, 1)
    assert (layer.input_dim, layer.output_dim) == (4, 5)
    assert layer.forward(np.zeros((200, 4), np.float32)).shape == (200, 5)


class Unchanged(Layer):
    """Keeps runs of compiled layers apart."""

    def forward(self, input):
        return input

    def backward(self, gradient):
        return gradient


def test_shared_layer_adds_its_gradients_on_both_sides_of_one_written_in_python(dtype, rng):
    def net(*between):
        shared = Linear(4, 4, dtype=dtype, rng=1)
        return Sequential([shared, Tanh(), *between, shared, Tanh(), *between, shared])

    together, apart = net(), net(Unchanged())
    x, d_y = (rng.standard_normal((5, 4)).astype(dtype) for _ in range(2))
    for _ in range(2):  # backward starts anew each time
        assert together.forward(x).tobytes() == apart.forward(x).tobytes()
        assert together.backward(d_y).tobytes() == apart.backward(d_y).tobytes()
        for one, other in zip(together.grads(), apart.grads(), strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize("inner", [False, True])
def test_a_method_replaced_on_one_layer_is_called(method, inner, rng):
    hooked = Sequential([Linear(3, 3, rng=1), Tanh()]) if inner else Linear(3, 3, rng=1)
    net = Sequential([hooked, Linear(3, 2, rng=2)])
    x = rng.standard_normal((4, 3)).astype(np.float32)
    d_y = np.ones((4, 2), np.float32)
    expected = net.forward(x).tobytes(), net.backward(d_y).tobytes()
    seen = []
    original = getattr(hooked, method)

    def hook(tensor):
        seen.append(tensor)
        return original(tensor)

    setattr(hooked, method, hook)
    assert (net.forward(x).tobytes(), net.backward(d_y).tobytes()) == expected
    assert len(seen) == 1
    delattr(hooked, method)
    assert (net.forward(x).tobytes(), net.backward(d_y).tobytes()) == expected
    assert len(seen) == 1


def test_an_error_in_a_layer_written_in_python_says_where():
    class Another(Linear):
        def forward(self, input):
            return super().forward(input)

    net = Sequential([Linear(2, 4), Sequential([Tanh(), Another(3, 2)])])
    with pytest.raises(ValueError, match="expected 3 columns, got 4") as caught:
        net.forward([1.0, 2.0])
    assert "layers[1].layers[1]" in caught.value.__notes__[0]
    net = Sequential([Linear(2, 4), Tanh(), Unchanged()])
    net.forward([1.0, 2.0])
    with pytest.raises(ValueError, match="gradient") as caught:
        net.backward([1.0, 2.0, 3.0])
    assert "layers[1]" in caught.value.__notes__[0]


class Equal(Layer):
    """A layer that compares equal to others of its kind and so has no hash."""

    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return isinstance(other, Equal)

    def forward(self, input):
        return self.factor * input

    def backward(self, gradient):
        return self.factor * gradient


def test_layers_are_told_apart_by_identity():
    net = Sequential([Equal(2.0), Equal(3.0)])
    assert net.forward(np.ones(1)).tolist() == [6.0]
    net.layers[1] = Equal(5.0)
    assert net.forward(np.ones(1)).tolist() == [10.0]
    assert list(net.params()) == []


# ---- Dropout -------------------------------------------------------------------------------------


def test_dropout_in_training(isa, dtype, rng):
    layer = Dropout(0.3, rng=1)
    for shape in [(50,), (1,), (20, 30), (2, 3), (1, 6), (1, 1)]:
        x = rng.uniform(1, 2, shape).astype(dtype)
        y = layer.forward(x)
        mask = layer.mask
        assert mask.shape == shape
        assert np.isin(mask, (0, 1)).all()
        assert np.array_equal(y, x * mask)
        d_y = rng.standard_normal(shape).astype(dtype)
        assert np.array_equal(layer.backward(d_y), d_y * mask)
        assert np.array_equal(layer.mask, mask)


def test_dropout_draws_anew_each_time_and_as_often_as_it_says():
    layer = Dropout(0.3, rng=1)
    masks = [layer.forward(np.ones(2000, np.float32)) for _ in range(50)]
    assert len({m.tobytes() for m in masks}) == 50
    kept = np.array(masks)
    # Five standard deviations of a mean of n draws.
    for sample, n in [(kept.mean(), kept.size), (kept.mean(0), 50), (kept.mean(1), 2000)]:
        assert np.abs(sample - 0.7).max() < 5 * math.sqrt(0.3 * 0.7 / n)
    # Neighbours in place and in time know nothing of each other.
    centred = kept - kept.mean()
    for shifted in (centred[:, 1:] * centred[:, :-1], centred[1:] * centred[:-1]):
        assert abs(shifted.mean()) < 5 * 0.21 / math.sqrt(shifted.size)


@pytest.mark.parametrize(("p", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_at_its_limits(p, kept):
    layer = Dropout(p)
    assert np.array_equal(layer.forward(np.ones(100)), np.full(100, kept))
    layer.train = False
    assert np.array_equal(layer.forward(np.ones(100)), np.full(100, kept))


def test_dropout_outside_training(dtype, rng):
    layer = Dropout(0.25)
    x = rng.standard_normal((4, 5)).astype(dtype)
    layer.forward(x)
    layer.train = False
    assert layer.train is False
    assert np.array_equal(layer.forward(x), x * dtype.type(0.75))
    with pytest.raises(RuntimeError, match="train"):
        layer.backward(x)
    layer.train = True
    # What was forward was not training, whatever the flag says now.
    with pytest.raises(RuntimeError, match="train"):
        layer.backward(x)
    layer.forward(x)
    layer.train = False
    with pytest.raises(RuntimeError, match="train"):
        layer.backward(x)


def test_dropout_inside_a_network_follows_its_flag(rng):
    dropout = Dropout(0.5, rng=1)
    net = Sequential([Linear(4, 50, rng=2), Tanh(), dropout, Linear(50, 2, rng=3)])
    x = rng.standard_normal((3, 4)).astype(np.float32)
    first, second = net.forward(x), net.forward(x)
    assert first.tobytes() != second.tobytes()
    dropout.train = False
    assert net.forward(x).tobytes() == net.forward(x).tobytes()
    with pytest.raises(RuntimeError, match="train"):
        net.backward(first)
    dropout.train = True
    y = net.forward(x)
    net.backward(y)
    dropout.p = 0.0
    dropout_free = Sequential([net.layers[0], net.layers[1], net.layers[3]])
    assert net.forward(x).tobytes() == dropout_free.forward(x).tobytes()


def test_seed_fixes_dropout():
    def masks(seed):
        random.seed(seed)
        layer = Dropout(0.5)
        return [layer.forward(np.ones(64)).tobytes() for _ in range(3)]

    assert masks(1) == masks(1)
    assert masks(1) != masks(2)
    assert Dropout(0.5, rng=1).forward([1.0] * 64) == Dropout(0.5, rng=1).forward([1.0] * 64)


def test_mask_before_training():
    layer = Dropout(0.5)
    with pytest.raises(RuntimeError, match="mask"):
        _ = layer.mask


# ---- Processes -----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
def test_forked_children_compute_the_same(rng):
    net = Sequential([Linear(300, 400, rng=1), Tanh(), Linear(400, 300, rng=2)])
    x = rng.standard_normal((200, 300)).astype(np.float32)
    with deepc.num_threads(2):
        expected = reference.digest(net.forward(x))  # starts the pool
        for _ in range(200):
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(30)  # a child that hangs ends by a signal
                same = reference.digest(net.forward(x)) == expected
                os._exit(0 if same else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
        assert reference.digest(net.forward(x)) == expected


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_trains_the_network_can_use_it(rng):
    net = Sequential([Linear(20, 30, rng=1), Tanh(), Linear(30, 5, rng=2)])
    x = rng.standard_normal((500, 20)).astype(np.float32)
    y = rng.standard_normal((500, 5)).astype(np.float32)
    done = threading.Event()
    assert deepc.fit  # imported before the fork: a child would wait for the lock of an import

    def train():
        while not done.is_set():
            optimizer = GradientDescent(1e-9)
            deepc.fit(net, x, y, loss=deepc.SSE(), optimizer=optimizer, batch_size=7)

    def in_child():
        out = net.forward(x)
        net.backward(out)
        expected = same_network(net.layers).forward(x)
        close = np.allclose(out, expected, rtol=1e-4, atol=1e-4)
        # A fit in the child is a network's ordinary life again.
        deepc.fit(net, x, y, loss=deepc.SSE(), optimizer=GradientDescent(1e-9))
        return 0 if close else 1

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        for _ in range(20):
            time.sleep(0.01)
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(30)  # a child that hangs ends by a signal
                code = 2
                try:
                    code = in_child()
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        done.set()
        trainer.join()
