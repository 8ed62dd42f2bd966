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
    commands.add_parser(
        "config", help="tell the version, the instruction set, the threads and the compiler"
    )
    return parser


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
