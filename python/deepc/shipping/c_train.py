"""The text of an exported network that can go on training, with the bits of `fit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from deepc._values import Array, as_int, describe
from deepc.layers import Layer
from deepc.losses import SSE, SoftmaxCrossEntropy
from deepc.optimizers import SGD, Adam, AdamW, GradientDescent, Momentum
from deepc.shipping.c_text import Text, as_c, needed
from deepc.shipping.kinds import walk
from deepc.shipping.program import Program, Step

__all__ = ["TrainText"]

_LOSSES: Mapping[type, str] = {SSE: "squared_error", SoftmaxCrossEntropy: "cross_entropy"}
# Steps that have a way back, beside the linear one.
_SLOPES = ("sigmoid", "tanh", "relu")


class _Rule(NamedTuple):
    """A rule: its block of the runtime, how many states it keeps, the words in it."""

    block: str
    states: int
    words: dict[str, float]
    # Numbers that are computed in double from step to step.
    doubles: dict[str, float]


# What the rules of an exported file do; of all else an optimizer must have what it has if nothing
# is asked for.
_DONE = frozenset(
    ("learning_rate", "momentum", "decay", "epsilon", "weight_decay", "nesterov", "steps")
) | {"waiting", "momentum_product", "moving"}


def _rule(optimizer: Any) -> _Rule:
    kind = type(optimizer)
    if kind in (GradientDescent, Momentum, SGD, Adam, AdamW):
        usual = kind(0.1)
        own, other = (o.__getstate__()["_numbers"] for o in (optimizer, usual))
        changed = [name for name in own if name not in _DONE and own[name] != other[name]]
        if optimizer._schedule is not None or optimizer._no_decay or changed:
            raise ValueError(
                "train: expected an optimizer without schedule, no_decay, clipping, averages, "
                f"accumulation and other forms, which the file does not have, got {optimizer!r}"
            )
    if kind is GradientDescent:
        return _Rule("gradient_descent", 0, {}, {})
    if kind is Momentum:
        numbers = {"RULE_MOMENTUM": optimizer.mo, "RULE_REST": 1 - optimizer.mo}
        return _Rule("momentum", 1, numbers, {})
    if kind is SGD:
        numbers = {"RULE_DECAY": optimizer.weight_decay}
        if optimizer.momentum == 0:
            return _Rule("sgd_plain", 0, numbers, {})
        numbers |= {"RULE_MOMENTUM": optimizer.momentum, "RULE_NESTEROV": float(optimizer.nesterov)}
        return _Rule("sgd", 1, numbers, {})
    if kind in (Adam, AdamW):
        apart = kind is AdamW
        numbers = {
            "RULE_MOMENTUM": optimizer.beta1, "RULE_REST": 1 - optimizer.beta1,
            "RULE_SQUARES": optimizer.beta2, "RULE_SQUARES_REST": 1 - optimizer.beta2,
            "RULE_EPSILON": optimizer.epsilon,
            "RULE_DECAY": 0.0 if apart else optimizer.weight_decay,
        }  # fmt: skip
        shrink = optimizer.weight_decay if apart else 0.0
        return _Rule(
            "adam", 2, numbers,
            {"RULE_BETA1": optimizer.beta1, "RULE_BETA2": optimizer.beta2, "RULE_SHRINK": shrink},
        )  # fmt: skip
    raise TypeError(
        f"train: expected GradientDescent, Momentum, SGD, Adam or AdamW, got {describe(optimizer)}"
    )


class TrainText(Text):
    """Writes the two files of a network that trains from a layer on."""

    def __init__(
        self, plan: Program, name: str, stem: str, net: Layer, optimizer: Any, loss: Any,
        train_from: Any,
    ) -> None:  # fmt: skip
        super().__init__(plan, name, stem)
        self.rule = _rule(optimizer)
        self.optimizer = optimizer
        if type(loss) not in _LOSSES:
            raise TypeError(f"loss: expected SSE or SoftmaxCrossEntropy, got {describe(loss)}")
        self.loss = _LOSSES[type(loss)]
        first = as_int(train_from, "train_from", least=0)
        self.trained = [step.layer >= first for step in plan.steps]
        self.linears = [
            i for i, s in enumerate(plan.steps) if self.trained[i] and s.kind == "linear"
        ]
        if not self.linears:
            raise ValueError(f"train_from: no layer from {first} on has weights to train")
        for number, step in enumerate(plan.steps):
            if number > self.linears[0] and step.kind != "linear" and step.kind not in _SLOPES:
                raise ValueError(
                    f"net: layer {step.layer}, {step.kind}, cannot be trained in an exported file"
                    + ("; take the Dropout out, or train from a layer behind it"
                       if step.kind == "scale" else "")
                )  # fmt: skip
        layers: list[Any] = [layer for _, layer in walk(net)]
        for number in self.linears:
            layer = layers[plan.steps[number].layer]
            if any(gradient is None for gradient in layer.grads()):
                raise ValueError(
                    f"net: {layer!r} is frozen, but layers from {first} on are trained; "
                    "expected train_from to be behind it"
                )
        self.memory = self._memory(net)

    def _memory(self, net: Layer) -> list[list[Array]]:
        """Return what the optimizer remembers of the trained parameters: a list for each."""
        kept: list[list[Array]] = self.optimizer._memory
        parameters = len(list(self.members()))
        if not kept or not self.rule.states:
            return []
        if len(kept) not in (parameters, len(list(net.params()))):
            raise ValueError("train: the optimizer has stepped another network")
        tail = kept[-parameters:]
        for (_, array), states in zip(self.members(), tail, strict=True):
            if states[0].shape != array.shape[::-1]:
                raise ValueError(
                    f"train: the optimizer remembers weights of shape {states[0].shape}, "
                    f"the network has {array.shape[::-1]}"
                )
        return tail

    # ---- What is kept ----------------------------------------------------------------------------

    def constant(self, number: int, name: str) -> str:
        """Return what an array of a step is called in the file."""
        if number in self.linears:
            return f"net_weights.{name}{number}"
        return super().constant(number, name)

    def arrays(self) -> Iterator[str]:
        """Yield the constants of the layers that stay as they are."""
        frozen = [
            Step(s.kind, s.width, {} if i in self.linears else s.arrays)
            for i, s in enumerate(self.plan.steps)
        ]
        whole, self.plan.steps = self.plan.steps, frozen
        try:
            yield from super().arrays()
        finally:
            self.plan.steps = whole

    def members(self) -> Iterator[tuple[str, Array]]:
        """Yield name and value of each trained parameter."""
        for number in self.linears:
            for name, array in self.plan.steps[number].arrays.items():
                yield f"{name}{number}", array

    def values(self, array: Array) -> str:
        """Return an array as it stands in a struct."""
        return "{" + ", ".join(as_c(v, self.suffix) for v in array.ravel().tolist()) + "}"

    def variables(self) -> Iterator[str]:
        """Yield the two structs with what they hold at the start."""
        yield "net_weights_t net_weights = {"
        for _, array in self.members():
            yield from _wrapped(self.values(array))
        yield "};"
        yield "net_memory_t net_memory = {"
        yield f"    {float(self.optimizer.lr).hex()}, {self.optimizer.steps}u,"
        for state in range(self.rule.states):
            for i, (_, array) in enumerate(self.members()):
                kept = self.memory[i][state].T if self.memory else np.zeros_like(array)
                yield from _wrapped(self.values(np.asarray(kept)))
        yield "};"

    def header(self) -> str:
        """Return the .h file."""
        weights = "\n".join(f"    real {name}[{a.size}];" for name, a in self.members())
        states = "\n".join(
            f"    real {which}_{name}[{a.size}];"
            for which in ("first", "second")[: self.rule.states]
            for name, a in self.members()
        )
        more = self.block("train_header", WEIGHT_MEMBERS=weights, MEMORY_MEMBERS=states)
        return (
            super().header().replace("/* 0 if this", self.finish(more.strip()) + "\n\n/* 0 if this")
        )

    # ---- The step --------------------------------------------------------------------------------

    def middle(self) -> list[str]:
        """Return what stands between the file's head and its last functions."""
        words = {
            **{name: as_c(self.plan.dtype.type(v), self.suffix) for name, v in
               self.rule.words.items()},
            **{name: float(v).hex() for name, v in self.rule.doubles.items()},
            "SQUARE_ROOT": "sqrtf" if self.single else "sqrt",
        }  # fmt: skip
        steps = self.plan.steps
        kinds = [step.kind for step in steps]
        back = [f"{k}_back" for i, k in enumerate(kinds) if k in _SLOPES and i > self.linears[0]]
        back += ["linear_back"] if len(self.linears) > 1 else []
        for name in (self.rule.block, "rate"):
            self.blocks[name] = (self.blocks[name][0], self.block(name, **words))
        return [
            "#define NET_PAD 0 /* weights that change have the size that is stored */",
            f"#define NET_STATES {self.rule.states}",
            self.guards(),
            "\n".join(self.variables()),
            *needed(
                [*self.kinds(), "bits", *back, self.loss, self.rule.block, "update"], self.blocks
            ),
            "\n".join(self.arrays()),
            "\n".join(self.forward()),
            "\n".join(self.step()),
        ]

    def step(self) -> Iterator[str]:
        """Yield the lines of one training step: forward, loss, back, update."""
        steps = self.plan.steps
        outputs: list[str] = []
        buffers: dict[str, int] = {}
        lines = []
        at, width = "x", self.plan.inputs
        for number, step in enumerate(steps):
            # An activation works in place on the sums before it, which the way back does not need.
            in_place = step.kind != "linear" and number > 0 and steps[number - 1].kind == "linear"
            to = at if in_place else f"y{number}"
            if not in_place:
                buffers[to] = step.width
            lines.append(self.statement(number, step, at, to, width))
            outputs.append(to)
            at, width = to, step.width
        lines += [f"net_loss_back({at}, target, d);", "numbers = net_next();"]
        gradient, other = "d", "e"
        for number in reversed(range(self.linears[0], len(steps))):
            step = steps[number]
            before = outputs[number - 1] if number else "x"
            inputs = steps[number - 1].width if number else self.plan.inputs
            if step.kind != "linear":
                lines.append(
                    f"for (i = 0; i < {step.width}; i++) {gradient}[i] = "
                    f"net_{step.kind}_back({outputs[number]}[i], {gradient}[i]);"
                )
                continue
            if number > self.linears[0]:
                w = self.constant(number, "w")
                lines.append(f"net_linear_back({inputs}, {step.width}, {w}, {gradient}, {other});")
            for name in step.arrays:
                rows, x = (inputs, before) if name == "w" else (1, "&one")
                states = [
                    f"net_memory.{which}_{name}{number}" if i < self.rule.states
                    else self.constant(number, name)
                    for i, which in enumerate(("first", "second"))
                ]  # fmt: skip
                lines.append(
                    f"net_update(&numbers, {rows}, {step.width}, {x}, {gradient}, "
                    f"{self.constant(number, name)}, {', '.join(states)});"
                )
            gradient, other = other, gradient
        widest = max(step.width for step in steps[self.linears[0] :])
        yield "void net_train_step(const real x[NET_INPUTS], const real target[NET_OUTPUTS]) {"
        yield "    const real one = 1; /* a bias is the weight of an input that is always 1 */"
        for name, size in buffers.items():
            yield f"    real {name}[{size}];"
        yield f"    real d[{widest}]{f', e[{widest}]' if len(self.linears) > 1 else ''};"
        yield "    net_numbers numbers;"
        if any(line.startswith("for") for line in lines):
            yield "    size_t i;"
        for line in lines:
            yield from _wrapped(line)
        yield "}"


def _wrapped(text: str) -> Iterator[str]:
    """Yield a long line as several, broken at its commas."""
    line = "   "
    for word in text.split(" "):
        if len(line) + len(word) + 1 > 100:
            yield line
            line = "       "
        line += f" {word}"
    yield line if not text.startswith("{") else line + ","
