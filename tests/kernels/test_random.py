"""Random numbers: the generator's words, the distributions made of them, and what fixes them."""

from __future__ import annotations

import math
import random
from itertools import permutations

import numpy as np
import pytest
from deepc._c import random as c_random
from deepc._c.library import TYPED, ffi
from deepc._values import FLOAT32
from reference import inside_guards, philox
from sizes import EDGES

KEYS = [0, 1, 2**64 - 1, 0x0123456789ABCDEF]


def draw(name, dtype, n, key=7, counter=0, *numbers):
    typed = TYPED[np.dtype(dtype)]
    y, around = inside_guards(np.full(n, np.nan, dtype))
    assert getattr(typed, name)(key, counter, n, *numbers, ffi.from_buffer(typed.ctype, y)) == 0
    assert around()
    return y


def test_reference_has_the_published_words():
    """The known answers of the authors' library, kat_vectors, philox4x32 with 10 rounds."""
    known = [
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            0x299F31D0_A4093822, 0x03707344_13198A2E, 0x85A308D3_243F6A88,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]  # fmt: skip
    for key, counter, block, words in known:
        assert [f"{word:08x}" for word in philox(key, counter, 1, block)] == words.split()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("counter", [0, 1, 2**40 + 3])
def test_uniform_numbers_are_the_words_of_the_stream(key, counter):
    words = philox(key, counter, 60)
    single = draw("random_uniform", np.float32, 200, key, counter)
    assert np.array_equal(single, (words[:200] >> np.uint64(8)).astype(np.float64) * 2.0**-24)
    pairs = words[0::2] | words[1::2] << np.uint64(32)
    double = draw("random_uniform", np.float64, 110, key, counter)
    assert np.array_equal(double, (pairs[:110] >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def test_element_does_not_depend_on_how_many_are_drawn(dtype):
    for name, numbers in [("random_uniform", ()), ("random_normal", (0.0, 1.0))]:
        whole = draw(name, dtype, EDGES[-1], 7, 0, *numbers)
        for n in EDGES:
            assert draw(name, dtype, n, 7, 0, *numbers).tobytes() == whole[:n].tobytes(), n


def kolmogorov(sample, distribution):
    """Return the largest distance of the sample's distribution from the true one, times sqrt(n)."""
    x = np.sort(sample.astype(np.float64))
    n = len(x)
    true = np.array([distribution(t) for t in x])
    steps = np.arange(n + 1) / n
    return max(np.abs(true - steps[:-1]).max(), np.abs(true - steps[1:]).max()) * math.sqrt(n)


def test_distributions(dtype):
    # Beyond 1.95 with a probability of 0.001 (Kolmogorov); the numbers are fixed, so this never
    # flickers.
    uniform = draw("random_uniform", dtype, 20_000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert kolmogorov(uniform, lambda t: t) < 1.95
    normal = draw("random_normal", dtype, 20_000, 11, 0, 0.0, 1.0)
    assert kolmogorov(normal, lambda t: 0.5 * math.erfc(-t / math.sqrt(2))) < 1.95
    moved = draw("random_normal", dtype, 20_000, 11, 0, 3.0, 0.5)
    np.testing.assert_allclose(moved, 3 + 0.5 * normal.astype(np.float64), rtol=1e-6, atol=1e-6)


def test_normal_numbers_are_quantiles_of_the_uniform_ones():
    words = philox(3, 0, 400)
    p = ((words[0::2] | words[1::2] << np.uint64(32)) >> np.uint64(12)).astype(np.float64)
    p = (p + 0.5) * 2.0**-52
    normal = draw("random_normal", np.float64, len(p), 3, 0, 0.0, 1.0)
    back = np.array([0.5 * math.erfc(-t / math.sqrt(2)) for t in normal])
    np.testing.assert_allclose(back, p, rtol=1e-13)


def test_normal_refuses_what_cannot_be():
    for mean, deviation in [(math.nan, 1.0), (math.inf, 1.0), (0.0, -1.0), (0.0, math.nan)]:
        with pytest.raises(ValueError, match="random_normal"):
            c_random.normal((3,), FLOAT32, 1, mean, deviation)


def test_permutations(rng):
    for n in (0, 1, 2, 7, 1000):
        order = c_random.permutation(n, 5)
        assert order.dtype == np.int64
        assert np.array_equal(np.sort(order), np.arange(n))
    assert not np.array_equal(c_random.permutation(1000, 5), np.arange(1000))
    # Chi-squared with 23 degrees of freedom is above 49.7 with a probability of 0.001.
    counts = dict.fromkeys(permutations(range(4)), 0)
    for key in range(4800):
        counts[tuple(c_random.permutation(4, key).tolist())] += 1
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 49.7


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_dropout_keeps_by_the_words_of_the_stream(isa, dtype, rate, rng):
    typed = TYPED[dtype]
    for n in [n for n in EDGES if n < 1100]:
        x = rng.standard_normal(n).astype(dtype)
        x[::7] = np.nan
        y, around = inside_guards(np.full(n, np.nan, dtype))
        pointers = [ffi.from_buffer(typed.ctype, array) for array in (x, y)]
        assert typed.dropout(9, 4, rate, n, *pointers) == 0
        assert around()
        kept = philox(9, 4, -(-n // 4))[:n] >= round(rate * 2**32)
        assert np.array_equal(y, np.where(kept, x, 0), equal_nan=True), n
        assert not np.signbit(y[~kept]).any()
        assert typed.dropout(9, 4, rate, n, pointers[0], pointers[0]) == 0
        assert x.tobytes() == y.tobytes()


def test_dropout_of_more_than_one_task(dtype):
    """Larger than what goes to one thread at a time: the pieces must fit together."""
    n = (1 << 17) + 77
    mask = c_random.dropout_mask(1, 2, 0.3, (n,))
    uniform = draw("random_uniform", np.float32, n, 1, 2)
    assert np.array_equal(mask == 0, uniform < np.float32(0.3))
    assert abs(mask.mean() - 0.7) < 4 * math.sqrt(0.3 * 0.7 / n)


def numbers_from(rng):
    return c_random.uniform((50,), FLOAT32, rng).tobytes()


def test_every_kind_of_rng_fixes_the_numbers():
    assert numbers_from(3) == numbers_from(np.int64(3)) == numbers_from(3)
    assert numbers_from(random.Random(3)) == numbers_from(random.Random(3))
    assert numbers_from(np.random.default_rng(3)) == numbers_from(np.random.default_rng(3))
    random.seed(3)
    first = numbers_from(None), numbers_from(None)
    random.seed(3)
    assert first == (numbers_from(None), numbers_from(None))
    assert first[0] != first[1]
    assert len({numbers_from(seed) for seed in (0, 1, -1, 2**63, 2**64 - 2)}) == 5
    one = random.Random(3)
    assert numbers_from(one) != numbers_from(one)


@pytest.mark.parametrize("rng", ["seed", 1.5, True, object(), np.random])
def test_refuses_what_gives_no_numbers(rng):
    with pytest.raises(TypeError, match="rng"):
        numbers_from(rng)
