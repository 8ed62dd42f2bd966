"""Layers and losses over Tensors: the numbers of forward and backward, on the same arrays."""

import copy
import gc

import deepc
import numpy as np
import pytest
from deepc import (
    SSE,
    Adam,
    BatchNorm,
    Dropout,
    Flatten,
    GaussianDropout,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Relu,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
)
from deepc import autodiff as ad
from deepc.autodiff import Tensor, parameters, zero_grad

RNG = np.random.default_rng(0)
MODELS = {
    "linear": lambda d: Linear(3, 2, dtype=d),
    "no bias": lambda d: Linear(3, 2, bias=False, dtype=d),
    "chain": lambda d: Sequential(
        [Linear(3, 4, dtype=d), Tanh(), Linear(4, 2, dtype=d), Sigmoid()]
    ),
    "relu first": lambda d: Sequential([Relu(), Linear(3, 4, dtype=d), Relu()]),
    "softmax": lambda d: Sequential([Linear(3, 4, dtype=d), Softmax()]),
    "log_softmax": lambda d: LogSoftmax(),
    "prelu": lambda d: Sequential([Linear(3, 4, dtype=d), PReLU(4, dtype=d)]),
    "layer norm": lambda d: Sequential([Linear(3, 4, dtype=d), LayerNorm(4, dtype=d), Tanh()]),
    "batch norm": lambda d: Sequential([Linear(3, 4, dtype=d), BatchNorm(4, dtype=d)]),
    "flatten": lambda d: Sequential([Flatten(), Linear(3, 4, dtype=d)]),
    "nested": lambda d: Sequential([Sequential([Linear(3, 4, dtype=d), Tanh()]), Tanh()]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_same_as_forward_and_backward(name, dtype):
    net = MODELS[name](dtype)
    x = RNG.standard_normal((5, 3)).astype(dtype)
    y = net.forward(x)
    g = RNG.standard_normal(y.shape).astype(dtype)
    d_x = net.backward(g)
    expected = [array.copy() for array in net.grads()]
    leaves = parameters(net)
    zero_grad(leaves)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12}
    for times in (1, 2):
        t = Tensor(x, requires_grad=True)
        out = net(t)
        assert np.allclose(out.data, y, **tolerance)
        out.backward(g)
        assert np.allclose(t.grad, d_x, **tolerance)
        for found, one in zip(net.grads(), expected, strict=True):
            assert np.allclose(found, times * one, **tolerance)
    assert all(a is b for a, b in zip(leaves, parameters(net), strict=True))


def test_two_passes_wait_for_one_backward():
    for net in (MODELS["chain"]("float64"), MODELS["layer norm"]("float64")):
        a, b = (Tensor(RNG.standard_normal((2, 3))) for _ in range(2))
        zero_grad(parameters(net))
        (net(a).sum() + net(b).sum()).backward()
        both = [array.copy() for array in net.grads()]
        zero_grad(parameters(net))
        net(a).sum().backward()
        net(b).sum().backward()
        for x, y in zip(net.grads(), both, strict=True):
            assert np.allclose(x, y, rtol=1e-12)


def test_tensors_and_the_books_calls_take_turns():
    net = Sequential([Linear(3, 4), Tanh(), Linear(4, 2)])
    twin = copy.deepcopy(net)
    loss, optimizers = SSE("mean"), (Adam(0.01), Adam(0.01))
    x, y = (RNG.standard_normal((5, n)).astype(np.float32) for n in (3, 2))
    for i in range(8):
        predicted = twin.forward(x)
        twin.backward(loss.gradient(predicted, y))
        if i % 2:
            zero_grad(parameters(net))
            loss(net(Tensor(x)), y).backward()
        else:
            net.backward(loss.gradient(net.forward(x), y))
        for model, optimizer in zip((net, twin), optimizers, strict=True):
            optimizer.step(model)
    for model, optimizer in zip((net, twin), optimizers, strict=True):
        deepc.fit(model, x, y, loss=loss, optimizer=optimizer, epochs=2)
    for a, b in zip(net.params(), twin.params(), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_step_between_forward_and_backward_is_refused():
    net, optimizer = Sequential([Linear(3, 4), Linear(4, 2)]), deepc.SGD(0.1)
    y = net(Tensor(np.ones((1, 3), np.float32), requires_grad=True))
    optimizer.step(net)
    with pytest.raises(RuntimeError, match=r"linear.*changed in place"):
        y.sum().backward()


def test_frozen_parameters_get_no_gradient():
    net = Linear(3, 2)
    net.freeze("w")
    net(Tensor(np.ones((1, 3), np.float32))).sum().backward()
    assert net.b_grad.tolist() == [1.0, 1.0]
    assert not net.w_grad.any()
    net.trainable = True
    net(Tensor(np.ones((1, 3), np.float32))).sum().backward()
    assert net.w_grad.any()


def test_changed_layers_are_noticed():
    net = Sequential([Linear(3, 4), Tanh()])
    x = np.ones((1, 3), np.float32)
    before = net(Tensor(x)).data
    net.layers.append(Linear(4, 2))
    assert net(Tensor(x)).shape == (1, 2)
    del net.layers[1:]
    assert np.allclose(np.tanh(net(Tensor(x)).data), before, rtol=1e-6)


def test_dropout_remembers_what_it_dropped():
    for inverted in (True, False):
        layer = Dropout(0.5, inverted=inverted, rng=1)
        a, b = (Tensor(np.ones((3, 4), np.float32), requires_grad=True) for _ in range(2))
        y, z = layer(a), layer(b)
        (y.sum() + z.sum()).backward()
        assert np.array_equal(y.data, a.grad)
        assert np.array_equal(z.data, b.grad)
        assert not np.array_equal(y.data, z.data)
        layer.train = False
        assert (layer(a).data == (1.0 if inverted else 0.5)).all()


def test_noise_that_has_gone_is_refused():
    layer = GaussianDropout(0.5, rng=1)
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    y = layer(x)
    y.backward(np.ones((2, 3)))
    assert np.allclose(x.grad, y.data)
    layer(x)
    with pytest.raises(RuntimeError, match="one pass only"):
        y.backward(np.ones((2, 3)))


class Double(deepc.Layer):
    def forward(self, input):
        return [2 * x for x in input]

    def backward(self, gradient):
        return [2 * g for g in gradient]


def test_a_users_layer():
    net = Sequential([Linear(3, 2, dtype="float64"), Double()])
    x = Tensor(np.ones(3), requires_grad=True)
    net(x).sum().backward()
    assert np.allclose(x.grad, 2 * net.layers[0].w.sum(0))
    double = net.layers[1]
    y = double(x)
    double(x)
    with pytest.raises(RuntimeError, match="one pass only"):
        y.sum().backward()


LOSSES = [SSE(), SSE("mean"), SSE("mean_of_elements"), SoftmaxCrossEntropy("mean"),
          SoftmaxCrossEntropy("mean", 0.1)]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_losses(loss):
    predicted, actual = RNG.standard_normal((4, 3)), np.eye(3)[[0, 1, 2, 0]]
    t = Tensor(predicted, requires_grad=True)
    value = loss(t, actual)
    (2 * value).backward()
    assert value.data == pytest.approx(loss.loss(predicted, actual), rel=1e-14)
    assert np.allclose(t.grad, 2 * loss.gradient(predicted, actual), rtol=1e-13)
    assert loss(predicted, actual) == loss.loss(predicted, actual)
    weights = [1.0, 0.0, 2.0, 1.0]
    t.grad = None
    loss(t, Tensor(actual), weights).backward()
    assert np.allclose(t.grad, loss.gradient(predicted, actual, weights))


def test_losses_with_labels():
    t = Tensor(np.zeros((2, 3)), requires_grad=True)
    SoftmaxCrossEntropy()(t, [0, 2]).backward()
    assert np.allclose(t.grad, SoftmaxCrossEntropy().gradient(t.data, [0, 2]))


def test_second_derivatives_are_right_or_refused():
    x = Tensor(np.array([[1.0, -2.0]]), requires_grad=True)
    (g,) = ad.gradients(SSE()(x, np.zeros((1, 2))), [x], create_graph=True)
    assert np.allclose(ad.gradients(g.sum(), x), 2.0)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        ad.gradients(SSE("mean_of_elements")(x, np.zeros((1, 2))), [x], create_graph=True)
    with pytest.raises(RuntimeError, match="Softmax: its gradient cannot"):
        ad.gradients(Softmax()(x).sum(), [x], create_graph=True)


def test_what_does_not_fit_is_refused():
    net = Linear(3, 2)
    with pytest.raises(ValueError, match="linear"):
        net(Tensor(np.ones((1, 4), np.float32)))
    with pytest.raises(TypeError, match="stack"):
        net(ad.Scalar(1.0))
    with pytest.raises(TypeError, match="no gradient by its targets"):
        SSE("mean_of_elements")(Tensor([1.0]), Tensor([1.0], requires_grad=True))


def test_a_model_is_dropped_with_its_leaves():
    import weakref

    net = Sequential([Linear(3, 4), LayerNorm(4)])
    net(Tensor(np.ones((2, 3), np.float32))).sum().backward()
    gone = weakref.ref(net.layers[0])
    del net
    gc.collect()
    assert gone() is None
