"""Matrix products: every orientation, layout and size against wider arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from deepc.kernels import matmul
from hypothesis import given
from hypothesis import strategies as st
from reference import chain_product, inside_guards, product
from sizes import PRODUCTS

ORIENTATIONS = [(False, False), (True, False), (False, True), (True, True)]


def operands(rng, m, n, k, dtype):
    return (rng.standard_normal(size).astype(dtype) for size in ((m, k), (k, n)))


def stored(matrix, transposed):
    """Return the C-contiguous array that the kernel is to transpose back."""
    return np.ascontiguousarray(matrix.T) if transposed else matrix


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=["nn", "tn", "nt", "tt"])
def test_matches_wider_arithmetic_in_every_orientation(isa, dtype, orientation, rng):
    transpose_a, transpose_b = orientation
    for m, n, k in PRODUCTS:
        a, b = operands(rng, m, n, k, dtype)
        # Long double has no fast product; the largest sizes are left to float32.
        if dtype == np.float64 and m * n * k > 3_000_000:
            continue
        exact, bound = product(a, b, dtype)
        got = matmul(
            stored(a, transpose_a), stored(b, transpose_b),
            transpose_a=transpose_a, transpose_b=transpose_b,
        )  # fmt: skip
        assert got.dtype == dtype
        assert got.shape == (m, n)
        assert np.all(np.abs(got - exact) <= bound), f"{m} x {n} x {k}"


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=["nn", "tn", "nt", "tt"])
def test_order_of_the_sum_is_the_documented_one(isa, orientation, rng):
    if isa == "portable":
        pytest.skip("a build without fused multiply-add is outside the promise")
    transpose_a, transpose_b = orientation
    for m, n, k in [(1, 9, 600), (7, 1, 513), (5, 37, 257), (16, 20, 530), (203, 201, 300)]:
        a, b = operands(rng, m, n, k, np.float32)
        got = matmul(
            stored(a, transpose_a), stored(b, transpose_b),
            transpose_a=transpose_a, transpose_b=transpose_b,
        )  # fmt: skip
        expected = chain_product(a, b)
        assert got.tobytes() == expected.tobytes(), f"{m} x {n} x {k}"


@given(
    m=st.integers(1, 70),
    n=st.integers(1, 70),
    k=st.integers(0, 70),
    orientation=st.sampled_from(ORIENTATIONS),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(isa, dtype, m, n, k, orientation, seed):
    transpose_a, transpose_b = orientation
    a, b = operands(np.random.default_rng(seed), m, n, k, dtype)
    exact, bound = product(a, b, dtype)
    got = matmul(stored(a, transpose_a), stored(b, transpose_b), None, *orientation)
    assert np.all(np.abs(got - exact) <= bound)


# ---- Layouts -------------------------------------------------------------------------------------


def unaligned(matrix):
    """Return a copy that starts one byte after an address that an element may have."""
    memory = np.zeros(matrix.nbytes + 1, np.uint8)
    view = memory[1:].view(matrix.dtype).reshape(matrix.shape)
    view[...] = matrix
    return view


def amid_nan(matrix):
    """Return a copy inside a larger array of NaN: rows apart, columns cut out."""
    larger = np.full((matrix.shape[0] + 2, matrix.shape[1] + 5), np.nan, matrix.dtype)
    larger[1:-1, 2:-3] = matrix
    return larger[1:-1, 2:-3]


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "columns of a larger array": amid_nan,
    "rows of a larger Fortran array": lambda x: amid_nan(np.ascontiguousarray(x.T)).T,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "one byte off": unaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_matter(isa, dtype, layout, rng):
    view = LAYOUTS[layout]
    if layout == "byte-swapped":
        dtype = np.dtype(np.float64)  # a foreign float32 is computed in float64, as all else is
    for m, n, k in [(1, 1, 1), (1, 6, 5), (6, 1, 5), (9, 20, 33), (210, 205, 30)]:
        a, b = operands(rng, m, n, k, dtype)
        expected = matmul(a, b)
        before = a.tobytes(), b.tobytes()
        for left, right in [(view(a), b), (a, view(b)), (view(a), view(b))]:
            assert matmul(left, right).tobytes() == expected.tobytes(), f"{m} x {n} x {k}"
        got = matmul(view(stored(a, True)), view(stored(b, True)), None, True, True)
        assert got.tobytes() == expected.tobytes(), f"{m} x {n} x {k} transposed"
        assert (a.tobytes(), b.tobytes()) == before


def test_rows_that_repeat_by_a_stride_of_zero(dtype, rng):
    row, b = rng.standard_normal(7).astype(dtype), rng.standard_normal((7, 4)).astype(dtype)
    repeated = np.broadcast_to(row, (5, 7))
    assert matmul(repeated, b).tobytes() == matmul(repeated.copy(), b).tobytes()


def test_vectors_as_in_numpy(isa, dtype, rng):
    a, b = (x.astype(dtype) for x in (rng.standard_normal((4, 3)), rng.standard_normal((3, 5))))
    for left, right in [(a[0], b), (a, b[:, 0]), (a[0], b[:, 0])]:
        got, expected = matmul(left, right), np.matmul(left, right)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_lists_integers_and_mixed_dtypes_are_float64(rng):
    a, b = rng.integers(-9, 9, (4, 3)), rng.integers(-9, 9, (3, 2))
    kinds = [
        (a.tolist(), b.tolist()),
        (a, b),
        (a.astype(np.float32), b.astype(np.float64)),
        (a.astype(np.float16), b.astype(np.float32)),
    ]
    for left, right in kinds:
        got = matmul(left, right)
        assert got.dtype == np.float64
        assert np.array_equal(got, a @ b)


# ---- Where the result goes -----------------------------------------------------------------------


def test_out_takes_the_same_bits_and_nothing_around_it_changes(isa, dtype, rng):
    for m, n, k in PRODUCTS[:-3]:
        a, b = operands(rng, m, n, k, dtype)
        for offset in (0, 1, 3):
            out, untouched = inside_guards(np.full((m, n), np.nan, dtype), offset)
            assert matmul(a, b, out=out) is out
            assert out.tobytes() == matmul(a, b).tobytes(), f"{m} x {n} x {k}"
            assert untouched(), f"{m} x {n} x {k}"


def test_out_of_a_vector(dtype, rng):
    a, b = (x.astype(dtype) for x in (rng.standard_normal((4, 3)), rng.standard_normal(3)))
    out = np.empty(4, dtype)
    assert matmul(a, b, out) is out
    assert np.array_equal(out, matmul(a, b))


def test_refused_out_is_left_alone(rng):
    a = rng.standard_normal((4, 4))
    before = a.copy()
    for out in (a, a[:, :4], a.T):
        with pytest.raises(ValueError, match="out"):
            matmul(a, before, out=out)
        with pytest.raises(ValueError, match="out"):
            matmul(before, a, out=out)
    memory = np.arange(40.0)
    with pytest.raises(ValueError, match="out: overlaps"):
        matmul(memory[:16].reshape(4, 4), before, out=memory[15:31].reshape(4, 4))
    assert np.array_equal(a, before)
    assert np.array_equal(memory, np.arange(40.0))


# ---- Numbers that are not ordinary ---------------------------------------------------------------


def test_no_terms_give_positive_zeros(isa, dtype):
    for m, n in [(1, 1), (1, 9), (9, 1), (5, 40), (201, 203)]:
        got = matmul(np.empty((m, 0), dtype), np.empty((0, n), dtype))
        assert np.array_equal(got, np.zeros((m, n)))
        assert not np.signbit(got).any()


def test_nan_and_infinity_reach_their_row_or_column_and_no_other(isa, dtype, rng):
    for m, n, k in [(1, 20, 9), (20, 1, 9), (17, 35, 40), (205, 207, 30)]:
        a, b = operands(rng, m, n, k, dtype)
        i, j, p = m // 2, n // 2, k // 2
        a[i, p] = np.nan
        assert np.array_equal(np.isnan(matmul(a, b)), np.arange(m)[:, None] == np.full(n, i))
        a[i, p], b[p, j] = 0.0, np.inf
        with np.errstate(invalid="ignore"):
            got = matmul(a, b)
        column = np.delete(got[:, j], i)
        assert np.isnan(got[i, j])  # 0 times infinity
        assert np.array_equal(column, np.sign(np.delete(a[:, p], i)) * np.inf)
        assert np.isfinite(np.delete(got, j, axis=1)).all()


def test_denormals_are_kept(isa, dtype):
    tiny = np.finfo(dtype).smallest_normal
    a = np.full((3, 1), tiny, dtype)
    b = np.full((1, 20), 0.25, dtype)
    assert np.array_equal(matmul(a, b), np.full((3, 20), tiny / 4))
    least = np.full((3, 2), np.finfo(dtype).smallest_subnormal, dtype)
    assert np.array_equal(matmul(least, np.ones((2, 20), dtype)), np.full((3, 20), 2 * least[0, 0]))


def test_overflow_is_infinite_and_what_only_looks_like_it_is_not(isa, dtype):
    huge = np.finfo(dtype).max
    assert matmul(np.array([[huge, huge]]), np.ones((2, 3), dtype)).max() == np.inf
    # Fused: huge times 2 minus huge fits, although huge times 2 does not.
    if isa != "portable":
        got = matmul(np.array([[huge, huge]]), np.array([[-1.0], [2.0]], dtype))
        assert got[0, 0] == huge
