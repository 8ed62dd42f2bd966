"""Networks of PyTorch, Keras and scikit-learn: read and given back, with their own results."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from deepc import Dropout, Linear, Relu, Sequential, Sigmoid, Tanh
from deepc.shipping.others import (
    from_keras,
    from_sklearn,
    from_torch,
    to_keras,
    to_sklearn,
    to_torch,
)
from deepc.shipping.safetensors import write_tensors


def state(prefix="fc", sizes=(3, 4, 2), dtype="f4"):
    rng = np.random.default_rng(1)
    tensors = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        tensors[f"{prefix}{i}.weight"] = rng.standard_normal((outputs, inputs)).astype(dtype)
        tensors[f"{prefix}{i}.bias"] = rng.standard_normal(outputs).astype(dtype)
    return tensors


def kinds(net):
    return [type(layer) for layer in net.layers]


def close(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() < 1e-5


# ---- PyTorch -------------------------------------------------------------------------------------


def test_a_state_dict_and_its_file(tmp_path, dtype):
    tensors = state(dtype=dtype)
    (tmp_path / "w.safetensors").write_bytes(write_tensors(tensors))
    for source in (tensors, tmp_path / "w.safetensors", str(tmp_path / "w.safetensors")):
        net = from_torch(source, activation="tanh", output_activation="sigmoid")
        assert kinds(net) == [Linear, Tanh, Linear, Sigmoid]
        assert net.layers[0].w.dtype == dtype
        assert np.array_equal(net.layers[2].w, tensors["fc1.weight"])


def test_names_are_ordered_naturally():
    tensors = state("layers.", sizes=(2,) * 12)
    net = from_torch(dict(sorted(tensors.items())))
    assert np.array_equal(net.layers[10].b, tensors["layers.10.bias"])


def test_names_tell_the_order():
    tensors = {"out.weight": np.ones((1, 4), "f4"), "hidden.weight": np.ones((4, 3), "f4")}
    assert repr(from_torch(tensors)) == "Sequential([Linear(3, 4), Linear(4, 1)])"
    tensors = {"a.weight": np.ones((1, 4), "f4"), "b.weight": np.ones((4, 3), "f4")}
    with pytest.raises(ValueError, match=r"b: takes 3 inputs, .* gives 1; names="):
        from_torch(tensors)
    assert repr(from_torch(tensors, names=["b", "a"])) == "Sequential([Linear(3, 4), Linear(4, 1)])"


def test_narrow_floats_become_float32():
    net = from_torch(state(dtype="f2"))
    assert net.layers[0].w.dtype == np.float32


@pytest.mark.parametrize(
    ("source", "arguments", "error", "match"),
    [
        (3, {}, TypeError, "source: expected an nn.Sequential"),
        ({}, {}, ValueError, "at least one layer"),
        (state() | {"bn.running_mean": np.ones(3)}, {}, ValueError, "'bn.running_mean' belongs"),
        ({"a.weight": np.ones((2, 2, 2))}, {}, ValueError, "two dimensions"),
        ({"a.weight": np.ones((2, 2)), "a.bias": np.ones(3)}, {}, ValueError, "2 biases"),
        ({"a.weight": np.ones((2, 2), int)}, {}, TypeError, "a.weight: expected floats"),
        (state(), {"activation": "swish"}, ValueError, "activation: expected one of"),
        (state(), {"names": ["fc7"]}, ValueError, "'fc7' has no weight"),
    ],
)
def test_what_torch_has_and_deepc_has_not(source, arguments, error, match):
    with pytest.raises(error, match=match):
        from_torch(source, **arguments)


def test_torch_itself(rng):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.2),
                          nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU()),
                          nn.Linear(4, 2), nn.Sigmoid()).eval()  # fmt: skip
    x = rng.standard_normal((6, 3)).astype(np.float32)
    net = from_torch(model)
    assert close(net.forward(x), model(torch.tensor(x)).detach())
    same = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2),
                         nn.Sigmoid())  # fmt: skip
    same.load_state_dict({k: torch.from_numpy(v) for k, v in to_torch(net).items()})
    assert close(net.forward(x), same(torch.tensor(x)).detach())
    assert from_torch({"weight": torch.ones(2, 3, dtype=torch.bfloat16)}).layers[0].w.sum() == 6
    with pytest.raises(TypeError, match="source: 1 is a GELU"):
        from_torch(nn.Sequential(nn.Linear(2, 2), nn.GELU()))


# ---- Keras ---------------------------------------------------------------------------------------


class Dense:
    """What is asked of a Keras layer."""

    def __init__(self, *weights, activation="linear"):
        self.weights, self.activation, self.name = weights, activation, "dense"

    def get_weights(self):
        return list(self.weights)

    def get_config(self):
        return {"activation": self.activation}


class Model:
    def __init__(self, *layers):
        self.layers = layers

    def get_weights(self):
        return [w for layer in self.layers for w in layer.get_weights()]


def test_a_keras_model_and_its_weights():
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(s).astype("f4") for s in ((3, 4), (4,), (4, 2), (2,))]
    model = Model(Dense(*arrays[:2], activation="relu"), Dense(*arrays[2:], activation="sigmoid"))
    net = from_keras(model)
    assert repr(net) == "Sequential([Linear(3, 4), Relu(), Linear(4, 2), Sigmoid()])"
    x = rng.standard_normal((5, 3)).astype("f4")
    hidden = np.maximum(x @ arrays[0] + arrays[1], 0)
    assert close(net.forward(x), 1 / (1 + np.exp(-(hidden @ arrays[2] + arrays[3]))))
    again = from_keras(arrays, activation="relu", output_activation="sigmoid")
    assert np.array_equal(again.forward(x), net.forward(x))
    assert all(map(np.array_equal, to_keras(net), arrays))
    with pytest.warns(UserWarning, match="the last softmax is left out"):
        from_keras(Model(Dense(*arrays[:2], activation="softmax")))


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        (3, TypeError, "source: expected a model or the list"),
        ([np.ones(3)], ValueError, r"source\[0\]: expected kernels"),
        ([np.ones((3, 2)), np.ones(2), np.ones(2)], ValueError, r"source\[2\]"),
        ([np.ones((3, 2)), np.ones((3, 2))], ValueError, "takes 3 inputs"),
        (Model(Dense(np.ones((2, 2)), activation="mish")), ValueError, "dense: expected one of"),
        (Model(type("Conv2D", (Dense,), {})()), TypeError, "dense is a Conv2D"),
    ],
)
def test_what_keras_has_and_deepc_has_not(source, error, match):
    with pytest.raises(error, match=match):
        from_keras(source)


# ---- scikit-learn --------------------------------------------------------------------------------


class Estimator:
    """What is asked of an MLP of scikit-learn."""

    activation, out_activation_, hidden_layer_sizes = "tanh", "logistic", (4,)

    def __init__(self):
        rng = np.random.default_rng(3)
        self.coefs_ = [rng.standard_normal((3, 4)), rng.standard_normal((4, 1))]
        self.intercepts_ = [rng.standard_normal(4), rng.standard_normal(1)]


def test_an_estimator_there_and_back(rng):
    estimator = Estimator()
    net = from_sklearn(estimator)
    assert kinds(net) == [Linear, Tanh, Linear, Sigmoid]
    assert net.layers[0].w.dtype == np.float64
    other = Sequential([Linear(3, 4, rng=1), Tanh(), Dropout(0.1), Linear(4, 1, rng=2), Sigmoid()])
    assert to_sklearn(other, estimator) is estimator
    assert np.array_equal(estimator.coefs_[0], other.layers[0].w.T)
    assert estimator.coefs_[0].dtype == np.float64
    for bad, match in (
        (Linear(3, 4), "weights of shapes"),
        (Sequential([Linear(3, 4), Relu(), Linear(4, 1), Sigmoid()]), "expected layers"),
    ):
        with pytest.raises(ValueError, match=match):
            to_sklearn(bad, estimator)


def test_estimators_that_cannot_be():
    with pytest.raises(TypeError, match="estimator: expected an MLP"):
        from_sklearn(3)
    estimator = Estimator()
    del estimator.coefs_
    with pytest.raises(ValueError, match="not fitted"):
        from_sklearn(estimator)
    with pytest.raises(ValueError, match="expected a fitted MLP"):
        to_sklearn(Linear(1, 1), estimator)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_itself(rng):
    models = pytest.importorskip("sklearn.neural_network")
    from deepc import softmax

    x = rng.standard_normal((60, 4))
    for classes, activation in ((2, "relu"), (3, "logistic"), (4, "tanh")):
        y = rng.integers(0, classes, 60)
        model = models.MLPClassifier((6, 5), activation=activation, max_iter=20).fit(x, y)
        net = from_sklearn(model)
        out = np.asarray(net.forward(x))
        expected = model.predict_proba(x)
        assert close(out, expected[:, 1:]) if classes == 2 else close(softmax(out), expected)
        fresh = models.MLPClassifier((6, 5), activation=activation, max_iter=1).fit(x, y)
        assert close(to_sklearn(net, fresh).predict_proba(x), expected)
    model = models.MLPRegressor(hidden_layer_sizes=(6,), max_iter=20).fit(x, x[:, :2])
    assert close(from_sklearn(model).forward(x), model.predict(x))
