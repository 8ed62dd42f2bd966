"""Activations as layers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import deepc
from deepc._values import as_float
from deepc.keras import activations, initializers
from deepc.keras._variables import Variable
from deepc.keras.layers.base import Layer, last_only, variables_of, written
from deepc.keras.layers.places import Shape

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


class Activation(Layer):
    """An activation by its name."""

    _arguments: tuple[str, ...] = ("activation",)

    def __init__(self, activation: Any, **given: Any) -> None:
        self._activation = activations.get(activation)
        self._last_axis = self._activation.__name__ in ("softmax", "log_softmax")
        super().__init__(**given)

    @property
    def activation(self) -> Any:
        """The activation."""
        return self._activation

    def _compute(self, sample: Shape) -> Shape:
        if self._last_axis:
            last_only(self, sample)
        return sample

    def _make(self, sample: Shape) -> None:
        made, self._after = self._activation.make(), written(self._activation)
        self._made = [] if made is None else [made]


class ReLU(Activation):
    """``max(x, 0)``, with a slope below 0 or a limit of 6 above."""

    _arguments = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **given: Any,
    ) -> None:
        if threshold or max_value not in (None, 6) or (max_value and negative_slope):
            raise ValueError(
                "ReLU: built in are a negative_slope, or a max_value of 6; the nearest to others "
                "is layers.ReLU() or layers.LeakyReLU()"
            )
        self._max_value, self._negative_slope, self._threshold = max_value, negative_slope, 0.0
        relu = activations.FUNCTIONS["relu"]
        chosen: Any = relu._with({"max_value": 6} if max_value else {})
        if negative_slope:
            chosen = relu._with({"negative_slope": negative_slope})
        super().__init__(chosen, **given)


class LeakyReLU(Activation):
    """x, or ``negative_slope * x`` below 0."""

    _arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **given: Any) -> None:
        if "alpha" in given:
            negative_slope = given.pop("alpha")
            warnings.warn("Argument `alpha` is deprecated. Use `negative_slope` instead.",
                          stacklevel=2)  # fmt: skip
        self._negative_slope = as_float(negative_slope, "negative_slope", 0.0)
        function = activations.FUNCTIONS["leaky_relu"].with_parameter(self._negative_slope)
        super().__init__(function, **given)


class ELU(Activation):
    """x, or ``alpha * (exp(x) - 1)`` below 0."""

    _arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, **given: Any) -> None:
        self._alpha = as_float(alpha, "alpha", 0.0)
        super().__init__(activations.FUNCTIONS["elu"].with_parameter(self._alpha), **given)


class Softmax(Activation):
    """Probabilities out of scores, along each row."""

    _arguments = ("axis",)

    def __init__(self, axis: int = -1, **given: Any) -> None:
        if axis not in (-1, 1):
            raise ValueError(f"axis: only -1, the last one, is supported; got {axis}")
        self._axis = -1
        super().__init__("softmax", **given)


class PReLU(Layer):
    """A slope below 0 for each input, which is learned."""

    _arguments = ("alpha_initializer",)

    def __init__(self, alpha_initializer: Any = "Zeros", **given: Any) -> None:
        self._alpha_initializer = initializers.get(alpha_initializer)
        super().__init__(**given)

    @property
    def alpha(self) -> Variable:
        """The slopes."""
        return self._variable("alpha")

    def _make(self, sample: Shape) -> None:
        made = deepc.PReLU(math.prod(sample), slope=0.0, dtype=self._real())
        made.slopes = self._alpha_initializer(sample, self._real()).reshape(-1)
        self._made, self._variables = [made], variables_of(made, slopes="alpha")
        if len(sample) > 1:
            # The same numbers in the shape of a sample; the tape knows them as the layer has them.
            gradient = made.slopes_grad.reshape(sample)
            self._variables = [Variable.over(made.slopes.reshape(sample), gradient, "alpha")]
