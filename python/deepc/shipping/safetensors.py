"""The safetensors format: named arrays and a table of strings in one file, read and written.

Eight bytes with the size of the header, the header in JSON, the arrays' bytes one after the other:
https://github.com/huggingface/safetensors has the description. The reader is strict: what the
format forbids is refused with what is wrong with it, before any array is made, and nothing is
made that is larger than the file. The writer always writes rows one after the other, whatever the
strides of an array in memory, and gives the same bytes for the same arrays in any order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from deepc._values import Array, describe

__all__ = ["read_tensors", "write_tensors"]

# What the format calls its types, and what they are in memory, always little-endian.
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4",
    "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(form): name for name, form in _DTYPES.items()}
# Types of the format that NumPy does not have.
_FOREIGN = {"BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3",
            "F6_E3M2", "F4", "C64"}  # fmt: skip
# The longest header and the most dimensions that are read, as the format's own package has it and
# as the oldest NumPy can hold.
_LONGEST_HEADER = 100_000_000
_MOST_DIMENSIONS = 32
_LARGEST = 2**63 - 1
_METADATA = "__metadata__"
_FIELDS = ("dtype", "shape", "data_offsets")


def read_tensors(
    content: bytes, name: str = "file", widen: bool = False
) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str, optional
        What errors call it.
    widen : bool, optional
        Read BF16 as float32, which holds each of its numbers, instead of refusing it.

    Returns
    -------
    dict of str to ndarray
        The arrays, copies of what is in the file, in the order of the header.
    dict of str to str
        The metadata, empty if there is none.

    Raises
    ------
    ValueError
        If the file is not what the format says, or holds a type that NumPy does not have.

    Examples
    --------
    >>> import numpy as np
    >>> arrays, metadata = read_tensors(write_tensors({"a": np.arange(3.0)}, {"by": "me"}))
    >>> arrays["a"].tolist(), metadata
    ([0.0, 1.0, 2.0], {'by': 'me'})
    """
    header, data = _split(content, name)
    table = _parse(header, name)
    metadata = _metadata(table, name)
    places = {key: _entry(key, entry, name, widen) for key, entry in table.items()}
    _check_places(places, len(data), name)
    arrays = {}
    for key, (kind, shape, start, stop) in places.items():
        part = data[start:stop]
        if kind == "BF16":
            bits = np.frombuffer(part, "<u2").astype(np.uint32) << 16
            arrays[key] = bits.view(np.float32).reshape(shape)
            continue
        if kind == "BOOL" and np.frombuffer(part, np.uint8).max(initial=0) > 1:
            raise ValueError(f"{name}: tensor {key!r}: BOOL holds bytes other than 0 and 1")
        dtype = np.dtype(_DTYPES[kind])
        array = np.frombuffer(part, dtype).reshape(shape)
        arrays[key] = array.astype(dtype.newbyteorder("="))  # a copy, aligned
    return arrays, metadata


def _split(content: bytes, name: str) -> tuple[bytes, memoryview]:
    if len(content) < 8:
        raise ValueError(f"{name}: no safetensors file: {len(content)} bytes, expected at least 8")
    size = int.from_bytes(content[:8], "little")
    if size == 0 or content[8:9] != b"{":
        # The first bytes of a zip archive and of a pickle, which somebody may have renamed.
        raise ValueError(f"{name}: no safetensors file: expected a header that starts with '{{'")
    if size > _LONGEST_HEADER:
        raise ValueError(f"{name}: a header of {size} bytes, expected at most {_LONGEST_HEADER}")
    if size > len(content) - 8:
        raise ValueError(
            f"{name}: a header of {size} bytes in a file of {len(content)} (truncated?)"
        )
    return content[8 : 8 + size], memoryview(content)[8 + size :]


def _parse(header: bytes, name: str) -> dict[str, Any]:
    """Return the header's object; refuse what JSON readers do not agree on."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{key!r} stands twice in the header")
            found[key] = value
        return found

    def refuse(number: str) -> NoReturn:
        raise ValueError(f"the number {number[:20]} in the header, expected integers")

    def whole(number: str) -> int:
        # Readers that know two kinds of zero take this one for a float.
        return refuse(number) if number == "-0" else int(number)

    try:
        text = header.decode().rstrip(" ")  # what the format pads with
        if not text.endswith("}"):
            raise ValueError("expected an object and nothing but spaces behind it")
        table = json.loads(
            text, object_pairs_hook=once, parse_int=whole, parse_float=refuse, parse_constant=refuse
        )
        # Half of a surrogate pair can be written in JSON, but is no text.
        _texts(table, 0)
    except RecursionError:
        raise ValueError(f"{name}: the header is nested too deeply") from None
    except UnicodeError:
        raise ValueError(f"{name}: the header is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{name}: the header is not right: {error}") from None
    if not isinstance(table, dict):  # pragma: no cover - it begins with a brace
        raise ValueError(f"{name}: expected an object as header, got {describe(table)}")
    return table


def _texts(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict) and depth < 3:
        for key, inner in value.items():
            key.encode()
            _texts(inner, depth + 1)


def _metadata(table: dict[str, Any], name: str) -> dict[str, str]:
    metadata = table.pop(_METADATA, {})
    if not isinstance(metadata, dict):
        raise ValueError(f"{name}: {_METADATA}: expected an object, got {describe(metadata)}")
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise ValueError(
                f"{name}: {_METADATA}: {key!r}: expected a string, got {describe(value)}"
            )
    return metadata


def _entry(key: str, entry: Any, name: str, widen: bool) -> tuple[str, tuple[int, ...], int, int]:
    """Return type, shape, start and stop of a tensor whose entry says what its place can hold."""
    where = f"{name}: tensor {key!r}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, got {describe(entry)}")
    if sorted(entry) != sorted(_FIELDS):
        raise ValueError(
            f"{where}: expected the fields {', '.join(_FIELDS)}, got {', '.join(entry) or 'none'}"
        )
    kind, shape, offsets = (entry[field] for field in _FIELDS)
    if not isinstance(kind, str) or (kind not in _DTYPES and kind not in _FOREIGN):
        raise ValueError(f"{where}: dtype: expected a type of the format, got {describe(kind)}")
    if kind in _FOREIGN and not (kind == "BF16" and widen):
        raise ValueError(
            f"{where}: dtype: {kind} is not read; convert to F32 where the file is made"
        )
    if not isinstance(shape, list) or not all(map(_is_size, shape)):
        raise ValueError(f"{where}: shape: expected a list of sizes, got {describe(shape)}")
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(
            f"{where}: shape: expected at most {_MOST_DIMENSIONS} dimensions, got {len(shape)}"
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise ValueError(
            f"{where}: data_offsets: expected where it starts and stops, got {describe(offsets)}"
        )
    start, stop = offsets
    itemsize = 2 if kind == "BF16" else np.dtype(_DTYPES[kind]).itemsize
    # Also without its zeros: [0, 2**62] is no array that NumPy could make.
    if math.prod(size for size in shape if size) * itemsize > _LARGEST:
        raise ValueError(f"{where}: shape: {describe(shape)} is larger than any memory")
    expected = math.prod(shape) * itemsize
    if stop - start != expected:
        raise ValueError(
            f"{where}: shape {shape} of {kind} takes {expected} bytes, "
            f"but data_offsets are {start} to {stop}"
        )
    return kind, tuple(shape), start, stop


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _check_places(places: dict[str, tuple[Any, Any, int, int]], size: int, name: str) -> None:
    """Refuse tensors that do not fill the data one after the other."""
    at = 0
    for key, (_, _, start, stop) in sorted(places.items(), key=lambda item: item[1][2:]):
        if stop > size:
            raise ValueError(
                f"{name}: tensor {key!r} ends at byte {stop} of the data, which has {size} "
                "(truncated?)"
            )
        if start < at:
            raise ValueError(f"{name}: tensor {key!r} overlaps the one before it")
        if start > at:
            raise ValueError(f"{name}: nobody has bytes {at} to {start}, before tensor {key!r}")
        at = stop
    if at != size:
        raise ValueError(f"{name}: {size - at} bytes after the last tensor")


def write_tensors(arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file with some arrays and metadata.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays in any memory layout and byte order; of floats, integers or booleans.
    metadata : mapping of str to str, optional

    Returns
    -------
    bytes
        The file: the same for the same names, values and metadata, in whatever order.

    Raises
    ------
    TypeError
        If a name or a piece of metadata is no string, or an array is of a type that the format does
        not have.
    ValueError
        If a name is ``"__metadata__"``, or a string holds half a surrogate pair.
    """
    table: dict[str, Any] = {}
    if metadata:
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(
                    f"metadata: expected strings, got {describe(key)}: {describe(value)}"
                )
        table[_METADATA] = dict(sorted(metadata.items()))
    ready = {}
    for key, value in arrays.items():
        if not isinstance(key, str):
            raise TypeError(f"arrays: expected names as keys, got {describe(key)}")
        if key == _METADATA:
            raise ValueError(f"arrays: a tensor cannot have the name {_METADATA!r}")
        array = np.asarray(value)
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise TypeError(
                f"arrays: {key!r}: expected floats, integers or booleans, got {describe(value)}"
            )
        ready[key] = np.asarray(array, dtype, order="C")
    # The largest items first, so that each array starts at a multiple of its item's size.
    names = sorted(ready, key=lambda key: (-ready[key].itemsize, key))
    at = 0
    for key in names:
        array = ready[key]
        table[key] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    try:
        header = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeError:
        raise ValueError("arrays: a name or metadata holds half a surrogate pair") from None
    header += b" " * (-len(header) % 8)
    size = len(header).to_bytes(8, "little")
    return b"".join([size, header, *(ready[name].tobytes() for name in names)])
