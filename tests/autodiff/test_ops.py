"""Operations on Tensors: against finite differences to the third order, at edges, and in dtypes."""

import math

import numpy as np
import pytest
from deepc import autodiff as ad
from deepc.autodiff import Tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

X = np.random.default_rng(1).standard_normal((3, 4))
LABELS = [0, 1, 3]

FUNCTIONS = {
    "exp": ad.exp, "tanh": ad.tanh, "sigmoid": ad.sigmoid, "softplus": ad.softplus,
    "gelu": ad.gelu, "silu": ad.silu, "elu": ad.elu, "leaky": ad.leaky_relu, "relu": ad.relu,
    "sin": ad.sin, "cos": ad.cos, "abs": ad.abs, "log": lambda x: ad.log(x * x + 1),
    "sqrt": lambda x: ad.sqrt(x * x + 1), "**1.7": lambda x: (x * x) ** 1.7,
    "**-1": lambda x: (x * x + 1) ** -1, "**tensor": lambda x: (x * x + 0.5) ** x,
    "clip": lambda x: ad.clip(x, -1, 1), "maximum": lambda x: ad.maximum(x, x * x),
    "minimum": lambda x: ad.minimum(x, x * x), "where": lambda x: ad.where(X > 0, x * x, x),
    "divide": lambda x: x / (x * x + 1), "row": lambda x: x + x[0] * x[:, 0:1],
    "row / matrix": lambda x: x[0] / (x * x + 2), "number": lambda x: 2 - 3 / (x * x + 1),
    "sum": ad.sum, "sum 0": lambda x: ad.sum(x, 0), "mean 1": lambda x: ad.mean(x, 1, True),
    "var": lambda x: ad.var(x, 1, ddof=1), "std": ad.std, "std 0": lambda x: ad.std(x, 0),
    "norm": ad.norm, "norm 1": lambda x: ad.norm(x, 1, True), "max": ad.max,
    "min 1": lambda x: ad.min(x, 1), "prod": ad.prod, "prod 0": lambda x: ad.prod(x, 0),
    "prod 1": lambda x: ad.prod(x, -1, True), "prod of 3": lambda x: ad.prod(x.reshape(3, 2, 2), 1),
    "prod with zeros": lambda x: ad.prod(ad.where(abs(X) < 0.5, 0.0, x) + x * x * x * 0, 0),
    "softmax": ad.softmax, "softmax 0": lambda x: ad.softmax(x, 0), "log_softmax": ad.log_softmax,
    "logsumexp": ad.logsumexp, "logsumexp 1": lambda x: ad.logsumexp(x, 1),
    "reshape": lambda x: ad.reshape(x * x, 2, 6), "transpose": lambda x: x.T * x.T,
    "getitem": lambda x: x[[0, 0, 1]] * x[1:2, :], "mask": lambda x: x[X > 0] * 2,
    "stack": lambda x: ad.stack([x, x * x], 1), "concatenate": lambda x: ad.concatenate([x, x], 1),
    "split": lambda x: ad.split(x, 2, 1)[0] * ad.split(x, [2], 1)[1],
    "put": lambda x: ad.put(x, (slice(None), 0), x[:, 1] * x[:, 1]),
    "matrix @ matrix": lambda x: x @ x.T, "matrix @ vector": lambda x: x @ x[0],
    "vector @ matrix": lambda x: x[:, 0] @ x, "vector @ vector": lambda x: x[0] @ x[1],
    "stacks": lambda x: x.reshape(3, 2, 2) @ (x * x).reshape(3, 2, 2),
    "stack @ matrix": lambda x: x.reshape(3, 2, 2) @ x[0].reshape(2, 2),
    "linear": lambda x: ad.linear(x, x[0:1].T * x[0:1], x[1], "tanh"),
    "linear sigmoid": lambda x: ad.linear(x, x[0:1].T * x[0:1], x[1], "sigmoid"),
    "linear gelu": lambda x: ad.linear(x, x[0:1].T * x[0:1], x[1], "gelu"),
    "linear relu": lambda x: ad.linear(x, x[0:1].T * x[0:1], x[1], "relu"),
    "linear 1-D": lambda x: ad.linear(x[0], x[0:1].T * x[0:1], None, "tanh"),
    "linear turned": lambda x: ad.linear(x, x.T[:, :2]),
    "labels": lambda x: ad.cross_entropy(x, LABELS),
    "targets": lambda x: ad.cross_entropy(x, ad.softmax(x * x), "sum"),
    "squared": lambda x: ad.squared_error(x, np.ones((3, 4))),
    "dropout": lambda x: ad.dropout(x * x, 0.5, rng=3),
}  # fmt: skip


def weighted(y):
    return (y * np.linspace(0.5, 2.0, y.size).reshape(y.shape)).sum()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name):
    f = FUNCTIONS[name]
    assert ad.check_gradients(f, X) < 1e-7
    first = ad.grad(lambda x: weighted(f(x)))
    assert ad.check_gradients(first, X) < 1e-7


@pytest.mark.parametrize(
    "name", ["tanh", "divide", "norm", "softmax", "linear", "labels", "stacks"]
)
def test_gradients_of_third_order(name):
    first = ad.grad(lambda x: weighted(FUNCTIONS[name](x)))
    second = ad.grad(lambda x: weighted(first(x)))
    assert ad.check_gradients(second, X, tolerance=1e-5) < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_and_gradients_have_the_operands_dtype(name, dtype):
    x = Tensor(X.astype(dtype), requires_grad=True)
    y = FUNCTIONS[name](x)
    assert y.data.dtype == dtype
    assert isinstance(y.data, np.ndarray)
    y.backward(None if y.size == 1 else np.ones(y.shape))
    assert x.grad.dtype == dtype
    assert x.grad.shape == x.shape
    want = ad.gradients(FUNCTIONS[name](t := Tensor(X, True)), t, np.ones(y.shape))
    np.testing.assert_allclose(x.grad, want, rtol=2e-4, atol=2e-5)


# ---- Edges ---------------------------------------------------------------------------------------


def slopes(f, *inputs):
    leaves = [Tensor(np.array(x, np.float64), True) for x in inputs]
    y = f(*leaves)
    return [g.tolist() for g in ad.gradients(y, leaves, np.ones(y.shape), unused="zeros")]


INF = math.inf


@pytest.mark.parametrize(
    ("f", "inputs", "want"),
    [
        (ad.relu, ([0.0],), [[0]]),
        (ad.abs, ([0.0],), [[0]]),
        (ad.sqrt, ([0.0],), [[INF]]),
        (ad.norm, ([0.0, 0.0, 0.0],), [[0, 0, 0]]),
        (lambda x: ad.norm(x) ** 2, ([0.0, 0.0],), [[0, 0]]),
        (ad.std, ([3.0, 3.0],), [[0, 0]]),
        (lambda x: x**0, ([0.0, 1.0],), [[0, 0]]),
        (lambda a, b: a**b, ([0.0], [1.0]), [[1], [0]]),
        (lambda a, b: a**b, ([0.0], [0.0]), [[0], [0]]),
        (ad.max, ([1.0, 1.0, 0.0],), [[0.5, 0.5, 0]]),
        (ad.maximum, ([1.0], [1.0]), [[0.5], [0.5]]),
        (ad.minimum, ([1.0], [1.0]), [[0.5], [0.5]]),
        (lambda x: ad.clip(x, -1, 1), ([-1.0, 1.0, 2.0],), [[1, 1, 0]]),
        (lambda x: ad.log_softmax(x)[0], ([-1000.0, 1000.0],), [[1, -1]]),
        (ad.logsumexp, ([1000.0, 1000.0],), [[0.5, 0.5]]),
        (ad.logsumexp, ([-INF, -INF],), [[0, 0]]),
        (ad.softplus, ([1000.0, 0.0, -1000.0],), [[1, 0.5, 0]]),
        (ad.sigmoid, ([-1000.0],), [[0]]),
        (ad.prod, ([0.0, 2.0, 3.0],), [[6, 0, 0]]),
        (ad.prod, ([0.0, 0.0, 3.0],), [[0, 0, 0]]),
        (lambda x: ad.where(x < 1, x, ad.sqrt(x)), ([0.0],), [[1]]),
        (lambda x: ad.where(x < 1, x, ad.log(x)), ([0.0],), [[1]]),
        (lambda x: ad.where(x < 1, x, 1 / x), ([0.0],), [[1]]),
        (lambda x: ad.where(x < 1, x, x**-1.5), ([0.0],), [[1]]),
        (lambda x: x[[0, 0, 1]], ([1.0, 1.0, 1.0],), [[2, 1, 0]]),
        (lambda x: x[[0, 0]].sum(), ([1.0],), [[2]]),
        (lambda x: (x[[0, 0]] * [0.2, 0.3]).sum(), ([0.1],), [[0.5]]),
        (lambda a, b: (a * b).sum(), ([1.0], [[1.0, 1.0]]), [[2], [[1, 1]]]),
    ],
)  # fmt: skip
def test_edge_values(f, inputs, want):
    assert slopes(f, *inputs) == want


def test_power_of_a_negative_base():
    by_base, by_exponent = slopes(lambda a, b: a**b, [-2.0], [3.0])
    assert by_base == [12]
    assert math.isnan(by_exponent[0])


def test_edge_values_forward():
    assert ad.log_softmax(Tensor([-1000.0, 1000.0])).data[0] == -2000
    assert ad.logsumexp(Tensor([-INF, -INF])).data == -INF
    assert ad.softplus(Tensor([100.0])).data == 100


def test_two_ways_to_the_same_sum():
    z = Tensor(np.array(1.0), requires_grad=True)
    y = (ad.exp(z) - 0).sum() + (ad.exp(z) - np.zeros(1000)).sum()
    y.backward()
    assert z.grad == pytest.approx(2721.0001102875)


# ---- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "dtype"),
    [
        (2, "float32"), (2.5, "float32"), (np.float64(2.5), "float32"), (True, "float32"),
        (np.ones(2, np.int64), "float32"), (np.ones(2, bool), "float32"),
        (np.ones(2, np.float32), "float32"), (np.ones(2), "float64"), (np.array(1.0), "float64"),
        ([1.0, 2.0], "float32"), (ad.Scalar(2.0), "float32"),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_and_integers_do_not_widen(other, dtype):
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    for y in (x + other, other * x, x / other, other - x):
        assert y.data.dtype == dtype
        y.sum().backward()
    assert x.grad.dtype == np.float32


def test_results_without_dimensions_are_arrays():
    x = Tensor(np.array(2.0), requires_grad=True)
    for y in (x * x, x + 1, -x, x**3, ad.sqrt(x), ad.abs(x), ad.sum(x), ad.clip(x, 0, 1)):
        assert type(y.data) is np.ndarray
        assert y.data.shape == ()


def test_integers_serve_as_labels_and_indices():
    labels = Tensor([1, 0])
    assert labels.data.dtype.kind == "i"
    x = Tensor(np.eye(2), requires_grad=True)
    ad.cross_entropy(x, labels).backward()
    assert x[labels].data.tolist() == [[0, 1], [1, 0]]


def test_numpys_functions_record():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = np.exp(x) * np.ones(2) + np.maximum(x, 1.5)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.exp([1, 2]) + np.array([0, 1]))
    assert type(np.ones(2) * x) is Tensor
    assert np.less(x, 2).tolist() == [True, False]


def test_scalars_and_tensors_mix():
    s = ad.Scalar(2.0)
    x = Tensor(np.array([1.0, 3.0]), requires_grad=True)
    (x * s + s).sum().backward()
    assert s.grad == 6
    assert x.grad.tolist() == [2, 2]
    stacked = ad.stack([s, s * s])
    (stacked * np.array([1.0, 10.0])).sum().backward()
    assert s.grad == 6 + 1 + 40


# ---- Broadcasting --------------------------------------------------------------------------------

NUMBERS = st.floats(-2, 2, width=32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_broadcasting_follows_numpy(data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
    a, b = (
        data.draw(hnp.arrays(np.float64, shape, elements=NUMBERS)) for shape in shapes.input_shapes
    )
    left, right = Tensor(a.copy(), True), Tensor(b.copy(), True)
    for f in (np.add, np.subtract, np.multiply):
        y = f(left, right)
        np.testing.assert_array_equal(y.data, f(a, b))
    y = left * right
    y.backward(np.ones(y.shape) if y.size != 1 else None)
    assert left.grad.shape == a.shape
    assert right.grad.shape == b.shape
    full = np.broadcast_to(b, y.shape)
    extra = y.ndim - a.ndim
    want = full.sum(axis=tuple(range(extra)))
    want = want.sum(axis=tuple(i for i, n in enumerate(a.shape) if n == 1), keepdims=True)
    np.testing.assert_allclose(left.grad, want.reshape(a.shape), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_sums_along_axes(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    a = np.arange(math.prod(shape), dtype=float).reshape(shape)
    x = Tensor(a, requires_grad=True)
    y = x.sum(axis=tuple(axes), keepdims=data.draw(st.booleans()))
    np.testing.assert_array_equal(y.data.ravel(), a.sum(axis=tuple(axes)).ravel())
    (y * 1.0).sum().backward()
    assert (x.grad == 1).all()


def test_same_bits_for_any_number_of_threads_and_instruction_set():
    import deepc
    from deepc._c import library

    w = np.random.default_rng(0).standard_normal((300, 200)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((500, 300)).astype(np.float32)
    found = set()
    before = library.isa()
    try:
        for isa in [name for name in library.available_isas() if name != "portable"]:
            library.set_isa(isa)
            for threads in (1, 2):
                with deepc.num_threads(threads):
                    p = ad.Parameter(w)
                    y = ad.tanh(ad.exp(ad.linear(x, p, None, "sigmoid")) / 3.0).mean()
                    y.backward()
                    found.add((y.data.tobytes(), p.grad.tobytes()))
    finally:
        library.set_isa(before)
    assert len(found) == 1


def others(x, g, axis):
    """Return a product's slopes as that of the other elements, each by itself."""
    found = np.empty_like(x)
    for i in range(x.shape[axis]):
        rest = np.delete(x, i, axis).prod(axis)
        found[(slice(None),) * axis + (i,)] = g * rest
    return found


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_products_and_their_slopes(axis, zeros):
    from deepc._c import library

    rng = np.random.default_rng(zeros)
    x = rng.uniform(0.9, 1.1, (3, 37, 18))
    for place in range(zeros):
        x[:, 5 + 20 * place, :] = x[..., 3 + 9 * place] = x[place, ...] = 0
    flat = x.ravel() if axis is None else x
    g = rng.uniform(-1, 1, flat.prod(axis or 0).shape)
    want = others(flat, g, axis or 0).reshape(x.shape)
    before = library.isa()
    for dtype, tolerance in (("float32", 1e-4), ("float64", 1e-12)):
        bits = set()
        try:
            for isa in library.available_isas():
                library.set_isa(isa)
                t = Tensor(x.astype(dtype), True)
                y = ad.prod(t, axis)
                y.backward(g.astype(dtype))
                bits.add((y.data.tobytes(), t.grad.tobytes()))
        finally:
            library.set_isa(before)
        assert len(bits) == 1
        np.testing.assert_allclose(y.data, x.prod(axis), rtol=tolerance)
        np.testing.assert_allclose(t.grad, want, rtol=tolerance)
        kept = ad.prod(t, axis, keepdims=True)
        assert kept.shape == x.prod(axis, keepdims=True).shape
        assert kept.data.tobytes() == y.data.tobytes()


def test_products_of_nothing_of_integers_and_of_other_strides():
    t = Tensor(np.ones((2, 0)), True)
    y = ad.prod(t, 1)
    y.backward(np.ones(2))
    assert y.data.tolist() == [1, 1]
    assert t.grad.shape == (2, 0)
    assert ad.prod(t, 0).shape == (0,)
    assert ad.prod(Tensor(3.0)).data == 3
    whole = ad.prod(Tensor([[2, 3], [4, 5]]), 1)
    assert whole.data.tolist() == [6, 20]
    assert whole.dtype.kind == "i"
    assert ad.prod(X.T[::2], 0).tolist() == pytest.approx(X.T[::2].prod(0))
    turned = ad.Parameter(np.asfortranarray(X))
    ad.prod(turned, 0).backward(np.ones(4))
    np.testing.assert_allclose(turned.grad, others(X, np.ones(4), 0), rtol=1e-12)
    with pytest.raises(ValueError, match="axis 2 is not one of 2 dimensions"):
        ad.prod(t, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "index",
    [[0, 0, 2, 0], [-1, 1, -1], [[2, 0], [0, 2]], np.array([], int), np.array([1, 1], np.int32),
     [True, False, True], ([0, 0, 1], [3, 3, 0]), (slice(None), [1, 1])],
    ids=str,
)  # fmt: skip
def test_gradients_of_rows_that_are_taken_more_than_once_add_up(index, dtype):
    x = Tensor(X.astype(dtype), True)
    y = x[index]
    g = np.random.default_rng(5).standard_normal(y.shape).astype(dtype)
    y.backward(g)
    want = np.zeros_like(x.data)
    np.add.at(want, index, g)
    assert x.grad.tobytes() == want.tobytes()
    many = Tensor(np.ones(5000, dtype), True)
    rows = np.arange(100_000) % 4999
    many[rows].sum().backward()
    assert many.grad.tolist() == [*np.bincount(rows).tolist(), 0]


def test_what_is_put_takes_the_place_of_what_was_there():
    x, v = Tensor([[1.0, INF], [3.0, 4.0]], True), Tensor([5.0, 6.0], True)
    y = ad.put(x, (slice(None), 1), v)
    assert y.data.tolist() == [[1, 5], [3, 6]]
    (y * y).sum().backward()
    assert x.grad.tolist() == [[2, 0], [6, 0]]
    assert v.grad.tolist() == [10, 12]
    s = ad.Scalar(2.0)
    z = ad.put(Tensor(np.ones((2, 3), np.float32), True), 0, s)
    assert z.dtype == np.float32
    z.sum().backward()
    assert s.grad == 3
    assert ad.put(x, ([0, 1], [0, 0]), -1).data.tolist() == [[-1, INF], [-1, 4]]
    wide = ad.put(Tensor(np.ones((2, 1), np.float32)), 0, np.ones(1))
    assert wide.dtype == np.float64
    with pytest.raises(ValueError, match="broadcast"):
        ad.put(x, 0, [1.0, 2.0, 3.0])
    turned = ad.put(Tensor(X).T, 0, 0.0)
    assert turned.data.flags.c_contiguous


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_stacks_along_any_axis(axis):
    parts = [Tensor(X * i, True) for i in range(1, 4)]
    y = ad.stack(parts, axis)
    want = np.stack([p.data for p in parts], axis)
    assert y.data.tolist() == want.tolist()
    g = np.random.default_rng(1).standard_normal(want.shape)
    y.backward(g)
    for i, part in enumerate(parts):
        assert part.grad.tolist() == np.take(g, i, axis).tolist()
    with pytest.raises(ValueError, match="one shape"):
        ad.stack([parts[0], Tensor([1.0])])
    with pytest.raises(ValueError, match="stack: axis 3"):
        ad.stack(parts, 3)


def test_against_torch():
    torch = pytest.importorskip("torch")
    pairs = [
        (ad.tanh, torch.tanh), (ad.gelu, torch.nn.functional.gelu),
        (ad.silu, torch.nn.functional.silu), (ad.softplus, torch.nn.functional.softplus),
        (ad.log_softmax, lambda t: torch.log_softmax(t, -1)), (ad.prod, torch.prod),
        (lambda x: x @ x.T, lambda t: t @ t.T), (ad.norm, torch.linalg.norm),
        (lambda x: ad.cross_entropy(x, LABELS),
         lambda t: torch.nn.functional.cross_entropy(t, torch.tensor(LABELS))),
    ]  # fmt: skip
    for ours, theirs in pairs:
        x, t = Tensor(X, True), torch.tensor(X, requires_grad=True)
        y, z = ours(x), theirs(t)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-12)
        y.backward(np.ones(y.shape))
        z.backward(torch.ones_like(z))
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-10, atol=1e-14)
