#!/usr/bin/env python3
"""The wheel on every CPython at hand with the newest NumPy; on the oldest with the oldest too.

    scripts/test_pythons.py [--wheel FILE] [--numpy oldest|newest] [arguments of pytest]

Looks for Pythons on the PATH and where pyenv and uv keep theirs. Without --wheel it builds one;
with --numpy it takes only the Python that runs it. PyPy, where it is found, must be refused. Works
in build/pythons.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "pythons"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LEAST = tuple(map(int, re.findall(r"\d+", PROJECT["requires-python"])))
ASK = "import sys; print(sys.implementation.name, *sys.version_info[:2], *sys.abiflags)"


def find_pythons() -> dict[tuple[int, int], str]:
    """Find one CPython of each version that deepc supports, oldest first."""
    folders = [Path(sys.executable).parent]
    folders += [Path(p).parent for p in filter(None, map(shutil.which, ("python3", "python")))]
    for keeper in (".pyenv/versions", ".local/share/uv/python"):
        folders += sorted((Path.home() / keeper).glob("*/bin"))
    candidates = [str(f / "python3") for f in folders]
    candidates += [p for n in range(11, 30) if (p := shutil.which(f"python3.{n}"))]
    found: dict[tuple[int, int], str] = {}
    for python in candidates:
        try:
            said = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        name, major, minor, *flags = said.stdout.split()
        # A free-threaded one has no stable ABI, and a wheel of its own.
        if name == "cpython" and "t" not in flags and (int(major), int(minor)) >= LEAST:
            found.setdefault((int(major), int(minor)), python)
    return dict(sorted(found.items()))


def build_wheel() -> Path:
    folder = BUILD / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), "."]
    subprocess.run(command, check=True, cwd=ROOT)
    return next(folder.glob("*.whl"))


def test_wheel(python: str, wheel: Path, numpy: str, pytest: list[str]) -> None:
    """Run the tests in a folder that has nothing else of the checkout."""
    folder = BUILD / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    # The last of the versions that pyproject.toml calls the least: 1.24 means 1.24.4.
    floors = [line.replace(">=", "==") + ".*" for line in PROJECT["dependencies"]]
    packages = [f"{wheel}[test]", *(floors if numpy == "oldest" else [])]
    inside = folder / "venv" / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "install", "--quiet", *packages], check=True)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("c"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    say = "import numpy, cffi, sys; print(f'-- Python {sys.version.split()[0]}, "
    say += "NumPy {numpy.__version__}, cffi {cffi.__version__}', flush=True)"
    subprocess.run([inside, "-c", say], check=True, cwd=folder)
    command = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *pytest, "tests"]
    subprocess.run(command, check=True, cwd=folder)


def test_pypy() -> None:
    """Check that the build refuses PyPy by a sentence."""
    pypy = shutil.which("pypy3")
    if not pypy:
        print("skipped: there is no PyPy here to be refused")
        return
    folder = BUILD / "pypy"
    shutil.rmtree(folder, ignore_errors=True)
    options = ["-DSKBUILD=2", "-DSKBUILD_STATE=wheel", f"-DPython_EXECUTABLE={pypy}"]
    command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *options]
    result = subprocess.run(command, capture_output=True, text=True)
    said = " ".join(result.stderr.split())
    if result.returncode == 0 or "deepc needs CPython" not in said:
        sys.exit(f"PyPy was not refused: {said}")
    print(f"refused, as it should be: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--numpy", choices=["oldest", "newest"])
    options, pytest = parser.parse_known_args()
    pytest = pytest or ["-m", "not timing and not codegen and not slow"]
    wheel = (options.wheel or build_wheel()).resolve()
    if options.numpy:
        test_wheel(sys.executable, wheel, options.numpy, pytest)
        return
    pythons = find_pythons()
    print("found:", *(f"{a}.{b} ({path})" for (a, b), path in pythons.items()), flush=True)
    if LEAST in pythons:
        test_wheel(pythons[LEAST], wheel, "oldest", pytest)
    else:
        print(f"skipped: no Python {LEAST[0]}.{LEAST[1]}, which the oldest NumPy needs")
    for python in pythons.values():
        test_wheel(python, wheel, "newest", pytest)
    test_pypy()


if __name__ == "__main__":
    main()
