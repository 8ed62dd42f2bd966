#!/usr/bin/env python3
"""deepc beside NumPy, SciPy, PyTorch, JAX, Keras, ONNX Runtime and scikit-learn, on the same work.

All work is checked to give the same results, then timed in turns in one process on one thread;
README.md says how. Peers that are not installed are left out.

    python bench/compare.py                          everything: half an hour
    python bench/compare.py --only matmul --quick    a look whether that works
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

# Nothing here may import NumPy before the threads are pinned: it reads its environment once.
from peers import available

GROUPS = (
    "matmul", "elementwise", "updates", "network", "chapter", "tape", "keras", "torch", "lightning",
    "import",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=GROUPS, action="append", help="only that group")
    parser.add_argument(
        "--without", action="append", default=[], metavar="MODULE", help="leave out"
    )
    parser.add_argument("--quick", action="store_true", help="few short rounds: no measurement")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="for all (default 1)")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="CPU time in place of the clock's, for a machine that others use too; one thread",
    )
    parser.add_argument("--mnist", metavar="FOLDER", help="the four IDX files, for epochs of it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw plots into that folder")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables into its marks")
    many = {"type": Path, "action": "append", "default": [], "metavar": "FILE"}
    parser.add_argument("--from-json", **many, help="measure nothing, read such files instead")
    parser.add_argument("--c-json", **many, help="results of the C programs, or their folder")
    options = parser.parse_args()
    if options.cpu and options.threads != 1:
        parser.error("--cpu: CPU time says nothing of several threads")
    return options


def results(peers: Any, options: argparse.Namespace) -> Iterator[Any]:
    """Run what is asked for."""
    from peers import (
        chapter,
        elementwise,
        importing,
        keras_programs,
        lightning,
        matmul,
        tape,
        torch_programs,
        training,
        updates,
    )

    groups = {
        "import": [importing.run],
        "chapter": [chapter.run_plain, chapter.run_mnist, chapter.run_memory],
        "tape": [tape.run],
        "keras": [keras_programs.run],
        "torch": [torch_programs.run],
        "lightning": [lightning.run],
        "network": [training.run],
        "updates": [updates.run],
        "elementwise": [elementwise.run],
        "matmul": [matmul.run],
    }
    for name, functions in groups.items():
        for function in functions if not options.only or name in options.only else ():
            yield from function(peers, options)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print each result as it comes, and return all of them with the machine's limits."""
    peers = available.load(options.threads, options.without)
    from peers import report
    from peers.limits import Limits
    from peers.race import disagreements

    limits = Limits(peers.deepc._c.library.available_isas())
    peaks: dict[str, float] = {}
    found = []
    group = None
    for result in results(peers, options):
        if group != result.group:
            group = result.group
            print(f"\n{group}")
            # Measured again and again, so that a slow moment is not taken for the limit.
            peaks = {f"f{bits}": limits.peak(bits) for bits in (32, 64)} if limits else {}
        print(report.line(result), flush=True)
        found.append(result.as_json())
    return {
        "machine": machine(),
        "isa": peers.deepc._c.library.isa(),
        "compiler": peers.deepc._c.library.compiler(),
        "threads": options.threads,
        "quick": options.quick,
        "cpu": options.cpu,
        "date": time.strftime("%Y-%m-%d"),
        "versions": available.versions(),
        "peak": peaks,
        "disagreements": disagreements,
        "results": found,
    }


def machine() -> dict[str, Any]:
    """Return what the system says about the processor."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "processor": name, "cpus": os.cpu_count(), "system": platform.system(),
        "python": platform.python_version(),
    }  # fmt: skip


def files(path: Path) -> list[Path]:
    """Return the results of C programs at a path: the file, or those in the folder."""
    return sorted(path.glob("bench_*.json")) if path.is_dir() else [path]


def main() -> None:
    """Measure or read, then write what is asked for."""
    options = arguments()
    available.pin_threads(options.threads)
    from peers import report
    from peers.worker import CLOCK

    if options.cpu:
        os.environ[CLOCK] = "cpu"

    if options.from_json:
        runs = [json.loads(path.read_text()) for path in options.from_json]
        data = runs[0]
        data["results"] = [result for run in runs for result in run["results"]]
    else:
        data = measure(options)
    data["c"] = [json.loads(path.read_text()) for given in options.c_json for path in files(given)]
    if options.json:
        options.json.write_text(json.dumps(data, indent=1))
    if options.markdown:
        report.write_markdown(data, options.markdown)
    if options.plot:
        from peers import plots

        for path in plots.draw(data, options.plot):
            print(path)
    if not options.from_json:
        print(f"\n{report.summary(data)}")


if __name__ == "__main__":
    main()
