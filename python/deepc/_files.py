"""Replacing a file: the old one or the new one, whole, never a mixture."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

__all__ = ["replacing"]


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of the one at `path` at the end.

    If anything is raised inside, the file at `path` stays as it is.
    """
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
