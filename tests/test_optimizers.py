"""The optimizer classes: each rule by its formula, on our layers and on anybody's."""

from __future__ import annotations

import deepc
import numpy as np
import pytest
from deepc import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    GradientDescent,
    Layer,
    Linear,
    Momentum,
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


@pytest.mark.parametrize(
    "case", [name for name in CASES if name not in ("Momentum", "GradientDescent")]
)
def test_pytorch_says_the_same(case, rng):
    torch = pytest.importorskip("torch")
    peers = {
        "SGD": lambda p: torch.optim.SGD(p, 0.3),
        "SGD with momentum": lambda p: torch.optim.SGD(p, 0.3, 0.8, weight_decay=0.1),
        "SGD with Nesterov's": lambda p: torch.optim.SGD(p, 0.3, 0.8, nesterov=True),
        "RMSProp": lambda p: torch.optim.RMSprop(p, 0.01, 0.8, 1e-3, 0.1),
        "Adam": lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.99), 1e-3, 0.1),
        "AdamW": lambda p: torch.optim.AdamW(p, 0.01, (0.8, 0.99), 1e-3, 0.1),
        "Adagrad": lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.1, eps=1e-3),
    }
    net = model("float64")
    tensors = [torch.tensor(p.copy(), requires_grad=True) for p in net.params()]
    optimizer, peer = CASES[case][0](), peers[case](tensors)
    for _ in range(5):
        fill(net, rng)
        for tensor, grad in zip(tensors, net.grads(), strict=True):
            tensor.grad = torch.tensor(grad.copy())
        optimizer.step(net)
        peer.step()
    for param, tensor in zip(net.params(), tensors, strict=True):
        np.testing.assert_allclose(param, tensor.detach().numpy(), rtol=1e-12, atol=1e-14)


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
