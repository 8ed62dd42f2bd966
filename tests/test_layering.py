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
# The order of typed/: a file includes headers of those after it only. The files of typed/layers/
# all count as "layers": none includes another but layer.h.
TYPED_ORDER = [
    "api",
    "combine",
    "training",
    "argmax",
    "loss",
    "network",
    "layers",
    "optimizer",
    "clip",
    "gemm",
    "sums",
    "tables",
]


def typed_place(path):
    return TYPED_ORDER.index("layers" if path.parent.name == "layers" else path.stem)


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
                # rest is declarations, macros, and the inline generator.
                shared = ("deepc.h", "deepc_activations.h", "random.h", "target.h")
                assert folder == "kernels" or target in shared, target
        elif floor == "typed":
            assert folder in ("", "typed") or target in ("kernels/table.h", "kernels/real.h"), (
                target
            )
            if folder == "typed":
                assert typed_place(Path(target)) >= typed_place(path), (
                    f"{path.stem} includes {target}"
                )
                assert (
                    path.parent.name != "layers"
                    or typed_place(Path(target)) > typed_place(path)
                    or target == "typed/layers/layer.h"
                ), f"{path.stem} includes {target}"
        elif floor == "python":
            # The library's user like any other, but for NumPy's arrays.
            assert folder in ("", "python"), target
        elif quote == '"':
            # Compiled once, for every dtype: knows nothing of one dtype or one instruction set.
            assert folder == "", f"{target} is above csrc/*.c"


@pytest.mark.skipif(not SOURCES, reason="needs the C sources")
@pytest.mark.parametrize("name", ["deepc_api.h", "python/arrays_api.h", "python/tape_api.h"])
def test_declarations_have_no_preprocessor_lines(name):
    lines = (ROOT / "csrc" / name).read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith("#")]


# What stands behind a line for a checker does not count.
PRAGMA = re.compile(r"  # (?:noqa|type: ignore).*$")


@pytest.mark.skipif(not SOURCES, reason="needs the sources")
def test_no_line_is_longer_than_100_columns():
    files = [
        path
        for folder in ("csrc", "tests", "bench", "examples", "python", "scripts", ".ci")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".c", ".h", ".py") and "build" not in path.parts
    ]
    assert len(files) > len(SOURCES)
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(PRAGMA.sub("", line)) > 100
    ]
    assert not long


# ---- Python --------------------------------------------------------------------------------------

# Each floor in the order of its modules: a module may import those before it and those of the
# floors before its own. A folder stands for all of its modules, which import one another downward
# in the order of PACKAGES.
FLOORS = {
    "values and files": ["_values", "_files"],
    "the crossing into C": ["_c"],
    "the abstractions": [
        "kernels", "tensor", "initializers", "layers", "activations", "losses", "optimizers",
        "autodiff",
    ],
    "training and files": ["config", "plots", "shipping", "training", "datasets"],
    "the package": ["__init__"],
    "faces and commands": [
        "book", "_tensorflow", "keras", "tf", "torch", "torchvision", "lightning", "demo",
        "__main__",
    ],
}  # fmt: skip
PACKAGES = {
    "_c": [
        "library", "arrays", "activations", "losses", "random", "optimizer", "penalties", "network",
        "tape", "__init__",
    ],
    "layers": [
        "_plan", "base", "linear", "dropout", "norm", "embedding", "rowwise", "sequential",
        "__init__",
    ],
    "activations": ["functions", "__init__"],
    "losses": ["base", "__init__"],
    "optimizers": ["base", "rules", "__init__"],
    "autodiff": [
        "ops", "tensor", "transforms", "check", "losses", "bridges", "lesson", "draw", "__init__",
    ],
    "training": [
        "schedules", "metrics", "history", "callbacks", "constraints", "data", "sources",
        "progress", "penalties", "evaluate", "parts", "steps", "session", "fit", "summary",
        "__init__",
    ],
    "shipping": [
        "hdf5", "safetensors", "npz", "tensors", "kinds", "files", "others", "checkpoint",
        "quantize", "program", "verify", "c_text", "c_train", "export_c", "onnx", "__init__",
    ],
    "keras": [
        "_names", "_registry", "_variables", "_progress", "_backup", "activations", "initializers",
        "regularizers", "constraints", "losses", "metrics", "optimizers.schedules",
        "optimizers.__init__", "callbacks", "backend", "utils", "datasets.mnist",
        "datasets.fashion_mnist", "datasets.__init__", "layers.places", "layers.calls",
        "layers.holding", "layers.base", "layers.inputs",
        "layers.core", "layers.activation", "layers.normalization", "layers.regularization",
        "layers.reshaping", "layers.merging", "layers.__init__", "ops", "_training", "_graph",
        "_summary", "_saving", "models.compiling", "models.data", "models.stepping",
        "models.trainer", "models.model", "models.sequential",
        "models.functional", "models.__init__", "saving", "__init__",
    ],
    "torch": [
        "_types", "_print", "_rng", "_tensor", "_functions", "_saving", "cuda",
        "backends", "autograd", "nn._module", "nn.parameter", "nn.init", "nn.utils.__init__",
        "nn.functional", "nn._layers", "nn._losses", "nn.__init__", "optim._optimizer",
        "optim._rules", "optim.lr_scheduler", "optim.__init__", "utils.data.samplers",
        "utils.data.datasets", "utils.data.loader", "utils.data.__init__", "utils.__init__",
        "__init__",
    ],
    "torchvision": ["transforms", "datasets", "__init__"],
    "lightning": [
        "_words", "_hooks", "_hparams", "_results", "_tables", "_saving", "_callback",
        "_stopping", "_checkpoint", "_progress", "_monitors", "_loggers", "_optimizers",
        "_loaders", "module", "_evaluate", "_fit", "_arguments", "_knows", "_calls", "_restore",
        "_seed", "trainer", "pytorch.callbacks", "pytorch.loggers", "pytorch.utilities",
        "pytorch.__init__", "__init__",
    ],
    "tf": ["__init__", "keras"],
    "datasets": ["_base", "_chapter", "_idx", "_digits", "_download", "_mnist", "__init__"],
}  # fmt: skip
# All modules, lowest first.
ORDER = [
    f"{name}.{module}" if name in PACKAGES else name
    for floor in FLOORS.values()
    for name in floor
    for module in PACKAGES.get(name, [name])
]
# Arrows that would run downward and yet may not be.
FORBIDDEN = {
    # An optimizer meets a layer as parameters and gradients, and asks whether they are in place.
    "optimizers": {
        "layers.linear", "layers.dropout", "layers.norm", "layers.embedding", "layers.rowwise",
        "activations", "losses",
    },
    "losses": {"layers", "activations"},
    "_c": {"_files"},
    "datasets": {"_c", "kernels", "layers", "activations", "losses", "optimizers", "training"},
}  # fmt: skip
# What the package needs beside Python itself, and what some modules do more with.
OUTSIDE = {"numpy"}
OPTIONAL = {
    "matplotlib": {"demo", "plots"},
    "onnx": {"shipping.onnx"},
    "tqdm": {"training.progress"},
    "PIL": {"torchvision.datasets"},
}


def is_late(node):
    """Whether what the node holds is not run when the module is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def module_name(path):
    """Return the name of a module in the map: "fit.py" in training/ is "training.fit"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def resolved(name):
    """Return the module of the map that an import of ``deepc.<name>`` runs; None if it is none."""
    if name in ORDER or name == "_deepc":
        return name
    return f"{name}.__init__" if f"{name}.__init__" in ORDER else None


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
            if node.module.split(".")[0] == "deepc":
                # `from deepc.layers import _plan` imports a module, `... import Linear` a name.
                package = node.module.removeprefix("deepc").lstrip(".")
                inner = [f"{package}.{a.name}".lstrip(".") for a in node.names]
                names = [f"deepc.{name}" if resolved(name) else node.module for name in inner]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            own = None
            if top == "deepc":
                own = resolved(rest or "__init__")
                assert own, f"{path.name} imports {name}, which the map does not have"
            yield own, top, id(node) in late


MODULES = sorted(PACKAGE.rglob("*.py"))


def may_import(module, other):
    """Whether the map has an arrow from a module to another."""
    if other == "_deepc":
        return module.startswith("_c.")
    package = module.split(".")[0]
    if other == f"{package}.__init__":
        return False
    if ORDER.index(other) >= ORDER.index(module):
        return False
    forbidden = FORBIDDEN.get(module, set()) | FORBIDDEN.get(package, set())
    return not {other, other.split(".")[0]} & forbidden


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_python_module_imports_only_what_the_map_allows(path):
    module = module_name(path)
    assert module in ORDER, "a module that the map does not have"
    for own, top, _ in imported(path):
        if own:
            assert may_import(module, own), f"{module} imports {own}"
        elif top not in sys.stdlib_module_names:
            allowed = top in OUTSIDE or module in OPTIONAL.get(top, ())
            assert allowed, f"{module} imports {top}"


def test_map_of_python_names_each_module_once_and_no_other():
    assert sorted(ORDER) == sorted(set(ORDER))
    assert set(ORDER) == {module_name(path) for path in MODULES}


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("layers.linear", "_deepc"), ("_values", "_c.library"), ("losses.base", "layers.base"),
        ("layers.base", "layers.linear"), ("optimizers.base", "activations"),
        ("_c.network", "layers"),
        ("datasets._mnist", "_c.library"), ("training.fit", "book"), ("layers.base", "__init__"),
    ],
)  # fmt: skip
def test_map_of_python_refuses(module, other):
    assert not may_import(module, resolved(other))


def test_optional_packages_are_imported_where_they_are_used():
    for path in MODULES:
        for _, top, late in imported(path):
            assert top not in OPTIONAL or late, f"{path.stem} imports {top} at its top"


@pytest.mark.skipif(not SOURCES, reason="needs the sources")
def test_nothing_of_the_library_knows_tests_or_benchmarks():
    for path in [*MODULES, *SOURCES]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(#\s*include|from|import)\b.*\b(tests|bench)\b", text, re.MULTILINE
        )
