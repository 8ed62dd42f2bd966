"""Exported C files: latency on this machine, and flash and instructions on Cortex-M.

    python bench/ship.py [latency] [boards] [--onnx2c PROGRAM] [--compiler CC ...] [--rounds N]

Latency: one program for each compiler and its options holds the exported file, what onnx2c
(``--onnx2c``; it needs the package onnx) and emlearn (where it is installed) make of the same
network, each compiled with these options, and `dc_network_forward_sample` of the library in
build/c. All results are compared before anything is timed. Then all are timed in turns, and the
least of many rounds counts; the peers are compiled with -ffast-math as well, and the faster one
counts.

Boards: what arm-none-eabi-gcc and qemu-system-arm say. Flash is text and data of the object file
with -Os, instructions are those of a row with -O2, counted by qemu one by one.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import deepc
import numpy as np
from deepc import Linear, Sequential, Tanh

ROOT = Path(__file__).parents[1]
ROWS = 16
SETTINGS = ("-O2 -mfma", "-O2 -mavx2 -mfma", "-O2 -march=native", "-O3 -mavx2 -mfma",
            "-O3 -march=native", "-Os -mfma", "-O2")  # fmt: skip
NETWORKS = {"10-25-4": (10, 25, 4), "784-30-10-10": (784, 30, 10, 10)}

MAIN = """
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "deepc.h"
#include "constants.h"
typedef void forward(const float *x, float *y);
%(declarations)s
static dc_network_f32 *network;
static void library(const float *x, float *y) {
    dc_network_forward_sample_f32(network, INPUTS, x, y);
}
static const struct { const char *name; forward *run; int exact; } all[] = {
    {"deepc", library, 1}, %(entries)s};
enum { ALL = sizeof all / sizeof *all };
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
int main(void) {
    static dc_layer layers[2 * LINEAR - 1];
    dc_layer *pointers[2 * LINEAR - 1];
    double least[ALL];
    int passes[ALL]; /* over the rows, in 20 us: no more, or a busy machine interrupts each round */
    float y[ALL][ROWS][OUTPUTS];
    for (int l = 0; l < 2 * LINEAR - 1; l++) {
        pointers[l] = &layers[l];
        if (l %% 2) {
            layers[l] = (dc_layer){.kind = DC_LAYER_ACTIVATION, .activation = DC_TANH};
            continue;
        }
        layers[l] = (dc_layer){.kind = DC_LAYER_LINEAR, .inputs = widths[l / 2],
                               .outputs = widths[l / 2 + 1]};
        layers[l].parameters[0] = (dc_parameter){widths[l / 2] * widths[l / 2 + 1], weights[l / 2],
                                                 NULL};
        layers[l].parameters[1] = (dc_parameter){widths[l / 2 + 1], biases[l / 2], NULL};
    }
    if (dc_network_create_f32(2 * LINEAR - 1, pointers, &network)) return 2;
    for (int i = 0; i < ALL; i++) {
        least[i] = 1e30;
        passes[i] = 1;
        for (int row = 0; row < ROWS; row++) {
            all[i].run(rows[row], y[i][row]);
            for (int o = 0; o < OUTPUTS; o++) {
                const float error = fabsf(y[i][row][o] - y[0][row][o]);
                if (all[i].exact ? memcmp(&y[i][row][o], &y[0][row][o], 4) : !(error < 1e-4f)) {
                    printf("%%s: row %%d, output %%d is wrong\\n", all[i].name, row, o);
                    return 1;
                }
            }
        }
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < ALL; i++) {
            const double begin = now();
            for (int pass = 0; pass < passes[i]; pass++)
                for (int row = 0; row < ROWS; row++) all[i].run(rows[row], y[i][row]);
            const double each = (now() - begin) / (passes[i] * ROWS);
            if (each < least[i]) least[i] = each;
            passes[i] = least[i] * ROWS < 20000 ? (int)(20000 / (least[i] * ROWS)) : 1;
        }
    for (int i = 0; i < ALL; i++) printf("%%s %%.1f\\n", all[i].name, least[i]);
    return 0;
}
"""

# Vectors, the first instructions of a bare Cortex-M, some rows, and the end by semihosting.
BOARD = """
#include <stdint.h>
#include "net.c"
volatile int rows = ROWS;
static float x[NET_INPUTS];
static volatile float kept;
static void start(void) {
    static float y[NET_OUTPUTS];
    uint32_t state = 1;
    int i;
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\\n isb");
#endif
    for (i = 0; i < NET_INPUTS; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)((int32_t)(state >> 8) - 8388608) * 0x1p-22f;
    }
    for (i = rows; i > 0; i--) {
        CALL;
        kept = y[0];
    }
    __asm__ volatile("mov r0, #0x18\\n ldr r1, =0x20026\\n bkpt #0xAB");
}
__attribute__((section(".vectors"), used)) const uintptr_t vectors[2] = {
    0x20400000u, (uintptr_t)start};
"""
LINKER = """
MEMORY { flash (rx) : ORIGIN = 0, LENGTH = 4M  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > flash
  .ARM.exidx : { *(.ARM.ex*) } > flash
  .data : { *(.data*) } > ram
  .bss : { *(.bss*) *(COMMON) } > ram
}
"""
CORES = {
    "Cortex-M4F": ("mps2-an386", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"),
    "Cortex-M3": ("mps2-an385", "-mcpu=cortex-m3 -mfloat-abi=soft"),
}


def network(widths: tuple[int, ...]) -> Sequential:
    """Return a network with tanh between its layers."""
    layers: list[Any] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layers += [Tanh()] if layers else []
        layers.append(Linear(inputs, outputs, rng=i + 1))
    return Sequential(layers)


def ran(command: list[Any], folder: Path) -> str:
    """Run a command; return what it says."""
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"[:3000])
    return done.stdout


# ---- Latency -------------------------------------------------------------------------------------


def array(name: str, values: Any) -> str:
    """Return an array as C has it."""
    flat = ", ".join(f"{float(v).hex()}f" for v in np.ravel(values))
    return f"static float {name}[] = {{{flat}}};\n"


def write_constants(net: Sequential, widths: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Write weights and rows for the library, and the sizes of all."""
    linear = net.layers[::2]
    text = f"enum {{ LINEAR = {len(linear)}, INPUTS = {widths[0]}, OUTPUTS = {widths[-1]},"
    text += f" ROWS = {ROWS}, ROUNDS = {rounds} }};\n"
    text += f"static const size_t widths[] = {{{', '.join(map(str, widths))}}};\n"
    for i, layer in enumerate(linear):
        text += array(f"w{i}", layer.w.T) + array(f"b{i}", layer.b)
    for name, letter in (("weights", "w"), ("biases", "b")):
        names = ", ".join(f"{letter}{i}" for i in range(len(linear)))
        text += f"static float *const {name}[] = {{{names}}};\n"
    rows = np.random.default_rng(1).uniform(-1, 1, (ROWS, widths[0]))
    text += array("all_rows", rows) + "#define rows ((const float (*)[INPUTS])all_rows)\n"
    (folder / "constants.h").write_text(text)


def contestants(net: Sequential, widths: tuple[int, ...], onnx2c: str | None, folder: Path) -> Any:
    """Write a C file for each; return their names, whether they are exact, and more options."""
    deepc.export_c(net, folder / "net.c", verify=False)
    head = "void {0}(const float *x, float *y);\nvoid {0}(const float *x, float *y) {{ {1} }}\n"
    text = '#include "net.c"\n' + head.format("file", "net_forward(x, y);")
    (folder / "file.c").write_text(text)
    found = [("file", True, [])]
    if onnx2c:
        deepc.to_onnx(net, folder / "net.onnx")
        batch = [onnx2c, "--define", "batch:1", "net.onnx"]
        call = f"entry((const float (*)[{widths[0]}])x, (float (*)[{widths[-1]}])y);"
        (folder / "onnx2c.c").write_text(ran(batch, folder) + head.format("onnx2c", call))
        found.append(("onnx2c", False, ["-w"]))
    try:
        import emlearn
        from emlearn.net import c_generate_net_loadable
    except ImportError:
        return found
    linear: Any = net.layers[::2]
    text = c_generate_net_loadable(
        ["tanh"] * (len(linear) - 1) + ["identity"], [layer.w.T for layer in linear],
        [layer.b for layer in linear], "em",
    )  # fmt: skip
    call = f"eml_net_infer(&em, x, {widths[0]}); memcpy(y, em_buf2, {4 * widths[-1]});"
    text = "#include <string.h>\n" + text + head.format("emlearn", call)
    (folder / "emlearn.c").write_text(text)
    return [*found, ("emlearn", False, ["-w", f"-I{emlearn.includedir}"])]


def latency(arguments: argparse.Namespace) -> None:
    """Print a table for each network."""
    for name, widths in NETWORKS.items():
        print(f"\n{name}, ns a row: the least of {arguments.rounds} rounds\n")
        first = True
        with tempfile.TemporaryDirectory() as where:
            folder, net = Path(where), network(widths)
            write_constants(net, widths, arguments.rounds, folder)
            parts = contestants(net, widths, arguments.onnx2c, folder)
            for compiler in arguments.compiler:
                for options in SETTINGS:
                    times = one_setting(parts, compiler, options.split(), folder)
                    if first:
                        heads = ["options", *times, "file / deepc"]
                        print(f"| {' | '.join(heads)} |\n|---|{'---:|' * (len(times) + 1)}")
                        first = False
                    cells = [f"{value:.0f}" for value in times.values()]
                    cells.append(f"{times['file'] / times['deepc']:.2f}")
                    print(f"| {compiler} {options} | {' | '.join(cells)} |", flush=True)


def one_setting(parts: Any, compiler: str, options: list[str], folder: Path) -> dict[str, float]:
    """Compile all with some options and time them in turns."""
    objects, names = [], []
    for name, exact, more in parts:
        for fast in [[]] if exact else [[], ["-ffast-math"]]:
            called = name + "_fast" * bool(fast)
            command = [compiler, *options, *fast, *more, f"-D{name}={called}", "-c", f"{name}.c"]
            ran([*command, "-o", f"{called}.o"], folder)
            # The peers' files have functions of fixed names, which would be there twice.
            ran(["objcopy", f"--keep-global-symbol={called}", f"{called}.o"], folder)
            objects.append(f"{called}.o")
            names.append((called, exact))
    text = MAIN % {
        "declarations": "".join(f"forward {called};\n" for called, _ in names),
        "entries": ", ".join(f'{{"{called}", {called}, {int(exact)}}}' for called, exact in names),
    }
    (folder / "main.c").write_text(text)
    library = ROOT / "build" / "c" / "libdeepc.a"
    ran(["gcc", "-O2", f"-I{ROOT / 'csrc'}", "main.c", *objects, library, "-lm", "-lpthread",
         "-o", "main"], folder)  # fmt: skip
    times: dict[str, float] = {}
    for line in ran([folder / "main"], folder).splitlines():
        called, value = line.split()
        called = called.removesuffix("_fast")
        times[called] = min(float(value), times.get(called, np.inf))
    return times


# ---- Boards --------------------------------------------------------------------------------------


def boards() -> None:
    """Print flash, memory and instructions of some networks."""
    loss = deepc.SSE()
    momentum = deepc.Momentum(0.1, 0.9)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("10-25-4", "10-25-4", {}),
        ("784-30-10-10", "784-30-10-10", {}),
        ("784-30-10-10, int8", "784-30-10-10", {"weights": "int8"}),
        ("10-25-4, a step of training", "10-25-4", {"train": momentum, "loss": loss}),
    ]
    print("\n| core | network | flash | static RAM | instructions |\n|---|---|---:|---:|---:|")
    for core, (board, cpu) in CORES.items():
        for title, name, more in cases:
            with tempfile.TemporaryDirectory() as where:
                folder = Path(where)
                deepc.export_c(network(NETWORKS[name]), folder / "net.c", verify=False, **more)
                compiler = ["arm-none-eabi-gcc", "-mthumb", *cpu.split()]
                ran([*compiler, "-Os", "-c", "net.c", "-o", "net.o"], folder)
                sizes = ran(["arm-none-eabi-size", "net.o"], folder).splitlines()[1].split()
                call = "net_train_step(x, y)" if more.get("train") else "net_forward(x, y)"
                counts = [instructions(compiler, board, call, n, folder) for n in (1, 2)]
                text, data, bss = map(int, sizes[:3])
                print(f"| {core} | {title} | {text + data:,} | {data + bss:,} "
                      f"| {counts[1] - counts[0]:,} |", flush=True)  # fmt: skip


def instructions(compiler: list[str], board: str, call: str, rows: int, folder: Path) -> int:
    """Return how many instructions a program takes that computes so many rows."""
    (folder / "board.c").write_text(BOARD)
    (folder / "board.ld").write_text(LINKER)
    ran([*compiler, "-O2", f"-DROWS={rows}", f"-DCALL={call}", "board.c", "-T", "board.ld",
         "-nostartfiles", "--specs=nosys.specs", "-lm", "-o", "board"], folder)  # fmt: skip
    run = ["qemu-system-arm", "-M", board, "-semihosting", "-nographic", "-monitor", "none",
           "-serial", "none", "-singlestep", "-d", "nochain,exec", "-D", "/dev/stdout",
           "-kernel", "board"]  # fmt: skip
    with subprocess.Popen(run, cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout
        count = sum(line.startswith(b"Trace") for line in process.stdout)
    if process.returncode:
        raise SystemExit(f"{' '.join(run)}: {process.returncode}")
    return count


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["latency", "boards", []], default=[])
    parser.add_argument("--onnx2c", help="the program, where it has been built")
    parser.add_argument("--compiler", nargs="+", default=["gcc"])
    parser.add_argument("--rounds", type=int, default=2000)
    arguments = parser.parse_args()
    what = arguments.what or ["latency", "boards"]
    if "latency" in what:
        latency(arguments)
    if "boards" in what:
        if shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"):
            boards()
        else:
            print("boards: needs arm-none-eabi-gcc and qemu-system-arm")


if __name__ == "__main__":
    main()
