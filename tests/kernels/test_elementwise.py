"""exp, log, tanh, sigmoid and relu: how far from the true value, special values, sizes, places.

Over every float32 they are tested by `make accuracy`; here on a sample of all exponents.
"""

from __future__ import annotations

import numpy as np
import pytest
from deepc import kernels
from reference import inside_guards, precise, ulps
from sizes import EDGES

# The largest errors that the documentation states, in units of the last place.
BOUNDS = {
    "float32": {"exp": 1.0, "log": 1.0, "tanh": 2.0, "sigmoid": 2.0},
    "float64": {"exp": 2.0, "log": 2.0, "tanh": 2.0, "sigmoid": 2.0},
}
# Where products are rounded before they are added, the documentation states a quarter more.
UNFUSED = {"portable": 0.25}
FUNCTIONS = list(BOUNDS["float32"])
NUMPY = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def sample(function, dtype, count, rng):
    """Return arguments of every magnitude, and many where the function is not 0, 1 or infinite."""
    bits = np.uint32 if dtype == np.float32 else np.uint64
    patterns = rng.integers(0, np.iinfo(bits).max, count // 2, dtype=bits, endpoint=True)
    x = patterns.view(dtype)
    reach = {"float32": 110.0, "float64": 760.0}[dtype.name]
    narrow = rng.uniform(-reach, reach, count // 4), rng.normal(0, 2, count // 4)
    x = np.concatenate([x[np.isfinite(x)], *(part.astype(dtype) for part in narrow)])
    return np.abs(x) if function == "log" else x


@pytest.mark.parametrize("function", FUNCTIONS)
def test_float32_within_its_stated_error(isa, function, rng):
    dtype = np.dtype(np.float32)
    x = sample(function, dtype, 200_000, rng)
    # NumPy's float64 functions err by some 2^-29 of a float32's last place. Around 0 the sigmoid's
    # formula does not cancel, so it is as good.
    with np.errstate(all="ignore"):
        exact = NUMPY[function](x.astype(np.float64))
    worst = ulps(getattr(kernels, function)(x), exact)
    place = worst.argmax()
    bound = BOUNDS["float32"][function] + UNFUSED.get(isa, 0)
    assert worst[place] <= bound, f"{function}({x[place]!r})"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_float64_within_its_stated_error(isa, function, rng):
    dtype = np.dtype(np.float64)
    x = sample(function, dtype, 3_000, rng)
    if function == "log":
        x = np.concatenate([x, 1 + rng.normal(0, 1e-3, 500)])
    # Beyond these mpmath would only be slow to say 0, 1 or infinity.
    x = np.clip(x, -1e4, 1e4) if function != "log" else x
    got = getattr(kernels, function)(x)
    with np.errstate(over="ignore"):
        worst = ulps(got, *precise(function, x))
    place = worst.argmax()
    bound = BOUNDS["float64"][function] + UNFUSED.get(isa, 0)
    assert worst[place] <= bound, f"{function}({x[place]!r})"


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (np.inf, np.inf), (-np.inf, 0.0), (1e4, np.inf), (-1e4, 0.0)],
    "log": [
        (1.0, 0.0), (0.0, -np.inf), (-0.0, -np.inf), (np.inf, np.inf), (-1.0, np.nan),
        (-np.inf, np.nan), (-1e-40, np.nan), (4.0, np.log(4.0)),
    ],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1.0), (-np.inf, -1.0), (50.0, 1.0), (-50.0, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1.0), (-np.inf, 0.0), (90.0, 1.0), (-1e4, 0.0)],
    "relu": [
        (0.0, 0.0), (-0.0, 0.0), (np.inf, np.inf), (-np.inf, 0.0), (-1e-40, 0.0), (3.5, 3.5),
    ],
}  # fmt: skip


@pytest.mark.parametrize("function", SPECIAL)
def test_special_values_in_every_lane(isa, dtype, function):
    for size in (1, 7, 33):
        for x, expected in [*SPECIAL[function], (np.nan, np.nan)]:
            got = getattr(kernels, function)(np.full(size, x, dtype))
            expected = np.full(size, expected).astype(dtype)
            assert np.array_equal(got, expected, equal_nan=True), f"{function}({x})"
            assert np.array_equal(np.signbit(got), np.signbit(expected)) or np.isnan(
                x + expected[0]
            )


def test_denormals(isa, dtype):
    info = np.finfo(dtype)
    tiny = np.array(
        [info.smallest_subnormal, info.smallest_normal / 3, info.smallest_normal], dtype
    )
    assert np.array_equal(kernels.tanh(tiny), tiny)
    assert np.array_equal(kernels.tanh(-tiny), -tiny)
    assert np.array_equal(kernels.relu(tiny), tiny)
    assert ulps(kernels.log(tiny), np.log(tiny.astype(np.float64))).max() <= 2
    assert np.array_equal(kernels.exp(tiny), np.ones(3))
    edge = np.log(info.smallest_subnormal.astype(np.float64)) + np.linspace(0.1, 20, 50)
    assert (kernels.exp(edge.astype(dtype)) > 0).all()


def test_shapes_of_the_functions(isa, dtype, rng):
    x = rng.normal(0, 5, 10_000).astype(dtype)
    assert np.array_equal(kernels.tanh(-x), -kernels.tanh(x))
    s = kernels.sigmoid(x)
    assert ((s > 0) & (s <= 1)).all()
    assert np.abs(kernels.tanh(x)).max() <= 1
    assert np.array_equal(kernels.relu(x), np.maximum(x, 0))


@pytest.mark.parametrize("function", SPECIAL)
def test_every_size_gives_the_same_and_stays_inside(isa, dtype, function, rng):
    f = getattr(kernels, function)
    longest = np.abs(rng.normal(0, 3, EDGES[-1])).astype(dtype)
    # One element alone takes no vector path but the last one: what others are compared with.
    expected = np.concatenate([f(longest[i : i + 1]) for i in range(200)])
    whole = f(longest)
    assert whole[:200].tobytes() == expected.tobytes()
    for n in EDGES:
        for offset in (0, 1):
            x, around_x = inside_guards(longest[:n], offset)
            y, around_y = inside_guards(np.zeros(n, dtype), offset)
            assert f(x, out=y) is y
            assert y.tobytes() == whole[:n].tobytes(), f"{n} elements"
            assert x.tobytes() == longest[:n].tobytes()
            f(x, out=x)
            assert x.tobytes() == whole[:n].tobytes(), f"{n} elements in place"
            assert around_x()
            assert around_y()


@pytest.mark.parametrize("function", [*SPECIAL, "softmax"])
def test_any_layout_shape_and_type(isa, dtype, function, rng):
    f = getattr(kernels, function)
    x = np.abs(rng.normal(0, 3, (6, 4, 10))).astype(dtype)
    expected = f(x)
    assert expected.shape == x.shape
    assert expected.dtype == dtype
    memory = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    for view in (np.asfortranarray(x), np.repeat(x, 2, axis=2)[..., ::2], unaligned, x[::-1]):
        want = expected[::-1] if view.strides[0] < 0 else expected
        assert f(view).tobytes() == np.ascontiguousarray(want).tobytes()
    wide = f(x.astype(np.float64))
    assert f(x.astype(np.float64).tolist()).tobytes() == wide.tobytes()
    assert f(x.astype(np.float64).astype(">f8")).tobytes() == wide.tobytes()
    assert f(np.arange(1, 5)).dtype == np.float64
    assert f(np.float64(2.0)).shape == ()
    assert f(np.empty((0, 3), dtype)).shape == (0, 3)
