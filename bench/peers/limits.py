"""The limits of the machine, by the loops of limits.h; a C compiler is needed for that."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

SOURCE = """
#include "limits.h"
int peak_count(void) { return PEAK_LOOPS; }
const char *peak_isa(int i) { return peak_loops[i].isa; }
int peak_bits(int i) { return peak_loops[i].bits; }
double peak_flops(int i) { return peak_loops[i].flops; }
void peak_run(int i, size_t steps) { peak_loops[i].run(steps); }
int stream_count(void) { return STREAM_LOOPS; }
const char *stream_isa(int i) { return stream_loops[i].isa; }
void stream_run(int i, int kind, size_t n, float *a, size_t repeats) {
    float *b = kind == STREAM_READ ? a : a + n;
    for (size_t r = 0; r < repeats; r++) stream_loops[i].run((stream)kind, n, a, b, b + n);
}
"""
STREAMS = {"read": (0, 1, 1), "copy": (1, 2, 2), "triad": (2, 3, 3), "update": (3, 2, 3)}


def _compiled() -> Any:
    """Return the loops as a shared library, None without a compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "limits.so")
        command = [compiler, "-std=c11", "-O3", "-shared", "-fPIC", "-I", Path(__file__).parents[1]]
        command += ["-x", "c", "-", "-o", library]
        done = subprocess.run(command, input=SOURCE, text=True, capture_output=True)
        if done.returncode:
            return None
        lib = ctypes.CDLL(str(library))
    lib.peak_isa.restype = lib.stream_isa.restype = ctypes.c_char_p
    lib.peak_flops.restype = ctypes.c_double
    lib.peak_run.argtypes = [ctypes.c_int, ctypes.c_size_t]
    lib.stream_run.argtypes = [
        ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
    ]  # fmt: skip
    return lib


class Limits:
    """Peaks in flops a second, and bandwidths in bytes a second, of one thread."""

    def __init__(self, isas: list[str]) -> None:
        self._lib = _compiled()
        self._isas = isas
        self._peaks: dict[int, float] = {}

    def __bool__(self) -> bool:
        return self._lib is not None

    def _usable(self, isa: bytes | None) -> bool:
        return isa is None or isa.decode() in self._isas

    def peak(self, bits: int) -> float:
        """Return the best rate of multiply-adds so far, after another look."""
        lib = self._lib
        for i in range(lib.peak_count()):
            if lib.peak_bits(i) == bits and self._usable(lib.peak_isa(i)):
                for _ in range(5):
                    start = time.perf_counter()
                    lib.peak_run(i, 20_000)
                    seconds = time.perf_counter() - start
                    rate = 20_000 * lib.peak_flops(i) / seconds
                    self._peaks[bits] = max(rate, self._peaks.get(bits, 0.0))
        return self._peaks[bits]

    def bandwidth(self, stream: str, footprint: float) -> float:
        """Return the best rate of a plain loop over so many bytes."""
        lib = self._lib
        kind, arrays, operands = STREAMS[stream]
        n = max(256, int(footprint / 4 / arrays) // 64 * 64)
        memory = (ctypes.c_float * (3 * n + 16))()
        start_of = (ctypes.addressof(memory) + 63) // 64 * 64
        best = 0.0
        repeats = max(1, int(4e6 / (n * arrays * 4)))
        for i in range(lib.stream_count()):
            if self._usable(lib.stream_isa(i)):
                for _ in range(9):
                    start = time.perf_counter()
                    lib.stream_run(i, kind, n, start_of, repeats)
                    seconds = time.perf_counter() - start
                    best = max(best, 4.0 * n * operands * repeats / seconds)
        return best
