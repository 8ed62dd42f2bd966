"""What the tests share: each instruction set, each dtype, and settings put back after each test."""

from __future__ import annotations

import random

import deepc
import numpy as np
import pytest
from deepc._c import library
from hypothesis import HealthCheck, settings

# Derandomized, so that a green run stays green; without a deadline, because a machine may be slow.
settings.register_profile(
    "deepc",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("deepc")


@pytest.fixture(params=library.available_isas())
def isa(request):
    """Compute with each instruction set that this machine runs."""
    before = library.isa()
    library.set_isa(request.param)
    yield request.param
    library.set_isa(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both dtypes."""
    return np.dtype(request.param)


@pytest.fixture
def float64():
    """Compute in float64 where nobody says otherwise; put back after the test."""
    deepc.set_default_dtype("float64")


@pytest.fixture(autouse=True)
def settings_restored():
    """Start each test from the same seed; put back what it may set for the whole process."""
    dtype, threads, isa = deepc.default_dtype(), deepc.get_num_threads(), library.isa()
    random.seed(0)
    yield
    deepc.set_default_dtype(dtype)
    deepc.set_num_threads(threads)
    assert library.isa() == isa, "a test left another instruction set in force"


@pytest.fixture
def rng(request):
    """Numbers that differ from test to test and are the same in every run."""
    return np.random.default_rng(list(request.node.name.encode()))
