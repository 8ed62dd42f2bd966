"""The exact replay: the chapter's arithmetic, bit for bit, and its order of random numbers.

After ``from deepc.book import *`` the same ``random.seed`` gives the chapter's initial weights,
dropout masks and every number after them, so its training runs end where the chapter's do. Some of
them are chaotic: a last bit that differs in the first epoch is another accuracy in the last. So
this computes in float64, adds up from the left, rounds each product and each sum by itself, and
takes exp from ``math``. What is not here does not differ, and is that of `deepc`. It is for
comparing; `deepc` itself is far faster.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from deepc import activations, layers, losses, optimizers
from deepc._values import FLOAT64, Array, as_array, as_int
from deepc.activations import Relu
from deepc.layers import Layer, Sequential
from deepc.losses import SSE, Loss
from deepc.optimizers import Optimizer
from deepc.shipping.files import load_weights, save_weights
from deepc.tensor import (
    Tensor,
    argmax,
    is_1d,
    one_hot_encode,
    shape,
    tensor_apply,
    tensor_combine,
    tensor_sum,
    zeros_like,
)

__all__ = [
    "SSE",
    "Dropout",
    "GradientDescent",
    "Layer",
    "Linear",
    "Loss",
    "Momentum",
    "Optimizer",
    "Relu",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "Tensor",
    "argmax",
    "dot",
    "inverse_normal_cdf",
    "is_1d",
    "load_weights",
    "normal_cdf",
    "one_hot_encode",
    "random_normal",
    "random_tensor",
    "random_uniform",
    "save_weights",
    "shape",
    "sigmoid",
    "softmax",
    "tanh",
    "tensor_apply",
    "tensor_combine",
    "tensor_sum",
    "zeros_like",
]


def _added(rows: Array) -> Any:
    """Return the sum of the rows of a C-contiguous array, added one after the other."""
    # NumPy adds whole rows in their order, but in pairs what lies side by side.
    return np.add.reduce(rows, 0) if rows[0].size > 1 else np.add.accumulate(rows, 0)[-1]


def _product(a: Array, b: Array) -> Array:
    return np.multiply(a, b, order="C")


def _columns(x: Array) -> Array:
    """Return the last dimension as the first."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 0))


def _like(given: Any, result: Array) -> Any:
    return result.tolist() if isinstance(given, list) else result


# ---- Functions -----------------------------------------------------------------------------------


def sigmoid(t: float) -> float:
    """Return 1 / (1 + exp(-t)).

    Examples
    --------
    >>> sigmoid(0)
    0.5
    """
    # Where exp(-t) is too large for a float, the 1 beside it is nothing.
    return 1 / (1 + math.exp(-t)) if t > -700 else math.exp(t)


def tanh(x: float) -> float:
    """Return (1 - exp(-2x)) / (1 + exp(-2x)).

    Examples
    --------
    >>> tanh(0), tanh(1000)
    (0.0, 1.0)
    """
    if not -100 <= x <= 100:
        return math.copysign(1.0, x) if x == x else x
    e = math.exp(-2 * x)
    return (1 - e) / (1 + e)


def softmax(tensor: Tensor) -> Tensor:
    """Return exp(x) divided by its sum along the last dimension.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    [0.5, 0.5]
    """
    x = as_array(tensor, "tensor", FLOAT64)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"tensor: expected at least one element a row, got shape {x.shape}")
    powers: Any = tensor_apply(math.exp, x - x.max(-1, keepdims=True))
    result: Tensor = _like(tensor, powers / _added(_columns(powers))[..., None])
    return result


def dot(v: Tensor, w: Tensor) -> float:
    """Return ``v[0] * w[0] + v[1] * w[1] + ...``, added up in that order.

    Examples
    --------
    >>> dot([1, 2, 3], [4, 5, 6])
    32.0
    """
    products = tensor_combine(operator.mul, v, w)
    if not is_1d(products):
        raise ValueError(f"v and w: expected vectors, got shape {shape(products)}")
    terms = as_array(products, "v and w", FLOAT64)
    return float(_added(terms)) if terms.size else 0.0


def normal_cdf(x: float, mu: float = 0, sigma: float = 1) -> float:
    """Return the probability of at most `x` in a normal distribution, from the error function.

    Examples
    --------
    >>> normal_cdf(0)
    0.5
    """
    return (1 + math.erf((x - mu) / math.sqrt(2) / sigma)) / 2


def inverse_normal_cdf(
    p: float, mu: float = 0, sigma: float = 1, tolerance: float = 0.00001
) -> float:
    """Return about the x at which `normal_cdf` is `p`: where bisection of [-10, 10] ends.

    Parameters
    ----------
    p : float
    mu, sigma : float, optional
        The mean and the standard deviation.
    tolerance : float, optional
        Bisection ends when the bracket is no wider.

    Examples
    --------
    >>> inverse_normal_cdf(0.975)
    1.9599628448486328
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance: expected a number above 0, got {tolerance}")
    middle, width = 0.0, 20.0
    while True:
        is_below = normal_cdf(middle) < p
        width /= 2
        if width <= tolerance:
            return mu + sigma * middle
        middle += width / 2 if is_below else -width / 2


# ---- Random tensors ------------------------------------------------------------------------------


def random_uniform(*dims: int) -> list[Any]:
    """Return nested lists of ``random.random()``, in their order.

    Examples
    --------
    >>> random.seed(0)
    >>> random_uniform(2)
    [0.8444218515250481, 0.7579544029403025]
    """
    return _filled(dims, random.random)


def random_normal(*dims: int, mean: float = 0.0, variance: float = 1.0) -> list[Any]:
    """Return nested lists of normal numbers, in the order of ``random.random()``.

    As in the chapter's code, `variance` is what a standard normal number is multiplied by.

    Examples
    --------
    >>> random.seed(0)
    >>> random_normal(2)
    [1.0127925872802734, 0.6997394561767578]
    """
    return _filled(dims, lambda: mean + variance * inverse_normal_cdf(random.random()))


def random_tensor(*dims: int, init: str = "normal") -> list[Any]:
    """Return `random_normal` numbers, `random_uniform` ones, or ``"xavier"`` ones.

    The latter are normal, with 2 / (inputs + outputs) for `variance`.

    Examples
    --------
    >>> random.seed(0)
    >>> random_tensor(1, 1, init="xavier")
    [[1.0127925872802734]]
    """
    if init == "normal":
        return random_normal(*dims)
    if init == "uniform":
        return random_uniform(*dims)
    if init == "xavier":
        return random_normal(*dims, variance=len(dims) / sum(dims))
    raise ValueError(f"init: expected 'normal', 'uniform' or 'xavier', got {init!r}")


def _filled(dims: tuple[int, ...], draw: Callable[[], float]) -> list[Any]:
    if not dims:
        raise ValueError("dims: expected at least one size, got none")
    size = as_int(dims[0], "dims", least=1)
    return [_filled(dims[1:], draw) if dims[1:] else draw() for _ in range(size)]


# ---- Layers --------------------------------------------------------------------------------------


class Linear(layers.Linear):
    """A layer of neurons in float64 that starts with the chapter's weights and biases.

    Parameters
    ----------
    input_dim : int
        Number of inputs.
    output_dim : int
        Number of neurons.
    init : {"xavier", "normal", "uniform"}, optional
        How weights and biases start; see `random_tensor`.

    Examples
    --------
    >>> random.seed(0)
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.b
    (array([[1.01279259]]), array([0.69973946]))
    """

    _input: Array | None = None

    def __init__(self, input_dim: int, output_dim: int, init: str = "xavier") -> None:
        super().__init__(input_dim, output_dim, init, dtype="float64")

    def _drawn(self, shape: tuple[int, ...], init: str, rng: Any, dtype: np.dtype[Any]) -> Array:
        return np.asarray(random_tensor(*shape, init=init))

    def forward(self, input: Any) -> Any:
        """Return the weighted sums for one sample (1-D) or a batch (2-D)."""
        x = as_array(input, "input", FLOAT64)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_dim or x.size == 0:
            raise ValueError(f"input: expected {self.input_dim} columns, got shape {x.shape}")
        self._input = x
        # inputs x outputs, or inputs x samples x outputs
        weights = self.w.T if x.ndim == 1 else self.w.T[:, None]
        output: Tensor = _like(input, _added(_product(x.T[..., None], weights)) + self.b)
        return output

    def backward(self, gradient: Any) -> Any:
        """Return the gradient of the last input; store those of w and b, summed over a batch."""
        x, d_y = self._input, as_array(gradient, "gradient", FLOAT64)
        if x is None:
            raise RuntimeError("backward: call forward first")
        expected = (*x.shape[:-1], self.output_dim)
        if d_y.shape != expected:
            raise ValueError(f"gradient: expected shape {expected}, got {d_y.shape}")
        d_w = _product(x[..., :, None], d_y[..., None, :])
        self.w_grad.T[...], self.b_grad[...] = (
            (d_w, d_y) if x.ndim == 1 else (_added(d_w), _added(d_y))
        )
        # outputs x inputs, or outputs x samples x inputs
        weights = self.w if x.ndim == 1 else self.w[:, None]
        d_x: Tensor = _like(gradient, _added(_product(d_y.T[..., None], weights)))
        return d_x


class Sigmoid(activations.Sigmoid):
    """The chapter's `sigmoid` of each input."""

    def forward(self, input: Any) -> Any:
        """Return the outputs."""
        self.sigmoids = tensor_apply(sigmoid, input)
        return self.sigmoids

    def backward(self, gradient: Any) -> Any:
        """Return the gradient of the last input."""
        return tensor_combine(lambda s, d: s * (1 - s) * d, self.sigmoids, gradient)


class Tanh(activations.Tanh):
    """The chapter's `tanh` of each input."""

    def forward(self, input: Any) -> Any:
        """Return the outputs."""
        self.tanh = tensor_apply(tanh, input)
        return self.tanh

    def backward(self, gradient: Any) -> Any:
        """Return the gradient of the last input."""
        return tensor_combine(lambda t, d: (1 - t**2) * d, self.tanh, gradient)


class Dropout(layers.Dropout):
    """`deepc.Dropout` whose masks come from ``random.random()``, one number an element.

    Parameters
    ----------
    p : float
        The probability of dropping an input, 0 to 1.

    Attributes
    ----------
    p : float
    train : bool
    mask : list or ndarray
        1 where the last training pass kept an input, 0 where it dropped it.

    Examples
    --------
    >>> random.seed(0)
    >>> Dropout(0.5).forward([1.0, 2.0, 3.0])
    [1.0, 2.0, 0.0]
    """

    mask: Any = None

    def __init__(self, p: float) -> None:
        # The key of the library's own stream is not used; drawing one would move random's.
        super().__init__(p, rng=0)

    def forward(self, input: Any) -> Any:
        """Return the input with some elements dropped; outside training all of it, times 1 - p."""
        if not self.train:
            return tensor_apply(lambda x: x * (1 - self.p), input)
        self.mask = tensor_apply(lambda _: 0 if random.random() < self.p else 1, input)
        return tensor_combine(operator.mul, input, self.mask)

    def backward(self, gradient: Any) -> Any:
        """Return the gradient where the last training pass kept the input, else 0."""
        if not self.train:
            raise RuntimeError("backward: a Dropout layer needs train = True")
        if self.mask is None:
            raise RuntimeError("backward: call forward first")
        return tensor_combine(operator.mul, gradient, self.mask)


# ---- Losses and optimizers -----------------------------------------------------------------------


class SoftmaxCrossEntropy(losses.SoftmaxCrossEntropy):
    """`deepc.SoftmaxCrossEntropy` with the chapter's `softmax` and 1e-30 in its logarithm."""

    _shown = ("reduction",)

    def __init__(self, reduction: str = "sum") -> None:
        super().__init__(reduction)

    def _probabilities(
        self, predicted: Tensor, actual: Any, sample_weight: Any
    ) -> tuple[Array, Array, Any, float]:
        """Return probabilities, targets, the weights of their rows, and 1 or 1 / rows and so on."""
        y, targets, weights = self._convert(
            as_array(predicted, "predicted", FLOAT64), actual, sample_weight
        )
        if targets.dtype != FLOAT64:
            labels, targets = targets, np.zeros_like(y)
            losses.check_labels(labels, y.shape[-1], "actual")
            np.put_along_axis(targets, labels[..., None], 1.0, -1)
        rows = len(y) if y.ndim == 2 else 1
        divisor = {
            "sum": 1.0,
            "mean": rows,
            "mean_of_elements": y.size,
            "mean_by_weight": rows if weights is None else float(weights.sum()),
        }[self.reduction]
        each = 1.0 if weights is None else weights[:, None] if y.ndim == 2 else weights
        return np.asarray(softmax(y)), targets, each, 1.0 / divisor

    def loss(self, predicted: Tensor, actual: Any, sample_weight: Any = None) -> float:
        """Return the loss: the sum over the samples, or a mean."""
        p, targets, each, scale = self._probabilities(predicted, actual, sample_weight)
        terms = np.asarray(tensor_apply(math.log, p + 1e-30)) * targets * each
        while terms.ndim:
            terms = _added(_columns(terms))
        return -float(terms) * scale

    def gradient(self, predicted: Any, actual: Any, sample_weight: Any = None) -> Any:
        """Return the gradient of the loss with respect to `predicted`."""
        p, targets, each, scale = self._probabilities(predicted, actual, sample_weight)
        result: Tensor = _like(
            predicted, ((p - targets) * each * scale).reshape(np.shape(predicted))
        )
        return result

    def loss_and_gradient(
        self, predicted: Any, actual: Any, sample_weight: Any = None
    ) -> tuple[float, Any]:
        """Return both."""
        value = self.loss(predicted, actual, sample_weight)
        return value, self.gradient(predicted, actual, sample_weight)


def _parameters(optimizer: Any, layer: Layer) -> list[tuple[Any, Array, Array, list[Array]]]:
    """Return each parameter, it as an array, its gradient, and what is remembered of it."""
    params = list(layer.params())
    arrays = [np.asarray(param, FLOAT64) for param in params]
    grads = [None if grad is None else np.asarray(grad, FLOAT64) for grad in layer.grads()]
    optimizer._remember(arrays, grads)
    rows = zip(params, arrays, grads, optimizer._memory, strict=True)
    return [(param, array, grad, memory) for param, array, grad, memory in rows if grad is not None]


class GradientDescent(optimizers.GradientDescent):
    """`deepc.GradientDescent`, rounded as in the chapter."""

    def step(self, layer: Layer) -> None:
        """Update the parameters of `layer` from its gradients."""
        for param, p, g, _ in _parameters(self, layer):
            p -= g * self.lr
            if p is not param:
                param[:] = _like(param, p)


class Momentum(optimizers.Momentum):
    """`deepc.Momentum`, rounded as in the chapter."""

    def step(self, layer: Layer) -> None:
        """Update the parameters of `layer` from its gradients."""
        for param, p, g, (u,) in _parameters(self, layer):
            u *= self.mo
            u += (1 - self.mo) * g
            p -= self.lr * u
            if p is not param:
                param[:] = _like(param, p)
