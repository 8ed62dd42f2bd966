"""Checks a built wheel: its tag, size, contents, dependencies, and what its module exports.

Prints what each part takes in the wheel. Files are counted as they are compressed. Of the module,
which is one compressed file, the C sources are told apart by the linker's map of the same build, if
it is given as a second argument; each is charged its share of the compressed bytes by its size
before. Without a map, the module's sections are shown.
"""

import re
import sys
import zipfile
from email.parser import Parser
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile

LARGEST = 990_000
# The larger packages; all others together are the core's Python.
PACKAGES = {"autodiff", "keras", "lightning", "shipping", "torch", "training"}
EXPORTED = {"PyInit__deepc", "dc_num_threads", "dc_set_num_threads"}
NEEDED = {
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}


def check(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"wheel: {message}")


def check_module(name: str, content: bytes) -> None:
    elf = ELFFile(BytesIO(content))
    exported = {
        symbol.name
        for symbol in elf.get_section_by_name(".dynsym").iter_symbols()
        if symbol.entry.st_shndx != "SHN_UNDEF"
    }
    check(exported == EXPORTED, f"{name} exports {sorted(exported)}, not {sorted(EXPORTED)}")
    needed = {
        tag.needed
        for tag in elf.get_section_by_name(".dynamic").iter_tags()
        if tag.entry.d_tag == "DT_NEEDED"
    }
    check(needed <= NEEDED, f"{name} needs {sorted(needed - NEEDED)}")
    here = str(Path.cwd()).encode()
    check(here not in content, f"{name} holds the path of the folder it was built in")
    print(f"{name}: {len(content):,} bytes, exports {', '.join(sorted(exported))}")


def of_object(name: str) -> str:
    """Return the part of the house that an object file belongs to."""
    if kernels := re.search(r"deepc_kernels_(\w+?)_(f32|f64)\.dir", name):
        return f"kernels {kernels[1]} {kernels[2]}"
    if typed := re.search(r"deepc_typed_(f32|f64)\.dir", name):
        return f"typed {typed[1]}"
    if "csrc/python/tape" in name:
        return "the tape"
    if "csrc/python/" in name or name.endswith("_deepc.c.o"):
        return "the crossing to Python"
    if "csrc/" in name:
        return "the rest of the library"
    return "compiler and linker"


def of_file(name: str) -> str:
    """Return the part of the wheel that a file beside the module belongs to."""
    if ".dist-info/" in name:
        return "metadata"
    if not name.endswith((".py", ".pyi", ".typed")):
        return "data"
    package = name.split("/")[1]
    return f"Python: {package}" if package in PACKAGES else "Python: the rest"


def map_sizes(text: str) -> dict[str, int]:
    """Return how many bytes of the module's file come from each part, by the linker's map."""
    sizes: dict[str, int] = {}
    text = text.partition("Linker script and memory map")[2]
    # A long name of a section stands on a line of its own.
    for section, size, source in re.findall(
        r"^ (\.[\w.$-]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S.*)$", text, re.MULTILINE
    ):
        if section.startswith((".text", ".rodata", ".data", ".init_array", ".eh_frame")):
            part = of_object(source)
            sizes[part] = sizes.get(part, 0) + int(size, 16)
    return sizes


def print_parts(wheel: zipfile.ZipFile, module: str, map_file: Path | None) -> None:
    """Print how many bytes of the wheel each part takes."""
    entries = {entry.filename: entry for entry in wheel.infolist()}
    packed = entries[module].compress_size
    if map_file:
        inside = map_sizes(map_file.read_text(encoding="utf-8", errors="replace"))
        check(bool(inside), f"{map_file} is no map of the linker")
    else:
        elf = ELFFile(BytesIO(wheel.read(module)))
        inside = {
            f"section {section.name}": section["sh_size"]
            for section in elf.iter_sections()
            if section["sh_type"] != "SHT_NOBITS" and section["sh_size"] > 1000
        }
    whole = sum(inside.values())
    parts = {f"C: {name}": packed * size / whole for name, size in sorted(inside.items())}
    for entry in wheel.infolist():
        if entry.filename == module:
            continue
        name = of_file(entry.filename)
        parts[name] = parts.get(name, 0) + entry.compress_size
    total = Path(wheel.filename or "").stat().st_size
    parts["the archive's own"] = total - sum(parts.values())
    print(f"{'bytes':>9} {'share':>6}  part (before compression)")
    for name, size in sorted(parts.items()):
        before = inside.get(name.removeprefix("C: "))
        tail = f" ({before:,})" if before is not None else ""
        print(f"{size:9,.0f} {size / total:6.1%}  {name}{tail}")


def main(path: Path, map_file: Path | None = None) -> None:
    size = path.stat().st_size
    check(
        bool(re.fullmatch(r"deepc_nn-[\d.]+-cp311-abi3-\w+\.whl", path.name)), f"tag: {path.name}"
    )
    check(size < LARGEST, f"{size:,} bytes, of {LARGEST:,} at most")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        foreign = [n for n in names if not re.match(r"deepc/|deepc_nn-[\d.]+\.dist-info/", n)]
        check(not foreign, f"foreign files: {foreign}")
        check("deepc/py.typed" in names, "no py.typed")
        check(any(n.endswith("/licenses/LICENSE") for n in names), "no licence")
        metadata = Parser().parsestr(
            wheel.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode()
        )
        check(metadata["License-Expression"] == "MIT", "no licence expression")
        needs = {
            re.split(r"[^\w-]", line)[0]
            for line in metadata.get_all("Requires-Dist")
            if "extra ==" not in line
        }
        check(needs == {"numpy", "cffi"}, f"run-time dependencies {sorted(needs)}")
        modules = [n for n in names if n.endswith(".so")]
        check(modules == ["deepc/_deepc.abi3.so"], f"modules {modules}")
        check_module(modules[0], wheel.read(modules[0]))
        print_parts(wheel, modules[0], map_file)
    print(f"{path.name}: {size:,} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
