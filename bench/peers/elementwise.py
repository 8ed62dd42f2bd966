"""Elementwise functions, softmax, losses and dropout, in the caches and out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from peers.race import FULL, QUICK, Contestant, Result, race
from peers.worker import aligned

SIZES = (10, 1_000, 4_096, 65_536, 16_777_216)
QUICK_SIZES = (10, 4_096, 65_536)


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results of all functions and sizes."""
    pace = QUICK if options.quick else FULL
    works: dict[str, Callable[[Any, Any], Iterator[Contestant]]] = {
        "exp": _exp, "log": _log, "tanh": _tanh, "sigmoid": _sigmoid, "relu": _relu,
        "softmax": _softmax, "tanh backward": _tanh_backward,
        "cross-entropy and gradient": _cross_entropy, "dropout": _dropout,
    }  # fmt: skip
    for size in QUICK_SIZES if options.quick else SIZES:
        for name, contestants in works.items():
            rng = np.random.default_rng(0)
            x = aligned(rng.uniform(0.01, 8, size).astype(np.float32))
            if name != "log":
                x -= 4
            case = f"{name}, {size:,} elements"
            # Dropout draws: nobody drops the same ones.
            tolerance = None if name == "dropout" else 1e-4
            yield race(
                "elementwise", case, list(contestants(peers, x)), pace, tolerance, items=size
            )


def _simple(
    peers: Any, x: Any, name: str, *, numpy: Any, torch: str, jax: str
) -> Iterator[Contestant]:
    """Yield the ways to a function of each element, into an array that is there where one can."""
    y = aligned(np.empty_like(x))
    yield Contestant("deepc", "f(x, y)", {"f": getattr(peers.deepc.kernels, name), "x": x, "y": y})
    if numpy:
        yield Contestant("NumPy", "f(x, y)", {"f": numpy, "x": x, "y": y})
    if peers.torch:
        names = {"f": getattr(peers.torch, torch), "x": peers.torch.from_numpy(x)}
        names["y"] = peers.torch.empty(x.shape)
        code = "f(x)" if torch == "relu" else "f(x, out=y)"
        yield Contestant("PyTorch", code, names, around=peers.torch.inference_mode)
    if peers.jax:
        names = {"f": peers.jax.jit(_attribute(peers.jax, jax)), "x": peers.jax.numpy.asarray(x)}
        yield Contestant("JAX", "f(x).block_until_ready()", names)


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def _exp(peers: Any, x: Any) -> Iterator[Contestant]:
    return _simple(peers, x, "exp", numpy=np.exp, torch="exp", jax="numpy.exp")


def _log(peers: Any, x: Any) -> Iterator[Contestant]:
    return _simple(peers, x, "log", numpy=np.log, torch="log", jax="numpy.log")


def _tanh(peers: Any, x: Any) -> Iterator[Contestant]:
    return _simple(peers, x, "tanh", numpy=np.tanh, torch="tanh", jax="numpy.tanh")


def _relu(peers: Any, x: Any) -> Iterator[Contestant]:
    yield from _simple(peers, x, "relu", numpy=None, torch="relu", jax="nn.relu")
    names = {"f": np.maximum, "x": x, "y": aligned(np.empty_like(x))}
    yield Contestant("NumPy", "f(x, 0, y)", names)


NUMPY_SIGMOID = """\
np.negative(x, y)
np.exp(y, y)
np.add(y, 1, y)
np.reciprocal(y, y)"""


def _sigmoid(peers: Any, x: Any) -> Iterator[Contestant]:
    yield from _simple(peers, x, "sigmoid", numpy=None, torch="sigmoid", jax="nn.sigmoid")
    y = aligned(np.empty_like(x))
    yield Contestant("NumPy", NUMPY_SIGMOID, {"np": np, "x": x, "y": y})
    if peers.scipy:
        yield Contestant("SciPy", "f(x, y)", {"f": peers.scipy.expit, "x": x, "y": y})


def _rows(x: Any) -> Any:
    return x[: x.size // 10 * 10].reshape(-1, 10)


NUMPY_SOFTMAX = """\
np.subtract(x, x.max(1, keepdims=True), y)
np.exp(y, y)
np.divide(y, y.sum(1, keepdims=True), y)"""


def _softmax(peers: Any, x: Any) -> Iterator[Contestant]:
    x = _rows(x)
    y = aligned(np.empty_like(x))
    yield Contestant("deepc", "f(x, y)", {"f": peers.deepc.kernels.softmax, "x": x, "y": y})
    yield Contestant("NumPy", NUMPY_SOFTMAX, {"np": np, "x": x, "y": y})
    if peers.scipy:
        yield Contestant("SciPy", "f(x, 1)", {"f": peers.scipy.softmax, "x": x})
    if torch := peers.torch:
        names = {"torch": torch, "x": torch.from_numpy(x), "y": torch.empty(x.shape)}
        yield Contestant(
            "PyTorch", "torch.softmax(x, 1, out=y)", names, around=torch.inference_mode
        )
    if jax := peers.jax:
        names = {"f": jax.jit(jax.nn.softmax), "x": jax.numpy.asarray(x)}
        yield Contestant("JAX", "f(x).block_until_ready()", names)


NUMPY_TANH_BACKWARD = """\
np.multiply(y, y, out)
np.subtract(1, out, out)
np.multiply(out, g, out)"""


def _tanh_backward(peers: Any, x: Any) -> Iterator[Contestant]:
    """Given tanh(x): deepc's way is the layer's, which includes its checks."""
    layer = peers.deepc.Tanh()
    y, g = layer.forward(x), np.cos(x)
    yield Contestant("deepc", "layer.backward(g)", {"layer": layer, "g": g})
    names = {"np": np, "y": y, "g": g, "out": aligned(np.empty_like(x))}
    yield Contestant("NumPy", NUMPY_TANH_BACKWARD, names)
    if torch := peers.torch:
        names = {
            "f": torch.ops.aten.tanh_backward,
            "y": torch.from_numpy(y.copy()),
            "g": torch.from_numpy(g),
        }
        yield Contestant("PyTorch", "f(g, y)", names, around=torch.inference_mode)
    if jax := peers.jax:
        names = {"f": jax.jit(lambda g, y: g * (1 - y * y))}
        names |= {"y": jax.numpy.asarray(y), "g": jax.numpy.asarray(g)}
        yield Contestant("JAX", "f(g, y).block_until_ready()", names)


NUMPY_CROSS_ENTROPY = """\
shifted = x - x.max(1, keepdims=True)
exps = np.exp(shifted)
sums = exps.sum(1, keepdims=True)
loss = float((np.log(sums)[:, 0] - (shifted * t).sum(1)).sum())
gradient = exps / sums - t
loss, gradient"""
TORCH_CROSS_ENTROPY = """\
logs = torch.log_softmax(x, 1)
loss = -(logs * t).sum()
gradient = logs.exp() - t
loss, gradient"""
OUR_CROSS_ENTROPY = """\
value = loss.loss(x, t)
gradient = loss.gradient(x, t)
value, gradient"""


def _cross_entropy(peers: Any, x: Any) -> Iterator[Contestant]:
    """The loss of logits in rows of 10 for one-hot targets, and its gradient."""
    x = _rows(x)
    t = np.eye(10, dtype=np.float32)[np.arange(len(x)) % 10]
    names = {"loss": peers.deepc.SoftmaxCrossEntropy(), "x": x, "t": t}
    yield Contestant("deepc", OUR_CROSS_ENTROPY, names)
    names = {"np": np, "x": x, "t": t}
    yield Contestant("NumPy", NUMPY_CROSS_ENTROPY, names)
    if torch := peers.torch:
        names = {"torch": torch, "x": torch.from_numpy(x), "t": torch.from_numpy(t)}
        yield Contestant("PyTorch", TORCH_CROSS_ENTROPY, names, around=torch.inference_mode)
    if jax := peers.jax:

        def loss(x: Any, t: Any) -> Any:
            return -(jax.nn.log_softmax(x) * t).sum()

        names = {"f": jax.jit(jax.value_and_grad(loss)), "jax": jax}
        names |= {"x": jax.numpy.asarray(x), "t": jax.numpy.asarray(t)}
        yield Contestant("JAX", "jax.block_until_ready(f(x, t))", names)


def _dropout(peers: Any, x: Any) -> Iterator[Contestant]:
    layer = peers.deepc.Dropout(0.25, rng=0)
    yield Contestant("deepc", "layer.forward(x)", {"layer": layer, "x": x})
    names = {"random": np.random.default_rng(0).random, "np": np, "x": x}
    yield Contestant("NumPy", "x * (random(x.shape, np.float32) >= 0.25)", names)
    if torch := peers.torch:
        names = {"f": torch.nn.functional.dropout, "x": torch.from_numpy(x)}
        yield Contestant("PyTorch", "f(x, 0.25)", names, around=torch.inference_mode)
    if jax := peers.jax:

        def drop(key: Any, x: Any) -> tuple[Any, Any]:
            key, now = jax.random.split(key)
            return key, jax.numpy.where(jax.random.bernoulli(now, 0.75, x.shape), x, 0)

        names = {"f": jax.jit(drop), "x": jax.numpy.asarray(x), "kept": [jax.random.key(0)]}
        code = "kept[0], y = f(kept[0], x)\ny.block_until_ready()"
        yield Contestant("JAX", code, names)
