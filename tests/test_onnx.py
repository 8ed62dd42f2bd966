"""ONNX: what is written runs elsewhere, and what others write is read."""

from __future__ import annotations

import sys

import deepc
import numpy as np
import pytest
from deepc import Dropout, Linear, Relu, Sequential, Sigmoid, Tanh
from deepc.shipping.onnx import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
helper = onnx.helper if hasattr(onnx, "helper") else None
B = np.array([[1, 2], [3, 4], [5, 6]], "f4")
C = np.array([0.5, -0.5, 1], "f4")


# microsoft/onnxruntime#20559 and #23602, enpasos/jax2onnx#28: "Unsupported model IR version: 10,
# max supported IR version: 9". These are what every runtime from 2023 on takes.
IR_VERSION, OPSET = 7, 13


def network(dtype="float32"):
    layers = [Linear(4, 6, dtype=dtype, rng=1), Tanh(), Dropout(0.1, rng=1),
              Linear(6, 5, dtype=dtype, rng=2), Relu(), Linear(5, 3, dtype=dtype, rng=3),
              Sigmoid()]  # fmt: skip
    layers[2].train = False
    return Sequential(layers)


def model(nodes, constants, inputs=2, outputs=3, opset=13, more_inputs=(), kind=1):
    info = helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(
        nodes, "g", [info("x", kind, ["n", inputs]), *more_inputs],
        [info(nodes[-1].output[0], kind, ["n", outputs])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def node(kind, inputs, output="y", **attributes):
    return helper.make_node(kind, inputs, [output], name=f"the {kind}", **attributes)


# ---- Out -----------------------------------------------------------------------------------------


def test_what_is_written_is_right(dtype, rng, tmp_path):
    net = network(dtype.name)
    written = to_onnx(net, tmp_path / "net.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert onnx.load(tmp_path / "net.onnx") == written
    assert (written.ir_version, written.opset_import[0].version) == (IR_VERSION, OPSET)
    x = rng.standard_normal((5, 4)).astype(dtype)
    expected = net.forward(x)
    from onnx.reference import ReferenceEvaluator

    assert np.abs(ReferenceEvaluator(written).run(None, {"x": x})[0] - expected).max() < 1e-6
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(written.SerializeToString())
    assert np.abs(session.run(None, {"x": x})[0] - expected).max() < 1e-6


def test_the_smallest_file_and_the_other_dtype():
    net = Sequential([Linear(10, 25, rng=1), Tanh(), Linear(25, 4, rng=2)])
    assert len(to_onnx(net).SerializeToString()) < 1516 + 250
    wide = Sequential([Linear(2, 2, dtype="float64", rng=1)])
    assert to_onnx(wide, dtype="float32").graph.initializer[0].data_type == 1


def test_there_and_back(dtype, rng, tmp_path):
    net = network(dtype.name)
    del net.layers[2]
    to_onnx(net, tmp_path / "net.onnx")
    for source in (tmp_path / "net.onnx", (tmp_path / "net.onnx").read_bytes(), to_onnx(net)):
        again = from_onnx(source)
        x = rng.standard_normal((5, 4)).astype(dtype)
        assert again.forward(x).tobytes() == net.forward(x).tobytes()


def test_layers_in_python_are_refused():
    class Own(deepc.Layer):
        pass

    with pytest.raises(TypeError, match="is a Own, which is written in Python"):
        to_onnx(Sequential([Linear(2, 2), Own()]))


# ---- In ------------------------------------------------------------------------------------------

# NeuralNetworkVerification/Marabou#239, opencv/opencv#22096, microsoft/nnfusion#226,
# microsoft/onnxruntime#28541 and #28542, kraiskil/onnx2c#12, ENOT-AutoDL/onnx2torch#109, where x
# is [1, 2].
GEMMS = [
    ({"transB": 1}, B, C, [5.5, 10.5, 18]),
    ({}, B.T, C, [5.5, 10.5, 18]),
    ({"transB": 1}, B, None, [5, 11, 17]),
    ({"transB": 1}, B, np.float32(1), [6, 12, 18]),
    ({"transB": 1}, B, np.ones(1, "f4"), [6, 12, 18]),
    ({"transB": 1}, B, C[None], [5.5, 10.5, 18]),
    ({"transB": 1, "alpha": 0.5, "beta": 2.0}, B, C, [3.5, 4.5, 10.5]),
]


@pytest.mark.parametrize(("attributes", "b", "c", "expected"), GEMMS)
def test_every_form_of_gemm(attributes, b, c, expected):
    constants = {"b": b} if c is None else {"b": b, "c": c}
    for inputs in ([*"xbc"],) if c is not None else (["x", "b"], ["x", "b", ""]):
        net = from_onnx(model([node("Gemm", inputs, **attributes)], constants))
        assert net.forward(np.array([1, 2], "f4")).tolist() == expected


@pytest.mark.parametrize("order", ["hc", "ch"])
def test_matmul_and_add(order):
    nodes = [node("MatMul", ["x", "b"], "h"), node("Add", [*order], "z"), node("Relu", ["z"])]
    net = from_onnx(model(nodes, {"b": B.T, "c": C}))
    assert net.forward(np.array([1, 2], "f4")).tolist() == [5.5, 10.5, 18]


def test_what_is_passed_over_and_where_weights_may_stand():
    constant = helper.make_node(
        "Constant", [], ["b"], value=onnx.numpy_helper.from_array(B, "b")
    )  # fmt: skip
    info = helper.make_tensor_value_info("c", 1, [3])  # as in IR 3
    nodes = [node("Flatten", ["x"], "f"), node("Cast", ["f"], "g", to=1), constant,
             node("Gemm", ["g", "b", "c"], "h", transB=1), node("Dropout", ["h"], "i"),
             node("Identity", ["i"], "y")]  # fmt: skip
    net = from_onnx(model(nodes, {"c": C}, more_inputs=[info]))
    assert net.forward(np.array([1, 2], "f4")).tolist() == [5.5, 10.5, 18]


@pytest.mark.parametrize(("opset", "axis"), [(11, None), (11, 1), (13, None), (13, -1), (13, 1)])
def test_a_softmax_at_the_end_and_what_is_behind_it(opset, axis):
    more = {} if axis is None else {"axis": axis}
    nodes = [node("Gemm", ["x", "b"], "h", transB=1), node("Softmax", ["h"], "p", **more),
             node("ArgMax", ["p"], "y")]  # fmt: skip
    with pytest.warns(UserWarning, match="the softmax at the end"):
        net = from_onnx(model(nodes, {"b": B}, opset=opset))
    assert net.forward(np.array([1, 2], "f4")).tolist() == [5, 11, 17]


def test_softmax_is_written_with_its_axis_and_read_in_rows_only():
    """apache/tvm#20183, onnx/onnx-mlir#832: without an axis, zeros give 1/12 or 1/4, by opset."""
    from onnx.reference import ReferenceEvaluator

    for layer, expected in ((deepc.Softmax(), 0.25), (deepc.LogSoftmax(), -np.log(np.float32(4)))):
        net = Sequential([Linear(3, 4, bias=False, rng=1), layer])
        written = to_onnx(net)
        assert [(a.name, a.i) for a in written.graph.node[-1].attribute] == [("axis", -1)]
        got = ReferenceEvaluator(written).run(None, {"x": np.zeros((6, 3), "f4")})[0]
        assert np.abs(got - expected).max() < 1e-6
        assert np.abs(got - net.forward(np.zeros((6, 3), "f4"))).max() < 1e-6
    softmax = [node("MatMul", ["x", "b"], "h"), node("Softmax", ["h"], axis=1)]
    for nodes in (softmax, [node("Identity", ["x"], "i"), *softmax]):
        deep = model(nodes, {"b": B.T})
        for name in ("3", "4"):
            deep.graph.input[0].type.tensor_type.shape.dim.add().dim_param = name
            with pytest.raises(ValueError, match=f"input 'x' has {name} dimensions, expected samp"):
                from_onnx(deep)
    flat = [node("Flatten", ["x"], "f"), node("Gemm", ["f", "b"])]
    deep = model(flat, {"b": B.T})
    deep.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    assert from_onnx(deep).forward(np.array([1, 2], "f4")).tolist() == [5, 11, 17]


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        (lambda: [node("Gemm", ["x", "b"], transA=1)], r"'?the Gemm'? \(Gemm\): transA"),
        (lambda: [node("Gemm", ["b", "x"])], "samples times constant weights"),
        (lambda: [node("MatMul", ["b", "x"])], "samples times constant weights"),
        (lambda: [node("Gemm", ["x", "b", "k"], transB=1)], r"a bias \(2,\)"),
        (lambda: [node("Gemm", ["x", "k"])], "expected a matrix"),
        (lambda: [node("Add", ["x", "c"])], "expected a MatMul before it"),
        (lambda: [node("Gemm", ["x", "b"], "h", transB=1), node("LogSoftmax", ["h"])],
         r"\(LogSoftmax\): has no counterpart"),
        (lambda: [node("Gemm", ["x", "b"], "h", transB=1), node("Softmax", ["h"], axis=0)],
         "axis 0"),
        (lambda: [node("Conv", ["x", "b"])], r"\(Conv\): has no counterpart"),
        (lambda: [node("Tanh", ["x"], "h"), node("Relu", ["h"], "i"), node("Add", ["h", "i"])],
         "branches"),
        (lambda: [node("Gemm", ["x", "w"])], "constant weights"),
    ],
)  # fmt: skip
def test_what_is_refused_by_name(nodes, match):
    with pytest.raises(ValueError, match=match):
        from_onnx(model(nodes(), {"b": B, "c": C, "k": C[:2]}))


def test_files_that_are_none(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 20)
    with pytest.raises(ValueError, match="source: "):
        from_onnx(tmp_path / "bad.onnx")
    with pytest.raises(TypeError, match="source: expected a path"):
        from_onnx(3)
    proto = model([node("Gemm", ["x", "b"])], {"b": B.T})
    proto.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(ValueError, match="'b': its data are in another file"):
        from_onnx(proto)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'deepc-nn\[onnx\]'"):
        to_onnx(Linear(1, 1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bias", [True, False])
def test_what_pytorch_writes(bias, rng, tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = nn.Sequential(nn.Linear(4, 5, bias=bias), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 2))
    x = torch.tensor(rng.standard_normal((3, 4)).astype("f4"))
    try:
        torch.onnx.export(net.eval(), (x,), str(tmp_path / "t.onnx"), dynamo=False)
    except Exception as error:  # its exporter needs packages of its own
        pytest.skip(f"torch.onnx.export: {error}")
    got = from_onnx(tmp_path / "t.onnx").forward(x.numpy())
    assert np.abs(got - net(x).detach().numpy()).max() < 1e-6
