"""NumPy's archives, read strictly: no pickles, nothing larger than the file explains."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepc._values import Array, describe

__all__ = ["read_npz", "write_npz"]

# The most that deflate makes of a byte (RFC 1951: 258 bytes a code of two bits).
_MOST_GROWTH = 1032
# The longest header of an array that is read; the default of NumPy itself.
_LONGEST_HEADER = 10_000
_KINDS = "fiub"


def read_npz(content: bytes, name: str = "file") -> dict[str, Array]:
    """Return the arrays of an archive that `numpy.savez` or `savez_compressed` wrote.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str, optional
        What errors call it.

    Raises
    ------
    ValueError
        If it is no such archive, or holds anything but arrays of floats, integers and booleans.
    """
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            packed = sum(info.compress_size for info in archive.infolist())
            if packed > len(content):
                raise ValueError(f"{name}: members that overlap")
            for info in archive.infolist():
                member = info.filename.removesuffix(".npy")
                if member == info.filename:
                    raise ValueError(
                        f"{name}: {info.filename!r} is no array; expected what numpy.savez writes"
                    )
                if member in arrays:
                    raise ValueError(f"{name}: {member!r} stands twice")
                if info.file_size > _MOST_GROWTH * info.compress_size:
                    raise ValueError(f"{name}: {member!r}: claims more than its bytes can hold")
                arrays[member] = _array(archive.read(info), f"{name}: {member!r}")
    # What Python's reader of archives raises for those that are damaged, encrypted, or packed in a
    # way that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{name}: no archive of arrays: {error}") from None
    except (OSError, IndexError, OverflowError) as error:
        raise ValueError(f"{name}: a damaged archive: {error}") from None
    return arrays


def _array(content: bytes, name: str) -> Array:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(file, max_header_size=_LONGEST_HEADER)
    except (KeyError, ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError):
        raise ValueError(f"{name}: not an array of NumPy") from None
    if dtype.kind not in _KINDS:
        raise ValueError(f"{name}: expected floats, integers or booleans, got {dtype}")
    data = content[file.tell() :]
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"{name}: shape: expected sizes, got {describe(shape)}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(
            f"{name}: shape {describe(shape)} of {dtype} takes "
            f"{math.prod(shape) * dtype.itemsize} bytes, but there are {len(data)}"
        )
    try:
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    except ValueError:  # of sizes whose product is 0, one beyond what NumPy can index
        raise ValueError(f"{name}: shape: {describe(shape)} is larger than any memory") from None
    return np.array(array, dtype.newbyteorder("="), order="C")


def write_npz(arrays: Mapping[str, Any]) -> bytes:
    """Return an archive that `numpy.load` reads; the same bytes for the same arrays and names.

    `numpy.savez` itself takes names as keywords, of which some are its own.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name]))
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            # An entry of that name alone has a fixed date.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return file.getvalue()
