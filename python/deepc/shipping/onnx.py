"""ONNX: chains of dense layers, out and in. Needs the extra ``[onnx]``, imported when it is used.

What is written is the oldest form that says it all, opset 13 and IR 7, which every runtime from
2023 on reads. Other runtimes compute other bits; they agree to rounding. What is read is a chain of
the forms below; all else is refused by the name of its node.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepc._c.library import version
from deepc._files import replacing
from deepc._values import FLOAT32, FLOAT64, Array, as_dtype, describe, warn
from deepc.activations import Relu, Sigmoid, Tanh
from deepc.layers import Layer, Linear, Sequential
from deepc.shipping.program import program

__all__ = ["from_onnx", "to_onnx"]

_OPSET, _IR = 13, 7
_OPERATORS: Mapping[str, type[Layer]] = {"Tanh": Tanh, "Sigmoid": Sigmoid, "Relu": Relu}
_NODES = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "linear": "Gemm", "scale": "Mul",
          "softmax": "Softmax", "log_softmax": "LogSoftmax"}  # fmt: skip
# What does nothing, in evaluation, to samples in rows.
_PASSED_OVER = ("Cast", "Identity", "Dropout", "Flatten")


def _package() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("onnx: is not installed; pip install 'deepc-nn[onnx]'") from error
    return onnx


def to_onnx(net: Layer, path: str | os.PathLike[str] | None = None, *, dtype: Any = None) -> Any:
    """Return a network as an ONNX model, and write it to a file if a path is given.

    Parameters
    ----------
    net : Layer
        Linear layers, tanh, sigmoid, relu and softmax, in evaluation, in Sequentials or by itself.
    path : str or path, optional
        The .onnx file.
    dtype : {"float32", "float64"}, optional
        What it computes in; the network's own if not given. For float64 runtimes are choosy:
        onnxruntime has its Tanh from 1.18 on.

    Returns
    -------
    onnx.ModelProto
        With an input ``x`` of (batch, inputs) and an output ``y``.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError, ValueError
        If a layer is written in Python or has no counterpart, or weights are not finite.
    """
    onnx = _package()
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    plan = program(net)
    kind = plan.dtype if dtype is None else as_dtype(dtype)
    nodes, constants, at = [], [], "x"
    for i, step in enumerate(plan.steps):
        to = "y" if i == len(plan.steps) - 1 else f"h{i}"
        arrays = {name: array.astype(kind) for name, array in step.arrays.items()}
        constants += [tensor(array, f"{name}{i}") for name, array in arrays.items()]
        names = [at, *(f"{name}{i}" for name in arrays)]
        operator = _NODES.get(step.kind)
        if operator is None:
            raise TypeError(f"net: layer {step.layer}, {step.kind}, has no counterpart in ONNX")
        # What the axis is where none is written was changed by opset 13.
        more = {"axis": -1} if step.kind.endswith("softmax") else {}
        nodes.append(helper.make_node(operator, names, [to], name=f"{step.kind}{i}", **more))
        at = to
    element = onnx.TensorProto.FLOAT if kind == FLOAT32 else onnx.TensorProto.DOUBLE
    ends = [
        helper.make_tensor_value_info(name, element, ["batch", width])
        for name, width in (("x", plan.inputs), ("y", plan.outputs))
    ]
    graph = helper.make_graph(nodes, "deepc", ends[:1], ends[1:], constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR,
        producer_name="deepc", producer_version=version(),
    )  # fmt: skip
    if path is not None:
        with replacing(path) as file:
            file.write(model.SerializeToString())
    return model


def from_onnx(source: Any) -> Sequential:
    """Return the network of an ONNX model that is a chain of dense layers and activations.

    Read are Gemm, MatMul with Add, Tanh, Sigmoid and Relu, with their weights as initializers or
    Constant nodes; Cast, Identity, Dropout and Flatten are passed over. A softmax at the end, and
    what a classifier may have behind it, is left out with a warning: the outputs are then what it
    is computed from.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto

    Returns
    -------
    Sequential
        Of the dtype of the weights.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If it is no such chain; the message names the node.
    """
    onnx = _package()
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            source = file.read()
    if isinstance(source, (bytes, bytearray)):
        try:
            source = onnx.load_model_from_string(bytes(source))
        except Exception as error:  # of protobuf, whose classes differ from version to version
            raise ValueError(f"source: is no ONNX model: {error}") from None
    if not hasattr(source, "graph"):
        raise TypeError(f"source: expected a path, bytes or a model, got {describe(source)}")
    return _Reader(onnx, source).read()


class _Reader:
    def __init__(self, onnx: Any, model: Any) -> None:
        self.onnx = onnx
        self.graph = model.graph
        default = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
        self.opset = default[0] if default else 1
        self.constants = {t.name: self.array(t, t.name) for t in self.graph.initializer}
        self.nodes = []
        for node in self.graph.node:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                self.constants[node.output[0]] = self.constant(node)
            else:
                self.nodes.append(node)

    def array(self, tensor: Any, name: str) -> Array:
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raise ValueError(
                f"source: {name!r}: its data are in another file; save the model in one "
                "(onnx.save_model(model, path, save_as_external_data=False))"
            )
        return np.asarray(self.onnx.numpy_helper.to_array(tensor))

    def constant(self, node: Any) -> Array:
        for attribute in node.attribute:
            if attribute.name == "value":
                return self.array(attribute.t, node.output[0])
            if attribute.name in ("value_float", "value_floats"):
                return np.array(self.onnx.helper.get_attribute_value(attribute), np.float32)
        raise self.fail(node, "a constant of floats expected")

    def fail(self, node: Any, why: str) -> ValueError:
        return ValueError(f"source: node {node.name or node.output[0]!r} ({node.op_type}): {why}")

    def read(self) -> Sequential:
        inputs = [v.name for v in self.graph.input if v.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"source: expected one input, got {', '.join(inputs) or 'none'}")
        self.check_rank(inputs[0])
        layers: list[Layer] = []
        at, outputs = inputs[0], {value.name for value in self.graph.output}
        bare: Linear | None = None  # a MatMul whose bias may follow
        while True:
            users = [node for node in self.nodes if at in node.input]
            if not users or (len(users) > 1 and at in outputs):
                break
            if len(users) > 1:
                raise self.fail(users[1], "the graph branches here; only chains are read")
            node = users[0]
            if node.domain not in ("", "ai.onnx") and node.op_type != "ZipMap":
                raise self.fail(node, f"of the domain {node.domain!r}")
            if node.op_type == "Softmax":
                self.softmax(node)
                break
            bare = self.layer(node, at, layers, bare)
            at = node.output[0]
        if not layers:
            raise ValueError("source: no dense layer behind its input")
        return Sequential(layers)

    def check_rank(self, name: str) -> None:
        """Refuse samples of more than one dimension that nobody makes flat."""
        value = next(v for v in self.graph.input if v.name == name).type.tensor_type
        rank = len(value.shape.dim) if value.HasField("shape") else 2
        if rank > 2 and not any(n.op_type == "Flatten" and name in n.input for n in self.nodes):
            raise ValueError(
                f"source: input {name!r} has {rank} dimensions, expected samples in rows "
                "(a Flatten as the first node makes them so)"
            )

    def softmax(self, node: Any) -> None:
        axis = self.attributes(node).get("axis", 1 if self.opset < 13 else -1)
        if axis not in (1, -1):
            raise self.fail(node, f"axis {axis}, expected the last one")
        warn(
            "source: the softmax at the end, and what is behind it, is left out: the outputs are "
            "what it is computed from; deepc.softmax gives the probabilities",
        )

    def attributes(self, node: Any) -> dict[str, Any]:
        get = self.onnx.helper.get_attribute_value
        return {attribute.name: get(attribute) for attribute in node.attribute}

    def layer(self, node: Any, at: str, layers: list[Layer], bare: Linear | None) -> Linear | None:
        """Add what a node is; return the layer that an Add behind it would give its bias."""
        kind = node.op_type
        if kind == "Gemm":
            layers.append(self.gemm(node, at))
        elif kind == "MatMul":
            if node.input[0] != at or node.input[1] not in self.constants:
                raise self.fail(node, "expected samples times constant weights")
            w = self.constants[node.input[1]]
            layers.append(self.linear(node, w, None))
            return layers[-1] if isinstance(layers[-1], Linear) else None
        elif kind == "Add":
            other = node.input[1] if node.input[0] == at else node.input[0]
            if bare is None or other not in self.constants:
                raise self.fail(node, "expected a MatMul before it and a constant bias")
            bare.b = self.bias(node, self.constants[other], bare.output_dim)
        elif kind in _OPERATORS:
            layers.append(_OPERATORS[kind]())
        elif kind in _PASSED_OVER:
            return bare
        else:
            raise self.fail(node, "has no counterpart here")
        return None

    def gemm(self, node: Any, at: str) -> Linear:
        set_to = self.attributes(node)
        if set_to.get("transA", 0):
            raise self.fail(node, "transA is not read")
        if node.input[0] != at or node.input[1] not in self.constants:
            raise self.fail(node, "expected samples times constant weights")
        w = self.constants[node.input[1]]
        if w.ndim == 2 and set_to.get("transB", 0):
            w = w.T
        c = node.input[2] if len(node.input) > 2 else ""
        if c and c not in self.constants:
            raise self.fail(node, "expected a constant bias")
        # Factors of 1, which nearly all are, change no bit.
        w = w * w.dtype.type(set_to.get("alpha", 1.0))
        beta = set_to.get("beta", 1.0)
        return self.linear(node, w, self.constants[c] * w.dtype.type(beta) if c else None)

    def linear(self, node: Any, w: Array, c: Array | None) -> Linear:
        if w.ndim != 2 or 0 in w.shape or w.dtype.kind != "f":
            raise self.fail(node, f"weights {w.shape} of {w.dtype}, expected a matrix of floats")
        dtype = FLOAT64 if w.dtype == FLOAT64 else FLOAT32
        layer = Linear(w.shape[0], w.shape[1], "uniform", dtype=dtype, rng=0)
        layer.w = w.T.astype(dtype)
        layer.b = self.bias(node, np.zeros(1, dtype) if c is None else c, w.shape[1])
        return layer

    def bias(self, node: Any, c: Array, outputs: int) -> Array:
        if c.dtype.kind != "f" or c.shape not in ((), (1,), (1, 1), (outputs,), (1, outputs)):
            raise self.fail(node, f"a bias {c.shape} of {c.dtype}, expected {outputs} floats")
        return np.broadcast_to(c.reshape(-1), (outputs,)).astype(c.dtype)
