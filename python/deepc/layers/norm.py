"""Normalization of a batch's columns and of single rows."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from deepc._c.arrays import aligned_zeros
from deepc._values import (
    LARGEST,
    MOST_WIDE,
    Array,
    as_bool,
    as_dtype,
    as_float,
    as_int,
)
from deepc.layers.base import BuiltinLayer, ParameterArray, TwoModes

__all__ = ["BatchNorm", "LayerNorm"]


def _filled(wanted: bool, size: int, dtype: np.dtype[Any], number: float) -> Array | None:
    if not wanted:
        return None
    array = aligned_zeros((size,), dtype)
    array[...] = number
    return array


class BatchNorm(TwoModes):
    """Each column of a batch with mean 0 and variance 1, then scaled and shifted.

    ``output = (input - m) / sqrt(v + epsilon) * gamma + beta``

    In training, m and v are mean and variance (divided by the rows) of the column over the batch,
    and the running averages move towards them:
    ``mean = momentum * mean + (1 - momentum) * m``, likewise `variance`. Outside training, and if
    `trainable` is False, m and v are these averages (Ioffe and Szegedy, 2015).

    Parameters
    ----------
    dim : int
        Number of columns.
    momentum : float, optional
        How much of the averages stays in each pass, 0 to 1.
    epsilon : float, optional
        What keeps the divisor from 0.
    center, scale : bool, optional
        Whether there is a `beta` and a `gamma`.
    unbiased : bool, optional
        Whether the average of the variance is that of the sum divided by the rows less one.
    dtype : {"float32", "float64"}, optional
        What it computes in; the default dtype if not given.

    Attributes
    ----------
    gamma, beta : ndarray of shape (dim,)
        The parameters, at first 1 and 0; `gamma_grad`, `beta_grad`: their gradients.
    mean, variance : ndarray of shape (dim,)
        The running averages, at first 0 and 1.
    train : bool

    Examples
    --------
    >>> layer = BatchNorm(2, epsilon=0.0)
    >>> layer.forward([[1.0, 2.0], [3.0, 6.0]])
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> layer.mean
    array([0.02, 0.04], dtype=float32)
    """

    _kind = "batch_norm"
    _c_params = {"gamma": "gamma", "beta": "beta"}  # noqa: RUF012
    _c_state = {"mean": "mean", "variance": "variance"}  # noqa: RUF012

    gamma = ParameterArray("What the normalized columns are multiplied by.")
    beta = ParameterArray("What is added to them.")
    gamma_grad = ParameterArray("The gradient of gamma, summed over the batch.")
    beta_grad = ParameterArray("The gradient of beta, summed over the batch.")
    mean = ParameterArray("The running average of the means.")
    variance = ParameterArray("The running average of the variances.")

    _train = True

    def __init__(
        self,
        dim: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        *,
        center: bool = True,
        scale: bool = True,
        unbiased: bool = False,
        dtype: Any = None,
    ) -> None:
        dim, dtype = as_int(dim, "dim", least=1, most=MOST_WIDE), as_dtype(dtype)
        momentum = as_float(momentum, "momentum", 0.0, 1.0)
        epsilon = as_float(epsilon, "epsilon", 0.0, LARGEST)
        unbiased = as_bool(unbiased, "unbiased")
        arrays = {
            "gamma": _filled(as_bool(scale, "scale"), dim, dtype, 1.0),
            "beta": _filled(as_bool(center, "center"), dim, dtype, 0.0),
            "mean": _filled(True, dim, dtype, 0.0),
            "variance": _filled(True, dim, dtype, 1.0),
        }
        self._train = True
        self._make(
            arrays, dtype, inputs=dim, training=True, momentum=momentum, epsilon=epsilon,
            unbiased=unbiased,
        )  # fmt: skip

    def __repr__(self) -> str:
        s = self._structure
        return f"{type(self).__name__}({s.inputs}, momentum={s.momentum}, epsilon={s.epsilon})"

    @property
    def momentum(self) -> float:
        """How much of the averages stays in each pass; may be assigned."""
        return cast(float, self._structure.momentum)

    @momentum.setter
    def momentum(self, value: float) -> None:
        self._structure.momentum = as_float(value, "momentum", 0.0, 1.0)

    @property
    def epsilon(self) -> float:
        """What is added to the variance; may be assigned."""
        return cast(float, self._structure.epsilon)

    @epsilon.setter
    def epsilon(self, value: float) -> None:
        self._structure.epsilon = as_float(value, "epsilon", 0.0, LARGEST)

    @property
    def train(self) -> bool:
        """Whether it is in training; may be assigned."""
        return self._train

    @train.setter
    def train(self, value: bool) -> None:
        self._train = as_bool(value, "train")
        self._freeze_parts()

    def _freeze_parts(self) -> None:
        super()._freeze_parts()
        # What does not train does not learn of the batch either.
        self._structure.training = self._train and self._trainable


class LayerNorm(BuiltinLayer):
    """Each row with mean 0 and variance 1, then scaled and shifted.

    ``output = (input - m) / sqrt(v + epsilon) * gamma + beta``, where m and v are mean and variance
    (divided by the columns) of the row (Ba, Kiros and Hinton, 2016).

    Parameters
    ----------
    dim : int
        Number of columns.
    epsilon : float, optional
        What keeps the divisor from 0.
    center, scale : bool, optional
        Whether there is a `beta` and a `gamma`.
    dtype : {"float32", "float64"}, optional
        What it computes in; the default dtype if not given.

    Attributes
    ----------
    gamma, beta : ndarray of shape (dim,)
        The parameters, at first 1 and 0; `gamma_grad`, `beta_grad`: their gradients.

    Examples
    --------
    >>> LayerNorm(2, epsilon=0.0).forward([1.0, 3.0])
    [-1.0, 1.0]
    """

    _kind = "layer_norm"
    _c_params = {"gamma": "gamma", "beta": "beta"}  # noqa: RUF012

    gamma = ParameterArray("What the normalized columns are multiplied by.")
    beta = ParameterArray("What is added to them.")
    gamma_grad = ParameterArray("The gradient of gamma, summed over the batch.")
    beta_grad = ParameterArray("The gradient of beta, summed over the batch.")

    def __init__(
        self,
        dim: int,
        epsilon: float = 1e-3,
        *,
        center: bool = True,
        scale: bool = True,
        dtype: Any = None,
    ) -> None:
        dim, dtype = as_int(dim, "dim", least=1, most=MOST_WIDE), as_dtype(dtype)
        epsilon = as_float(epsilon, "epsilon", 0.0, LARGEST)
        arrays = {
            "gamma": _filled(as_bool(scale, "scale"), dim, dtype, 1.0),
            "beta": _filled(as_bool(center, "center"), dim, dtype, 0.0),
        }
        self._make(arrays, dtype, inputs=dim, epsilon=epsilon)

    def __repr__(self) -> str:
        s = self._structure
        return f"{type(self).__name__}({s.inputs}, epsilon={s.epsilon})"

    @property
    def epsilon(self) -> float:
        """What is added to the variance; may be assigned."""
        return cast(float, self._structure.epsilon)

    @epsilon.setter
    def epsilon(self, value: float) -> None:
        self._structure.epsilon = as_float(value, "epsilon", 0.0, LARGEST)
