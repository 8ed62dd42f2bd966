"""The update rules in the words of each peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rule:
    """An update rule by deepc's name and arguments."""

    name: str
    numbers: dict[str, Any]

    def deepc(self, deepc: Any) -> Any:
        """Return deepc's optimizer."""
        return getattr(deepc, self.name)(**self.numbers)

    def of(self, name: str) -> float:
        """Return a number of the rule, or what deepc takes if it is not given."""
        defaults = {
            "momentum": 0.9 if self.name == "Momentum" else 0.0, "beta1": 0.9, "beta2": 0.999,
            "decay": 0.9, "epsilon": {"Adagrad": 1e-10, "RMSProp": 1e-7}.get(self.name, 1e-8),
            "weight_decay": 0.01 if self.name == "AdamW" else 0.0, "nesterov": False,
            "epsilon_inside": False,
        }  # fmt: skip
        return self.numbers[name] if name in self.numbers else defaults[name]

    def numpy(self, params: list[Any]) -> Callable[[list[Any]], None]:
        """Return a function that updates the parameters in place, without new arrays."""
        return NumpyRule(self, params).step

    def jax_state(self, jax: Any, params: list[Any]) -> Any:
        """Return the state before the first step: step count, first and second."""
        zeros = jax.tree.map(jax.numpy.zeros_like, params)
        return jax.numpy.zeros((), "int32"), zeros, jax.tree.map(jax.numpy.zeros_like, params)

    def jax(self, jax: Any) -> Callable[[Any, Any], Any]:
        """Return a pure function from (params, state) and gradients to new params and state."""
        one = partial(_jax_update, jax.numpy, self)

        def update(held: Any, grads: Any) -> Any:
            params, (t, first, second) = held
            t = t + 1
            new = [one(t, *args) for args in zip(params, grads, first, second, strict=True)]
            return [n[0] for n in new], (t, [n[1] for n in new], [n[2] for n in new])

        return update


def _jax_update(jnp: Any, rule: Rule, t: Any, p: Any, g: Any, first: Any, second: Any) -> Any:
    """Return parameter and state after step t; what the rule does not use stays."""
    lr, wd, eps = rule.of("learning_rate"), rule.of("weight_decay"), rule.of("epsilon")
    m, b1, b2 = rule.of("momentum"), rule.of("beta1"), rule.of("beta2")
    if rule.name == "AdamW":
        p = p - lr * wd * p
    elif wd:
        g = g + wd * p
    if rule.name == "Momentum":
        first = m * first + (1 - m) * g
        return p - lr * first, first, second
    if rule.name in ("SGD", "GradientDescent"):
        if not m:
            return p - lr * g, first, second
        first = m * first + g
        return p - lr * (g + m * first if rule.of("nesterov") else first), first, second
    if rule.name == "RMSProp":
        second = rule.of("decay") * second + (1 - rule.of("decay")) * g * g
        if rule.of("epsilon_inside"):
            return p - lr * g / jnp.sqrt(second + eps), first, second
        return p - lr * g / (jnp.sqrt(second) + eps), first, second
    if rule.name == "Adagrad":
        second = second + g * g
        return p - lr * g / (jnp.sqrt(second) + eps), first, second
    first = b1 * first + (1 - b1) * g
    second = b2 * second + (1 - b2) * g * g
    t = t.astype("float32")
    step = lr / (1 - b1**t)
    return p - step * first / (jnp.sqrt(second / (1 - b2**t)) + eps), first, second


class NumpyRule:
    """The update rules in NumPy, in place."""

    def __init__(self, rule: Rule, params: list[Any]) -> None:
        self.rule, self.params, self.t = rule, params, 0
        self.first, self.second, self.a, self.b = (
            [np.zeros_like(param) for param in params] for _ in range(4)
        )

    def step(self, grads: list[Any]) -> None:
        """Update all parameters."""
        self.t += 1
        for row in zip(self.params, grads, self.first, self.second, self.a, self.b, strict=True):
            self._update(*row)

    def _update(self, p: Any, g: Any, first: Any, second: Any, a: Any, b: Any) -> None:
        of, name = self.rule.of, self.rule.name
        lr, wd, m = of("learning_rate"), of("weight_decay"), of("momentum")
        if name == "AdamW":
            p *= 1 - lr * wd
        elif wd:
            np.multiply(p, wd, a)
            g = np.add(a, g, a)
        if name == "Momentum":
            first *= m
            first += np.multiply(g, 1 - m, b)
            p -= np.multiply(first, lr, b)
        elif name in ("SGD", "GradientDescent"):
            if m:
                first *= m
                first += g
                g = np.add(g, np.multiply(first, m, b), b) if of("nesterov") else first
            p -= np.multiply(g, lr, b)
        elif name in ("RMSProp", "Adagrad"):
            squares = np.multiply(g, g, b)
            if name == "RMSProp":
                second *= of("decay")
                squares *= 1 - of("decay")
            second += squares
            if of("epsilon_inside"):
                np.sqrt(np.add(second, of("epsilon"), b), b)
            else:
                np.sqrt(second, b)
                b += of("epsilon")
            np.divide(g, b, b)
            b *= lr
            p -= b
        else:
            beta1, beta2 = of("beta1"), of("beta2")
            first *= beta1
            first += np.multiply(g, 1 - beta1, b)
            second *= beta2
            np.multiply(g, g, b)
            b *= 1 - beta2
            second += b
            np.divide(second, 1 - beta2**self.t, b)
            np.sqrt(b, b)
            b += of("epsilon")
            np.divide(first, b, b)
            b *= lr / (1 - beta1**self.t)
            p -= b


def torch_optimizers(torch: Any, rule: Rule) -> dict[str, Callable[[Any], Any]]:
    """Return PyTorch's ways to the rule: one kernel for all where it has one, and lists."""
    lr, wd = rule.of("learning_rate"), rule.of("weight_decay")
    betas = (rule.of("beta1"), rule.of("beta2"))
    eps = rule.of("epsilon")
    optim = torch.optim
    fused = True
    if rule.name == "Momentum":
        # The book's running average is PyTorch's momentum with a smaller learning rate.
        make = partial(optim.SGD, lr=lr * (1 - rule.of("momentum")), momentum=rule.of("momentum"))
    elif rule.name in ("SGD", "GradientDescent"):
        make = partial(
            optim.SGD, lr=lr, momentum=rule.of("momentum"), weight_decay=wd,
            nesterov=bool(rule.of("nesterov")),
        )  # fmt: skip
    elif rule.name == "RMSProp":
        make = partial(optim.RMSprop, lr=lr, alpha=rule.of("decay"), eps=eps, weight_decay=wd)
        fused = False
    elif rule.name == "Adagrad":
        make = partial(optim.Adagrad, lr=lr, eps=eps, weight_decay=wd)
    else:
        make = partial(getattr(optim, rule.name), lr=lr, betas=betas, eps=eps, weight_decay=wd)
    ways = {"fused": partial(make, fused=True)} if fused else {}
    return {**ways, "foreach": partial(make, foreach=True)}
