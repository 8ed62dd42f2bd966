"""The activations of the library in Python: functions and layers, slopes, peers, saving."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from pathlib import Path

import deepc
import mpmath
import numpy as np
import pytest
from deepc import GELU, Linear, Sequential, activations, kernels
from deepc._c.activations import ACTIVATIONS
from deepc.activations import LAYERS
from deepc.shipping.kinds import KINDS
from reference import finite_differences

ROOT = Path(__file__).parents[1]
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)

# Values in mpmath, with the parameter p: what no one of the two below shares a formula with.
m = mpmath
EXACT = {
    "identity": lambda x, p: x,
    "sigmoid": lambda x, p: 1 / (1 + m.exp(-x)),
    "tanh": lambda x, p: m.tanh(x),
    "relu": lambda x, p: max(x, m.mpf(0)),
    "leaky_relu": lambda x, p: x if x > 0 else p * x,
    "elu": lambda x, p: x if x > 0 else p * m.expm1(x),
    "celu": lambda x, p: x if x > 0 else p * m.expm1(x / p),
    "selu": lambda x, p: m.mpf("1.0507009873554804934193349852946")
    * (x if x > 0 else m.mpf("1.6732632423543772848170429916717") * m.expm1(x)),
    "softplus": lambda x, p: m.log1p(m.exp(x)),
    "softsign": lambda x, p: x / (1 + abs(x)),
    "hard_sigmoid": lambda x, p: min(max(x / 6 + 0.5, m.mpf(0)), m.mpf(1)),
    "hard_silu": lambda x, p: x * min(max(x / 6 + 0.5, m.mpf(0)), m.mpf(1)),
    "relu6": lambda x, p: min(max(x, m.mpf(0)), m.mpf(6)),
    "exponential": lambda x, p: m.exp(x),
    "log_sigmoid": lambda x, p: -m.log1p(m.exp(-x)),
    "silu": lambda x, p: x / (1 + m.exp(-x)),
    "gelu_tanh": lambda x, p: x
    * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + m.mpf("0.044715") * x**3))) / 2,
    "mish": lambda x, p: x * m.tanh(m.log1p(m.exp(x))),
    "gelu": lambda x, p: x * m.erfc(-x / m.sqrt(2)) / 2,
}  # fmt: skip
PARAMETERS = {"slope": (0.01, 0.25), "alpha": (1.0, 0.5, 2.0), "": (None,)}


def layers_of(name):
    """Yield a layer for each parameter that is tried, with the parameter."""
    for parameter in PARAMETERS[ACTIVATIONS[name].parameter]:
        yield (LAYERS[name]() if parameter is None else LAYERS[name](parameter)), parameter


def places(rng):
    """Return numbers where something happens: both tails, the middle, none at a kink."""
    x = np.concatenate([rng.normal(0, 3, 40), rng.uniform(-30, 30, 10), [1e-3, -1e-3]])
    kinks = np.array([-3.0, 0.0, 3.0, 6.0])
    return x[np.abs(x[:, None] - kinks).min(1) > 1e-4]


def test_each_activation_of_the_library_has_a_layer_a_function_a_kind_and_an_oracle():
    assert set(LAYERS) == set(ACTIVATIONS)
    assert set(EXACT) == set(ACTIVATIONS)
    assert set(ACTIVATIONS) <= set(KINDS)
    for name, facts in ACTIVATIONS.items():
        layer = LAYERS[name]()
        assert layer._activation == name
        assert getattr(deepc, type(layer).__name__) is type(layer)
        assert type(layer).__name__ in activations.__all__
        assert name.removesuffix("_tanh") in activations.__all__
        assert (layer._parameter or "") == facts.parameter
        function = getattr(activations, name.removesuffix("_tanh"))
        for signature in (inspect.signature(type(layer)), inspect.signature(function)):
            if facts.parameter:
                assert signature.parameters[facts.parameter].default == facts.default


@every_activation
def test_value_of_layer_and_function(name, rng):
    x = places(rng)
    for layer, parameter in layers_of(name):
        p = ACTIVATIONS[name].default if parameter is None else parameter
        with mpmath.workprec(400):
            exact = [float(EXACT[name](mpmath.mpf(v), mpmath.mpf(p))) for v in x.tolist()]
        y = layer.forward(x)
        np.testing.assert_allclose(y, exact, rtol=4 * np.finfo(float).eps, atol=1e-300)
        function = getattr(activations, name.removesuffix("_tanh"))
        more = {layer._parameter: parameter} if layer._parameter else {}
        if name == "gelu_tanh":
            more = {"approximate": True}
        assert function(x, **more).tobytes() == y.tobytes()
        assert function(x.tolist(), **more) == y.tolist()
        assert function(float(x[0]), **more) == y[0]
        assert function(x.astype("f4"), **more).dtype == np.float32
        out = np.empty_like(x)
        assert kernels.activation(name, x, parameter, out) is out
        assert out.tobytes() == y.tobytes()


@every_activation
def test_slope_is_that_of_the_value(name, dtype, rng):
    for layer, _ in layers_of(name):
        x = places(rng)
        d_y = rng.standard_normal(len(x))
        layer.forward(x)
        d_x = layer.backward(d_y)
        differences = finite_differences(lambda x=x, d_y=d_y, f=layer: float(f.forward(x) @ d_y), x)
        np.testing.assert_allclose(d_x, differences, rtol=2e-6, atol=1e-7 * np.exp(x.max()) if
                                   name == "exponential" else 1e-7)  # fmt: skip
        layer.forward(x.astype("f4"))
        np.testing.assert_allclose(layer.backward(d_y.astype("f4")), d_x, rtol=2e-5, atol=1e-6)


@every_activation
def test_behind_a_linear_layer_it_is_what_it_is_alone(name, dtype, rng):
    x, d_y = (rng.standard_normal((5, 4)).astype(dtype) for _ in range(2))
    for layer, _ in layers_of(name):
        linear = Linear(4, 4, dtype=dtype.name, rng=1)
        net = Sequential([linear, layer, Linear(4, 4, dtype=dtype.name, rng=2)])
        y = net.forward(x)
        d_x = net.backward(d_y)
        parts = copy.deepcopy(net.layers)
        by_steps = x
        for part in parts:
            by_steps = part.forward(by_steps)
        assert by_steps.tobytes() == y.tobytes()
        back = d_y
        for part in reversed(parts):
            back = part.backward(back)
        assert back.tobytes() == d_x.tobytes()


TORCH = {
    "leaky_relu": "leaky_relu", "elu": "elu", "celu": "celu", "selu": "selu", "relu6": "relu6",
    "softplus": "softplus", "softsign": "softsign", "hard_sigmoid": "hardsigmoid", "mish": "mish",
    "hard_silu": "hardswish", "log_sigmoid": "logsigmoid", "silu": "silu", "gelu": "gelu",
    "gelu_tanh": "gelu", "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid",
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_says_the_same(name, rng):
    torch = pytest.importorskip("torch")
    function = getattr(torch.nn.functional, TORCH[name])
    for layer, parameter in layers_of(name):
        x = torch.tensor(places(rng), requires_grad=True)
        more = () if parameter is None else (parameter,)
        y = function(x, *more, **({"approximate": "tanh"} if name == "gelu_tanh" else {}))
        y.sum().backward()
        # Beyond 20 torch's softplus is x; of hard_sigmoid's slope it keeps a float32.
        np.testing.assert_allclose(
            layer.forward(x.detach().numpy()), y.detach().numpy(), rtol=3e-9, atol=1e-15
        )
        np.testing.assert_allclose(
            layer.backward(np.ones(len(x))), x.grad.numpy(), rtol=4e-8, atol=1e-14
        )


def test_numbers_of_keras():
    x = [-1.0, 0.5]
    for name, expected in {
        "gelu": (-0.158655, 0.345731), "silu": (-0.268941, 0.311230), "mish": (-0.303401, 0.375245),
        "hard_sigmoid": (0.333333, 0.583333),
    }.items():  # fmt: skip
        assert getattr(activations, name)(x) == pytest.approx(expected, abs=1e-6)


@every_activation
def test_copies_and_files_keep_the_parameter(name, tmp_path, rng):
    x = rng.standard_normal((3, 4))
    for layer, _ in layers_of(name):
        net = Sequential([Linear(4, 4, dtype="float64", rng=1), layer])
        for ending in ("safetensors", "npz"):
            path = tmp_path / f"net.{ending}"
            deepc.save(net, path)
            again = deepc.load(path)
            assert repr(again) == repr(net)
            assert again.forward(x).tobytes() == net.forward(x).tobytes()
        for other in (copy.deepcopy(layer), copy.copy(layer), pickle.loads(pickle.dumps(layer))):
            assert repr(other) == repr(layer)
            assert other.forward(x).tobytes() == layer.forward(x).tobytes()


@pytest.mark.parametrize("name", [n for n, facts in ACTIVATIONS.items() if facts.parameter])
def test_a_parameter_may_be_changed_and_is_checked(name, rng):
    x, layer = rng.standard_normal((3, 4)), LAYERS[name]()
    net = Sequential([Linear(4, 4, dtype="float64", rng=1), layer])
    before, parameter = net.forward(x), layer._parameter
    setattr(layer, parameter, 0.75)
    assert getattr(layer, parameter) == 0.75
    assert net.forward(x).tobytes() == LAYERS[name](0.75).forward(
        net.layers[0].forward(x)).tobytes()  # fmt: skip
    assert not np.array_equal(net.forward(x), before)
    for wrong in (-1, math.nan, math.inf, 1e300, "1", None):
        with pytest.raises((ValueError, TypeError), match=f"^{parameter}: expected"):
            setattr(layer, parameter, wrong)
        with pytest.raises((ValueError, TypeError), match=f"^{parameter}: expected"):
            LAYERS[name](wrong)
        with pytest.raises((ValueError, TypeError), match=f"^{parameter}: expected"):
            layer.__init__(wrong)
        assert getattr(layer, parameter) == 0.75


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"name: expected one of 'identity', .*got str 'swish'"):
        kernels.activation("swish", [1.0])
    with pytest.raises(ValueError, match="name: expected one of"):
        kernels.activation(3, [1.0])
    with pytest.raises(ValueError, match="parameter: relu has none, got float 0"):
        kernels.activation("relu", [1.0], 0.5)
    with pytest.raises(ValueError, match="alpha: expected at least 0, got -1"):
        kernels.activation("elu", [1.0], -1)
    with pytest.raises(TypeError, match="approximate: expected a bool"):
        GELU("tanh")
    with pytest.raises(TypeError):
        activations.Sigmoid(0.5)


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs the documentation")
def test_the_table_of_activations_is_that_of_the_library():
    text = (ROOT / "docs" / "activations.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| .* \|(?: `(\w+)` \w = (\S+))? \| `(.*)` \|$", text, re.MULTILINE
    )
    shown = [(name, parameter, float(usual or 0)) for name, parameter, usual, _ in rows]
    assert shown == [(name, f.parameter, f.default) for name, f in ACTIVATIONS.items()]
    for name, _, _, layer in rows:
        assert eval(layer, vars(deepc))._activation == name
