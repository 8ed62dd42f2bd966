"""The examples on the pages of docs/, run as a reader types them."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

import pytest
from deepc._c import library

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# adding.md shows pieces of files, which tests/test_recipes.py puts together.
PAGES = sorted(
    page
    for page in DOCS.glob("*.md")
    if ">>> " in page.read_text(encoding="utf-8") and page.name != "adding.md"
)
PROGRAMS = [DOCS / "tutorial.md"]
needs_docs = pytest.mark.skipif(not DOCS.is_dir(), reason="needs docs/ beside the tests")


@needs_docs
def test_there_are_examples():
    assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page):
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert tried
    assert not failed


@needs_docs
@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.name)
def test_page_of_programs(page, tmp_path, monkeypatch):
    """It prints what it shows, and draws the pictures that it shows."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    run = runpy.run_path(str(ROOT / "scripts" / "run_page.py"))["run"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MNIST", raising=False)
    try:
        # Without fused multiply-add the last bits are others, and the printed numbers may be.
        assert run(page, compare=library.promises_bits(library.isa())) == []
    finally:
        pyplot.close("all")
    text = page.read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[.*?\]\(images/(.*?)\)", text))
    assert shown == {path.name for path in tmp_path.glob("*.png")}
    assert all((DOCS / "images" / name).is_file() for name in shown)


@needs_docs
def test_each_page_is_in_the_list():
    listed = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in listed, page.name


@needs_docs
def test_links_of_the_pages_lead_somewhere():
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
