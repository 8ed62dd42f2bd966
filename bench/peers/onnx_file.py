"""A dense network as the bytes of an ONNX file, without the onnx package.

ONNX files are protocol buffers: fields of (number, value), where a value is an integer or a string
of bytes. The numbers are those of onnx.proto3.
"""

from __future__ import annotations

from typing import Any

FLOAT = 1
OPSET = 17
IR_VERSION = 8


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _tensor(name: str, array: Any) -> bytes:
    dims = [(1, size) for size in array.shape]
    return _message(*dims, (2, FLOAT), (8, name), (9, array.astype("<f4").tobytes()))


def _value(name: str, *dims: int) -> bytes:
    shape = _message(*((1, _message((1, size))) for size in dims))
    tensor_type = _message((1, FLOAT), (2, shape))
    return _message((1, name), (2, _message((1, tensor_type))))


def _node(operator: str, inputs: list[str], output: str) -> bytes:
    return _message(*((1, name) for name in inputs), (2, output), (4, operator))


def dense_network(params: list[Any], activation: str, rows: int) -> bytes:
    """Return a model from x (rows x inputs) to y.

    `params` are weights (inputs x outputs) and biases in turn.
    """
    nodes, tensors, now = [], [], "x"
    count = len(params) // 2
    for i in range(count):
        tensors += [_tensor(f"w{i}", params[2 * i]), _tensor(f"b{i}", params[2 * i + 1])]
        last = i == count - 1
        output = "y" if last else f"z{i}"
        nodes.append(_node("Gemm", [now, f"w{i}", f"b{i}"], output))
        if not last:
            nodes.append(_node(activation.capitalize(), [output], f"h{i}"))
        now = f"h{i}"
    graph = _message(
        *((1, node) for node in nodes),
        (2, "dense"),
        *((5, tensor) for tensor in tensors),
        (11, _value("x", rows, params[0].shape[0])),
        (12, _value("y", rows, params[-1].shape[0])),
    )
    opset = _message((1, ""), (2, OPSET))
    return _message((1, IR_VERSION), (2, "deepc bench"), (7, graph), (8, opset))
