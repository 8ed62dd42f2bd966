"""Copies: pickle and copy give what computes the same and shares nothing."""

from __future__ import annotations

import copy
import pickle

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
    Relu,
    RMSProp,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from reference import digest

COPIES = {
    **{
        f"pickle {protocol}": lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "deepcopy": copy.deepcopy,
}


def network(dtype):
    inner = Sequential([Linear(6, 6, dtype=dtype, rng=2), Tanh(), Dropout(0.3, rng=3)])
    return Sequential(
        [
            Linear(4, 6, dtype=dtype, rng=1),
            Sigmoid(),
            inner,
            Relu(),
            Linear(6, 2, dtype=dtype, rng=4),
        ]
    )


def use(net, x):
    y = net.forward(x)
    return digest(y, net.backward(y), *net.params(), *net.grads())


@pytest.mark.parametrize("how", COPIES)
def test_network(how, dtype, rng):
    net = network(dtype)
    x = rng.standard_normal((5, 4)).astype(dtype)
    use(net, x)  # the stream of dropout is under way, gradients are there
    other = COPIES[how](net)
    assert digest(*other.params(), *other.grads()) == digest(*net.params(), *net.grads())
    for _ in range(3):
        assert use(other, x) == use(net, x)
    next(iter(other.params()))[:] = 0
    assert use(other, x) != use(net, x)
    assert all(a is not b for a, b in zip(net.params(), other.params(), strict=True))
    other.layers[2].layers[2].train = False
    assert net.layers[2].layers[2].train
    other.layers.pop()
    assert len(net.layers) == 5


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "make",
    [lambda: Linear(4, 3, rng=1), Tanh, Sigmoid, Relu, lambda: Dropout(0.5, rng=1)],
    ids=["Linear", "Tanh", "Sigmoid", "Relu", "Dropout"],
)
def test_layer(how, make, rng):
    layer = make()
    x = rng.standard_normal((5, 4)).astype(np.float32)
    layer.backward(layer.forward(x))
    other = COPIES[how](layer)
    assert type(other) is type(layer)
    assert repr(other) == repr(layer)
    for _ in range(3):
        assert use(other, x) == use(layer, x)
    with pytest.raises(RuntimeError, match="forward"):
        COPIES[how](layer).backward(x)


@pytest.mark.parametrize("how", COPIES)
def test_layer_that_stands_twice_stays_one(how, rng):
    shared = Linear(3, 3, rng=1)
    other = COPIES[how](Sequential([shared, Tanh(), shared]))
    assert other.layers[0] is other.layers[2]
    assert len(list(other.params())) == 2
    x = rng.standard_normal(3).astype(np.float32)
    assert use(other, x) == use(Sequential([shared, Tanh(), shared]), x)


def test_shallow_copy_of_a_layer_has_memory_of_its_own():
    layer = Linear(2, 2, rng=1)
    other = copy.copy(layer)
    before = layer.w.copy()
    other.w[:] = 0
    assert np.array_equal(layer.w, before)


OPTIMIZERS = [
    lambda: GradientDescent(0.1),
    lambda: Momentum(0.1, 0.5),
    lambda: SGD(0.1, 0.9, nesterov=True, weight_decay=0.1),
    lambda: RMSProp(0.01),
    lambda: Adam(0.01, 0.8),
    lambda: AdamW(0.01),
    lambda: Adagrad(0.1),
]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("make", OPTIMIZERS, ids=lambda make: type(make()).__name__)
def test_optimizer_goes_on(how, make, rng):
    net, optimizer = Linear(4, 3, rng=1), make()
    for grad in net.grads():
        grad[:] = rng.standard_normal(grad.shape)
    for _ in range(3):
        optimizer.step(net)
    other_net, other = COPIES[how]((net, optimizer))
    assert type(other) is type(optimizer)
    assert repr(other) == repr(optimizer)
    assert other.steps == 3
    for _ in range(3):
        optimizer.step(net)
        other.step(other_net)
    assert digest(*other_net.params()) == digest(*net.params())
    other.step(other_net)
    assert digest(*other_net.params()) != digest(*net.params())


@pytest.mark.parametrize("how", COPIES)
def test_training_goes_on_in_a_copy(how, dtype, rng):
    x = rng.standard_normal((30, 4)).astype(dtype)
    labels = rng.integers(0, 2, 30)
    net, optimizer, loss = network(dtype), Adam(0.01), SoftmaxCrossEntropy("mean")
    deepc.fit(net, x, labels, loss=loss, optimizer=optimizer, batch_size=4)
    others = COPIES[how]((net, optimizer, loss))
    histories = [
        deepc.fit(n, x, labels, loss=w, optimizer=o, batch_size=4, epochs=2)
        for n, o, w in ((net, optimizer, loss), others)
    ]
    assert histories[0] == histories[1]
    assert digest(*net.params()) == digest(*others[0].params())


@pytest.mark.parametrize("how", COPIES)
def test_loss(how):
    for loss in (SSE("mean"), SoftmaxCrossEntropy()):
        other = COPIES[how](loss)
        assert repr(other) == repr(loss)
        assert other.loss([[1.0, 2.0]] * 2, [[0.0, 1.0]] * 2) == loss.loss(
            [[1.0, 2.0]] * 2, [[0.0, 1.0]] * 2
        )


class Named(Sequential):
    """A sequence with something of its own."""

    def __init__(self, name):
        super().__init__([Linear(2, 2, rng=1)])
        self.name = name


class Marked(Linear):
    """A layer with something of its own."""

    def __init__(self, mark):
        super().__init__(2, 2, rng=1)
        self.mark = mark


class Counted(Momentum):
    """An optimizer with something of its own."""

    def __init__(self):
        super().__init__(0.1)
        self.count = [7]


def test_a_state_that_is_given_stays_as_it_is():
    layer = Dropout(0.5, rng=1)
    state = layer.__getstate__()
    names = list(state)
    other = Dropout(0.1)
    for _ in range(2):
        other.__setstate__(state)
        assert list(state) == names
        assert other.p == 0.5


@pytest.mark.parametrize("how", COPIES)
def test_subclasses_keep_what_they_added(how):
    named, marked, counted = COPIES[how]((Named("net"), Marked("first"), Counted()))
    assert named.name == "net"
    assert named.forward([1.0, 2.0]) == Named("").forward([1.0, 2.0])
    assert marked.mark == "first"
    assert counted.count == [7]


def test_a_pickle_may_name_a_class_by_its_package():
    """As those do that were made while a package was one module still."""
    classes = [getattr(deepc, name) for name in deepc.__all__]
    packages = {f"deepc.{name}" for name in ("activations", "layers", "losses", "optimizers")}
    named = {
        f"{package}\n{cls.__name__}\n": cls
        for cls in classes
        if isinstance(cls, type)
        and (package := ".".join(cls.__module__.split(".")[:2])) in packages
    }
    assert {SSE, Relu, Linear, SGD} <= set(named.values())
    for name, cls in named.items():
        assert pickle.loads(f"c{name}.".encode()) is cls
