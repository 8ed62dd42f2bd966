"""Softmax, its backward pass and sums of rows, in float64 by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from deepc._c.arrays import array_sum
from deepc._c.library import TYPED, ffi
from deepc.kernels import softmax
from hypothesis import given
from hypothesis import strategies as st
from reference import inside_guards, roundoff
from sizes import EDGES


def error_bound(dtype, x):
    """Bound the relative error of a probability.

    x - max is rounded once, which the exponential turns into a relative error of |x - max| u; exp
    itself errs by 2 units of the last place, 4 u at most; a sum in 16 lanes and a tree, by blocks,
    has at most as many roundings as a lane has elements, and 4 + the number of blocks more; the
    quotient adds one.
    """
    spread = float(np.ptp(x, axis=-1).max()) if x.size else 0.0
    cols = x.shape[-1]
    lane = min(cols, 4096) // 16 + 5 + cols // 4096
    return 1.01 * roundoff(dtype) * (2 * spread + 4 + 4 + lane + 1)


@pytest.mark.parametrize("cols", [n for n in EDGES if n > 0])
def test_matches_float64(isa, dtype, cols, rng):
    for rows in (1, 3, 18):
        x = rng.normal(0, 4, (rows, cols)).astype(dtype)
        got, expected = softmax(x), reference.softmax(x)
        # The reference has errors of its own, which count in float64.
        bound = error_bound(dtype, x) + error_bound(np.float64, x)
        np.testing.assert_allclose(got, expected, rtol=bound, atol=0)


@given(
    rows=st.integers(1, 20),
    cols=st.integers(1, 80),
    scale=st.floats(0, 50),
    seed=st.integers(0, 2**32),
)
def test_rows_do_not_see_each_other_and_add_up_to_1(isa, dtype, rows, cols, scale, seed):
    x = np.random.default_rng(seed).normal(0, scale, (rows, cols)).astype(dtype)
    y, around = inside_guards(np.zeros_like(x))
    assert softmax(x, out=y) is y
    assert around()
    for i in range(rows):
        assert softmax(x[i]).tobytes() == y[i].tobytes()
    assert np.abs(y.sum(1, dtype=np.float64) - 1).max() <= 200 * roundoff(dtype)
    assert ((y >= 0) & (y <= 1)).all()
    softmax(x, out=x)
    assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("cols", [2, 10, 17, 40, 100, 5000])
def test_what_is_not_ordinary(isa, dtype, cols, times):
    huge = np.finfo(dtype).max
    x = np.zeros((6, cols), dtype)
    x[0, 1] = 1e4
    x[1, :] = huge
    x[2, 1], x[2, 0] = huge, -huge
    x[3, 0] = -np.inf
    x[4, 1] = np.nan
    x[5, 0] = np.inf
    for y in softmax(np.tile(x, (times, 1))).reshape(times, 6, cols):
        assert np.array_equal(y[0], np.eye(cols)[1])
        np.testing.assert_allclose(y[1], 1 / cols, rtol=1e-5)
        assert np.array_equal(y[2], np.eye(cols)[1])
        assert y[3, 0] == 0
        np.testing.assert_allclose(y[3, 1:], 1 / (cols - 1), rtol=1e-5)
        assert np.isnan(y[4]).all()
        assert np.isnan(y[5]).all()


def test_one_column_is_certain(isa, dtype):
    assert np.array_equal(softmax(np.array([[-5.0], [7.0], [1e30]], dtype)), np.ones((3, 1)))


@pytest.mark.parametrize("cols", [1, 2, 5, 16, 17, 33, 64, 65, 100, 4097])
def test_backward_matches_float64(isa, dtype, cols, rng):
    typed = TYPED[dtype]
    x, d_y = (rng.normal(0, 2, (5, cols)).astype(dtype) for _ in range(2))
    y = softmax(x)
    exact_y, exact_d_y = y.astype(np.float64), d_y.astype(np.float64)
    mean = (exact_y * exact_d_y).sum(1, keepdims=True)
    expected = exact_y * (exact_d_y - mean)
    result, around = inside_guards(np.empty_like(x))
    pointers = (ffi.from_buffer(typed.ctype, array) for array in (y, d_y, result))
    assert typed.softmax_backward(5, cols, *pointers) == 0
    assert around()
    # Each term of the row's sum is rounded with the sum: at most as many times as a lane is long.
    size = (cols // 16 + 8) * np.abs(exact_y * exact_d_y).sum(1, keepdims=True)
    bound = roundoff(dtype) * exact_y * (size + 4 * np.abs(exact_d_y) + 4 * np.abs(mean))
    assert (np.abs(result - expected) <= bound).all()


@pytest.mark.parametrize("n", EDGES)
def test_sum_matches_integers_and_float64(isa, dtype, n, rng):
    whole = rng.integers(-1000, 1000, n)
    assert array_sum(whole.astype(dtype)) == whole.sum()
    x, _ = inside_guards(rng.standard_normal(n).astype(dtype))
    bound = (
        roundoff(dtype)
        * (min(n, 4096) / 16 + 5 + n / 4096)
        * float(np.abs(x).sum(dtype=np.float64))
    )
    assert abs(array_sum(x) - float(x.sum(dtype=np.longdouble))) <= bound
