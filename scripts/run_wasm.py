"""Runs a WebAssembly program of a command line (WASI): run_wasm.py PROGRAM [arguments].

It sees the file system as it is. What it compiles to is kept beside the program.
"""

import os
import sys
from pathlib import Path

from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig


def main(path: Path, arguments: list[str]) -> int:
    engine = Engine()
    compiled = path.with_suffix(".compiled")
    if compiled.is_file() and compiled.stat().st_mtime > path.stat().st_mtime:
        module = Module.deserialize_file(engine, str(compiled))
    else:
        module = Module.from_file(engine, str(path))
        compiled.write_bytes(module.serialize())
    wasi = WasiConfig()
    wasi.argv = [str(path), *arguments]
    wasi.env = list(os.environ.items())
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir("/", "/")
    store = Store(engine)
    store.set_wasi(wasi)
    linker = Linker(engine)
    linker.define_wasi()
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except ExitTrap as end:
        return end.code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
