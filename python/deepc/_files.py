"""Replacing a file: whoever reads it finds the old one or the new one, whole, never a mixture.

The new content goes into a file beside the old one, under a name that belongs to this call alone,
reaches the disk, and only then takes the name. So neither an error, nor a signal handler that saves
while the program saves, nor another thread, nor a kill or a power cut can leave half a file. What a
killed process leaves behind is called ``.deepc-`` and 16 hexadecimal digits and ``.part``.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

__all__ = ["replacing"]

_WINDOWS = os.name == "nt"
# ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION: a scanner or a reader holds
# the file for a moment.
_HELD = (5, 32, 33)
# Ten tries within 0.8 s: the first pause is 5 ms, each later one 1.7 times the one before.
_TRIES, _FIRST_PAUSE, _GROWTH = 10, 0.005, 1.7


@contextmanager
def replacing(filename: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of the one of that name at the end.

    If anything is raised inside, all stays as it was. Otherwise everything is as if `open` had
    written it: symbolic links stay, a file keeps its mode, a new one follows the umask, and what
    `open` would refuse is refused with its error. Only hard links go on naming the old content.

    What cannot be replaced is written to directly, as `open` does it, and may be left half-written:
    what is no regular file (a FIFO, a terminal), ``/dev/stdout`` and its like, a file that is a
    mount of its own, and one in a folder that takes no new files.
    """
    path = os.fspath(filename)
    old = None
    # "models/" is the name of a folder; made real it would be that of a file.
    direct = os.path.basename(path) in ("", os.curdir, os.pardir)
    if not direct:
        with suppress(FileNotFoundError):
            old = os.stat(path)
            direct = not stat.S_ISREG(old.st_mode) or _is_descriptor(path)
    if direct:
        with open(path, "wb") as file:
            yield file
        return
    if old:
        _check_writable(path)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".deepc-{os.urandom(8).hex()}.part")
    try:
        try:
            descriptor = _create(temporary, old)
        except OSError as error:
            if not (old and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)):
                error.filename = path  # nobody asked for the temporary one
                raise
            descriptor, temporary = os.open(path, os.O_WRONLY | os.O_TRUNC), ""
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            _sync(descriptor)
        if temporary and _take_place(temporary, target, path, old):
            _sync_folder(folder)
    finally:
        with suppress(OSError):
            os.remove(temporary)  # where it took the other's place, it has that name no more


def _is_descriptor(path: str) -> bool:
    """Whether a path leads to an open file of a process: ``/dev/stdout``, ``/proc/self/fd/1``."""
    for _ in range(40):  # as many links as Linux follows
        folder = os.path.realpath(os.path.dirname(path)) + os.sep
        if folder.startswith(("/proc/", "/dev/fd/")):
            return True
        if not os.path.islink(path):
            break
        path = os.path.join(folder, os.readlink(path))
    return False


def _check_writable(path: str) -> None:
    """Raise what `open` raises for a file that must not be written; change nothing."""
    if _WINDOWS:  # where opening fails while somebody reads the file, which `_replace` waits for
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    else:
        os.close(os.open(path, os.O_WRONLY))


def _create(temporary: str, old: os.stat_result | None) -> int:
    """Make a new file, as open to others as the old one from the first moment; return its number.

    A new one follows the umask, which cannot be asked for without setting it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(temporary, flags, 0o600 if old else 0o666)
    if old and not _WINDOWS:
        mode = stat.S_IMODE(old.st_mode) & 0o777
        if not _give_to(descriptor, old):
            # The group is another one now, to which nobody meant to open the file.
            mode = mode & ~0o070 | (mode & 0o007) << 3
        with suppress(OSError):  # there are file systems without modes
            os.fchmod(descriptor, mode)
    return descriptor


def _give_to(descriptor: int, old: os.stat_result) -> bool:
    """Give a file to the owner and the group of another one; return whether it has the group."""
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid):
        return True
    with suppress(OSError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
        return True
    if new.st_gid == old.st_gid:
        return True
    with suppress(OSError):
        os.fchown(descriptor, -1, old.st_gid)
        return True
    return False


def _sync(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _sync_folder(folder: str) -> None:
    """Wait until a new name is on the disk, where folders can be asked for that."""
    if _WINDOWS:
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _take_place(temporary: str, target: str, path: str, old: os.stat_result | None) -> bool:
    """Put a file in place of another; False if that could only be done by writing into it."""
    try:
        _replace(temporary, target)
    except OSError as error:
        # A mount of its own, or a folder in which only owners may replace.
        if not (old and error.errno in (errno.EBUSY, errno.EPERM, errno.EACCES)) or _WINDOWS:
            error.filename, error.filename2 = path, None
            raise
        with open(temporary, "rb") as source, open(path, "wb") as file:
            while chunk := source.read(2**20):
                file.write(chunk)
        return False
    return True


def _replace(temporary: str, target: str) -> None:
    """Rename; on Windows try again for a while where somebody holds the target for a moment."""
    pause = _FIRST_PAUSE
    for _ in range(_TRIES - 1 if _WINDOWS else 0):
        try:
            os.replace(temporary, target)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _HELD:
                raise
            time.sleep(pause)
            pause *= _GROWTH
    os.replace(temporary, target)
