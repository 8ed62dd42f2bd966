"""The usual training loop of a torch program, with deepc.torch and with PyTorch: the same code."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from textwrap import indent
from typing import Any

import numpy as np

from peers.race import FULL, QUICK, Contestant, Result, race

GROUP = "torch's training loop, the import changed"
# Widths, activation, rows, optimizer, goal.
WORK: Any = (
    ((10, 25, 4), "Tanh", 1, "SGD", "40 x PyTorch"),
    ((4, 32, 32, 2), "Tanh", 32, "Adam", "20 x PyTorch"),
    ((784, 128, 10), "ReLU", 32, "SGD", "2.2 x PyTorch"),
)
STEP = """\
optimizer.zero_grad()
loss = criterion(model(x), labels)
loss.backward()
optimizer.step()"""
CHECK = f"for _ in range(10):\n{indent(STEP, '    ')}\nmodel(x)"


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results."""
    from deepc import torch

    libraries = [("deepc", torch), *([("PyTorch", peers.torch)] if peers.torch else [])]
    for widths, activation, rows, rule, aim in WORK:
        found = [
            Contestant(name, STEP, _scope(library, widths, activation, rows, rule), CHECK)
            for name, library in libraries
        ]
        case = f"{'-'.join(map(str, widths))}, batch {rows}, {rule}"
        yield race(GROUP, case, found, QUICK if options.quick else FULL, 1e-3, aim_ratio=aim)


def _scope(torch: Any, widths: tuple[int, ...], activation: str, rows: int, rule: str) -> Any:
    rng, nn = np.random.default_rng(0), torch.nn
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), getattr(nn, activation)()]
    model = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for p in model.parameters():
            array = rng.standard_normal(tuple(p.shape)) / p.shape[-1] ** 0.5
            p.copy_(torch.from_numpy(array.astype(np.float32)))
    x = rng.standard_normal((rows, widths[0])).astype(np.float32)
    return {
        "model": model, "x": torch.from_numpy(x), "criterion": nn.CrossEntropyLoss(),
        "labels": torch.from_numpy(rng.integers(0, widths[-1], rows)),
        "optimizer": getattr(torch.optim, rule)(model.parameters(), lr=0.01),
    }  # fmt: skip
