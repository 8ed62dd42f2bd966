"""Importing deepc: what it brings along, what it says of itself, what the environment chooses."""

from __future__ import annotations

import os
import subprocess
import sys

import deepc
import pytest
from deepc._c import library


def run(code, **environment):
    """Run code in a new process; an environment variable of None is taken out."""
    env = {**os.environ, **environment}
    env = {name: value for name, value in env.items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def printed_by(code, **environment):
    result = run(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# ---- What it costs -------------------------------------------------------------------------------

# Modules that take a while to import, or do what importing a library of numbers should not. What
# NumPy and random bring is paid for already, and not counted.
HEAVY = [
    "argparse", "asyncio", "concurrent", "csv", "decimal", "email", "fractions", "ftplib", "gzip",
    "html", "http", "importlib.metadata", "importlib.resources", "inspect", "logging", "lzma",
    "matplotlib", "multiprocessing", "numpy.testing", "pathlib", "pickle", "platform", "pydoc",
    "scipy", "shutil", "socket", "sqlite3", "ssl", "statistics", "subprocess", "tarfile",
    "tempfile", "torch", "tqdm", "unittest", "urllib", "uuid", "webbrowser", "xml", "zipfile",
]  # fmt: skip
# Part of the package, for those who ask for them.
LATE = {
    "deepc.__main__", "deepc._files", "deepc.book", "deepc.config", "deepc.datasets", "deepc.demo",
    "deepc.keras", "deepc.tf",
    "deepc.shipping", "deepc.training",
}  # fmt: skip

# Prints what the package's own import statements bring. An editable install has a finder that
# imports modules to do its work, in the course of ours; only what is asked for from within deepc
# counts.
BROUGHT = """
import builtins, random, sys
import numpy
brought = set()
original = builtins.__import__
def recorded(name, globals=None, *rest):
    before = set(sys.modules)
    result = original(name, globals, *rest)
    own = (globals or {}).get("__name__", "").startswith("deepc")
    if own and not name.startswith("deepc"):
        brought.update(set(sys.modules) - before)
    return result
builtins.__import__ = recorded
STATEMENT
print(*sorted(brought), *(name for name in sys.modules if name.startswith("deepc.")))
"""


def test_import_brings_no_heavy_module():
    brought = set(printed_by(BROUGHT.replace("STATEMENT", "import deepc")).split())
    assert "deepc._c.library" in brought
    assert not {name for name in brought if name.split(".")[0] in HEAVY or name in HEAVY}
    assert not brought & LATE


TRAINING = """
from deepc import keras
model = keras.Sequential([keras.layers.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(numpy.ones((4, 3)), numpy.ones(4, int), verbose=0)
"""


def test_a_training_brings_no_heavy_module():
    brought = set(printed_by(BROUGHT.replace("STATEMENT", TRAINING)).split())
    assert "deepc.training.session" in brought
    assert not {name for name in brought if name.split(".")[0] in HEAVY or name in HEAVY}
    assert not {name for name in brought if name.startswith("deepc.shipping")}
    assert not brought & {"dataclasses", "difflib", "hashlib", "json"}


@pytest.mark.timing
def test_import_time_is_printed(capsys):
    """Speed is measured, not asserted: run with -s or see the report."""
    code = (
        "import time; a = time.perf_counter(); import numpy; b = time.perf_counter(); "
        "import deepc; c = time.perf_counter(); print(b - a, c - b)"
    )
    runs = [tuple(map(float, printed_by(code).split())) for _ in range(3)]
    numpy, own = (sorted(column)[1] for column in zip(*runs, strict=True))
    with capsys.disabled():
        print(f" [numpy {1000 * numpy:.0f} ms, deepc {1000 * own:.1f} ms more] ", end="")


# ---- What it shows -------------------------------------------------------------------------------

CHAPTER = [
    "Tensor", "shape", "is_1d", "tensor_sum", "tensor_apply", "tensor_combine", "zeros_like",
    "random_uniform", "random_normal", "random_tensor", "Layer", "Linear", "Sequential", "Sigmoid",
    "Tanh", "Relu", "Dropout", "softmax", "sigmoid", "tanh", "Loss", "SSE", "SoftmaxCrossEntropy",
    "Optimizer", "GradientDescent", "Momentum", "one_hot_encode", "argmax", "save_weights",
    "load_weights", "dot", "normal_cdf", "inverse_normal_cdf",
]  # fmt: skip


def test_public_names():
    assert len(set(deepc.__all__)) == len(deepc.__all__)
    assert set(CHAPTER) <= set(deepc.__all__)
    for name in deepc.__all__:
        thing = getattr(deepc, name)
        if name not in ("Tensor", "kernels"):
            assert thing.__doc__, name
    star = {}
    exec("from deepc import *", star)
    assert set(deepc.__all__) == set(star) - {"__builtins__"}


def test_dir_lists_what_is_public_and_nothing_else():
    modules = {"autodiff", "book", "callbacks", "datasets", "kernels", "keras", "metrics", "plots"}
    modules |= {"schedules", "tf"}
    assert set(dir(deepc)) == {*deepc.__all__, *modules, "__version__"}
    code = "import deepc; before = dir(deepc); [getattr(deepc, n) for n in before]; "
    assert printed_by(code + "print(before == dir(deepc))") == "True"


def test_version_is_the_distributions():
    metadata = pytest.importorskip("importlib.metadata")
    try:
        distribution = metadata.version("deepc-nn")
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")
    assert deepc.__version__ == library.version() == distribution


def test_show_config(capsys):
    deepc.show_config()
    out = capsys.readouterr().out
    for part in (
        deepc.__version__,
        library.isa(),
        f"same bits as elsewhere: {'yes' if library.promises_bits(library.isa()) else 'no'}",
        str(deepc.get_num_threads()),
        "float32",
        library.compiler(),
    ):
        assert part in out


def test_another_python_is_refused_by_name():
    code = (
        "import sys, types; sys.implementation = types.SimpleNamespace("
        "**{**vars(sys.implementation), 'name': 'pypy'}); import deepc"
    )
    result = run(code)
    assert result.returncode != 0
    assert "ImportError: deepc needs CPython" in result.stderr
    assert "this is pypy" in result.stderr


# ---- DEEPC_ISA -----------------------------------------------------------------------------------

SAY = "from deepc._c import library; print(library.isa())"


def test_environment_chooses_the_instruction_set():
    names = library.available_isas()
    assert "portable" in names
    for name in names:
        assert printed_by(SAY, DEEPC_ISA=name) == name
    assert printed_by(SAY, DEEPC_ISA=None) == names[0]
    assert printed_by(SAY, DEEPC_ISA="") == names[0]


def test_a_sub_interpreter_is_refused_with_the_reason():
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    pytest.importorskip(name)
    result = run(f"""
import {name} as interpreters
told = interpreters.run_string(interpreters.create(), "import deepc")
print(told and told.formatted)
""")
    # Newer NumPys refuse by themselves, before the library is asked.
    said = result.stdout + result.stderr
    assert "cannot be imported in a sub-interpreter" in said or "in subinterpreters" in said


@pytest.mark.parametrize("name", ["sse9", "AVX2", "portable ", "avx2,fma"])
def test_unknown_instruction_set_is_refused_by_name(name):
    result = run("import deepc", DEEPC_ISA=name)
    assert result.returncode != 0
    assert "ValueError" in result.stderr
    assert "DEEPC_ISA" in result.stderr


def test_only_the_portable_instruction_set_may_be_outside_the_promise():
    for name in library.available_isas():
        assert library.promises_bits(name) or name == "portable"
    assert not library.promises_bits("sse9")


def test_set_isa():
    before = library.isa()
    for name in ("", "sse9", "avx2\0", None, 3, b"portable"):
        with pytest.raises(ValueError, match="name"):
            library.set_isa(name)
    assert library.isa() == before
    try:
        for name in library.available_isas():
            library.set_isa(name)
            assert library.isa() == name
    finally:
        library.set_isa(before)
