"""The safetensors format: what must be read, what must be refused, and arrays there and back."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from deepc.shipping.safetensors import read_tensors, write_tensors

MAX = 2**64 - 1


def pack(header, data=b"", size=None):
    """Return a file of a header, given as it stands in the file, and data."""
    if not isinstance(header, bytes):
        header = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def one(data=bytes(4), **changes):
    """Return a file of one tensor "a" with some fields changed, or absent where they are None."""
    fields = entry() | changes
    return pack({"a": {k: v for k, v in fields.items() if v is not None}}, data)


A, B = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}', '"dtype":"F32","shape":[1]'


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights", b"{" * 40)
    return file.getvalue()


# What must be refused, with a part of what the message must say. Among it are
# safetensors/safetensors#401 (a name twice), ml-explore/mlx#3363 (fewer bytes than the shape),
# promptfoo/modelaudit#1607 ([1] at [0, 0]) and kekzl/imp#1603 (unknown dtype).
BAD = {
    "empty": (b"", "at least 8"),
    "seven bytes": (b"1234567", "at least 8"),
    "header of size 0": (pack("", bytes(8)), "no safetensors file"),
    "header beyond the file": (pack("{}", size=100), "truncated"),
    "header of 2^63": (pack("{}", size=2**63), "at most"),
    "header of 2^64 - 1": (pack("{}", size=MAX), "at most"),
    "header that wraps": (pack("{}", size=MAX - 7), "at most"),
    "header above 100 MB": (pack("{}", size=100_000_001), "at most"),
    "not UTF-8": (pack(b'{"\xff":1}'), "UTF-8"),
    "not JSON": (pack("{nonsense}"), "header"),
    "a list": (pack("[]"), "starts with"),
    "a string": (pack('"a"'), "starts with"),
    "two documents": (pack("{}{}"), "Extra data"),
    "leading space": (pack(" {}"), "starts with"),
    "NUL padding": (pack("{}\0\0"), "spaces"),
    "tab padding": (pack("{}\t"), "spaces"),
    "comment": (pack("{/**/}"), "header"),
    "NaN": (pack('{"a":NaN}'), "NaN"),
    "1e400": (pack('{"a":1e400}'), "1e400"),
    "100,000 brackets": (pack('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "deep"),
    "a name twice, other place": (
        pack(f'{{{A},"a":{{{B},"data_offsets":[4,8]}}}}', bytes(8)), "'a' stands twice"
    ),
    "a name twice, same place": (pack(f"{{{A},{A}}}", bytes(4)), "'a' stands twice"),
    "a field twice": (
        pack(f'{{"a":{{{B},"shape":[1],"data_offsets":[0,4]}}}}', bytes(4)), "'shape' stands twice"
    ),
    "metadata twice": (
        pack('{"__metadata__":{},"__metadata__":{}}'), "'__metadata__' stands twice"
    ),
    "a key of metadata twice": (pack('{"__metadata__":{"k":"1","k":"2"}}'), "'k' stands twice"),
    "a number in metadata": (pack({"__metadata__": {"k": 1}}), "expected a string"),
    "an object in metadata": (pack({"__metadata__": {"k": {}}}), "expected a string"),
    "metadata is a list": (pack({"__metadata__": []}), "expected an object"),
    "entry is a number": (pack({"a": 1}), "expected an object"),
    "entry is null": (pack({"a": None}), "expected an object"),
    "no dtype": (one(dtype=None), "fields"),
    "no shape": (one(shape=None), "fields"),
    "no offsets": (one(data_offsets=None), "fields"),
    "one field more": (one(more=1), "fields"),
    "unknown dtype": (one(dtype="F31"), "dtype"),
    "lower case dtype": (one(dtype="f32"), "dtype"),
    "dtype is a number": (one(dtype=32), "dtype"),
    "BF16": (one(dtype="BF16", shape=[2]), "BF16 is not read"),
    "negative size": (one(shape=[-1]), "shape"),
    "two negative sizes": (one(shape=[-1, -1]), "shape"),
    "size 2.0": (pack('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', bytes(4)), "1.0"),
    "size true": (one(shape=[True]), "shape"),
    "size '1'": (one(shape=["1"]), "shape"),
    "size above 2^64": (one(shape=[2**64 + 1]), "shape"),
    "sizes overflow to the right one": (one(shape=[2**32 + 1, 2**32, 2**32]), "larger"),
    "sizes overflow to 1": (one(shape=[(2**64 + 2) // 6, 3, 2]), "larger"),
    "zero times huge": (one(b"", shape=[0, 2**62], data_offsets=[0, 0]), "larger"),
    "200 dimensions": (one(shape=[1] * 200), "dimensions"),
    "shape is a number": (one(shape=1), "shape"),
    "offsets reversed": (one(data_offsets=[4, 0]), "data_offsets"),
    "offsets negative": (one(data_offsets=[-4, 0]), "data_offsets"),
    "offset -0": (
        pack('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,-0]}}'), "the number -0"
    ),
    "offsets of floats": (
        pack('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0.0,4.0]}}', bytes(4)), "0.0"
    ),
    "offsets false": (one(data_offsets=[False, 4]), "data_offsets"),
    "one offset": (one(data_offsets=[4]), "data_offsets"),
    "three offsets": (one(data_offsets=[0, 4, 4]), "data_offsets"),
    "beyond the file": (one(data_offsets=[4, 8]), "truncated"),
    "end beyond the file": (one(shape=[2], data_offsets=[0, 8]), "truncated"),
    "fewer bytes than the shape": (one(shape=[1000, 1000], data_offsets=[0, 8], data=bytes(8)),
                                   "takes 4000000 bytes"),
    "more bytes than the shape": (one(bytes(8), data_offsets=[0, 8]), "takes 4 bytes"),
    "[1] at [0, 0]": (one(b"", data_offsets=[0, 0]), "takes 4 bytes"),
    "two tensors in one place": (pack({"a": entry(), "b": entry()}, bytes(4)), "overlaps"),
    "half an overlap": (
        pack({"a": entry(shape=[2], offsets=[0, 8]), "b": entry(shape=[2], offsets=[4, 12])},
             bytes(12)), "overlaps",
    ),
    "hole at the start": (one(bytes(8), data_offsets=[4, 8]), "nobody has bytes 0 to 4"),
    "hole between": (
        pack({"a": entry(), "b": entry(offsets=[8, 12])}, bytes(12)), "nobody has bytes 4 to 8"
    ),
    "bytes after the last": (one(bytes(5)), "1 bytes after"),
    "bytes without tensors": (pack("{}", b"x"), "1 bytes after"),
    "last byte missing": (one(bytes(3)), "truncated"),
    "half a surrogate": (pack('{"\\ud800":' + A.partition(":")[2] + "}", bytes(4)), "UTF-8"),
    "half a surrogate in metadata": (pack('{"__metadata__":{"k":"\\udfff"}}'), "UTF-8"),
    "BOOL of 2": (one(b"\x02", dtype="BOOL", data_offsets=[0, 1]), "BOOL"),
    "a number of 5,000 digits": (pack('{"a":' + "9" * 5000 + "}"), "header"),
    "a pickle": (pickle.dumps({"a": [1.0] * 20}), "no safetensors file"),
    "a zip": (zipped(), "no safetensors file"),
}  # fmt: skip

# What must be read, with what is in it. Among it are safetensors/safetensors#466 and #601 (metadata
# alone) and promptfoo/modelaudit#1607 (no elements).
GOOD = {
    "no tensors": (pack("{}"), {}, {}),
    "no elements": (one(b"", shape=[0], data_offsets=[0, 0]), {"a": np.zeros(0, "f4")}, {}),
    "empty beside full": (
        pack({"a": entry(shape=[0, 3], offsets=[0, 0]), "b": entry(offsets=[0, 4])},
             struct.pack("<f", 2)),
        {"a": np.zeros((0, 3), "f4"), "b": np.array([2], "f4")}, {},
    ),
    "scalar": (one(struct.pack("<f", 3), shape=[]), {"a": np.array(3, "f4")}, {}),
    "names in another order than places": (
        pack({"a": entry(offsets=[4, 8]), "b": entry(offsets=[0, 4])}, struct.pack("<2f", 1, 2)),
        {"a": np.array([2], "f4"), "b": np.array([1], "f4")}, {},
    ),
    "odd length of the header": (
        pack('{"a": ' + json.dumps(entry("F64", offsets=[0, 8])) + " " * 2 + "}",
             struct.pack("<d", 7)), {"a": np.array([7.0])}, {},
    ),
    "padding of spaces": (pack("{}" + " " * 6), {}, {}),
    "metadata alone": (pack({"__metadata__": {"key": "value"}}), {}, {"key": "value"}),
    "empty name": (pack({"": entry()}, bytes(4)), {"": np.zeros(1, "f4")}, {}),
    "NaN as data": (one(b"\0\0\xc0\x7f"), {"a": np.array([np.nan], "f4")}, {}),
    "umlauts": (
        pack('{"äöü":' + A.partition(":")[2] + ',"__metadata__":{"ß":"\\u00e9"}}', bytes(4)),
        {"äöü": np.zeros(1, "f4")}, {"ß": "é"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_by_name(name):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=r"^weights: ") as caught:
        read_tensors(content, "weights")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_read(name):
    content, arrays, metadata = GOOD[name]
    got, strings = read_tensors(content)
    same(got, arrays)
    assert strings == metadata
    assert read_tensors(write_tensors(got, strings))[1] == metadata


def same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        assert got[name].tobytes() == np.ascontiguousarray(array).tobytes(), name
        assert got[name].flags.aligned
        assert got[name].flags.c_contiguous


# ---- Writing -------------------------------------------------------------------------------------

DTYPES = ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]


@pytest.mark.parametrize("form", DTYPES)
def test_every_dtype_there_and_back(form, rng):
    values = rng.integers(0, 2 if form == "?" else 100, (3, 5)).astype(form)
    arrays = {"rows": values, "none": values[:0], "scalar": values[0, 0], "other": values.T}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    same(read_tensors(write_tensors(arrays))[0], arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
        np.arange(10, dtype="f4")[::2],
        np.arange(12, dtype="f4").reshape(3, 4)[::-1, 1:3],
        np.broadcast_to(np.float32(3), (2, 2)),
        np.arange(6).astype(">f4").reshape(2, 3),
    ],
    ids=["Fortran", "every second", "reversed", "broadcast", "big endian"],
)
def test_values_are_those_of_the_array_whatever_its_strides(array):
    """safetensors/safetensors#825: the package of version 0.8.0 writes the memory as it stands."""
    got = read_tensors(write_tensors({"a": array}))[0]["a"]
    assert got.dtype == np.float32
    assert got.tolist() == array.tolist()


def test_a_layers_weights_are_a_transposed_view(tmp_path):
    from deepc import Linear

    layer = Linear(3, 2, rng=1)
    assert not layer.w.flags.c_contiguous
    assert read_tensors(write_tensors({"w": layer.w}))[0]["w"].tolist() == layer.w.tolist()


def test_equal_arrays_give_equal_bytes_aligned_and_in_order():
    arrays = {"b": np.ones(3, "f4"), "a": np.ones(1, "u1"), "c": np.ones(2), "ä": np.ones(1, "f4")}
    content = write_tensors(arrays, {"x": "1", "a": "2"})
    assert content == write_tensors(dict(reversed(arrays.items())), {"a": "2", "x": "1"})
    size = int.from_bytes(content[:8], "little")
    assert size % 8 == 0
    header = json.loads(content[8 : 8 + size])
    places = {k: v["data_offsets"] for k, v in header.items() if k != "__metadata__"}
    assert places == {"c": [0, 16], "b": [16, 28], "ä": [28, 32], "a": [32, 33]}


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "match"),
    [
        ({1: np.ones(1)}, None, TypeError, "names"),
        ({"__metadata__": np.ones(1)}, None, ValueError, "__metadata__"),
        ({"a": np.array(["x"])}, None, TypeError, "'a'"),
        ({"a": np.ones(1, complex)}, None, TypeError, "'a'"),
        ({"a": np.array([None])}, None, TypeError, "'a'"),
        ({"\ud800": np.ones(1)}, None, ValueError, "surrogate"),
        ({}, {"a": 1}, TypeError, "metadata"),
        ({}, {"a": "\ud800"}, ValueError, "surrogate"),
    ],
)
def test_what_the_format_does_not_have(arrays, metadata, error, match):
    with pytest.raises(error, match=match):
        write_tensors(arrays, metadata)


def test_bf16_is_widened_if_asked():
    values = np.array([1.0, -2.5, 3e38, 0.0], "f4")
    content = one((values.view("u4") >> 16).astype("<u2").tobytes(), dtype="BF16", shape=[4],
                  data_offsets=[0, 8])  # fmt: skip
    got = read_tensors(content, widen=True)[0]["a"]
    assert got.dtype == np.float32
    assert got[[0, 1, 3]].tolist() == [1.0, -2.5, 0.0]


# ---- The package of the format's authors ---------------------------------------------------------


def test_the_package_reads_ours_and_we_read_its(rng):
    package = pytest.importorskip("safetensors.numpy")
    arrays = {f"{i}.{form}": rng.integers(0, 2, (i, 3)).astype(form)
              for i, form in enumerate(DTYPES)}  # fmt: skip
    same(package.load(write_tensors(arrays, {"a": "b"})), arrays)
    same(read_tensors(package.save(arrays, {"a": "b"}))[0], arrays)
    assert read_tensors(package.save(arrays, {"a": "b"}))[1] == {"a": "b"}


@pytest.mark.parametrize("name", GOOD)
def test_the_package_reads_the_good_files(name):
    package = pytest.importorskip("safetensors.numpy")
    same(package.load(GOOD[name][0]), GOOD[name][1])


# ---- Memory -------------------------------------------------------------------------------------


def test_memory_is_bounded_by_the_file():
    big = write_tensors({"a": np.ones(250_000, "f4")})
    for content, most in [
        (BAD["fewer bytes than the shape"][0], 100_000),
        (BAD["zero times huge"][0], 100_000),
        (one(b"", shape=[2**40, 0], data_offsets=[0, 0]), 100_000),
        (big, 2 * len(big)),
        (big[:-1], len(big) // 2),
    ]:
        tracemalloc.start()
        with contextlib.suppress(ValueError):
            read_tensors(content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most
