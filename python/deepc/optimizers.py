"""Optimizers: how gradients change parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np

from deepc._c.library import check
from deepc._c.optimizer import NUMBERS, Tensors, new_optimizer
from deepc._values import (
    BELOW_ONE,
    LARGEST,
    SMALLEST,
    Array,
    aligned_zeros_like,
    as_array,
    as_bool,
    as_float,
    describe,
)
from deepc.layers import Layer, _plan
from deepc.layers.sequential import has_fixed_parameters

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "GradientDescent",
    "Momentum",
    "Optimizer",
    "RMSProp",
]


class Optimizer:
    """Changes parameters, in place, by their gradients. Subclass it and define `step`.

    Examples
    --------
    >>> from deepc import Linear, Optimizer
    >>> class Half(Optimizer):
    ...     def step(self, layer):
    ...         for param in layer.params():
    ...             param[:] = 0.5 * param
    >>> layer = Linear(1, 1)
    >>> layer.w = [[1.0]]
    >>> Half().step(layer)
    >>> layer.w.tolist()
    [[0.5]]
    """

    def step(self, layer: Any) -> None:
        """Update the parameters of `layer` from its gradients."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _number(field: str, low: float, high: float, doc: str, name: str = "") -> Any:
    """Make a property of a number that the library reads; `name`: what users call it."""

    def get(self: Any) -> float:
        return cast(float, getattr(self._numbers, field))

    def set(self: Any, value: float) -> None:
        setattr(self._numbers, field, as_float(value, name or field, low, high))

    return property(get, set, doc=doc)


def _settings(optimizer: Any) -> Iterator[str]:
    """Yield the arguments that would make an optimizer of these settings."""
    # A class of this module, because a user's subclass may take other arguments.
    own = (vars(cls) for cls in type(optimizer).__mro__ if cls.__module__ == __name__)
    code = next(names["__init__"].__code__ for names in own if "__init__" in names)
    for name in code.co_varnames[1 : code.co_argcount]:
        short = {"learning_rate": "lr", "momentum": "mo"}.get(name, name)  # the book's names
        value = getattr(optimizer, short if hasattr(optimizer, short) else name)
        yield f"{name}={value!r}"


class BuiltinOptimizer(Optimizer):
    """An update rule of the library.

    `lr` may be changed at any time. What the rule remembers of the gradients so far belongs to the
    parameters in their order, so an optimizer serves one model.
    """

    _rule: str
    # The fields of dc_tensor in which the rule remembers something of each parameter.
    _states: tuple[str, ...] = ()

    lr = _number("learning_rate", 0.0, LARGEST, "The learning rate.")

    def __init__(self, learning_rate: float) -> None:
        self._numbers = new_optimizer(self._rule)
        self.lr = learning_rate
        self._memory: list[list[Array]] = []
        self._bound: tuple[Any, ...] = (None, -1, None)

    def __getstate__(self) -> dict[str, Any]:
        numbers = {name: getattr(self._numbers, name) for name in NUMBERS}
        return {**self.__dict__, "_numbers": numbers, "_bound": (None, -1, None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._numbers = new_optimizer(self._rule)
        for name, value in state["_numbers"].items():
            setattr(self._numbers, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_settings(self))})"

    @property
    def steps(self) -> int:
        """How many steps it has taken."""
        return cast(int, self._numbers.steps)

    def step(self, layer: Layer) -> None:
        """Update the parameters of `layer` from its gradients, all in one call.

        Parameters
        ----------
        layer : Layer
            A layer or a whole model; layers written in Python may keep parameters in lists.

        Raises
        ------
        ValueError
            If parameters and gradients differ in number or shape, or the parameters are not those
            of the steps before.
        """
        bound_layer, version, tensors = self._bound
        if bound_layer is not layer or version != _plan.structure_version:
            tensors = self._bind(layer)
        if tensors is None:
            self._step_anywhere(layer)
        elif status := tensors.step():
            check(status, "step")

    # What Python says where the argument is missing; users know no BuiltinOptimizer.
    step.__qualname__ = "Optimizer.step"

    def tensors(self, layer: Layer) -> Tensors | None:
        """Return the tensors of a model for as long as its layers stay; None if they may move."""
        bound_layer, version, tensors = self._bound
        if bound_layer is layer and version == _plan.structure_version:
            return cast(Tensors, tensors)
        return self._bind(layer)

    def _bind(self, layer: Layer) -> Tensors | None:
        if isinstance(layer, type) or not (hasattr(layer, "params") and hasattr(layer, "grads")):
            raise TypeError(f"layer: expected a layer, got {describe(layer)}")
        version = _plan.structure_version
        if not has_fixed_parameters(layer):
            return None
        params, grads = (
            cast(list[Array], list(layer.params())),
            cast(list[Array], list(layer.grads())),
        )
        if len({param.dtype for param in params}) != 1:
            return None
        for i, param in enumerate(params):
            _check_writable(param, i)
        self._remember(params, grads)
        rows = list(zip(grads, params, self._memory, strict=True))
        tensors = Tensors(self._numbers, rows, self._states)
        self._bound = (layer, version, tensors)
        return tensors

    def _remember(self, params: list[Array], grads: list[Array]) -> None:
        """Start to remember parameters, or check that they are those remembered."""
        if len(params) != len(grads):
            raise ValueError(f"layer: {len(params)} parameters, but {len(grads)} gradients")
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if grad.shape != param.shape:
                raise ValueError(
                    f"layer: gradient {i} has shape {grad.shape}, its parameter {param.shape}"
                )
        if not self._memory or not self._states:
            self._memory = [[aligned_zeros_like(param) for _ in self._states] for param in params]
        if len(self._memory) != len(params):
            raise ValueError(
                f"layer: {len(params)} parameters, but stepped {len(self._memory)} before"
            )
        for i, (param, states) in enumerate(zip(params, self._memory, strict=True)):
            for k, state in enumerate(states):
                if state.shape != param.shape:
                    raise ValueError(
                        f"layer: parameter {i} has shape {param.shape}, "
                        f"but the optimizer has stepped one of {state.shape}"
                    )
                if state.dtype != param.dtype or state.strides != param.strides:
                    states[k] = aligned_zeros_like(param)
                    states[k][...] = state

    def _step_anywhere(self, layer: Layer) -> None:
        """Step parameters of any kind: through copies, which are then put in place."""
        params = list(layer.params())
        for i, param in enumerate(params):
            if not hasattr(param, "__setitem__"):
                raise TypeError(
                    f"parameter {i}: expected a list or an array, got {describe(param)}"
                )
            if isinstance(param, np.ndarray):
                _check_writable(param, i)
                if param.dtype.kind != "f":
                    raise TypeError(f"parameter {i}: expected float numbers, got {describe(param)}")
        arrays = [
            np.array(as_array(param, f"parameter {i}"), order="C") for i, param in enumerate(params)
        ]
        grads = [as_array(grad, f"gradient {i}") for i, grad in enumerate(layer.grads())]
        self._remember(arrays, grads)
        rows = [
            (as_array(grad, "gradient", array.dtype), array, states)
            for grad, array, states in zip(grads, arrays, self._memory, strict=True)
        ]
        steps = self._numbers.steps
        for dtype in {array.dtype for array in arrays}:
            self._numbers.steps = steps
            same = [row for row in rows if row[1].dtype == dtype]
            check(Tensors(self._numbers, same, self._states).step(), "step")
        with np.errstate(all="ignore"):  # a parameter may be of less precision
            for param, array in zip(params, arrays, strict=True):
                cast(Any, param)[:] = array.tolist() if isinstance(param, list) else array


def _check_writable(param: Array, i: int) -> None:
    if not param.flags.writeable:
        raise ValueError(f"parameter {i}: is read-only")


class _WithUpdates(BuiltinOptimizer):
    """A rule that remembers one tensor for each parameter."""

    _states = ("first",)

    @property
    def updates(self) -> list[Array]:
        """What is remembered of each parameter, empty before the first step."""
        return [states[0] for states in self._memory]

    @updates.setter
    def updates(self, value: Iterable[Any]) -> None:
        try:
            updates = list(value)
        except TypeError:
            raise TypeError(f"updates: expected a list of tensors, got {describe(value)}") from None
        self._memory = [
            [np.array(as_array(update, f"updates[{i}]"))] for i, update in enumerate(updates)
        ]
        self._bound = (None, -1, None)


class GradientDescent(BuiltinOptimizer):
    """A step against the gradient: ``p -= lr * g``.

    Parameters
    ----------
    learning_rate : float, optional

    Attributes
    ----------
    lr : float
        The learning rate; may be changed.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[2.0]]
    >>> GradientDescent(learning_rate=0.25).step(layer)
    >>> layer.w.tolist()
    [[0.5]]
    """

    _rule = "gradient_descent"

    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__(learning_rate)


class Momentum(_WithUpdates):
    """A step by a running average: ``u = mo * u + (1 - mo) * g; p -= lr * u``.

    Parameters
    ----------
    learning_rate : float
    momentum : float, optional
        From 0 to less than 1.

    Attributes
    ----------
    lr, mo : float
        The learning rate and the momentum; may be changed.
    updates : list of ndarray
        The running averages, one a parameter; empty before the first step.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer, optimizer = Linear(1, 1), Momentum(learning_rate=0.5, momentum=0.5)
    >>> layer.w, layer.w_grad = [[1.0]], [[2.0]]
    >>> optimizer.step(layer)
    >>> layer.w.tolist(), optimizer.updates[0].tolist()
    ([[0.5]], [[1.0]])
    """

    _rule = "momentum"
    mo = _number("momentum", 0.0, BELOW_ONE, "The momentum.")

    def __init__(self, learning_rate: float, momentum: float = 0.9) -> None:
        super().__init__(learning_rate)
        self.mo = momentum


class SGD(_WithUpdates):
    """Stochastic gradient descent with the usual momentum: ``v = momentum * v + g; p -= lr * v``.

    Parameters
    ----------
    learning_rate : float, optional
    momentum : float, optional
        From 0 to less than 1.
    nesterov : bool, optional
        Step by ``g + momentum * v`` instead (Nesterov's momentum in the form of Sutskever et al.,
        2013).
    weight_decay : float, optional
        Adds ``weight_decay * p`` to the gradient.

    Attributes
    ----------
    lr, momentum, weight_decay : float
    nesterov : bool
        May all be changed.
    updates : list of ndarray
        The v of each parameter; empty before the first step.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer, optimizer = Linear(1, 1), SGD(learning_rate=0.25, momentum=0.5)
    >>> layer.w, layer.w_grad = [[1.0]], [[1.0]]
    >>> optimizer.step(layer)  # by 0.25 * 1
    >>> optimizer.step(layer)  # by 0.25 * (0.5 + 1)
    >>> layer.w.tolist()
    [[0.375]]
    """

    _rule = "sgd"
    momentum = _number("momentum", 0.0, BELOW_ONE, "The momentum.")
    weight_decay = _number("weight_decay", 0.0, LARGEST, "The weight decay.")

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov

    @property
    def nesterov(self) -> bool:
        """Whether a step is Nesterov's."""
        return bool(self._numbers.nesterov)

    @nesterov.setter
    def nesterov(self, value: bool) -> None:
        value = as_bool(value, "nesterov")
        if value and self.momentum == 0.0:
            raise ValueError("nesterov: needs a momentum above 0")
        self._numbers.nesterov = value


class RMSProp(BuiltinOptimizer):
    """Steps scaled by a running average of squared gradients (Tieleman and Hinton, 2012).

    ``s = decay * s + (1 - decay) * g**2; p -= lr * g / (sqrt(s) + epsilon)``

    Parameters
    ----------
    learning_rate, decay, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> RMSProp(learning_rate=0.25, decay=0.75).step(layer)  # by 0.25 * 3 / sqrt(0.25 * 9)
    >>> round(layer.w.item(), 6)
    0.5
    """

    _rule = "rmsprop"
    _states = ("second",)
    decay = _number("decay", 0.0, BELOW_ONE, "The decay of the average.")
    epsilon = _number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    weight_decay = _number("weight_decay", 0.0, LARGEST, "The weight decay.")

    def __init__(
        self,
        learning_rate: float = 0.001,
        decay: float = 0.9,
        epsilon: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.decay, self.epsilon, self.weight_decay = decay, epsilon, weight_decay


class Adagrad(BuiltinOptimizer):
    """Steps scaled by the sum of all squared gradients (Duchi, Hazan and Singer, 2011).

    ``s += g**2; p -= lr * g / (sqrt(s) + epsilon)``

    Parameters
    ----------
    learning_rate, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Adagrad(learning_rate=0.25).step(layer)  # the first step is by the gradient's sign
    >>> round(layer.w.item(), 6)
    0.75
    """

    _rule = "adagrad"
    _states = ("second",)
    epsilon = _number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    weight_decay = _number("weight_decay", 0.0, LARGEST, "The weight decay.")

    def __init__(
        self, learning_rate: float = 0.01, epsilon: float = 1e-10, weight_decay: float = 0.0
    ) -> None:
        super().__init__(learning_rate)
        self.epsilon, self.weight_decay = epsilon, weight_decay


class Adam(BuiltinOptimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015).

    ``m = beta1 * m + (1 - beta1) * g; s = beta2 * s + (1 - beta2) * g**2``, then
    ``p -= lr * (m / (1 - beta1**t)) / (sqrt(s / (1 - beta2**t)) + epsilon)`` at step t = 1, 2, ...

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient; see `AdamW` for the decoupled
        form.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Adam(learning_rate=0.25).step(layer)  # the first step is by the gradient's sign
    >>> round(layer.w.item(), 6)
    0.75
    """

    _rule = "adam"
    _states = ("first", "second")
    beta1 = _number("momentum", 0.0, BELOW_ONE, "The decay of the gradients' average.", "beta1")
    beta2 = _number("decay", 0.0, BELOW_ONE, "The decay of their squares' average.", "beta2")
    epsilon = _number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    weight_decay = _number("weight_decay", 0.0, LARGEST, "The weight decay.")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019).

    ``p -= lr * weight_decay * p``, then the step of `Adam`.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, weight_decay : float, optional

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[0.0]]
    >>> AdamW(learning_rate=0.5, weight_decay=0.5).step(layer)
    >>> layer.w.tolist()
    [[0.75]]
    """

    _rule = "adamw"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay)
