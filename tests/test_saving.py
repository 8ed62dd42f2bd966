"""Models in files: what was saved is what is loaded, and nothing else is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import deepc
import numpy as np
import pytest
from deepc import (
    BatchNorm,
    Dropout,
    Flatten,
    Layer,
    Linear,
    PReLU,
    Relu,
    Sequential,
    Sigmoid,
    Tanh,
)
from deepc.shipping.kinds import KINDS
from deepc.shipping.npz import read_npz, write_npz
from deepc.shipping.safetensors import read_tensors, write_tensors
from deepc.shipping.tensors import write_parts

ENDINGS = [".safetensors", ".npz"]


@pytest.fixture(params=ENDINGS)
def path(request, tmp_path):
    return tmp_path / f"net{request.param}"


def network(dtype="float32", seed=1):
    return Sequential(
        [Linear(3, 4, dtype=dtype, rng=seed), Tanh(), Dropout(0.25, rng=seed),
         Sequential([Linear(4, 5, dtype=dtype, rng=seed + 1), Sigmoid()]),
         Linear(5, 2, dtype=dtype, rng=seed + 2), Relu()]
    )  # fmt: skip


def state(model):
    return [np.asarray(param).tobytes() for param in model.params()]


class Double(Layer):
    def forward(self, input):
        return 2 * input

    def backward(self, gradient):
        return 2 * gradient


# ---- There and back ------------------------------------------------------------------------------


def test_a_model_comes_back_with_every_bit(dtype, path, rng):
    net = network(dtype.name)
    f = np.finfo(dtype)
    net.layers[0].w[:] = np.resize(np.array([0.0, -0.0, f.max, f.tiny, f.smallest_subnormal, 1 / 3],
                                            dtype), (4, 3))  # fmt: skip
    deepc.save(net, path)
    again = deepc.load(str(path))
    assert repr(again) == repr(net)
    assert state(again) == state(net)
    x = rng.standard_normal((5, 3)).astype(dtype)
    # Dropout goes on with the same stream, at the same pass.
    for _ in range(2):
        assert again.forward(x).tobytes() == net.forward(x).tobytes()
    deepc.save(net, path.with_name("a" + path.suffix))
    deepc.save(again, path.with_name("b" + path.suffix))
    assert path.with_name("a" + path.suffix).read_bytes() == path.with_name(
        "b" + path.suffix).read_bytes()  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_by_itself(kind, path, rng):
    cls = KINDS[kind].cls
    given = {
        "linear": [3, 3], "batch_norm": [3], "layer_norm": [3], "slopes": [3], "embedding": [3, 2],
        "dropout": [0.5], "gaussian_dropout": [0.5], "gaussian_noise": [0.5],
        "leaky_relu": [0.125], "elu": [0.5], "celu": [2.0], "gelu_tanh": [True],
    }  # fmt: skip
    layer = cls(*given.get(kind, []))
    x = rng.standard_normal((4, 3)).astype(np.float32)
    if kind == "embedding":
        x = rng.integers(0, 3, (4, 3))
    for param in layer.params():
        param[...] = rng.uniform(0, 1, param.shape)
    layer.forward(x)  # what a norm has learned is kept, and how far a stream has come
    deepc.save(layer, path)
    again = deepc.load(path)
    assert type(again) is cls
    assert repr(again) == repr(layer)
    for _ in range(2):
        assert np.asarray(again.forward(x)).tobytes() == np.asarray(layer.forward(x)).tobytes()


def test_forms_of_a_kind_come_back(path):
    net = Sequential([
        Flatten((2, 2)), Linear(4, 3, bias=False, rng=1), BatchNorm(3, scale=False, unbiased=True),
        Dropout(0.5, inverted=True, rng=1), PReLU(), Linear(3, 2, dtype="float32", rng=1),
    ])  # fmt: skip
    net.layers[1].trainable = False
    net.layers[5].freeze("b")
    net.layers[2].train = False
    deepc.save(net, path)
    again = deepc.load(path)
    assert repr(again) == repr(net)
    assert [g is None for g in again.grads()] == [g is None for g in net.grads()]
    assert again.layers[2]._structure.unbiased
    assert not again.layers[2].train
    x = np.ones((3, 2, 2), np.float32)
    assert again.forward(x).tobytes() == net.forward(x).tobytes()


def test_a_layer_in_two_places_stays_one(path):
    shared = Linear(2, 2, rng=1)
    deepc.save(Sequential([shared, Tanh(), Sequential([shared])]), path)
    again = deepc.load(path)
    assert again.layers[0] is again.layers[2].layers[0]
    assert len(list(again.params())) == 2


def test_random_state_is_kept(path):
    layer = Dropout(0.3, rng=2**64 - 3)
    layer.forward(np.ones((2, 2), np.float32))
    layer.train = False
    deepc.save(layer, path)
    again = deepc.load(path)
    assert (again.p, again.train) == (0.3, False)
    s, t = layer._structure, again._structure
    assert (s.key, s.counter) == (t.key, t.counter) == (2**64 - 3, 1)


def test_names_and_layout_are_those_of_torch(tmp_path):
    net = network()
    deepc.save(net, tmp_path / "net.safetensors")
    tensors, metadata = read_tensors((tmp_path / "net.safetensors").read_bytes())
    assert sorted(tensors) == ["0.bias", "0.weight", "3.0.bias", "3.0.weight", "4.bias", "4.weight"]
    assert tensors["0.weight"].tolist() == net.layers[0].w.tolist()
    assert metadata["format"] == "deepc"


def test_torch_reads_the_file_as_a_state_dict(tmp_path, rng):
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("safetensors.torch")
    net = network()
    net.layers[2].train = False
    deepc.save(net, tmp_path / "net.safetensors")
    nn = torch.nn
    other = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Identity(),
                          nn.Sequential(nn.Linear(4, 5), nn.Sigmoid()), nn.Linear(5, 2),
                          nn.ReLU())  # fmt: skip
    other.load_state_dict(package.load_file(tmp_path / "net.safetensors"))
    x = rng.standard_normal((5, 3)).astype(np.float32)
    net.layers[2].p = 0.0
    expected = net.forward(x)
    assert np.abs(other(torch.tensor(x)).detach().numpy() - expected).max() < 1e-6


# ---- What is refused -----------------------------------------------------------------------------


def test_layers_in_python_are_refused_by_place(tmp_path):
    path = tmp_path / "net.safetensors"
    for model, place in (
        (Sequential([Linear(2, 2), Sequential([Tanh(), Double()])]), r"layers\[1\.1\] is a Double"),
        (Double(), "it is a Double"),
    ):
        with pytest.raises(TypeError, match=place):
            deepc.save(model, path)
    replaced = Tanh()
    replaced.forward = lambda input: input
    with pytest.raises(TypeError, match="Tanh, which is written in Python"):
        deepc.save(replaced, path)
    assert not path.exists()


@pytest.mark.parametrize("call", [deepc.save, deepc.save_weights])
@pytest.mark.parametrize("model", [1, Linear, None])
def test_what_is_no_model(call, model, tmp_path):
    with pytest.raises(TypeError, match="model: expected a layer"):
        call(model, tmp_path / "net.safetensors")


@pytest.mark.parametrize("end", [".pt", ".pth", ".pkl", ".keras", ".onnx", ".joblib"])
def test_files_that_hold_code_are_refused_with_what_converts_them(end, tmp_path):
    path = tmp_path / f"net{end}"
    path.write_bytes(b"anything")
    for call in (deepc.load, lambda p: deepc.load_weights(network(), p)):
        with pytest.raises(ValueError, match=rf"filename: \{end} is not read"):
            call(path)


@pytest.mark.parametrize("name", ["net", "net.json", "net.txt"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.safetensors or \.npz"):
        deepc.save(network(), tmp_path / name)


LINEAR = {"kind": "linear", "inputs": 2, "outputs": 1, "dtype": "float32"}
TENSORS = {"weight": np.ones((1, 2), "f4"), "bias": np.ones(1, "f4")}
DROPOUT = {"kind": "dropout", "p": "0x1p-1", "train": True, "key": "0" * 16, "pass": "0" * 16}


@pytest.mark.parametrize(
    ("model", "tensors", "match"),
    [
        (1, {}, "expected an object"),
        ({}, {}, "kind is missing"),
        ({"kind": "os.system"}, {}, "kind: expected 'linear'"),
        ({"kind": ["linear"]}, {}, "kind: expected"),
        ({"kind": "tanh", "size": 1}, {}, "unknown: 'size'"),
        ({"kind": "tanh"}, TENSORS, "'bias' belongs to no layer"),
        (LINEAR, {}, "'weight' is missing"),
        (LINEAR | {"inputs": 10**12, "outputs": 10**6}, TENSORS, "expected shape"),
        (LINEAR | {"inputs": 2.0}, TENSORS, "inputs: expected an integer"),
        (LINEAR | {"inputs": True}, TENSORS, "inputs: expected an integer"),
        (LINEAR | {"outputs": 0}, TENSORS, "outputs: expected an integer of at least 1"),
        (LINEAR | {"dtype": "object"}, TENSORS, "dtype: expected 'float32' or 'float64'"),
        (LINEAR | {"dtype": "float64"}, TENSORS, "of float64, got"),
        (LINEAR, TENSORS | {"bias": np.ones(2, "f4")}, "'bias': expected shape"),
        (LINEAR, TENSORS | {"more": np.ones(2, "f4")}, "'more' belongs to no layer"),
        (DROPOUT | {"p": "0x1p+1"}, {}, "p: expected a probability"),
        (DROPOUT | {"p": 0.5}, {}, "p: expected a float in hexadecimal"),
        (DROPOUT | {"p": "nan"}, {}, "p: expected a finite number"),
        (DROPOUT | {"key": "0x12"}, {}, "key: expected 16 hexadecimal digits"),
        (DROPOUT | {"train": 1}, {}, "train: expected true or false"),
        ({"kind": "sequential", "layers": 1}, {}, "layers: expected a list"),
        ({"kind": "sequential", "layers": [{"kind": "same", "as": "5"}]}, {}, "as: expected"),
        ({"kind": "sequential", "layers": [{"kind": "tanh"}, {"kind": "x"}]}, {}, "layer 1: kind"),
    ],
)
def test_models_that_cannot_be(model, tensors, match, path):
    write_parts(str(path), tensors, {"model": model})
    with pytest.raises(ValueError, match=match) as caught:
        deepc.load(path)
    assert str(caught.value).startswith(str(path))


def test_sequentials_without_end_are_refused(path):
    model = {"kind": "tanh"}
    for _ in range(100):
        model = {"kind": "sequential", "layers": [model]}
    write_parts(str(path), {}, {"model": model})
    with pytest.raises(ValueError, match="layers"):
        deepc.load(path)


def rewritten(content, change):
    arrays, metadata = read_tensors(content)
    change(arrays, metadata)
    return write_tensors(arrays, metadata)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a, m: m.update(version="2", deepc="9.9.0"), r"version 2 .* deepc 9\.9\.0; this"),
        (lambda a, m: m.pop("version"), "version None"),
        (lambda a, m: m.update(format="pt"), "not a file of deepc.save; load_weights"),
        (lambda a, m: m.clear(), "not a file of deepc.save"),
        (lambda a, m: m.pop("model"), "damaged"),
        (lambda a, m: m.update(model="{}"), "damaged"),
        (lambda a, m: a["0.weight"].__setitem__((0, 0), 7), "damaged"),
        (lambda a, m: a.update(x=a.pop("0.weight")), "damaged"),
        (lambda a, m: m.pop("sha256"), "damaged"),
    ],
)
def test_files_of_others_and_damaged_ones(change, match, tmp_path):
    path = tmp_path / "net.safetensors"
    deepc.save(network(), path)
    path.write_bytes(rewritten(path.read_bytes(), change))
    with pytest.raises(ValueError, match=match):
        deepc.load(path)


def test_each_flipped_or_missing_byte_is_noticed(path):
    deepc.save(Sequential([Linear(2, 1, rng=1), Tanh()]), path)
    content = path.read_bytes()
    expected = state(deepc.load(path))
    for i in range(0, len(content), 3):
        for bad in (content[:i], content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :]):
            path.write_bytes(bad)
            try:
                same = state(deepc.load(path)) == expected
            except ValueError:
                continue
            # A zip archive has bytes that mean nothing, such as dates.
            assert same
            assert path.suffix == ".npz"


# ---- Weights alone -------------------------------------------------------------------------------


def test_weights_by_ending(path, dtype):
    first, second = network(dtype.name), network(dtype.name, seed=9)
    deepc.save_weights(first, path)
    params = list(second.params())
    deepc.load_weights(second, path)
    assert state(first) == state(second)
    assert all(a is b for a, b in zip(params, second.params(), strict=True))


def test_weights_of_python_layers(path):
    class Gain(Layer):
        def __init__(self, gains):
            self.gains = gains

        def params(self):
            return [self.gains]

    first, second = [1.5, 2.5], [0.0, 0.0]
    deepc.save_weights(Sequential([Linear(2, 2, rng=1), Gain(first)]), path)
    deepc.load_weights(Sequential([Linear(2, 2, rng=2), Gain(second)]), path)
    assert second == first


def test_weights_of_the_other_dtype(path):
    wide, narrow = Linear(3, 2, dtype="float64", rng=1), Linear(3, 2, dtype="float32")
    deepc.save_weights(wide, path)
    deepc.load_weights(narrow, path)
    assert np.array_equal(narrow.w, wide.w.astype(np.float32))
    wide.w[0, 0] = 1e300
    deepc.save_weights(wide, path)
    before = state(narrow)
    with pytest.raises(ValueError, match="'weight': expected numbers that float32 can hold"):
        deepc.load_weights(narrow, path)
    assert state(narrow) == before


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"weight": np.ones((2, 3), "f4")}, "'bias' is missing; the file has weight"),
        ({"weight": np.ones((3, 2), "f4"), "bias": np.ones(2, "f4")}, r"expected shape \[2, 3\]"),
        ({"weight": np.ones((2, 3), "f4"), "bias": np.ones(2, "i4")}, "expected floats"),
        ({"weight": np.ones((2, 3), "f4"), "bias": np.ones(2, "f4"), "c": np.ones(1)}, "'c' bel"),
    ],
)
def test_weights_of_another_network(arrays, match, path):
    path.write_bytes((write_tensors if path.suffix == ".safetensors" else write_npz)(arrays))
    layer = Linear(3, 2, rng=1)
    before = state(layer)
    with pytest.raises(ValueError, match=match):
        deepc.load_weights(layer, path)
    assert state(layer) == before


# ---- npz -----------------------------------------------------------------------------------------


def test_npz_is_numpys(tmp_path, rng):
    arrays = {"file": rng.random((2, 3)), "b": np.asfortranarray(rng.random((2, 3))).astype("f4"),
              "c/d": np.array(3), "e": np.zeros((0, 4), ">f8")}  # fmt: skip
    (tmp_path / "a.npz").write_bytes(write_npz(arrays))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as numpys:
        assert sorted(numpys) == sorted(arrays)
        for name, array in arrays.items():
            assert np.array_equal(numpys[name], array)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if k != "file"})
        got = read_npz((tmp_path / "b.npz").read_bytes())
        for name, array in got.items():
            assert np.array_equal(array, arrays[name])
            assert array.dtype.isnative
    assert write_npz(arrays) == write_npz(dict(reversed(arrays.items())))


def npy(header, data=b""):
    import struct

    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    ("member", "match"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (250000000000,), }\n"), "takes"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"x" * 8), "object"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"), "sizes"),
        (npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }\n", b"x" * 16), "<U4"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2**63), }\n"), "not an array"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }\n"),
         "larger than any memory"),
        (npy("__import__('os').abort()"), "not an array"),
        (b"no array", "not an array"),
        (b"\x80\x04N.", "not an array"),
        (b"", "not an array"),
    ],
)  # fmt: skip
def test_bad_arrays_in_archives(member, match):
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", member)
    with pytest.raises(ValueError, match=match):
        read_npz(file.getvalue())
    with pytest.raises(ValueError, match=r"is no array|no archive"):
        read_npz(file.getvalue().replace(b"a.npy", b"a.pkl"))


# ---- Whole or not at all -------------------------------------------------------------------------

WRITER = """
import sys, deepc
nets = [deepc.Sequential([deepc.Linear(200, 150, rng=i)]) for i in range(2)]
print("ready", flush=True)
i = 0
while True:
    i += 1
    deepc.save(nets[i % 2], sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_killed_while_it_saves_leaves_a_whole_file(tmp_path, rng):
    """Lightning-AI/pytorch-lightning#688, tracel-ai/burn#5479."""
    path = tmp_path / "net.safetensors"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        while not path.exists():
            time.sleep(0.001)
        time.sleep(0.03 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert repr(deepc.load(path)) == "Sequential([Linear(200, 150)])"
    left = [name for name in os.listdir(tmp_path) if name != "net.safetensors"]
    assert all(re.fullmatch(r"\.deepc-[0-9a-f]{16}\.part", name) for name in left)


def test_the_description_is_json_with_exact_numbers(tmp_path):
    path = tmp_path / "net.safetensors"
    deepc.save(Sequential([Dropout(0.1, rng=5)]), path)
    metadata = read_tensors(path.read_bytes())[1]
    layer = json.loads(metadata["model"])["layers"][0]
    assert float.fromhex(layer["p"]) == 0.1
    assert int(layer["key"], 16) == 5
    assert metadata["deepc"] == deepc.__version__
