"""The command line: ``python -m deepc``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deepc", description="deepc: small dense neural networks on the CPU"
    )
    parser.add_argument("--version", action="store_true", help="tell the version")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="train the chapter's networks on real data; draw what they learned",
        description="Train the chapter's networks on XOR, FizzBuzz and handwritten digits, which "
        "come with deepc. Prints how well and how fast they learn; writes learning curves, test "
        "digits and a confusion matrix as PNG files.",
    )
    demo.add_argument(
        "--data",
        metavar="FOLDER",
        help="train on MNIST as well, whose IDX files are in this folder",
    )
    demo.add_argument(
        "--output",
        metavar="FOLDER",
        default="demo-output",
        help="where to put the pictures (default: %(default)s)",
    )
    demo.add_argument(
        "--quick",
        action="store_true",
        help="train for a tenth of the epochs, to see that all works",
    )
    demo.add_argument(
        "--seed", type=int, metavar="N", help="fixes the initial weights and the dropout"
    )
    demo.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a progress bar (default: where standard error is a terminal)",
    )
    export = commands.add_parser(
        "export",
        help="write a saved network as one C file with the same bits",
        description="Write a network that deepc.save saved as one C file (C99 or C++, no library, "
        "no heap) and its header, and compare what it computes, bit by bit.",
    )
    export.add_argument("model", metavar="MODEL", help="a .safetensors or .npz file of deepc.save")
    export.add_argument(
        "-o", "--output", metavar="FILE.c", help="where to (default: the model's name with .c)"
    )
    export.add_argument("--name", help="what the functions begin with (default: the file's stem)")
    export.add_argument(
        "--weights",
        choices=["float", "int8"],
        default="float",
        help="int8: a quarter of the flash (default: %(default)s)",
    )
    export.add_argument(
        "--no-verify", action="store_true", help="do not compile the file and compare its results"
    )
    commands.add_parser(
        "config", help="tell the version, the instruction set, the threads and the compiler"
    )
    return parser


def _export(program: str, given: argparse.Namespace) -> int:
    from pathlib import Path

    from deepc.shipping.export_c import export_c
    from deepc.shipping.files import load

    target = Path(given.output or Path(given.model).with_suffix(".c").name)
    try:
        net = load(given.model)
        verify = not given.no_verify
        export_c(net, target, name=given.name, verify=verify, weights=given.weights)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"{program} export: error: {error}", file=sys.stderr)
        return 2
    print(f"{target}, {target.with_suffix('.h')}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, or 2 if what was asked for is not possible."""
    try:
        status = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read what is printed has enough; Python would complain once more at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have what ASCII lacks
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.version:
        from deepc import __version__

        print(f"deepc {__version__}")
    elif given.command == "config":
        from deepc.config import show_config

        show_config()
    elif given.command == "export":
        return _export(parser.prog, given)
    elif given.command == "demo":
        from deepc.demo import DEFAULT_SEED, run

        seed = DEFAULT_SEED if given.seed is None else given.seed
        try:
            run(given.data, given.output, given.quick, seed, given.progress)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            print(f"{parser.prog} demo: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{parser.prog} demo: interrupted", file=sys.stderr)
            return 130
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
