"""The update rules of the library, as classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from deepc._values import (
    BELOW_ONE,
    LARGEST,
    SMALLEST,
    Array,
    as_array,
    as_bool,
    as_float,
    describe,
)
from deepc.optimizers.base import Around, BuiltinOptimizer, Rate, flag, number

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradientDescent",
    "Lion",
    "Momentum",
    "Nadam",
    "RMSProp",
]


class _WithUpdates(BuiltinOptimizer):
    """A rule that may remember a velocity of each parameter."""

    @property
    def updates(self) -> list[Array]:
        """What is remembered of each parameter; empty before the first step with a momentum."""
        return self._remembered("first")

    @updates.setter
    def updates(self, value: Iterable[Any]) -> None:
        try:
            updates = list(value)
        except TypeError:
            raise TypeError(f"updates: expected a list of tensors, got {describe(value)}") from None
        self._memory = [
            [np.array(as_array(update, f"updates[{i}]"))] for i, update in enumerate(updates)
        ]
        self._kept = ("first",) if updates else ()
        self._numbers.moving = bool(updates)
        self._unbind()


class GradientDescent(BuiltinOptimizer):
    """A step against the gradient: ``p -= lr * g``.

    Parameters
    ----------
    learning_rate : float or schedule, optional
    weight_decay : float, optional
    **around
        What may stand around any rule: `BuiltinOptimizer`.

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

    def __init__(
        self, learning_rate: Rate = 0.1, *, weight_decay: float = 0.0, **around: Unpack[Around]
    ) -> None:
        super().__init__(learning_rate, **around)
        self.weight_decay = weight_decay


class Momentum(_WithUpdates):
    """A step by a running average: ``u = mo * u + (1 - mo) * g; p -= lr * u``.

    Parameters
    ----------
    learning_rate : float or schedule
    momentum : float, optional
        From 0 to less than 1.
    weight_decay : float, optional
    **around
        What may stand around any rule: `BuiltinOptimizer`.

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
    mo = number("momentum", 0.0, BELOW_ONE, "The momentum.")

    def __init__(
        self,
        learning_rate: Rate,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.mo = momentum
        self.weight_decay = weight_decay


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
    dampening : float, optional
        What the velocity takes of a gradient is ``(1 - dampening) * g``, but of the first one all.
    rate_inside : bool, optional
        Keras' form, ``v = momentum * v + lr * g; p -= v``: a change of the learning rate does not
        change what the velocity has already.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

    Attributes
    ----------
    lr, momentum, weight_decay, dampening : float
    nesterov, rate_inside : bool
        May all be changed. A momentum that becomes 0 lets the velocity go on as the gradient.
    updates : list of ndarray
        The v of each parameter; empty before the first step with a momentum.

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
    momentum = number("momentum", 0.0, BELOW_ONE, "The momentum.")
    dampening = number("dampening", 0.0, 1.0, "What the velocity leaves of a gradient.")
    rate_inside = flag("rate_inside", "Whether the learning rate is in the velocity.")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        dampening: float = 0.0,
        rate_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.rate_inside = rate_inside
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
        if value and self.dampening != 0.0:
            raise ValueError("nesterov: needs a dampening of 0")
        self._numbers.nesterov = value


class RMSProp(_WithUpdates):
    """Steps scaled by a running average of squared gradients (Tieleman and Hinton, 2012).

    ``s = decay * s + (1 - decay) * g**2; p -= lr * g / (sqrt(s) + epsilon)``

    Parameters
    ----------
    learning_rate, decay, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient.
    momentum : float, optional
        Above 0: ``u = momentum * u + g / (sqrt(s) + epsilon); p -= lr * u``.
    centered : bool, optional
        Takes the square of the gradients' average from `s`, which makes it their variance.
    rate_inside, epsilon_inside : bool, optional
        Both for Keras' form: ``u = momentum * u + lr * g / sqrt(s + epsilon); p -= u``.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

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
    decay = number("decay", 0.0, BELOW_ONE, "The decay of the average.")
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    momentum = number("momentum", 0.0, BELOW_ONE, "The momentum.")
    centered = flag("centered", "Whether steps are scaled by the variance.")
    rate_inside = flag("rate_inside", "Whether the learning rate is in the velocity.")
    epsilon_inside = flag("epsilon_inside", "Whether epsilon is under the root.")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        decay: float = 0.9,
        epsilon: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        momentum: float = 0.0,
        centered: bool = False,
        rate_inside: bool = False,
        epsilon_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.decay, self.epsilon, self.weight_decay = decay, epsilon, weight_decay
        self.momentum, self.centered = momentum, centered
        self.rate_inside, self.epsilon_inside = rate_inside, epsilon_inside


class Adagrad(BuiltinOptimizer):
    """Steps scaled by the sum of all squared gradients (Duchi, Hazan and Singer, 2011).

    ``s += g**2; p -= lr * g / (sqrt(s) + epsilon)``

    Parameters
    ----------
    learning_rate, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient.
    initial : float, optional
        What the sum of squares starts from.
    epsilon_inside : bool, optional
        Keras' form, which has epsilon under the root: ``p -= lr * g / sqrt(s + epsilon)``.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

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
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    epsilon_inside = flag("epsilon_inside", "Whether epsilon is under the root.")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        initial: float = 0.0,
        epsilon_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.initial = as_float(initial, "initial", 0.0, LARGEST)
        self.epsilon_inside = epsilon_inside

    def _start(self, name: str, param: Array) -> Array:
        state = super()._start(name, param)
        if name == "second":
            state.fill(self.initial)
        return state


class Adam(BuiltinOptimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015).

    ``m = beta1 * m + (1 - beta1) * g; s = beta2 * s + (1 - beta2) * g**2``, then
    ``p -= lr * (m / (1 - beta1**t)) / (sqrt(s / (1 - beta2**t)) + epsilon)`` at step t = 1, 2, ...

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, weight_decay : float, optional
        `weight_decay` adds ``weight_decay * p`` to the gradient; see `AdamW` for the decoupled
        form.
    amsgrad : bool, optional
        Divides by the root of the largest `s` so far (Reddi, Kale and Kumar, 2018).
    epsilon_inside : bool, optional
        Keras' form, the paper's epsilon hat: ``lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m /
        (sqrt(s) + epsilon)``.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

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
    beta1 = number("momentum", 0.0, BELOW_ONE, "The decay of the gradients' average.", "beta1")
    beta2 = number("decay", 0.0, BELOW_ONE, "The decay of their squares' average.", "beta2")
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    amsgrad = flag("amsgrad", "Whether the divisor never becomes smaller.")
    epsilon_inside = flag("epsilon_inside", "Whether epsilon is added before the correction.")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        amsgrad: bool = False,
        epsilon_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.amsgrad, self.epsilon_inside = amsgrad, epsilon_inside


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
        learning_rate: Rate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        amsgrad: bool = False,
        epsilon_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate, beta1, beta2, epsilon, weight_decay,
            amsgrad=amsgrad, epsilon_inside=epsilon_inside, **around,
        )  # fmt: skip


class Adadelta(BuiltinOptimizer):
    """Steps scaled by how large steps and gradients have been (Zeiler, 2012).

    ``s = decay * s + (1 - decay) * g**2; d = g * sqrt(u + epsilon) / sqrt(s + epsilon)``, then
    ``u = decay * u + (1 - decay) * d**2; p -= lr * d``

    Parameters
    ----------
    learning_rate, decay, epsilon, weight_decay : float, optional
    **around
        What may stand around any rule: `BuiltinOptimizer`.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Adadelta(decay=0.75, epsilon=1.0).step(layer)  # by 3 / sqrt(0.25 * 9 + 1)
    >>> round(layer.w.item(), 6)
    -0.664101
    """

    _rule = "adadelta"
    decay = number("decay", 0.0, BELOW_ONE, "The decay of the averages.")
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        decay: float = 0.9,
        epsilon: float = 1e-6,
        weight_decay: float = 0.0,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.decay, self.epsilon, self.weight_decay = decay, epsilon, weight_decay


class Adamax(BuiltinOptimizer):
    """Adam with the largest gradient in place of the root of their squares (Kingma and Ba, 2015).

    ``m = beta1 * m + (1 - beta1) * g; s = max(beta2 * s, abs(g))``, then
    ``p -= lr * m / ((1 - beta1**t) * (s + epsilon))`` at step t = 1, 2, ...

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, weight_decay : float, optional
    epsilon_inside : bool, optional
        PyTorch's form: ``s = max(beta2 * s, abs(g) + epsilon)``, and a division by it.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Adamax(learning_rate=0.25).step(layer)  # the first step is by the gradient's sign
    >>> round(layer.w.item(), 6)
    0.75
    """

    _rule = "adamax"
    beta1 = number("momentum", 0.0, BELOW_ONE, "The decay of the gradients' average.", "beta1")
    beta2 = number("decay", 0.0, BELOW_ONE, "The decay of the largest gradient.", "beta2")
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    epsilon_inside = flag("epsilon_inside", "Whether epsilon is in the maximum.")

    def __init__(
        self,
        learning_rate: Rate = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        epsilon_inside: bool = False,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.epsilon_inside = epsilon_inside


class Nadam(BuiltinOptimizer):
    """Adam with Nesterov's look ahead (Dozat, 2016).

    With ``mu(t) = beta1 * (1 - 0.96**(momentum_decay * t) / 2)`` and M the product of all so far,
    the m of `Adam` is replaced by
    ``mu(t + 1) * m / (1 - M * mu(t + 1)) + (1 - mu(t)) * g / (1 - M)``.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, weight_decay : float, optional
    momentum_decay : float, optional
        How fast the momentum grows to `beta1`; in Keras it is 1.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Nadam(learning_rate=0.25).step(layer)
    >>> round(layer.w.item(), 4)
    0.7359
    """

    _rule = "nadam"
    beta1 = number("momentum", 0.0, BELOW_ONE, "The decay of the gradients' average.", "beta1")
    beta2 = number("decay", 0.0, BELOW_ONE, "The decay of their squares' average.", "beta2")
    epsilon = number("epsilon", SMALLEST, LARGEST, "What keeps the divisor from 0.")
    momentum_decay = number("momentum_decay", 0.0, LARGEST, "How fast the momentum grows.")

    def __init__(
        self,
        learning_rate: Rate = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        momentum_decay: float = 0.004,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.momentum_decay = momentum_decay


class Lion(BuiltinOptimizer):
    """Steps of one size, by the sign of an average (Chen et al., 2023).

    ``p -= lr * sign(beta1 * m + (1 - beta1) * g)``, then ``m = beta2 * m + (1 - beta2) * g``

    Parameters
    ----------
    learning_rate, beta1, beta2, weight_decay : float, optional
        As the paper has it, weight decay is to be `decoupled`.
    **around
        What may stand around any rule: `BuiltinOptimizer`.

    Examples
    --------
    >>> from deepc import Linear
    >>> layer = Linear(1, 1)
    >>> layer.w, layer.w_grad = [[1.0]], [[3.0]]
    >>> Lion(learning_rate=0.25).step(layer)
    >>> layer.w.tolist()
    [[0.75]]
    """

    _rule = "lion"
    beta1 = number("momentum", 0.0, 1.0, "What the sign takes of the average.", "beta1")
    beta2 = number("decay", 0.0, 1.0, "The decay of the average.", "beta2")

    def __init__(
        self,
        learning_rate: Rate = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        **around: Unpack[Around],
    ) -> None:
        super().__init__(learning_rate, **around)
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, weight_decay
