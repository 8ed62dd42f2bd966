"""What it costs to have each library: the time of its import and the size of its files."""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from peers.race import Result
from peers.worker import clock

IMPORTS = {
    "deepc": "import deepc",
    "deepc, Keras' face": "from deepc import keras\nkeras.Sequential, keras.layers.Dense",
    "NumPy": "import numpy",
    "PyTorch": "import torch",
    "JAX": "import jax, jax.numpy",
    "Keras on JAX": "import os\nos.environ['KERAS_BACKEND'] = 'jax'\nimport keras",
    "Keras on TensorFlow": "import os\nos.environ['KERAS_BACKEND'] = 'tensorflow'\nimport keras",
    "ONNX Runtime": "import onnxruntime",
    "scikit-learn": "from sklearn.neural_network import MLPClassifier",
}
TIMER = """
import time
start = time.{clock}()
{statement}
print(time.{clock}() - start)
"""
# Distributions beside NumPy that are of no use without the library.
DISTRIBUTIONS = {
    "deepc": ["deepc-nn"],
    "NumPy": ["numpy"],
    "PyTorch": ["torch"],
    "JAX": ["jax", "jaxlib"],
    "ONNX Runtime": ["onnxruntime"],
    "scikit-learn": ["scikit-learn"],
}


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield import times, each in a new process, in turns; and sizes."""
    samples: dict[str, list[float]] = {}
    for _ in range(2 if options.quick else 7):
        for name, statement in IMPORTS.items():
            done = subprocess.run(
                [sys.executable, "-c", TIMER.format(statement=statement, clock=clock().__name__)],
                capture_output=True,
                text=True,
            )
            if done.returncode == 0:
                samples.setdefault(name, []).append(float(done.stdout))
    yield Result(
        "import", "import, with all that it imports",
        {name: min(times) for name, times in samples.items()},
        {name: statistics.median(times) for name, times in samples.items()},
        IMPORTS, {"unit": "ms"},
    )  # fmt: skip
    sizes = {}
    for name, distributions in DISTRIBUTIONS.items():
        try:
            sizes[name] = float(sum(map(_size, distributions)))
        except importlib.metadata.PackageNotFoundError:
            continue
    yield Result("import", "installed size, without dependencies", sizes, sizes, {}, {"unit": "MB"})


def _size(distribution: str) -> int:
    files = importlib.metadata.distribution(distribution).files or []
    paths = [file.locate() for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())
