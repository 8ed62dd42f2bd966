"""The optimizer classes: each rule by its formula, on our layers and on anybody's."""

from __future__ import annotations

import copy
import gc
import pickle

import deepc
import numpy as np
import pytest
from deepc import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    GradientDescent,
    Layer,
    Linear,
    Lion,
    Momentum,
    Nadam,
    Optimizer,
    RMSProp,
    Sequential,
    Tanh,
)
from reference import Rule, digest

# How each is made, and the same in the terms of the C library.
CASES = {
    "GradientDescent": (
        lambda: GradientDescent(0.3),
        lambda: Rule("gradient_descent", learning_rate=0.3),
    ),
    "Momentum": (
        lambda: Momentum(0.3, 0.8),
        lambda: Rule("momentum", learning_rate=0.3, momentum=0.8),
    ),
    "SGD": (lambda: SGD(0.3), lambda: Rule("sgd", learning_rate=0.3)),
    "SGD with momentum": (
        lambda: SGD(0.3, 0.8, weight_decay=0.1),
        lambda: Rule("sgd", learning_rate=0.3, momentum=0.8, weight_decay=0.1),
    ),
    "SGD with Nesterov's": (
        lambda: SGD(0.3, 0.8, nesterov=True),
        lambda: Rule("sgd", learning_rate=0.3, momentum=0.8, nesterov=True),
    ),
    "RMSProp": (
        lambda: RMSProp(0.01, 0.8, 1e-3, 0.1),
        lambda: Rule("rmsprop", learning_rate=0.01, decay=0.8, epsilon=1e-3, weight_decay=0.1),
    ),
    "Adam": (
        lambda: Adam(0.01, 0.8, 0.99, 1e-3, 0.1),
        lambda: Rule(
            "adam", learning_rate=0.01, momentum=0.8, decay=0.99, epsilon=1e-3, weight_decay=0.1
        ),
    ),
    "AdamW": (
        lambda: AdamW(0.01, 0.8, 0.99, 1e-3, 0.1),
        lambda: Rule(
            "adamw", learning_rate=0.01, momentum=0.8, decay=0.99, epsilon=1e-3, weight_decay=0.1
        ),
    ),
    "Adagrad": (
        lambda: Adagrad(0.1, 1e-3, 0.1),
        lambda: Rule("adagrad", learning_rate=0.1, epsilon=1e-3, weight_decay=0.1),
    ),
    "SGD with dampening": (
        lambda: SGD(0.3, 0.8, weight_decay=0.1, dampening=0.5),
        lambda: Rule("sgd", learning_rate=0.3, momentum=0.8, weight_decay=0.1, dampening=0.5),
    ),
    "SGD of Keras": (
        lambda: SGD(0.3, 0.8, rate_inside=True),
        lambda: Rule("sgd", learning_rate=0.3, momentum=0.8, rate_inside=True),
    ),
    "SGD of Keras with Nesterov's": (
        lambda: SGD(0.3, 0.8, True, 0.1, rate_inside=True, decoupled=True),
        lambda: Rule(
            "sgd",
            learning_rate=0.3,
            momentum=0.8,
            nesterov=True,
            weight_decay=0.1,
            rate_inside=True,
            decoupled=True,
        ),
    ),
    "RMSProp centered with momentum": (
        lambda: RMSProp(0.01, 0.8, 1e-3, momentum=0.7, centered=True),
        lambda: Rule(
            "rmsprop", learning_rate=0.01, decay=0.8, epsilon=1e-3, momentum=0.7, centered=True
        ),
    ),
    "RMSProp of Keras": (
        lambda: RMSProp(0.01, 0.8, 1e-3, epsilon_inside=True, rate_inside=True, momentum=0.7),
        lambda: Rule(
            "rmsprop",
            learning_rate=0.01,
            decay=0.8,
            epsilon=1e-3,
            momentum=0.7,
            epsilon_inside=True,
            rate_inside=True,
        ),
    ),
    "AMSGrad": (
        lambda: Adam(0.01, 0.8, 0.5, 1e-3, amsgrad=True, maximize=True),
        lambda: Rule(
            "adam",
            learning_rate=0.01,
            momentum=0.8,
            decay=0.5,
            epsilon=1e-3,
            amsgrad=True,
            maximize=True,
        ),
    ),
    "Adam of Keras": (
        lambda: Adam(0.01, 0.8, 0.99, 1e-3, 0.1, epsilon_inside=True, decoupled=True),
        lambda: Rule(
            "adam",
            learning_rate=0.01,
            momentum=0.8,
            decay=0.99,
            epsilon=1e-3,
            weight_decay=0.1,
            epsilon_inside=True,
            decoupled=True,
        ),
    ),
    "Adagrad of Keras": (
        lambda: Adagrad(0.1, 1e-3, initial=0.1, epsilon_inside=True),
        lambda: Rule("adagrad", learning_rate=0.1, epsilon=1e-3, initial=0.1, epsilon_inside=True),
    ),
    "Adadelta": (
        lambda: Adadelta(0.5, 0.8, 1e-3, 0.1),
        lambda: Rule("adadelta", learning_rate=0.5, decay=0.8, epsilon=1e-3, weight_decay=0.1),
    ),
    "Adamax": (
        lambda: Adamax(0.01, 0.8, 0.9, 1e-3, 0.1, epsilon_inside=True),
        lambda: Rule(
            "adamax",
            learning_rate=0.01,
            momentum=0.8,
            decay=0.9,
            epsilon=1e-3,
            weight_decay=0.1,
            epsilon_inside=True,
        ),
    ),
    "Adamax of Keras": (
        lambda: Adamax(0.01, 0.8, 0.9, 1e-3),
        lambda: Rule("adamax", learning_rate=0.01, momentum=0.8, decay=0.9, epsilon=1e-3),
    ),
    "Nadam": (
        lambda: Nadam(0.01, 0.8, 0.99, 1e-3, 0.1),
        lambda: Rule(
            "nadam",
            learning_rate=0.01,
            momentum=0.8,
            decay=0.99,
            epsilon=1e-3,
            weight_decay=0.1,
            momentum_decay=0.004,
        ),
    ),
    "Lion": (
        lambda: Lion(0.01, 0.8, 0.9, 0.1, decoupled=True),
        lambda: Rule(
            "lion", learning_rate=0.01, momentum=0.8, decay=0.9, weight_decay=0.1, decoupled=True
        ),
    ),
}
RTOL = {"float32": 1e-4, "float64": 1e-12}


class Parameters(Layer):
    """Parameters and gradients of any shape, as lists or arrays."""

    def __init__(self, parameters, gradients):
        self.parameters, self.gradients = parameters, gradients

    def params(self):
        return (p for p in self.parameters)

    def grads(self):
        return (g for g in self.gradients)


def fill(layer, rng):
    for grad in layer.grads():
        grad[:] = rng.standard_normal(np.shape(grad))


def model(dtype):
    return Sequential([Linear(5, 4, dtype=dtype, rng=1), Tanh(), Linear(4, 1, dtype=dtype, rng=2)])


@pytest.mark.parametrize("case", CASES)
def test_steps_of_a_model(isa, dtype, case, rng):
    make, make_rule = CASES[case]
    optimizer, rule, net = make(), make_rule(), model(dtype)
    values = [p.astype(np.float64) for p in net.params()]
    for step in range(5):
        fill(net, rng)
        if step == 3:
            optimizer.lr = rule.lr = 0.005
        values = rule.step(values, net.grads())
        optimizer.step(net)
        assert optimizer.steps == step + 1
        for param, value in zip(net.params(), values, strict=True):
            np.testing.assert_allclose(param, value, rtol=RTOL[dtype.name], atol=RTOL[dtype.name])


@pytest.mark.parametrize("case", CASES)
def test_lists_move_as_arrays_do(case, rng):
    make, _ = CASES[case]
    shapes = [(3,), (2, 3), (1,), (2, 2, 2)]
    arrays = Parameters(
        [rng.standard_normal(s) for s in shapes], [rng.standard_normal(s) for s in shapes]
    )
    lists = Parameters(*([x.tolist() for x in xs] for xs in (arrays.parameters, arrays.gradients)))
    kept = [id(p) for p in lists.parameters]
    one, other = make(), make()
    for _ in range(3):
        one.step(arrays)
        other.step(lists)
    assert [p.tolist() for p in arrays.parameters] == lists.parameters
    assert [id(p) for p in lists.parameters] == kept, "a list is changed in place"
    assert one.steps == other.steps == 3


@pytest.mark.parametrize("case", CASES)
def test_a_model_with_a_layer_of_ones_own_moves_as_without(case, rng):
    make, _ = CASES[case]
    net, own = model("float64"), Parameters([[1.0, 2.0]], [[0.5, -0.5]])
    fill(net, rng)
    mixed = Sequential([*model("float64").layers, own])
    for to, grad in zip(mixed.grads(), net.grads(), strict=False):
        to[:] = grad
    one, other = make(), make()
    for _ in range(3):
        one.step(net)
        other.step(mixed)
    assert digest(*net.params()) == digest(*list(mixed.params())[:-1])
    assert own.parameters != [[1.0, 2.0]]


@pytest.mark.parametrize("case", CASES)
def test_dtypes_may_be_mixed(case, rng):
    make, _ = CASES[case]
    net = Sequential([Linear(3, 3, dtype="float32", rng=1), Linear(3, 3, dtype="float64", rng=2)])
    alone = [Linear(3, 3, dtype="float32", rng=1), Linear(3, 3, dtype="float64", rng=2)]
    optimizer, others = make(), [make(), make()]
    for _ in range(3):
        fill(net, rng)
        for layer, twin, other in zip(net.layers, alone, others, strict=True):
            twin.w_grad, twin.b_grad = layer.w_grad, layer.b_grad
            other.step(twin)
        optimizer.step(net)
    assert optimizer.steps == 3
    for layer, twin in zip(net.layers, alone, strict=True):
        assert layer.w.tobytes() == twin.w.tobytes()


def test_updates_of_momentum(dtype, rng):
    optimizer, layer = Momentum(0.1, 0.9), Linear(2, 3, dtype=dtype)
    assert optimizer.updates == []
    fill(layer, rng)
    optimizer.step(layer)
    assert [u.shape for u in optimizer.updates] == [(3, 2), (3,)]
    np.testing.assert_allclose(optimizer.updates[0], 0.1 * layer.w_grad, rtol=1e-5)
    # Started anew by hand, as the chapter's class allows.
    optimizer.updates = []
    before = layer.w.copy()
    optimizer.step(layer)
    np.testing.assert_allclose(layer.w, before - 0.01 * layer.w_grad, rtol=1e-5, atol=1e-7)
    optimizer.updates = [[[1.0] * 2] * 3, [0.0] * 3]
    before = layer.w.copy()
    optimizer.step(layer)
    np.testing.assert_allclose(
        layer.w, before - 0.1 * (0.9 + 0.1 * layer.w_grad), rtol=1e-5, atol=1e-7
    )


def test_gradient_descent_keeps_nothing_so_it_serves_any_model(rng):
    optimizer = GradientDescent(0.5)
    for layer in (Linear(2, 3), Linear(4, 1), model("float64"), Parameters([[1.0]], [[2.0]])):
        fill(layer, rng)
        before, grads = ([np.array(x) for x in xs] for xs in (layer.params(), layer.grads()))
        optimizer.step(layer)
        for param, value, grad in zip(layer.params(), before, grads, strict=True):
            np.testing.assert_allclose(param, value - 0.5 * grad, rtol=1e-5, atol=1e-6)


def test_change_of_the_model_is_noticed(rng):
    net, optimizer = model("float64"), Momentum(0.1)
    fill(net, rng)
    optimizer.step(net)
    # Another layer of the same shapes: what is remembered goes on.
    net.layers[2] = Linear(4, 1, dtype="float64", rng=3)
    fill(net, rng)
    before, updates = net.layers[2].w.copy(), optimizer.updates[2].copy()
    optimizer.step(net)
    expected = before - 0.1 * (0.9 * updates + 0.1 * net.layers[2].w_grad)
    np.testing.assert_allclose(net.layers[2].w, expected, rtol=1e-12)
    net.layers.append(Linear(1, 1, dtype="float64"))
    with pytest.raises(ValueError, match="layer"):
        optimizer.step(net)


def test_learning_rate_and_other_numbers_may_be_changed():
    for optimizer, name, value in [
        (GradientDescent(), "lr", 0.25), (Momentum(0.1), "mo", 0.5), (SGD(), "momentum", 0.5),
        (SGD(), "weight_decay", 0.5), (RMSProp(), "decay", 0.5), (RMSProp(), "epsilon", 0.5),
        (Adam(), "beta1", 0.5), (Adam(), "beta2", 0.5), (AdamW(), "weight_decay", 0.5),
        (Adagrad(), "lr", 0.5),
    ]:  # fmt: skip
        setattr(optimizer, name, value)
        assert getattr(optimizer, name) == value
        with pytest.raises(ValueError, match=name if name not in ("lr", "mo") else "."):
            setattr(optimizer, name, float("nan"))
        with pytest.raises(TypeError):
            setattr(optimizer, name, "fast")
        assert getattr(optimizer, name) == value
    assert GradientDescent().lr == 0.1
    assert Momentum(0.1).mo == 0.9
    assert (Adam().lr, Adam().beta1, Adam().beta2) == (0.001, 0.9, 0.999)


@pytest.mark.parametrize("make", [lambda: Momentum(0.1), lambda: GradientDescent(0.1), Adam])
def test_wrong_parameters_change_nothing(make):
    cases = [
        Parameters([np.ones(3)], []),
        Parameters([np.ones(3)], [np.ones(4)]),
        Parameters([np.ones(3), np.ones(2)], [np.ones(3), np.ones((2, 1))]),
        Parameters([[1.0, 1.0]], [[1.0]]),
        Parameters([["a"]], [[1.0]]),
        Parameters([[[1.0, 1.0], [1.0]]], [[1.0]]),
        Parameters([np.ones(3, complex)], [np.ones(3)]),
    ]
    for layer in cases:
        before = [np.array(p, object) for p in layer.parameters]
        with pytest.raises((ValueError, TypeError), match=r"gradient|parameter"):
            make().step(layer)
        assert all(
            np.array_equal(np.array(p, object), b)
            for p, b in zip(layer.parameters, before, strict=True)
        )
    # Of the shapes of the steps before, or refused, and then as if nothing had been.
    optimizer = make()
    if not optimizer._states:
        return
    layer, other = Linear(2, 2, rng=1), Linear(2, 3)
    twin, same = Linear(2, 2, rng=1), make()
    for one in (layer, twin, other):
        one.w_grad[:], one.b_grad[:] = 1, 1
    optimizer.step(layer)
    same.step(twin)
    kept = digest(*other.params())
    with pytest.raises(ValueError, match="layer"):
        optimizer.step(other)
    assert digest(*other.params()) == kept
    assert optimizer.steps == 1
    optimizer.step(layer)
    same.step(twin)
    assert digest(*layer.params()) == digest(*twin.params())


def test_read_only_parameters_are_refused():
    param = np.ones(3)
    param.flags.writeable = False
    with pytest.raises(ValueError, match="parameter 0: is read-only"):
        GradientDescent().step(Parameters([param], [np.ones(3)]))
    assert np.array_equal(param, np.ones(3))
    layer = Linear(2, 3, rng=1)
    layer.b.flags.writeable = False
    before = digest(*layer.params())
    with pytest.raises(ValueError, match="parameter 1: is read-only"):
        GradientDescent().step(layer)
    assert digest(*layer.params()) == before


def test_whole_numbers_are_no_parameters():
    param = np.array([10, 20])
    with pytest.raises(TypeError, match="parameter 0: expected float numbers"):
        GradientDescent(0.5).step(Parameters([param], [np.ones(2)]))
    assert param.tolist() == [10, 20]


@pytest.mark.parametrize("make", [Adam, RMSProp, Adagrad])
def test_the_least_epsilon_still_divides(make, dtype):
    layer = Linear(2, 1, dtype=dtype, rng=1)
    before = layer.w.copy()
    make(1e-3, epsilon=2.0**-149).step(layer)  # of gradients that are 0
    assert np.array_equal(layer.w, before)
    with pytest.raises(ValueError, match="epsilon"):
        make(1e-3, epsilon=2.0**-150)


def test_nesterov_may_be_changed():
    optimizer = SGD(0.1, momentum=0.9)
    assert optimizer.nesterov is False
    optimizer.nesterov = True
    assert optimizer.nesterov is True
    with pytest.raises(ValueError, match="nesterov"):
        SGD(0.1).nesterov = True


def test_a_layer_without_parameters_is_left_alone():
    for optimizer in (GradientDescent(), Adam()):
        optimizer.step(Tanh())
        optimizer.step(Sequential([]))


def test_own_optimizer_works_on_our_layers(rng):
    """The chapter's GradientDescent, word for word."""

    class Own(deepc.Optimizer):
        def __init__(self, learning_rate=0.1):
            self.lr = learning_rate

        def step(self, layer):
            for param, grad in zip(layer.params(), layer.grads()):  # noqa: B905
                param[:] = deepc.tensor_combine(
                    lambda param, grad: param - grad * self.lr, param, grad
                )

    net, twin = model("float64"), model("float64")
    fill(net, rng)
    for to, grad in zip(twin.grads(), net.grads(), strict=True):
        to[:] = grad
    Own(0.25).step(net)
    GradientDescent(0.25).step(twin)
    for param, other in zip(net.params(), twin.params(), strict=True):
        np.testing.assert_allclose(param, other, rtol=1e-12)


PEERS = {
    "SGD": lambda o, p: o.SGD(p, 0.3),
    "SGD with momentum": lambda o, p: o.SGD(p, 0.3, 0.8, weight_decay=0.1),
    "SGD with Nesterov's": lambda o, p: o.SGD(p, 0.3, 0.8, nesterov=True),
    "SGD with dampening": lambda o, p: o.SGD(p, 0.3, 0.8, 0.5, 0.1),
    "RMSProp": lambda o, p: o.RMSprop(p, 0.01, 0.8, 1e-3, 0.1),
    "RMSProp centered with momentum": lambda o, p: o.RMSprop(
        p, 0.01, 0.8, 1e-3, momentum=0.7, centered=True
    ),
    "Adam": lambda o, p: o.Adam(p, 0.01, (0.8, 0.99), 1e-3, 0.1),
    "AMSGrad": lambda o, p: o.Adam(p, 0.01, (0.8, 0.5), 1e-3, amsgrad=True, maximize=True),
    "AdamW": lambda o, p: o.AdamW(p, 0.01, (0.8, 0.99), 1e-3, 0.1),
    "Adagrad": lambda o, p: o.Adagrad(p, 0.1, weight_decay=0.1, eps=1e-3),
    "Adadelta": lambda o, p: o.Adadelta(p, 0.5, 0.8, 1e-3, 0.1),
    "Adamax": lambda o, p: o.Adamax(p, 0.01, (0.8, 0.9), 1e-3, 0.1),
    "Nadam": lambda o, p: o.NAdam(p, 0.01, (0.8, 0.99), 1e-3, 0.1),
}


@pytest.mark.parametrize("case", PEERS)
def test_pytorch_says_the_same(case, rng):
    torch = pytest.importorskip("torch")
    net = model("float64")
    tensors = [torch.tensor(p.copy(), requires_grad=True) for p in net.params()]
    optimizer, peer = CASES[case][0](), PEERS[case](torch.optim, tensors)
    for _ in range(5):
        fill(net, rng)
        for tensor, grad in zip(tensors, net.grads(), strict=True):
            tensor.grad = torch.tensor(grad.copy())
        optimizer.step(net)
        peer.step()
    # PyTorch keeps the product of NAdam's momenta in float32.
    rtol, atol = (1e-6, 1e-9) if case == "Nadam" else (1e-12, 1e-14)
    for param, tensor in zip(net.params(), tensors, strict=True):
        np.testing.assert_allclose(param, tensor.detach().numpy(), rtol=rtol, atol=atol)


# ---- Numbers that others have published ----------------------------------------------------------

KERAS = {"epsilon": 1e-7, "epsilon_inside": True}
# p = 1 and gradients .1, -.2, .3, in float64: p after each step of Keras 3 and PyTorch 2.
GOLD = [
    (lambda: SGD(), [0.999, 1.001, 0.998]),
    (lambda: SGD(0.1, 0.9, rate_inside=True), [0.99, 1.001, 0.9809]),
    (lambda: SGD(0.1, 0.9, True, rate_inside=True), [0.981, 1.0109, 0.96281]),
    (lambda: SGD(0.1, weight_decay=0.01, decoupled=True), [0.989, 1.008011, 0.977002989]),
    (lambda: SGD(0.1, ema=0.5, ema_period=2), [0.99, 1.0, 0.97]),
    (lambda: RMSProp(**KERAS), [0.996837880442, 0.999694994145, 0.997104365003]),
    (
        lambda: RMSProp(momentum=0.5, rate_inside=True, **KERAS),
        [0.996837880442, 0.998113934366, 0.996161332186],
    ),
    (lambda: RMSProp(centered=True, **KERAS), [0.996666851836, 0.999559908479, 0.996929350506]),
    (lambda: Adam(**KERAS), [0.999000031622, 0.999366129971, 0.999022891792]),
    (
        lambda: Adam(0.1, epsilon=0.1, epsilon_inside=True),
        [0.996934656997, 0.999352211176, 0.995721319061],
    ),
    (
        lambda: AdamW(weight_decay=0.004, **KERAS),
        [0.998996031622, 0.999358133987, 0.999010898375],
    ),
    (lambda: Adagrad(0.001, initial=0.1, **KERAS), [0.999698488792, 1.0002148864, 0.999602514092]),
    (lambda: Adadelta(1.0, 0.95, 1e-7), [0.998585927838, 1.000383667942, 0.998219413562]),
    (lambda: Adamax(0.001, epsilon=1e-7), [0.999000001, 0.999289474539, 0.99904224215]),
    (
        lambda: Nadam(0.001, epsilon=1e-7, momentum_decay=1.0),
        [0.998937213259, 0.999818878441, 0.998987155832],
    ),
    (lambda: Lion(0.001), [0.999, 1.0, 0.999]),
    (lambda: SGD(0.1, 0.9, dampening=0.5), [0.99, 0.991, 0.9769]),
    (lambda: Adam(), [0.9990000001, 0.999366103604, 0.999022862539]),
    (lambda: Adam(weight_decay=0.1), [0.99900000005, 0.998734049202, 0.998076112249]),
    (lambda: AdamW(), [0.9989900001, 0.999346113704, 0.998992879178]),
    (lambda: RMSProp(0.01, 0.99, 1e-8), [0.9000001, 0.989532356127, 0.909181928247]),
    (lambda: Adagrad(), [0.99000000001, 0.998944271916, 0.990926434661]),
]


def one_parameter(*values):
    arrays = [np.array(value, np.float64) for value in values]
    return Parameters(arrays, [np.zeros_like(array) for array in arrays])


def follow(optimizer, gradients, start=1.0):
    """Return a parameter after each step by these gradients."""
    layer, path = one_parameter([start]), []
    for gradient in gradients:
        layer.gradients[0][:] = gradient
        optimizer.step(layer)
        path.append(layer.parameters[0].item())
    return path


@pytest.mark.parametrize("case", range(len(GOLD)))
def test_gold_numbers_of_keras_and_pytorch(isa, case):
    make, expected = GOLD[case]
    # To one unit of the last digit given: the ninth or the twelfth.
    np.testing.assert_allclose(follow(make(), [0.1, -0.2, 0.3]), expected, rtol=0, atol=2e-12)


def test_each_rule_is_in_a_case_and_an_oracle():
    from deepc._c.optimizer import RULES

    assert set(Rule.FORMULAS) == set(RULES)
    assert {make_rule().name for _, make_rule in CASES.values()} == set(RULES)
    assert {make()._rule for make, _ in CASES.values()} == set(RULES)


def test_the_learning_rate_is_in_the_velocity_of_keras():
    for inside, expected in ((True, [-0.1, -0.2]), (False, [-0.1, -0.119])):
        optimizer, layer, path = SGD(0.1, 0.9, rate_inside=inside), one_parameter([0.0]), []
        for lr in (0.1, 0.01):
            optimizer.lr, layer.gradients[0][:] = lr, 1.0
            optimizer.step(layer)
            path.append(layer.parameters[0].item())
        np.testing.assert_allclose(path, expected, rtol=1e-12)


def test_where_epsilon_stands():
    (keras,), (torch,) = (
        follow(RMSProp(0.001, 0.9, 1e-7, epsilon_inside=inside), [0.1]) for inside in (True, False)
    )
    assert round(keras, 12) == 0.996837880442
    assert round(torch, 12) == 0.996837732340


# ---- What stands around a rule -------------------------------------------------------------------


def test_gradients_accumulate():
    optimizer = SGD(0.1, accumulation=2)
    np.testing.assert_allclose(
        follow(optimizer, [0.1, -0.2, 0.3, 0.5]), [1, 1.005, 1.005, 0.965], rtol=1e-12
    )
    assert optimizer.steps == 2


def test_clipping(dtype):
    layer = Parameters(
        [np.array([1.0, 2.0], dtype), np.array([3.0], dtype)],
        [np.array([3.0, 0.0], dtype), np.array([4.0], dtype)],
    )
    cases = {
        "global_clip_norm": [[0.4, 2.0], [2.2]],
        "clip_norm": [[0.0, 2.0], [2.0]],
        "clip_value": [[0.0, 2.0], [2.0]],
    }
    for name, expected in cases.items():
        own = copy.deepcopy(layer)
        SGD(1.0, **{name: 1.0}).step(own)
        for param, want in zip(own.parameters, expected, strict=True):
            np.testing.assert_allclose(param, want, rtol=1e-6, atol=1e-6)
        assert own.gradients[0].tolist() == [3.0, 0.0], "gradients stay as they are"
    norm = deepc.clip_gradients(layer, global_norm=1.0, epsilon=1e-6)
    assert norm == 5.0
    np.testing.assert_allclose(layer.gradients[1], 0.7999998, rtol=1e-7)


def test_clip_gradients_refuses():
    g = np.ones(3)
    for arguments, message in [
        ({}, "one of value, norm and global_norm"), ({"value": 1.0, "norm": 1.0}, "one of"),
        ({"value": 0.0}, "value"), ({"norm": -1.0}, "norm"), ({"global_norm": np.nan}, "global"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            deepc.clip_gradients([g], **arguments)
    for arrays, error in [
        ([np.ones(3, int)], TypeError), ([[1.0]], TypeError),
        ([g, np.ones(3, np.float32)], ValueError), ([np.ones((4, 4))[::2, ::2]], ValueError),
    ]:  # fmt: skip
        with pytest.raises(error, match=r"gradient \d"):
            deepc.clip_gradients(arrays, norm=1.0)
    assert deepc.clip_gradients([], norm=1.0) == 0.0
    assert np.array_equal(g, np.ones(3))


def test_settings_around_a_rule_are_checked_by_name():
    with pytest.raises(TypeError, match=r"'clipnorm'; did you mean 'clip_norm'"):
        Adam(clipnorm=1.0)
    with pytest.raises(ValueError, match="clip_value: clip_norm is set already"):
        Adam(clip_norm=1.0, clip_value=1.0)
    wrong = [
        ("clip_norm", 0.0), ("clip_value", -1.0), ("global_clip_norm", np.inf), ("ema", 1.5),
        ("ema_period", 0), ("accumulation", 0), ("no_decay", [-1]), ("clip_epsilon", -1e-3),
    ]  # fmt: skip
    for name, value in wrong:
        with pytest.raises(ValueError, match=name):
            Adam(**{name: value})
    for name, value in [("accumulation", 1.5), ("no_decay", 3), ("decoupled", "yes")]:
        with pytest.raises(TypeError, match=name):
            Adam(**{name: value})
    optimizer = Adam(clip_norm=1.0)
    optimizer.clip_value = None  # nothing: another one is in force
    assert optimizer.clip_norm == 1.0
    optimizer.clip_norm = None
    optimizer.clip_value = 0.5
    assert (optimizer.clip_norm, optimizer.clip_value) == (None, 0.5)
    with pytest.raises(ValueError, match="no_decay: there is no parameter 2"):
        Adam(no_decay=[2]).step(Linear(2, 2))


def test_some_parameters_do_not_decay():
    layer = one_parameter([1.0], [1.0])
    SGD(0.5, weight_decay=0.5, decoupled=True, no_decay=[1]).step(layer)
    assert [p.tolist() for p in layer.parameters] == [[0.75], [1.0]]
    SGD(0.5, weight_decay=0.5, no_decay=[0]).step(layer)
    assert [p.tolist() for p in layer.parameters] == [[0.75], [0.75]]


def test_averages_go_into_the_parameters(rng):
    optimizer, net, rule = SGD(0.1, ema=0.75), model("float64"), Rule("sgd", learning_rate=0.1)
    with pytest.raises(ValueError, match="0 averages, but 4 parameters"):
        optimizer.take_averages(net)
    values = [p.copy() for p in net.params()]
    averages = None
    for _ in range(4):
        fill(net, rng)
        values = rule.step(values, net.grads())
        optimizer.step(net)
        averages = (
            values
            if averages is None
            else [0.75 * a + 0.25 * v for a, v in zip(averages, values, strict=True)]
        )
    optimizer.take_averages(net)
    for param, average in zip(net.params(), averages, strict=True):
        np.testing.assert_allclose(param, average, rtol=1e-12)


def test_a_momentum_that_becomes_0_lets_the_velocity_go_on():
    optimizer, layer = SGD(1.0), one_parameter([0.0])
    for momentum, gradient in zip((0.5, 0.0, 0.5, 0.25), (4.0, 1.0, 0.0, 8.0), strict=True):
        optimizer.momentum, layer.gradients[0][:] = momentum, gradient
        optimizer.step(layer)
    assert layer.parameters[0].tolist() == [-13.625]
    # Without a momentum nothing is kept, and the first one finds no velocity.
    optimizer = SGD(1.0)
    assert follow(optimizer, [1.0]) == [0.0]
    assert optimizer.updates == []


def test_settings_whose_combination_overflows_are_refused_by_name():
    for optimizer in (Adam(1e38), AdamW(1e30, weight_decay=1e30), Adamax(2e38)):
        layer = Linear(2, 2, rng=1)
        before = digest(*layer.params())
        with pytest.raises(ValueError, match=rf"step: {type(optimizer).__name__}\(.*float32"):
            optimizer.step(layer)
        assert digest(*layer.params()) == before
        assert optimizer.steps == 0
        with pytest.raises(ValueError, match="number out of its range"):
            deepc.fit(
                Sequential([layer]), [[1.0, 2.0]], [[1.0, 1.0]], loss=deepc.SSE(),
                optimizer=optimizer, epochs=1,
            )  # fmt: skip
        assert digest(*layer.params()) == before


# ---- Parameters of others ------------------------------------------------------------------------


class Own:
    """Somebody's model: arrays that stay where they are."""

    def __init__(self, dtype, rng):
        self.p = [rng.standard_normal((5, 3)).astype(dtype).T, rng.standard_normal(4).astype(dtype)]
        self.g = [rng.standard_normal((5, 3)).astype(dtype).T, rng.standard_normal(4).astype(dtype)]

    def params(self):
        return self.p

    def grads(self):
        return self.g


@pytest.mark.parametrize("stays", [False, True])
def test_arrays_of_others_are_stepped_where_they_are(dtype, stays, rng):
    own = Own(dtype, rng)
    if stays:
        own.parameters_stay = True
    twin = Parameters([p.copy() for p in own.p], own.g)
    one, other = Adam(0.1), Adam(0.1)
    arrays = list(own.p)
    for _ in range(3):
        one.step(own)
        other.step(twin)
    assert one._bound[0] is own
    assert all(a is b for a, b in zip(arrays, own.p, strict=True))
    assert digest(*own.p) == digest(*twin.parameters)


def test_arrays_that_others_replace_are_noticed(rng):
    own, optimizer = Own("float64", rng), Momentum(0.5, 0.5)
    optimizer.step(own)
    old = own.p[1].copy()
    own.p[1] = old.copy()
    own.g[0] = np.zeros_like(own.g[0])
    updates = [u.copy() for u in optimizer.updates]
    optimizer.step(own)
    np.testing.assert_allclose(own.p[1], old - 0.5 * (0.5 * updates[1] + 0.5 * own.g[1]))
    np.testing.assert_allclose(optimizer.updates[0], 0.5 * updates[0])
    own.p[1] = np.zeros(7)
    with pytest.raises(ValueError, match="layer"):
        optimizer.step(own)
    own.p.pop()
    with pytest.raises(ValueError, match="layer"):
        optimizer.step(own)


@pytest.mark.parametrize("make", [lambda rng: Linear(3, 2, rng=1), lambda rng: Own("float64", rng)])
def test_a_parameter_that_becomes_read_only_is_refused_by_name(make, rng):
    layer, optimizer = make(rng), Adam()
    optimizer.step(layer)
    frozen = list(layer.params())[1]
    frozen.flags.writeable = False
    before = digest(*layer.params())
    with pytest.raises(ValueError, match="parameter 1: is read-only"):
        optimizer.step(layer)
    assert digest(*layer.params()) == before
    assert optimizer.steps == 1
    frozen.flags.writeable = True
    optimizer.step(layer)
    assert optimizer.steps == 2


def test_a_parameter_that_becomes_read_only_is_refused_by_fit():
    net, optimizer = Sequential([Linear(2, 1, rng=1)]), SGD(0.1)

    def train():
        deepc.fit(net, [[1.0, 2.0]], [[1.0]], loss=deepc.SSE(), optimizer=optimizer, epochs=1)

    train()
    net.layers[0].b.flags.writeable = False
    before = digest(*net.params())
    with pytest.raises(ValueError, match="parameter 1: is read-only"):
        train()
    assert digest(*net.params()) == before


# ---- Copies --------------------------------------------------------------------------------------

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda o, n=n: pickle.loads(pickle.dumps(o, n)) for n in range(6)},
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("case", ["Momentum", "AMSGrad", "Nadam", "RMSProp of Keras"])
def test_a_copy_goes_on_as_the_original_would(how, case, rng):
    one, layer = CASES[case][0](), Linear(3, 2, dtype="float64", rng=1)
    fill(layer, rng)
    for _ in range(3):
        one.step(layer)
    other, twin = COPIES[how](one), copy.deepcopy(layer)
    for optimizer, its in ((one, layer), (other, twin)):
        for _ in range(2):
            optimizer.step(its)
    assert one.steps == other.steps == 5
    assert repr(one) == repr(other)
    assert digest(*layer.params()) == digest(*twin.params())


# ---- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        GradientDescent(0.25),
        Momentum(0.5, 0.75),
        SGD(0.1, 0.9, True, 0.01),
        RMSProp(0.1, 0.8, 1e-6, 0.02),
        Adagrad(0.1, 1e-6, 0.02),
        Adam(0.1, 0.8, 0.99, 1e-6, 0.02),
        AdamW(0.1, 0.8, 0.99, 1e-6, 0.02),
        Adadelta(0.1, 0.8, 1e-5, 0.02),
        Adamax(0.1, 0.8, 0.99, 1e-6, 0.02, epsilon_inside=True),
        Nadam(0.1, 0.8, 0.99, 1e-6, 0.02, momentum_decay=1.0),
        Lion(0.1, 0.8, 0.98, 0.02, decoupled=True, no_decay=(0, 2)),
        SGD(0.1, 0.9, dampening=0.5, rate_inside=True, clip_norm=0.5, clip_epsilon=1e-6),
        RMSProp(momentum=0.5, centered=True, epsilon_inside=True, ema=0.9, ema_period=3),
        Adam(amsgrad=True, epsilon_inside=True, maximize=True, accumulation=4),
        Momentum(0.1, weight_decay=0.1, global_clip_norm=1.0),
        Adagrad(initial=0.1, clip_value=0.25),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_repr_makes_an_equal_one(optimizer):
    again = eval(repr(optimizer), vars(deepc))
    assert type(again) is type(optimizer)
    assert repr(again) == repr(optimizer)
    assert again.__getstate__()["_numbers"] == optimizer.__getstate__()["_numbers"]


def test_repr_of_a_subclass():
    class Mine(Adam):
        def __init__(self, *arguments):
            super().__init__(0.5)

    assert repr(Mine(1, 2)).startswith("Mine(learning_rate=0.5, beta1=0.9")

    class Own(Optimizer):
        pass

    assert repr(Own()) == "Own()"
    with pytest.raises(NotImplementedError, match="Own defines no step"):
        Own().step(None)


def test_a_missing_layer_is_missed_in_words_that_users_know():
    with pytest.raises(TypeError, match=r"^Optimizer\.step\(\) missing .* 'layer'"):
        Adam().step()


def test_a_step_holds_the_memory_that_it_works_on():
    # As where parameters of several dtypes are stepped: the tensors belong to nobody else.
    layer = Linear(300, 300)
    layer.w_grad = np.ones((300, 300))
    layer.b_grad = np.ones(300)
    optimizer = Adam(0.5)
    step = optimizer.tensors(layer).step
    del optimizer, layer
    gc.collect()
    noise = [np.full(90_000, 7.0) for _ in range(20)]
    assert step() == 0
    assert len(noise) == 20
