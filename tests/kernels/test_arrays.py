"""What the C side reads off a NumPy array, and what it refuses to take as it is."""

from __future__ import annotations

import pickle
import sys

import hypothesis.extra.numpy as hypothesis_numpy
import numpy as np
import pytest
from deepc import Linear, SoftmaxCrossEntropy, _deepc, kernels
from deepc._c.activations import ACTIVATIONS
from deepc._c.arrays import argmax
from hypothesis import given
from hypothesis import strategies as st

lib = _deepc.lib
NOT_TAKEN = lib.DC_NOT_TAKEN
RELU = ACTIVATIONS["relu"].number


def taken(x, y):
    """Whether a function from x to y is computed without a word from Python."""
    before = y.tobytes()
    result = _deepc.activation(RELU, 0.0, x, y)
    if result is not y:
        assert result == NOT_TAKEN
        assert y.tobytes() == before
    return result is y


class Subclass(np.ndarray):
    """An array that may mean something else by its elements."""


def with_metadata(dtype):
    return np.dtype(np.dtype(dtype).str, metadata={"unit": "m"})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_arrays_are_taken(dtype):
    x = np.arange(-6.0, 6.0, dtype=dtype)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(dtype)
    unaligned[:] = x
    for given_x in (
        x, x.reshape(3, 4), x[2:7], x.reshape(2, 1, 6), x[:0], unaligned, x.reshape(1, 12)[:, :5],
        np.array(3.0, dtype), pickle.loads(pickle.dumps(x)), x.view(with_metadata(dtype)),
    ):  # fmt: skip
        y = np.empty(given_x.shape, dtype)
        assert taken(given_x, y)
        assert y.tobytes() == np.maximum(given_x, 0, dtype=dtype).tobytes()
    read_only = x.copy()
    read_only.flags.writeable = False
    assert taken(read_only, np.empty_like(x))
    assert taken(x, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_arrays_are_refused(dtype):
    x = np.arange(-6.0, 6.0, dtype=dtype)
    other = "float64" if dtype == "float32" else "float32"
    for given_x in (
        x[::2], x[::-1], x.reshape(3, 4).T, x.reshape(3, 4)[:, :2], x.astype(other),
        x.astype(x.dtype.newbyteorder()), x.view(Subclass), x.astype("float16"), x.astype("int64"),
        x.astype("complex64"), x.astype(object), x.astype(f"S{x.itemsize}"), [1.0], None, 1.0, "x",
        np.ma.masked_array(x),
    ):  # fmt: skip
        assert not taken(given_x, np.empty(np.shape(given_x), dtype))
    read_only = x.copy()
    read_only.flags.writeable = False
    assert not taken(x, read_only)
    assert not taken(x, np.empty(11, dtype))
    assert not taken(x, np.empty((12, 1), dtype))
    assert not taken(x, np.empty((1, 12), dtype))
    assert not taken(x, np.empty(24, dtype)[::2])
    assert not taken(x, np.empty(12, dtype).view(Subclass))
    assert not taken(x[:8], x[4:])
    assert not taken(x[4:], x[:8])


@given(
    data=st.data(),
    dtype=st.sampled_from(["float32", "float64"]),
    transpose_a=st.booleans(),
    transpose_b=st.booleans(),
)
def test_products_of_views(data, dtype, transpose_a, transpose_b):
    """Any view, as NumPy's basic indexing makes them, is read where it is or copied first."""
    base = np.random.default_rng(0).integers(-9, 9, (7, 8)).astype(dtype)

    def view(name):
        index = data.draw(
            hypothesis_numpy.basic_indices(base.shape, max_dims=2, min_dims=1), label=name
        )
        result = base[index]
        return result.T if data.draw(st.booleans(), label=f"{name} transposed") else result

    a, b = view("a"), view("b")
    op_a = a.T if transpose_a and a.ndim == 2 else a
    op_b = b.T if transpose_b and b.ndim == 2 else b
    if op_a.shape[-1] != op_b.shape[0]:
        with pytest.raises(ValueError, match="inner sizes differ"):
            kernels.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        return
    product = kernels.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_array_equal(product, op_a @ op_b, strict=isinstance(product, np.ndarray))
    out = np.full(product.shape, np.nan, dtype)
    kernels.matmul(a, b, out=out, transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_array_equal(out, product)


def test_rows_that_lie_apart_are_not_copied():
    x = np.arange(56.0).reshape(7, 8)
    c = np.empty((7, 7))
    for a, b in [(x[:, 2:5], x[:, 1:4].T), (x, x.T), (x[::2].T, x[::2]), (x[:1], x.T[:, ::3])]:
        c = np.empty((len(a), b.shape[1]))
        assert _deepc.matmul(a, b, c, False, False) is c
        np.testing.assert_array_equal(c, a @ b)
    for a in (x[:, ::2], x[::-1], x[:, ::-1], np.broadcast_to(x[0], (7, 8))):
        c = np.empty((len(a), len(a)))
        assert _deepc.matmul(a, a, c, False, True) == NOT_TAKEN
        np.testing.assert_array_equal(kernels.matmul(a, a, transpose_b=True), a @ a.T)


def test_output_that_overlaps_an_operand_is_refused():
    memory = np.zeros(100)
    a, b = memory[:20].reshape(4, 5), memory[40:60].reshape(5, 4)
    c = memory[20:36].reshape(4, 4)
    assert _deepc.matmul(a, b, c, False, False) is c
    for start in (4, 19, 25, 40, 59):
        c = memory[start : start + 16].reshape(4, 4)
        assert _deepc.matmul(a, b, c, False, False) == NOT_TAKEN
        with pytest.raises(ValueError, match="out: overlaps"):
            kernels.matmul(a, b, out=c)


@pytest.mark.parametrize(
    "labels", ["int8", "uint8", "int32", "uint32", "int64", "uint64", "longlong", ">i8", ">i4"]
)
def test_labels_of_any_integer_dtype(labels):
    x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    classes = np.array([2, 0, 1, 1])
    loss = SoftmaxCrossEntropy()
    expected = loss.gradient(x, classes)
    assert np.array_equal(loss.gradient(x, classes.astype(labels)), expected)
    assert loss.loss(x, classes.astype(labels)) == loss.loss(x, classes)
    assert np.array_equal(loss.gradient(x, np.repeat(classes, 2).astype(labels)[::2]), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layer_takes_any_view(dtype):
    layer = Linear(4, 3, dtype=dtype, rng=1)
    x = np.random.default_rng(2).normal(size=(6, 8)).astype(dtype)
    d_y = np.random.default_rng(3).normal(size=(6, 6)).astype(dtype)
    plain = layer.forward(x[:, ::2].copy())
    d_x = layer.backward(d_y[:, ::2].copy())
    w_grad = layer.w_grad.copy()
    for view in (x[:, ::2], x[:, ::2].T.copy().T, x[:, ::2].astype(x.dtype.newbyteorder())):
        assert layer.forward(view).tobytes() == plain.tobytes()
        for gradient in (d_y[:, ::2], d_y[:, ::2].view(Subclass)):
            assert layer.backward(gradient).tobytes() == d_x.tobytes()
            assert np.array_equal(layer.w_grad, w_grad)


def test_python_objects_are_refused():
    rule = (0, 0, 0.0, 0.0)
    assert np.isnan(_deepc.loss(rule, "a", "b", None))
    assert _deepc.matmul(1, None, (), False, False) == NOT_TAKEN
    assert _deepc.loss_gradient(rule, "a", "b", None) == NOT_TAKEN
    assert _deepc.map(lib.DC_FUNCTION_EXP, object(), None) == NOT_TAKEN
    assert _deepc.activation(RELU, 0.0, object(), None) == NOT_TAKEN


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("map", (0, np.ones(2))),
        ("map", ("relu", np.ones(2), None)),
        ("map", (-1, np.ones(2), None)),
        ("activation", (0, 0.0, np.ones(2))),
        ("activation", (0, "0.1", np.ones(2), None)),
        ("activation", ("relu", 0.0, np.ones(2), None)),
        ("matmul", (np.ones(2), np.ones(2), None)),
        ("loss", ((0, 0, 0.0, 0.0), np.ones(2), np.ones(2))),
        ("loss_gradient", (None, np.ones(2), np.ones(2), None)),
        ("forward_f32", ()),
        ("backward_f64", (1, 2, 3)),
        ("forward_f64", ("network", 0, np.ones(2))),
    ],
)
def test_wrong_calls_raise(name, arguments):
    with pytest.raises((TypeError, OverflowError)):
        getattr(_deepc, name)(*arguments)


def test_unknown_numbers_are_refused():
    x = np.ones(2)
    for number in (len(ACTIVATIONS), 10**6):
        assert _deepc.activation(number, 0.0, x, None) == lib.DC_BAD_NAME
        assert _deepc.map(number, x, None) == lib.DC_BAD_NAME


def test_results_do_not_leak():
    """What a call makes or refuses is let go of."""
    x, bad = np.ones((3, 4), np.float32), np.ones((3, 4), np.float32)[:, ::2]
    out = np.empty_like(x)
    layer = Linear(4, 2, rng=1)
    layer.forward(x)
    held = [x, bad, out, None, NOT_TAKEN]
    before = [sys.getrefcount(value) for value in held]
    for _ in range(100):
        kernels.exp(x)
        kernels.exp(x, out=out)
        _deepc.map(lib.DC_FUNCTION_EXP, bad, out)
        _deepc.activation(RELU, 0.0, x, bad)
        kernels.matmul(x, x, transpose_b=True)
        _deepc.matmul(x, x, out, False, True)
        layer.forward(x)
        layer.backward(x[:, :2].copy())
    after = [sys.getrefcount(value) for value in held]
    assert all(b - a < 50 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("cols", [1, 2, 4, 10, 32, 33])
def test_places_of_the_largest_are_those_of_numpy(cols, dtype):
    rng = np.random.default_rng(cols)
    x = rng.integers(-2, 3, (500, cols)).astype(dtype)
    if dtype != "int64":
        for number in (-0.0, np.nan, -np.nan, np.inf, -np.inf):
            x[rng.random(x.shape) < 0.05] = number
    np.testing.assert_array_equal(argmax(x), x.argmax(axis=1))
    np.testing.assert_array_equal(argmax(x[::2]), x[::2].argmax(axis=1))
    assert argmax(x[:0]).shape == (0,)
