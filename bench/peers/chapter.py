"""The chapter's own code: against plain Python, on MNIST with and without its bar, its memory."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from peers.race import FULL, QUICK, Contestant, Result, race

TESTS = Path(__file__).parents[2] / "tests"

# Widths, activation, steps in one run, and the project's aim.
CASES = {
    "XOR 2-2-1": ((2, 2, 1), "sigmoid", 1, "2.5 µs with lists"),
    "FizzBuzz 10-25-4": ((10, 25, 4), "tanh", 100, ""),
    "MNIST 784-30-10-10": ((784, 30, 10, 10), "tanh", 10, "16 µs with lists of float32"),
}

OURS = """\
for x, y in zip(xs, ys):
    predicted = net.forward(x)
    gradient = loss.gradient(predicted, y)
    net.backward(gradient)
    optimizer.step(net)"""
THEIRS = """\
for x, y in zip(xs, ys):
    train_step(net, loss, optimizer, x, y)"""


def run_plain(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results against the chapter's method in plain Python."""
    if not (TESTS / "pure_python.py").exists():
        return
    sys.path.append(str(TESTS))
    import pure_python

    pace = QUICK if options.quick else FULL
    for name, (widths, activation, steps, aim) in CASES.items():
        random.seed(0)
        layers: list[Any] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [
                pure_python.Dense(inputs, outputs),
                _plain_activation(pure_python, activation),
            ]
        theirs = pure_python.Chain(*layers[:-1])
        rng = np.random.default_rng(0)
        x = rng.uniform(-0.5, 0.5, (steps, widths[0]))
        y = np.eye(max(widths[-1], 2))[rng.integers(0, widths[-1], steps)][:, : widths[-1]]
        found = []
        for kind in ("lists", "lists, float32", "arrays"):
            xs, ys = (
                list(a.astype(np.float32)) if kind == "arrays" else a.tolist() for a in (x, y)
            )
            dtype = "float64" if kind == "lists" else "float32"
            names = {
                "xs": xs,
                "ys": ys,
                "probe": xs[0],
                **_ours(peers.deepc, theirs, activation, dtype),
            }
            result = f"{OURS}\nnet.forward(probe)"
            found.append(Contestant(f"deepc, {kind}", OURS, names, result, steps))
        names = {
            "train_step": pure_python.train_step, "net": theirs, "xs": x.tolist(), "ys": y.tolist(),
            "loss": pure_python.cross_entropy if widths[-1] > 1 else pure_python.squared_error,
            "optimizer": pure_python.Averaged(0.01, 0.9), "probe": x[0].tolist(),
        }  # fmt: skip
        result = f"{THEIRS}\nnet.forward(probe)"
        found.append(Contestant("plain Python", THEIRS, names, result, steps))
        yield race(
            "the chapter", f"a step of {name}, one sample", found, pace,
            aim_ratio=aim,
        )  # fmt: skip


def _plain_activation(pure_python: Any, name: str) -> Any:
    return pure_python.tanh_layer() if name == "tanh" else pure_python.sigmoid_layer()


def _ours(deepc: Any, theirs: Any, activation: str, dtype: str) -> dict[str, Any]:
    """Return deepc's network with the same parameters, and what trains it."""
    layers: list[Any] = []
    for dense in theirs.layers[::2]:
        layer = deepc.Linear(len(dense.weights[0]), len(dense.weights), dtype=dtype)
        layer.w, layer.b = dense.weights, dense.biases
        layers += [layer, getattr(deepc, activation.capitalize())()]
    loss = deepc.SoftmaxCrossEntropy() if layer.output_dim > 1 else deepc.SSE()
    optimizer = deepc.Momentum(learning_rate=0.01, momentum=0.9)
    return {"net": deepc.Sequential(layers[:-1]), "loss": loss, "optimizer": optimizer}


# ---- MNIST ---------------------------------------------------------------------------------------


def _deep_network(deepc: Any) -> Any:
    random.seed(0)
    return deepc.Sequential([
        deepc.Linear(784, 30), deepc.Dropout(0.1), deepc.Tanh(),
        deepc.Linear(30, 10), deepc.Dropout(0.1), deepc.Tanh(),
        deepc.Linear(10, 10),
    ])  # fmt: skip


def _chapters_loop(
    deepc: Any, model: Any, images: Any, labels: Any, loss: Any, optimizer: Any
) -> None:
    """Train as the chapter does, with its progress bar and what that shows."""
    import tqdm

    correct, total_loss = 0, 0.0
    with tqdm.trange(len(images)) as t:
        for i in t:
            predicted = model.forward(images[i])
            if deepc.argmax(predicted) == deepc.argmax(labels[i]):
                correct += 1
            total_loss += loss.loss(predicted, labels[i])
            gradient = loss.gradient(predicted, labels[i])
            model.backward(gradient)
            optimizer.step(model)
            average, accuracy = total_loss / (i + 1), correct / (i + 1)
            t.set_description(f"mnist loss: {average:.3f} acc: {accuracy:.3f}")


def _bare_loop(deepc: Any, model: Any, images: Any, labels: Any, loss: Any, optimizer: Any) -> None:
    for i in range(len(images)):
        predicted = model.forward(images[i])
        model.backward(loss.gradient(predicted, labels[i]))
        optimizer.step(model)


def _only_the_bar(
    deepc: Any, model: Any, images: Any, labels: Any, loss: Any, optimizer: Any
) -> None:
    import tqdm

    with tqdm.trange(len(images)) as t:
        for i in t:
            t.set_description(f"mnist loss: {i:.3f} acc: {i:.3f}")


def run_mnist(peers: Any, options: Any) -> Iterator[Result]:
    """Yield how long epochs over 60,000 single samples take, each way once or three times."""
    deepc = peers.deepc
    if not options.mnist:
        return
    from deepc.datasets import mnist

    data = mnist(options.mnist)
    count = 2_000 if options.quick else len(data.train_x)
    x, labels = data.train_x[:count], data.train_y[:count]
    targets = np.eye(10, dtype=np.float32)[labels]

    def fit(deepc: Any, model: Any, images: Any, labels: Any, loss: Any, optimizer: Any) -> None:
        deepc.fit(model, images, labels, loss=loss, optimizer=optimizer, progress=False)

    lists = [a[: count // 10].tolist() for a in (x, targets)]
    ways = {
        "deepc, fit": (fit, x, labels),
        "deepc, bare loop on arrays": (_bare_loop, x, targets),
    }
    if importlib.util.find_spec("tqdm"):
        ways |= {
            "deepc, the chapter's loop on arrays": (_chapters_loop, x, targets),
            "deepc, the chapter's loop on lists": (_chapters_loop, *lists),
            "deepc, the chapter's bar alone": (_only_the_bar, x, targets),
        }
    least: dict[str, float] = {}
    losses: dict[str, float] = {}
    for _ in range(1 if options.quick else 3):
        for name, (function, images, truth) in ways.items():
            model = _deep_network(deepc)
            loss, optimizer = deepc.SoftmaxCrossEntropy(), deepc.Momentum(0.01, momentum=0.99)
            with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
                start = time.perf_counter()
                function(deepc, model, images, truth, loss, optimizer)
                seconds = (time.perf_counter() - start) * count / len(images)
            least[name] = min(seconds, least.get(name, seconds))
            losses[name] = loss.loss(model.forward(x[:1000]), targets[:1000]) / 1000
    if losses["deepc, fit"] != losses["deepc, bare loop on arrays"]:
        raise RuntimeError(f"the ways to train do not end with the same bits: {losses}")
    yield Result(
        "MNIST", f"the deep network, an epoch of {count:,} samples", least, least, {},
        {"unit": "s", "aim": 0.3, "loss": losses["deepc, fit"],
         "aim_ratio": "the chapter's loop within 5 x the bare loop"},
    )  # fmt: skip


# ---- Memory --------------------------------------------------------------------------------------

MEMORY = """
import sys
import numpy as np, deepc
net = deepc.Sequential([deepc.Linear(10, 25), deepc.Tanh(), deepc.Linear(25, 4)])
loss, optimizer = deepc.SoftmaxCrossEntropy(), deepc.Momentum(0.01)
x, y = np.ones(10, np.float32), np.eye(4, dtype=np.float32)[1]
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def train(steps):
    for _ in range(steps):
        predicted = net.forward(x)
        loss.loss(predicted, y)
        net.backward(loss.gradient(predicted, y))
        optimizer.step(net)
    deepc.fit(net, np.tile(x, (steps, 1)), np.ones(steps, int), loss=loss, optimizer=optimizer)
steps, every = int(sys.argv[1]), 10_000
for _ in range(3):
    train(every)
before = resident()
for _ in range(steps // every):
    train(every)
print(before, resident())
"""


def run_memory(peers: Any, options: Any) -> Iterator[Result]:
    """Yield how much memory a process holds before and after many steps; on Linux."""
    if not Path("/proc/self/statm").exists():
        return
    steps = 20_000 if options.quick else 1_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(steps)], capture_output=True, text=True, check=True
    )
    before, after = (float(number) for number in done.stdout.split())
    sizes = {"deepc, before": before, "deepc, after": after}
    yield Result(
        "memory", f"resident, {steps:,} steps of the loop and as many by fit", sizes, sizes, {},
        {"unit": "MB", "growth": after - before, "aim_ratio": "no growth"},
    )  # fmt: skip
