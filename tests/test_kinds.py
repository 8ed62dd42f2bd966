"""The kinds of layer beside Linear, activations and Dropout, and what all kinds share."""

from __future__ import annotations

import copy
import pickle

import deepc
import numpy as np
import pytest
from deepc import (
    BatchNorm,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Sequential,
    Softmax,
    Tanh,
)
from deepc._c.network import KINDS
from reference import digest, finite_differences

WIDTH = 6
# Each takes WIDTH columns.
MAKE = {
    "linear": lambda dtype: Linear(WIDTH, 3, dtype=dtype, rng=1),
    "linear without bias": lambda dtype: Linear(WIDTH, 3, bias=False, dtype=dtype, rng=1),
    "activation": lambda dtype: Tanh(),
    "dropout": lambda dtype: Dropout(0.3, rng=1),
    "inverted_dropout": lambda dtype: Dropout(0.3, inverted=True, rng=1),
    "gaussian_dropout": lambda dtype: GaussianDropout(0.3, rng=1),
    "gaussian_noise": lambda dtype: GaussianNoise(0.3, rng=1),
    "softmax": lambda dtype: Softmax(),
    "log_softmax": lambda dtype: LogSoftmax(),
    "batch_norm": lambda dtype: BatchNorm(WIDTH, 0.9, dtype=dtype),
    "batch_norm unscaled": lambda dtype: BatchNorm(WIDTH, scale=False, unbiased=True, dtype=dtype),
    "layer_norm": lambda dtype: LayerNorm(WIDTH, dtype=dtype),
    "slopes": lambda dtype: PReLU(WIDTH, dtype=dtype),
    "slopes one": lambda dtype: PReLU(dtype=dtype),
    "embedding": lambda dtype: Embedding(5, 2, dtype=dtype, rng=1),
}
every_kind = pytest.mark.parametrize("name", MAKE)


def made(name, dtype="float64"):
    """Return a layer with parameters that are not all alike."""
    layer = MAKE[name](dtype)
    rng = np.random.default_rng(3)
    for array in [*layer.params(), *layer.state()]:
        array[...] = rng.uniform(0.2, 1.0, array.shape)
    return layer


def inputs(name, rng, rows=5, dtype="float64"):
    if name == "embedding":
        return rng.integers(0, 5, (rows, WIDTH))
    return rng.standard_normal((rows, WIDTH)).astype(dtype)


def test_every_kind_of_the_library_is_here():
    assert {name.split()[0] for name in MAKE} == set(KINDS)


@every_kind
def test_gradients_are_the_slopes_of_what_forward_computes(name, rng):
    layer, x = made(name), inputs(name, rng)
    d_y = rng.standard_normal(layer.forward(x).shape)

    def objective():
        layer._structure.counter = 0  # the same random numbers each time
        return float((layer.forward(x) * d_y).sum())

    objective()
    d_x = layer.backward(d_y)
    grads = [grad.copy() for grad in layer.grads()]
    if name == "embedding":
        assert d_x is None
    else:
        assert np.allclose(d_x, finite_differences(objective, x), rtol=1e-5, atol=1e-7)
    for param, grad in zip(layer.params(), grads, strict=True):
        assert np.allclose(grad, finite_differences(objective, param), rtol=1e-5, atol=1e-7)


@every_kind
def test_a_row_by_itself_has_the_bits_of_its_batch(name, dtype, rng):
    layer, x = made(name, dtype), inputs(name, rng, dtype=dtype)
    with deepc.training(layer, False):
        y = layer.forward(x)
        assert all(digest(layer.forward(x[i])) == digest(y[i]) for i in range(len(x)))
        assert layer.forward(x.tolist()) == layer.forward(x.astype("f8" if name != "embedding"
                                                                   else int)).tolist()  # fmt: skip
        assert layer.forward(x[:0]).shape == (0, y.shape[1])


@every_kind
@pytest.mark.parametrize("how", [*range(pickle.HIGHEST_PROTOCOL + 1), "copy", "deepcopy"])
def test_copies_compute_the_same_and_share_nothing(name, how, dtype, rng):
    layer, x = made(name, dtype), inputs(name, rng, dtype=dtype)
    layer.backward(layer.forward(x))
    if layer.params():
        layer.freeze(*list(layer._c_params)[:1])
    layer.note = "mine"
    other = (
        pickle.loads(pickle.dumps(layer, how))
        if isinstance(how, int)
        else getattr(copy, how)(layer)
    )
    assert type(other) is type(layer)
    assert repr(other) == repr(layer)
    assert other.note == "mine"

    def all_of(layer):
        return [*layer.params(), *layer.state(), *(g for g in layer.grads() if g is not None)]

    assert [g is None for g in other.grads()] == [g is None for g in layer.grads()]
    assert digest(*all_of(other)) == digest(*all_of(layer))
    for _ in range(2):
        y = layer.forward(x)
        assert digest(other.forward(x)) == digest(y)
        d_x, d_x_other = layer.backward(y), other.backward(y)
        assert (d_x is None and d_x_other is None) or digest(d_x) == digest(d_x_other)
        assert digest(*all_of(other)) == digest(*all_of(layer))
    for array in [*other.params(), *other.state()]:
        array[...] = 0
    assert all(array.all() for array in [*layer.params(), *layer.state()])


@every_kind
def test_in_a_network_it_is_what_it_is_alone(name, dtype, rng):
    def layers():
        after = made(name, dtype)
        before = [] if name == "embedding" else [Linear(4, WIDTH, dtype=dtype, rng=5)]
        outputs = 12 if name == "embedding" else 3 if name.startswith("linear") else WIDTH
        return [*before, after, Linear(outputs, 2, dtype=dtype, rng=6)]

    x = inputs(name, rng, dtype=dtype)
    x = x if name == "embedding" else x[:, :4].copy()
    alone, net = layers(), Sequential(layers())
    h = x
    for layer in alone:
        h = layer.forward(h)
    y = net.forward(x)
    assert digest(y) == digest(h)
    d = y
    for layer in reversed(alone):
        d = layer.backward(d)
    d_x = net.backward(y)
    assert (d is None and d_x is None) or digest(d) == digest(d_x)
    assert digest(*net.grads()) == digest(*(g for layer in alone for g in layer.grads()))
    assert "Python" not in net.explain().rsplit("\n", 1)[0]


@every_kind
@pytest.mark.parametrize("batch_size", [1, 4])
def test_fit_trains_it_as_single_steps_do(name, batch_size, dtype, rng):
    def network():
        outputs = 12 if name == "embedding" else 3 if name.startswith("linear") else WIDTH
        return Sequential([made(name, dtype), Linear(outputs, 2, dtype=dtype, rng=6)])

    class ByHand(deepc.SSE):
        """Not built in, so that fit goes step by step."""

        def loss(self, predicted, actual):
            return super().loss(predicted, actual)

    results = []
    x, y = inputs(name, rng, rows=10, dtype=dtype), rng.standard_normal((10, 2)).astype(dtype)
    for loss in (deepc.SSE(), ByHand()):
        net = network()
        deepc.fit(
            net, x, y, loss=loss, optimizer=deepc.Momentum(0.001, 0.5), epochs=3,
            batch_size=batch_size, progress=False,
        )  # fmt: skip
        results.append(digest(*net.params(), *net.state()))
    assert results[0] == results[1]


# ---- Single kinds --------------------------------------------------------------------------------


def test_batch_norm_has_the_numbers_of_keras(dtype):
    layer = BatchNorm(2, dtype=dtype)
    y = layer.forward(np.array([[1, 2], [3, 6]], dtype))
    expected = [[-0.99950037, -0.99987502], [0.99950037, 0.99987502]]
    assert np.allclose(y, expected, rtol=1e-6)
    assert np.allclose(layer.mean, [0.02, 0.04])
    assert np.allclose(layer.variance, [1.0, 1.03])
    layer.train = False
    assert np.allclose(layer.forward(np.array([0.02, 0.04], dtype)), 0, atol=1e-6)


def test_batch_norm_agrees_with_torch(rng):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.BatchNorm1d(3)
    ours = BatchNorm(3, momentum=0.9, epsilon=1e-5, unbiased=True)
    for _ in range(3):
        x = rng.standard_normal((7, 3)).astype(np.float32)
        expected = theirs(torch.tensor(x)).detach().numpy()
        assert np.allclose(ours.forward(x), expected, rtol=1e-5, atol=1e-6)
    assert np.allclose(ours.mean, theirs.running_mean, rtol=1e-5)
    assert np.allclose(ours.variance, theirs.running_var, rtol=1e-5)


def test_a_frozen_batch_norm_learns_nothing_of_the_batch(rng):
    layer, x = BatchNorm(3), rng.standard_normal((8, 3)).astype(np.float32)
    layer.trainable = False
    y = layer.forward(x)
    assert np.allclose(y, x / np.sqrt(1.001), rtol=1e-6)
    assert np.allclose(layer.backward(np.ones_like(x)), 1 / np.sqrt(1.001), rtol=1e-6)
    assert not layer.mean.any()
    assert layer.train
    layer.trainable = True
    layer.forward(x)
    assert layer.mean.all()


def test_layer_norm_has_the_numbers_of_keras(dtype):
    y = LayerNorm(3, dtype=dtype).forward(np.array([1, 2, 3], dtype))
    assert np.allclose(y, [-1.22382736, 0, 1.22382736], rtol=1e-6, atol=1e-7)


def test_log_softmax_is_finite_where_softmax_is_0(dtype, rng):
    x = rng.standard_normal((4, 20)).astype(dtype)
    exact = x.astype("f8") - np.log(np.exp(x.astype("f8")).sum(1, keepdims=True))
    assert np.allclose(LogSoftmax().forward(x), exact, rtol=1e-5)
    y = LogSoftmax().forward(np.array([1000.0, 0.0], dtype))
    assert y.tolist() == [0.0, -1000.0]


def test_embedding_refuses_what_names_no_row(dtype):
    net = Sequential([Embedding(4, 2, dtype=dtype), Linear(6, 1, dtype=dtype)])
    for wrong in ([0, 1, 4], [[0, -1, 2]], np.array([[0, 1, 2**40]])):
        with pytest.raises(ValueError, match=r"input: expected whole numbers from 0 to 3, got"):
            net.forward(wrong)
    for wrong in ([0.5, 1.0, 2.0], ["a", "b", "c"], np.ones((2, 3))):
        with pytest.raises(TypeError, match="input: expected whole numbers"):
            net.forward(wrong)
    with pytest.raises(ValueError, match="input: expected 3 columns, got 2"):
        net.forward([0, 1])
    for given in ([[0, 1, 3]], np.array([[0, 1, 3]], np.uint8), np.array([[0, 1, 3]], ">i2")):
        assert np.shape(net.forward(given)) == (1, 1)


def test_embedding_adds_up_what_came_back_to_a_row(dtype):
    layer = Embedding(3, 2, dtype=dtype)
    layer.forward(np.array([[0, 2], [2, 2]]))
    assert layer.backward(np.arange(8, dtype=dtype).reshape(2, 4)) is None
    assert layer.w_grad.tolist() == [[0, 1], [0, 0], [2 + 4 + 6, 3 + 5 + 7]]


def test_fit_learns_an_embedding():
    net = Sequential([Embedding(10, 3, rng=1), Linear(6, 1, rng=2)])
    x = np.array([[i, j] for i in range(10) for j in range(10)])
    y = (x[:, 0] - 2.0 * x[:, 1])[:, None]
    history = deepc.fit(
        net, x, y, loss=deepc.SSE("mean"), optimizer=deepc.Adam(0.05), epochs=200, batch_size=10,
        rng=1, shuffle=True, progress=False,
    )  # fmt: skip
    assert history[-1] < 1e-2 < history[0]
    assert deepc.evaluate(net, x, y, loss=deepc.SSE())["loss"] < 1e-2
    assert np.shape(deepc.predict(net, x.tolist())) == (100, 1)
    with pytest.raises(ValueError, match=r"x: expected whole numbers from 0 to 9, got 10"):
        deepc.fit(net, x + 1, y, loss=deepc.SSE(), optimizer=deepc.SGD())


def test_flatten_is_part_of_the_network_behind_it(dtype, rng):
    x = rng.standard_normal((5, 4, 3)).astype(dtype)
    flat = [Linear(12, 2, dtype=dtype, rng=1), Tanh()]
    for net in (
        Sequential([Flatten(), *flat]),
        Sequential([Flatten((4, 3)), Flatten(), *flat, Flatten()]),
    ):
        expected = Sequential(flat)
        y = net.forward(x)
        assert digest(y) == digest(expected.forward(x.reshape(5, 12)))
        d_x = net.backward(y)
        assert d_x.shape == x.shape
        assert digest(d_x) == digest(expected.backward(y).reshape(x.shape))
        assert net.forward(x.tolist()) == net.forward(x.astype("f8")).tolist()
        assert net.forward(x.reshape(5, 12)).shape == (5, 2)
        assert digest(deepc.predict(net, x)) == digest(y)
    assert Sequential([Flatten((4, 3)), *flat]).forward(x[0]).shape == (2,)
    with pytest.raises(ValueError, match=r"input: expected samples of shape \(4, 3\)"):
        Sequential([Flatten((4, 3)), *flat]).forward(x.transpose(0, 2, 1))
    history = deepc.fit(
        Sequential([Flatten(), *flat]), x, np.zeros((5, 2)), loss=deepc.SSE(),
        optimizer=deepc.GradientDescent(0.01), epochs=2, progress=False,
    )  # fmt: skip
    assert history[1] < history[0]


def test_flatten_by_itself(rng):
    layer = Flatten()
    x = rng.standard_normal((2, 3, 4))
    assert layer.forward(x).shape == (2, 12)
    assert layer.backward(np.ones((2, 12))).shape == x.shape
    assert layer.forward([[[1, 2], [3, 4]]]) == [[1.0, 2.0, 3.0, 4.0]]
    with pytest.raises(ValueError, match="gradient: expected as many numbers"):
        layer.backward(np.ones(3))
    with pytest.raises(RuntimeError, match="forward"):
        Flatten().backward(np.ones(3))


# ---- What trains ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_is_frozen_stays_and_the_rest_trains(batch_size, dtype, rng):
    x, y = rng.standard_normal((9, 3)).astype(dtype), rng.standard_normal((9, 2)).astype(dtype)
    first, norm, last = (
        Linear(3, 4, dtype=dtype, rng=1), BatchNorm(4, dtype=dtype), Linear(4, 2, dtype=dtype),
    )  # fmt: skip
    net = Sequential([first, Tanh(), norm, last])
    optimizer = deepc.Momentum(0.01)

    def trained():
        before = [param.copy() for param in net.params()]
        deepc.fit(
            net, x, y, loss=deepc.SSE(), optimizer=optimizer, batch_size=batch_size, progress=False
        )
        y_now = net.forward(x)
        net.backward(y_now)
        optimizer.step(net)
        pairs = zip(before, net.params(), strict=True)
        return [not np.array_equal(old, new) for old, new in pairs]

    assert trained() == [True] * 6
    first.freeze("w")
    assert trained() == [False, True, True, True, True, True]
    last.trainable = False
    assert trained() == [False, True, True, True, False, False]
    assert [g is None for g in net.grads()] == [True, False, False, False, True, True]
    net.trainable = False
    mean = norm.mean.copy()
    assert trained() == [False] * 6
    assert np.array_equal(norm.mean, mean)
    net.trainable = True
    assert trained() == [True] * 6
    with pytest.raises(ValueError, match="names: expected some of 'w', 'b', got 'weights'"):
        first.freeze("weights")


def test_a_linear_layer_without_bias(dtype, rng):
    layer = Linear(3, 2, bias=False, dtype=dtype, rng=1)
    x = rng.standard_normal((4, 3)).astype(dtype)
    assert np.allclose(layer.forward(x), x @ layer.w.T, rtol=1e-5)
    assert len(layer.params()) == len(layer.grads()) == 1
    assert not hasattr(layer, "b")
    assert not hasattr(layer, "b_grad")
    assert "bias=False" in repr(layer)
    with pytest.raises(AttributeError, match="b: Linear"):
        layer.b = [1.0, 2.0]


def test_weight_files_hold_what_a_norm_learned(tmp_path, rng):
    def network():
        return Sequential([Linear(3, 4, rng=1), BatchNorm(4), Linear(4, 1, rng=2)])

    one, other = network(), network()
    one.forward(rng.standard_normal((9, 3)).astype(np.float32))
    deepc.save_weights(one, tmp_path / "w.json")
    deepc.load_weights(other, tmp_path / "w.json")
    assert one.layers[1].mean.all()
    assert digest(*other.params(), *other.state()) == digest(*one.params(), *one.state())
