"""What callers pass: numbers, lists and arrays of all kinds, converted or refused with the cure."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import UserList, deque
from decimal import Decimal
from fractions import Fraction

import deepc
import numpy as np
import pytest
from deepc import Linear, Sequential, Tanh
from deepc._values import (
    BELOW_ONE,
    FLOAT32,
    FLOAT64,
    LARGEST,
    SMALLEST,
    any_array,
    as_array,
    as_bool,
    as_float,
    as_int,
    describe,
    is_array,
    like,
)


class Column:
    """What a column of a table gives NumPy: Python objects in an array."""

    def __init__(self, values, columns=None):
        self.values = np.empty(np.shape(values), object)
        self.values[...] = values
        if columns:
            self.columns = columns

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __repr__(self):  # which names tests, the same in each process
        return f"Column({self.values.tolist()})"


class Odd:
    """Something whose repr fails."""

    def __repr__(self):
        raise ZeroDivisionError


# ---- Arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (1, 1.0),
        (True, 1.0),
        (2**65, 2.0**65),
        (np.float32(0.1), float(np.float32(0.1))),
        ([], []),
        ([1, 2.5], [1.0, 2.5]),
        ((1, 2), [1.0, 2.0]),
        ([True, False], [1.0, 0.0]),
        ([2**64 - 1], [2.0**64]),
        ([2**65, 1], [2.0**65, 1.0]),
        ([-(2**70), 0.5], [-(2.0**70), 0.5]),
        ([[2**65], [1]], [[2.0**65], [1.0]]),
        ([np.float32(0.1), np.float32(0.2)], [float(np.float32(0.1)), float(np.float32(0.2))]),
        ([np.float16(0.1)], [float(np.float16(0.1))]),
        ([np.int8(3), np.True_], [3.0, 1.0]),
        ([np.ones(2, "f4"), np.zeros(2, "f4")], [[1.0, 1.0], [0.0, 0.0]]),
        (range(3), [0.0, 1.0, 2.0]),
        (deque([1, 2]), [1.0, 2.0]),
        (UserList([1, 2]), [1.0, 2.0]),
        (Column([1, 2, 3]), [1.0, 2.0, 3.0]),
        (np.array([1, 2.5, True, np.float32(3)], object), [1.0, 2.5, 1.0, 3.0]),
        ([math.nan, math.inf], [math.nan, math.inf]),
    ],
    ids=repr,
)
def test_lists_and_numbers_become_float64(value, right):
    array = as_array(value, "x")
    assert array.dtype is FLOAT64
    assert array.flags.c_contiguous
    assert np.array_equal(array, right, equal_nan=True)
    assert as_array(value, "x", FLOAT32).dtype is FLOAT32


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_float_arrays_stay(kind):
    array = np.array([[1.0, 2.0], [3.0, 4.0]], kind)
    assert as_array(array, "x") is array
    for view in (array.T, array[:, ::-1], array.astype(array.dtype.newbyteorder())):
        result = as_array(view, "x")
        assert result.dtype is array.dtype
        assert result.flags.c_contiguous
        assert np.array_equal(result, view)
    assert as_array(np.array(1.0, kind), "x").dtype == kind
    other = {"f4": FLOAT64, "f8": FLOAT32}[kind]
    assert as_array(array, "x", other).dtype is other


def test_a_dtype_with_metadata_is_the_plain_one():
    odd = np.dtype("f4", metadata={"unit": "m"})
    assert as_array(np.ones(2, odd), "x").dtype is FLOAT32


def test_lists_of_numpy_numbers_are_computed_in_float64():
    numbers = [np.float32(0.1), np.float32(0.7)]
    assert deepc.sigmoid(numbers) == deepc.sigmoid([float(number) for number in numbers])
    assert deepc.softmax(numbers) == deepc.softmax([float(number) for number in numbers])
    assert deepc.sigmoid(numbers[0]) == deepc.sigmoid(float(numbers[0]))


def test_results_come_as_what_was_given():
    net = Sequential([Linear(2, 3, rng=0), Tanh()])
    array = np.array([1.0, 2.0])
    right = net.forward(array).tolist()
    for given in ([1.0, 2.0], (1, 2), range(1, 3)):
        result = net.forward(given)
        assert type(result) is list
        assert result == right
        assert type(net.backward((1, 0, 0))) is list
        assert type(Tanh().forward(given)) is list
    for given in (array, Column([1, 2]), array.astype(">f8")):
        assert type(net.forward(given)) is np.ndarray
    assert deepc.tanh((0, 0)) == [0.0, 0.0]
    assert type(deepc.tanh(Column([1, 2]))) is np.ndarray
    assert is_array(np.float32(1)) is is_array([1.0]) is is_array(1) is False
    assert like(1.0, np.array(2.0)) == 2.0


# ---- What is refused -----------------------------------------------------------------------------

HUGE = 10**400


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ((i for i in [1]), TypeError, "expected a list or an array, got a generator; use list"),
        (map(float, [1]), TypeError, "expected a list or an array, got a map; use list(...)"),
        (zip([1], [2], strict=True), TypeError, "expected a list or an array, got a zip; use list"),
        (iter([1]), TypeError, "expected a list or an array, got a list_iterator; use list(...)"),
        ({1}, TypeError, "expected a list or an array, got set {1}"),
        ({"a": 1}, TypeError, "expected a list or an array, got dict {'a': 1}"),
        ({1: 2}.values(), TypeError, "got dict_values dict_values([2]); use list(...)"),
        (None, TypeError, "expected real numbers, got None"),
        ([None, 1], TypeError, "expected real numbers, got None at [0]"),
        ([[1, 2], [3, None]], TypeError, "expected real numbers, got None at [1][1]"),
        ([1, (i for i in [1])], TypeError, "expected real numbers, got a generator at [1]"),
        (Decimal("0.5"), TypeError, "got Decimal Decimal('0.5'); use float(...)"),
        ([1, Fraction(1, 2)], TypeError, "got Fraction Fraction(1, 2) at [1]; use float(...)"),
        (HUGE, ValueError, "expected numbers that a float can hold, got an int of 1329 bits"),
        ([[0], [-HUGE]], ValueError, "a float can hold, got an int of 1329 bits at [1][0]"),
        ("abc", TypeError, "expected real numbers, got str 'abc'"),
        (["1", 2], TypeError, "expected real numbers, got str '1' at [0]"),
        ([1.0, "b"], TypeError, "expected real numbers, got str 'b' at [1]"),
        ([b"b"], TypeError, "expected real numbers, got bytes b'b' at [0]"),
        (1j, TypeError, "expected real numbers, got complex 1j"),
        ([1, 1j], TypeError, "expected real numbers, got complex 1j at [1]"),
        (np.array([1j]), TypeError, "got an array of shape (1,) and dtype complex128"),
        (np.array(["a"]), TypeError, "got an array of shape (1,) and dtype <U1"),
        (np.array([1.0, None], object), TypeError, "expected real numbers, got None at [1]"),
        (np.array(["2020"], "M8[Y]"), TypeError, "got an array of shape (1,) and dtype datetime"),
        ([[1, 2], [3]], ValueError, "expected rows of equal length, got a ragged list"),
        (((1, 2), 3), ValueError, "expected rows of equal length, got a ragged tuple"),
        (Column(["a"]), TypeError, "expected real numbers, got str 'a' at [0]"),
        (
            Column([[1, "Rome"], [2, "Oslo"]], ["size", "city"]),
            TypeError,
            "expected real numbers, got str 'Rome' in column 'city', row 0",
        ),
        ([Odd()], TypeError, "expected real numbers, got an object of type Odd at [0]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_came_and_the_cure_are_named(value, error, message):
    with pytest.raises(error) as caught:
        as_array(value, "x")
    assert str(caught.value).startswith("x: ")
    assert message in str(caught.value)


def test_deep_lists_are_refused():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(ValueError, match=r"x: expected rows of equal length"):
        as_array(deep, "x")
    assert describe(deep) == "an object of type list"
    assert describe(10**5000) == "an int of 16610 bits"
    assert describe(10**30) == f"int {10**30}"
    with pytest.raises(ValueError, match="n: expected at least 1, got an int of 16610 bits"):
        as_int(-(10**5000), "n", least=1)


masked = np.ma.array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize(
    "value",
    [
        masked,
        masked.astype("f4"),
        np.ma.array([1, 2], mask=[False, True]),
        [masked, masked],
        (masked, [1.0, 2.0]),
        [1.0, np.ma.masked],
        [[1.0, 2.0], [3.0, np.ma.masked]],
        list(masked),
        np.ma.masked,
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:Warning. converting a masked element to nan")
def test_masked_values_are_refused(value):
    with pytest.raises(ValueError, match=r"x: .*masked ones?; use filled"):
        as_array(value, "x")


@pytest.mark.filterwarnings("error")
def test_masked_values_are_refused_where_warnings_are_errors():
    with pytest.raises(ValueError, match=r"x: .*masked"):
        as_array([1.0, np.ma.masked], "x")
    with pytest.raises(ValueError, match=r"x: .*masked"):
        deepc.fit(
            Linear(2, 1), [masked], [[1.0]], loss=deepc.SSE(), optimizer=deepc.SGD()
        )  # fmt: skip
    net = Sequential([Linear(2, 1)])
    for call in (net.forward, net.layers[0].forward, deepc.sigmoid, deepc.kernels.exp):
        with pytest.raises(ValueError, match="masked"):
            call(masked)


def test_masked_arrays_without_masked_values_are_arrays():
    for whole in (np.ma.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[False, False])):
        result = as_array(whole, "x")
        assert type(result) is np.ndarray
        assert result.tolist() == [1.0, 2.0]
    assert any_array([np.ma.array([1.0, 2.0])], "x").tolist() == [[1.0, 2.0]]


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1.0, 2.0], "city": ["Rome", "Oslo"], "ok": [True, False]})
    with pytest.raises(TypeError, match=r"x: .*str 'Rome' in column 'city', row 0"):
        as_array(table, "x")
    assert as_array(table[["a", "ok"]], "x").tolist() == [[1.0, 1.0], [2.0, 0.0]]
    assert as_array(table["a"].astype("float32"), "x").dtype is FLOAT32
    for kind in ("Int64", "Float32", "boolean"):
        column = pandas.Series([1, 0, 1], dtype=kind)
        assert as_array(column, "x").tolist() == [1.0, 0.0, 1.0]
    assert deepc.one_hot_encode(pandas.Series([1, 0]), 2).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert deepc.argmax(pandas.Series([1.0, 3.0])) == 1


# ---- Numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high", "message"),
    [
        (-0.1, 0.0, LARGEST, "expected at least 0, got -0.1"),
        (1e39, 0.0, LARGEST, "expected at least 0 and at most 3.40282e+38, got 1e+39"),
        (1.0, 0.0, BELOW_ONE, "expected at least 0 and less than 1, got 1.0"),
        (-1.0, 0.0, BELOW_ONE, "expected at least 0 and less than 1, got -1.0"),
        (1.5, 0.0, 1.0, "expected at least 0 and at most 1, got 1.5"),
        (0.0, SMALLEST, LARGEST, "expected above 0, got 0.0"),
        (math.nan, 0.0, 1.0, "expected a finite number, got nan"),
        (HUGE, 0.0, LARGEST, "expected a finite number, got inf"),
        (-math.inf, -math.inf, math.inf, "expected a finite number, got -inf"),
    ],
)
def test_limits_of_numbers(value, low, high, message):
    with pytest.raises(ValueError, match=r"p: ") as caught:
        as_float(value, "p", low, high)
    assert str(caught.value) == f"p: {message}"


def test_numbers_that_are_none():
    class Index:
        def __index__(self):
            return "one"

    for call, value, message in (
        (as_int, Index(), "n: expected an int, got Index"),
        (as_int, 1.0, "n: expected an int, got float 1.0"),
        (as_int, True, "n: expected an int, got bool True"),
        (as_int, None, "n: expected an int, got None"),
        (as_bool, "yes", "n: expected a bool, got str 'yes'"),
        (as_float, None, "n: expected a number, got None"),
        (as_float, "1", "n: expected a number, got str '1'"),
    ):
        with pytest.raises(TypeError) as caught:
            call(value, "n")
        assert str(caught.value).startswith(message)
    with pytest.raises(ValueError, match=r"learning_rate: expected at least 0, got -0\.1"):
        deepc.SGD(-0.1)


# ---- NumPy's error state and warnings ------------------------------------------------------------

STRICT = """
import numpy as np, operator, warnings
np.seterr(all="raise")
warnings.simplefilter("error")
import deepc
net = deepc.Sequential([deepc.Linear(2, 3, rng=0), deepc.Tanh(), deepc.Linear(3, 2, rng=1)])
for x in ([1e-300, 1e300], np.array([1e-300, 1e300]), np.array([1e-300, 1], np.longdouble)):
    net.forward(x), net.backward([1e-300, 1e300]), deepc.sigmoid(x), deepc.softmax(x)
    deepc.kernels.exp(x), deepc.kernels.log(x), deepc.Relu().forward(x), deepc.argmax(x)
    for loss in (deepc.SSE(), deepc.SoftmaxCrossEntropy()):
        loss.loss(x, [0, 1]), loss.gradient(x, [0, 1])
    deepc.tensor_sum(x), deepc.tensor_combine(operator.mul, x, x), deepc.zeros_like(x)
    deepc.tensor_combine(operator.truediv, x, deepc.tensor_apply(operator.neg, x))
    deepc.kernels.matmul(x, x), deepc.shape(x)
net.layers[0].w = [[1e300, 1e-300]] * 3
assert np.isinf(net.layers[0].w).any()
net.layers[0].w = np.ones((3, 2))
for numbers in (dict(x=[[1e300, 1.0]], y=[[0, 1]]), dict(x=[[1.0, 1.0]], y=[[1e300, 0.0]])):
    try:
        deepc.fit(net, **numbers, loss=deepc.SSE(), optimizer=deepc.Adam(), epochs=1)
    except ValueError as error:
        name = next(name for name in numbers if "1e300" in str(numbers[name]).replace("+", ""))
        assert str(error).startswith(name + ":"), error
    else:
        raise AssertionError("not refused")
deepc.fit(net, [[1e-300, 1.0]], [[0, 1e-300]], loss=deepc.SSE(), optimizer=deepc.Adam(), epochs=2)

class Mine(deepc.Layer):
    def __init__(self):
        self.w = np.ones(1, np.float16)
    def forward(self, input):
        return input * self.w
    def backward(self, gradient):
        return gradient
    def params(self):
        return [self.w]
    def grads(self):
        return [np.array([1e10])]
deepc.SGD(1.0).step(Mine())
deepc.datasets.digits(), deepc.datasets.xor(), deepc.random_tensor(3, 3, init="xavier")
"""


def test_numpys_error_state_and_warnings_have_no_effect():
    result = subprocess.run([sys.executable, "-c", STRICT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
