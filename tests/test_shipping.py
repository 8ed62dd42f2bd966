"""The page on shipping and its example, run as a reader runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import deepc
import pytest
from deepc.shipping import verify

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "shipping.md"
EXAMPLE = ROOT / "examples" / "ship"


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the docs")
def test_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    namespace = {"__name__": "page"}
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if not verify.compiler():
            code = re.sub(r"(export_c\(.*)\)", r"\1, verify=False)", code)
        exec(compile(code, str(PAGE), "exec"), namespace)
    data = deepc.datasets.digits()
    for name in ("net", "same", "small"):
        right = namespace[name].forward(data.test_x).argmax(axis=1) == data.test_y
        assert right.mean() > 0.93, name
    header = Path("digits.h").read_text()
    for line in re.findall(r"^(?:void|int) .*?\);", text, re.MULTILINE):
        plain = line.replace("[64]", "[DIGITS_INPUTS]").replace("[10]", "[DIGITS_OUTPUTS]")
        assert plain in header


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="needs the examples")
@pytest.mark.skipif(os.name != "posix" or not verify.compiler(), reason="needs a C compiler")
def test_the_example(tmp_path):
    trained = subprocess.run(
        [sys.executable, EXAMPLE / "train.py", tmp_path], check=True, capture_output=True, text=True
    ).stdout
    command = [*verify.compiler(), "-O2", "-I.", EXAMPLE / "main.c", "digits_net.c", "-o", "main"]
    subprocess.run(command, check=True, cwd=tmp_path)
    run = subprocess.run([tmp_path / "main"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    # The same digits are right in C as in Python.
    python, c = (re.search(r"(\d+) of 200 right", text)[1] for text in (trained, run.stdout))
    assert python == c
    assert int(c) > 180
