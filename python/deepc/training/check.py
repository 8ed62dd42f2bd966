"""Whether what a layer or a loss says of its gradients is true: against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepc._c import random
from deepc._values import FLOAT64, Array, as_array, describe
from deepc.layers import Layer
from deepc.layers.sequential import all_layers

__all__ = ["check_gradients"]

# The step of a central difference that leaves about as much to rounding as to the third derivative.
_STEP = 1e-6


def check_gradients(
    what: Any, x: Any, actual: Any = None, *, tolerance: float = 1e-5, rng: Any = None
) -> float:
    """Compare the gradients of a layer, a model or a loss with differences; return the largest gap.

    A layer is asked for the gradient of a random weighted sum of its outputs, with respect to its
    input and to all its parameters. What draws anew in each pass of training, as `Dropout`, is to
    be checked outside it (``layer.train = False``) or not at all.

    Parameters
    ----------
    what : Layer or Loss
        With parameters of float64; make it with ``dtype="float64"``.
    x : array_like
        What goes into the layer, or the predictions that the loss judges.
    actual : array_like, optional
        For a loss: what was right.
    tolerance : float, optional
        The largest gap, relative to the larger of 1 and the gradient, that is taken for rounding.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the weights of the outputs come from.

    Returns
    -------
    float
        The largest gap.

    Raises
    ------
    AssertionError
        If it is above the tolerance; the message tells where.

    Examples
    --------
    >>> import deepc
    >>> check_gradients(deepc.Linear(2, 3, dtype="float64", rng=1), [[1.0, 2.0]]) < 1e-8
    True
    >>> check_gradients(deepc.SoftmaxCrossEntropy(), [[1.0, 2.0]], [1]) < 1e-8
    True
    """
    point = np.array(as_array(x, "x", FLOAT64))
    if hasattr(what, "gradient") and hasattr(what, "loss"):
        if actual is None:
            raise ValueError("actual: a loss is checked for predictions and what was right")

        def loss() -> float:
            return float(what.loss(point, actual))

        return _compared([("predicted", point, what.gradient(point, actual))], loss, tolerance)
    if isinstance(what, type) or not (hasattr(what, "forward") and hasattr(what, "backward")):
        raise TypeError(f"what: expected a layer or a loss, got {describe(what)}")
    return _of_layer(what, point, tolerance, rng)


def _of_layer(layer: Layer, point: Array, tolerance: float, rng: Any) -> float:
    params = list(layer.params())
    for i, param in enumerate(params):
        if not isinstance(param, np.ndarray) or param.dtype != FLOAT64:
            raise ValueError(
                f"what: parameter {i} is {describe(param)}; differences need float64, as "
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
    said: list[tuple[str, Any, Any]] = [("input", point, d_x)] if d_x is not None else []
    for i, (param, grad) in enumerate(zip(params, layer.grads(), strict=True)):
        if grad is not None:
            said.append((f"parameter {i}", param, np.array(grad)))
    return _compared(said, value, tolerance)


def _compared(
    said: list[tuple[str, Any, Any]], value: Callable[[], float], tolerance: float
) -> float:
    worst = 0.0
    for name, array, given in said:
        gradient = np.asarray(given, np.float64).reshape(array.shape)
        for place in np.ndindex(array.shape):
            before = array[place]
            step = _STEP * max(1.0, abs(before))
            array[place] = before + step
            above = value()
            array[place] = before - step
            below = value()
            array[place] = before
            slope = float((above - below) / (2 * step))
            gap = float(abs(slope - gradient[place]) / max(1.0, abs(slope)))
            if not gap <= tolerance:
                raise AssertionError(
                    f"{name}{list(place)}: the gradient says {gradient[place]:.9g}, "
                    f"differences say {slope:.9g}"
                )
            worst = max(worst, gap)
    return worst
