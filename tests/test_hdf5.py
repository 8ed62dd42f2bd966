"""The part of HDF5 that holds weights: what is written reads back, here and in h5py."""

from __future__ import annotations

import contextlib
import io
import random
import struct

import numpy as np
import pytest
from deepc.shipping.hdf5 import read_arrays, write_arrays


def arrays():
    rng = np.random.default_rng(0)
    found = {f"layers/dense_{i}/vars/{k}": rng.normal(size=(3, 4)).astype("f4")
             for i in range(20) for k in range(2)}  # fmt: skip
    found["optimizer/vars/0"] = np.array(5, "i8")
    found["empty"], found["half"] = np.zeros((0, 3)), np.arange(3, dtype="f2")
    found["bytes"] = np.arange(6, dtype="u1").reshape(2, 3)
    return found


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        assert found[path].dtype == array.dtype, path
        np.testing.assert_array_equal(found[path], array)


def test_round_trip():
    same(read_arrays(write_arrays(arrays(), groups=("layers/dropout/vars",))), arrays())
    same(read_arrays(write_arrays({})), {})


def test_what_h5py_reads_and_writes():
    h5py = pytest.importorskip("h5py")
    found = {}
    with h5py.File(io.BytesIO(write_arrays(arrays(), groups=("layers/dropout/vars",)))) as file:
        file.visititems(
            lambda path, item: found.update({path: item[()]} if hasattr(item, "dtype") else {})
        )
        assert len(file["layers/dropout/vars"]) == 0
    same({path: np.asarray(array) for path, array in found.items()}, arrays())
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, array in arrays().items():
            file[path] = array
        file["layers/dense_3"].attrs["name"] = "dense_3"
        for i in range(200):  # more than a node of a tree holds
            file[f"many/{i}"] = np.float32(i)
    read = read_arrays(memory.getvalue())
    assert [read.pop(f"many/{i}") for i in range(200)] == list(range(200))
    same(read, arrays())


def test_what_h5py_may_write_and_is_not_read():
    h5py = pytest.importorskip("h5py")

    def refused(write, why, **settings):
        memory = io.BytesIO()
        with h5py.File(memory, "w", **settings) as file:
            write(file)
        with pytest.raises(ValueError, match=f"some.h5: .*{why}"):
            read_arrays(memory.getvalue(), "some.h5")

    refused(lambda f: f.create_dataset("a", data=np.ones(9), compression="gzip"), "a: a compressed")
    refused(lambda f: f.create_dataset("a", data=np.ones(9), chunks=(3,)), "a: an array in pieces")
    refused(lambda f: f.create_dataset("a", data=["text"]), "a: strings of variable length")
    refused(lambda f: f.create_dataset("a", data=np.ones(9)), "superblock", libver="latest")
    refused(lambda f: f.__setitem__("a", h5py.SoftLink("/b")), "a: a link")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" + bytes(200)])
def test_what_is_no_such_file(content):
    with pytest.raises(ValueError, match=r"some\.h5"):
        read_arrays(content, "some.h5")


def test_an_array_larger_than_its_file_is_refused_before_memory_is_taken():
    content = bytearray(write_arrays({"a": np.zeros(3, "f4")}))
    shape = struct.pack("<Q", 3)
    place = content.index(struct.pack("<3B5x", 1, 1, 0) + shape) + 8
    content[place : place + 8] = struct.pack("<Q", 2**60)
    with pytest.raises(ValueError, match="12 bytes for an array of"):
        read_arrays(bytes(content))


def test_groups_that_hold_themselves():
    content = bytearray(write_arrays({"a/b": np.zeros(3, "f4")}))
    root = struct.unpack_from("<Q", content, 64)[0]
    node = content.rindex(b"SNOD")
    struct.pack_into("<Q", content, node + 16, root)
    with pytest.raises(ValueError, match="groups that hold themselves"):
        read_arrays(bytes(content))


def test_damaged_files_raise_nothing_but_value_errors():
    rng, good = random.Random(0), write_arrays(arrays())
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        if rng.random() < 0.3:
            del bad[rng.randrange(len(bad)) :]
        with contextlib.suppress(ValueError):
            read_arrays(bytes(bad))


def test_what_is_not_written():
    with pytest.raises(TypeError, match="numbers, got dtype"):
        write_arrays({"a": np.array(["text"])})
    with pytest.raises(ValueError, match="'a' stands twice"):
        write_arrays({"a/b": np.ones(1), "a": np.ones(1)})
    with pytest.raises(ValueError, match="'a/b' lies inside an array"):
        write_arrays({"a": np.ones(1), "a/b": np.ones(1)})
