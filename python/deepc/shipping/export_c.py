"""A network as one C file, with the library's bits.

The file is made of blocks of ``runtime.c``, constants, and three functions: forward, predict, self
test. Whoever compiles it needs a C99 (or C++) compiler and nothing else: no library of mathematics,
no memory from the heap, no state that calls share.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepc._c.library import isa, version
from deepc._files import replacing
from deepc._values import FLOAT32, Array, as_bool, describe
from deepc.kernels import matmul
from deepc.layers import Layer
from deepc.shipping.program import Program, Step, evaluated, program

__all__ = ["export_c"]

_RUNTIME = Path(__file__).with_name("runtime.c")
_COLUMNS = 100
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The longest name that still leaves room for what is added to it.
_LONGEST_NAME = 60
# Words of C and C++, which no function can begin with as its whole name; with a suffix they could,
# but a header called int.h helps nobody.
_WORDS = (
    "alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char class "
    "compl concept const consteval constexpr constinit continue decltype default delete do "
    "double else enum explicit export extern false float for friend goto if inline int long "
    "main mutable namespace new noexcept not not_eq nullptr operator or or_eq private "
    "protected public register requires restrict return short signed sizeof static struct "
    "switch template this thread_local throw true try typedef typeid typename typeof union "
    "unsigned using virtual void volatile while xor xor_eq"
)
_RESERVED = frozenset(_WORDS.split())
_TEST_ROWS = 16


# ---- The text ------------------------------------------------------------------------------------


def _blocks(real: str) -> dict[str, tuple[list[str], str]]:
    """Return the blocks of the runtime for a type: by name, the blocks they call and their text."""
    blocks: dict[str, tuple[list[str], str]] = {}
    text = _RUNTIME.read_text(encoding="utf-8")
    for head, body in re.findall(r"^//@ (.*)\n((?:(?!//@).*\n)*)", text, re.MULTILINE):
        title, _, calls = head.partition(":")
        name, _, only = title.partition(" ")
        if only in ("", real):
            blocks[name] = (calls.split(), body.strip() + "\n")
    return blocks


def _needed(names: Iterable[str], blocks: dict[str, tuple[list[str], str]]) -> Iterator[str]:
    """Yield the texts of some blocks and of all that they call, each once, callees first."""
    found: set[str] = set()

    def visit(name: str) -> None:
        for other in blocks[name][0]:
            visit(other)
        found.add(name)

    for name in names:
        visit(name)
    return (text for name, (_, text) in blocks.items() if name in found)


def _number(value: Any, suffix: str) -> str:
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


class _Text:
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

    def arrays(self) -> Iterator[str]:
        for number, step in enumerate(self.plan.steps):
            for name, array in step.arrays.items():
                if array.ndim:
                    values = (_number(value, self.suffix) for value in array.ravel().tolist())
                    more = " + NET_PAD" if array.ndim == 2 else ""
                    yield from _constants("real", f"net_{name}{number}", values, more)

    def statement(self, number: int, step: Step, x: str, y: str, inputs: int) -> str:
        """Return what takes a step from one array to another, or in place."""
        if step.kind == "linear":
            return f"net_linear({inputs}, {step.width}, {x}, net_w{number}, net_b{number}, {y});"
        if step.kind == "softmax":
            return f"net_softmax({step.width}, {x}, {y});"
        call = f"net_{step.kind}({x}[i])"
        if step.kind == "scale":
            factor = _number(step.arrays["factor"], self.suffix)
            call = f"net_scale({factor}, {x}[i])"
        return f"for (i = 0; i < {step.width}; i++) {y}[i] = {call};"

    def forward(self) -> Iterator[str]:
        """Yield the lines of the function, which keeps what lies between on the stack."""
        steps, lines = self.plan.steps, []
        between: dict[str, int] = {}
        # From here on all works in place, on what the caller gave.
        last = max((i for i, step in enumerate(steps) if step.kind == "linear"), default=0)
        at, width = "x", self.plan.inputs
        for number, step in enumerate(steps):
            if number >= last:
                to = "y"
            elif at == "x" or step.kind == "linear":
                to = "a" if at != "a" else "b"
                between[to] = max(between.get(to, 0), step.width)
            else:
                to = at
            lines.append("    " + self.statement(number, step, at, to, width))
            at, width = to, step.width
        yield "void net_forward(const real x[NET_INPUTS], real y[NET_OUTPUTS]) {"
        if between:
            yield f"    real {', '.join(f'{name}[{n}]' for name, n in between.items())};"
        if any(step.kind not in ("linear", "softmax") for step in steps):
            yield "    size_t i;"
        yield from lines
        yield "}"

    def block(self, name: str, **words: Any) -> str:
        """Return a block of the runtime with words in capitals replaced."""
        text = self.blocks[name][1]
        for word, value in words.items():
            text = re.sub(rf"\b{word}\b", str(value), text)
        return text

    def predict(self) -> str:
        if self.plan.outputs > 1:
            return self.block("predict")
        last = self.plan.steps[-1].kind if self.plan.steps else ""
        return self.block("predict_one", HALF="0.5" if last == "sigmoid" else "0")

    def source(self, expected: int) -> str:
        """Return the .c file."""
        plan = self.plan
        widths = (str(s.width) if s.kind == "linear" else s.kind for s in plan.steps)
        layers = " -> ".join([str(plan.inputs), *widths])
        parts = [
            self.block("head", DEEPC_VERSION=version(), LAYERS=layers,
                       HEADER_FILE=f"{self.stem}.h"),
            self.block("guards"),
            *_needed([*(step.kind for step in plan.steps), "bits"], self.blocks),
            "\n".join(self.arrays()),
            "\n".join(self.forward()),
            self.predict(),
            self.block("self_test", EXPECTED=f"{expected:#010x}u"),
        ]  # fmt: skip
        return self.finish("\n".join(part.strip() + "\n" for part in parts if part))

    def header(self) -> str:
        """Return the .h file."""
        return self.finish(
            self.block(
                "header", DEEPC_VERSION=version(), SOURCE_FILE=f"{self.stem}.c",
                INPUT_COUNT=self.plan.inputs, OUTPUT_COUNT=self.plan.outputs,
            )
        )  # fmt: skip


# ---- What is asked for ---------------------------------------------------------------------------


def _test_inputs(plan: Program) -> Array:
    """Return the inputs of the self test: sixteen rows from a linear congruence."""
    state, rows = 1, []
    for _ in range(_TEST_ROWS * plan.inputs):
        state = (state * 1664525 + 1013904223) % 2**32
        rows.append(((state >> 8) - 2**23) * 2.0**-22)
    return np.array(rows, plan.dtype).reshape(_TEST_ROWS, plan.inputs)


def _test_sum(outputs: Array) -> int:
    """Return what the self test makes of the outputs."""
    bits = outputs.view(np.uint32 if outputs.dtype == FLOAT32 else np.uint64)
    half = outputs.itemsize * 4
    total = 0
    for word in np.where(np.isnan(outputs), 0, bits).ravel().tolist():
        total = (total ^ word & 0xFFFFFFFF) * 16777619 % 2**32
        total = (total ^ word >> half) * 16777619 % 2**32
    return total


def export_c(
    net: Layer, path: str | os.PathLike[str], *, name: str | None = None, verify: bool = True
) -> None:
    """Write a network as one C file, with its header, that computes the same bits.

    The file is C99 (and C++), allocates nothing, calls nothing and keeps no state. It offers
    ``NAME_forward(x, y)``, ``NAME_predict(x)``, the class, and ``NAME_self_test()``, which returns
    0 where compiler, options and machine give the bits of the library. Layers are what they are in
    evaluation.

    Parameters
    ----------
    net : Layer
        Layers of the library, in Sequentials or by itself.
    path : str or path
        The .c file; the header goes beside it.
    name : str, optional
        What the functions' names begin with; the file's stem if not given.
    verify : bool, optional
        Compile the file with what the machine has (``CC``, cc, gcc, clang) and compare its results
        with the network's, bit by bit. Without a compiler a warning says so.

    Raises
    ------
    TypeError, ValueError
        If a layer is written in Python or cannot be exported, weights are not finite, or the name
        is no identifier of C; nothing is written then.
    RuntimeError
        If the compiled file gives other bits: the message says for which row and output.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from deepc import Linear, Sequential, Tanh
    >>> net = Sequential([Linear(10, 25), Tanh(), Linear(25, 4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_c(net, os.path.join(folder, "fizz.c"), verify=False)
    ...     sorted(os.listdir(folder))
    ['fizz.c', 'fizz.h']
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a string or a path, got {describe(path)}")
    target = Path(os.fsdecode(path))
    if target.suffix != ".c":
        raise ValueError(f"path: expected a name that ends in .c, got {str(target)!r}")
    if name is None:
        name = target.stem
    _check_name(name)
    verify = as_bool(verify, "verify")
    plan = program(net)
    if not _fuses(plan.dtype):
        raise ValueError(
            f"export_c: the instruction set in force, {isa()}, has no fused multiply-add, without "
            "which the library does not have the bits that the file gives"
        )
    text = _Text(plan, name, target.stem)
    reference = evaluated(net)
    expected = _test_sum(np.asarray(reference.forward(_test_inputs(plan))))
    source = text.source(expected)
    header = text.header()
    with replacing(target) as file:
        file.write(source.encode())
    with replacing(target.with_suffix(".h")) as file:
        file.write(header.encode())
    if verify:
        from deepc.shipping.verify import compare

        compare(target, name, plan, reference)


def _fuses(dtype: Any) -> bool:
    """Whether the library has fused multiply-add, and so the bits that it promises."""
    small = np.finfo(dtype).eps / 2
    root = dtype.type(1) + np.sqrt(small)  # its square has the last bit that a sum would round off
    x, w = np.array([[1, root]], dtype), np.array([[-1 - 2 * np.sqrt(small)], [root]], dtype)
    return bool(matmul(x, w)[0, 0] != 0)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {describe(name)}")
    if not _IDENTIFIER.fullmatch(name) or name.startswith("__") or name in _RESERVED:
        raise ValueError(
            f"name: expected an identifier of C, got {name!r}; "
            "name='...' chooses another one than the file's"
        )
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"name: expected at most {_LONGEST_NAME} letters, got {len(name)}")
