"""Whether an exported file gives the bits of its network: compiled and compared, row by row."""

from __future__ import annotations

import copy
import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from deepc._values import FLOAT32, Array, warn
from deepc.layers import Layer, Sequential
from deepc.shipping.kinds import walk
from deepc.shipping.program import Program

__all__ = ["compare", "compiler", "differences", "rows_of_all_kinds"]

_ROWS = 1000
_STEPS = 50


def compiler() -> list[str] | None:
    """Return the command of a C compiler of this machine: ``CC``, or what is found."""
    given = shlex.split(os.environ.get("CC") or "")
    for command in (given, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    return None


def rows_of_all_kinds(plan: Program, rows: int) -> Array:
    """Return inputs that a network may get: ordinary ones, zeros, and all extremes."""
    rng = np.random.default_rng(plan.inputs)
    if plan.classes:
        return rng.integers(0, plan.classes, (rows, plan.inputs)).astype(plan.dtype)
    x = rng.standard_normal((rows, plan.inputs)).astype(plan.dtype)
    f = np.finfo(plan.dtype)
    special = [0.0, -0.0, 1.0, -1.0, f.smallest_subnormal, -f.tiny, f.tiny / 2, f.eps, f.max, f.min,
               np.inf, -np.inf]  # fmt: skip
    with np.errstate(over="ignore"):
        x[1::5] *= plan.dtype.type(30)
        x[2::5] *= f.tiny
    x[3::10] = rng.integers(0, 2, x[3::10].shape)
    x[4::10] = np.where(rng.random(x[4::10].shape) < 0.1, rng.choice(special, x[4::10].shape),
                        x[4::10])  # fmt: skip
    x[0] = 0
    x[5], x[6] = f.max, f.smallest_subnormal
    x[7], x[8] = np.inf, -0.0
    return x


def differences(got: Array, expected: Array) -> Array:
    """Return where bits differ, as rows of (row, output); NaN is NaN."""
    word = np.uint32 if expected.dtype == FLOAT32 else np.uint64
    same = got.view(word) == expected.view(word)
    return np.argwhere(~(same | (np.isnan(got) & np.isnan(expected))))


def compare(
    source: Path, name: str, plan: Program, reference: Layer, optimizer: Any = None,
    loss: Any = None, train_from: int = 0,
) -> None:  # fmt: skip
    """Compile a file and compare what it computes with a network, over rows of all kinds.

    Where it trains, steps of both are compared too; `reference` is trained on the way.

    Raises
    ------
    RuntimeError
        If it does not compile, or a bit differs.
    """
    command = compiler()
    if command is None or os.name != "posix":
        warn(
            f"export_c: {source} is written, but not verified: "
            "no C compiler was found (CC names one; verify=False is silent)",
            RuntimeWarning,
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, f"net{sysconfig.get_config_var('SHLIB_SUFFIX') or '.so'}")
        flags = ["-O2", "-shared", "-fPIC"]
        if sys.maxsize < 2**32:  # else x87
            flags += ["-msse2", "-mfpmath=sse"]
        run = subprocess.run(
            [*command, *flags, "-o", library, str(source)], capture_output=True, text=True
        )
        if run.returncode:
            raise RuntimeError(f"export_c: {source} does not compile:\n{run.stderr[-2000:]}")
        loaded = ctypes.CDLL(library)
        forward, test = loaded[f"{name}_forward"], loaded[f"{name}_self_test"]
        forward.restype = None
        x = rows_of_all_kinds(plan, _ROWS)
        got = np.empty((len(x), plan.outputs), plan.dtype)
        for row, y in zip(x, got, strict=True):
            forward(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        wrong = test()
    expected = np.asarray(reference.forward(plan.as_input(x)))
    found = differences(got, expected)
    if len(found):
        row, output = map(int, found[0])
        raise RuntimeError(
            f"export_c: {source} gives other bits than the network in {len(found)} of {got.size} "
            f"outputs: row {row}, output {output}: {float(got[row, output]).hex()}, "
            f"expected {float(expected[row, output]).hex()}"
        )
    if wrong:
        raise RuntimeError(f"export_c: {source}: its self test fails")
    if optimizer is not None:
        _compare_steps(source, loaded, name, plan, reference, optimizer, loss, train_from)


def _compare_steps(
    source: Path, library: ctypes.CDLL, name: str, plan: Program, reference: Layer,
    optimizer: Any, loss: Any, train_from: int,
) -> None:  # fmt: skip
    layers = [layer for _, layer in walk(reference)]
    head, tail = Sequential(layers[:train_from]), Sequential(layers[train_from:])
    optimizer = copy.deepcopy(optimizer)
    optimizer._memory = optimizer._memory[-len(list(tail.params())) :]
    rng = np.random.default_rng(plan.inputs)
    step = library[f"{name}_train_step"]
    step.restype = None
    for number in range(_STEPS):
        x = rng.standard_normal(plan.inputs).astype(plan.dtype)
        target = np.zeros(plan.outputs, plan.dtype)
        target[rng.integers(plan.outputs)] = 1
        step(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(target.ctypes.data))
        predicted = tail.forward(head.forward(x) if train_from else x)
        tail.backward(loss.gradient(predicted, target))
        optimizer.step(tail)
        expected = [np.ascontiguousarray(np.asarray(p).T).ravel() for p in tail.params()]
        kept = np.concatenate(expected)
        memory = (ctypes.c_char * kept.nbytes).in_dll(library, f"{name}_weights")
        found = differences(np.frombuffer(bytes(memory), plan.dtype)[:, None], kept[:, None])
        if len(found):
            raise RuntimeError(
                f"export_c: {source}: after step {number + 1} it has other bits than fit in "
                f"{len(found)} of {len(kept)} weights, first in number {int(found[0, 0])}"
            )
