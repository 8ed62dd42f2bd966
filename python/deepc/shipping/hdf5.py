"""The part of HDF5 in which Keras keeps weights: groups and whole arrays, read and written.

h5py writes such files with the oldest forms of the format unless it is asked for others: superblock
0, groups as symbol tables, arrays in one piece. That is all that is read here, and all that is
written; whatever else a file may hold (chunks, compression, links, newer groups) is refused by
name. Nothing in a file is executed, and no array is larger than what its file has bytes for.

The format is described in "HDF5 File Format Specification Version 3.0", The HDF Group; the names of
the structures below are those of its sections III and IV.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from deepc._values import Array

__all__ = ["read_arrays", "write_arrays"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOWHERE = 2**64 - 1
# Groups deeper than that are no weights of a network, but a loop.
_DEEPEST = 32

# Messages of an object header.
_NIL, _DATASPACE, _DATATYPE, _FILL_OLD, _FILL, _LINK = 0x0, 0x1, 0x3, 0x4, 0x5, 0x6
_EXTERNAL, _LAYOUT, _FILTERS, _CONTINUATION, _SYMBOL_TABLE = 0x7, 0x8, 0xB, 0x10, 0x11

_Arrays = dict[str, Array]


class _Reader:
    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = name
        self.seen: set[int] = set()

    def fail(self, why: str) -> ValueError:
        return ValueError(f"{self.name}: {why}")

    def take(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0 or at + size > len(self.content):
            raise self.fail("the file ends before what it promises (truncated?)")
        return self.content[at : at + size]

    def numbers(self, form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(at, struct.calcsize("<" + form)))

    def arrays(self) -> _Arrays:
        if self.take(0, 8) != _SIGNATURE:
            raise self.fail("no HDF5 file")
        version, _, _, _, _, offsets, lengths = self.numbers("7B", 8)
        if version != 0:
            raise self.fail(f"superblock {version} of HDF5 is not read, only 0 as h5py writes it")
        if (offsets, lengths) != (8, 8):
            raise self.fail("addresses of another size than 8 bytes")
        root = self.numbers("Q", 64)[0]
        found: _Arrays = {}
        self.object(root, "", found, 0)
        return found

    def object(self, address: int, path: str, found: _Arrays, depth: int) -> None:
        """Read a group or an array into `found`."""
        if depth > _DEEPEST or address in self.seen:
            raise self.fail(f"{path or '/'}: groups that hold themselves")
        self.seen.add(address)
        messages: dict[int, int] = {}
        for kind, at in self.messages(address, path):
            if kind == _LINK:
                raise self.fail(f"{path or '/'}: a group of the newer kind is not read")
            messages.setdefault(kind, at)
        if _SYMBOL_TABLE in messages:
            tree, heap = self.numbers("2Q", messages[_SYMBOL_TABLE])
            for name, child in self.members(tree, self.heap(heap), path, 0):
                self.object(child, f"{path}/{name}" if path else name, found, depth + 1)
        elif _LAYOUT in messages:
            found[path] = self.array(path, messages)

    def messages(self, address: int, path: str) -> Iterator[tuple[int, int]]:
        """Yield (kind, address of the content) of an object header of version 1."""
        if self.take(address, 4) == b"OHDR" or self.numbers("B", address)[0] != 1:
            raise self.fail(f"{path or '/'}: an object header of a newer kind is not read")
        size = self.numbers("I", address + 8)[0]
        blocks = [(address + 16, size)]
        left = self.numbers("H", address + 2)[0]
        while blocks and left:
            at, size = blocks.pop(0)
            end = at + size
            while at + 8 <= end and left:
                kind, length = self.numbers("2H", at)
                at += 8
                self.take(at, length)
                left -= 1
                if kind == _CONTINUATION:
                    blocks.append(self.numbers("2Q", at))
                elif kind != _NIL:
                    yield kind, at
                at += length

    def heap(self, address: int) -> tuple[int, int]:
        """Return address and size of a local heap's data, where names stand."""
        if self.take(address, 4) != b"HEAP":
            raise self.fail("a group has no names")
        size, _, data = self.numbers("3Q", address + 8)
        return data, size

    def members(
        self, address: int, heap: tuple[int, int], path: str, depth: int
    ) -> Iterator[tuple[str, int]]:
        """Yield (name, address) of a group's members, from its tree down."""
        if address == _NOWHERE:
            return
        signature = self.take(address, 4)
        if signature == b"SNOD":
            for i in range(self.numbers("H", address + 6)[0]):
                offset, header = self.numbers("2Q", address + 8 + 40 * i)
                cache = self.numbers("I", address + 8 + 40 * i + 16)[0]
                name = self.text(heap, offset)
                if cache == 2:
                    raise self.fail(f"{path}/{name}: a link is not followed")
                yield name, header
        elif signature == b"TREE" and depth < _DEEPEST:
            kind, _, used = self.numbers("2BH", address + 4)
            if kind != 0:
                raise self.fail(f"{path or '/'}: no tree of a group")
            for i in range(used):
                child = self.numbers("Q", address + 24 + 16 * i + 8)[0]
                yield from self.members(child, heap, path, depth + 1)
        else:
            raise self.fail(f"{path or '/'}: a damaged group")

    def text(self, heap: tuple[int, int], offset: int) -> str:
        data, size = heap
        end = self.content.find(b"\0", data + offset, data + size)
        if offset >= size or end < 0:
            raise self.fail("a name outside its heap")
        try:
            return self.take(data + offset, end - data - offset).decode()
        except UnicodeDecodeError:
            raise self.fail("a name that is no text") from None

    def array(self, path: str, messages: dict[int, int]) -> Array:
        if _FILTERS in messages:
            raise self.fail(f"{path}: a compressed array is not read")
        if _EXTERNAL in messages:
            raise self.fail(f"{path}: an array in another file is not read")
        if _DATASPACE not in messages or _DATATYPE not in messages:
            raise self.fail(f"{path}: an array without shape or type")
        shape = self.shape(path, messages[_DATASPACE])
        dtype = self.dtype(path, messages[_DATATYPE])
        version, form = self.numbers("2B", messages[_LAYOUT])
        if version != 3 or form not in (0, 1):
            raise self.fail(f"{path}: an array in pieces (chunks) is not read")
        count = 1
        for n in shape:  # of Python's integers, which do not overflow
            count *= n
        size = count * dtype.itemsize
        if form == 0:
            stored = self.numbers("H", messages[_LAYOUT] + 2)[0]
            at = messages[_LAYOUT] + 4
        else:
            at, stored = self.numbers("2Q", messages[_LAYOUT] + 2)
        if size == 0:
            return np.zeros(shape, dtype)
        if at == _NOWHERE:
            raise self.fail(f"{path}: an array that was never written")
        if stored != size:
            raise self.fail(f"{path}: {stored} bytes for an array of {size}")
        values = np.frombuffer(self.take(at, size), dtype).reshape(shape)
        return values.astype(dtype.newbyteorder("="))

    def shape(self, path: str, at: int) -> tuple[int, ...]:
        version, rank, flags = self.numbers("3B", at)
        if version not in (1, 2) or rank > 32:
            raise self.fail(f"{path}: a shape of an unknown kind")
        if version == 2 and self.numbers("B", at + 3)[0] == 2:
            raise self.fail(f"{path}: no array (a null dataspace)")
        del flags  # whether the largest sizes follow, which do not matter here
        return self.numbers(f"{rank}Q", at + (8 if version == 1 else 4))

    def dtype(self, path: str, at: int) -> np.dtype[Any]:
        head, order, _, _, size = self.numbers("4BI", at)
        kind = head & 15
        end = ">" if order & 1 else "<"
        if kind == 0 and size in (1, 2, 4, 8):
            return np.dtype(f"{end}{'i' if order & 8 else 'u'}{size}")
        if kind == 1 and size in (2, 4, 8):
            return np.dtype(f"{end}f{size}")
        if kind == 3:
            return np.dtype(f"S{size}")
        names = {2: "times", 4: "bit fields", 5: "opaque bytes", 6: "compounds", 7: "references",
                 8: "enumerations", 9: "strings of variable length", 10: "arrays"}  # fmt: skip
        raise self.fail(f"{path}: {names.get(kind, 'an unknown type')} are not read")


def read_arrays(content: bytes, name: str = "file") -> dict[str, Array]:
    """Return all arrays of an HDF5 file by their paths, without a leading slash.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str, optional
        What errors call it.

    Raises
    ------
    ValueError
        If it is no HDF5 file, is damaged, or holds what is not read here.

    Examples
    --------
    >>> import numpy as np
    >>> content = write_arrays({"layers/dense/vars/0": np.ones((2, 3), "f4")})
    >>> read_arrays(content)["layers/dense/vars/0"].shape
    (2, 3)
    """
    return _Reader(content, name).arrays()


# ---- Writing -------------------------------------------------------------------------------------

_TREE_K = 16  # of the superblock: a tree's node has room for twice as many children
_TREE_SIZE = 24 + 8 + 2 * _TREE_K * 16


def _message(kind: int, content: bytes) -> bytes:
    content += b"\0" * (-len(content) % 8)
    return struct.pack("<2HB3x", kind, len(content), 0) + content


def _header(*messages: bytes) -> bytes:
    size = sum(map(len, messages))
    return struct.pack("<BxHII4x", 1, len(messages), 1, size) + b"".join(messages)


def _type_message(dtype: np.dtype[Any]) -> bytes:
    bits = dtype.itemsize * 8
    if dtype.kind == "f":
        # Sign, exponent and fraction as IEEE 754 has them.
        exponent, bias = {16: (5, 15), 32: (8, 127), 64: (11, 1023)}[bits]
        fraction = bits - 1 - exponent
        # Bit field: little-endian, the fraction's highest bit is implied; where the sign stands.
        head = struct.pack("<4BI", 0x11, 0x20, bits - 1, 0, dtype.itemsize)
        return _message(
            _DATATYPE,
            head + struct.pack("<2H4BI", 0, bits, fraction, exponent, 0, fraction, bias),
        )
    signed = 8 if dtype.kind == "i" else 0
    head = struct.pack("<4BI", 0x10, signed, 0, 0, dtype.itemsize)
    return _message(_DATATYPE, head + struct.pack("<2H", 0, bits))


class _Writer:
    def __init__(self, leaf_k: int) -> None:
        self.leaf_k = leaf_k
        self.content = bytearray(96)

    def put(self, block: bytes) -> int:
        """Append a block at a multiple of 8 bytes; return its address."""
        self.content += b"\0" * (-len(self.content) % 8)
        self.content += block
        return len(self.content) - len(block)

    def array(self, array: Array) -> int:
        array = np.asarray(array)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"arrays: expected numbers, got dtype {array.dtype}")
        values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        data = self.put(values.tobytes()) if values.size else _NOWHERE
        shape = struct.pack(f"<3B5x{array.ndim}Q", 1, array.ndim, 0, *array.shape)
        layout = struct.pack("<2B2Q", 3, 1, data, values.nbytes)
        # A fill value of version 2, not defined: what is not written is zeros.
        fill = struct.pack("<4B", 2, 1, 0, 0)
        return self.put(
            _header(
                _message(_DATASPACE, shape),
                _type_message(values.dtype),
                _message(_FILL, fill),
                _message(_LAYOUT, layout),
            )
        )

    def group(self, members: dict[str, Any]) -> tuple[int, int, int]:
        """Write a group; return the addresses of its header, its tree and its heap."""
        entries, names = [], bytearray(8)  # the empty name stands first
        for name in sorted(members):
            value = members[name]
            where = (
                self.group(value) if isinstance(value, dict) else (self.array(value), None, None)
            )
            entries.append((len(names), where))
            encoded = name.encode() + b"\0"
            names += encoded + b"\0" * (-len(encoded) % 8)
        # The free list's end marker, 1, says that nothing in the heap is free.
        data = self.put(bytes(names))
        heap = self.put(b"HEAP" + struct.pack("<B3x3Q", 0, len(names), 1, data))
        node = b"SNOD" + struct.pack("<BxH", 1, len(entries))
        node += b"".join(_entry(offset, *where) for offset, where in entries)
        symbols = self.put(node.ljust(8 + 2 * self.leaf_k * 40, b"\0"))
        last = entries[-1][0] if entries else 0
        tree = b"TREE" + struct.pack("<2BH2Q", 0, 0, 1 if entries else 0, _NOWHERE, _NOWHERE)
        if entries:
            tree += struct.pack("<3Q", 0, symbols, last)
        table = self.put(tree.ljust(_TREE_SIZE, b"\0"))
        header = self.put(_header(_message(_SYMBOL_TABLE, struct.pack("<2Q", table, heap))))
        return header, table, heap


def _entry(offset: int, header: int, tree: int | None, heap: int | None) -> bytes:
    """Return a symbol table entry; of a group it repeats where its tree and heap are."""
    scratch = struct.pack("<2Q", tree, heap) if tree is not None else bytes(16)
    return struct.pack("<2QI4x", offset, header, 0 if tree is None else 1) + scratch


def write_arrays(arrays: dict[str, Array], groups: tuple[str, ...] = ()) -> bytes:
    """Return an HDF5 file with these arrays, which h5py and Keras read.

    Parameters
    ----------
    arrays : dict of str to ndarray
        By path, ``"layers/dense/vars/0"``; the groups on the way are made.
    groups : tuple of str, optional
        Groups that are there even if they hold nothing.

    Raises
    ------
    TypeError
        If an array holds anything but numbers.
    ValueError
        If a path is an array and a group at once.
    """
    root: dict[str, Any] = {}
    for path in groups:
        _descend(root, path.split("/"), path)
    for path, array in arrays.items():
        *parents, last = path.split("/")
        inside = _descend(root, parents, path)
        if last in inside:
            raise ValueError(f"arrays: {path!r} stands twice, or is a group as well")
        inside[last] = array
    # One node holds all names of a group, so a node is as large as the largest group asks.
    leaf_k = max(4, (_widest(root) + 1) // 2)
    writer = _Writer(leaf_k)
    header, tree, heap = writer.group(root)
    end = writer.put(b"")
    writer.content[:96] = (
        _SIGNATURE
        + struct.pack("<8B2HI", 0, 0, 0, 0, 0, 8, 8, 0, leaf_k, _TREE_K, 0)
        + struct.pack("<4Q", 0, _NOWHERE, end, _NOWHERE)
        + _entry(0, header, tree, heap)
    )
    return bytes(writer.content)


def _descend(group: dict[str, Any], names: list[str], path: str) -> dict[str, Any]:
    for name in names:
        group = group.setdefault(name, {})
        if not isinstance(group, dict):
            raise ValueError(f"arrays: {path!r} lies inside an array")
    return group


def _widest(group: dict[str, Any]) -> int:
    inner = [_widest(value) for value in group.values() if isinstance(value, dict)]
    return max([len(group), *inner])
