"""Whole networks: forward, the chapter's loop over single steps, and epochs in one call.

For each piece of work every peer starts from the same parameters and sees the same rows in the
same order.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from peers.frameworks import CHECKED_STEPS, Work, members
from peers.race import FULL, QUICK, Contestant, Result, race
from peers.rules import Rule

MOMENTUM = Rule("Momentum", {"learning_rate": 0.01, "momentum": 0.9})
ADAM = Rule("Adam", {"learning_rate": 0.001})
SGD = Rule("SGD", {"learning_rate": 0.01})
RMSPROP = Rule("RMSProp", {"learning_rate": 0.001})

# How far outputs may be apart after those steps.
TOLERANCE = 5e-4

FORWARD = (
    Work((10, 25, 4), "tanh", 1, SGD, 1, 1.0, "4 x ONNX Runtime"),
    Work((4, 32, 32, 2), "tanh", 1, SGD, 1, 1.0, "4 x ONNX Runtime"),
    Work((784, 30, 10, 10), "tanh", 1, SGD, 1, 1.6, "3 x ONNX Runtime"),
    Work((64, 64, 64, 2), "tanh", 64, SGD, 1, None, "1.3 x ONNX Runtime"),
)
STEPS = (
    Work((10, 25, 4), "tanh", 1, MOMENTUM, 400, 3.5, "7 x JAX, 30 x PyTorch"),
    Work((784, 30, 10, 10), "tanh", 1, MOMENTUM, 200, 8.0),
    Work((4, 32, 32, 2), "tanh", 32, ADAM, 100, None),
)
EPOCHS = (
    Work((10, 25, 4), "tanh", 1, MOMENTUM, 4_000, 0.4),
    Work((784, 30, 10, 10), "tanh", 1, MOMENTUM, 2_000, 4.0),
    Work((4, 32, 32, 2), "tanh", 32, ADAM, 400, 3.5),
    Work((64, 64, 64, 2), "tanh", 64, ADAM, 200, 20.0),
    Work((784, 128, 10), "relu", 32, ADAM, 100, 105.0),
    Work((784, 128, 10), "relu", 64, SGD, 100, 130.0),
    Work((784, 512, 10), "relu", 128, RMSPROP, 40, 1080.0),
)


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results of all networks."""
    pace = QUICK if options.quick else FULL
    peers.compiles = peers.torch is not None and not options.quick and _compiles(peers.torch)
    for work in FORWARD:
        x, _, _ = work.data()
        x = x[0] if work.batch == 1 else x
        yield _race(work, "forward", _found(peers, work, "forward", x), pace)
    for work in STEPS:
        x, labels, targets = work.data()
        shape = (work.steps, -1) if work.batch == 1 else (work.steps, work.batch, x.shape[1])
        pairs = list(zip(x.reshape(shape), targets.reshape(*shape[:-1], -1), strict=True))
        few_labels = list(labels.reshape(work.steps, work.batch))
        found = _found(peers, work, "steps", pairs, few_labels, x[:8])
        yield _race(work, "step of the chapter's loop", found, pace)
    for work in EPOCHS:
        if options.quick:
            work = replace(work, steps=2 * CHECKED_STEPS)
        x, labels, targets = work.data()
        found = _found(peers, work, "epoch", x, labels, targets, x[:8])
        yield _race(work, "step of an epoch call", found, pace)


def _found(peers: Any, work: Work, what: str, *arguments: Any) -> list[Contestant]:
    """Return the contestants of all peers that can do that."""
    able = (getattr(member, what, None) for member in members(peers, work))
    return [contestant for method in able if method for contestant in method(*arguments)]


def _race(work: Work, what: str, contestants: list[Contestant], pace: Any) -> Result:
    flops = work.flops(what != "forward")
    more = {"flops": flops, "aim": work.aim and work.aim * 1e-6, "aim_ratio": work.aim_ratio}
    return race(what, str(work), contestants, pace, TOLERANCE, _log_softmax, **more)


def _log_softmax(logits: Any) -> Any:
    logits = np.atleast_2d(logits)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _compiles(torch: Any) -> bool:
    """Whether torch.compile works here: it needs a C++ compiler."""
    # In this process, one after the other: its pool of compilers would run beside the races.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compile(lambda x: x + 1)(torch.zeros(1))
    except Exception as error:
        print(f"torch.compile does not work here: {type(error).__name__}", file=sys.stderr)
        return False
    return True
