"""Weight files: the book's format in both directions, exact, whole or not at all, checked."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import deepc
import numpy as np
import pytest
from deepc import Dropout, Layer, Linear, Sequential, Tanh, load_weights, save_weights


def network(dtype="float32", seed=1):
    return Sequential(
        [
            Linear(5, 4, dtype=dtype, rng=seed),
            Dropout(0.5, rng=seed),
            Tanh(),
            Linear(4, 2, dtype=dtype, rng=seed + 1),
        ]
    )


class Gain(Layer):
    """The chapter's way to write a layer: parameters in lists."""

    def __init__(self, gains, table):
        self.gains, self.table = gains, table

    def forward(self, input):
        return [g * x for g, x in zip(self.gains, input, strict=True)]

    def backward(self, gradient):
        return gradient

    def params(self):
        return [self.gains, self.table]


def state(model):
    return [np.array(param).tobytes() for param in model.params()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.json"


# ---- There and back ------------------------------------------------------------------------------


def test_round_trip_keeps_every_bit(dtype, path, rng):
    first, second = network(dtype), network(dtype, seed=9)
    f = np.finfo(dtype)
    special = [0.0, -0.0, f.max, f.min, f.tiny, f.smallest_subnormal, 0.1, 1 / 3]
    first.layers[0].w[:] = np.resize(np.array(special, dtype), (4, 5))
    first.layers[3].w[:] = rng.standard_normal((2, 4)) * 1e-30
    save_weights(first, str(path))
    params = list(second.params())
    load_weights(second, str(path))
    assert state(second) == state(first)
    assert all(a is b for a, b in zip(params, second.params(), strict=True)), "changed in place"


def test_the_file_is_the_books(path):
    """It writes ``list(model.params())`` with ``json.dump``, and reads with ``json.load``."""
    model = network("float64")
    save_weights(model, path)
    weights = json.loads(path.read_text())
    assert weights == [param.tolist() for param in model.params()]
    assert [deepc.shape(weight) for weight in weights] == [[4, 5], [4], [2, 4], [2]]
    for weight in weights:
        weight[:] = deepc.tensor_apply(lambda x: 2 * x, weight)
    with open(path, "w") as file:
        json.dump(weights, file)
    other = network("float64")
    load_weights(other, path)
    for param, doubled in zip(other.params(), model.params(), strict=True):
        assert np.array_equal(param, 2 * doubled)


def test_whole_numbers_are_numbers(path):
    path.write_text("[[[1, 2]], [-3]]")
    layer = Linear(2, 1)
    load_weights(layer, path)
    assert layer.forward([1.0, 1.0]) == [0.0]


def test_float64_to_float32_and_back(path):
    wide, narrow = Linear(3, 2, dtype="float64", rng=1), Linear(3, 2, dtype="float32")
    save_weights(wide, path)
    load_weights(narrow, path)
    assert np.array_equal(narrow.w, wide.w.astype(np.float32))
    save_weights(narrow, path)
    load_weights(wide, path)
    assert np.array_equal(narrow.w, wide.w)


def test_a_network_computes_the_same_after_loading(path, rng):
    first, second = network(), network(seed=5)
    for net in (first, second):
        net.layers[1].train = False
    x = rng.standard_normal((7, 5)).astype(np.float32)
    assert not np.array_equal(first.forward(x), second.forward(x))
    save_weights(first, path)
    load_weights(second, path)
    assert np.array_equal(first.forward(x), second.forward(x))


def test_layers_with_lists(path):
    row = [0.5, 2.0]
    model = Sequential([Linear(2, 2, rng=1), Gain(row, [[1, 2], [3, 4]])])
    save_weights(model, path)
    other_gains, other_table = [0.0, 0.0], [[0, 0], [0, 0]]
    other = Sequential([Linear(2, 2, rng=2), Gain(other_gains, other_table)])
    load_weights(other, path)
    assert other_gains == [0.5, 2.0]
    assert other_table == [[1.0, 2.0], [3.0, 4.0]]
    assert other.layers[1].gains is other_gains
    assert other.layers[1].table is other_table
    assert all(type(x) is float for x in other_gains)
    assert other.forward([1.0, 2.0]) == model.forward([1.0, 2.0])


def test_a_model_without_parameters(path):
    save_weights(Tanh(), path)
    assert path.read_text() == "[]"
    load_weights(Tanh(), path)


def test_a_lone_layer_and_every_kind_of_path(tmp_path, monkeypatch):
    layer, other = Linear(2, 2, rng=1), Linear(2, 2, rng=2)
    monkeypatch.chdir(tmp_path)
    for filename in ("a.json", Path("b.json"), str(tmp_path / "c.json"), "ümläut ☃.json"):
        save_weights(layer, filename)
        load_weights(other, filename)
        assert state(layer) == state(other)
    assert len(os.listdir(tmp_path)) == 4, "nothing else is left"


# ---- Writing: whole or not at all ----------------------------------------------------------------


def test_a_file_that_was_there_stays_if_writing_fails(path, monkeypatch):
    model = network()
    save_weights(model, path)
    before = path.read_bytes()

    original, written = json.dumps, []

    def fail(tensor):
        if written:
            raise OSError("no space")
        written.append(tensor)
        return original(tensor)

    monkeypatch.setattr(json, "dumps", fail)
    with pytest.raises(OSError, match="no space"):
        save_weights(network(seed=7), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_numbers_that_json_lacks_are_refused(path):
    save_weights(network(), path)
    before = path.read_bytes()
    for bad in (np.nan, np.inf):
        model = network()
        model.layers[3].w[1, 2] = bad
        with pytest.raises(ValueError, match="model: parameter 2"):
            save_weights(model, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_weights(network(), tmp_path / "none" / "weights.json")
    with pytest.raises(FileNotFoundError):
        load_weights(network(), tmp_path / "none.json")


@pytest.mark.skipif(sys.platform == "win32", reason="needs rights that Windows users lack")
def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    save_weights(Linear(1, 1), link)
    assert link.is_symlink()
    load_weights(Linear(1, 1), real)


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes")
def test_the_file_has_the_usual_mode(tmp_path):
    save_weights(Linear(1, 1), tmp_path / "a.json")
    (tmp_path / "b.json").write_text("")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_threads_that_write_one_file(path):
    models = [network(seed=seed) for seed in range(4)]

    def work(model):
        for _ in range(20):
            save_weights(model, path)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = network(seed=99)
    load_weights(got, path)
    assert state(got) in [state(model) for model in models]
    assert os.listdir(path.parent) == [path.name]


# ---- Reading: what is refused, before anything is changed ----------------------------------------

GOOD = [[[0.0] * 5] * 4, [0.0] * 4, [[0.0] * 4] * 2, [0.0] * 2]


def with_tensor(index, tensor):
    return json.dumps([tensor if i == index else good for i, good in enumerate(GOOD)])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "JSON"),
        ("[[1.0", "JSON"),
        ("not json", "JSON"),
        ("[1.0] [2.0]", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b"\x1f\x8b\x08\x00", "JSON"),
        ("null", "list of tensors"),
        ("3", "list of tensors"),
        ('"abc"', "list of tensors"),
        ('{"w": [1.0]}', "list of tensors.*dict"),
        ("[" * 100_000, "JSON|deep"),
        ("[]", "expected 4 tensors.*got 0"),
        (json.dumps(GOOD[:3]), "expected 4 tensors.*got 3"),
        (json.dumps([*GOOD, [0.0]]), "expected 4 tensors.*got 5"),
        (with_tensor(0, [[0.0] * 4] * 5), r"tensor 0: expected shape \[4, 5\], got \[5, 4\]"),
        (with_tensor(0, [0.0] * 20), r"tensor 0: expected shape \[4, 5\], got \[20\]"),
        (with_tensor(1, [[0.0] * 4]), r"tensor 1: expected shape \[4\], got \[1, 4\]"),
        (with_tensor(1, []), r"tensor 1: expected shape \[4\], got \[0\]"),
        (with_tensor(2, [[0.0] * 4, [0.0] * 3]), "tensor 2: .*(equal|ragged)"),
        (with_tensor(2, [[0.0] * 4, 1.0]), "tensor 2: .*(equal|ragged)"),
        (with_tensor(3, 1.0), r"tensor 3: expected shape \[2\], got float"),
        (with_tensor(3, {"a": 1}), r"tensor 3: expected shape \[2\], got dict"),
        (with_tensor(3, ["0.0", "1.0"]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0.0, "1.0"]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0.0, None]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0.0, True]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [True, False]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0.0, {}]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0.0, float("nan")]), "NaN"),
        (with_tensor(3, [0.0, float("-inf")]), "-Infinity"),
        (with_tensor(3, [0.0, 1]).replace("1]", "1e999]"), "tensor 3: .*float32"),
        (with_tensor(3, [0.0, 1e39]), "tensor 3: .*float32"),
        (with_tensor(3, [0, 10**400]), "tensor 3: expected .*numbers"),
        (with_tensor(3, [0, 1]).replace("1]", "1" * 5000 + "]"), "JSON|tensor 3"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_files_are_refused_and_change_nothing(path, text, match):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    model = network()
    before = state(model)
    with pytest.raises(ValueError, match=match) as error:
        load_weights(model, path)
    assert str(path) in str(error.value)
    assert state(model) == before


def test_a_bad_tensor_late_in_the_file_leaves_lists_alone(path):
    gains, table = [1.0, 2.0], [[1.0]]
    path.write_text("[[5.0, 6.0], [[1.0, 2.0]]]")
    with pytest.raises(ValueError, match="tensor 1"):
        load_weights(Gain(gains, table), path)
    assert gains == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: save_weights(None, "a"), "model: .*got None"),
        (lambda: save_weights(Linear, "a"), "model: .*type"),
        (lambda: save_weights([[1.0]], "a"), "model: .*list"),
        (lambda: load_weights(None, "a"), "model: .*got None"),
        (lambda: save_weights(Linear(1, 1), 1), "filename: .*int"),
        (lambda: save_weights(Linear(1, 1), None), "filename: .*got None"),
        (lambda: load_weights(Linear(1, 1), 0), "filename: .*int"),
        (lambda: save_weights(Gain(["a"], [1.0]), "a"), "model: parameter 0: .*numbers"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=match):
        call()
    assert os.listdir(tmp_path) == []


def test_a_file_far_larger_than_the_model_is_not_parsed(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "large.json"
    path.write_text("[" + "1.0, " * 6_000_000 + "1.0]")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"large\.json: .*for the model's 3 numbers"):
        deepc.load_weights(deepc.Linear(2, 1), path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
