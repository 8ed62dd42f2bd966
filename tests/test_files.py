"""Replacing a file: whole or not at all, and otherwise as `open` would have it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time

import deepc
import pytest
from deepc import _files
from deepc._files import replacing

LEFT_OVER = re.compile(r"\.deepc-[0-9a-f]{16}\.part")
posix = pytest.mark.skipif(os.name != "posix", reason="modes, FIFOs and signals of POSIX")


def put(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)


def names(folder):
    return sorted(os.listdir(folder))


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def refusal(call, *arguments):
    """Return the class, the number and the file of the OSError that a call ends in."""
    with pytest.raises(OSError, match=r".") as caught:
        call(*arguments)
    return caught.type, caught.value.errno, caught.value.filename


def plain(path):
    with open(path, "wb"):
        pass


# ---- What is there afterwards --------------------------------------------------------------------


def test_new_and_replaced(tmp_path):
    path = tmp_path / "w.json"
    for content in (b"", b"first", b"2", bytes(range(256)) * 5000):
        put(path, content)
        assert path.read_bytes() == content
        assert names(tmp_path) == ["w.json"]


def test_path_without_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put("w.json")
    assert names(tmp_path) == ["w.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError, GeneratorExit])
@pytest.mark.parametrize("there", [True, False])
def test_an_error_inside_leaves_all_as_it_was(tmp_path, error, there):
    path = tmp_path / "w.json"
    if there:
        path.write_bytes(b"old")

    def interrupted():
        with replacing(path) as file:
            file.write(b"half")
            file.flush()
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == ["w.json"] * there
    assert not there or path.read_bytes() == b"old"


@posix
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o000])
def test_a_new_file_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        put(tmp_path / "w.json")
        plain(tmp_path / "plain")
    finally:
        os.umask(before)
    assert mode(tmp_path / "w.json") == mode(tmp_path / "plain") == 0o666 & ~mask


@posix
@pytest.mark.parametrize("before", [0o600, 0o640, 0o644, 0o666, 0o755, 0o200])
def test_a_file_keeps_its_mode(tmp_path, before):
    path = tmp_path / "w.json"
    path.write_bytes(b"old")
    path.chmod(before)
    modes = []
    with replacing(path) as file:
        file.write(b"new")
        modes = [mode(tmp_path / name) for name in names(tmp_path)]
    assert modes == [before, before], "nobody else reads it while it is written either"
    assert mode(path) == before
    path.chmod(0o600)
    assert path.read_bytes() == b"new"


@posix
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "w.json"
    path.write_bytes(b"old")
    os.chown(path, 1234, 4321)
    put(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@posix
def test_a_group_that_cannot_be_kept_gets_no_more_than_others(tmp_path, monkeypatch):
    path = tmp_path / "w.json"
    path.write_bytes(b"old")
    path.chmod(0o664)
    monkeypatch.setattr(_files, "_give_to", lambda descriptor, old: False)
    put(path)
    assert mode(path) == 0o644


# ---- Links and names -----------------------------------------------------------------------------


@posix
def test_links_stay(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "inner").symlink_to(tmp_path / "folder" / "w.json")
    (tmp_path / "outer").symlink_to("inner")
    for content in (b"made by a link to nothing", b"replaced"):
        put(tmp_path / "outer", content)
        assert (tmp_path / "real" / "w.json").read_bytes() == content
    assert names(tmp_path) == ["folder", "inner", "outer", "real"]
    assert names(tmp_path / "real") == ["w.json"]
    assert os.path.islink(tmp_path / "outer")
    assert os.path.islink(tmp_path / "inner")


def test_the_longest_names(tmp_path):
    for length in (200, 230, 255):
        path = tmp_path / ("n" * length)
        for content in (b"old", b"new"):
            put(path, content)
        assert path.read_bytes() == b"new"
    assert refusal(put, str(tmp_path / ("n" * 256))) == refusal(plain, str(tmp_path / ("n" * 256)))
    assert len(names(tmp_path)) == 3


@posix
@pytest.mark.parametrize(
    "name", ["models/", "folder/", "folder", "missing/w.json", "file/w.json", "file/", "loop",
             "models/.", "models/..", ".", "..", "/"],
)  # fmt: skip
def test_what_open_refuses_is_refused_alike(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "loop").symlink_to("loop")
    before = names(tmp_path)
    assert refusal(put, name) == refusal(plain, name)
    assert names(tmp_path) == before
    assert names(tmp_path / "folder") == []
    assert (tmp_path / "file").read_bytes() == b"old"


def test_no_name_is_refused():
    assert refusal(put, "") == refusal(plain, "")


# Runs what follows as a user who is not root, in a folder that everybody may use.
NOBODY = """
import errno, os, sys
from deepc._files import replacing
if os.geteuid() == 0:
    os.setgroups([]), os.setegid(65534), os.seteuid(65534)
def put(path):
    with replacing(path) as file:
        file.write(b"new")
def plain(path):
    with open(path, "wb") as file:
        file.write(b"new")
outcomes = []
for call in (put, plain):
    try:
        call(sys.argv[1])
        outcomes.append("written")
    except OSError as error:
        outcomes.append(repr(error))
print(*outcomes, sep="\\n")
"""


def as_nobody(path):
    command = [sys.executable, "-c", NOBODY, str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture
def shared(tmp_path):
    """A folder that everybody reaches."""
    for folder in (tmp_path, *tmp_path.parents):
        if not os.stat(folder).st_mode & 0o001:
            if os.stat(folder).st_uid != os.geteuid():
                pytest.skip("a folder above is closed to others")
            os.chmod(folder, os.stat(folder).st_mode | 0o011)
    os.chmod(tmp_path, 0o777)
    return tmp_path


@posix
def test_a_read_only_file_is_refused_as_open_refuses_it(shared):
    path = shared / "w.json"
    path.write_bytes(b"old")
    path.chmod(0o444)
    put_error, plain_error = as_nobody(path)
    assert put_error == plain_error
    assert "PermissionError" in put_error
    assert path.read_bytes() == b"old"
    assert names(shared) == ["w.json"]


@posix
def test_a_file_in_a_folder_that_takes_no_others_is_written_to(shared):
    path = shared / "w.json"
    path.write_bytes(b"old")
    path.chmod(0o666)
    shared.chmod(0o555)
    assert as_nobody(path) == ["written", "written"]
    assert path.read_bytes() == b"new"
    assert as_nobody(shared / "other")[0] == as_nobody(shared / "other")[1]
    shared.chmod(0o777)


# ---- What cannot be replaced ---------------------------------------------------------------------


@posix
def test_a_fifo_is_written_to(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    came = []
    reader = threading.Thread(target=lambda: came.append(path.read_bytes()))
    reader.start()
    put(path, b"through the pipe")
    reader.join()
    assert came == [b"through the pipe"]
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert names(tmp_path) == ["pipe"]


SAVE = """
import deepc, sys
deepc.save_weights(deepc.Linear(2, 1, rng=0), sys.argv[1])
"""


@posix
@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to", ["pipe", "file"])
def test_standard_output_is_written_to(tmp_path, target, to):
    if not os.path.exists(target):
        pytest.skip("this system has no such name")
    command = [sys.executable, "-c", SAVE, target]
    if to == "pipe":
        out = subprocess.run(command, capture_output=True, check=True).stdout
    else:
        with open(tmp_path / "out", "wb") as file:
            subprocess.run(command, stdout=file, check=True)
            assert os.fstat(file.fileno()).st_ino == os.stat(tmp_path / "out").st_ino
        out = (tmp_path / "out").read_bytes()
        assert names(tmp_path) == ["out"]
    assert [len(tensor) for tensor in json.loads(out)] == [1, 1]


@posix
@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM, errno.EACCES])
def test_a_mount_is_written_to(tmp_path, monkeypatch, number):
    path = tmp_path / "w.json"
    path.write_bytes(b"a longer old one")

    def replace(source, target):
        raise OSError(number, os.strerror(number), source, None, target)

    monkeypatch.setattr(os, "replace", replace)
    before = os.stat(path).st_ino
    put(path)
    assert path.read_bytes() == b"new"
    assert os.stat(path).st_ino == before
    assert names(tmp_path) == ["w.json"]
    assert refusal(put, str(tmp_path / "new"))[2] == str(tmp_path / "new")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.json"
    path.write_bytes(b"old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    if sys.platform == "darwin":
        monkeypatch.setattr(_files, "_sync", full)
    assert refusal(put, path)[1] == errno.ENOSPC
    monkeypatch.undo()
    monkeypatch.setattr(_files, "_create", full)
    assert refusal(put, str(path)) == (OSError, errno.ENOSPC, str(path))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["w.json"]


@pytest.mark.skipif(sys.platform == "darwin", reason="F_FULLFSYNC is another call there")
def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    path, events = tmp_path / "w.json", []
    fsync, replace = os.fsync, os.replace

    def recorded(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        events.append((kind, os.fstat(descriptor).st_size if kind == "content" else None))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("name"), replace(*names)))
    put(path, b"12345")
    assert events == [("content", 5), "name", ("folder", None)][: 3 if os.name == "posix" else 2]


def test_windows_waits_for_who_holds_the_file(tmp_path, monkeypatch):
    """NousResearch/hermes-agent#36921, HKUDS/LightRAG#3880: a reader or a scanner has it open."""
    path, pauses, replace = tmp_path / "w.json", [], os.replace
    path.write_bytes(b"old")

    state = {}

    def held(source, target):
        if len(pauses) < state["failures"]:
            error = PermissionError(errno.EACCES, "in use", source)
            error.winerror = state["code"]
            raise error
        replace(source, target)

    monkeypatch.setattr(_files, "_WINDOWS", True)
    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(time, "sleep", pauses.append)
    for code in (5, 32, 33):
        state |= {"failures": 9, "code": code}
        pauses.clear()
        put(path, b"%d" % code)
        assert path.read_bytes() == b"%d" % code
        assert len(pauses) == 9
        assert sum(pauses) < 1
        assert pauses == sorted(pauses)
    for code, tried in ((5, 9), (17, 0)):
        state |= {"failures": 10, "code": code}
        pauses.clear()
        with pytest.raises(PermissionError, match="in use"):
            put(path)
        assert len(pauses) == tried
    assert path.read_bytes() == b"33"
    assert names(tmp_path) == ["w.json"]


# ---- At the same time ----------------------------------------------------------------------------


@posix
def test_a_signal_handler_that_saves_during_a_save(tmp_path):
    path = tmp_path / "w.json"
    nets = [deepc.Linear(40, 40, rng=seed) for seed in (0, 1)]
    whole, seen, handled = set(), set(), []
    for net in nets:
        deepc.save_weights(net, path)
        whole.add(path.read_bytes())
    assert len(whole) == 2

    def handler(*_):
        handled.append(1)
        deepc.save_weights(nets[1], path)
        seen.add(path.read_bytes())
        # Not by an interval: on a busy machine handlers would interrupt handlers without end.
        signal.setitimer(signal.ITIMER_REAL, 0.003)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.003)
        while len(handled) < 100:
            deepc.save_weights(nets[0], path)
            seen.add(path.read_bytes())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # On a slow machine the handler may come before every single save is seen.
    deepc.save_weights(nets[0], path)
    assert seen | {path.read_bytes()} == whole
    assert names(tmp_path) == ["w.json"]


def test_threads_that_write_the_same_file(tmp_path):
    path, errors, seen = tmp_path / "w.json", [], set()
    contents = [bytes([i]) * 100_000 for i in range(4)]
    put(path, contents[0])

    def work(content):
        try:
            for _ in range(25):
                put(path, content)
                seen.add(path.read_bytes())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if os.name == "posix":  # Windows may refuse to replace what others hold for longer
        assert not errors
    assert seen <= set(contents)
    assert names(tmp_path) == ["w.json"]


KEEP_SAVING = """
import deepc, sys
nets = [deepc.Linear(60, 60, rng=seed) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for net in nets:
        deepc.save_weights(net, sys.argv[1])
"""


@posix
def test_a_killed_process_leaves_a_whole_file_and_known_names(tmp_path):
    path = tmp_path / "w.json"
    whole = set()
    for seed in (0, 1):
        deepc.save_weights(deepc.Linear(60, 60, rng=seed), path)
        whole.add(path.read_bytes())
    for i in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KEEP_SAVING, str(path)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(0.01 + 0.007 * i)
        process.kill()
        process.communicate()
        assert path.read_bytes() in whole
    assert all(name == "w.json" or LEFT_OVER.fullmatch(name) for name in names(tmp_path))
