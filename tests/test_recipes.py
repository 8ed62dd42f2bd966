"""The recipes of docs/adding.md against the tree: each file and each place is there, once.

Run as a program it applies one to a tree: ``python tests/test_recipes.py "A loss" folder``. With
the variable DEEPC_RECIPES set, the tests do that to a copy, build it and run its C tests: about two
minutes of CPU time a recipe. One copy and one build serve all of them, one after the other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding.md"
TITLES = ["An activation", "A loss", "A layer kind", "A rule"]
# The most edits that a recipe may ask for.
MOST = 15

EDIT = re.compile(
    r"(?:In `(?P<path>[\w./]+)`,\s+(?P<where>before|behind|at the end of the macro)\s+"
    r"`(?P<place>.+?)`|\n(?:A new file\. )`(?P<new>[\w./]+)`):\n\n```\w*\n(?P<text>.*?)```\n",
    re.DOTALL,
)


class Edit(NamedTuple):
    """What is to be written, and where: at a place in a file, or as a new file."""

    path: str
    where: str
    place: str
    text: str

    def apply(self, tree: Path) -> None:
        path = tree / self.path
        if self.where == "new":
            assert not path.exists(), self.path
            path.write_text(self.text, encoding="utf-8", newline="\n")
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        at = self.line(lines)
        if self.where == "at the end of the macro":
            while lines[at].rstrip().endswith("\\"):
                at += 1
            lines[at] = lines[at].rstrip() + " \\\n"
        text = self.text if self.where == "before" else self.text.rstrip("\n") + "\n"
        lines.insert(at if self.where == "before" else at + 1, text)
        path.write_text("".join(lines), encoding="utf-8", newline="\n")

    def line(self, lines: list[str]) -> int:
        """Return the number of the line that the place names."""
        begins = f"#define {self.place}" if "macro" in self.where else self.place
        found = [i for i, line in enumerate(lines) if line.startswith(begins)]
        assert len(found) == 1, f"{self.path}: {len(found)} lines begin with {begins!r}"
        return found[0]


def recipes() -> dict[str, list[Edit]]:
    """Return the edits of each recipe by its title."""
    result = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        result[title] = [
            Edit(m["path"] or m["new"], m["where"] or "new", m["place"] or "", m["text"])
            for m in EDIT.finditer(body)
        ]
        assert len(result[title]) == body.count("```") // 2, f"{title}: an edit that is not read"
    return result


needs_pages = pytest.mark.skipif(not PAGE.exists(), reason="needs docs/ beside the tests")


@needs_pages
def test_there_is_a_recipe_for_each_list_and_none_is_long():
    counts = {title: len(edits) for title, edits in recipes().items()}
    assert list(counts) == TITLES
    assert all(1 < count <= MOST for count in counts.values()), counts


@needs_pages
@pytest.mark.parametrize("title", TITLES)
def test_each_place_of_a_recipe_is_in_the_tree_once(title, tmp_path):
    for edit in recipes()[title]:
        path = tmp_path / edit.path
        if edit.where != "new" and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / edit.path, path)
        assert path.parent.is_dir() or (ROOT / edit.path).parent.is_dir()
        path.parent.mkdir(parents=True, exist_ok=True)
        edit.apply(tmp_path)
        text = path.read_text(encoding="utf-8")
        assert edit.text.strip() in text
        if path.suffix == ".py":
            compile(text, edit.path, "exec")


@pytest.fixture(scope="module")
def copy_of_the_tree(tmp_path_factory):
    """A copy without what is built, and a build of its library and tests yet to be made."""
    tree = tmp_path_factory.mktemp("recipes") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".venv*", ".git", "*cache*"))
    switches = ("DEEPC_WERROR=ON", "DEEPC_BUILD_BENCHMARKS=OFF", "DEEPC_BUILD_EXAMPLES=OFF")
    run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", *(f"-D{s}" for s in switches))
    return tree


def run(*command):
    subprocess.run(command, check=True)


# What no recipe touches and takes long; and the comparison with digests that were just written.
NOT_CONCERNED = "test_matmul|same_bits"


@needs_pages
@pytest.mark.skipif("DEEPC_RECIPES" not in os.environ, reason="builds; set DEEPC_RECIPES")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("title", TITLES)
def test_a_recipe_builds_and_its_c_tests_pass(title, copy_of_the_tree):
    tree, build = copy_of_the_tree, copy_of_the_tree / "build"
    digests = tree / "tests" / "c" / "digest.expected"
    touched = {tree / edit.path for edit in recipes()[title]} | {digests}
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    try:
        for edit in recipes()[title]:
            edit.apply(tree)
        run("cmake", "--build", build)
        run(build / "tests" / "digest", "--update", digests)
        run("ctest", "--test-dir", build, "--output-on-failure", "-j2", "-E", NOT_CONCERNED)
        old = set((ROOT / "tests/c/digest.expected").read_text().splitlines())
        new = set(digests.read_text().splitlines())
        assert not [line for line in old - new if "all both" not in line]
        assert len(new) > len(old)
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)


if __name__ == "__main__":
    for edit in recipes()[sys.argv[1]]:
        edit.apply(Path(sys.argv[2]))
