#!/usr/bin/env python3
"""Run the Python code of a page of docs/ as its reader does: in order, in one program.

A block of ```text right behind a block of ```python is what that prints; where it prints something
else this says so and fails. Pictures that the page draws are kept if a folder is given.

    python scripts/run_page.py docs/tutorial.md                checks it
    python scripts/run_page.py docs/tutorial.md docs/images    ... and draws its pictures anew
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


def run(page: Path, compare: bool = True) -> list[str]:
    """Run a page in the current folder; return how what it prints differs from what it shows."""
    text = page.read_text(encoding="utf-8")
    namespace = {"__name__": page.stem}
    differences: list[str] = []
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # As many empty lines before it as there are in the page: errors name the right one.
            exec(compile("\n" * line + block[1], str(page), "exec"), namespace)
        if compare and printed.getvalue() != (block[2] or ""):
            shown, got = (block[2] or "").splitlines(), printed.getvalue().splitlines()
            differences += difflib.unified_diff(
                shown, got, f"{page.name}, behind line {line}", "printed", lineterm=""
            )
    return differences


def main() -> int:
    """Run the page that is named; return 1 if it prints something else than it shows."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    page = Path(sys.argv[1]).resolve()
    kept = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            differences = run(page)
            for picture in sorted(Path(folder).glob("*.png")) if kept else ():
                print(shutil.copy(picture, kept or ""))
        finally:
            os.chdir(before)
    print("\n".join(differences))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
