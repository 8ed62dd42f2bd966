"""The text of an exported network: blocks of ``runtime.c``, constants, and its functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepc._c.library import version
from deepc._values import FLOAT32, Array
from deepc.shipping.program import Program, Step

__all__ = ["RUNTIME", "Text", "as_c", "needed"]

RUNTIME = Path(__file__).with_name("runtime.c")
_COLUMNS = 100
# Steps that cannot work in place.
_MOVES = ("linear", "linear_int8", "embedding")
_TEST_ROWS = 16
# Steps over whole vectors; the others map one number after the other.
_WHOLE = (*_MOVES, "softmax", "log_softmax", "batch_norm", "layer_norm", "slopes")


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


def test_input(classes: int | None) -> str:
    """Return what the self test makes of its state: a number between -2 and 2, or a whole one."""
    if classes is None:
        return "(real)((int32_t)(state >> 8) - 8388608) * (real)0x1p-22"
    return f"(real)((state >> 8) % {classes}u)"


def test_rows(plan: Program) -> Array:
    """Return the inputs of the self test: sixteen rows from a linear congruence."""
    state, rows = 1, []
    for _ in range(_TEST_ROWS * plan.inputs):
        state = (state * 1664525 + 1013904223) % 2**32
        whole = state >> 8
        rows.append(whole % plan.classes if plan.classes else (whole - 2**23) * 2.0**-22)
    return np.array(rows, plan.dtype).reshape(_TEST_ROWS, plan.inputs)


def test_sum(outputs: Array) -> int:
    """Return what the self test makes of the outputs; one that differs always makes another."""
    bits = np.where(np.isnan(outputs), 0, outputs).astype(outputs.dtype.newbyteorder("<"))
    total = 0
    for word in bits.ravel().view("<u4").tolist():
        total = ((total << 5 | total >> 27) + word) % 2**32
    return total


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
                    more = " + NET_PAD" if step.kind == "linear" else ""
                    yield from _constants("real", f"net_{name}{number}", values, more)

    def statement(
        self, number: int, step: Step, x: str, y: str, inputs: int, wide: bool = False
    ) -> str:
        """Return what takes a step from one array to another, or in place.

        `wide` says that `y` has room for whole vectors, in which then are numbers.
        """
        n = step.width

        def named(name: str) -> str:
            return self.constant(number, name) if name in step.arrays else "0"

        if step.kind == "linear":
            few = "" if n > 3 else "_few"
            few += "_wide" if wide else ""
            return f"net_linear{few}({inputs}, {n}, {x}, {named('w')}, {named('b')}, {y});"
        if step.kind == "linear_int8":
            weights = ", ".join(map(named, "qsb"))
            return f"net_linear_int8({inputs}, {n}, {x}, {weights}, {y});"
        if step.kind == "embedding":
            classes = step.arrays["w"].shape[0]
            return f"net_embedding({inputs}, {classes}, {n // inputs}, {x}, {named('w')}, {y});"
        if step.kind in ("softmax", "log_softmax"):
            return f"net_{step.kind}({n}, {x}, {y});"
        if step.kind == "batch_norm":
            return f"net_batch_norm({n}, {x}, {', '.join(map(named, 'mwb'))}, {y});"
        if step.kind == "layer_norm":
            epsilon = as_c(step.arrays["e"], self.suffix)
            return f"net_layer_norm({n}, {x}, {named('w')}, {named('b')}, {epsilon}, {y});"
        if step.kind == "slopes":
            each = int(step.arrays["w"].size > 1)
            return f"net_slopes({n}, {x}, {named('w')}, {each}, {y});"
        more = f", {as_c(step.arrays['p'], self.suffix)}" if step.arrays else ""
        end = f"\n    NET_APART({y});" if "apart" in self.blocks[step.kind][0] else ""
        count = f"NET_WIDE({n})" if wide else n
        return f"for (i = 0; i < {count}; i++) {y}[i] = net_{step.kind}({x}[i]{more});{end}"

    def forward(self) -> Iterator[str]:
        """Yield the lines of the function, which keeps what lies between on the stack."""
        steps, lines = self.plan.steps, []
        between: dict[str, int] = {}
        # From here on all works in place, on what the caller gave.
        last = max((i for i, step in enumerate(steps) if step.kind in _MOVES), default=0)
        at, width = "x", self.plan.inputs
        wide = False  # whether there are numbers in all that an array has room for
        for number, step in enumerate(steps):
            if number >= last:
                to = "y"
            elif at == "x" or step.kind in _MOVES:
                to = "a" if at != "a" else "b"
                between[to] = max(between.get(to, 0), step.width)
            else:
                to = at
            wide = to != "y" and (step.kind == "linear" or (wide and step.kind not in _WHOLE))
            lines.append("    " + self.statement(number, step, at, to, width, wide))
            at, width = to, step.width
        yield "void net_forward(const real x[NET_INPUTS], real y[NET_OUTPUTS]) {"
        if between:
            arrays = ", ".join(f"{name}[NET_WIDE({n})]" for name, n in between.items())
            yield f"    real {arrays};"
        if any(step.kind not in _WHOLE for step in steps):
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

    def self_test(self, expected: Array) -> str:
        """Return the function that compares a sum of bits, given the outputs that are right."""
        # Only where NaN is right, its sign and payload must not count.
        bits = "y[i] == y[i] ? net_bits(y[i]) : 0" if np.isnan(expected).any() else "net_bits(y[i])"
        halves = ["bits"] if self.single else ["(uint32_t)bits", "(uint32_t)(bits >> 32)"]
        add = "\n            ".join(f"sum = (sum << 5 | sum >> 27) + {half};" for half in halves)
        return self.block(
            "self_test", EXPECTED=f"{test_sum(expected):#010x}u", TEST_BITS=bits, ADD_BITS=add,
            TEST_INPUT=test_input(self.plan.classes),
        )  # fmt: skip

    def source(self, expected: Array) -> str:
        """Return the .c file, given what is right for the rows of the self test."""
        plan = self.plan
        widths = (str(s.width) if s.kind in _MOVES else s.kind for s in plan.steps)
        layers = " -> ".join([str(plan.inputs), *widths])
        parts = [
            self.block("head", DEEPC_VERSION=version(), LAYERS=layers,
                       HEADER_FILE=f"{self.stem}.h"),
            *self.middle(),
            self.predict(),
            self.self_test(expected),
        ]  # fmt: skip
        return self.finish("\n".join(part.strip() + "\n" for part in parts if part))

    def kinds(self) -> list[str]:
        """Return the blocks that the steps are made of."""
        return [
            "linear_few" if step.kind == "linear" and step.width < 4 else step.kind
            for step in self.plan.steps
        ]

    def middle(self) -> list[str]:
        """Return what stands between the file's head and its last functions."""
        return [
            self.guards(),
            *needed([*self.kinds(), "bits"], self.blocks),
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
