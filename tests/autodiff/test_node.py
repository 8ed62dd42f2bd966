"""The tape's node: long graphs, what is freed, what an error leaves behind, threads, loans."""

import copy
import gc
import inspect
import math
import pickle
import random
import signal
import sys
import threading
import tracemalloc
import weakref
from operator import add, mul, sub, truediv

import numpy as np
import plain_autodiff
import pytest
from deepc import autodiff as ad
from deepc.autodiff import Scalar, Tensor

LONG = 1_000_000


class Mine(Scalar):
    """A user's class, which has a dict and so is seen by the garbage collector."""


def chain(start, operations):
    y = start
    for _ in range(operations // 2):
        y = y * 1.0
        y = y + start
    return y


def forward_and_back(make, operations):
    x = make()
    y = chain(x, operations)
    y.backward()
    assert x.grad == operations // 2 + 1
    y = chain(x, operations)
    del y


def in_small_thread(function, *arguments):
    found = []

    def run():
        try:
            function(*arguments)
        except BaseException as error:
            found.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if found:
        raise found[0]


def test_a_million_operations_forward_back_and_freed():
    forward_and_back(lambda: Scalar(1.0), LONG)


def test_a_million_operations_in_a_thread_of_256_kilobytes():
    in_small_thread(forward_and_back, lambda: Scalar(1.0), LONG)


def test_many_operations_on_a_users_class():
    in_small_thread(forward_and_back, lambda: Mine(1.0), 100_000)


def test_long_chain_of_tensors_in_a_small_thread():
    in_small_thread(forward_and_back, lambda: Tensor(np.ones(1), requires_grad=True), 100_000)


def test_chain_of_python_operations_is_dropped_in_a_small_thread():
    def run():
        x = Tensor(np.ones(1), requires_grad=True)
        y = x
        for _ in range(30_000):
            y = ad.abs(y)
        y.backward()
        del y
        assert x.grad == 1

    in_small_thread(run)


def test_sum_of_many_terms():
    x = Scalar(1.0)
    y = sum([x] * 100_001, Scalar(0.0))
    y.backward()
    assert x.grad == 100_001


# ---- Memory --------------------------------------------------------------------------------------

X = np.linspace(0.5, 2.0, 12).reshape(3, 4)
OPERATIONS = {
    "+": lambda x: x + x, "-": lambda x: 1 - x, "*": lambda x: x * x, "/": lambda x: x / (x + 1),
    "neg": lambda x: -x, "row": lambda x: x * x[0], "column": lambda x: x * x[:, :1],
    "exp": ad.exp, "log": ad.log, "sigmoid": ad.sigmoid, "tanh": ad.tanh, "relu": ad.relu,
    "sum": ad.sum, "sum axis": lambda x: ad.sum(x, 0), "max": ad.max, "norm": ad.norm,
    "prod": lambda x: ad.prod(x, 1), "@": lambda x: x @ x.T, "vector": lambda x: x @ x[0],
    "linear": lambda x: ad.linear(x, x.T, x[:, 0], "tanh"),
    "cross-entropy": lambda x: ad.cross_entropy(x, [0, 1, 3]),
    "squared error": lambda x: ad.squared_error(x, X + 1), "softmax": ad.softmax,
    "log softmax": ad.log_softmax, "logsumexp": ad.logsumexp, "sqrt": ad.sqrt,
    "softplus": ad.softplus, "power": lambda x: x**2.5, "where": lambda x: ad.where(x > 1, x, 0.0),
    "maximum": lambda x: ad.maximum(x, 1.0), "getitem": lambda x: x[[0, 0, 1]],
    "concatenate": lambda x: ad.concatenate([x, x]), "split": lambda x: ad.split(x, 3)[1],
    "dropout": lambda x: ad.dropout(x, 0.5, rng=1), "reshape": lambda x: x.reshape(4, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("create", [False, True], ids=["arrays", "graph"])
def test_nothing_leaks(name, create):
    x = Tensor(X, requires_grad=True)

    def run():
        y = OPERATIONS[name](x)
        if create:
            (g,) = ad.gradients(y, [x], None if y.size == 1 else np.ones(y.shape), True)
            if g.requires_grad:
                ad.gradients(g, [x], np.ones(g.shape), True)
        else:
            y.backward(None if y.size == 1 else np.ones(y.shape))

    for _ in range(5):
        run()
    # A leak is at least one block each time, however often; what caches take has an end.
    assert any(growth(run, times) < times / 2 for times in (20, 60, 200, 600))


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """Keep what there is from the garbage collector, which then has little to look at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def growth(run, times):
    """Return by how many blocks memory grows; refuses what only the garbage collector frees."""
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        for _ in range(times):
            run()
        assert gc.collect() == 0
        return sys.getallocatedblocks() - before
    finally:
        gc.enable()


def test_many_small_graphs_need_no_more_memory_and_no_garbage_collection():
    a, b = Scalar(2.0), Scalar(3.0)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100_000):
            c = a * b + a
            c.backward()
        del c
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()
        gc.enable()
    assert (a.grad, b.grad) == (400_000.0, 200_000.0)


def test_nodes_lie_in_order_whatever_order_they_were_dropped_in():
    # In no order, a walk through a large graph takes three times as long.
    many = [Scalar(0.0) for _ in range(50_000)]
    random.Random(0).shuffle(many)
    many.clear()
    places = np.array([id(one) for one in [Scalar(0.0) for _ in range(50_000)]])
    assert np.mean(np.abs(np.diff(places)) < 32768) > 0.9


def test_nodes_are_tracked_only_with_callables():
    a = Scalar(1.0)
    b = a * 2
    assert not gc.is_tracked(a)
    assert not gc.is_tracked(b)
    assert not gc.is_tracked(Tensor([1.0], requires_grad=True) * 2)
    assert gc.is_tracked(Mine(1.0))
    assert gc.is_tracked(Mine(1.0) * 2)


def test_a_cycle_through_a_callable_is_collected():
    class Token:
        pass

    token = Token()
    seen = weakref.ref(token)
    x = Tensor([1.0], requires_grad=True)
    holder = [token]
    x.register_hook(lambda g, held=holder: None)
    y = x * 2
    holder.append(y)
    del token, holder, x, y
    gc.collect()
    assert seen() is None


# ---- Values --------------------------------------------------------------------------------------


def test_backward_twice_gives_exactly_twice_the_gradient():
    a = Scalar(2.0)
    c = a * a
    d = c + c
    d.backward()
    d.backward()
    assert a.grad == 16
    x = Tensor([0.1, 0.7], requires_grad=True)
    y = (x * x * x).sum()
    y.backward()
    once = x.grad.copy()
    y.backward()
    assert (x.grad == 2 * once).all()


def test_micrograd_diamond():
    a = Scalar(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert (c.data, a.grad) == (4, 4)


def test_published_micrograd_expressions():
    a, b = Scalar(-4.0), Scalar(2.0)
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g = g + 10.0 / f
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"
    x = Scalar(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert (y.data, x.grad) == (-20.0, 46.0)


def test_random_graphs_have_every_bit_of_the_notebooks_engine():
    rng = random.Random(3)
    for _ in range(50):
        numbers = [rng.uniform(-2, 2) for _ in range(4)]
        steps = [(rng.random(), rng.random(), rng.random()) for _ in range(60)]
        results = []
        for kind in (plain_autodiff.Scalar, Scalar):
            leaves = [kind(number) for number in numbers]
            nodes = list(leaves)
            for which, i, j in steps:
                a, b = nodes[int(i * len(nodes))], nodes[int(j * len(nodes))]
                nodes.append(a + b if which < 0.4 else a * b * 0.5 if which < 0.8 else a.relu())
            nodes[-1].backward()
            results.append([node.data for node in nodes] + [leaf.grad for leaf in leaves])
        assert results[0] == results[1]


def test_infinite_and_nan_numbers_follow_the_product():
    x = Scalar(-1.0)
    y = x.relu() * float("inf")
    y.backward()
    assert np.isnan(x.grad)


def test_scalars_compare_by_value_and_hash_by_identity():
    a, b = Scalar(1.0), Scalar(1.0)
    assert a == b
    assert a == 1
    assert a < 2
    assert len({a, b}) == 2
    assert repr(a) == "Scalar(data=1.0, grad=0.0)"
    assert f"{a:.2f}" == "1.00"


def test_scalar_takes_the_notebooks_closure():
    a, b = Scalar(3.0), Scalar(4.0)

    def backward():
        a.grad += b.data * out.grad
        b.grad += a.data * out.grad

    out = Scalar(a.data * b.data, _backward=backward, _prev=[a, b])
    total = out + a
    total.backward()
    assert (a.grad, b.grad, out.grad) == (5.0, 3.0, 1.0)
    assert out._prev == (a, b)


# ---- Errors --------------------------------------------------------------------------------------


def test_an_error_half_way_leaves_nothing_behind():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    w = Tensor(np.array([3.0, 4.0]), requires_grad=True)
    h = x * w
    fails = [True]

    def hook(g):
        if fails[0]:
            raise KeyError("hook")

    h.register_hook(hook)
    y = (h * h + w).sum()
    with pytest.raises(KeyError):
        y.backward()
    assert x.grad is None
    assert w.grad is None
    fails[0] = False
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * x.data * w.data**2)
    np.testing.assert_allclose(w.grad, 2 * w.data * x.data**2 + 1)


def backward_with_timer(y):
    for _ in range(100):
        signal.setitimer(signal.ITIMER_REAL, 0.004)
        y.backward()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_ctrl_c_stops_a_walk_and_leaves_nothing_behind():
    x = Scalar(1.0)
    y = chain(x, LONG)

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            backward_with_timer(y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # The passes before came to an end, one by one; the one that was stopped did not count.
    assert x.grad % (LONG // 2 + 1) == 0


def test_a_backward_over_the_graph_that_is_being_walked_is_refused():
    x = Tensor([1.0], requires_grad=True)
    h = x * 2
    y = h * 3
    y.register_hook(lambda g: h.backward())
    with pytest.raises(RuntimeError, match="graph that is being walked"):
        y.backward()
    assert x.grad is None


def test_a_backward_over_another_graph_inside_a_hook():
    x, z = Tensor([1.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: (z * z).backward())
    y.backward()
    assert (x.grad.item(), z.grad.item()) == (2, 10)


def test_arrays_changed_in_place_are_noticed():
    x = Tensor([1.0, 2.0], requires_grad=True)
    w = Tensor([3.0, 4.0], requires_grad=True)
    y = (x * w).sum()
    w.data -= 1.0
    with pytest.raises(
        RuntimeError, match=r"operand 1 of \* \(shape \(2,\)\) was changed in place"
    ):
        y.backward()
    assert x.grad is None
    (x * w).sum().backward()
    assert x.grad.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("run", "error", "match"),
    [
        (lambda t: t.backward(), ValueError, r"shape \(2,\) needs a gradient to start with"),
        (lambda t: t.backward([1.0, 2.0, 3.0]), ValueError, r"expected the shape of the result"),
        (lambda t: t.detach().sum().backward(), RuntimeError, "does not depend on anything"),
        (lambda t: t.__setitem__(0, 1.0), TypeError, "put"),
        (lambda t: bool(t), ValueError, "neither true nor false"),
        (lambda t: np.asarray(t), TypeError, r"t\.detach\(\)"),
        (lambda t: t + np.ones(3), ValueError, r"\+: shapes \(2,\) and \(3,\) do not fit"),
        (lambda t: t @ np.ones(3), ValueError, r"inner sizes differ, \(2,\) @ \(3,\)"),
        (lambda t: t + "a", TypeError, "unsupported operand"),
        (lambda t: setattr(t, "data", 1.0), ValueError, "scalars"),
        (lambda t: setattr(t, "data", [1.0]), ValueError, r"expected shape \(2,\), got \(1,\)"),
        (lambda t: setattr(t, "grad", [1.0]), ValueError, r"grad: expected shape \(2,\)"),
        (lambda t: Tensor([1, 2], requires_grad=True), TypeError, "only float32 and float64"),
        (lambda t: ad.linear(t, t), ValueError, r"linear: x of shape \(2,\) and w of shape \(2,\)"),
        (lambda t: ad.linear(t, np.ones((2, 1)), activation="x"), ValueError, "sigmoid"),
        (lambda t: ad.cross_entropy(t, 2), ValueError, "expected labels from 0 to 1, got 2"),
        (lambda t: ad.squared_error(t, [1.0]), ValueError, r"expected the shape \(2,\)"),
        (lambda t: ad.reshape(t, (3,)), ValueError, r"2 elements of shape .* do not fit \(3,\)"),
        (lambda t: ad.sum(t, 1), ValueError, "axis 1 is not one of 1 dimensions"),
        (lambda t: t.register_hook(1), TypeError, "hook: expected a function"),
        (lambda t: Tensor([t, t]), TypeError, "stack"),
        (lambda t: ad.gradients(t.sum(), [1.0]), TypeError, "xs: expected Tensors"),
        (lambda t: ad.grad(lambda x: x)(np.ones(2)), ValueError, "jacobian"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(run, error, match):
    t = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=match):
        run(t)
    assert t.data.tolist() == [1, 2]
    assert t.grad is None


# ---- Functions that are builtins -----------------------------------------------------------------


@pytest.mark.parametrize("function", [ad.linear, ad.cross_entropy, ad.squared_error])
def test_builtins_are_what_functions_of_python_are(function):
    name = function.__name__
    assert (function.__module__, function.__qualname__) == ("deepc.autodiff.ops", name)
    assert pickle.loads(pickle.dumps(function)) is copy.deepcopy(function) is getattr(ad, name)
    names = list(inspect.signature(function).parameters)
    last = inspect.signature(function).parameters[names[-1]]
    assert last.default == (None if name == "linear" else "mean")
    assert inspect.getdoc(function).startswith("Return ")
    assert "Parameters\n----------\n" + names[0] in inspect.getdoc(function)


def test_builtins_take_arguments_by_place_and_by_name():
    x, w, b = np.ones((2, 3)), np.full((3, 4), 0.25), np.arange(4.0)
    word = "".join(["ta", "nh"])  # no constant of a program
    expected = np.tanh(x @ w + b)
    for y in (
        ad.linear(x, w, b, "tanh"), ad.linear(x, w, b, word), ad.linear(x, w, activation=word, b=b),
        ad.linear(activation="tanh", b=b, w=w, x=x), ad.tanh(ad.linear(x, w, b)),
        ad.linear(**{"".join(["x"]): x, "w": w, "b": b, "activation": word}),
    ):  # fmt: skip
        np.testing.assert_allclose(y, expected, rtol=1e-12)
    one = ad.squared_error(x, 2 * x)
    assert one == ad.squared_error(x, 2 * x, "mean") == ad.squared_error(targets=2 * x, predicted=x)
    assert ad.squared_error(x, 2 * x, reduction="sum") == 2 * one == 6


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ad.linear(), TypeError, r"linear\(\) missing 2 required positional arguments"),
        (lambda x: ad.linear(x, activation="relu"), TypeError, "missing 1 required .* 'w'"),
        (lambda x: ad.linear(x, x, x, None, 1), TypeError, "takes from 2 to 4 positional"),
        (lambda x: ad.linear(x, x, bias=x), TypeError, "unexpected keyword argument 'bias'"),
        (lambda x: ad.linear(x, x, w=x), TypeError, "multiple values for argument 'w'"),
        (lambda x: ad.linear(x, x, None, "cosh"), ValueError, "activation: expected .* gelu"),
        (lambda x: ad.linear(x, x, None, []), TypeError, "unhashable"),
        (lambda x: ad.cross_entropy(x, [0], "product"), ValueError, "reduction: expected .*mean"),
        (lambda x: ad.squared_error(x, x, {}), ValueError, "reduction: expected .*, got dict"),
    ],
)  # fmt: skip
def test_builtins_refuse_what_functions_of_python_refuse(call, error, match):
    with pytest.raises(error, match=match):
        call(np.ones((1, 1)))


# ---- Settings, threads, copies -------------------------------------------------------------------


def test_no_grad_as_block_and_decorator():
    x = Tensor([1.0], requires_grad=True)
    with ad.no_grad():
        assert not (x * 2).requires_grad
        with ad.enable_grad():
            assert (x * 2).requires_grad
        assert not (Scalar(1.0) * 2)._prev

    @ad.no_grad()
    def double(t):
        return t * 2

    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_is_of_one_thread():
    x = Tensor([1.0], requires_grad=True)
    found = []
    with ad.no_grad():
        thread = threading.Thread(target=lambda: found.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert found == [True]


def test_threads_may_go_back_at_the_same_time():
    shared = Tensor(np.ones(50), requires_grad=True)

    def work():
        for _ in range(200):
            (shared * 2.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (shared.grad == 1600).all()


def test_a_pass_waits_for_one_of_another_thread():
    # Products so large let other threads run meanwhile, and so do rules in Python.
    x, w = np.ones((40, 60)), ad.Parameter(np.zeros((60, 50)))

    def work():
        for _ in range(30):
            ad.sin(Tensor(x) @ w).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (w.grad == 4 * 30 * 40).all()


def test_detect_nan_names_the_operation():
    x = Tensor([-1.0], requires_grad=True)
    with ad.detect_nan(), pytest.raises(FloatingPointError, match="forward of log"):
        ad.log(x)
    z = Tensor([0.0], requires_grad=True)
    y = ad.sqrt(z) * Tensor([0.0])
    y.backward()
    assert z.grad == 0
    z = Tensor([1.0], requires_grad=True)
    y = z * Tensor([0.0])
    with ad.detect_nan(), pytest.raises(FloatingPointError, match=r"backward of \*"):
        y.backward([np.inf])
    assert z.grad is None


def test_hooks_see_the_whole_gradient_once_and_may_change_it():
    x = Tensor([1.0, 2.0], requires_grad=True)
    seen = []
    remove = x.register_hook(lambda g: seen.append(g.copy()) or g * 10)
    (x * 3 + x).sum().backward()
    assert [g.tolist() for g in seen] == [[4, 4]]
    assert x.grad.tolist() == [40, 40]
    remove()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [43, 43]


def test_inner_tensors_keep_their_gradient_where_asked():
    x = Tensor([1.0], requires_grad=True)
    h = x * 2
    k = h * 3
    h.retain_grad()
    k.backward()
    assert h.grad.item() == 3
    assert k.grad is None


def test_backward_may_forget_the_graph():
    x = Tensor([2.0], requires_grad=True)
    h = x * x
    y = h * 3
    y.backward(free=True)
    assert x.grad.item() == 12
    assert y._prev == ()
    assert h._prev == ()
    for other in (y, h * 2):
        with pytest.raises(RuntimeError, match=r"what .* was computed from is forgotten"):
            other.backward()
    assert x.grad.item() == 12


def test_copies_and_pickles_hold_values_alone():
    x = Tensor([1.0], requires_grad=True)
    for twin in (copy.deepcopy(x * 2), pickle.loads(pickle.dumps(x * 2)), copy.copy(x * 2)):
        assert twin.data.tolist() == [2]
        assert twin.is_leaf
    assert pickle.loads(pickle.dumps(Scalar(2.0))).data == 2


def test_attributes_of_scalars():
    class Loud(Scalar):
        """One whose data is its own."""

        @property
        def data(self):
            return "loud"

    assert Loud(1.0).data == "loud"
    assert (Loud(1.0) * 2.0)._data == 2
    a = Scalar(1)
    a.data, a.grad = 2, np.float32(3)
    assert (a.data, a.grad, type(a.data), type(a.grad)) == (2, 3, float, float)
    name = "".join(["da", "ta"])  # which the interpreter does not know as one of its names
    assert getattr(a, name) == 2
    setattr(a, name, 5.0)
    assert a.data == 5
    for refused in ("much", None):
        with pytest.raises(TypeError):
            a.data = refused
        with pytest.raises(TypeError):
            a.grad = refused
    with pytest.raises(TypeError, match="data: cannot be deleted"):
        del a.data
    with pytest.raises(AttributeError):
        a.other = 1.0
    with pytest.raises(AttributeError, match="other"):
        _ = a.other
    assert (a.data, a.grad) == (5, 3)


@pytest.mark.parametrize("one", [Scalar(3.0), 3.0, 3, np.float64(3), np.float32(3), True + 2])
@pytest.mark.parametrize("other", [Scalar(0.5), type("Own", (Scalar,), {})(0.5)])
def test_operators_of_scalars_with_numbers_and_their_like(one, other):
    for sign in (add, sub, mul, truediv):
        y = sign(one, other)
        assert type(y) is Scalar
        assert y.data == sign(3.0, 0.5)
        z = sign(other, one)
        assert z.data == sign(0.5, 3.0)
        other.grad = 0.0
        (y + z).backward()
        h = 1e-6
        want = (sign(3.0, 0.5 + h) + sign(0.5 + h, 3.0) - y.data - z.data) / h
        assert other.grad == pytest.approx(want, rel=1e-4)


def test_graphs_of_numbers_and_of_both():
    a, b = Scalar(2.0), Scalar(-3.0)
    c = a * b + a / b - b
    d = (c * c).relu() + ad.exp(c * 0.01)
    d.backward()
    slope = 2 * c.data + 0.01 * math.exp(0.01 * c.data)
    assert a.grad == pytest.approx(slope * (-3 - 1 / 3))
    assert b.grad == pytest.approx(slope * (2 - 2 / 9 - 1))
    assert c.grad == pytest.approx(slope)
    before = a.grad
    d.backward()
    assert a.grad == 2 * before
    (g,) = ad.gradients(d, [a])
    assert g == pytest.approx(before)
    assert a.grad == 2 * before
    t = ad.stack([a, c])
    (t * t).sum().backward()
    assert a.grad == pytest.approx(2 * before + 2 * 2 + 2 * c.data * (-3 - 1 / 3))


def test_gradient_array_of_a_parameter_stays():
    p = ad.Parameter([1.0, 2.0])
    array = p.grad
    (p * p).sum().backward()
    assert p.grad is array
    assert array.tolist() == [2, 4]
    p.zero_grad()
    assert p.grad.tolist() == [0, 0]
    p.zero_grad()
    ad.linear([[1.0]], p.detach().reshape(1, 2), p).sum().backward()
    assert p.grad is array
    assert array.tolist() == [1, 1]
    p.grad = 0.0
    assert p.grad is array
    assert array.tolist() == [0, 0]


def test_data_assigned_stays_in_place():
    p = ad.Parameter([1.0, 2.0])
    array = p.data
    p.data = [5.0, 6.0]
    assert p.data is array
    p.data -= 1.0
    assert array.tolist() == [4, 5]


# ---- Arrays that Python sees late ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (300, 40), (2, 3, 4), (0,), (130, 200)])
def test_results_are_arrays_once_somebody_looks(shape, dtype):
    x = Tensor(np.full(shape, 2.0, dtype), True)
    y = x * x + x
    assert (y.shape, y.dtype) == (shape, dtype)
    array = y.data
    assert type(array) is np.ndarray
    assert array is y.data
    assert array.flags.writeable
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert (array == 6).all()
    y.backward(np.ones(shape, dtype))
    assert x.grad is x.grad
    assert (x.grad == 5).all()
    # It outlives the node.
    del y
    assert (array == 6).all()


def test_what_is_written_into_a_result_is_what_backward_sees():
    x = Tensor([1.0, 2.0], True)
    y = x * 3.0
    z = y * y
    y.data[:] = 10.0
    z.sum().backward()
    assert x.grad.tolist() == [60, 60]


def test_the_gradient_to_start_with_is_not_written_to():
    x, w = Tensor(np.ones(3), True), Tensor(np.full(3, 2.0), True)
    seed = np.array([1.0, 2.0, 3.0])
    y = x * w
    y.backward(seed)
    y.backward(seed)
    assert seed.tolist() == [1, 2, 3]
    assert x.grad.tolist() == [4, 8, 12]
    leaf = Tensor(np.ones(3), True)
    leaf.backward(seed)
    leaf.grad[:] = 0
    assert seed.tolist() == [1, 2, 3]


def test_gradients_of_many_sizes_are_right_when_memory_is_used_again():
    rng = np.random.default_rng(0)
    for size in rng.integers(1, 20000, 60):
        a = rng.standard_normal(size).astype(np.float32)
        x = Tensor(a, True)
        y = x
        for _ in range(3):
            y = y * x
        y.backward(np.ones(size))
        np.testing.assert_allclose(x.grad, 4 * a**3, rtol=1e-5)


def test_subclasses_of_scalars_and_tensors_have_attributes():
    class Named(Tensor):
        pass

    class Number(Scalar):
        pass

    t, s = Named([2.0], True), Number(2.0)
    t.name, s.name = "t", s
    (t * t).sum().backward()
    (s * s).backward()
    assert (t.grad.tolist(), s.grad) == ([4], 4)
    gone = weakref.ref(s) if hasattr(s, "__weakref__") else None
    del s
    gc.collect()
    assert gone is None or gone() is None
