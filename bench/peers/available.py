"""Which peers are installed, loaded so that they compute on as many threads as asked."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import warnings
from types import ModuleType, SimpleNamespace
from typing import Any

# Module, distribution, name in tables.
PEERS = {
    "numpy": ("numpy", "NumPy"),
    "scipy.special": ("scipy", "SciPy"),
    "torch": ("torch", "PyTorch"),
    "jax": ("jax", "JAX"),
    "onnxruntime": ("onnxruntime", "ONNX Runtime"),
    "sklearn": ("scikit-learn", "scikit-learn"),
}


def pin_threads(threads: int) -> None:
    """Let the peers use so many threads; to be called before any of them is imported."""
    # JAX heeds neither its flags nor these variables, only how many CPUs it may run on.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR", "DEEPC"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def load(threads: int, without: list[str]) -> SimpleNamespace:
    """Import deepc and what is there of the peers; an attribute is None where one is missing."""
    import deepc

    deepc.set_num_threads(threads)
    modules: dict[str, ModuleType | None] = {"deepc": deepc}
    for module in PEERS:
        name = module.split(".")[0]
        try:
            # Peers warn about each other's deprecations, which is no news of ours.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                modules[name] = None if name in without else importlib.import_module(module)
        except ImportError:
            modules[name] = None
    if torch := modules["torch"]:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
    if jax := modules["jax"]:
        # Otherwise another thread computes, and handing it small work costs more than the work.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    return SimpleNamespace(**modules, threads=threads)


def versions() -> dict[str, str]:
    """Return the versions of deepc and of the peers that are installed."""
    found = {}
    for distribution in [
        "deepc-nn",
        *(distribution for distribution, _ in PEERS.values()),
        "jaxlib",
        "keras",
        "tensorflow-cpu",
        "tensorflow",
    ]:
        try:
            found[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def has_avx512(peers: Any) -> bool:
    """Whether OpenBLAS could use its AVX-512 kernels, whatever it chooses by itself."""
    return "avx512" in peers.deepc._c.library.available_isas()
