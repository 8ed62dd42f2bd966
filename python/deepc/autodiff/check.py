"""Whether gradients are true: those of functions of Tensors, of layers and of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._c import random
from deepc._c.tape import values
from deepc._values import FLOAT64, Array, as_array, describe
from deepc.autodiff.tensor import Tensor
from deepc.autodiff.transforms import gradients
from deepc.layers import Layer
from deepc.layers.sequential import all_layers

__all__ = ["check_gradients"]


def check_gradients(
    f: Any, *inputs: Any, step: float = 1e-6, tolerance: float = 1e-5, rng: Any = 0
) -> float:
    """Compare gradients with central differences in float64; return the largest error.

    A function of several elements, or a layer, is checked by a random weighted sum of its outputs.
    What draws anew in each pass of training, as `Dropout`, is to be checked outside it
    (``layer.train = False``) or not at all.

    Parameters
    ----------
    f : callable, Layer or Loss
        A function of Tensors that returns a Tensor; a layer or model with parameters of float64,
        whose `backward` is checked for its input and all parameters; or a loss, whose `gradient`
        is checked.
    *inputs : array_like
        The arguments of the function, the layer's input, or predictions and what was right.
    step : float, optional
        How far an element is moved, relative to the larger of 1 and its size.
    tolerance : float, optional
        The largest error that is taken for rounding, relative to the larger of 1 and the slope.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the weights of the outputs come from.

    Returns
    -------
    float
        The largest error.

    Raises
    ------
    AssertionError
        If an error is larger; the message names the input, the element and both numbers.

    Examples
    --------
    >>> import deepc
    >>> from deepc.autodiff import tanh
    >>> deepc.check_gradients(tanh, [0.5, -0.25]) < 1e-8
    True
    >>> deepc.check_gradients(deepc.Linear(2, 3, dtype="float64", rng=1), [[1.0, 2.0]]) < 1e-8
    True
    >>> deepc.check_gradients(deepc.SoftmaxCrossEntropy(), [[1.0, 2.0]], [1]) < 1e-8
    True
    """
    if isinstance(f, type):
        raise TypeError(f"f: expected a function, a layer or a loss, got {describe(f)}; make one")
    if hasattr(f, "gradient") and hasattr(f, "loss"):
        said, value = _of_loss(f, *_exactly(2, "predictions and what was right", inputs))
    elif hasattr(f, "forward") and hasattr(f, "backward") and hasattr(f, "params"):
        said, value = _of_layer(f, _exactly(1, "the layer's input", inputs)[0], rng)
    elif callable(f):
        said, value = _of_function(f, inputs, rng)
    else:
        raise TypeError(f"f: expected a function, a layer or a loss, got {describe(f)}")
    return max((_compared(*one, value, step, tolerance) for one in said), default=0.0)


Said = list[tuple[str, Any, Any]]  # of each input: its name, its elements, their gradient


def _exactly(count: int, what: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(inputs) != count:
        raise TypeError(f"inputs: expected {what}, got {len(inputs)} of them")
    return inputs


def _of_loss(loss: Any, predicted: Any, actual: Any) -> tuple[Said, Callable[[], float]]:
    point = np.array(as_array(predicted, "predicted", FLOAT64))
    return [("predicted", point, loss.gradient(point, actual))], lambda: float(
        loss.loss(point, actual)
    )


def _of_layer(layer: Layer, x: Any, rng: Any) -> tuple[Said, Callable[[], float]]:
    point = np.array(as_array(x, "x", FLOAT64))
    params = list(layer.params())
    for i, param in enumerate(params):
        if not isinstance(param, np.ndarray) or param.dtype != FLOAT64:
            raise ValueError(
                f"f: parameter {i} is {describe(param)}; differences need float64, as "
                "dtype='float64' makes it"
            )
    states = [array for one in all_layers(layer) for array in getattr(one, "state", tuple)()]
    kept = [array.copy() for array in states]
    weights = random.normal(np.shape(layer.forward(point)), FLOAT64, rng)

    def value() -> float:
        result = float((np.asarray(layer.forward(point)) * weights).sum())
        for array, before in zip(states, kept, strict=True):
            array[...] = before  # averages that a pass of training has moved
        return result

    value()
    d_x = layer.backward(weights)
    said: Said = [("input", point, np.array(d_x))] if d_x is not None else []
    for i, (param, grad) in enumerate(zip(params, layer.grads(), strict=True)):
        if grad is not None:
            said.append((f"parameter {i}", param, np.array(grad)))
    return said, value


def _of_function(
    f: Callable[..., Any], inputs: tuple[Any, ...], rng: Any
) -> tuple[Said, Callable[[], float]]:
    arrays: list[Array] = [np.array(values(x), dtype=FLOAT64) for x in inputs]
    leaves = [Tensor(a, True) for a in arrays]
    y = f(*leaves)
    weights = np.asarray(random.normal(y.shape, FLOAT64, rng) if y.shape else 1.0)
    slopes = gradients([y], leaves, [weights if y.shape else 1.0], unused="zeros")

    def value() -> float:
        return float(np.sum(f(*(Tensor(a) for a in arrays)).data * weights))

    pairs = enumerate(zip(arrays, slopes, strict=True))
    return [(f"input {i}", array, np.asarray(slope)) for i, (array, slope) in pairs], value


def _compared(
    name: str, array: Any, said: Any, value: Callable[[], float], step: float, tolerance: float
) -> float:
    worst = 0.0
    gradient = np.asarray(said, np.float64).reshape(array.shape)
    for place in np.ndindex(array.shape):
        before = array[place]
        move = step * max(1.0, abs(float(before)))
        array[place] = before + move
        above, high = value(), float(array[place])
        array[place] = before - move
        below, low = value(), float(array[place])
        array[place] = before
        slope = (above - below) / (high - low)
        error = float(abs(gradient[place] - slope) / max(1.0, abs(slope)))
        if not error <= tolerance:
            raise AssertionError(
                f"{name}, element {place}: the gradient is {float(gradient[place])!r}, central "
                f"differences give {slope!r}"
            )
        worst = max(worst, error)
    return worst
