"""Exported networks compiled and run in every way that a machine can: what the tests of them share.

All networks of a test go into one program (their names keep them apart), which reads rows from a
file and writes results to another one. A `Target` says how it is compiled and run.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from deepc.shipping.export_c import export_c
from deepc.shipping.program import evaluated, program
from deepc.shipping.verify import differences, rows_of_all_kinds

MAIN = """
#include <stdio.h>
int main(int argc, char **argv) {
    const char *from = argc > 2 ? argv[1] : "in.bin", *to = argc > 2 ? argv[2] : "out.bin";
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    int row, failed = 0;
    if (!in || !out) return 99;
%s
    fclose(in);
    return fclose(out) || failed;
}
"""
RUN = """
    failed |= {name}_self_test();
    for (row = 0; row < {rows}; row++) {{
        {real} x[{inputs}], y[{outputs}];
        if (fread(x, sizeof x, 1, in) != 1) return 98;
        {name}_forward(x, y);
        fwrite(y, sizeof y, 1, out);
    }}
"""

# Vectors and the first instructions of a bare Cortex-M: the floating-point unit on, then newlib.
STARTUP = """
#include <stdint.h>
extern void _mainCRTStartup(void);
void reset(void) {
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\\n isb");
#endif
    _mainCRTStartup();
}
void _init(void) {}
void _fini(void) {}
static void stop(void) { for (;;) {} }
__attribute__((section(".vectors"), used)) const uintptr_t vectors[16] = {
    0x20400000u, (uintptr_t)reset, (uintptr_t)stop, (uintptr_t)stop, (uintptr_t)stop,
    (uintptr_t)stop, (uintptr_t)stop};
"""
LINKER = """
MEMORY { flash (rx) : ORIGIN = 0, LENGTH = 4M  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) KEEP(*(.init)) KEEP(*(.fini)) *(.rodata*)
            *(.ARM.extab*) } > flash
  .ARM.exidx : { *(.ARM.exidx*) } > flash
  .data : { *(.data*) *(.init_array*) *(.fini_array*) } > ram
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; end = .; __end__ = .; } > ram
}
"""
NODE = """
const { WASI } = require('wasi'), fs = require('fs');
const folder = process.argv[2];
const wasi = new WASI({ version: 'preview1', args: ['net', '/in.bin', '/out.bin'],
                        preopens: { '/': folder }, returnOnExit: true });
WebAssembly.instantiate(fs.readFileSync(folder + '/program'), wasi.getImportObject())
  .then(({ instance }) => process.exit(wasi.start(instance)));
"""


@dataclass(frozen=True)
class Target:
    """A compiler with its options, and what runs its programs."""

    name: str
    compile: tuple[str, ...]
    run: tuple[str, ...] = ()
    big: bool = False
    board: bool = False
    # Whether it is simulated so slowly that some of the rows must do.
    slow: bool = False

    def exists(self):
        tools = [self.compile[0], *self.run[:1]]
        return all(shutil.which(tool) for tool in tools)


class Program:
    """Some networks as one C program, and what they give."""

    def __init__(self, folder, nets, rows=3000):
        self.folder, self.rows = Path(folder), rows
        self.parts = []
        calls = []
        for name, net in nets.items():
            export_c(net, self.folder / f"{name}.c", verify=False)
            plan = program(net)
            x = rows_of_all_kinds(plan, rows)
            self.parts.append((name, plan, x, np.asarray(evaluated(net).forward(plan.as_input(x)))))
            calls.append(
                RUN.format(
                    name=name, rows=rows, inputs=plan.inputs, outputs=plan.outputs,
                    real="float" if plan.dtype == np.float32 else "double",
                )
            )  # fmt: skip
        text = "".join(f'#include "{name}.c"\n' for name in nets) + MAIN % "".join(calls)
        (self.folder / "program.c").write_text(text)

    def check(self, target, more=()):
        """Compile and run on a target; compare every bit."""
        folder, binary = self.folder, self.folder / "program"
        sources = [str(folder / "program.c")]
        if target.board:
            (folder / "start.c").write_text(STARTUP)
            (folder / "board.ld").write_text(LINKER)
            sources += [str(folder / "start.c"), "-T", str(folder / "board.ld"), "-nostartfiles"]
            crt0 = subprocess.run([*target.compile, "-print-file-name=rdimon-crt0.o"], check=True,
                                  capture_output=True, text=True).stdout.strip()  # fmt: skip
            sources.append(crt0)
        made = subprocess.run(
            [*target.compile, *more, *sources, "-o", str(binary)], capture_output=True, text=True
        )
        assert not made.returncode, made.stderr[-3000:]
        assert not made.stderr, f"warnings: {made.stderr[:3000]}"
        order = ">" if target.big else "<"
        with open(folder / "in.bin", "wb") as file:
            for _, plan, x, _ in self.parts:
                file.write(x.astype(plan.dtype.newbyteorder(order)).tobytes())
        (folder / "out.bin").write_bytes(b"")
        arguments = [] if target.board else [str(folder / "in.bin"), str(folder / "out.bin")]
        if target.run[:1] == ("node",):
            (folder / "run.js").write_text(NODE)
            command = [*target.run, "--no-warnings", str(folder / "run.js"), str(folder)]
        else:
            command = [*target.run, str(binary), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=900)
        assert ran.returncode == 0, f"self test: {ran.returncode} {ran.stdout} {ran.stderr}"
        content, at = (folder / "out.bin").read_bytes(), 0
        for name, plan, _, expected in self.parts:
            got = np.frombuffer(content, plan.dtype.newbyteorder(order), expected.size, at)
            at += expected.nbytes
            wrong = differences(got.astype(plan.dtype).reshape(expected.shape), expected)
            assert not len(wrong), f"{name}: {len(wrong)} of {expected.size}, first {wrong[0]}"
        assert at == len(content)
