"""The lesson's classes against the notebook's own engine; Functions; Modules as layers."""

import copy
import gc
import math
import pickle
import random
import tracemalloc

import deepc
import numpy as np
import plain_autodiff
import pytest
from deepc import autodiff as ad
from deepc.autodiff import MLP, Add, Function, Layer, Module, Mul, Neuron, ReLU, Scalar, Tensor
from deepc.layers.sequential import compiled_network


def losses(scalar, make, rate, steps=12):
    random.seed(3)
    model = make(20, [8, 6, 3])
    images = np.random.default_rng(0).uniform(0, 1, (steps, 20)).astype(np.float32)
    return [
        plain_autodiff.manual_step(scalar, model, image, i % 3, rate)
        for i, image in enumerate(images)
    ]


REFERENCE = plain_autodiff.modules(plain_autodiff.Scalar)


@pytest.mark.parametrize("rate", [0.001, 0.01, 1000.0, 100000.0])
def test_losses_are_the_notebooks(rate):
    ours, theirs = losses(Scalar, MLP, rate), losses(plain_autodiff.Scalar, REFERENCE, rate)
    for a, b in zip(ours, theirs, strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-12 * abs(b)
    assert math.isfinite(theirs[-1]) == (rate < 0.1)


@pytest.mark.parametrize("rate", [0.01, 100000.0])
def test_the_notebooks_own_modules_on_our_scalars_have_every_bit(rate):
    ours = losses(Scalar, plain_autodiff.modules(Scalar), rate)
    theirs = losses(plain_autodiff.Scalar, REFERENCE, rate)
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_the_same_seed_draws_the_same_weights():
    random.seed(7)
    theirs = [p.data for p in REFERENCE(4, [3, 2]).parameters()]
    random.seed(7)
    model = MLP(4, [3, 2])
    assert [p.data for p in model.scalars()] == theirs
    assert model.size == len(theirs) == 23
    assert len(model.parameters()) == 4
    random.seed(7)
    assert [p.data for p in Neuron(4).parameters()] == theirs[:5]


def test_repr_is_the_notebooks():
    a = Scalar(2)
    b = a * 3.0 + 1
    b.backward()
    theirs = plain_autodiff.Scalar(2)
    c = theirs * 3.0 + 1
    c.backward()
    assert repr([a, b]) == repr([theirs, c])
    assert repr(MLP(2, [3, 1]).layers[0].neurons[1].b) == "Scalar(data=0.0, grad=0.0)"
    assert repr(MLP(2, [3, 1])) == "MLP(2, [3, 1])"
    assert [repr(n) for n in (Neuron(2), Layer(2, 3, nonlin=False))] == [
        "Neuron(2)", "Layer(2, 3, nonlin=False)",
    ]  # fmt: skip


def test_inputs_get_gradients_as_in_the_notebook():
    random.seed(0)
    model = MLP(3, [4, 2])
    random.seed(0)
    theirs = REFERENCE(3, [4, 2])
    xs, ys = ([make(v) for v in (0.5, -1.0, 2.0)] for make in (Scalar, plain_autodiff.Scalar))
    sum(model(xs), Scalar(0.0)).backward()
    sum(theirs(ys), plain_autodiff.Scalar(0.0)).backward()
    assert np.allclose([x.grad for x in xs], [y.grad for y in ys], rtol=1e-14, atol=0)
    ours = [p.grad for p in model.scalars()]
    assert np.allclose(ours, [p.grad for p in theirs.parameters()], rtol=1e-13, atol=1e-15)


def test_several_forwards_before_one_backward():
    model = MLP(2, [3, 1])
    (a,), (b,) = model([Scalar(1.0), 2.0]), model([Scalar(-1.0), 0.5])
    (a + b).backward()
    both = [p.grad.copy() for p in model.parameters()]
    model.zero_grad()
    for x in ([1.0, 2.0], [-1.0, 0.5]):
        model([Scalar(v) for v in x])[0].backward()
    for p, total in zip(model.parameters(), both, strict=True):
        assert np.array_equal(p.grad, total)


# ---- Views ---------------------------------------------------------------------------------------


def test_neurons_are_views_on_the_arrays():
    model = MLP(3, [4, 2])
    weight = model.layers[0].neurons[1].w[2]
    weight.data = 5.0
    assert model.layers[0].w.data[2, 1] == 5.0
    weight.grad = 0.5
    assert model.layers[0].w.grad[2, 1] == 0.5
    x = [Scalar(v) for v in (1.0, 2.0, 3.0)]
    single = [neuron(x).data for neuron in model.layers[0].neurons]
    assert np.allclose(single, [y.data for y in model.layers[0](x)], rtol=1e-14)
    assert [neuron.nonlin for layer in model for neuron in layer.neurons] == [True] * 4 + [
        False
    ] * 2


def test_views_count_in_sums_and_their_gradients_reach_the_arrays():
    model = MLP(2, [2, 1])
    penalty = sum((p * p for p in model.scalars()), Scalar(0.0))
    penalty.backward()
    for p in model.parameters():
        assert np.allclose(p.grad, 2 * p.data)
    assert penalty.data == pytest.approx(sum((p.data**2).sum() for p in model.parameters()))


def test_a_view_that_is_set_makes_results_out_of_date():
    model = MLP(2, [2, 1])
    (y,) = model([Scalar(1.0), Scalar(2.0)])
    model.layers[1].neurons[0].w[0].data = 3.0
    with pytest.raises(RuntimeError, match=r"linear.*changed in place"):
        y.backward()


def test_an_array_is_not_set_to_one_number():
    p = MLP(2, [2, 1]).parameters()[0]
    before = p.data.copy()
    with pytest.raises(ValueError, match=r"scalars\(\)"):
        p.data = 0.5
    assert np.array_equal(p.data, before)


@pytest.mark.parametrize("make", [lambda: MLP(3, [2, 1]), lambda: Layer(3, 2), lambda: Neuron(3)])
def test_wrong_number_of_inputs(make):
    with pytest.raises(ValueError, match="expected 3 numbers, got 2"):
        make()([Scalar(1.0), Scalar(2.0)])


def test_bad_sizes():
    with pytest.raises(ValueError, match="nouts"):
        MLP(3, [])
    with pytest.raises((TypeError, ValueError), match="nin"):
        Neuron(0)


# ---- Functions -----------------------------------------------------------------------------------


class Cube(Function):
    def forward(a):
        return a.data**3

    def backward(a, output):
        return 3.0 * a * a * output.grad


@pytest.mark.parametrize("twice", [1, 2])
def test_functions_of_scalars(twice):
    a, b = Scalar(2.0), Scalar(-3.0)
    y = Add.apply(Mul.apply(a, a), ReLU.apply(Mul.apply(b, -1.0)))
    for _ in range(twice):
        y.backward()
    assert (y.data, a.grad, b.grad, y.grad) == (7.0, 4.0 * twice, -1.0 * twice, 1.0 * twice)


def test_functions_of_tensors_broadcast():
    a = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    b = Tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)
    y = ReLU.apply(Mul.apply(a, b))
    y.backward(np.ones((2, 3)))
    a2, b2 = (Tensor(t.data, requires_grad=True) for t in (a, b))
    ad.relu(a2 * b2).sum().backward()
    assert np.array_equal(a.grad, a2.grad)
    assert np.array_equal(b.grad, b2.grad)
    assert b.grad.shape == (3,)


def test_a_function_that_returns_gradients_can_be_differentiated_again():
    assert ad.grad(ad.grad(Cube.apply))(2.0) == pytest.approx(12.0)
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert np.allclose(ad.gradients(Cube.apply(x).sum(), x), [3.0, 12.0])


def test_a_function_that_adds_to_grad_cannot():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Mul.*return the gradients"):
        ad.gradients(Mul.apply(x, x).sum(), x, create_graph=True)


def test_an_error_in_backward_leaves_nothing_behind():
    class Breaks(Function):
        def forward(a):
            return a.data

        def backward(a, output):
            a.grad += 7.0
            raise KeyError("mine")

    x = Scalar(1.0)
    x.grad = 0.25
    with pytest.raises(KeyError, match="mine"):
        Breaks.apply(x * 2.0).backward()
    assert x.grad == 0.25


def test_functions_leave_no_garbage():
    x = Tensor(np.ones(3), requires_grad=True)

    def run():
        for _ in range(200):
            Mul.apply(Add.apply(x, 1.0), x).sum().backward()
            x.grad = None
            a = Scalar(1.0)
            Mul.apply(Add.apply(a, 1.0), a).backward()

    run()
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        run()  # also what NumPy keeps to use again is traced from here on
        before = tracemalloc.get_traced_memory()[0]
        run()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 4000


# ---- Modules as layers ---------------------------------------------------------------------------


class Net(Module):
    def __init__(self):
        rng = np.random.default_rng(1)
        self.w = ad.Parameter(rng.standard_normal((4, 2)))
        self.parts = {"first": [deepc.Linear(3, 4, dtype="float64", rng=2)]}

    def __call__(self, x):
        return ad.tanh(self.parts["first"][0](x)) @ self.w


def same_net():
    net = Net()
    last = deepc.Linear(4, 2, bias=False, dtype="float64")
    last.w = net.w.data.T
    return net, deepc.Sequential([copy.deepcopy(net.parts["first"][0]), deepc.Tanh(), last])


X = np.random.default_rng(0).standard_normal((7, 3))
Y = np.random.default_rng(1).standard_normal((7, 2))


@pytest.mark.parametrize("optimizer", [deepc.SGD, deepc.Adam, deepc.Momentum])
def test_fit_of_a_module_is_that_of_the_same_layers(optimizer):
    net, layers = same_net()
    assert len(net.parameters()) == 3
    found = [
        deepc.fit(model, X, Y, loss=deepc.SSE("mean"), optimizer=optimizer(0.01), epochs=20,
                  batch_size=3, shuffle=False)
        for model in (net, layers)
    ]  # fmt: skip
    assert np.allclose(found[0], found[1], rtol=1e-12)
    assert found[0][-1] < found[0][0]
    assert np.allclose(net.forward(X), layers.forward(X), rtol=1e-12)


def test_a_module_stands_inside_a_sequential():
    net, layers = same_net()
    whole = deepc.Sequential([net, deepc.Tanh()])
    plain = deepc.Sequential([*layers.layers, deepc.Tanh()])
    assert np.allclose(whole.forward(X), plain.forward(X), rtol=1e-14)
    assert np.allclose(whole.backward(Y), plain.backward(Y), rtol=1e-12)
    order = [1, 2, 0]  # the module's attributes, in the order of the layers
    grads = list(whole.grads())
    for place, g in zip(order, plain.grads(), strict=True):
        assert np.allclose(grads[place], g.T if place == 1 else g.T if g.ndim == 2 else g)
    y = whole(Tensor(X))
    assert np.allclose(y.data, plain.forward(X), rtol=1e-14)
    assert whole.forward(X[0].tolist()) == pytest.approx(plain.forward(X[0].tolist()))


def test_an_mlp_trains_by_fit():
    random.seed(0)
    history = deepc.fit(
        MLP(3, [8, 2]), X, Y, loss=deepc.SSE("mean"), optimizer=deepc.Adam(0.01), epochs=60
    )
    assert history[-1] < 0.5 * history[0]


def test_fit_of_an_mlp_is_that_of_the_same_layers_compiled():
    random.seed(0)
    model = MLP(3, [5, 2])
    net = deepc.Sequential([
        deepc.Linear(3, 5, dtype="float64"), deepc.Relu(), deepc.Linear(5, 2, dtype="float64"),
    ])  # fmt: skip
    for layer, source in zip(net.layers[::2], model, strict=True):
        layer.w, layer.b = source.w.data.T, source.b.data
    assert compiled_network(model) is compiled_network(model) is not None
    optimizers = deepc.Adam(0.01), deepc.Adam(0.01)
    for epochs in (3, 2):
        losses = [
            deepc.fit(one, X, Y, loss=deepc.SSE("mean"), optimizer=optimizer, epochs=epochs,
                      batch_size=3, shuffle=False)
            for one, optimizer in zip((model, net), optimizers, strict=True)
        ]  # fmt: skip
        assert losses[0] == losses[1]
        model.parameters()[0].grad = None  # which is zeros, in the same array
    assert np.array_equal(model.forward(X), net.forward(X))


def test_modules_are_copied_and_pickled_with_their_weights():
    model = MLP(3, [4, 2])
    model.layers[0].neurons[0].w[0].data = 9.0
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other.layers[0].w.data, model.layers[0].w.data)
        other.layers[0].neurons[0].w[0].data = 1.0
        assert other.layers[0].w.data[0, 0] == 1.0
        assert model.layers[0].w.data[0, 0] == 9.0


def test_modules_of_scalars_say_who_trains_them():
    with pytest.raises(TypeError, match="Neuron: its parameters are Scalars"):
        deepc.SGD(0.1).step(Neuron(2))


def test_a_module_without_call():
    with pytest.raises(NotImplementedError, match="defines no __call__"):
        Module()(1.0)
    assert Module().parameters() == []
    with pytest.raises(RuntimeError, match="forward first"):
        Net().backward(Y)


def test_an_optimizer_steps_what_backward_left_and_zeros_where_nothing_came():
    a, b = ad.Parameter([1.0, 2.0]), ad.Parameter([3.0])
    module = Module()
    module.a, module.b = a, b
    optimizer = deepc.SGD(1.0)
    for expected in ([0.0, 1.0], [-1.0, 0.0]):
        module.zero_grad()
        (a.sum() * 1.0).backward()
        optimizer.step(module)
        assert a.data.tolist() == expected
        assert b.data.tolist() == [3.0]
    module.zero_grad()
    (b * 2.0).sum().backward()
    optimizer.step(module)  # zeros for a, not what it had before
    assert (a.data.tolist(), b.data.tolist()) == ([-1.0, 0.0], [1.0])


def test_a_gradient_set_to_none_is_zeros_where_an_optimizer_finds_them():
    p = ad.Parameter([1.0, 2.0])
    module = Module()
    module.p = p
    optimizer, array = deepc.SGD(1.0), p.grad
    for _ in range(2):
        p.grad = None
        p.sum().backward()
        optimizer.step(module)
    assert p.grad is array
    assert p.data.tolist() == [-1.0, 0.0]


# ---- Which parameters a Module has ---------------------------------------------------------------


def test_parameters_are_found_once_and_in_order():
    class Odd(ad.Parameter):
        """Whose equality says nothing and which has no hash."""

        __hash__ = None

    p, q, r, s = ad.Parameter([1.0]), Odd([2.0]), ad.Tensor([3.0], True), ad.Scalar(4.0)
    module = ad.Module()
    module.name, module.count, module.rate, module.none = "name", 3, 0.5, None
    module.first = [p, (q, "text", {"deep": [r, p, np.ones(3)]})]
    module.inner = ad.Module()
    module.inner.own = {"again": q, "new": s, "constant": ad.Tensor([5.0]), "result": p * q}
    found = module.parameters()
    assert len(found) == 4
    assert all(a is b for a, b in zip(found, [p, q, r, s], strict=True))
    many = ad.Module()
    many.list = [ad.Parameter([float(i)]) for i in range(40)] * 2
    assert len(many.parameters()) == 40
    many.list[0].grad[:] = 1
    many.zero_grad()
    assert many.list[0].grad.tolist() == [0]


def test_gradients_are_zeroed_where_parameters_are_looked_for():
    class Half(ad.Module):
        """Which trains the first of its two."""

        def __init__(self):
            self.first, self.second = ad.Parameter([1.0]), ad.Scalar(1.0)

        def parameters(self):
            return [self.first]

    def graded(module):
        module.first.grad, module.second.grad = 1.0, 1.0
        return module

    def grads(module):
        return module.first.grad.item(), module.second.grad

    plain, half, outer = ad.Module(), graded(Half()), ad.Module()
    plain.first, plain.second, plain.constant = half.first, half.second, ad.Tensor([1.0])
    half.zero_grad()
    assert grads(half) == (0, 1)
    outer.parts = {"inner": graded(half), "list": [plain.constant, "text", None, 3]}
    outer.zero_grad()
    assert grads(half) == (0, 1)
    graded(plain).parameters = lambda: [plain.second]
    plain.zero_grad()
    assert grads(plain) == (1, 0)
    del plain.parameters
    graded(plain).zero_grad()
    assert grads(plain) == (0, 0)


def test_the_arrays_of_the_last_pass_are_no_parameters():
    net = Net()
    count = len(net.parameters())
    net.forward(np.asarray(X))
    assert len(net.parameters()) == count
    net._pass.x.grad = np.ones_like(net._pass.x.data)
    net.zero_grad()
    assert (net._pass.x.grad == 1).all()


def test_lists_that_hold_themselves_are_no_endless_search():
    module = ad.Module()
    module.list = []
    module.list.append(module.list)
    with pytest.raises(RecursionError, match="search for parameters"):
        module.parameters()
