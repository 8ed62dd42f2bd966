"""The loss kernels: values and gradients, targets and labels, every size of row."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from deepc import SSE, SoftmaxCrossEntropy
from deepc._c.library import check
from deepc._c.losses import (
    LOSSES,
    loss_and_gradient_of_arrays,
    loss_gradient_of_arrays,
    loss_of_arrays,
)
from reference import roundoff
from sizes import EDGES

SQUARED, CROSS = "squared_error", "softmax_cross_entropy"
CLASSES = {SQUARED: SSE, CROSS: SoftmaxCrossEntropy}


def rule(name, reduction=0, smoothing=0.0):
    return (LOSSES[name].number, reduction, LOSSES[name].default, smoothing)


def loss_and_gradient(name, x, targets, labels=None):
    """Return both from one call; the calls that give one of them, of sum and mean, agree."""
    actual = labels if targets is None else targets
    value, gradient = loss_and_gradient_of_arrays(rule(name), x, actual, None)
    for mean in (True, False):
        factor = 1 / len(x) if mean else 1.0
        loss = CLASSES[name]("mean" if mean else "sum")
        alone = loss.gradient(x, actual)
        assert np.array_equal(loss.loss(x, actual), value * factor, equal_nan=True)
        both, together = loss_and_gradient_of_arrays(rule(name, int(mean)), x, actual, None)
        assert np.array_equal(both, value * factor, equal_nan=True)
        assert together.tobytes() == alone.tobytes()
    assert alone.tobytes() == gradient.tobytes()
    return value, gradient


@pytest.mark.parametrize("cols", [n for n in EDGES if n > 0])
def test_squared_error(isa, dtype, cols, rng):
    for rows in (1, 3):
        x, t = (rng.normal(0, 3, (rows, cols)).astype(dtype) for _ in range(2))
        value, gradient = loss_and_gradient(SQUARED, x, t)
        error = x.astype(np.float64) - t
        expected = float((error**2).sum())
        # The difference is rounded, its square twice that, and each lane adds up.
        n = rows * cols
        bound = roundoff(dtype) * (4 + min(n, 4096) / 16 + 5 + n / 4096) * expected
        assert abs(value - expected) <= bound
        np.testing.assert_allclose(gradient, 2 * error, rtol=3 * roundoff(dtype), atol=0)


@pytest.mark.parametrize("cols", [n for n in EDGES if n > 0])
def test_cross_entropy_from_targets_and_from_labels(isa, dtype, cols, rng):
    for rows in (1, 5):
        x = rng.normal(0, 4, (rows, cols)).astype(dtype)
        labels = rng.integers(0, cols, rows)
        mixed = rng.dirichlet(np.ones(cols), rows).astype(dtype)
        one_hot = reference.one_hot(labels, cols).astype(dtype)
        for targets in (one_hot, mixed):
            value, gradient = loss_and_gradient(CROSS, x, targets)
            t = targets.astype(np.float64)
            size = rows * (float(np.ptp(x)) + np.log(cols) + 1)
            u = roundoff(dtype) * (cols / 16 + 20)
            assert abs(value - reference.cross_entropy(x, t)) <= u * size
            expected = t.sum(-1, keepdims=True) * reference.softmax(x) - t
            assert np.abs(gradient - expected).max() <= u * (1 + float(np.ptp(x)))
        by_label = loss_and_gradient(CROSS, x, None, labels)
        by_target = loss_and_gradient(CROSS, x, one_hot)
        assert by_label[0] == by_target[0]
        assert by_label[1].tobytes() == by_target[1].tobytes()


@pytest.mark.parametrize(
    ("rows", "cols"),
    [(rows, 10) for rows in (1, 15, 16, 17, 255, 256, 257, 600)]
    + [(rows, cols) for rows in (2, 3, 5, 8, 13, 29) for cols in (1, 2, 4, 7, 9, 15, 16, 17)],
)
def test_loss_of_many_rows_is_that_of_each_added_in_groups(isa, dtype, rows, cols, rng):
    x = rng.normal(0, 3, (rows, cols)).astype(dtype)
    labels = rng.integers(0, cols, rows)
    for targets in (None, rng.dirichlet(np.ones(cols), rows).astype(dtype)):
        given = (None, labels) if targets is None else (targets, None)
        value, gradient = loss_and_gradient(CROSS, x, *given)
        each = [
            loss_and_gradient(
                CROSS, x[i : i + 1], *(a if a is None else a[i : i + 1] for a in given)
            )
            for i in range(rows)
        ]
        total = 0.0
        for start in range(0, rows, 256):
            group = 0.0
            for one, _ in each[start : start + 256]:
                group += one
            total += group
        assert value == total
        assert np.concatenate([g for _, g in each]).tobytes() == gradient.tobytes()


@pytest.mark.parametrize("cols", [2, 10, 17, 70, 5000])
def test_cross_entropy_stays_finite_where_probabilities_vanish(isa, dtype, cols):
    huge = 1e30
    x = np.zeros((1, cols), dtype)
    x[0, 0] = huge
    value, gradient = loss_and_gradient(CROSS, x, None, np.array([1]))
    assert value == pytest.approx(huge, rel=1e-6)
    assert gradient[0, 0] == 1
    assert gradient[0, 1] == -1
    sure, _ = loss_and_gradient(CROSS, x, None, np.array([0]))
    assert sure == 0
    # What cannot be and was not right costs nothing.
    x[0, 0], x[0, -1] = 1.0, -np.inf
    value, gradient = loss_and_gradient(CROSS, x, None, np.array([0]))
    assert np.isfinite(value)
    assert gradient[0, -1] == 0
    assert np.isfinite(gradient).all()


def test_cross_entropy_is_never_negative(isa, dtype, rng):
    for cols in (1, 3, 10, 100):
        x = rng.normal(0, 10, (50, cols)).astype(dtype)
        for i in range(50):
            best = np.array([x[i].argmax()])
            assert loss_and_gradient(CROSS, x[i : i + 1], None, best)[0] >= 0


@pytest.mark.parametrize("rows", [1, 21])
def test_nan_is_not_hidden(isa, dtype, rows):
    for kind in (SQUARED, CROSS):
        for cols in (3, 16, 40, 100):
            x = np.ones((rows, cols), dtype)
            x[-1, -1] = np.nan
            t = np.full((rows, cols), 1 / cols, dtype)
            value, gradient = loss_and_gradient(kind, x, t)
            assert np.isnan(value)
            assert np.isnan(gradient[-1, -1])
            assert not np.isnan(gradient[:-1]).any()


@pytest.mark.parametrize("label", [-1, 3, 2**62, -(2**62)])
def test_library_refuses_labels_out_of_range(isa, dtype, label):
    x = np.zeros((2, 3), dtype)
    labels = np.array([0, label])
    with pytest.raises(ValueError, match="label"):
        check(loss_gradient_of_arrays(rule(CROSS), x, labels, None))
    assert np.isnan(loss_of_arrays(rule(CROSS), x, labels, None))
