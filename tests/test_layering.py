"""The map of the house: who may include or import whom. An arrow that it does not have fails."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import deepc
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path(deepc.__file__).parent

# ---- C -------------------------------------------------------------------------------------------

# What a file of each folder of csrc/ may include, as seen from csrc/; a name alone is a system
# header.
KERNEL_SYSTEM = {"stddef.h", "stdint.h", "immintrin.h", "arm_neon.h"}
# The order of typed/: a file includes headers of those after it only.
TYPED_ORDER = ["api", "network", "optimizer", "gemm", "tables"]

SOURCES = sorted((ROOT / "csrc").rglob("*.[ch]")) if (ROOT / "csrc").is_dir() else []


def includes(path):
    text = path.read_text(encoding="utf-8")
    return re.findall(r'^\s*#\s*include\s+(["<])([^">]+)[">]', text, re.MULTILINE)


def resolve(path, name):
    """Return an included file's path as seen from csrc/, or None if there is no such file."""
    for base in (path.parent, ROOT / "csrc"):
        target = (base / name).resolve()
        if target.is_file() and target.is_relative_to(ROOT / "csrc"):
            return target.relative_to(ROOT / "csrc").as_posix()
    return None


@pytest.mark.skipif(not SOURCES, reason="needs the C sources")
@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT / "csrc").as_posix())
def test_c_file_includes_only_what_the_map_allows(path):
    floor = path.relative_to(ROOT / "csrc").as_posix().split("/")[0]
    for quote, name in includes(path):
        target = resolve(path, name)
        assert quote == "<" or target, f"{name} is not a file of csrc"
        folder = target.split("/")[0] if target and "/" in target else ""
        if floor == "kernels":
            if quote == "<":
                assert name in KERNEL_SYSTEM, f"{name}: kernels know intrinsics and sizes only"
            else:
                # Compiled for instruction sets that a machine may lack: what they share with the
                # rest is declarations, and the inline generator.
                assert folder == "kernels" or target in ("deepc.h", "random.h"), target
        elif floor == "typed":
            assert folder in ("", "typed") or target in ("kernels/table.h", "kernels/real.h"), (
                target
            )
            if folder == "typed":
                mine, other = path.stem, Path(target).stem
                assert TYPED_ORDER.index(other) >= TYPED_ORDER.index(mine), (
                    f"{mine} includes {other}"
                )
        elif floor == "python":
            # The library's user like any other, but for NumPy's arrays.
            assert folder in ("", "python"), target
        elif quote == '"':
            # Compiled once, for every dtype: knows nothing of one dtype or one instruction set.
            assert folder == "", f"{target} is above csrc/*.c"


@pytest.mark.skipif(not SOURCES, reason="needs the C sources")
@pytest.mark.parametrize("name", ["deepc_api.h", "python/arrays_api.h"])
def test_declarations_have_no_preprocessor_lines(name):
    lines = (ROOT / "csrc" / name).read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith("#")]


# ---- Python --------------------------------------------------------------------------------------

# module: what of the package it may import. Each names only what stands above it in this list, so
# the arrows run downward.
PYTHON = {
    "_native": {"_deepc"},
    "kernels": {"_native"},
    "config": {"_native"},
    "tensor": {"_native"},
    "initializers": {"_native", "tensor"},
    "layers": {"_native", "tensor", "initializers"},
    "activations": {"_native", "tensor", "layers"},
    "losses": {"_native", "tensor"},
    "optimizers": {"_native", "tensor", "layers"},
    "weights": {"_native", "tensor", "layers"},
    "gradcheck": {"_native", "tensor", "layers", "losses"},
    "fitting": {"_native", "tensor", "layers", "losses", "optimizers"},
    "datasets": {"_native", "tensor"},
    "__init__": {
        "_native", "kernels", "config", "tensor", "initializers", "layers", "activations", "losses",
        "optimizers", "weights", "fitting",
    },
    "book": {
        "_native", "tensor", "initializers", "layers", "activations", "losses", "optimizers",
        "weights", "__init__",
    },
    "demo": {"_native", "layers", "losses", "optimizers", "__init__", "datasets"},
    "__main__": {"demo", "config", "__init__"},
}  # fmt: skip
# What the package needs beside Python itself; the demo alone may draw.
OUTSIDE = {"numpy"}
OUTSIDE_OF_DEMO = {"matplotlib", "tqdm"}


def is_late(node):
    """Whether what the node holds is not run when the module is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def imported(path):
    """Yield (module of deepc or None, top-level module, whether it is late) for every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(node) for f in ast.walk(tree) if is_late(f) for node in ast.walk(f)}
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names = [node.module]
            if node.module == "deepc":
                modules = {p.stem for p in PACKAGE.glob("*.py")} | {"_deepc"}
                # A name that is no module comes from the package itself.
                names = [
                    f"deepc.{a.name}" if a.name in modules else "deepc.__init__" for a in node.names
                ]
        else:
            continue
        for name in names:
            parts = name.split(".")
            own = (parts[1] if len(parts) > 1 else "__init__") if parts[0] == "deepc" else None
            yield own, parts[0], id(node) in late


MODULES = sorted(PACKAGE.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_python_module_imports_only_what_the_map_allows(path):
    assert path.stem in PYTHON, "a module that the map does not have"
    for own, top, _ in imported(path):
        if own:
            assert own in PYTHON[path.stem], f"{path.stem} imports {own}"
        elif top not in sys.stdlib_module_names:
            allowed = OUTSIDE | (OUTSIDE_OF_DEMO if path.stem in ("demo", "fitting") else set())
            assert top in allowed, f"{path.stem} imports {top}"


def test_map_of_python_has_no_cycle():
    seen = {"_deepc"}
    for module, below in PYTHON.items():
        assert below <= seen, f"{module} names what stands below it in the map: {below - seen}"
        seen.add(module)


def test_optional_packages_are_imported_where_they_are_used():
    for path in MODULES:
        for _, top, late in imported(path):
            assert top not in OUTSIDE_OF_DEMO or late, f"{path.stem} imports {top} at its top"


@pytest.mark.skipif(not SOURCES, reason="needs the sources")
def test_nothing_of_the_library_knows_tests_or_benchmarks():
    for path in [*MODULES, *SOURCES]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(#\s*include|from|import)\b.*\b(tests|bench)\b", text, re.MULTILINE
        )
