"""The progress bar: shown where somebody sees it, and never worth a training."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from types import SimpleNamespace

import deepc
import pytest
from deepc.training import progress


def train(**settings):
    net = deepc.Sequential([deepc.Linear(1, 1, rng=0)])
    history = deepc.fit(
        net, [[1.0], [2.0]], [[1.0], [2.0]], loss=deepc.SSE(), optimizer=deepc.SGD(), epochs=3,
        **settings,
    )  # fmt: skip
    return list(history), net.layers[0].w.tobytes()


class Log:
    """A stream that can only be written to, as that of some editors."""

    def write(self, text):
        pass

    def flush(self):
        pass


class Failing(Log):
    """A pipe that nobody reads any more, after so many writes."""

    def __init__(self, writes=0, error=BrokenPipeError):
        self.writes, self.error = writes, error

    def write(self, text):
        self.writes -= 1
        if self.writes < 0:
            raise self.error("no reader")

    def isatty(self):
        return True


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


class Silent:
    """Neither write nor flush nor isatty."""


STREAMS = {
    "none": lambda: None,
    "log": Log,
    "nothing": Silent,
    "closed": closed,
    "pipe": Failing,
    "pipe after a while": lambda: Failing(3),
    "full disk": lambda: Failing(2, OSError),
    "ascii": lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii"),
}


@pytest.mark.parametrize("wanted", [None, True])
@pytest.mark.parametrize("stream", STREAMS)
def test_what_standard_error_is_changes_nothing(monkeypatch, stream, wanted):
    pytest.importorskip("tqdm")
    right = train(progress=False)
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())
    assert train(progress=wanted) == right


def test_an_ascii_terminal_gets_ascii(monkeypatch):
    pytest.importorskip("tqdm")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    train()
    stream.flush()
    assert b"6.00/6.00" in raw.getvalue()


def test_seen_on_terminals_and_in_notebooks(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Log())
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not progress.is_seen()
    for config, seen in (({"IPKernelApp": {}}, True), ({"TerminalIPythonApp": {}}, False)):
        shell = SimpleNamespace(config=config)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda s=shell: s))
        assert progress.is_seen() is seen
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not progress.is_seen()
    monkeypatch.setattr(sys, "stderr", Failing())
    assert progress.is_seen()


@pytest.mark.filterwarnings("error")
def test_a_notebook_gets_the_bar_of_notebooks(monkeypatch):
    auto = pytest.importorskip("tqdm.auto")
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    made = []

    class Bar:
        def __init__(self, **settings):
            made.append(settings)

        def set_postfix_str(self, text, refresh):
            made.append(text)

        def update(self, samples):
            made.append(samples)

        def close(self):
            made.append("closed")

    monkeypatch.setattr(auto, "tqdm", Bar)
    train()
    assert made[0]["total"] == 6
    assert sum(done for done in made if isinstance(done, int)) == 6
    assert made[-1] == "closed"


def test_an_error_in_training_is_not_taken_for_one_of_the_stream(monkeypatch):
    for wanted in (True, False):
        with (
            pytest.raises(ValueError, match="mine"),
            progress.progress_bar(wanted and bool(sys.modules.get("tqdm")), 1),
        ):
            raise ValueError("mine")


TRAIN = """
import deepc
net = deepc.Linear(1, 1, rng=0)
for _ in range(3):
    deepc.fit(net, [[1.0]] * 1000, [[1.0]] * 1000, loss=deepc.SSE(), optimizer=deepc.SGD(1e-4),
              epochs=3, progress=True)
print("trained", flush=True)
"""


def run_with_closed_pipe(stream, *arguments):
    """Run Python with a pipe that nobody reads as one of its streams; return how it ended."""
    read, write = os.pipe()
    os.close(read)
    try:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
        return subprocess.run([sys.executable, *arguments], **streams)
    finally:
        os.close(write)


def test_a_pipe_that_is_closed_early():
    pytest.importorskip("tqdm")
    result = run_with_closed_pipe("stderr", "-c", TRAIN)
    assert result.stdout.split() == [b"trained"]
    # Python itself cannot flush standard error at its end, and says so by this status at most.
    assert result.returncode in (0, 120)


def test_the_command_line_ends_quietly_where_nobody_reads_it():
    for command in (["config"], ["--version"]):
        result = run_with_closed_pipe("stdout", "-m", "deepc", *command)
        assert result.stderr == b""
        assert result.returncode == 1
