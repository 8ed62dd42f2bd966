"""Fetching a file from a mirror: checked by SHA-256, never longer than it should be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from deepc._files import replacing
from deepc.datasets._idx import read_at_most

__all__ = ["KnownFile", "download"]

# More than the longest of the compressed files, so that no server can fill the memory.
LONGEST_DOWNLOAD = 16 * 2**20


class KnownFile(NamedTuple):
    """A compressed file: its name without ``.gz``, the length and the SHA-256 of what is in it."""

    name: str
    length: int
    sha256: str


def download(file: KnownFile, mirrors: Sequence[str], folder: str) -> str:
    """Fetch a file from the first mirror that has it, check it, put it into a folder.

    ConnectionError tells what each mirror gave.
    """
    from http.client import HTTPException

    path = os.path.join(folder, f"{file.name}.gz")
    failures = []
    for mirror in mirrors:
        url = f"{mirror}{file.name}.gz"
        try:
            content = _fetch(url)
            _check_content(content, file)
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        with replacing(path) as stream:
            stream.write(content)
        return path
    raise ConnectionError("; ".join(failures))


def _open_url(url: str) -> Any:
    from urllib.request import urlopen

    return urlopen(url, timeout=30)


def _fetch(url: str) -> bytes:
    content = bytearray()
    with _open_url(url) as response:
        while chunk := response.read(2**16):
            content += chunk
            if len(content) > LONGEST_DOWNLOAD:
                raise ValueError(f"expected at most {LONGEST_DOWNLOAD} bytes, got more")
    return bytes(content)


def _check_content(content: bytes, file: KnownFile) -> None:
    """Refuse compressed content that is not the file's, by its SHA-256."""
    import gzip
    import hashlib
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            raw = read_at_most(stream, file.length + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"expected a gzip file, got {len(content)} bytes: {error}") from None
    sha256 = hashlib.sha256(raw).hexdigest()
    if sha256 != file.sha256:
        raise ValueError(f"expected content of SHA-256 {file.sha256}, got {sha256}")
