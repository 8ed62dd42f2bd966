"""The text of an exported network: blocks of ``runtime.c``, constants, and its functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepc._c.library import version
from deepc._values import FLOAT32
from deepc.shipping.program import Program, Step

__all__ = ["RUNTIME", "Text", "as_c", "needed"]

RUNTIME = Path(__file__).with_name("runtime.c")
_COLUMNS = 100
# Steps that cannot work in place.
_MOVES = ("linear", "linear_int8")


def _blocks(real: str) -> dict[str, tuple[list[str], str]]:
    """Return the blocks of the runtime for a type: by name, the blocks they call and their text."""
    blocks: dict[str, tuple[list[str], str]] = {}
    text = RUNTIME.read_text(encoding="utf-8")
    for head, body in re.findall(r"^//@ (.*)\n((?:(?!//@).*\n)*)", text, re.MULTILINE):
        title, _, calls = head.partition(":")
        name, _, only = title.partition(" ")
        if only in ("", real):
            blocks[name] = (calls.split(), body.strip() + "\n")
    return blocks


def needed(names: Iterable[str], blocks: dict[str, tuple[list[str], str]]) -> Iterator[str]:
    """Yield the texts of some blocks and of all that they call, each once, callees first."""
    found: set[str] = set()

    def visit(name: str) -> None:
        for other in blocks[name][0]:
            visit(other)
        found.add(name)

    for name in names:
        visit(name)
    return (text for name, (_, text) in blocks.items() if name in found)


def as_c(value: Any, suffix: str) -> str:
    """Return a number as C has it, exactly."""
    sign, _, rest = float(value).hex().rpartition("0x")
    digits, _, exponent = rest.partition("p")
    return (
        f"{sign}0x{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}{suffix}"
    )


def _constants(kind: str, name: str, items: Iterable[str], more: str = "") -> Iterator[str]:
    """Yield the lines of an array of constants."""
    items = list(items)
    yield f"static const NET_FLASH {kind} {name}[{len(items)}{more}] = {{"
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > _COLUMNS:
            yield line
            line = "   "
        line += f" {item},"
    yield line.rstrip(",")
    yield "};"


class Text:
    """Writes the two files of a network."""

    def __init__(self, plan: Program, name: str, stem: str) -> None:
        self.plan = plan
        self.name = name
        self.stem = stem
        self.single = plan.dtype == FLOAT32
        self.real = "float" if self.single else "double"
        self.suffix = "f" if self.single else ""
        self.blocks = _blocks(self.real)

    def finish(self, text: str) -> str:
        """Put the network's name and its types into a text."""
        text = re.sub(r"\bnet_", f"{self.name}_", text)
        text = re.sub(r"\bNET_", f"{self.name.upper()}_", text)
        text = re.sub(r"\breal\b", self.real, text)
        return re.sub(r"\bbits_t\b", "uint32_t" if self.single else "uint64_t", text)

    def constant(self, number: int, name: str) -> str:
        """Return what an array of a step is called in the file."""
        return f"net_{name}{number}"

    def arrays(self) -> Iterator[str]:
        """Yield the lines of what the steps read."""
        for number, step in enumerate(self.plan.steps):
            for name, array in step.arrays.items():
                if array.dtype == np.int8:
                    integers = map(str, array.ravel().tolist())
                    yield from _constants("int8_t", f"net_{name}{number}", integers)
                elif array.ndim:
                    values = (as_c(value, self.suffix) for value in array.ravel().tolist())
                    more = " + NET_PAD" if array.ndim == 2 else ""
                    yield from _constants("real", f"net_{name}{number}", values, more)

    def statement(self, number: int, step: Step, x: str, y: str, inputs: int) -> str:
        """Return what takes a step from one array to another, or in place."""
        if step.kind == "linear":
            w, b = (self.constant(number, name) for name in "wb")
            return f"net_linear({inputs}, {step.width}, {x}, {w}, {b}, {y});"
        if step.kind == "linear_int8":
            q, s, b = (self.constant(number, name) for name in "qsb")
            return f"net_linear_int8({inputs}, {step.width}, {x}, {q}, {s}, {b}, {y});"
        if step.kind == "softmax":
            return f"net_softmax({step.width}, {x}, {y});"
        call = f"net_{step.kind}({x}[i])"
        if step.kind == "scale":
            factor = as_c(step.arrays["factor"], self.suffix)
            call = f"net_scale({factor}, {x}[i])"
        return f"for (i = 0; i < {step.width}; i++) {y}[i] = {call};"

    def forward(self) -> Iterator[str]:
        """Yield the lines of the function, which keeps what lies between on the stack."""
        steps, lines = self.plan.steps, []
        between: dict[str, int] = {}
        # From here on all works in place, on what the caller gave.
        last = max((i for i, step in enumerate(steps) if step.kind in _MOVES), default=0)
        at, width = "x", self.plan.inputs
        for number, step in enumerate(steps):
            if number >= last:
                to = "y"
            elif at == "x" or step.kind in _MOVES:
                to = "a" if at != "a" else "b"
                between[to] = max(between.get(to, 0), step.width)
            else:
                to = at
            lines.append("    " + self.statement(number, step, at, to, width))
            at, width = to, step.width
        yield "void net_forward(const real x[NET_INPUTS], real y[NET_OUTPUTS]) {"
        if between:
            yield f"    real {', '.join(f'{name}[{n}]' for name, n in between.items())};"
        if any(step.kind not in (*_MOVES, "softmax") for step in steps):
            yield "    size_t i;"
        yield from lines
        yield "}"

    def block(self, name: str, **words: Any) -> str:
        """Return a block of the runtime with words in capitals replaced."""
        text = self.blocks[name][1]
        for word, value in words.items():
            text = re.sub(rf"\b{word}\b", str(value), text)
        return text

    def guards(self) -> str:
        """Return what must hold before anything else, and what the loops are built for."""
        widths = [self.plan.inputs, *(step.width for step in self.plan.steps)]
        return self.block("guards", MORE_THAN_A_BLOCK=int(max(widths[:-1]) > 256))

    def predict(self) -> str:
        """Return the function that tells the class."""
        if self.plan.outputs > 1:
            return self.block("predict")
        last = self.plan.steps[-1].kind if self.plan.steps else ""
        return self.block("predict_one", HALF="0.5" if last == "sigmoid" else "0")

    def source(self, expected: int) -> str:
        """Return the .c file."""
        plan = self.plan
        widths = (str(s.width) if s.kind in _MOVES else s.kind for s in plan.steps)
        layers = " -> ".join([str(plan.inputs), *widths])
        parts = [
            self.block("head", DEEPC_VERSION=version(), LAYERS=layers,
                       HEADER_FILE=f"{self.stem}.h"),
            *self.middle(),
            self.predict(),
            self.block("self_test", EXPECTED=f"{expected:#010x}u"),
        ]  # fmt: skip
        return self.finish("\n".join(part.strip() + "\n" for part in parts if part))

    def middle(self) -> list[str]:
        """Return what stands between the file's head and its last functions."""
        return [
            self.guards(),
            *needed([*(step.kind for step in self.plan.steps), "bits"], self.blocks),
            "\n".join(self.arrays()),
            "\n".join(self.forward()),
        ]

    def header(self) -> str:
        """Return the .h file."""
        return self.finish(
            self.block(
                "header", DEEPC_VERSION=version(), SOURCE_FILE=f"{self.stem}.c",
                INPUT_COUNT=self.plan.inputs, OUTPUT_COUNT=self.plan.outputs,
            )
        )  # fmt: skip
