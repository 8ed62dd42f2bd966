#!/usr/bin/env python3
"""The C core and its tests on other platforms: cross-compiled, then run natively, emulated, or not.

    scripts/test_platform.py [--at-hand] NAME ... [-- arguments of ctest]    riscv64 -- -R same_bits
    scripts/test_platform.py all

Builds in build/platforms/NAME. What is missing is installed: Debian's packages as root, PyPI's into
the environment of this Python; with --at-hand nothing is. Where it cannot be had, the platform is
skipped, and the script says so and succeeds. A build or a test that fails makes it fail.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "platforms"
AT_HAND = "--at-hand"
may_install = AT_HAND not in sys.argv


class Skip(Exception):
    """Something that cannot be had here."""


@dataclass(frozen=True)
class Platform:
    """A target: Debian's cross gcc has a triplet and a package; for all others there is zig."""

    target: str
    runs: str | None  # what runs its programs; "" for nothing, None where they only get built
    debian: str | None = None  # the package of its C library, beside that of the compiler
    system: str = "Linux"
    flags: list[str] = field(default_factory=list)


PLATFORMS = {
    "aarch64": Platform("aarch64-linux-gnu", "qemu-aarch64", "libc6-dev-arm64-cross"),
    "riscv64": Platform("riscv64-linux-gnu", "qemu-riscv64", "libc6-dev-riscv64-cross"),
    "s390x": Platform("s390x-linux-gnu", "qemu-s390x", "libc6-dev-s390x-cross"),
    "ppc64le": Platform("powerpc64le-linux-gnu", "qemu-ppc64le", "libc6-dev-ppc64el-cross"),
    # 32 bits, without fused multiply-add; and with it, which Debian's own baseline leaves out.
    "i386": Platform("i686-linux-gnu", "qemu-i386", "libc6-dev-i386-cross"),
    "armhf": Platform(
        "arm-linux-gnueabihf", "qemu-arm", "libc6-dev-armhf-cross", flags=["-mfpu=neon-vfpv4"]
    ),
    "musl": Platform("x86_64-linux-musl", ""),
    "windows": Platform("x86_64-windows-gnu", "wine64", system="Windows"),
    "windows-arm64": Platform("aarch64-windows-gnu", None, system="Windows"),
    "macos-arm64": Platform("aarch64-macos.11.0", None, system="Darwin"),
    "macos-x86_64": Platform("x86_64-macos.11.0", None, system="Darwin"),
    # Its stack is 64 KiB unless one asks for more.
    "wasm": Platform("wasm32-wasi", "wasmtime", system="WASI", flags=["-Wl,-z,stack-size=8388608"]),
}


# ---- Tools ---------------------------------------------------------------------------------------


def quiet(*command: str) -> bool:
    """Run a command whose output matters only if it fails; whether it succeeded."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        print(*(result.stdout + result.stderr).splitlines()[-5:], sep="\n", flush=True)
    return result.returncode == 0


def apt_install(*packages: str) -> None:
    wanted = f"apt-get install {' '.join(packages)}"
    if not may_install or os.geteuid() or not shutil.which("apt-get"):
        raise Skip(f"on Debian and Ubuntu: {wanted}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages)
    if not quiet(*install) and not (quiet("apt-get", "update", "--quiet") and quiet(*install)):
        raise Skip(f"{wanted} failed")


def pip_install(name: str) -> None:
    """Install what the group `platforms` of pyproject.toml says of a package."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    lines = [line for line in groups["platforms"] if re.match(rf"{name}\b", line)]
    if not may_install:
        raise Skip(f"pip install {' '.join(lines)}")
    if not quiet(sys.executable, "-m", "pip", "install", "--quiet", *lines):
        raise Skip(f"pip install {' '.join(lines)} failed")


def has_module(name: str) -> bool:
    command = [sys.executable, "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def find_program(*names: str) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)


def debian_compiler(p: Platform) -> dict[str, str]:
    compiler = f"{p.target}-gcc"

    def links() -> bool:  # which takes the C library, a package of its own
        source = BUILD / "links.c"
        source.write_text("int main(void) { return 0; }\n")
        command = [compiler, str(source), "-o", str(BUILD / "links")]
        return bool(shutil.which(compiler)) and not subprocess.run(command).returncode

    if not links():
        apt_install(f"gcc-{p.target}", p.debian or "")
    if not links():
        raise Skip(f"{compiler} links nothing")
    return {"CMAKE_C_COMPILER": compiler, "CMAKE_FIND_ROOT_PATH": f"/usr/{p.target}"}


def zig_compiler(p: Platform) -> dict[str, str]:
    """Make programs of zig's subcommands, as CMake wants them."""
    if not has_module("ziglang"):
        pip_install("ziglang")
    folder = BUILD / "zig"
    folder.mkdir(exist_ok=True)
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(folder / "cache")
    for name, command in {
        f"cc-{p.target}": f"cc -target {p.target}",
        "ar": "ar",
        "ranlib": "ranlib",
        "rc": "rc",
    }.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang {command} "$@"\n')
        program.chmod(0o755)
    return {
        "CMAKE_C_COMPILER": str(folder / f"cc-{p.target}"),
        "CMAKE_AR": str(folder / "ar"),
        "CMAKE_RANLIB": str(folder / "ranlib"),
        "CMAKE_RC_COMPILER": str(folder / "rc"),
    }


def emulator(p: Platform) -> list[str]:
    """Find the command that runs a program of the platform."""
    if not p.runs:
        return []
    if p.runs == "wasmtime":
        if not has_module("wasmtime"):
            pip_install("wasmtime")
        return [sys.executable, str(ROOT / "scripts" / "run_wasm.py")]
    if p.runs == "wine64":
        os.environ["WINEPREFIX"] = str(BUILD / "wine")
        os.environ["WINEDEBUG"] = "-all"
        names = ["wine64", "wine", "/usr/lib/wine/wine64"]
        if not find_program(*names):
            apt_install("wine64")
        program = find_program(*names)
        if not program or not quiet(program, "cmd", "/c", "ver"):
            raise Skip("wine64 does not start")
        return [program]
    root = f"/usr/{p.target}"
    loader = f"{root}/lib/ld-linux.so.2"
    if p.runs == "qemu-i386" and platform.machine() == "x86_64":
        native = [loader, "--library-path", f"{root}/lib"]
        if subprocess.run([loader, "--version"], capture_output=True).returncode == 0:
            return native
    names = [f"{p.runs}-static", p.runs]
    if not find_program(*names):
        apt_install("qemu-user-static")
    program = find_program(*names)
    if not program:
        raise Skip(f"there is no {p.runs}")
    return [program, "-L", root]


# ---- One platform --------------------------------------------------------------------------------


def test(name: str, ctest: list[str]) -> str:
    """Build, and run what can be run; what it came to, in a word."""
    p = PLATFORMS[name]
    if platform.system() != "Linux":
        raise Skip("this needs Linux")
    if platform.machine() == name:
        raise Skip("this machine is one itself: make test-c")
    if p.target.startswith("x86_64") and p.runs is not None and platform.machine() != "x86_64":
        raise Skip("its programs run on x86-64 only")
    BUILD.mkdir(parents=True, exist_ok=True)
    settings = debian_compiler(p) if p.debian else zig_compiler(p)
    settings |= {
        "CMAKE_SYSTEM_NAME": p.system,
        "CMAKE_SYSTEM_PROCESSOR": p.target.partition("-")[0],
        "CMAKE_CROSSCOMPILING_EMULATOR": ";".join(emulator(p)),
        "CMAKE_C_FLAGS": " ".join(p.flags),
        "DEEPC_BUILD_BENCHMARKS": "OFF",
        "DEEPC_WERROR": "ON",
    }
    for part in ("PROGRAM", "LIBRARY", "INCLUDE"):
        settings[f"CMAKE_FIND_ROOT_PATH_MODE_{part}"] = "NEVER" if part == "PROGRAM" else "ONLY"
    folder = BUILD / name
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *definitions]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder)], check=True)
    if p.runs is None:
        return "builds; nothing here runs it"
    jobs = str(os.cpu_count() or 1)
    command = ["ctest", "--test-dir", str(folder), "--output-on-failure", "-j", jobs, *ctest]
    subprocess.run(command, check=True)
    log = (folder / "Testing" / "Temporary" / "LastTest.log").read_text(errors="replace")
    digests = re.findall(r"^(\w+): ([0-9a-f]{16})\r?$", log, re.MULTILINE)
    return "passed" + "".join(f", digest of {isa} {digest}" for isa, digest in digests)


def main(arguments: list[str]) -> int:
    names, ctest = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        names, ctest = arguments[:at], arguments[at + 1 :]
    names = [name for name in names if name != AT_HAND]
    if names == ["all"]:
        names = list(PLATFORMS)
    if not names or not set(names) <= set(PLATFORMS):
        print(__doc__, "Names: " + ", ".join(PLATFORMS), sep="\n")
        return 2
    results = {}
    for name in names:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            result = test(name, ctest)
        except Skip as reason:
            result = f"skipped: {reason}"
        except subprocess.CalledProcessError as error:
            result = f"FAILED: {' '.join(map(str, error.cmd[:3]))} ..."
        results[name] = f"{result} ({time.monotonic() - start:.0f} s)"
        print(f"{name}: {results[name]}", flush=True)
    if len(names) > 1:
        print("", *(f"{name:14} {result}" for name, result in results.items()), sep="\n")
    return any("FAILED" in result for result in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
