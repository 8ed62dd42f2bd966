"""The seam between Python and C: what C is told about memory comes from that memory."""

from __future__ import annotations

import time

import deepc
import numpy as np
import pytest
from deepc import Dropout, Linear, Relu, Sequential, Tanh

# ---- Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Linear(3, 2), lambda: Sequential([Linear(3, 2), Tanh()])])
def test_no_rows_in_no_rows_out(make):
    layer = make()
    params = list(layer.params())
    layer.backward(layer.forward(np.ones((4, 3), np.float32)))
    y = layer.forward(np.empty((0, 3), np.float32))
    assert y.shape == (0, 2)
    assert y.dtype == np.float32
    assert layer.backward(y).shape == (0, 3)
    assert all(not grad.any() for grad in layer.grads())
    assert layer.forward(np.empty((0, 3), int).tolist() or np.empty((0, 3))).shape == (0, 2)
    assert len(params) == 2
    for wrong in (np.empty((0, 2)), np.empty((3, 0))):
        with pytest.raises(ValueError, match=r"input: expected"):
            layer.forward(wrong)


@pytest.mark.parametrize("make", [Tanh, Relu, lambda: Dropout(0.5), lambda: Sequential([Tanh()])])
def test_no_rows_where_any_width_goes(make):
    layer = make()
    assert layer.forward(np.empty((0, 7))).shape == (0, 7)
    assert layer.backward(np.empty((0, 7))).shape == (0, 7)


def test_training_refuses_no_rows():
    layer = Linear(3, 2)
    with pytest.raises(ValueError, match=r"x: expected samples in rows, at least 1 x 1"):
        deepc.fit(
            layer, np.empty((0, 3)), np.empty((0, 2)), loss=deepc.SSE(), optimizer=deepc.SGD()
        )


def test_inference_of_a_large_batch_keeps_nothing():
    resource = pytest.importorskip("resource")
    net = Sequential([Linear(2, 1000, rng=1), Tanh(), Relu(), Tanh(), Linear(1000, 1)])
    x = np.random.default_rng(1).standard_normal((150_000, 2)).astype(np.float32)
    few = net.forward(x[:1000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    y = net.forward(x)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert np.array_equal(y[:1000], few)
    # The layers' outputs would be 1.8 GB.
    assert after - before < 100_000


# ---- Dropout -------------------------------------------------------------------------------------


def test_mask_is_that_of_the_last_pass_whatever_is_set_later():
    layer = Dropout(0.5, rng=1)
    net = Sequential([Linear(4, 40, rng=1), layer, Linear(40, 1, rng=1)])
    for x in (np.ones(4, np.float32), np.ones((1, 4), np.float32), np.ones((3, 4), np.float32)):
        net.forward(x)
        mask = layer.mask
        assert mask.shape == (*x.shape[:-1], 40)
        layer.p = 0.9
        assert np.array_equal(layer.mask, mask)
        layer.train = False
        net.forward(np.ones((7, 4), np.float32))
        assert np.array_equal(layer.mask, mask)
        layer.p, layer.train = 0.5, True


# ---- Time ----------------------------------------------------------------------------------------


def test_compiling_is_linear():
    # All pairs of 40,000 layers took a second.
    times = []
    tanh = [Tanh()._structure for _ in range(40_000)]
    for count in (20_000, 40_000):
        parts = tanh[:count]
        start = time.process_time()
        handle = deepc._c.network.ffi.new("dc_network_f32 **")
        lib = deepc._c.network.lib
        assert lib.dc_network_create_f32(count, parts, handle) == 0
        times.append(time.process_time() - start)
        lib.dc_network_free_f32(handle[0])
    assert times[1] < 0.3
