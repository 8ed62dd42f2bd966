"""Layers that scale and shift: by numbers that are given, found, or learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import deepc
from deepc._values import as_array, as_float
from deepc.keras import initializers
from deepc.keras._variables import Variable
from deepc.keras.layers.base import Layer, last_only, variables_of
from deepc.keras.layers.places import Shape

__all__ = ["BatchNormalization", "LayerNormalization", "Normalization", "Rescaling"]


class _Affine(Layer):
    """Each input times a number plus another; neither is trained.

    It is a normalization with what it would have learned, so that it is compiled with the rest.
    """

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        raise NotImplementedError

    def _make(self, sample: Shape) -> None:
        made: Any = deepc.BatchNorm(math.prod(sample), epsilon=0.0, dtype=self._real())
        scale, offset = self._numbers(sample)
        made.gamma = np.broadcast_to(np.asarray(scale, self._real()), sample).reshape(-1)
        made.beta = np.broadcast_to(np.asarray(offset, self._real()), sample).reshape(-1)
        made._fixed, made.trainable = True, False
        self._made = [made]


class Rescaling(_Affine):
    """``inputs * scale + offset``.

    Examples
    --------
    >>> Rescaling(0.5, 1.0)(np.array([[2.0, 4.0]])).numpy().tolist()
    [[2.0, 3.0]]
    """

    _arguments = ("scale", "offset")

    def __init__(self, scale: Any, offset: Any = 0.0, **given: Any) -> None:
        self.scale, self.offset = scale, offset
        super().__init__(**given)

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        return self.scale, self.offset


class Normalization(_Affine):
    """Inputs less their mean, divided by their deviation: given, or found by `adapt`."""

    _arguments = ("axis", "mean", "variance")

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, **given: Any
    ) -> None:
        if axis != -1:
            raise ValueError(f"axis: only -1 is supported, got {axis!r}")
        self.axis, self.mean, self.variance = axis, mean, variance
        super().__init__(**given)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take mean and variance from data."""
        if self.built:
            raise ValueError("adapt: call it before the model is built")
        array = as_array(data, "data").astype(np.float64)
        columns = array.reshape(-1, array.shape[-1])
        self.mean, self.variance = columns.mean(axis=0), columns.var(axis=0)

    def _numbers(self, sample: Shape) -> tuple[Any, Any]:
        if self.mean is None or self.variance is None:
            raise ValueError(
                f"Normalization '{self.name}': call adapt(data) first, or give mean and variance"
            )
        deviation = np.maximum(np.sqrt(np.asarray(self.variance, np.float64)), 1e-7)
        return 1 / deviation, -np.asarray(self.mean, np.float64) / deviation


class _Norm(Layer):
    """What both norms of the last axis have: variables by name, and the shape that came."""

    _last_axis = True
    # Its variables that can be asked for.
    _shown: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name in self._shown:
            return self._variable(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _compute(self, sample: Shape) -> Shape:
        last_only(self, sample)
        return sample


class BatchNormalization(_Norm):
    """Columns of a batch with mean 0 and variance 1, then scaled and shifted."""

    _shown = ("gamma", "beta", "moving_mean", "moving_variance")
    _arguments = (
        "axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer",
        "moving_mean_initializer", "moving_variance_initializer",
    )  # fmt: skip

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **given: Any,
    ) -> None:
        if axis not in (-1, 1):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self.axis, self.center, self.scale = -1, center, scale
        self.momentum = as_float(momentum, "momentum", 0.0, 1.0)
        self.epsilon = as_float(epsilon, "epsilon", 0.0)
        self._beta_initializer = initializers.get(beta_initializer)
        self._gamma_initializer = initializers.get(gamma_initializer)
        self._moving_mean_initializer = initializers.get(moving_mean_initializer)
        self._moving_variance_initializer = initializers.get(moving_variance_initializer)
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        columns = sample[-1:]
        made = deepc.BatchNorm(
            columns[0], self.momentum, self.epsilon, center=self.center, scale=self.scale,
            dtype=self._real(),
        )  # fmt: skip
        shown = [
            (self.scale, "gamma", "gamma", self._gamma_initializer, True),
            (self.center, "beta", "beta", self._beta_initializer, True),
            (True, "mean", "moving_mean", self._moving_mean_initializer, False),
            (True, "variance", "moving_variance", self._moving_variance_initializer, False),
        ]
        for there, attribute, _, initializer, _ in shown:
            if there:
                setattr(made, attribute, initializer(columns, self._real()))
        self._variables = variables_of(made, gamma="gamma", beta="beta")
        self._variables += [
            Variable.over(getattr(made, attribute), None, name, trainable=False)
            for _, attribute, name, _, trains in shown
            if not trains
        ]
        self._made = [made]


class LayerNormalization(_Norm):
    """Each row with mean 0 and variance 1, then scaled and shifted."""

    _shown = ("gamma", "beta")
    _arguments = ("axis", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer")

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **given: Any,
    ) -> None:
        if axis not in (-1, 1, [-1], (-1,), [1]):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self.axis, self.center, self.scale = -1, center, scale
        self.epsilon = as_float(epsilon, "epsilon", 0.0)
        self._beta_initializer = initializers.get(beta_initializer)
        self._gamma_initializer = initializers.get(gamma_initializer)
        super().__init__(**given)

    def _make(self, sample: Shape) -> None:
        columns = sample[-1:]
        made = deepc.LayerNorm(
            columns[0], self.epsilon, center=self.center, scale=self.scale, dtype=self._real()
        )
        for there, name, initializer in (
            (self.scale, "gamma", self._gamma_initializer),
            (self.center, "beta", self._beta_initializer),
        ):
            if there:
                setattr(made, name, initializer(columns, self._real()))
        self._made, self._variables = [made], variables_of(made, gamma="gamma", beta="beta")
