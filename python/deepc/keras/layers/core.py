"""Layers with weights and a product, and those that change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

import deepc
from deepc._tensorflow import Tensor
from deepc._values import as_bool, as_int, describe
from deepc.autodiff.tensor import no_grad
from deepc.keras import activations, constraints, initializers, regularizers
from deepc.keras._variables import Variable
from deepc.keras.layers.base import Layer, last_only, variables_of, written
from deepc.keras.layers.calls import takes
from deepc.keras.layers.places import Shape, mapped_shapes, sample_shapes

__all__ = ["ActivityRegularization", "Dense", "Embedding", "Identity", "Lambda"]


class Dense(Layer):
    """``activation(inputs @ kernel + bias)``.

    Examples
    --------
    >>> layer = Dense(2, kernel_initializer="ones")
    >>> layer(np.ones((1, 3))).numpy().tolist()
    [[3.0, 3.0]]
    """

    _arguments = (
        "units", "activation", "use_bias", "kernel_initializer", "bias_initializer",
        "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
        "bias_constraint",
    )  # fmt: skip

    _last_axis = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **given: Any,
    ) -> None:
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ValueError(
                "Received an invalid value for `units`, expected a positive integer. Received: "
                f"units={units}"
            )
        self.units = int(units)
        self._activation = activations.get(activation)
        self._use_bias = as_bool(use_bias, "use_bias")
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._kernel_regularizer = regularizers.get(kernel_regularizer)
        self._bias_regularizer = regularizers.get(bias_regularizer)
        self._kernel_constraint = constraints.get(kernel_constraint)
        self._bias_constraint = constraints.get(bias_constraint)
        super().__init__(activity_regularizer=activity_regularizer, **given)

    @property
    def activation(self) -> Any:
        """Its activation."""
        return self._activation

    @property
    def use_bias(self) -> bool:
        """Whether it has a bias."""
        return self._use_bias

    @property
    def kernel(self) -> Variable:
        """The weights, of shape (inputs, units)."""
        return self._variable("kernel")

    @property
    def bias(self) -> Variable | None:
        """The bias, of shape (units,)."""
        return self._variable("bias") if self._use_bias else None

    def _compute(self, sample: Shape) -> Shape:
        last_only(self, sample)
        return (*sample[:-1], self.units)

    def _make(self, sample: Shape) -> None:
        dtype, inputs = self._real(), sample[-1]
        kernel = self._kernel_initializer((inputs, self.units), dtype)
        bias = self._bias_initializer((self.units,), dtype) if self._use_bias else None
        linear = deepc.Linear(
            inputs, self.units, init="zeros", bias=self._use_bias, dtype=dtype, rng=0
        )
        linear.w = kernel.T
        if bias is not None:
            linear.b = bias
        self._variables = variables_of(linear, weights="kernel", bias="bias")
        self._variables[0].regularizer = self._kernel_regularizer
        self._variables[0].constraint = self._kernel_constraint
        if bias is not None:
            self._variables[1].regularizer = self._bias_regularizer
            self._variables[1].constraint = self._bias_constraint
        function, self._after = self._activation.make(), written(self._activation)
        self._made = [linear] if function is None else [linear, function]


class Identity(Layer):
    """Its input."""


class ActivityRegularization(Identity):
    """Its input, of which large numbers add to the loss.

    Examples
    --------
    >>> layer = ActivityRegularization(l1=0.5)
    >>> layer(np.array([[1.0, -3.0], [2.0, 0.0]])).shape, float(layer.losses[0])
    ((2, 2), 1.5)
    """

    _arguments = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **given: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **given)
        self.l1, self.l2 = float(l1), float(l2)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        config = super().get_config()
        del config["activity_regularizer"]
        return config


class Lambda(Layer):
    """What a function of Tensors makes of its input, computed with `keras.ops`; not for files.

    Examples
    --------
    >>> from deepc.keras import ops
    >>> Lambda(lambda x: ops.square(x) + 1.0)(np.array([[1.0, 2.0]])).numpy().tolist()
    [[2.0, 5.0]]
    """

    def __init__(
        self, function: Any, output_shape: Any = None, mask: Any = None,
        arguments: dict[str, Any] | None = None, **given: Any,
    ) -> None:  # fmt: skip
        if not callable(function):
            raise TypeError(f"function: expected a function of Tensors, got {describe(function)}")
        if mask is not None:
            raise ValueError("mask: masks are not supported; the nearest is a class of its own for "
                             "what is padded")  # fmt: skip
        super().__init__(**given)
        # The shape of what comes out is found by computing it.
        self.function, self.arguments = function, dict(arguments or {})

    def why_not_compiled(self) -> str:
        """Return that somebody wrote it."""
        return "its function is written in Python"

    def build(self, input_shape: Any) -> None:
        """Do nothing: there is no weight."""

    def _traces(self) -> bool:
        return True

    def _check_input(self, sample: Any) -> None:
        pass  # the function says what it takes

    def _compute(self, sample: Any) -> Any:
        zeros = mapped_shapes(sample, lambda one: Tensor(np.zeros((2, *one), self._real())))
        with no_grad():
            return sample_shapes(self.call(zeros))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Call the function."""
        named = dict(self.arguments)
        if takes(self.function, "training"):
            named["training"] = training
        return self.function(inputs, **named)

    def get_config(self) -> dict[str, Any]:
        """Refuse it: a file must not hold code."""
        raise ValueError(
            f"layer '{self.name}': a Lambda holds a function, which files cannot; the nearest is a "
            "subclass of layers.Layer, which they can name"
        )


class Embedding(Layer):
    """The rows of a table that whole numbers name."""

    _takes_whole_numbers = True
    _arguments = ("input_dim", "output_dim", "embeddings_initializer", "mask_zero")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **given: Any,
    ) -> None:
        if mask_zero:
            raise ValueError("mask_zero: masks are not supported; the nearest is a class of its "
                             "own for what is padded")  # fmt: skip
        self.input_dim = as_int(input_dim, "input_dim", least=1)
        self.output_dim = as_int(output_dim, "output_dim", least=1)
        self.mask_zero = False
        self._embeddings_initializer = initializers.get(embeddings_initializer)
        self._regularizer = regularizers.get(embeddings_regularizer)
        self._constraint = constraints.get(embeddings_constraint)
        given.pop("input_length", None)
        super().__init__(**given)

    @property
    def embeddings(self) -> Variable:
        """The table."""
        return self._variable("embeddings")

    def _compute(self, sample: Shape) -> Shape:
        return (*sample, self.output_dim)

    def _check_input(self, sample: Any) -> None:
        pass  # any number of whole numbers

    def _make(self, sample: Shape) -> None:
        dtype = self._real()
        made = deepc.Embedding(self.input_dim, self.output_dim, init="zeros", dtype=dtype, rng=0)
        made.w = self._embeddings_initializer((self.input_dim, self.output_dim), dtype)
        self._made, self._variables = [made], variables_of(made, table="embeddings")
        self._variables[0].regularizer = self._regularizer
        self._variables[0].constraint = self._constraint
