"""Constraints: where parameters are brought back to after each step of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepc._c.tape import relu, summed, values
from deepc._values import Array, as_array
from deepc.optimizers import Optimizer

__all__ = ["Constrained", "limit_norms", "positive"]


def limit_norms(
    w: Any, low: float, high: float, rate: float = 1.0, axis: Any = 0, epsilon: float = 1e-7
) -> Array:
    """Return parameters whose norms along axes lie between two numbers.

    Each is multiplied by ``(rate clip(n, low, high) + (1 - rate) n) / (epsilon + n)``, where n is
    the norm of those that it stands with.

    Parameters
    ----------
    w : array_like
    low, high : float
        Equal ones give each vector that length.
    rate : float, optional
        How far a norm is moved to where it shall be, 0 to 1.
    axis : int or sequence of int, optional
        The dimensions that a norm goes over: 0 for the columns of a matrix of (inputs, outputs).
    epsilon : float, optional
        Keeps zeros from being divided by 0.

    Examples
    --------
    >>> limit_norms([[3.0, 0.1], [4.0, 0.1]], 0.0, 2.5).round(6).tolist()
    [[1.5, 0.1], [2.0, 0.1]]
    """
    array = as_array(w, "w")
    axes = [int(one) for one in ([axis] if np.ndim(axis) == 0 else axis)]
    if any(not -array.ndim <= one < array.ndim for one in axes):
        raise ValueError(f"axis: expected dimensions of shape {array.shape}, got {axis}")
    squares = np.ascontiguousarray(array * array)
    norms = np.sqrt(summed(squares, [one % array.ndim for one in axes], True))
    real = array.dtype.type
    wanted = np.clip(norms, real(low), real(high))
    if rate != 1.0:
        wanted = real(rate) * wanted + real(1.0 - rate) * norms
    return np.asarray(array * (wanted / (real(epsilon) + norms)))


def positive(w: Any) -> Array:
    """Return parameters with zeros in place of what is below 0.

    Examples
    --------
    >>> positive([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return np.asarray(relu(np.ascontiguousarray(as_array(w, "w"))))


class Constrained(Optimizer):
    """An optimizer after whose steps some parameters are brought back to where they may be.

    Parameters
    ----------
    optimizer : Optimizer
    constraints : sequence of (array, callable)
        Each array is a parameter of the model that is stepped; the function returns what it
        becomes, an array or a Tensor of its shape.
    """

    def __init__(
        self, optimizer: Any, constraints: Sequence[tuple[Array, Callable[[Array], Any]]]
    ) -> None:
        self.optimizer, self.constraints = optimizer, list(constraints)

    @property
    def lr(self) -> float:
        """The learning rate."""
        return float(self.optimizer.lr)

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer.lr = value

    def step(self, layer: Any) -> None:
        """Update the parameters of a layer, then bring back those that are constrained."""
        self.optimizer.step(layer)
        for array, constraint in self.constraints:
            array[...] = constrained(array, constraint)


def constrained(array: Array, constraint: Callable[[Array], Any]) -> Array:
    """Return what a constraint makes of parameters, which must be of their shape."""
    made: Array = np.asarray(values(constraint(array)))
    if made.shape != array.shape:
        raise ValueError(
            f"constraint: expected {getattr(constraint, '__name__', type(constraint).__name__)} "
            f"to give the shape of the weights, {array.shape}, got {made.shape}"
        )
    return made
