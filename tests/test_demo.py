"""The command line and the demonstration, run as a user runs them."""

import gzip
import importlib.util
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from deepc import demo

ROW = re.compile(
    r"^(?P<network>\w+ [\d-]+) +(?P<loss>squared error|cross-entropy) +(?P<epochs>[\d,]+) "
    r"+(?P<train>[\d.]+)% +(?P<test>[\d.]+%|-) +(?P<seconds>[\d.]+) +(?P<rate>[\d,]+)$"
)
NETWORKS = [
    ("XOR 2-2-1", "squared error"),
    ("FizzBuzz 10-25-4", "squared error"),
    ("FizzBuzz 10-25-4", "cross-entropy"),
    ("Digits 64-10", "cross-entropy"),
    ("Digits 64-30-10-10", "cross-entropy"),
]
PICTURES = [
    "digits-confusion.png", "digits-weights.png", "digits.png", "learning-curves.png", "xor.png",
]  # fmt: skip

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is not installed"
)


def deepc(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "deepc", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | environment,
        check=False,
    )


def rows(output):
    return [match for match in map(ROW.match, output.splitlines()) if match]


def without_times(output):
    """The table but for what differs from run to run."""
    return [match.groupdict() | {"seconds": None, "rate": None} for match in rows(output)]


def png_size(path):
    """Width and height of a PNG file whose chunks are all there."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[12:16] == b"IHDR"
    assert content[-8:-4] == b"IEND"
    return struct.unpack(">II", content[16:24])


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new" / "pictures"
    return deepc("demo", "--quick", "--output", folder), folder


def test_table(quick):
    result, _ = quick
    assert result.returncode == 0, result.stderr
    table = rows(result.stdout)
    assert [(row["network"], row["loss"]) for row in table] == NETWORKS
    # Seeded, so these are facts about this version, with room for other machines' libraries.
    assert float(table[3]["train"]) > 85
    assert float(table[4]["test"].rstrip("%")) > 80
    assert all(float(row["rate"].replace(",", "")) > 0 for row in table)


def test_output_that_is_no_terminal_has_no_bar(quick):
    result, _ = quick
    assert "samples/s" not in result.stderr
    assert "\r" not in result.stderr
    assert "\r" not in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.isascii()
    assert max(map(len, result.stdout.splitlines()[:3])) <= 100
    assert result.stdout.startswith("Seed 0,")


@needs_matplotlib
def test_pictures(quick):
    result, folder = quick
    assert sorted(os.listdir(folder)) == PICTURES
    for name in PICTURES:
        width, height = png_size(folder / name)
        assert 800 <= width <= 3000
        assert 500 <= height <= 3000
        assert str(folder / name) in result.stdout


def test_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_installed", lambda module: False)  # pictures take time

    def table(seed):
        demo.run(output=str(tmp_path), quick=True, seed=seed)
        return without_times(capsys.readouterr().out)

    assert table(0) == table(0)
    assert table(0) != table(1)


def test_progress_bar(tmp_path):
    pytest.importorskip("tqdm")
    result = deepc("demo", "--quick", "--output", tmp_path, "--progress")
    assert result.returncode == 0
    assert "samples/s" in result.stderr
    assert "FizzBuzz 10-25-4" in result.stderr
    assert [(row["network"], row["loss"]) for row in rows(result.stdout)] == NETWORKS


def test_without_matplotlib_and_tqdm(tmp_path):
    """Hidden behind an import hook, as if they were not installed."""
    hook = (
        "import runpy, sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('matplotlib', 'tqdm'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"sys.argv = ['deepc', 'demo', '--quick', '--progress', '--output', {str(tmp_path)!r}]\n"
        "runpy.run_module('deepc', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", hook], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(rows(result.stdout)) == len(NETWORKS)
    assert result.stdout.count('pip install "deepc-nn[demo]"') == 2
    assert os.listdir(tmp_path) == []


# ---- MNIST ---------------------------------------------------------------------------------------


@pytest.fixture
def mnist(tmp_path):
    """The four files, made up: 200 and 50 images, each a bar whose place tells the class."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, count in (("train", 200), ("t10k", 50)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), :, 2 * labels + 4] = 255
        for kind, array in (("images", images), ("labels", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            name = f"{part}-{kind}-idx{array.ndim}-ubyte.gz"
            (folder / name).write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def test_mnist(mnist, tmp_path):
    result = deepc("demo", "--quick", "--data", mnist, "--output", tmp_path / "pictures")
    assert result.returncode == 0, result.stderr
    assert [row["network"] for row in rows(result.stdout)[-2:]] == [
        "MNIST 784-10",
        "MNIST 784-30-10-10",
    ]
    if importlib.util.find_spec("matplotlib"):
        assert sorted(os.listdir(tmp_path / "pictures")) == sorted(
            [*PICTURES, "mnist.png", "mnist-confusion.png", "mnist-weights.png"]
        )


# ---- What cannot be ------------------------------------------------------------------------------


def assert_refused(result, *words):
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("python -m deepc demo: error: ")
    for word in words:
        assert word in result.stderr
    assert rows(result.stdout) == []


def test_unknown_folder(tmp_path):
    result = deepc("demo", "--data", tmp_path / "nowhere", "--output", tmp_path / "pictures")
    assert_refused(result, "nowhere")
    assert os.listdir(tmp_path) == []


def test_missing_files(tmp_path, mnist):
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    result = deepc("demo", "--data", mnist, "--output", tmp_path / "pictures")
    assert_refused(result, str(mnist), "lacks t10k-labels-idx1-ubyte")


def test_truncated_file(tmp_path, mnist):
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    result = deepc("demo", "--data", mnist, "--output", tmp_path / "pictures")
    assert_refused(result, "train-images-idx3-ubyte.gz", "truncated")


def test_output_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    assert_refused(deepc("demo", "--quick", "--output", path), str(path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["demo", "--seed", "x"], ["demo", "--what"], ["config", "more"]]
)
def test_wrong_arguments(arguments):
    result = deepc(*arguments)
    assert result.returncode == 2
    assert "usage: python -m deepc" in result.stderr
    assert "Traceback" not in result.stderr


# ---- The other commands --------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help(arguments):
    result = deepc(*arguments)
    assert result.returncode == 0
    assert "demo" in result.stdout
    assert "config" in result.stdout


def test_demo_help():
    result = deepc("demo", "--help")
    assert result.returncode == 0
    for option in ("--data", "--output", "--quick", "--seed", "--progress"):
        assert option in result.stdout


def test_config():
    result = deepc("config")
    assert result.returncode == 0
    for words in ("deepc ", "instruction set", "threads", "compiler"):
        assert words in result.stdout


def test_version():
    result = deepc("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"deepc \d+\.\d+\.\d+\S*", result.stdout.strip())
