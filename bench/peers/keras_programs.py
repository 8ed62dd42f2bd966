"""What Keras' users call, through deepc's face of Keras, beside Keras itself on its backends.

Keras takes its backend from its environment when it is imported, so each one runs in a process of
its own. Where it fits, JAX with an epoch in one scan, PyTorch and `deepc.fit` do the same work.
All start from the same weights and see the same rows in the same order.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from peers.frameworks import Deepc, Jax, PyTorch, Work
from peers.race import FULL, QUICK, Contestant, Result, race
from peers.rules import Rule
from peers.worker import RemoteProgram, Worker

GROUP = "Keras programs"
BACKENDS = {"jax": "Keras on JAX", "tensorflow": "Keras on TensorFlow"}

# The rules as Keras has them by these names.
ADAM = Rule("Adam", {"learning_rate": 0.001, "epsilon": 1e-7})
RMSPROP = Rule("RMSProp", {"learning_rate": 0.001, "epsilon": 1e-7, "epsilon_inside": True})
NAMES = {"Adam": "adam", "RMSProp": "rmsprop"}

SETUP = """\
import numpy as np
layers = keras.layers
model = keras.Sequential([layers.Input((work.widths[0],))])
for width in work.widths[1:-1]:
    model.add(layers.Dense(width, work.activation))
model.add(layers.Dense(work.widths[-1], "softmax"))
model.set_weights(work.params())
model.compile(rule, "sparse_categorical_crossentropy", metrics=metrics)
x, y, _ = work.data()
probe, batch, epochs = x[:8], work.batch, many"""
PREDICTED = "np.log(model.predict(probe, verbose=0))"


@dataclass(frozen=True)
class Case:
    """A piece of work: a network, a call, and what the project aims at."""

    name: str
    work: Work
    code: str
    metrics: tuple[str, ...] = ()
    epochs: int = 1
    # Only so many of the rows, where batches do not divide them.
    rows: int | None = None
    # Code that makes the work smaller for the check; code whose last line is compared.
    few: str = ""
    result: str = f"{{}}\n{PREDICTED}"
    aim: float | None = None
    aim_ratio: str = ""
    # Whether the frameworks without Keras' face run it too.
    frameworks: bool = False
    tolerance: float = 5e-3


def _epoch(widths: tuple[int, ...], batch: int, rule: Rule, steps: int) -> Case:
    return Case(
        f"an epoch of {steps * batch:,} rows, {'-'.join(map(str, widths))}, {NAMES[rule.name]}, "
        f"batch {batch}",
        Work(widths, "relu", batch, rule, steps, None),
        "model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)",
        ("accuracy",), few=f"x, y = x[:{10 * batch}], y[:{10 * batch}]", frameworks=True,
    )  # fmt: skip


def _on_images(case: Case, mnist: str) -> Case:
    """Return the case on MNIST's images, as the two programs of Keras' beginners have them."""
    return replace(
        case, name=case.name.replace("rows", "images of MNIST"),
        work=replace(case.work, mnist=mnist),
        aim_ratio="1.15 x JAX, 1.8 x Keras on JAX, 2.5 x PyTorch",
    )  # fmt: skip


def _predict(widths: tuple[int, ...], aim: float) -> Case:
    return Case(
        f"predict, one row, {'-'.join(map(str, widths))}", Work(widths, "relu", 1, ADAM, 2, None),
        "model.predict(row, verbose=0)", few="", result="np.log({})",
        aim=aim, aim_ratio="100 x Keras on JAX",
    )  # fmt: skip


_STEP = Work((4, 32, 32, 2), "tanh", 32, ADAM, 1, None)
_SMALL = Work((10, 25, 4), "tanh", 32, ADAM, 32, None)
EPOCHS = (_epoch((784, 512, 10), 128, RMSPROP, 468), _epoch((784, 128, 10), 32, ADAM, 1875))
CASES = (
    Case(
        "1,000 rows, 20 epochs with accuracy and validation, 10-25-4, adam, batch 32", _SMALL,
        "model.fit(x, y, batch_size=batch, epochs=epochs, validation_data=(x[:200], y[:200]), "
        "shuffle=False, verbose=0)",
        ("accuracy",), 20, 1000, few="epochs = 2", aim_ratio="50 x Keras on JAX",
    ),
    _predict((10, 25, 4), 5e-6),
    _predict((784, 128, 10), 8e-6),
    Case("train_on_batch, 32 rows, 4-32-32-2, adam", _STEP, "model.train_on_batch(x, y)",
         few="for _ in range(9): model.train_on_batch(x, y)", aim=15e-6),
    Case("the same with accuracy", _STEP, "model.train_on_batch(x, y)", ("accuracy",),
         few="for _ in range(9): model.train_on_batch(x, y)"),
)  # fmt: skip


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results of all programs."""
    pace = QUICK if options.quick else replace(FULL, most=12.0)
    peers.compiles = False
    with contextlib.ExitStack() as stack:
        workers = dict(_workers(stack, options))
        images = [_on_images(case, options.mnist) for case in EPOCHS if options.mnist]
        for case in (*images, *EPOCHS, *CASES):
            if options.quick:
                few = replace(case.work, steps=min(case.work.steps, 10))
                case = replace(case, work=few, epochs=min(case.epochs, 2))
            yield race(
                GROUP, case.name, list(_contestants(peers, workers, case)), pace,
                case.tolerance, _log_softmax, aim=case.aim, aim_ratio=case.aim_ratio,
            )  # fmt: skip
    yield from _extras(peers, pace, options.quick)


def _workers(stack: contextlib.ExitStack, options: Any) -> Iterator[tuple[str, Worker]]:
    """Yield a process for each backend of Keras that is installed."""
    folder = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
    for backend, name in BACKENDS.items():
        wanted = not {"keras", backend} & set(options.without)
        if wanted and importlib.util.find_spec("keras") and importlib.util.find_spec(backend):
            variables = {
                "KERAS_BACKEND": backend, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3",
                "TF_NUM_INTRAOP_THREADS": str(options.threads), "TF_NUM_INTEROP_THREADS": "1",
            }  # fmt: skip
            yield name, stack.enter_context(Worker(variables))


def _contestants(peers: Any, workers: dict[str, Worker], case: Case) -> Iterator[Any]:
    """Yield deepc's face, then everyone else who does the work."""
    work, code = case.work, case.code
    names = {"work": work, "rule": NAMES[work.rule.name], "metrics": list(case.metrics) or None,
             "many": case.epochs, "rows": case.rows}  # fmt: skip
    setup = f"{SETUP}\nx, y = x[:rows], y[:rows]\nrow = x[:1]"
    result = case.result.format(code)
    ours: dict[str, Any] = {**names, "keras": peers.deepc.keras}
    exec(setup, ours)
    # In its own namespace the few rows of the check must not take the place of all.
    yield Contestant("deepc, Keras' face", code, ours, f"{case.few}\n{result}".strip())
    if case.frameworks:
        x, labels, targets = work.data()
        for kind, module in ((Deepc, "deepc"), (Jax, "jax"), (PyTorch, "torch")):
            if getattr(peers, module):
                for one in kind(peers, work).epoch(x, labels, targets, x[:8]):
                    if one.peer in ("deepc", "JAX, scan", "PyTorch"):
                        peer = "deepc, fit" if one.peer == "deepc" else one.peer
                        # PyTorch's RMSprop adds epsilon outside the root, which tells where
                        # gradients are small; its work is the same.
                        far = one.peer == "PyTorch" and work.rule is RMSPROP
                        yield replace(one, peer=peer, steps=1, tolerance=0.5 if far else None)
    for name, worker in workers.items():
        yield RemoteProgram(name, worker, f"import keras\n{setup}", code, result, names, case.few)


def _log_softmax(logits: Any) -> Any:
    logits = np.atleast_2d(logits)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


# ---- What metrics, weights and a schedule cost ---------------------------------------------------

PLAIN = "fit(net, x, y, loss=loss, optimizer=optimizer, batch_size=batch, progress=False)"
LADEN = PLAIN.replace(", progress", ', metrics=["accuracy"], sample_weight=weights, progress')


def _extras(peers: Any, pace: Any, quick: bool) -> Iterator[Result]:
    """Yield an epoch with metrics, weights of samples and a schedule beside one without."""
    deepc = peers.deepc
    for work in (
        Work((784, 128, 10), "relu", 32, ADAM, 10 if quick else 400, None),
        Work((10, 25, 4), "tanh", 32, ADAM, 10 if quick else 400, None),
    ):
        x, labels, _ = work.data()
        found = []
        for peer, code in (("deepc, fit", PLAIN), ("deepc, fit with all three", LADEN)):
            made = Deepc(peers, work)
            if code is LADEN:
                made.optimizer = deepc.Adam(deepc.schedules.Cosine(0.001, 10**6), epsilon=1e-7)
            names = {
                "fit": deepc.fit, "net": made.net, "x": x, "y": labels, "loss": made.loss,
                "optimizer": made.optimizer, "batch": work.batch,
                "weights": np.ones(len(x), np.float32),
            }  # fmt: skip
            found.append(Contestant(peer, code, names))
        yield race(
            GROUP, f"an epoch of {len(x):,} rows with metrics, weights and schedule, {work}",
            found, pace, None, aim_ratio="1.05 x plain",
        )  # fmt: skip
