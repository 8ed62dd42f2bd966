"""What the results should be, by other means: NumPy in float64 or wider, and Python's integers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import mpmath
import numpy as np

# ---- Errors --------------------------------------------------------------------------------------


def roundoff(dtype: Any) -> float:
    """Return the largest relative error of one rounding."""
    return float(np.finfo(dtype).eps) / 2


def ulps(got: Any, exact: Any, rest: Any = 0.0) -> Any:
    """Return |got - (exact + rest)| in units of the last place of the exact result in got's dtype.

    `exact` is float64; for float64 results `rest` adds what does not fit in it. Where both are the
    same infinity or both NaN, the error is 0; where only one is not finite, it is infinite.
    """
    exact = np.asarray(exact, np.float64)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        error = np.abs((got.astype(np.float64) - exact) - rest) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(np.isfinite(rounded) & np.isfinite(got), error, np.where(same, 0.0, np.inf))


def precise(function: str, x: Any) -> tuple[Any, Any]:
    """Return a function of mpmath at each element: the nearest float64 and what is missing."""
    exact = {
        "exp": mpmath.exp,
        "log": mpmath.log,
        "tanh": mpmath.tanh,
        "sigmoid": lambda t: 1 / (1 + mpmath.exp(-t)),
    }[function]
    first, rest = np.empty(len(x)), np.empty(len(x))
    with mpmath.workprec(160):
        for i, t in enumerate(x.tolist()):
            value = exact(mpmath.mpf(t))
            first[i] = float(value)
            rest[i] = float(value - mpmath.mpf(first[i])) if np.isfinite(first[i]) else 0.0
    return first, rest


# ---- Matrix products -----------------------------------------------------------------------------


def product(a: Any, b: Any, dtype: Any) -> tuple[Any, Any]:
    """Return a b, computed wider than `dtype`, and how far a product in `dtype` may be from it.

    A block of at most 256 terms is a chain of fused multiply-adds, one rounding each; adding the
    blocks is at most one more rounding for each of them. With n roundings on the way of a term and
    unit roundoff u the error is at most n u / (1 - n u) times |a| |b| (Higham, Accuracy and
    Stability of Numerical Algorithms, 3.1). A build without fused multiply-add rounds twice a term.
    A term may underflow: then it is off by a unit of the smallest number. The reference's own error
    has the same bound with its own u.
    """
    wide = np.float64 if dtype == np.float32 else np.longdouble
    a, b = np.asarray(a).astype(wide), np.asarray(b).astype(wide)
    k = a.shape[-1]
    n = 2 * (min(k, 256) + -(-k // 256))
    bound = np.zeros(())
    for u in (roundoff(dtype), roundoff(wide)):
        bound = bound + n * u / (1 - n * u) * (np.abs(a) @ np.abs(b))
    return a @ b, bound + k * float(np.finfo(dtype).smallest_subnormal)


def fma32(a: Any, b: Any, c: Any) -> Any:
    """Return a b + c in float32 with one rounding.

    The product of two float32 is exact in float64. Their sum with c is rounded to odd there: if it
    is not exact, the last bit is set. With more than 24 + 2 bits, rounding that to float32 is then
    the same as rounding the exact sum (Boldo and Melquiond, Emulation of FMA and correctly rounded
    sums, 2008).
    """
    ab, c = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = ab + c
    part = total - ab
    lost = (ab - (total - part)) + (c - part)
    even = total.view(np.int64) & 1 == 0
    # Toward the exact sum: away from zero if what is lost has the sign of the sum.
    step = np.where((lost > 0) == (total > 0), 1, -1)
    odd = np.where((lost != 0) & even, total.view(np.int64) + step, total.view(np.int64))
    return odd.view(np.float64).astype(np.float32)


def chain_product(a: Any, b: Any) -> Any:
    """Return a b in float32 with the operations that the documentation promises, in their order."""
    (m, k), n = a.shape, b.shape[1]
    total = np.zeros((m, n), np.float32)
    for start in range(0, k, 256):
        block = np.zeros((m, n), np.float32)
        for p in range(start, min(start + 256, k)):
            block = fma32(a[:, p, None], b[None, p, :], block)
        total = block if start == 0 else total + block
    return total


# ---- Softmax and losses --------------------------------------------------------------------------


def softmax(x: Any) -> Any:
    """Return the softmax of each row in float64."""
    x = np.asarray(x, np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(predicted: Any, targets: Any) -> float:
    """Return the sum over the rows of -target log softmax(predicted)."""
    x, t = np.asarray(predicted, np.float64), np.asarray(targets, np.float64)
    shifted = x - x.max(-1, keepdims=True)
    terms = t * (np.log(np.exp(shifted).sum(-1, keepdims=True)) - np.where(t == 0, 0.0, shifted))
    return float(terms.sum())


def one_hot(labels: Any, classes: int) -> Any:
    """Return a row for each label, 1 at its place."""
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1
    return rows


# ---- Networks ------------------------------------------------------------------------------------

FORWARD: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.where(x > 0, x, 0.0),
}
DERIVATIVE: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y > 0) * 1.0,
}


class Network:
    """A network in float64: each layer is (w, b) with w as outputs x inputs, a name, or a factor.

    A factor, an array, multiplies its input: what dropout does with its mask.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """Return the output for a batch."""
        self.values = [np.asarray(x, np.float64)]
        for layer in self.layers:
            x = self.values[-1]
            if isinstance(layer, tuple):
                x = x @ np.asarray(layer[0], np.float64).T + np.asarray(layer[1], np.float64)
            else:
                x = FORWARD[layer](x) if isinstance(layer, str) else x * layer
            self.values.append(x)
        return self.values[-1]

    def backward(self, gradient: Any) -> tuple[list[Any], Any]:
        """Return the gradients of all parameters, and that of the input."""
        gradient = np.asarray(gradient, np.float64)
        grads: list[Any] = []
        for i in reversed(range(len(self.layers))):
            layer, x, y = self.layers[i], self.values[i], self.values[i + 1]
            if isinstance(layer, tuple):
                grads[:0] = [gradient.T @ x, gradient.sum(0)]
                gradient = gradient @ np.asarray(layer[0], np.float64)
            elif isinstance(layer, str):
                gradient = DERIVATIVE[layer](y) * gradient
            else:
                gradient = gradient * layer
        return grads, gradient


def finite_differences(f: Callable[[], float], x: Any, step: float = 1e-6) -> Any:
    """Return the gradient of f for a float64 array that f reads, by central differences."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        before = x[place]
        x[place] = before + step
        above = f()
        x[place] = before - step
        below = f()
        x[place] = before
        gradient[place] = (above - below) / (2 * step)
    return gradient


# ---- Update rules --------------------------------------------------------------------------------


class Rule:
    """One update rule of deepc_api.h in float64, by its formula."""

    # The formula of each rule: from the settings, the state of a parameter, p and g to the new p.
    FORMULAS: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init__(self, name: str, **settings: Any) -> None:
        self.name, self.t = name, 0
        self.settings = {
            "learning_rate": 0.1, "momentum": 0.0, "decay": 0.0, "epsilon": 0.0,
            "weight_decay": 0.0, "dampening": 0.0, "momentum_decay": 1.0, "initial": 0.0,
            "nesterov": False, "rate_inside": False, "epsilon_inside": False, "amsgrad": False,
            "centered": False, "maximize": False, "decoupled": name == "adamw", **settings,
        }  # fmt: skip
        self.product = 1.0
        self.kept: list[dict[str, Any]] = []

    @property
    def lr(self) -> float:
        return self.settings["learning_rate"]

    @lr.setter
    def lr(self, value: float) -> None:
        self.settings["learning_rate"] = value

    @property
    def first(self) -> list[Any]:
        return [kept["u"] for kept in self.kept]

    @property
    def second(self) -> list[Any]:
        return [kept["s"] for kept in self.kept]

    def mu(self, t: int) -> float:
        """Nadam's momentum of a step."""
        o = self.settings
        return o["momentum"] * (1 - 0.5 * 0.96 ** (t * o["momentum_decay"]))

    def step(self, params: Sequence[Any], grads: Iterable[Any]) -> list[Any]:
        """Return the parameters after one step."""
        if not self.kept:
            self.kept = [
                {"u": np.zeros(p.shape), "s": np.full(p.shape, self.settings["initial"]), "w": 0.0}
                for p in params
            ]
        self.t += 1
        self.product *= self.mu(self.t)
        return [
            self._one(kept, np.asarray(p, np.float64), np.asarray(g, np.float64))
            for kept, p, g in zip(self.kept, params, grads, strict=True)
        ]

    def _one(self, kept: dict[str, Any], p: Any, g: Any) -> Any:
        o = self.settings
        if o["maximize"]:
            g = -g
        if o["decoupled"]:
            p = p - o["learning_rate"] * o["weight_decay"] * p
        else:
            g = g + o["weight_decay"] * p
        return self.FORMULAS[self.name](self, o, kept, p, g)


def _velocity(rule: Rule, o: Any, kept: Any, p: Any, d: Any, damped: float = 1.0) -> Any:
    if o["momentum"] == 0:
        return p - o["learning_rate"] * d
    d = d * (o["learning_rate"] if o["rate_inside"] else 1)
    kept["u"] = o["momentum"] * kept["u"] + damped * d
    step = d + o["momentum"] * kept["u"] if o["nesterov"] else kept["u"]
    return p - step * (1 if o["rate_inside"] else o["learning_rate"])


def _sgd(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    return _velocity(rule, o, kept, p, g, 1 - o["dampening"] if rule.t > 1 else 1.0)


def _average(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    kept["u"] = o["momentum"] * kept["u"] + (1 - o["momentum"]) * g
    return p - o["learning_rate"] * kept["u"]


def _rooted(o: Any, square: Any) -> Any:
    if o["epsilon_inside"]:
        return np.sqrt(square + o["epsilon"])
    return np.sqrt(square) + o["epsilon"]


def _rmsprop(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    kept["s"] = o["decay"] * kept["s"] + (1 - o["decay"]) * g * g
    square = kept["s"]
    if o["centered"]:
        kept["w"] = o["decay"] * kept["w"] + (1 - o["decay"]) * g
        square = np.maximum(square - kept["w"] ** 2, 0)
    return _velocity(rule, o, kept, p, g / _rooted(o, square))


def _adagrad(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    kept["s"] = kept["s"] + g * g
    return p - o["learning_rate"] * g / _rooted(o, kept["s"])


def _adam(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    b1, b2, t = o["momentum"], o["decay"], rule.t
    kept["u"] = b1 * kept["u"] + (1 - b1) * g
    kept["s"] = b2 * kept["s"] + (1 - b2) * g * g
    square = kept["s"]
    if o["amsgrad"]:
        square = kept["w"] = np.maximum(kept["w"], square)
    mean = kept["u"] / (1 - b1**t)
    if rule.name == "nadam":
        now, later = rule.mu(t), rule.mu(t + 1)
        mean = later * kept["u"] / (1 - rule.product * later) + (1 - now) * g / (1 - rule.product)
    if o["epsilon_inside"]:
        return p - o["learning_rate"] * mean * np.sqrt(1 - b2**t) / (np.sqrt(square) + o["epsilon"])
    return p - o["learning_rate"] * mean / (np.sqrt(square / (1 - b2**t)) + o["epsilon"])


def _adadelta(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    kept["s"] = o["decay"] * kept["s"] + (1 - o["decay"]) * g * g
    d = g * np.sqrt(kept["u"] + o["epsilon"]) / np.sqrt(kept["s"] + o["epsilon"])
    kept["u"] = o["decay"] * kept["u"] + (1 - o["decay"]) * d * d
    return p - o["learning_rate"] * d


def _adamax(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    inside, outside = (o["epsilon"], 0.0) if o["epsilon_inside"] else (0.0, o["epsilon"])
    kept["u"] = o["momentum"] * kept["u"] + (1 - o["momentum"]) * g
    kept["s"] = np.maximum(o["decay"] * kept["s"], np.abs(g) + inside)
    rate = o["learning_rate"] / (1 - o["momentum"] ** rule.t)
    return p - rate * kept["u"] / (kept["s"] + outside)


def _lion(rule: Rule, o: Any, kept: Any, p: Any, g: Any) -> Any:
    sign = np.sign(o["momentum"] * kept["u"] + (1 - o["momentum"]) * g)
    kept["u"] = o["decay"] * kept["u"] + (1 - o["decay"]) * g
    return p - o["learning_rate"] * sign


Rule.FORMULAS = {
    "gradient_descent": lambda rule, o, kept, p, g: p - o["learning_rate"] * g,
    "momentum": _average, "sgd": _sgd, "rmsprop": _rmsprop, "adam": _adam, "adamw": _adam,
    "adagrad": _adagrad, "adadelta": _adadelta, "adamax": _adamax, "nadam": _adam, "lion": _lion,
}  # fmt: skip


# ---- Random numbers ------------------------------------------------------------------------------


def philox(key: int, counter: int, blocks: int, start: int = 0) -> Any:
    """Return the words of some blocks of a stream of Philox4x32-10, in Python's integers.

    The low half of the 128-bit counter is the block's number, the high half the stream's.
    """
    low, words = 2**32 - 1, []
    for block in range(start, start + blocks):
        c = [block & low, block >> 32, counter & low, counter >> 32]
        k = [key & low, key >> 32]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(q >> 32) ^ c[1] ^ k[0], q & low, (p >> 32) ^ c[3] ^ k[1], p & low]
            k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
        words += c
    return np.array(words, np.uint64)


# ---- The same bits -------------------------------------------------------------------------------


def digest(*values: Any) -> str:
    """Return a hash of the bits of numbers and arrays, and of their shapes."""
    result = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        result.update(f"{array.dtype} {array.shape} ".encode())
        result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()[:16]


def inside_guards(array: Any, offset: int = 1) -> tuple[Any, Callable[[], bool]]:
    """Return a copy, `offset` elements after a cache line, amid bytes that must not change.

    The second result tells whether those are untouched.
    """
    array = np.asarray(array)
    pad = 64
    memory = np.full(array.nbytes + (2 * pad + offset) * array.itemsize + 64, 0xA5, np.uint8)
    line = -memory.__array_interface__["data"][0] % 64
    start = line + (pad + offset) * array.itemsize
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array

    def untouched() -> bool:
        end = start + array.nbytes
        return bool((memory[:start] == 0xA5).all() and (memory[end:] == 0xA5).all())

    return copy, untouched
