"""Tensors as lists and as arrays: the chapter's assertions, NumPy's shapes, what is refused."""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import List  # noqa: UP035

import deepc
import numpy as np
import pytest
from deepc import (
    Tensor,
    argmax,
    dot,
    inverse_normal_cdf,
    is_1d,
    normal_cdf,
    one_hot_encode,
    random_normal,
    random_tensor,
    random_uniform,
    shape,
    tensor_apply,
    tensor_combine,
    tensor_sum,
    zeros_like,
)
from hypothesis import given
from hypothesis import strategies as st

RAGGED = [
    [[1.0, 2.0], [3.0]],
    [1.0, [2.0]],
    [[1.0], 2.0],
    [[[1.0], [2.0]], [[3.0, 4.0]]],
    [[[1.0]], [2.0]],
    [[1.0], []],
    [[1.0, 2.0], np.zeros(3)],
]


# ---- What the chapter asserts --------------------------------------------------------------------


def test_assertions_of_the_chapter():
    assert shape([1, 2, 3]) == [3]
    assert shape([[1, 2], [3, 4], [5, 6]]) == [3, 2]
    assert is_1d([1, 2, 3])
    assert not is_1d([[1, 2], [3, 4]])
    assert tensor_sum([1, 2, 3]) == 6
    assert tensor_sum([[1, 2], [3, 4]]) == 10
    assert tensor_apply(lambda x: x + 1, [1, 2, 3]) == [2, 3, 4]
    assert tensor_apply(lambda x: 2 * x, [[1, 2], [3, 4]]) == [[2, 4], [6, 8]]
    assert zeros_like([1, 2, 3]) == [0, 0, 0]
    assert zeros_like([[1, 2], [3, 4]]) == [[0, 0], [0, 0]]
    assert tensor_combine(operator.add, [1, 2, 3], [4, 5, 6]) == [5, 7, 9]
    assert tensor_combine(operator.mul, [1, 2, 3], [4, 5, 6]) == [4, 10, 18]
    assert shape(random_uniform(2, 3, 4)) == [2, 3, 4]
    assert shape(random_normal(5, 6, mean=10)) == [5, 6]
    assert dot([1, 2, 3], [4, 5, 6]) == 32
    assert argmax([0, -1]) == 0
    assert argmax([-1, 0]) == 1
    assert argmax([-1, 10, 5, 20, -3]) == 3
    assert one_hot_encode(3) == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert one_hot_encode(2, num_labels=5) == [0, 0, 1, 0, 0]
    loss = deepc.SSE()
    assert loss.loss([1, 2, 3], [10, 20, 30]) == 9**2 + 18**2 + 27**2
    assert loss.gradient([1, 2, 3], [10, 20, 30]) == [-18, -36, -54]


def test_tensor_is_a_type():
    assert isinstance([1.0], Tensor)
    assert isinstance(np.zeros(2), Tensor)
    assert not isinstance((1.0,), Tensor)

    def annotated(tensors: List[Tensor], one: Tensor) -> Tensor:  # noqa: UP006
        return one

    assert annotated([], [1.0]) == [1.0]


# ---- NumPy as the judge --------------------------------------------------------------------------

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def nested(draw, count=1):
    """Draw so many nested lists of numbers, of one shape."""
    sizes = draw(SHAPES)
    size = math.prod(sizes)
    flat = [draw(st.lists(NUMBERS, min_size=size, max_size=size)) for _ in range(count)]
    return [np.array(values, object).reshape(sizes).tolist() for values in flat]


@given(nested())
def test_shape_is_numpys(tensors):
    tensor = tensors[0]
    array = np.array(tensor, float)
    assert shape(tensor) == shape(array) == list(array.shape)
    assert all(type(size) is int for size in shape(array))
    assert is_1d(tensor) == is_1d(array) == (array.ndim == 1)


@given(nested())
def test_sum_is_that_of_exact_fractions(tensors):
    tensor = tensors[0]
    array = np.array(tensor, float)
    exact = sum(map(Fraction, array.ravel().tolist()))
    assert tensor_sum(tensor) == float(exact)
    assert tensor_sum(array) == pytest.approx(
        float(exact), rel=1e-12, abs=1e-12 * np.abs(array).sum()
    )


@given(nested(2))
def test_apply_and_combine_are_numpys(tensors):
    t1, t2 = tensors
    a, b = np.array(t1, float), np.array(t2, float)
    for f, whole in [
        (lambda x: 2 * x + 1, lambda x: 2 * x + 1),
        (operator.neg, np.negative),
        (np.square, np.square),
    ]:
        assert np.array_equal(np.array(tensor_apply(f, t1), float), whole(a))
        assert np.array_equal(tensor_apply(f, a), whole(a))
    for f, whole in [
        (lambda x, y: x - 2 * y, lambda x, y: x - 2 * y),
        (operator.sub, np.subtract),
        (np.maximum, np.maximum),
        (max, np.maximum),
    ]:
        assert np.array_equal(np.array(tensor_combine(f, t1, t2), float), whole(a, b))
        for pair in [(a, b), (t1, b), (a, t2)]:
            got = tensor_combine(f, *pair)
            assert isinstance(got, np.ndarray)
            assert got.dtype == np.float64
            assert np.array_equal(got, whole(a, b))
    assert zeros_like(t1) == zeros_like(a).tolist() == np.zeros(a.shape).tolist()


@given(SHAPES, SHAPES)
def test_shapes_that_differ_are_refused(one, other):
    if one == other:
        return
    a, b = np.zeros(one), np.zeros(other)
    for pair in [(a, b), (a.tolist(), b), (a, b.tolist()), (a.tolist(), b.tolist())]:
        for f in (operator.add, np.add, lambda x, y: x + y):
            with pytest.raises(ValueError, match="t1 and t2") as error:
                tensor_combine(f, *pair)
            assert str(one) in str(error.value)
            assert str(other) in str(error.value)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_argmax_is_the_first_largest(xs):
    expected = max(range(len(xs)), key=lambda i: xs[i])
    assert argmax(xs) == expected
    assert type(argmax(xs)) is int
    assert argmax(np.array(xs, float)) == int(np.array(xs, float).argmax())


@given(st.data(), st.integers(1, 50))
def test_dot_is_that_of_exact_fractions(data, size):
    v, w = (data.draw(st.lists(NUMBERS, min_size=size, max_size=size)) for _ in range(2))
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(v, w, strict=True))
    room = 1e-13 * sum(abs(a * b) for a, b in zip(v, w, strict=True)) + 1e-300
    assert abs(dot(v, w) - exact) <= room
    assert abs(dot(np.array(v, float), w) - exact) <= room


# ---- Forms and dtypes ----------------------------------------------------------------------------


def test_arrays_keep_their_dtype(dtype):
    a = np.array([[1.0, -2.0], [0.0, 4.0]], dtype)
    for result in [
        tensor_apply(lambda x: 3 * x, a),
        tensor_apply(lambda x: 0, a),
        tensor_apply(lambda x: int(x), a),
        tensor_apply(np.exp, a),
        tensor_combine(lambda x, y: x * y, a, a),
        tensor_combine(operator.truediv, a, a + 3),
        tensor_combine(operator.mul, a, a.tolist()),
        tensor_combine(operator.mul, a.tolist(), a),
        tensor_combine(lambda x, y: 1, a, a.astype(int)),
        zeros_like(a),
    ]:
        assert isinstance(result, np.ndarray)
        assert result.dtype == dtype
        assert result.shape == (2, 2)


def test_functions_are_given_python_numbers(dtype):
    seen = []
    tensor_apply(lambda x: seen.append(type(x)) or 0.0, np.ones(2, dtype))
    tensor_combine(lambda x, y: seen.extend([type(x), type(y)]) or 0.0, np.ones(2, dtype), [1, 2])
    assert set(seen) == {float}


def test_a_number_stays_a_number():
    assert tensor_apply(abs, -3.0) == 3.0
    assert tensor_combine(max, 1.0, 2.0) == 2.0
    assert zeros_like(5) == 0.0
    assert isinstance(tensor_apply(abs, -3.0), float)


def test_of_two_dtypes_the_wider_one():
    a, b = np.ones(3, np.float32), np.ones(3)
    assert tensor_combine(operator.add, a, b).dtype == np.float64
    assert tensor_combine(lambda x, y: x + y, b, a).dtype == np.float64


def test_whole_numbers_and_booleans():
    a = np.arange(4)
    assert tensor_apply(lambda x: x + 1, a).dtype == a.dtype
    assert tensor_apply(lambda x: x / 2, a).tolist() == [0.0, 0.5, 1.0, 1.5]
    assert tensor_apply(lambda x: x > 1, a.astype(float)).tolist() == [False, False, True, True]
    assert tensor_apply(lambda x: x > 1, a.astype(float)).dtype == bool
    assert zeros_like(a).dtype == np.float64
    assert tensor_sum(np.array([True, True])) == 2.0
    assert tensor_sum(np.full((300, 300), 255, np.uint8)) == 300 * 300 * 255


def test_any_layout_of_arrays(rng):
    a = rng.standard_normal((4, 6))
    b = rng.standard_normal((4, 6))
    for view, twin in [(a.T, b.T), (a[::-1, ::2], b[::-1, ::2]), (np.asfortranarray(a), b)]:
        assert np.array_equal(tensor_apply(lambda x: 2 * x, view), 2 * view)
        assert np.array_equal(tensor_combine(lambda x, y: x - y, view, twin), view - twin)
        assert tensor_sum(view) == pytest.approx(view.sum())
    assert zeros_like(a.T).strides == a.T.strides


def test_results_are_new_lists():
    row = [1.0, 2.0]
    result = tensor_apply(lambda x: x, [row, row])
    result[0][0] = 5.0
    assert result == [[5.0, 2.0], [1.0, 2.0]]
    assert row == [1.0, 2.0]


def test_any_callable():
    class Twice:
        __hash__ = None

        def __call__(self, x, y=0):
            return 2 * x

    a = np.array([1.0, 2.0])
    for f in (Twice(), Twice().__call__, math.sqrt, int, abs):
        assert tensor_apply(f, a).tolist() == [f(1.0), f(2.0)]
        assert tensor_apply(f, [1.0, 2.0]) == [f(1.0), f(2.0)]
    assert tensor_combine(Twice(), a, a).tolist() == [2.0, 4.0]
    assert tensor_combine(pow, a, [3, 3]).tolist() == [1.0, 8.0]
    assert tensor_apply(str, [1, 2]) == ["1", "2"]  # on lists whatever f returns
    assert tensor_apply(deepc.sigmoid, [0.0]) == [0.5]


def test_ufuncs_give_lists_of_floats():
    assert tensor_apply(np.sqrt, [[1, 4], [9, 16]]) == [[1.0, 2.0], [3.0, 4.0]]
    assert tensor_combine(np.add, [1, 2], [3, 4]) == [4.0, 6.0]
    assert all(type(x) is float for x in tensor_apply(np.exp, [0, 1]))


def test_errors_of_functions_come_through():
    for tensor in ([1.0, 0.0], np.array([1.0, 0.0])):
        with pytest.raises(ZeroDivisionError):
            tensor_apply(lambda x: 1 / x, tensor)


def test_lists_of_arrays():
    rows = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    assert shape(rows) == [2, 2]
    assert not is_1d(rows)
    assert tensor_sum(rows) == 10.0
    assert tensor_apply(lambda x: x + 1, rows) == [[2.0, 3.0], [4.0, 5.0]]
    assert shape([np.float32(1), np.float64(2)]) == [2]


def test_numbers_that_are_no_floats():
    """As the chapter's functions would: whatever can be added, or that f takes."""
    assert shape([Fraction(1, 2), Decimal(1)]) == [2]
    assert tensor_sum([Fraction(1, 2), Decimal("0.25")]) == 0.75
    assert tensor_apply(lambda x: x + 1, [Fraction(1, 2)]) == [Fraction(3, 2)]


def test_sums_are_exact_at_the_end():
    assert tensor_sum([0.1] * 10) == 1.0
    assert tensor_sum([1e100, 1.0, -1e100]) == 1.0
    assert dot([1e100, 1.0, -1e100], [1, 1, 1]) == 1.0
    assert tensor_sum([1e308, 1e308]) == math.inf
    assert tensor_sum([math.inf, 1.0]) == math.inf
    assert math.isnan(tensor_sum([math.inf, -math.inf]))
    assert math.isnan(tensor_sum([math.nan, 1.0]))
    assert dot([1e200], [1e200]) == math.inf


def test_sum_of_many_centred_pixels(rng):
    images = rng.integers(0, 256, (2000, 28, 28)).tolist()
    average = tensor_sum(images) / 2000 / 28 / 28
    centred = [[(p - average) / 256 for row in image for p in row] for image in images]
    assert shape(centred) == [2000, 784]
    assert abs(tensor_sum(centred)) < 1e-8


def test_dot_of_arrays(dtype, rng):
    v, w = rng.standard_normal((2, 500)).astype(dtype)
    assert dot(v, w) == pytest.approx(
        float(v.astype(float) @ w.astype(float)), rel=1e-4 if dtype == np.float32 else 1e-12
    )
    assert dot(v[::2], w[::-2]) == pytest.approx(float(v[::2] @ w[::-2]), rel=1e-4)
    assert type(dot(v, w.tolist())) is float


# ---- Nothing in it -------------------------------------------------------------------------------


def test_empty():
    assert shape([]) == [0]
    assert shape([[], []]) == [2, 0]
    assert shape(np.zeros((0, 3))) == [0, 3]
    assert is_1d([])
    assert tensor_sum([]) == tensor_sum([[]]) == tensor_sum(np.zeros((2, 0))) == 0.0
    assert tensor_apply(math.exp, []) == []
    assert tensor_apply(math.exp, [[], []]) == [[], []]
    assert tensor_apply(math.exp, np.zeros((2, 0))).shape == (2, 0)
    assert tensor_combine(max, np.zeros((0, 2)), np.zeros((0, 2))).shape == (0, 2)
    assert zeros_like([]) == []
    assert dot([], []) == dot(np.zeros(0), []) == 0.0
    assert one_hot_encode([]) == []
    assert one_hot_encode(np.zeros(0, int), 3).shape == (0, 3)


# ---- Classes -------------------------------------------------------------------------------------


def test_argmax_of_batches():
    batch = [[1, 5, 5], [7, 0, 7]]
    assert argmax(batch) == [1, 0]
    got = argmax(np.array(batch, np.float32))
    assert isinstance(got, np.ndarray)
    assert got.tolist() == [1, 0]
    assert argmax([np.array([1, 2]), np.array([4, 3])]) == [1, 0]
    assert argmax((1, 3, 2)) == 1


def test_one_hot(dtype):
    for label in (3, np.int64(3), np.uint8(3), np.array(3)):
        assert one_hot_encode(label, 5) == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert all(type(x) is float for x in one_hot_encode(1))
    assert one_hot_encode([1, 0], 2) == [[0.0, 1.0], [1.0, 0.0]]
    deepc.set_default_dtype(dtype)
    rows = one_hot_encode(np.array([2, 0], np.uint8), 3)
    assert rows.dtype == dtype
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]


# ---- The normal distribution ---------------------------------------------------------------------


@given(st.floats(-8, 8), st.floats(-100, 100), st.floats(0.01, 100))
def test_normal_cdf(z, mu, sigma):
    # As the book computes it, but for the lower tail, where that has no digits.
    assert normal_cdf(z) == pytest.approx((1 + math.erf(z / math.sqrt(2))) / 2, abs=2e-16)
    assert normal_cdf(mu + sigma * z, mu, sigma) == pytest.approx(normal_cdf(z), abs=1e-11)


@given(st.floats(1e-300, 1, exclude_max=True))
def test_inverse_normal_cdf(p):
    assert inverse_normal_cdf(p) == pytest.approx(NormalDist().inv_cdf(p), rel=1e-14)
    if 1e-7 < p < 1 - 1e-7:
        assert normal_cdf(inverse_normal_cdf(p)) == pytest.approx(p, rel=1e-10)
    assert inverse_normal_cdf(p, 5, 3) == pytest.approx(5 + 3 * inverse_normal_cdf(p))


def test_tails_of_the_normal_distribution():
    assert normal_cdf(-10) == pytest.approx(7.619853024160527e-24)
    assert (normal_cdf(-math.inf), normal_cdf(math.inf)) == (0.0, 1.0)
    assert inverse_normal_cdf(normal_cdf(-10)) == pytest.approx(-10)
    assert inverse_normal_cdf(0.5, tolerance=0.1) == 0.0


# ---- Random tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [random_uniform, random_normal, random_tensor])
def test_random_tensors(make, dtype):
    assert make(3, 4).dtype == np.float32
    assert make(3, 4, dtype=dtype).dtype == dtype
    assert np.array_equal(make(7, 5, rng=3), make(7, 5, rng=3))
    assert not np.array_equal(make(7, 5, rng=3), make(7, 5, rng=4))
    first = make(20)
    assert not np.array_equal(first, make(20))
    deepc.set_default_dtype(dtype)
    assert make(2).dtype == dtype


@pytest.mark.parametrize(
    ("dims", "init", "mean", "variance"),
    [
        ((400, 300), "normal", 0, 1),
        ((400, 300), "uniform", 0.5, 1 / 12),
        ((400, 300), "xavier", 0, 2 / 700),
        ((50, 40, 60), "xavier", 0, 3 / 150),
        ((100_000,), "xavier", 0, 1 / 100_000),
    ],
)
def test_moments(dims, init, mean, variance, dtype):
    x = random_tensor(*dims, init=init, dtype=dtype, rng=1).astype(float)
    assert x.shape == dims
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / x.size)
    assert x.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / x.size))
    if init == "uniform":
        assert 0 <= x.min() < x.max() < 1


def test_variance_is_a_variance():
    x = random_normal(100_000, mean=10, variance=4, dtype="float64", rng=1)
    assert x.mean() == pytest.approx(10, abs=0.05)
    assert x.std() == pytest.approx(2, abs=0.05)
    assert (random_normal(5, mean=3, variance=0) == 3).all()


# ---- Tuples, small and large integers ------------------------------------------------------------


def test_tuples_are_lists():
    rows = ((1.0, 2.0), (3.0, 4.0))
    lists = [[1.0, 2.0], [3.0, 4.0]]
    assert shape(rows) == [2, 2]
    assert is_1d((1, 2))
    assert tensor_sum(rows) == 10.0
    assert tensor_apply(lambda x: 2 * x, rows) == [[2.0, 4.0], [6.0, 8.0]]
    assert tensor_apply(np.square, rows) == [[1.0, 4.0], [9.0, 16.0]]
    assert tensor_combine(operator.add, rows, lists) == [[2.0, 4.0], [6.0, 8.0]]
    assert zeros_like(rows) == [[0.0, 0.0], [0.0, 0.0]]
    assert one_hot_encode((0, 1), 2) == [[1.0, 0.0], [0.0, 1.0]]
    assert argmax((1, 3, 2)) == 1
    assert argmax(rows) == [1, 1]
    assert dot((1, 2), (3, 4)) == 11.0


@pytest.mark.parametrize("kind", ["u1", "i1", "u4", "i8", "u8", "?"])
@pytest.mark.parametrize("f", [operator.add, operator.sub, operator.mul, operator.neg])
def test_whole_numbers_do_not_wrap(kind, f):
    a = np.array([1, 0, np.iinfo(kind).max if kind != "?" else 1], kind)
    b = np.array([1, 1, 1], kind)
    operands = (a,) if f is operator.neg else (a, b)
    result = (tensor_apply if f is operator.neg else tensor_combine)(f, *operands)
    right = [f(*pair) for pair in zip(*(o.tolist() for o in operands), strict=True)]
    # Beyond 64 bits they are floats.
    assert result.tolist() == (right if result.dtype.kind in "iu" else list(map(float, right)))
    assert result.dtype.kind in "iu" or max(map(abs, right)) >= 2**63


def test_products_beyond_64_bits():
    result = tensor_combine(operator.mul, np.array([2**62, 3]), np.array([2**40, 5]))
    assert result.tolist() == [float(2**102), 15.0]
    assert result.dtype == np.float64


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("tensor", RAGGED, ids=repr)
def test_ragged_lists_are_refused(tensor):
    for call in (
        shape,
        is_1d,
        tensor_sum,
        zeros_like,
        lambda t: tensor_apply(abs, t),
        lambda t: tensor_apply(np.abs, t),
        lambda t: tensor_combine(operator.add, t, t),
    ):
        with pytest.raises(ValueError, match=r"tensor|t1"):
            call(tensor)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    for call in (shape, tensor_sum, zeros_like):
        with pytest.raises(ValueError, match=r"tensor: .*dimensions"):
            call(endless)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: shape("abc"), TypeError, "tensor.*str 'abc'"),
        (lambda: shape({1, 2}), TypeError, "tensor.*set"),
        (lambda: one_hot_encode([[1]]), TypeError, "i: .*list"),
        (lambda: is_1d(None), TypeError, "tensor.*got None"),
        (lambda: tensor_sum(None), TypeError, "tensor"),
        (lambda: tensor_sum(["a", "b"]), TypeError, "tensor"),
        (lambda: tensor_sum([1.0, None]), TypeError, "tensor"),
        (lambda: tensor_sum([1j]), TypeError, "tensor"),
        (lambda: tensor_sum(np.array([1j])), TypeError, "tensor.*complex"),
        (lambda: tensor_sum(np.array(["a"])), TypeError, "tensor"),
        (lambda: tensor_apply(None, [1.0]), TypeError, "f: .*got None"),
        (lambda: tensor_apply(3, np.ones(2)), TypeError, "f: .*int"),
        (lambda: tensor_apply(abs, "abc"), TypeError, "tensor"),
        (lambda: tensor_apply(abs, np.array(["a"])), TypeError, "tensor"),
        (lambda: tensor_apply(str, np.ones(2)), TypeError, "f: .*real numbers"),
        (lambda: tensor_apply(lambda x: None, np.ones(2)), TypeError, "f: .*real numbers"),
        (lambda: tensor_apply(lambda x: [x, x], np.ones(2)), TypeError, "f: .*number"),
        (lambda: tensor_apply(np.modf, np.ones(2)), TypeError, "f: .*number"),
        (lambda: tensor_combine("+", [1.0], [2.0]), TypeError, "f: .*str"),
        (lambda: tensor_combine(max, [1.0], 2.0), ValueError, r"t1 and t2: .*\[1\].*\[\]"),
        (lambda: tensor_combine(max, [1.0], "a"), TypeError, "t2"),
        (lambda: tensor_combine(operator.add, np.ones(1), ["a"]), TypeError, "t2"),
        (lambda: tensor_combine(operator.add, np.ones(1), np.array([1j])), TypeError, "t2"),
        (lambda: one_hot_encode(10), ValueError, "i: .*0 to 9.*10"),
        (lambda: one_hot_encode(-1), ValueError, "i: .*-1"),
        (lambda: one_hot_encode(3, 3), ValueError, "i: .*0 to 2.*3"),
        (lambda: one_hot_encode(1.0), TypeError, "i: .*float"),
        (lambda: one_hot_encode(True), TypeError, "i: .*bool"),
        (lambda: one_hot_encode("3"), TypeError, "i: .*str"),
        (lambda: one_hot_encode(0, 0), ValueError, "num_labels: .*0"),
        (lambda: one_hot_encode(0, 2.0), TypeError, "num_labels: .*float"),
        (lambda: one_hot_encode(np.array([0, 7]), 5), ValueError, "i: .*0 to 4.*7"),
        (lambda: one_hot_encode(np.array([0, -7]), 5), ValueError, "i: .*0 to 4.*-7"),
        (lambda: one_hot_encode([0, 7], 5), ValueError, "i: .*0 to 4.*7"),
        (lambda: one_hot_encode(np.array([0.0])), TypeError, "i: .*float64"),
        (lambda: one_hot_encode(np.array([[0]])), TypeError, r"i: .*\(1, 1\)"),
        (lambda: argmax([]), ValueError, "xs"),
        (lambda: argmax([[]]), ValueError, "xs"),
        (lambda: argmax(np.zeros(0)), ValueError, "xs"),
        (lambda: argmax(np.zeros((2, 0))), ValueError, "xs"),
        (lambda: argmax(np.zeros((1, 1, 1))), ValueError, r"xs: .*\(1, 1, 1\)"),
        (lambda: argmax(3), ValueError, "xs"),
        (lambda: argmax("abc"), TypeError, "xs"),
        (lambda: argmax([1, "a"]), TypeError, "xs"),
        (lambda: argmax([1, [2]]), ValueError, "xs"),
        (lambda: argmax([[1, 2], [3]]), ValueError, "xs"),
        (lambda: dot([1, 2], [1]), ValueError, r"v and w: .*\[2\].*\[1\]"),
        (lambda: dot(np.ones(2), np.ones(3)), ValueError, r"v and w: .*\[2\].*\[3\]"),
        (lambda: dot([[1.0]], [[1.0]]), ValueError, "v and w"),
        (lambda: dot([1.0], ["a"]), TypeError, "v and w"),
        (lambda: dot(["a"], ["a"]), TypeError, "v and w"),
        (lambda: dot(np.ones(1), ["a"]), TypeError, "w"),
        (lambda: dot(2.0, 3.0), ValueError, "v and w"),
        (lambda: normal_cdf(0, sigma=0), ValueError, "sigma"),
        (lambda: normal_cdf(0, sigma=-1), ValueError, "sigma"),
        (lambda: normal_cdf(0, sigma=math.nan), ValueError, "sigma"),
        (lambda: inverse_normal_cdf(0), ValueError, "p: .*0"),
        (lambda: inverse_normal_cdf(1), ValueError, "p: .*1"),
        (lambda: inverse_normal_cdf(1.5), ValueError, "p: .*1.5"),
        (lambda: inverse_normal_cdf(math.nan), ValueError, "p: .*nan"),
        (lambda: inverse_normal_cdf("a"), TypeError, "p: .*str"),
        (lambda: inverse_normal_cdf(0.5, sigma=0), ValueError, "sigma"),
        (lambda: random_uniform(), ValueError, "dims"),
        (lambda: random_uniform(0), ValueError, "dims: .*0"),
        (lambda: random_uniform(2, -1), ValueError, "dims: .*-1"),
        (lambda: random_uniform(2.0), TypeError, "dims: .*float"),
        (lambda: random_uniform(2, rng="a"), TypeError, "rng"),
        (lambda: random_uniform(2, dtype="int8"), ValueError, "dtype: .*int8"),
        (lambda: random_normal(2, variance=-1), ValueError, "variance: .*-1"),
        (lambda: random_normal(2, mean=math.nan), ValueError, "mean: .*nan"),
        (lambda: random_normal(2, mean="a"), TypeError, "mean: .*str"),
        (lambda: random_tensor(2, init="xavir"), ValueError, "init: .*'xavir'.*'xavier'"),
        (lambda: random_tensor(2, init=None), ValueError, "init: .*None"),
        (lambda: random_tensor(), ValueError, "dims"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, match):
    with pytest.raises(error, match=match):
        call()
