"""IDX files, the format of MNIST."""

from __future__ import annotations

import math
import os
import struct
from typing import Any, Protocol

import numpy as np

from deepc._values import Array, as_int, describe

__all__ = ["read_at_most", "read_idx"]

IDX_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}


def read_idx(path: str | os.PathLike[str], max_bytes: int = 2**30) -> Array:
    """Return the array in an IDX file, the format of MNIST; gzipped or not, whatever its name.

    The format: two zero bytes, a byte for the type, a byte for the number of dimensions, the
    dimensions as 32-bit numbers, the elements in C order; all with the most significant byte first.

    Parameters
    ----------
    path : str or path
        The file.
    max_bytes : int, optional
        The largest array to accept. No more memory is ever taken than the file really fills.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64 in the byte order of the machine.

    Raises
    ------
    ValueError
        If the file is not IDX, is truncated, goes on after its end, or is too large.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "example.idx")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    ...     read_idx(path)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a path, got {describe(path)}")
    max_bytes = as_int(max_bytes, "max_bytes", least=0)
    name = os.fspath(path)
    with open(path, "rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            return _parse_idx(file, name, max_bytes)
        import gzip
        import zlib

        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _parse_idx(stream, name, max_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{name}: damaged or truncated gzip file: {error}") from None


class _Readable(Protocol):
    """A file, gzipped or not."""

    def read(self, size: int, /) -> bytes: ...


def _parse_idx(file: _Readable, name: str, max_bytes: int) -> Array:
    magic = read_at_most(file, 4)
    if len(magic) < 4:
        raise ValueError(
            f"{name}: expected the 4 bytes that an IDX file starts with, got {len(magic)}"
        )
    zeros, code, ndim = struct.unpack(">HBB", magic)
    if zeros or code not in IDX_TYPES:
        codes = ", ".join(f"{each:02x}" for each in IDX_TYPES)
        raise ValueError(
            f"{name}: not an IDX file: expected it to start with 00 00 and one of {codes}, "
            f"got {magic[:3].hex(' ')}"
        )
    if not 1 <= ndim <= 32:
        raise ValueError(f"{name}: expected 1 to 32 dimensions, got {ndim}")
    dimensions = read_at_most(file, 4 * ndim)
    if len(dimensions) < 4 * ndim:
        raise ValueError(
            f"{name}: truncated: expected {4 * ndim} bytes for {ndim} dimensions, "
            f"got {len(dimensions)}"
        )
    shape = struct.unpack(f">{ndim}I", dimensions)
    dtype = IDX_TYPES[code]
    # A dimension of 0 does not excuse the others, whose product NumPy must be able to hold.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > max_bytes:
        raise ValueError(
            f"{name}: expected at most {max_bytes} bytes, got shape {shape} of {dtype}"
        )
    length = math.prod(shape) * dtype.itemsize
    data = read_at_most(file, length + 1)
    if len(data) != length:
        problem = "truncated: expected" if len(data) < length else "expected no more than"
        came = f"{len(data)}" if len(data) < length else "more"
        raise ValueError(f"{name}: {problem} {length} bytes of data for shape {shape}, got {came}")
    array: Array = np.frombuffer(data, dtype.newbyteorder(">")).reshape(shape)
    return array.astype(dtype, copy=False)


def read_at_most(file: _Readable, length: int) -> bytearray:
    """Read until the end or `length` bytes; memory follows what is really there."""
    data = bytearray()
    while chunk := file.read(min(2**20, length - len(data))):
        data += chunk
    return data
