"""Matrix multiply: the grid of shapes that small networks use, squares, and large ones."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from peers.available import has_avx512
from peers.race import FULL, QUICK, Contestant, Result, race
from peers.worker import RemoteContestant, Worker, aligned

ROWS = (1, 2, 7, 16, 32, 64, 128, 256)
WIDTHS = (2, 4, 10, 25, 30, 64, 128, 512, 784)
SQUARES = (2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def contestants(peers: Any, workers: list[Any], a: Any, b: Any) -> Iterator[Any]:
    """Yield the ways to multiply two matrices."""
    yield Contestant(
        "deepc", "matmul(a, b)", {"matmul": peers.deepc.kernels.matmul, "a": a, "b": b}
    )
    yield Contestant("NumPy", "dot(a, b)", {"dot": np.dot, "a": a, "b": b})
    for peer, worker in workers:
        yield RemoteContestant(peer, worker, "dot(a, b)", {"dot": np.dot, "a": a, "b": b})
    if torch := peers.torch:
        names = {"mm": torch.mm, "a": torch.from_numpy(a), "b": torch.from_numpy(b)}
        yield Contestant("PyTorch", "mm(a, b)", names, around=torch.inference_mode)
    # JAX computes in float32 unless a switch for the whole process is turned.
    if (jax := peers.jax) and a.dtype == np.float32:
        names = {
            "dot": jax.jit(jax.numpy.dot),
            "a": jax.numpy.asarray(a),
            "b": jax.numpy.asarray(b),
        }
        yield Contestant("JAX", "dot(a, b).block_until_ready()", names)


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results of all shapes."""
    pace = QUICK if options.quick else FULL
    rng = np.random.default_rng(0)
    with contextlib.ExitStack() as stack:
        workers = []
        if has_avx512(peers):
            worker = stack.enter_context(Worker({"OPENBLAS_CORETYPE": "SkylakeX"}))
            workers.append(("NumPy, OPENBLAS_CORETYPE=SkylakeX", worker))
        for group, dtype, m, k, n in _shapes(options.quick):
            a = aligned(rng.uniform(-1, 1, (m, k)).astype(dtype))
            b = aligned(rng.uniform(-1, 1, (k, n)).astype(dtype))
            case = f"{m} x {k} x {n} {np.dtype(dtype).name}"
            yield race(
                group, case, list(contestants(peers, workers, a, b)), pace,
                flops=2.0 * m * k * n, shape=[m, k, n], dtype=np.dtype(dtype).name,
            )  # fmt: skip


def _shapes(quick: bool) -> Iterator[tuple[str, Any, int, int, int]]:
    for dtype, size in itertools.product((np.float32, np.float64), SQUARES):
        if not quick or size in (8, 64, 256):
            yield "matmul, square", dtype, size, size, size
    grid = itertools.product(ROWS, WIDTHS, WIDTHS)
    for i, (m, k, n) in enumerate(grid):
        if not quick or i % 40 == 0:
            yield "matmul, grid", np.float32, m, k, n
