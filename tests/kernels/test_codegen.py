"""What the compiler made of the kernels: read from the objects of the build tree, if there is one.

A kernel object shows one symbol, its table, and asks for nothing from outside, so that nothing
compiled for a new CPU can be picked for an old one. The inner loops of the register tiles touch no
stack: a spilled accumulator costs more than everything else in the loop.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.codegen

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"deepc_kernels_([a-z0-9]+)_f(32|64)\.dir")


def find_objects():
    """Return the newest object of each instruction set and dtype."""
    folders = os.environ.get("DEEPC_BUILD_DIR", str(ROOT / "build")).split(os.pathsep)
    found = {}
    for folder in folders:
        for path in Path(folder).glob("**/kernels*.o"):
            match = NAME.search(str(path))
            # Sanitizers and coverage add symbols and stack accesses of their own; the tools here
            # cannot read what was compiled for another machine (scripts/test_platform.py).
            foreign = path.relative_to(folder).parts[0] == "platforms"
            if match and "sanitize" not in str(path) and not foreign:
                key = f"{match[1]}-f{match[2]}"
                if key not in found or path.stat().st_mtime > found[key].stat().st_mtime:
                    found[key] = path
    return found


OBJECTS = find_objects()
TABLE = (ROOT / "csrc/kernels/table.h").read_text(encoding="utf-8") if OBJECTS else ""
HAVE_TOOLS = shutil.which("nm") and shutil.which("objdump")
if not (OBJECTS and HAVE_TOOLS):
    pytest.skip("needs nm, objdump and the objects of a build", allow_module_level=True)


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("key", sorted(OBJECTS))
def test_object_shows_its_table_and_needs_nothing(key):
    isa, dtype = key.split("-")
    symbols = [
        line.split() for line in output_of("nm", "--format=posix", OBJECTS[key]).splitlines()
    ]
    shown = {s[0].lstrip("_") for s in symbols if s[1].isupper() and s[1] != "U"}
    assert shown == {f"dc_kernels_{isa}_{dtype}"}
    # Position-independent code may name the linker's own table of addresses.
    missing = {s[0] for s in symbols if s[1] in "Uuw"} - {"_GLOBAL_OFFSET_TABLE_"}
    assert not missing


# The old instructions are slow after one of AVX that left the upper halves of registers in use.
@pytest.mark.parametrize("key", [key for key in sorted(OBJECTS) if key.startswith("avx")])
def test_every_kernel_clears_the_upper_halves(key):
    kernels = re.findall(r"^ +K\((?:void|double), \w+", TABLE, re.MULTILINE)
    assert len(kernels) > 20
    clears = output_of("objdump", "-d", OBJECTS[key]).count("vzeroupper")
    assert clears >= len(kernels)


# ---- Inner loops ---------------------------------------------------------------------------------

# The largest tile of each instruction set.
TILES = {"avx512": "tile_14x2", "avx2": "tile_6x2"}
MULTIPLY_ADD = re.compile(r"\bvfmadd\d+p[sd]\b")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
JUMP = re.compile(r"^j\w+\s+([0-9a-f]+)\b")


def functions_of(path):
    """Return the instructions, (address, text), of every function."""
    functions = {}
    name = None
    for line in output_of("objdump", "-d", "--no-show-raw-insn", path).splitlines():
        if header := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            name = header[1].lstrip("_")
            functions[name] = []
        elif name and (match := LINE.match(line)):
            functions[name].append((int(match[1], 16), match[2].strip()))
    return functions


def inner_loops(instructions):
    """Return the loops that multiply and hold no smaller one that does, each as a list of texts."""
    spans = []
    for address, text in instructions:
        jump = JUMP.match(text)
        if jump and (target := int(jump[1], 16)) <= address:
            body = [t for a, t in instructions if target <= a <= address]
            if any(map(MULTIPLY_ADD.search, body)):
                spans.append((target, address, body))
    return [
        body
        for first, last, body in spans
        if not any(
            (first, last) != (start, end) and first <= start and end <= last
            for start, end, _ in spans
        )
    ]


@pytest.mark.parametrize("key", [key for key in sorted(OBJECTS) if key.split("-")[0] in TILES])
def test_inner_loop_of_the_largest_tile_keeps_to_registers(key):
    tile = TILES[key.split("-")[0]]
    rows, vecs = (int(number) for number in tile.removeprefix("tile_").split("x"))
    # A compiler may append .constprop.0 and the like.
    bodies = [
        code for name, code in functions_of(OBJECTS[key]).items() if name.split(".")[0] == tile
    ]
    assert bodies, f"no function {tile}; the tile was inlined or renamed"
    for code in bodies:
        # Without a frame pointer %rbp is a register like others.
        has_frame = any(re.match(r"mov\s+%rsp,\s*%rbp", text) for _, text in code)
        stack = re.compile(r"\(%r[bs]p" if has_frame else r"\(%rsp")
        loops = inner_loops(code)
        assert loops, f"{tile} has no loop that multiplies"
        for body in loops:
            count = sum(map(bool, map(MULTIPLY_ADD.search, body)))
            assert count > 0
            assert count % (rows * vecs) == 0, f"{tile}: {count} multiply-adds a turn"
            spills = [text for text in body if stack.search(text)]
            assert not spills, f"{tile}: {spills[:5]}"
