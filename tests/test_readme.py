"""The Python code in README.md, run as a reader runs it: in order, all in one namespace.

What a line prints is the comment behind it, where there is one.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
PRINTED = re.compile(r"^print\(.*\)  # (.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not README.is_file(), reason="needs README.md beside the tests")
def test_readme(capsys):
    text = README.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python") >= 2
    namespace = {"__name__": "readme"}
    printed = []
    for block in blocks:
        # As many empty lines before it as there are in the file: a traceback names the right one.
        source = "\n" * text[: block.start(1)].count("\n") + block[1]
        exec(compile(source, str(README), "exec"), namespace)
        printed += capsys.readouterr().out.splitlines()
    # First comes what the chapter's network, trained on XOR, makes of the four inputs.
    line, *others = printed
    assert others == [said for block in blocks for said in PRINTED.findall(block[1])]
    assert ast.literal_eval(line) == pytest.approx([0, 1, 1, 0], abs=0.1)
    # And it still knows after the second way to train it.
    predictions = namespace["net"].forward(namespace["xs"])
    assert [p for (p,) in predictions] == pytest.approx([0, 1, 1, 0], abs=0.1)
