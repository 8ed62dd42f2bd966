"""Optimizer steps: each rule against its formula in float64, at every size."""

from __future__ import annotations

import numpy as np
import pytest
from deepc._c.library import check
from deepc._c.optimizer import StepTensors, new_optimizer
from reference import Rule, inside_guards
from sizes import EDGES

RULES = {
    "gradient_descent": {"learning_rate": 0.3},
    "momentum": {"learning_rate": 0.3, "momentum": 0.9},
    "sgd": {"learning_rate": 0.3, "weight_decay": 0.01},
    "sgd with momentum": {"learning_rate": 0.3, "momentum": 0.8, "weight_decay": 0.01},
    "sgd with Nesterov's": {"learning_rate": 0.3, "momentum": 0.8, "nesterov": True},
    "rmsprop": {"learning_rate": 0.01, "decay": 0.9, "epsilon": 1e-7, "weight_decay": 0.01},
    "adam": {
        "learning_rate": 0.01, "momentum": 0.9, "decay": 0.999, "epsilon": 1e-8,
        "weight_decay": 0.01,
    },
    "adamw": {
        "learning_rate": 0.01, "momentum": 0.9, "decay": 0.999, "epsilon": 1e-8,
        "weight_decay": 0.1,
    },
    "adagrad": {"learning_rate": 0.01, "epsilon": 1e-10, "weight_decay": 0.01},
}  # fmt: skip
STATES = {
    "momentum": ("first",), "sgd": ("first",), "rmsprop": ("second",), "adam": ("first", "second"),
    "adamw": ("first", "second"), "adagrad": ("second",),
}  # fmt: skip


def optimizer_of(case):
    rule = case.split(" with ")[0]
    optimizer = new_optimizer(rule)
    for name, value in RULES[case].items():
        setattr(optimizer, name, value)
    return rule, optimizer


def take_step(optimizer, rows, fields):
    check(StepTensors(optimizer, rows, fields, rows[0][1].dtype).step(), "step")


@pytest.mark.parametrize("case", RULES)
def test_follows_its_formula_at_every_size(isa, dtype, case, rng):
    rule, optimizer = optimizer_of(case)
    fields = STATES.get(rule, ())
    params, arounds = zip(
        *(inside_guards(rng.standard_normal(n).astype(dtype)) for n in EDGES), strict=True
    )
    grads = [np.zeros(n, dtype) for n in EDGES]
    states = [[np.zeros(n, dtype) for _ in fields] for n in EDGES]
    rows = list(zip(grads, params, states, strict=True))
    expected = Rule(rule, **RULES[case])
    values = [p.astype(np.float64) for p in params]
    for step in range(4):
        for g in grads:
            g[...] = rng.standard_normal(g.shape)
        values = expected.step(values, grads)
        take_step(optimizer, rows, fields)
        assert optimizer.steps == step + 1
    # A parameter and its state are rounded some ten times a step.
    rtol = 100 * float(np.finfo(dtype).eps)
    for got, value, kept, first, second in zip(
        params, values, states, expected.first, expected.second, strict=True
    ):
        np.testing.assert_allclose(got, value, rtol=rtol, atol=rtol)
        for field, state in zip(fields, kept, strict=True):
            want = first if field == "first" else second
            if case == "sgd":
                want = 0 * want  # without momentum there is nothing to remember
            np.testing.assert_allclose(state, want, rtol=rtol, atol=rtol, err_msg=field)
    assert all(around() for around in arounds)


@pytest.mark.parametrize("case", RULES)
def test_place_in_a_tensor_does_not_matter(isa, dtype, case, rng):
    """One element of a tensor moves as it would alone."""
    rule, optimizer = optimizer_of(case)
    fields = STATES.get(rule, ())
    p, g = (rng.standard_normal(100).astype(dtype) for _ in range(2))
    state = [rng.uniform(0.1, 1, 100).astype(dtype) for _ in fields]
    alone = [
        (g[i : i + 1].copy(), p[i : i + 1].copy(), [s[i : i + 1].copy() for s in state])
        for i in range(100)
    ]
    take_step(optimizer, [(g, p, state)], fields)
    optimizer.steps = 0
    take_step(optimizer, alone, fields)
    assert np.concatenate([row[1] for row in alone]).tobytes() == p.tobytes()


def test_adam_does_not_divide_by_zero(isa, dtype):
    _, optimizer = optimizer_of("adam")
    p, g = np.ones(5, dtype), np.zeros(5, dtype)
    optimizer.weight_decay = 0
    state = [np.zeros(5, dtype), np.zeros(5, dtype)]
    take_step(optimizer, [(g, p, state)], ("first", "second"))
    assert np.array_equal(p, np.ones(5))


def test_refuses_numbers_that_cannot_be_and_changes_nothing(dtype):
    wrong = [
        ("momentum", "learning_rate", np.nan), ("momentum", "momentum", 1.5),
        ("adam", "momentum", 1.0), ("adam", "decay", -0.1), ("rmsprop", "epsilon", -1.0),
        ("sgd", "weight_decay", np.inf), ("gradient_descent", "learning_rate", np.inf),
    ]  # fmt: skip
    for case, field, value in wrong:
        rule, optimizer = optimizer_of(case)
        setattr(optimizer, field, value)
        fields = STATES.get(rule, ())
        p, g = np.ones(5, dtype), np.ones(5, dtype)
        state = [np.zeros(5, dtype) for _ in fields]
        with pytest.raises(ValueError, match="step"):
            take_step(optimizer, [(g, p, state)], fields)
        assert np.array_equal(p, np.ones(5)), (case, field)
        assert optimizer.steps == 0
        assert not any(s.any() for s in state)
