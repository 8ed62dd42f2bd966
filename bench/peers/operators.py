"""Every operation of the tape, forward and back, beside PyTorch's: the mean ratio, the slowest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from peers.race import Contestant, Result, race

# Ours and theirs. x, y: n x n between 0.5 and 1.5; row, column: of them; w, b: n x n and n;
# ones: like x, without a gradient; half: into how many parts n can be split; f, F: PyTorch's
# functions and those for networks. Where theirs is "", it is written like ours.
OPERATIONS = {
    "+": ("x + y", ""), "-": ("x - y", ""), "*": ("x * y", ""), "/": ("x / y", ""),
    "neg": ("-x", ""), "+ number": ("x + 2.0", ""), "number /": ("2.0 / x", ""),
    "* row": ("x * row", ""), "* column": ("x * column", ""), "row + column": ("row + column", ""),
    "**": ("x ** y", ""), "** 2": ("x ** 2", ""), "** 1.7": ("x ** 1.7", ""),
    "exp": ("f.exp(x)", ""), "log": ("f.log(x)", ""), "sqrt": ("f.sqrt(x)", ""),
    "abs": ("f.abs(x)", ""), "sin": ("f.sin(x)", ""), "cos": ("f.cos(x)", ""),
    "tanh": ("f.tanh(x)", ""), "sigmoid": ("f.sigmoid(x)", ""), "relu": ("f.relu(x)", ""),
    "softplus": ("f.softplus(x)", "F.softplus(x)"), "silu": ("f.silu(x)", "F.silu(x)"),
    "gelu": ("f.gelu(x)", "F.gelu(x)"), "elu": ("f.elu(x)", "F.elu(x)"),
    "leaky_relu": ("f.leaky_relu(x)", "F.leaky_relu(x)"),
    "where": ("f.where(mask, x, y)", ""), "maximum": ("f.maximum(x, y)", ""),
    "minimum": ("f.minimum(x, y)", ""), "clip": ("f.clip(x, 0.7, 1.2)", ""),
    "sum": ("f.sum(x)", ""), "sum 0": ("f.sum(x, 0)", ""), "sum 1": ("f.sum(x, 1)", ""),
    "mean": ("f.mean(x)", ""), "mean 1": ("f.mean(x, 1)", ""),
    "var": ("f.var(x, 1)", "f.var(x, 1, correction=0)"),
    "std": ("f.std(x, 1)", "f.std(x, 1, correction=0)"), "norm": ("f.norm(x)", ""),
    "max": ("f.max(x)", ""), "max 1": ("f.max(x, 1)", "f.amax(x, 1)"),
    "min 1": ("f.min(x, 1)", "f.amin(x, 1)"), "prod 1": ("f.prod(x, 1)", ""),
    "softmax": ("f.softmax(x, 1)", ""), "log_softmax": ("f.log_softmax(x, 1)", ""),
    "logsumexp": ("f.logsumexp(x, 1)", ""), "reshape": ("f.reshape(x, (-1,))", ""),
    "flatten": ("f.flatten(x)", ""), "transpose": ("x.T", ""),
    "moveaxis": ("f.moveaxis(x, 0, 1)", ""), "broadcast_to": ("f.broadcast_to(row, x.shape)", ""),
    "expand_dims": ("f.expand_dims(x, 1)", "f.unsqueeze(x, 1)"),
    "squeeze": ("f.squeeze(row, 0)", ""), "[i]": ("x[0]", ""), "[:, a:b]": ("x[:, 0:1]", ""),
    "[list]": ("x[index]", ""), "put": ("f.put(x, 0, b)", "f.select_scatter(x, b, 0, 0)"),
    "concatenate": ("f.concatenate([x, y], 1)", ""), "stack": ("f.stack([x, y])", ""),
    "split": ("f.split(x, half)[0]", "f.tensor_split(x, half)[0]"),
    "astype": ("f.astype(x, 'float64')", "x.to(f.float64)"),
    "@": ("x @ w", ""), "@ vector": ("x @ b", ""),
    "linear": ("f.linear(x, w, b)", "f.addmm(b, x, w)"),
    "linear, tanh": ("f.linear(x, w, b, 'tanh')", "f.tanh(f.addmm(b, x, w))"),
    "cross_entropy": ("f.cross_entropy(x, labels)", "F.cross_entropy(x, labels)"),
    "squared_error": ("f.squared_error(x, ones, 'sum')", "F.mse_loss(x, ones, reduction='sum')"),
    "dropout": ("f.dropout(x, 0.5)", "F.dropout(x, 0.5)"),
}  # fmt: skip
# Not the same numbers: random; of one element without a slope in PyTorch (nan, where ours is 0).
UNLIKE = {("dropout", 1), ("dropout", 64), ("dropout", 4096), ("std", 1)}
LEAVES = ("x", "y", "row", "column", "w", "b")
BACK = "z = {}\nz.backward(seed)"
CHECK = """\
for leaf in leaves: leaf.grad = None
{}
[z, *[leaf.grad for leaf in leaves if leaf.grad is not None]]"""


def run(torch: Any, autodiff: Any, group: str, pace: Any) -> Iterator[Result]:
    """Yield, for each number of elements, the geometric means and the operation least ahead."""
    for size in (1, 64, 4096):
        found = {name: _race(torch, autodiff, group, name, size, pace) for name in OPERATIONS}
        times = {name: (r.least["deepc"], r.least["PyTorch"]) for name, r in found.items()
                 if len(r.least) == 2}  # fmt: skip
        means = [math.exp(sum(map(math.log, column)) / len(times))
                 for column in zip(*times.values(), strict=True)]  # fmt: skip
        least = dict(zip(("deepc", "PyTorch"), means, strict=True))
        elements = f"{size} element{'s' * (size > 1)}"
        yield Result(
            group, f"{len(times)} operations on {elements}, geometric mean", least, least,
            {}, {"operations": times, "aim_ratio": "faster than PyTorch"},
        )  # fmt: skip
        slowest = min(times, key=lambda name: times[name][1] / times[name][0])
        worst = found[slowest]
        worst.case = f"least ahead of them: {slowest}"
        yield worst


def _race(torch: Any, autodiff: Any, group: str, name: str, size: int, pace: Any) -> Result:
    ours, theirs = OPERATIONS[name]
    contestants = []
    for peer, expression, scope in (
        ("deepc", ours, _ours(autodiff, size)),
        ("PyTorch", theirs or ours, _theirs(torch, size)),
    ):
        z = eval(expression, scope)
        scope["seed"] = scope["make"](np.ones(tuple(z.shape)))
        if "float64" in expression:
            scope["seed"] = scope["make"](np.ones(tuple(z.shape)), "float64")
        code = BACK.format(expression)
        contestants.append(Contestant(peer, code, scope, CHECK.format(code)))
    tolerance = None if (name, size) in UNLIKE else 1e-4
    return race(group, f"{name}, {size}", contestants, pace, tolerance)


def _arrays(size: int) -> dict[str, Any]:
    rng, n = np.random.default_rng(0), math.isqrt(size)
    shapes = {"x": (n, n), "y": (n, n), "row": (1, n), "column": (n, 1), "w": (n, n), "b": (n,)}
    return {name: rng.uniform(0.5, 1.5, shape) for name, shape in shapes.items()}


def _ours(autodiff: Any, size: int) -> dict[str, Any]:
    arrays = _arrays(size)
    scope: dict[str, Any] = {
        name: autodiff.Tensor(array.astype(np.float32), True) for name, array in arrays.items()
    }
    scope["make"] = lambda array, dtype="float32": array.astype(dtype)
    return {**scope, **_rest(autodiff, scope, size, np.asarray)}


def _theirs(torch: Any, size: int) -> dict[str, Any]:
    scope: dict[str, Any] = {
        name: torch.tensor(array, dtype=torch.float32, requires_grad=True)
        for name, array in _arrays(size).items()
    }
    scope["make"] = lambda array, dtype="float32": torch.tensor(array, dtype=getattr(torch, dtype))
    return {**scope, **_rest(torch, scope, size, torch.tensor), "F": torch.nn.functional}


def _rest(functions: Any, scope: dict[str, Any], size: int, array: Any) -> dict[str, Any]:
    n, arrays = math.isqrt(size), _arrays(size)
    return {
        "f": functions, "leaves": [scope[name] for name in LEAVES], "half": 2 if n > 1 else 1,
        "mask": array(arrays["x"] > arrays["y"]), "index": array([0] * n),
        "labels": array(np.arange(n) % n), "ones": scope["make"](np.ones((n, n))),
    }  # fmt: skip
