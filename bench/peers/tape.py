"""Automatic differentiation: Scalars, Tensors, training steps, a third-order equation, a lesson."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from peers import operators
from peers.race import FULL, QUICK, Contestant, Result, race

TESTS = Path(__file__).parents[2] / "tests"
GROUP = "automatic differentiation"


class Value:
    """micrograd's number, as far as the work needs it (Karpathy, 2020, MIT license)."""

    def __init__(self, data: float, children: tuple[Any, ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = set(children)

    def __add__(self, other: Any) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def _backward() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other: Any) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward() -> None:
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def backward(self) -> None:
        topo, visited = [], set()

        def build(v: Value) -> None:
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                topo.append(v)

        build(self)
        self.grad = 1.0
        for v in reversed(topo):
            v._backward()


OPERATIONS = 400
CHAIN = """\
y = a
for _ in range(200):
    y = y * b
    y = y + b
y.backward({})"""


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results."""
    from deepc import autodiff

    pace = QUICK if options.quick else FULL
    yield _scalars(autodiff, pace)
    for shape in ((1,), (64,), (64, 64)):
        yield _tensors(peers, autodiff, shape, pace)
    if peers.torch:
        yield from operators.run(peers.torch, autodiff, GROUP, pace)
    for case in STEPS:
        yield _steps(peers, autodiff, *case, pace)
    yield _pinn(peers, autodiff, pace)
    yield _lesson(autodiff, options, pace)


def _scalars(autodiff: Any, pace: Any) -> Result:
    found = []
    for peer, make in (("deepc", autodiff.Scalar), ("micrograd", Value)):
        names = {"a": make(1.0), "b": make(0.999)}
        code = CHAIN.format("")
        found.append(Contestant(peer, code, names, f"{code}\ny.data", OPERATIONS))
    return race(
        GROUP, "an operation on numbers, forward and back", found, pace,
        aim=60e-9, aim_ratio="20 x micrograd",
    )  # fmt: skip


def _tensors(peers: Any, autodiff: Any, shape: tuple[int, ...], pace: Any) -> Result:
    a, b = np.ones(shape, np.float32), np.full(shape, 0.999, np.float32)
    seed = np.ones(shape, np.float32)
    code = CHAIN.format("seed")
    names = {"a": autodiff.Tensor(a, True), "b": autodiff.Tensor(b, True), "seed": seed}
    found = [Contestant("deepc", code, names, f"{code}\ny.data", OPERATIONS)]
    if peers.torch:
        t = {
            "a": peers.torch.tensor(a, requires_grad=True), "seed": peers.torch.tensor(seed),
            "b": peers.torch.tensor(b, requires_grad=True),
        }  # fmt: skip
        found.append(Contestant("PyTorch", code, t, f"{code}\ny", OPERATIONS))
    name = " x ".join(map(str, shape))
    aim = {"aim": 0.35e-6, "aim_ratio": "15 x PyTorch"} if len(shape) == 1 else {
        "aim_ratio": "4 x PyTorch"}  # fmt: skip
    return race(GROUP, f"an operation on {name}, forward and back", found, pace, **aim)


# ---- Training steps ------------------------------------------------------------------------------

STEPS: Any = (
    ((784, 128, 10), "relu", 32, "2.3 x PyTorch, at most 1.5 x compiled"),
    ((4, 32, 32, 2), "tanh", 32, "20 x PyTorch, at most 1.5 x compiled"),
    ((10, 25, 4), "tanh", 1, "50 x PyTorch, at most 1.5 x compiled"),
)
OURS = """\
y = x
for w, b, activation in layers:
    y = linear(y, w, b, activation)
loss = cross_entropy(y, labels)
model.zero_grad()
loss.backward()
optimizer.step(model)"""
LAYERS = """\
loss = criterion(model(x), labels)
zero_grad(parameters)
loss.backward()
optimizer.step(model)"""
COMPILED = """\
y = model.forward(x)
loss, gradient = criterion.loss_and_gradient(y, labels)
model.backward(gradient, False)
optimizer.step(model)"""
THEIRS = """\
y = x
for w, b, activation in layers:
    y = activation(torch.addmm(b, y, w))
loss = cross_entropy(y, labels)
loss.backward()
with no_grad():
    for p in parameters:
        p -= 0.01 * p.grad
        p.grad = None"""


def _steps(
    peers: Any, autodiff: Any, widths: tuple[int, ...], activation: str, rows: int, aim: str,
    pace: Any,
) -> Result:  # fmt: skip
    deepc, rng = peers.deepc, np.random.default_rng(0)
    x = rng.standard_normal((rows, widths[0])).astype(np.float32)
    labels = rng.integers(0, widths[-1], rows)
    shapes = list(itertools.pairwise(widths))
    weights = [rng.standard_normal(s).astype(np.float32) / np.float32(s[0] ** 0.5) for s in shapes]
    names = [activation] * (len(shapes) - 1) + [None]
    found = [
        _with_tensors(deepc, autodiff, x, labels, weights, names),
        *_with_layers(deepc, autodiff, x, labels, weights, activation),
    ]
    if peers.torch:
        found.append(_with_torch(peers.torch, x, labels, weights, activation))
    name = "-".join(map(str, widths))
    # The compiled network stands beside: what the ratio is about is the tape.
    return race(
        GROUP, f"a training step of {name}, batch {rows}", found, pace, 1e-3, aim_ratio=aim,
        beside=["deepc, compiled"],
    )  # fmt: skip


def _with_tensors(
    deepc: Any, autodiff: Any, x: Any, labels: Any, weights: list[Any], names: list[Any]
) -> Contestant:
    model = autodiff.Module()
    model.layers = [
        (autodiff.Parameter(w), autodiff.Parameter(np.zeros(w.shape[1], np.float32)), name)
        for w, name in zip(weights, names, strict=True)
    ]
    scope = {
        "x": autodiff.Tensor(x), "labels": labels, "layers": model.layers, "model": model,
        "linear": autodiff.linear, "cross_entropy": autodiff.cross_entropy,
        "optimizer": deepc.SGD(0.01),
    }  # fmt: skip
    return Contestant("deepc", OURS, scope, f"{OURS}\nloss.data")


def _with_layers(
    deepc: Any, autodiff: Any, x: Any, labels: Any, weights: list[Any], activation: str
) -> Iterator[Contestant]:
    for peer, code, data in (
        ("deepc, layers over Tensors", LAYERS, autodiff.Tensor(x)),
        ("deepc, compiled", COMPILED, x),
    ):
        layers: list[Any] = []
        for w in weights:
            layer = deepc.Linear(*w.shape)
            layer.w, layer.b = w.T, np.zeros(w.shape[1])
            layers += [layer, getattr(deepc, activation.capitalize())()]
        model = deepc.Sequential(layers[:-1])
        scope = {
            "x": data, "labels": labels, "model": model, "optimizer": deepc.SGD(0.01),
            "criterion": deepc.SoftmaxCrossEntropy("mean"), "zero_grad": autodiff.zero_grad,
            "parameters": autodiff.parameters(model),
        }  # fmt: skip
        value = "loss" if code == COMPILED else "loss.data"
        yield Contestant(peer, code, scope, f"{code}\n{value}")


def _with_torch(torch: Any, x: Any, labels: Any, weights: list[Any], activation: str) -> Contestant:
    between = getattr(torch, activation)
    last = len(weights) - 1
    layers = [
        (
            torch.tensor(w, requires_grad=True),
            torch.zeros(w.shape[1], requires_grad=True),
            between if i < last else (lambda y: y),
        )
        for i, w in enumerate(weights)
    ]
    scope = {
        "torch": torch, "x": torch.tensor(x), "labels": torch.tensor(labels), "layers": layers,
        "parameters": [p for w, b, _ in layers for p in (w, b)], "no_grad": torch.no_grad,
        "cross_entropy": torch.nn.functional.cross_entropy,
    }  # fmt: skip
    return Contestant("PyTorch", THEIRS, scope, f"{THEIRS}\nloss")


# ---- An equation ---------------------------------------------------------------------------------

PINN = """\
h = t
for i, (w, b) in enumerate(layers):
    h = linear(h, w, b)
    h = h if i == 2 else tanh(h)
(d,) = gradients(h.sum(), t)
(dd,) = gradients(d.sum(), t)
residual = dd + h
loss = (residual * residual).mean()
g = slopes(loss, parameters)"""


def _pinn(peers: Any, autodiff: Any, pace: Any) -> Result:
    rng = np.random.default_rng(0)
    shapes = ((1, 32), (32, 32), (32, 1))
    weights = [(rng.standard_normal(s) / s[0] ** 0.5, np.zeros(s[1])) for s in shapes]
    t = np.linspace(0, 3, 64)[:, None]

    def derivative(y: Any, x: Any) -> Any:
        return autodiff.gradients([y], [x], create_graph=True)

    layers = [tuple(autodiff.Parameter(a) for a in pair) for pair in weights]
    scope = {
        "t": autodiff.Tensor(t, True), "layers": layers, "linear": autodiff.linear,
        "tanh": autodiff.tanh, "gradients": derivative,
        "slopes": lambda y, xs: autodiff.gradients([y], xs, unused="zeros"),
        "parameters": [p for pair in layers for p in pair],
    }  # fmt: skip
    found = [Contestant("deepc", PINN, scope, f"{PINN}\n[*g]")]
    if torch := peers.torch:
        theirs = [tuple(torch.tensor(a, requires_grad=True) for a in pair) for pair in weights]
        scope = {
            "t": torch.tensor(t, requires_grad=True), "layers": theirs, "tanh": torch.tanh,
            "linear": lambda x, w, b: torch.addmm(b, x, w),
            "gradients": lambda y, x: torch.autograd.grad(y, x, create_graph=True),
            "slopes": lambda y, xs: torch.autograd.grad(
                y, xs, allow_unused=True, materialize_grads=True
            ),
            "parameters": [p for pair in theirs for p in pair],
        }  # fmt: skip
        found.append(Contestant("PyTorch", PINN, scope, f"{PINN}\n[*g]"))
    return race(
        GROUP, "a step of u'' + u = 0, 1-32-32-1, 64 points, float64", found, pace, 1e-10,
        aim_ratio="faster than PyTorch",
    )  # fmt: skip


# ---- The lesson ----------------------------------------------------------------------------------

LESSON = "for image, label in images:\n    loss = step(Scalar, model, image, label, 0.001)"


def _lesson(autodiff: Any, options: Any, pace: Any) -> Result:
    """A sample of the lesson's training: ours, its own classes on our Scalar, its own engine."""
    sys.path.append(str(TESTS))
    import plain_autodiff

    rng = np.random.default_rng(0)
    images = [(image, i % 10) for i, image in enumerate(rng.uniform(0, 1, (4, 784)))]
    found = []
    for peer, scalar, make in (
        ("deepc", autodiff.Scalar, autodiff.MLP),
        ("deepc, the lesson's classes", autodiff.Scalar, plain_autodiff.modules(autodiff.Scalar)),
        ("the lesson's engine", plain_autodiff.Scalar,
         plain_autodiff.modules(plain_autodiff.Scalar)),
    ):  # fmt: skip
        random.seed(0)
        scope = {
            "images": images, "Scalar": scalar, "model": make(784, [64, 32, 10]),
            "step": plain_autodiff.manual_step,
        }  # fmt: skip
        found.append(Contestant(peer, LESSON, scope, f"{LESSON}\nloss", len(images)))
    return race(
        GROUP, "a sample of the lesson, 784-64-32-10", found, pace, 1e-9,
        aim=3.0 / 2560, aim_ratio="1,000 x the lesson's engine",
    )  # fmt: skip
