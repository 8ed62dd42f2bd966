"""Checks a built wheel: its tag, size, contents, dependencies, and what its module exports."""

import re
import sys
import zipfile
from email.parser import Parser
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile

LARGEST = 500_000
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


def main(path: Path) -> None:
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
    print(f"{path.name}: {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
