"""Exported files: the library's bits, whatever compiles and runs them.

The part that runs always takes a few settings of the compiler that is there.
DEEPC_EXPORT=full (make test-export) takes every compiler, option and simulated processor that is
installed, and every float32.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import deepc
import numpy as np
import pytest
from deepc import (
    BatchNorm,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Relu,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from deepc._c.activations import ACTIVATIONS, activation_of_array
from deepc.shipping import c_text, verify
from deepc.shipping import export_c as module
from deepc.shipping import kinds as kinds_module
from deepc.shipping.export_c import export_c
from deepc.shipping.program import EXPORTS, Step
from deepc.shipping.program import Program as Plan
from exported import Program, Target

FULL = os.environ.get("DEEPC_EXPORT") == "full"
posix = pytest.mark.skipif(
    os.name != "posix" or not verify.compiler(), reason="needs a C compiler that takes -O2"
)
full = pytest.mark.skipif(not FULL, reason="DEEPC_EXPORT=full")
pytestmark = pytest.mark.skipif(
    not module._fuses(np.dtype(np.float32)), reason="needs fused multiply-add"
)


def activations():
    """Return a layer of each activation that files know."""
    kinds = [(name, kinds_module.KINDS[name], facts) for name, facts in ACTIVATIONS.items()
             if name in kinds_module.KINDS]  # fmt: skip
    return [
        kind.make(
            kinds_module.Numbers({facts.parameter: facts.default.hex()} if facts.parameter else {},
                                 name), None)
        for name, kind, facts in kinds
    ]  # fmt: skip


def moved(layer):
    """Return a norm whose parameters and statistics are not those of the start."""
    rng = np.random.default_rng(5)
    for array in (*layer.params(), *layer.state()):
        array[...] = rng.uniform(0.1, 2, array.shape)
    return layer


def networks():
    """Return networks with every kind of layer, sizes around tiles and blocks, both dtypes."""

    def pair(name, make):
        return {f"{name}{d[-2:]}": make(d) for d in ("float32", "float64")}

    def line(d, *sizes, between=Tanh):
        layers = []
        for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            layers += [between()] if layers and between else []
            layers.append(Linear(inputs, outputs, dtype=d, rng=i + inputs))
        return layers

    def digits(d):
        layers = line(d, 100, 30, 10, 10)
        layers.insert(1, Dropout(0.1, rng=1))
        return Sequential(layers)

    return {
        **pair("fizz", lambda d: Sequential(line(d, 10, 25, 4))),
        **pair("digits", digits),
        **pair("sig", lambda d: Sequential([*line(d, 3, 5, 1, between=Sigmoid), Sigmoid()])),
        **pair("deep", lambda d: Sequential(
            [Relu(), *line(d, 300, 37, 33, 600, 2, between=Relu), Dropout(0.5, rng=1)])),
        **pair("one", lambda d: Linear(1, 1, dtype=d, rng=1)),
        **pair("every", lambda d: Sequential(
            [Flatten((2, 10)), Linear(20, 40, dtype=d, rng=1), *activations(),
             moved(BatchNorm(40, dtype=d)), GaussianNoise(1.0, rng=1),
             PReLU(40, dtype=d), Dropout(0.3, rng=1),
             moved(LayerNorm(40, dtype=d)), Dropout(0.3, inverted=True, rng=1),
             Linear(40, 70, bias=False, dtype=d, rng=2), PReLU(dtype=d),
             GaussianDropout(0.2, rng=1), LogSoftmax()])),
        **pair("words", lambda d: Sequential(
            [Embedding(6, 1400, dtype=d, rng=1), LayerNorm(4200, scale=False, dtype=d),
             BatchNorm(4200, center=False, dtype=d),
             LayerNorm(4200, center=False, dtype=d), Dropout(0.5, rng=1), Softmax()])),
    }  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return Program(tmp_path_factory.mktemp("export"), networks(), 3000 if FULL else 100)


@pytest.fixture(scope="module")
def small_program(tmp_path_factory):
    return Program(tmp_path_factory.mktemp("board"), networks(), 200)


CLEAN = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
CC = tuple(verify.compiler() or ("cc",))
X86 = "x86" in os.uname().machine if os.name == "posix" else False


@posix
@pytest.mark.parametrize(
    "options",
    ["-std=c99 -O2", "-O3 -march=native -ffp-contract=fast", "-O0 -DINTEGER"],
)
def test_bits_with_the_compiler_that_is_here(program, options):
    if "-DINTEGER" in options:
        names = [f"-D{name.upper()}_INTEGER_FMA" for name, *_ in program.parts]
        options = options.replace("-DINTEGER", " ".join(names))
    program.check(Target("here", CC), (*CLEAN, *options.split()))


def matrix():
    """Yield every setting of the table: compiler, options, and what runs the program."""
    gcc, clang = ("gcc",), ("clang-14",)
    for compiler, std, level in itertools.product(
        (gcc, clang), ("c99", "gnu11"), ("-O0", "-O2", "-O3", "-Os")
    ):
        for fma, contract in itertools.product(("", "-mfma"), ("", "-ffp-contract=fast")):
            options = [f"-std={std}", level, fma, contract]
            yield Target(
                f"{compiler[0]} {' '.join(filter(None, options))}",
                (*compiler, *filter(None, options)),
            )
    for compiler in (gcc, clang, ("zig", "cc")):
        for options in (("-O3", "-march=native"), ("-O3", "-march=native", "-ffp-contract=fast"),
                        ("-O2", "-mavx2", "-mfma")):  # fmt: skip
            yield Target(f"{compiler[0]} {' '.join(options)}", (*compiler, *options))
    for cross, qemu, big, kinds in (
        ("aarch64-linux-gnu-gcc", "qemu-aarch64-static", False, ((),)),
        ("arm-linux-gnueabihf-gcc", "qemu-arm-static", False,
         (("-mfpu=vfpv3",), ("-mfpu=neon-vfpv4",))),
        ("riscv64-linux-gnu-gcc", "qemu-riscv64-static", False, ((),)),
        ("s390x-linux-gnu-gcc", "qemu-s390x-static", True, ((),)),
        ("powerpc64le-linux-gnu-gcc", "qemu-ppc64le-static", False, ((),)),
        ("i686-linux-gnu-gcc", "qemu-i386-static", False, (("-msse2", "-mfpmath=sse"),)),
    ):  # fmt: skip
        for options, level, contract in itertools.product(
            kinds, ("-O0", "-O2", "-O3"), ("", "-ffp-contract=fast")
        ):
            more = tuple(filter(None, (*options, level, contract)))
            yield Target(f"{cross} {' '.join(more)}", (cross, "-static", *more), (qemu,), big)
    for name, qemu, big in (
        ("powerpc64-linux-musl", "qemu-ppc64-static", True),
        ("mips-linux-musleabihf", "qemu-mips-static", True),
        ("riscv32-linux-musl", "qemu-riscv32-static", False),
        ("loongarch64-linux-musl", "qemu-loongarch64-static", False),
    ):
        yield Target(f"zig {name}", ("zig", "cc", "-target", name, "-static", "-O2"), (qemu,), big)
    for level in ("-O0", "-O2", "-O3"):
        yield Target(f"wasm {level}", ("zig", "cc", "-target", "wasm32-wasi", level), ("node",))
    for board, cpu, options in (
        ("mps2-an385", "cortex-m3", ("-mfloat-abi=soft",)),
        ("mps2-an386", "cortex-m4", ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
        ("mps2-an500", "cortex-m7", ("-mfloat-abi=hard", "-mfpu=fpv5-d16")),
    ):
        for level in ("-O0", "-Os", "-O3"):
            yield Target(
                f"{cpu} {level}",
                ("arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", *options, level,
                 "--specs=rdimon.specs"),
                ("qemu-system-arm", "-M", board, "-semihosting", "-nographic", "-monitor", "none",
                 "-serial", "none", "-kernel"),
                board=True, slow=True,
            )  # fmt: skip


@full
@posix
@pytest.mark.skipif(not X86, reason="the options are those of x86-64")
@pytest.mark.parametrize("target", list(matrix()), ids=lambda target: target.name)
def test_bits_everywhere(target, request):
    if not target.exists():
        pytest.skip(f"{target.compile[0]} or {' '.join(target.run[:1])} is not installed")
    request.getfixturevalue("small_program" if target.slow else "program").check(target)


# ---- The pieces, through a library ---------------------------------------------------------------


def loaded(folder, source, *options):
    """Compile C to a shared library and load it."""
    path = folder / "piece.c"
    path.write_text(source)
    library = folder / f"piece{len(os.listdir(folder))}.so"
    subprocess.run(
        [*CC, "-O2", "-shared", "-fPIC", *options, "-o", library, path], check=True, cwd=folder
    )
    return ctypes.CDLL(str(library))


def exported(folder, net, name="net"):
    export_c(net, folder / f"{name}.c", name=name, verify=False)
    return f'#include "{name}.c"\n'


MAP = """
void over_all(const {real} *a, const {real} *b, const {real} *c, {real} *y, size_t n) {{
    size_t i;
    for (i = 0; i < n; i++) y[i] = {call};
}}
"""


def mapped(library, n, *arrays, name="over_all"):
    y = np.empty(n, arrays[0].dtype)
    function = library[name]
    function.restype = None
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, *arrays, *arrays)[:3]]
    function(*pointers, ctypes.c_void_p(y.ctypes.data), ctypes.c_size_t(n))
    return y


def exact_fma(a, b, c, dtype):
    """Return a * b + c rounded once, from exact fractions."""
    digits, least = (24, -149) if dtype == np.float32 else (53, -1074)
    value = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if value == 0:
        return dtype.type(a) * dtype.type(b) + dtype.type(c)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    last = max(exponent - digits + 1, least)
    rounded = round(value / Fraction(2) ** last)  # to even where it is in the middle
    with np.errstate(over="ignore"):
        large = exponent >= 1024
        size = np.inf if large else float(abs(rounded) * Fraction(2) ** last)
        return dtype.type(np.copysign(size, 1.0 if value > 0 else -1.0))


def hard_triples(dtype, n, rng):
    """Return triples whose sums lie near the middle between two numbers, or near the smallest."""
    word = np.uint32 if dtype == np.float32 else np.uint64
    bits = 8 * dtype.itemsize
    digits = 23 if dtype == np.float32 else 52
    bias = 127 if dtype == np.float32 else 1023

    def numbers(exponents):
        ones = rng.integers(0, 2**digits, n, dtype=np.uint64)
        few = np.uint64(1) << rng.integers(0, digits, n, dtype=np.uint64)
        fraction = np.where(rng.random(n) < 0.5, ones, few ^ np.where(rng.random(n) < 0.5, 1, 0)
                            .astype(np.uint64)).astype(word)  # fmt: skip
        sign = rng.integers(0, 2, n).astype(word) << word(bits - 1)
        exponents = np.clip(exponents, 0, 2 * bias).astype(word)
        return (sign | exponents << word(digits) | fraction).view(dtype)

    ea = rng.integers(1, 2 * bias, n)
    # The product's exponent: anywhere, or around the smallest number.
    eb = np.where(
        rng.random(n) < 0.5,
        rng.integers(1, 2 * bias, n),
        bias - ea + rng.integers(-digits - 5, 8, n) + np.where(rng.random(n) < 0.5, 0, 1),
    )
    ec = ea + eb - bias + rng.integers(-2 * digits - 3, digits + 5, n)
    return numbers(ea), numbers(eb), numbers(ec)


WORDS = [0x97000800, 0x1CFFF001, 0x00010002]
# JuliaMath/openlibm#160, MicrosoftDocs/cpp-docs#3526, rust-lang/compiler-builtins#1262: what some C
# libraries round twice. The last one, msys2/MSYS2-packages#2210, is of double.
REPORTED = [
    (np.float32, [0.9474001, 4.639901e-7, -0.24325085], float.fromhex("-0x1.f22d46p-3")),
    (np.float32, [-1.9369631e13, 2.1513551e-7, -1.7354427e-24], -4167095.75),
    (np.float32, np.array(WORDS, "u4").view("f4").tolist(),
     float(np.array([0x00010001], "u4").view("f4")[0])),
    (np.float64, [float.fromhex("0x1.0000000000003p-461"), float.fromhex("0x1.0000000000007p-461"),
                  float.fromhex("-0x1.000000000000ap-922")], 2.9204094392907018e-308),
]  # fmt: skip


@posix
@pytest.mark.parametrize("way", ["the instruction", "through double", "integers"])
def test_fused_multiply_add(way, dtype, tmp_path, rng):
    options = {"the instruction": ["-march=native"], "integers": ["-DNET_INTEGER_FMA"]}.get(way, [])
    if way == "through double" and dtype == np.float64:
        pytest.skip("double is done in integers")
    real = "float" if dtype == np.float32 else "double"
    source = exported(tmp_path, Linear(1, 1, dtype=dtype, rng=1))
    call = MAP.format(real=real, call="net_fma(a[i], b[i], c[i])")
    library = loaded(tmp_path, source + call, *options)
    n = 400_000 if FULL else 6_000
    a, b, c = hard_triples(dtype, n, rng)
    f = np.finfo(dtype)
    edges = np.array([0, -0.0, 1, -1, f.tiny, -f.smallest_subnormal, f.max, f.eps, 1 + f.eps, 3],
                     dtype)  # fmt: skip
    grid = np.array(np.meshgrid(edges, edges, edges)).reshape(3, -1)
    a, b, c = (np.concatenate(pair) for pair in zip((a, b, c), grid, strict=True))
    given = np.array([triple for kind, triple, _ in REPORTED if kind == dtype], dtype).T
    a, b, c = (np.concatenate(pair) for pair in zip((a, b, c), given, strict=True))
    got = mapped(library, len(a), a, b, c)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.array(
            [exact_fma(*triple, dtype) for triple in zip(a, b, c, strict=True)], dtype
        )
    wrong = verify.differences(got[:, None], expected[:, None])
    assert not len(wrong), [(a[i].hex(), b[i].hex(), c[i].hex()) for i in wrong[:3, 0]]
    assert got[-given.shape[1] :].tolist() == [y for kind, _, y in REPORTED if kind == dtype]


@posix
@pytest.mark.parametrize("way", ["-march=native", "-std=c99", "-DNET_INTEGER_FMA"])
def test_elementary_functions(way, tmp_path, dtype, rng):
    """All floats with DEEPC_EXPORT=full, else some of them."""
    number = np.array(0.7, dtype)
    steps = [Step(name, 1, {"p": number} if facts.parameter else {})
             for name, facts in ACTIVATIONS.items()]  # fmt: skip
    text = c_text.Text(Plan(1, 1, dtype, steps), "net", "net")
    (tmp_path / "net.c").write_text(text.source(np.zeros((16, 1), dtype)))
    (tmp_path / "net.h").write_text(text.header())
    real = "float" if dtype == np.float32 else "double"
    calls = ""
    for name, facts in ACTIVATIONS.items():
        more = f", {c_text.as_c(number, text.suffix)}" if facts.parameter else ""
        one = MAP.format(real=real, call=f"net_{name}(a[i]{more})").replace("over_all", name)
        calls += one.replace("size_t i;", "size_t i; (void)b; (void)c;")
    library = loaded(tmp_path, '#include "net.c"\n' + calls, way, "-fno-builtin", *CLEAN)
    step = 1 if FULL and dtype == np.float32 else 100_003
    if FULL and way == "-DNET_INTEGER_FMA":
        step = 17
    part = 2**28 if step > 1000 else 2**23  # which fits the memory
    for start in range(0, 2**32, part):
        words = np.arange(start, start + part, step, dtype=np.int64)
        if dtype == np.float32:
            x = words.astype(np.uint32).view(np.float32)
        else:
            x = (words.astype(np.uint64) << np.uint64(32)).view(np.float64)
            x.view(np.uint64)[...] += rng.integers(0, 2**32, len(x), dtype=np.uint64)
        for name, facts in ACTIVATIONS.items():
            got, expected = mapped(library, len(x), x, name=name), np.empty_like(x)
            activation_of_array(facts.number, float(number) if facts.parameter else 1, x, expected)
            assert not len(verify.differences(got[:, None], expected[:, None])), name


def test_coefficients_are_those_of_the_library():
    """Each hexadecimal number of the kernels is in the runtime."""
    folder = Path(__file__).parents[1] / "csrc" / "kernels"
    if not folder.exists():
        pytest.skip("needs the C sources")
    text = (folder / "vecmath.h").read_text() + (folder / "activations.h").read_text()
    text = re.sub(r"#define (SMALLEST_NORMAL|LARGEST)\s.*", "", text)
    pattern = r"0x[0-9a-f]\.?[0-9a-f]*p[+-]?[0-9]+f?"
    runtime = set(re.findall(pattern, c_text.RUNTIME.read_text()))
    missing = [number for number in re.findall(pattern, text) if number not in runtime]
    assert not missing


@posix
def test_constants_come_out_with_the_same_bits(tmp_path, dtype, rng):
    """kraiskil/onnx2c#1, #28: six or twenty decimals are not the weights that were trained.

    keras-team/keras#17332 and PlasmaControl/keras2c#10 ask why outputs differ: here they do not.
    """
    word = np.uint32 if dtype == np.float32 else np.uint64
    special = [6.1256e-05, 1e-8, 1e-20, float.fromhex("0x1.fffffcp-127"), -0.0]
    values = rng.integers(0, np.iinfo(word).max, 20_000, dtype=word).view(dtype)
    values = np.where(np.isfinite(values), values, 0)
    values[: len(special)] = special
    layer = Linear(200, 100, dtype=dtype, rng=1)
    layer.w = values.reshape(100, 200)
    real = "float" if dtype == np.float32 else "double"
    source = exported(tmp_path, layer)
    library = loaded(tmp_path, source + f"{real} *weights(void) {{ return ({real} *)net_w0; }}\n")
    library.weights.restype = ctypes.c_void_p
    kind = (ctypes.c_float if dtype == np.float32 else ctypes.c_double) * 20_000
    got = np.frombuffer(kind.from_address(library.weights()), dtype)
    assert got.tobytes() == np.ascontiguousarray(layer.w.T).tobytes()


# ---- The file ------------------------------------------------------------------------------------


@posix
def test_classes_self_test_and_a_name_of_its_own(tmp_path):
    net = Sequential([Linear(4, 3, rng=1), Tanh(), Linear(3, 3, rng=2)])
    export_c(net, tmp_path / "a-file.c", name="my_net")
    library = loaded(tmp_path, '#include "a-file.c"\n', "-march=native")
    rows = verify.rows_of_all_kinds(deepc.shipping.program.program(net), 50)[20:]
    expected = np.argmax(net.forward(rows), axis=1)
    got = [library.my_net_predict(ctypes.c_void_p(row.ctypes.data)) for row in rows]
    assert got == expected.tolist()
    assert library.my_net_self_test() == 0
    assert (tmp_path / "a-file.h").read_text().count("MY_NET_INPUTS 4") == 1


@posix
@pytest.mark.parametrize(("last", "above"), [(Sigmoid, 0.5), (Tanh, 0.0)])
def test_the_class_of_one_output(tmp_path, last, above):
    net = Sequential([Linear(2, 1, rng=3), last()])
    library = loaded(tmp_path, exported(tmp_path, net))
    x = np.random.default_rng(1).standard_normal((40, 2)).astype(np.float32)
    got = [library.net_predict(ctypes.c_void_p(row.ctypes.data)) for row in x]
    assert got == (net.forward(x)[:, 0] > above).astype(int).tolist()
    assert 0 < sum(got) < 40


@posix
def test_the_self_test_notices_another_rounding(tmp_path):
    source = exported(tmp_path, Sequential([Linear(10, 25, rng=1), Tanh(), Linear(25, 4, rng=2)]))
    text = (tmp_path / "net.c").read_text()
    (tmp_path / "net.c").write_text(text.replace(
        "return (float)sum;", "return (float)(float)((float)(a * b) + c);"))  # fmt: skip
    assert loaded(tmp_path, source, *(["-mno-fma"] if X86 else [])).net_self_test() == (
        1 if X86 else 0
    )


@posix
@pytest.mark.skipif(not X86, reason="options of gcc and clang on x86-64")
@pytest.mark.parametrize("option", ["-ffast-math", "-Ofast", "-mfpmath=387"])
def test_options_that_change_results_are_refused(tmp_path, option):
    exported(tmp_path, Linear(2, 1, rng=1))
    run = subprocess.run([*CC, option, "-c", "net.c"], cwd=tmp_path, capture_output=True, text=True)
    if option == "-mfpmath=387" and "clang" in CC[0]:
        pytest.skip("clang has no x87 mode on x86-64")
    assert run.returncode
    assert "#error" in run.stderr or "error:" in run.stderr


@posix
@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.parametrize("standard", ["gnu++11", "c++17"])
def test_cpp_takes_it_and_calls_it(tmp_path, standard):
    exported(tmp_path, Sequential([Linear(3, 2, rng=1), Sigmoid()]))
    (tmp_path / "main.cpp").write_text('#include "net.h"\nint main() { return net_self_test(); }\n')
    for sources in (["-x", "c++", "net.c", "main.cpp"], ["-x", "c", "net.c", "-x", "c++",
                                                         "main.cpp"]):  # fmt: skip
        options = ["-O2"] if sources[1] == "c" else ["-O2", f"-std={standard}"]
        subprocess.run(["g++", *options, "-o", "main", *sources], cwd=tmp_path, check=True)
        assert subprocess.run([tmp_path / "main"]).returncode == 0


@posix
def test_nothing_is_called_and_nothing_written_but_the_stack(tmp_path):
    """No library of mathematics, no heap, no static memory: what a linker and a reader can see."""
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    exported(tmp_path, networks()["digits32"])
    subprocess.run([*CC, "-std=c99", "-O2", "-c", "net.c"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "net.o"], cwd=tmp_path, capture_output=True, text=True).stdout
    kinds = {line.split()[-2] for line in symbols.splitlines()}
    assert not kinds & set("bBdDcC")
    undefined = {line.split()[-1] for line in symbols.splitlines() if line.split()[-2] == "U"}
    assert undefined <= {"memcpy", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def test_equal_networks_give_equal_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_c(networks()["fizz32"], tmp_path / name / "net.c", verify=False)
    for end in (".c", ".h"):
        assert (tmp_path / f"a/net{end}").read_bytes() == (tmp_path / f"b/net{end}").read_bytes()
    text = (tmp_path / "a/net.c").read_text()
    assert max(map(len, text.splitlines())) <= 100 + 10
    assert not re.findall(r"\b(?:net_|NET_|real|bits_t|DEEPC_VERSION|LAYERS|EXPECTED)\b", text)


def test_a_network_in_training_is_exported_as_it_evaluates(tmp_path):
    net = Sequential([Linear(3, 4, rng=1), Dropout(0.5, rng=1), Linear(4, 2, rng=2)])
    export_c(net, tmp_path / "train.c", name="net", verify=False)
    assert net.layers[1].train
    assert net.layers[1]._structure.counter == 0
    net.layers[1].train = False
    export_c(net, tmp_path / "eval.c", name="net", verify=False)
    train, evaluation = ((tmp_path / f"{name}.c").read_text() for name in ("train", "eval"))
    assert train.replace("train.h", "eval.h") == evaluation


def listed(header, name):
    """Return the names of a list of the C sources."""
    path = Path(__file__).parents[1] / "csrc" / header
    if not path.exists():
        pytest.skip("needs the C sources")
    text = path.read_text()
    text = text[text.index(f"#define {name}") :].split("typedef")[0]
    return re.findall(r"^    [A-Z]\(\w+, (\w+),", text, re.MULTILINE)


def test_every_kind_of_layer_is_exported():
    """What the lists of C have has an entry, and what files know too."""
    assert set(kinds_module.KINDS) <= set(EXPORTS)
    layers = {getattr(kind.cls, "_kind", None) for kind in kinds_module.KINDS.values()}
    kinds = listed("deepc_layers.h", "DC_LAYER_LIST")
    assert len(kinds) > 10
    assert set(kinds) - layers == {"inverted_dropout"}  # which is a Dropout in a file
    names = listed("deepc_activations.h", "DC_ACTIVATION_LIST")
    assert len(names) > 18
    for real in ("float", "double"):
        assert set(names) <= set(c_text._blocks(real))
    assert set(names) <= set(EXPORTS)


# ---- Refused -------------------------------------------------------------------------------------


class Double(Layer):
    def forward(self, input):
        return 2 * input


def broken():
    layer = Linear(2, 2, rng=1)
    layer.w[1, 0] = np.nan
    return Sequential([layer])


def changed():
    """Return a network whose widths no longer fit."""
    net = Sequential([Linear(2, 3)])
    net.layers.append(Linear(4, 2))
    return net


@pytest.mark.parametrize(
    ("net", "error", "match"),
    [
        (1, TypeError, "net: expected a layer"),
        (Linear, TypeError, "net: expected a layer"),
        (Sequential([Linear(2, 2), Double()]), TypeError, r"layers\[1\] is a Double, .* in Python"),
        (Sequential([Sequential([Double()])]), TypeError, r"layers\[0\.0\] is a Double"),
        (broken(), ValueError, r"net: 0\.weight holds numbers that are not finite"),
        (changed(), ValueError, r"layers\[1\]: .* expects 4 inputs"),
        (Sequential([Tanh()]), ValueError, "tells the number of inputs"),
        (Sequential([]), ValueError, "tells the number of inputs"),
        (Sequential([Linear(2, 2), Linear(2, 2, dtype="float64")]), ValueError, "one dtype"),
    ],
)
def test_networks_that_cannot_be_exported(net, error, match, tmp_path):
    with pytest.raises(error, match=match):
        export_c(net, tmp_path / "net.c")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["", "2fast", "a-b", "a b", "int", "while", "class", "main", "__net", "ä", "a" * 61, 1]
)
def test_names_that_are_no_identifiers(name, tmp_path):
    with pytest.raises(ValueError if isinstance(name, str) else TypeError, match=r"^name: "):
        export_c(Linear(2, 1), tmp_path / "net.c", name=name)
    if isinstance(name, str) and name:
        with pytest.raises(ValueError, match=r"^name: "):
            export_c(Linear(2, 1), tmp_path / f"{name}.c")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("path", ["net", "net.h", "net.cpp"])
def test_paths_that_end_otherwise(path, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.c"):
        export_c(Linear(2, 1), tmp_path / path)


@posix
def test_verification_names_row_and_output(tmp_path, monkeypatch):
    net = Sequential([Linear(2, 3, rng=1), Tanh()])
    original = c_text.RUNTIME.read_text(encoding="utf-8")
    (tmp_path / "runtime.c").write_text(original.replace("0x1.10ce92p-3f", "0x1.10ce94p-3f"))
    monkeypatch.setattr(c_text, "RUNTIME", tmp_path / "runtime.c")
    with pytest.raises(RuntimeError, match=r"other bits .*: row \d+, output \d: 0x1.*, expected"):
        export_c(net, tmp_path / "net.c")
    (tmp_path / "runtime.c").write_text(original.replace("return x <= 0", "return x  <=  0 +"))
    with pytest.raises(RuntimeError, match="does not compile"):
        export_c(Sequential([Linear(1, 1), Relu()]), tmp_path / "net.c")


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "compiler", lambda: None)
    with pytest.warns(RuntimeWarning, match="not verified: no C compiler"):
        export_c(Linear(2, 1, rng=1), tmp_path / "net.c")
    assert sorted(os.listdir(tmp_path)) == ["net.c", "net.h"]


def test_cc_names_the_compiler(monkeypatch):
    monkeypatch.setenv("CC", f"{sys.executable} -m something")
    assert verify.compiler() == [sys.executable, "-m", "something"]
    monkeypatch.setenv("CC", "no-such-compiler")
    assert verify.compiler() is None or verify.compiler()[0] != "no-such-compiler"


# ---- Eight bits ----------------------------------------------------------------------------------


def by_hand(layer):
    """Return the weights of a layer in eight bits, one after the other."""
    w, real = layer.w.copy(), layer.w.dtype.type
    for row in w:
        scale = real(float(max(abs(row))) / 127)
        for i, value in enumerate(row):
            row[i] = scale * real(round(float(value) / float(scale))) if scale else 0
    return w


@posix
def test_eight_bits_are_those_of_the_quantized_network(tmp_path, dtype, rng):
    net = Sequential([Linear(300, 20, dtype=dtype, rng=1), Dropout(0.1, rng=1), Tanh(),
                      Linear(20, 3, dtype=dtype, rng=2)])  # fmt: skip
    net.layers[0].w[3] = 0
    before = in_order(net)
    small = deepc.quantized(net)
    assert in_order(net) == before
    assert np.array_equal(small.layers[0].w, by_hand(net.layers[0]))
    assert np.abs(small.layers[3].w - net.layers[3].w).max() < np.abs(net.layers[3].w).max() / 250
    export_c(net, tmp_path / "net.c", weights="int8")
    text = (tmp_path / "net.c").read_text()
    assert "int8_t net_q0[6000]" in text
    assert "net_w0" not in text
    library = loaded(tmp_path, '#include "net.c"\n', "-O3", "-march=native", *CLEAN)
    assert library.net_self_test() == 0
    small.layers[1].train = False
    x = rng.standard_normal((20, 300)).astype(dtype)
    y = np.empty((20, 3), dtype)
    for row, out in zip(x, y, strict=True):
        library.net_forward(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(out.ctypes.data))
    assert y.tobytes() == small.forward(x).tobytes()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"weights": "int4"}, "weights: expected 'float' or 'int8', got str 'int4'"),
        ({"weights": 8}, "weights: expected 'float' or 'int8', got int 8"),
        ({"weights": "int8", "train": deepc.Adam(), "loss": deepc.SSE()}, "int8 cannot be trained"),
    ],
)
def test_weights_that_cannot_be(arguments, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        export_c(Linear(2, 1, rng=1), tmp_path / "net.c", **arguments)
    with pytest.raises(ValueError, match="not finite"):
        deepc.quantized(broken())
    with pytest.raises(TypeError, match="net: expected a layer"):
        deepc.quantized(3)


# ---- The command ---------------------------------------------------------------------------------


def test_command(tmp_path, monkeypatch, capsys):
    from deepc.__main__ import main

    monkeypatch.chdir(tmp_path)
    deepc.save(networks()["fizz32"], "fizz.safetensors")
    more = [] if verify.compiler() else ["--no-verify"]
    assert main(["export", "fizz.safetensors", *more]) == 0
    assert capsys.readouterr().out == "fizz.c, fizz.h\n"
    assert main(["export", "fizz.safetensors", "-o", "b.c", "--name", "it", "--no-verify"]) == 0
    assert "void it_forward" in Path("b.c").read_text()
    for arguments, text in (
        (["missing.safetensors"], "missing.safetensors"),
        (["fizz.safetensors", "-o", "int.c"], "word of the language"),
        (["fizz.c"], "ends in .safetensors or .npz"),
    ):
        assert main(["export", *arguments]) == 2
        assert text in capsys.readouterr().err


# ---- Training ------------------------------------------------------------------------------------

STEPS = """
void steps(const {real} *x, const {real} *target, size_t n) {{
    for (; n > 0; n--, x += NET_INPUTS, target += NET_OUTPUTS) net_train_step(x, target);
}}
"""
WAYS = ["-std=c99 -O0", "-O3 -march=native -ffp-contract=fast", "-O2 -DNET_INTEGER_FMA"]
RULES = [
    lambda: deepc.GradientDescent(0.05),
    lambda: deepc.Momentum(0.1, 0.9),
    lambda: deepc.SGD(0.05, weight_decay=0.01),
    lambda: deepc.SGD(0.01, 0.9, weight_decay=0.001),
    lambda: deepc.SGD(0.01, 0.9, nesterov=True),
    lambda: deepc.Adam(0.01, weight_decay=0.001),
    lambda: deepc.AdamW(0.01),
]


def weights_of(library, dtype, size):
    memory = (ctypes.c_char * (size * dtype.itemsize)).in_dll(library, "net_weights")
    return bytes(memory)


def in_order(net):
    """Return the parameters as the file has them, weights of inputs x outputs."""
    return b"".join(np.ascontiguousarray(np.asarray(p).T).tobytes() for p in net.params())


def trains(kind, dtype):
    classifier = Sequential([Linear(7, 9, dtype=dtype, rng=1), Tanh(),
                             Linear(9, 5, dtype=dtype, rng=2)])  # fmt: skip
    if kind == "classifier":
        return classifier, deepc.SoftmaxCrossEntropy()
    layers = [Linear(7, 12, dtype=dtype, rng=1), Relu(), Linear(12, 6, dtype=dtype, rng=2),
              Sigmoid(), Tanh(), Linear(6, 5, dtype=dtype, rng=3), Sigmoid()]  # fmt: skip
    return Sequential(layers), deepc.SSE()


def step_in_c(library, x, target):
    library.steps.restype = None
    library.steps(
        ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(target.ctypes.data), ctypes.c_size_t(len(x))
    )


@posix
@pytest.mark.parametrize("kind", ["classifier", "regression"])
@pytest.mark.parametrize("rule", range(len(RULES)), ids=lambda i: repr(RULES[i]())[:40])
def test_training_goes_on_with_the_bits_of_fit(kind, rule, dtype, tmp_path, rng):
    """After 1,000 steps, of which the first 100 were taken before the export."""
    net, loss = trains(kind, dtype)
    optimizer = RULES[rule]()
    x = rng.standard_normal((1000, 7)).astype(dtype)
    target = np.eye(5, dtype=dtype)[rng.integers(0, 5, 1000)]
    deepc.fit(net, x[:100], target[:100], loss=loss, optimizer=optimizer)
    export_c(net, tmp_path / "net.c", verify=False, train=optimizer, loss=loss)
    before = in_order(net)
    deepc.fit(net, x[100:], target[100:], loss=loss, optimizer=optimizer)
    expected = in_order(net)
    real = "float" if dtype == np.float32 else "double"
    ways = WAYS if FULL else [WAYS[(rule + (kind == "classifier")) % 3]]
    for way in ways:
        source = '#include "net.c"\n' + STEPS.format(real=real)
        library = loaded(tmp_path, source, *way.split(), *CLEAN, "-lm")
        assert weights_of(library, dtype, len(expected) // dtype.itemsize) == before
        assert library.net_self_test() == 0
        step_in_c(library, x[100:], target[100:])
        assert weights_of(library, dtype, len(expected) // dtype.itemsize) == expected


@pytest.mark.parametrize(
    "optimizer",
    [
        deepc.Adam(0.01, clip_norm=1.0),
        deepc.SGD(0.01, accumulation=2),
        deepc.SGD(lambda step: 0.1 / (step + 1)),
        deepc.AdamW(0.01, no_decay=[1]),
        deepc.Adam(0.01, amsgrad=True),
        deepc.GradientDescent(0.1, maximize=True),
        deepc.Momentum(0.1, ema=0.9),
    ],
    ids=["clip", "accumulation", "schedule", "no_decay", "amsgrad", "maximize", "ema"],
)
def test_optimizers_that_do_more_than_the_file(optimizer, tmp_path):
    with pytest.raises(ValueError, match="train: expected an optimizer without schedule"):
        export_c(Linear(2, 1), tmp_path / "net.c", train=optimizer, loss=deepc.SSE())
    assert not os.listdir(tmp_path)


@posix
def test_training_without_a_bias_and_with_frozen_layers(tmp_path):
    net = Sequential([Linear(3, 5, rng=1), Tanh(), Linear(5, 4, bias=False, rng=2), Tanh(),
                      Linear(4, 2, rng=3)])  # fmt: skip
    export_c(net, tmp_path / "net.c", train=deepc.Adam(0.01), loss=deepc.SSE())
    net.layers[0].freeze("w")
    with pytest.raises(ValueError, match=r"Linear\(3, 5\) is frozen, but layers from 0 on"):
        export_c(net, tmp_path / "net.c", train=deepc.Adam(0.01), loss=deepc.SSE())
    export_c(net, tmp_path / "net.c", train=deepc.Adam(0.01), loss=deepc.SSE(), train_from=1)


@posix
def test_the_last_layers_alone(tmp_path, rng):
    """What most people ask for: the first layers stay constants, and cost no RAM."""
    head = [Linear(7, 300, rng=1), Dropout(0.1, rng=1), Tanh()]
    tail = [Linear(300, 6, rng=2), Relu(), Linear(6, 5, rng=3)]
    net, optimizer = Sequential([Sequential(head), *tail]), deepc.Adam(0.01)
    head[1].train = False
    export_c(net, tmp_path / "net.c", train=optimizer, loss=deepc.SSE(), train_from=3)
    assert "w0" not in (tmp_path / "net.h").read_text()
    x = rng.standard_normal((200, 7)).astype(np.float32)
    target = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 200)]
    library = loaded(tmp_path, '#include "net.c"\n' + STEPS.format(real="float"), "-lm")
    step_in_c(library, x, target)
    tail = Sequential(tail)
    # One row at a time gives the bits of a batch.
    features = Sequential(head).forward(x)
    deepc.fit(tail, features, target, loss=deepc.SSE(), optimizer=optimizer)
    assert weights_of(library, np.dtype("f4"), len(in_order(tail)) // 4) == in_order(tail)


@posix
def test_weights_that_were_stored_go_on(tmp_path, rng):
    net, loss = trains("classifier", np.dtype("f4"))
    export_c(net, tmp_path / "net.c", train=deepc.GradientDescent(0.1), loss=loss)
    x = rng.standard_normal((20, 7)).astype(np.float32)
    target = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 20)]
    keep = """
    static net_weights_t kept;
    void store(void) { kept = net_weights; }
    void restore(void) { net_weights = kept; }
    """
    library = loaded(tmp_path, '#include "net.c"\n' + STEPS.format(real="float") + keep)
    size = len(in_order(net)) // 4
    step_in_c(library, x, target)
    library.store()
    stored = weights_of(library, np.dtype("f4"), size)
    step_in_c(library, x, target)
    after = weights_of(library, np.dtype("f4"), size)
    assert after != stored
    library.restore()
    step_in_c(library, x, target)
    assert weights_of(library, np.dtype("f4"), size) == after


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"train": deepc.RMSProp(), "loss": deepc.SSE()}, TypeError, "train: expected Gradient"),
        ({"train": deepc.Adam, "loss": deepc.SSE()}, TypeError, "train: expected Gradient"),
        ({"train": deepc.Adam()}, TypeError, "loss: expected SSE or SoftmaxCrossEntropy, got None"),
        ({"loss": deepc.SSE()}, ValueError, "train: expected an optimizer"),
        ({"train_from": 1}, ValueError, "train: expected an optimizer"),
        ({"train": deepc.Adam(), "loss": deepc.SSE(), "train_from": 3}, ValueError, "no layer"),
        ({"train": deepc.Adam(), "loss": deepc.SSE(), "train_from": -1}, ValueError, "at least 0"),
        ({"train": deepc.Adam(), "loss": deepc.SSE()}, ValueError, "scale, cannot be trained"),
    ],
)
def test_training_that_cannot_be_exported(arguments, error, match, tmp_path):
    net = Sequential([Linear(2, 3, rng=1), Dropout(0.5, rng=1), Linear(3, 2, rng=2)])
    with pytest.raises(error, match=match):
        export_c(net, tmp_path / "net.c", **arguments)
    assert not os.listdir(tmp_path)


def test_the_optimizer_of_another_network(tmp_path):
    optimizer, other = deepc.Adam(), Linear(4, 2, rng=1)
    optimizer.step(other)
    for net in (Linear(2, 4, rng=1), Sequential([Linear(4, 4, rng=1), Tanh(), Linear(4, 1)])):
        with pytest.raises(ValueError, match=r"train: the optimizer"):
            export_c(net, tmp_path / "net.c", train=optimizer, loss=deepc.SSE())
