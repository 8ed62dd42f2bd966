"""Threads: the library's own and the user's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import deepc
import numpy as np
import pytest
from deepc import Adam, Dropout, Linear, Relu, Sequential, SoftmaxCrossEntropy, Tanh, kernels
from many_callers import run_all
from reference import digest

# ---- The setting ---------------------------------------------------------------------------------


def test_number_of_threads():
    assert deepc.get_num_threads() >= 1
    deepc.set_num_threads(3)
    assert deepc.get_num_threads() == 3
    with deepc.num_threads(2):
        assert deepc.get_num_threads() == 2
        with deepc.num_threads(1):
            assert deepc.get_num_threads() == 1
        assert deepc.get_num_threads() == 2
    assert deepc.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), deepc.num_threads(1):
        1 / 0  # noqa: B018
    assert deepc.get_num_threads() == 3


@pytest.mark.parametrize("count", [0, -1, 10**30, 1.0, "2", True, None])
def test_refused_number_of_threads_changes_nothing(count):
    deepc.set_num_threads(2)
    with pytest.raises((ValueError, TypeError), match="count"):
        deepc.set_num_threads(count)
    with pytest.raises((ValueError, TypeError), match="count"), deepc.num_threads(count):
        pass
    assert deepc.get_num_threads() == 2


def number_in_a_new_process(**environment):
    code = "import deepc; print(deepc.get_num_threads())"
    env = {**os.environ, **environment}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def test_environment_sets_the_number():
    assert number_in_a_new_process(DEEPC_NUM_THREADS="1") == 1
    assert number_in_a_new_process(DEEPC_NUM_THREADS="5") == 5
    usual = number_in_a_new_process(DEEPC_NUM_THREADS="")
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= usual <= len(os.sched_getaffinity(0))
    # What is no number is as good as nothing: a library must not keep a program from starting.
    for wrong in ("0", "-3", "many", "2x"):
        assert number_in_a_new_process(DEEPC_NUM_THREADS=wrong) == usual


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_limits_the_number():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "import deepc; print(deepc.get_num_threads())"
    )
    env = {name: value for name, value in os.environ.items() if name != "DEEPC_NUM_THREADS"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.stdout.strip() == "1", result.stderr


# ---- Many callers --------------------------------------------------------------------------------


def network(seed):
    return Sequential(
        [
            Linear(20, 40, rng=seed),
            Tanh(),
            Dropout(0.1, rng=seed + 1),
            Linear(40, 30, rng=seed + 2),
            Relu(),
            Linear(30, 5, rng=seed + 3),
        ]
    )


def test_two_networks_train_in_two_threads():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 20)).astype(np.float32)
    labels = rng.integers(0, 5, 2000)

    def train(seed, batch_size):
        net, optimizer = network(seed), Adam(0.01)
        deepc.fit(
            net,
            x,
            labels,
            loss=SoftmaxCrossEntropy(),
            optimizer=optimizer,
            epochs=3,
            batch_size=batch_size,
        )
        return digest(*net.params())

    jobs = [(1, 1), (2, 32), (3, 7), (4, 500)]
    expected = [train(*job) for job in jobs]
    results = [None] * len(jobs)

    def body(i):
        results[i] = train(*jobs[i])

    run_all([lambda i=i: body(i) for i in range(len(jobs))])
    assert results == expected


def test_large_work_from_many_threads():
    """All of them want the pool; those that do not get it compute alone."""
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((300, 300)).astype(np.float32) for _ in range(2))
    x = rng.standard_normal(400_000)
    with deepc.num_threads(2):
        expected = digest(kernels.matmul(a, b)), digest(kernels.exp(x))

        def body():
            for _ in range(10):
                assert (digest(kernels.matmul(a, b)), digest(kernels.exp(x))) == expected

        run_all([body] * 6)


def test_number_of_threads_may_change_while_others_compute():
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((300, 300)).astype(np.float32) for _ in range(2))
    expected = digest(kernels.matmul(a, b))
    done = threading.Event()

    def change():
        count = 1
        while not done.is_set():
            deepc.set_num_threads(count)
            count = count % 4 + 1

    def compute():
        try:
            for _ in range(60):
                assert digest(kernels.matmul(a, b)) == expected
        finally:
            done.set()

    run_all([change, compute])


def test_one_network_from_many_threads_gives_right_outputs():
    """Eight threads, batches of different sizes, one network: forward takes turns."""
    rng = np.random.default_rng(2)
    net = network(1)
    net.layers[2].train = False
    batches = [
        rng.standard_normal((rows, 20)).astype(np.float32)
        for rows in (1, 2, 5, 13, 40, 64, 100, 300)
    ]
    expected = [digest(net.forward(x)) for x in batches]

    def body(i):
        for turn in range(100):
            k = (i + turn) % len(batches)
            assert digest(net.forward(batches[k])) == expected[k]

    run_all([lambda i=i: body(i) for i in range(8)])


def test_one_network_abused_from_many_threads_does_not_crash():
    """Backward and training from several threads mean nothing, but must stay inside memory."""
    rng = np.random.default_rng(3)
    net = network(1)
    batches = [rng.standard_normal((rows, 20)).astype(np.float32) for rows in (1, 3, 17, 100)]
    labels = rng.integers(0, 5, 100)
    finished = []

    def body(i):
        for turn in range(60):
            x = batches[(i + turn) % len(batches)]
            try:
                y = net.forward(x)
                net.backward(np.zeros_like(y))
                if turn % 10 == i:
                    deepc.fit(
                        net, x, labels[: len(x)], loss=SoftmaxCrossEntropy(), optimizer=Adam(0.0),
                        batch_size=5,
                    )  # fmt: skip
                if turn % 20 == 2 * i:
                    net.layers[1] = Tanh() if turn % 40 else Relu()
            except (RuntimeError, ValueError):
                pass  # another thread came between: told, not computed
        finished.append(i)

    run_all([lambda i=i: body(i) for i in range(8)])
    assert len(finished) == 8
    net.layers[1] = Tanh()
    y = net.forward(batches[0])
    assert np.isfinite(y).all()
    net.backward(y)


def test_layers_alone_from_many_threads():
    rng = np.random.default_rng(4)
    layer, tanh = Linear(50, 60, rng=1), Tanh()
    batches = [rng.standard_normal((rows, 50)).astype(np.float32) for rows in (1, 7, 90)]
    expected = [(digest(layer.forward(x)), digest(tanh.forward(x))) for x in batches]

    def body(i):
        for turn in range(150):
            k = (i + turn) % len(batches)
            x = batches[k]
            assert (digest(layer.forward(x)), digest(tanh.forward(x))) == expected[k]

    run_all([lambda i=i: body(i) for i in range(8)])


# ---- The processor's modes -----------------------------------------------------------------------

UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}


@pytest.mark.skipif(sys.platform != "linux", reason="needs the C library of Linux")
@pytest.mark.parametrize("threads", [1, 2])
def test_rounding_that_other_code_has_set_changes_nothing(threads):
    import ctypes
    import platform

    upward = UPWARD.get(platform.machine())
    if upward is None:
        pytest.skip("the number of rounding upward is not known here")
    libm = ctypes.CDLL("libm.so.6")
    x = np.random.default_rng(1).standard_normal((2000, 300)).astype(np.float32)

    y = np.arange(2000) % 3
    nets = [
        Sequential([Linear(300, 40, rng=1), Tanh(), Dropout(0.1, rng=2), Linear(40, 3, rng=3)])
        for _ in range(2)
    ]

    def results():
        # What Python itself computes, such as the mean of the losses, is rounded as it is told.
        net, loss, optimizer = nets.pop(), SoftmaxCrossEntropy(), Adam()
        deepc.fit(net, x, y, loss=loss, optimizer=optimizer, batch_size=500, progress=False)
        return digest(kernels.exp(x), kernels.matmul(x, x.T), *net.params())

    deepc.set_num_threads(1)
    expected = results()
    deepc.set_num_threads(threads)
    kernels.exp(x)  # the pool starts in the usual mode
    assert libm.fesetround(upward) == 0
    try:
        got = results()
        mode = libm.fegetround()
    finally:
        libm.fesetround(0)
    assert mode == upward
    assert got == expected
