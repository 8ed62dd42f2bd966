"""A peer in a process of its own: for what is decided in its environment when it starts.

Run as a program it is the worker: it reads pickled requests from its standard input and answers
each.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Set by compare.py, and inherited by its workers: "cpu" where others use the machine too.
CLOCK = "DEEPC_BENCH_CLOCK"


def clock() -> Callable[[], float]:
    """Return what times are measured with."""
    return time.process_time if os.environ.get(CLOCK) == "cpu" else time.perf_counter


def aligned(array: Any) -> Any:
    """Return a copy that starts on a cache line, as the arrays of most peers do.

    NumPy's start on 16 bytes, so that the same work is now faster, now slower.
    """
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Worker:
    """A peer in another process, with some variables of its environment set."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for its answer; this process does nothing meanwhile."""
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)

    def close(self) -> None:
        """End the worker."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class RemoteContestant:
    """A contestant of `race` whose code runs in a worker; its names are sent there once."""

    steps = 1

    def __init__(self, peer: str, worker: Worker, code: str, names: dict[str, Any]) -> None:
        self.peer, self.code = peer, code
        self._worker = worker
        self._names: dict[str, Any] | None = names

    def value(self) -> Any:
        return self._worker.ask("value", self.code, self._names)

    def seconds(self, loops: int) -> float:
        if self._names is not None:
            self._worker.ask("define", self.code, self._names)
            self._names = None
        return self._worker.ask("seconds", self.code, loops)


class RemoteProgram:
    """A contestant of `race` whose names are made in a worker by code that runs there once.

    `setup` makes what `code` uses; `result` may be several lines, of which the last one is what is
    compared, and sees the names of `few` in place of those of `setup`.
    """

    steps = 1

    def __init__(
        self, peer: str, worker: Worker, setup: str, code: str, result: str,
        names: dict[str, Any], few: str = "", tolerance: float | None = None,
    ) -> None:  # fmt: skip
        self.peer, self.code, self.tolerance = peer, code, tolerance
        self._worker, self._result = worker, f"{few}\n{result}".strip()
        self._setup: tuple[str, dict[str, Any]] | None = (setup, names)

    def value(self) -> Any:
        return self._ask("result", self._result, None)

    def seconds(self, loops: int) -> float:
        return self._ask("time", self.code, loops)

    def _ask(self, *request: Any) -> Any:
        if self._setup is not None:
            self._worker.ask("prepare", *self._setup)
            self._setup = None
        answer = self._worker.ask(*request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def serve() -> None:
    """Answer requests until the input ends."""
    import timeit

    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    timers: dict[str, timeit.Timer] = {}
    kept: dict[str, Any] = {}
    while True:
        try:
            kind, code, argument = pickle.load(requests)
        except EOFError:
            return
        answer: Any = None
        if kind == "value":
            answer = np.asarray(eval(code, dict(argument)), np.float64)
        elif kind == "define":
            names = {k: aligned(v) if isinstance(v, np.ndarray) else v for k, v in argument.items()}
            timers = {code: timeit.Timer(code, timer=clock(), globals=names)}
        elif kind in ("prepare", "result", "time"):
            try:
                if kind == "prepare":
                    kept = {**argument}
                    exec(code, kept)
                elif kind == "result":
                    *before, expression = code.split("\n")
                    names = {**kept}
                    exec("\n".join(before), names)
                    answer = np.asarray(eval(expression, names), np.float64)
                else:
                    answer = timeit.Timer(code, timer=clock(), globals=kept).timeit(argument)
            except Exception as error:
                answer = RuntimeError(f"{type(error).__name__}: {error}")
        else:
            answer = timers[code].timeit(argument)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    serve()
