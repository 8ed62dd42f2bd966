"""torch.save and torch.load: Tensors in a safetensors file, what is around them as JSON in it.

There is no pickle: a file holds numbers and text, and loading executes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepc._c.tape import Node, over
from deepc._files import replacing
from deepc._values import describe
from deepc.shipping.safetensors import read_tensors, write_tensors
from deepc.torch._tensor import Tensor
from deepc.torch._types import device

__all__ = ["load", "save"]

_TREE = "deepc.torch"
_DEEPEST = 64


def _encoded(value: Any, place: str, arrays: dict[str, Any], depth: int = 0) -> Any:
    """Return what JSON can hold; arrays go to where they are collected."""
    if depth > _DEEPEST:
        raise ValueError(f"obj{place}: lies deeper than {_DEEPEST} levels, or in itself")
    if isinstance(value, (Node, np.ndarray)):
        array = value._data if isinstance(value, Node) else value
        name = place.lstrip(".") or "tensor"
        while name in arrays:
            name += "_"
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return {"tensor": name}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_encoded(v, f"{place}.{i}", arrays, depth + 1) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        pairs = []
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool)):
                raise TypeError(f"obj{place}: keys are text and numbers, got {describe(key)}")
            pairs.append([key, _encoded(item, f"{place}.{key}", arrays, depth + 1)])
        return {"dict": pairs}
    raise TypeError(
        f"obj{place}: expected Tensors, numbers, text, lists and dicts of them, got "
        f"{describe(value)}; of a Module save its state_dict()"
    )


def _decoded(tree: Any, tensors: dict[str, Any]) -> Any:
    if isinstance(tree, list):
        return [_decoded(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    items = [_decoded(item, tensors) for item in value] if kind == "tuple" else value
    if kind == "tuple":
        return tuple(items)
    return {key: _decoded(item, tensors) for key, item in items}


def save(obj: Any, f: Any, **_: Any) -> None:
    """Write Tensors, and the lists and dicts that they are in, into a file.

    A state dict becomes a safetensors file that other programs read.

    Parameters
    ----------
    obj : Tensor, or list, tuple or dict
        Inside may be Tensors, arrays, numbers and text.
    f : str, PathLike or binary file
        A file that is there is replaced as a whole.
    """
    arrays: dict[str, Any] = {}
    tree = _encoded(obj, "", arrays)
    content = write_tensors(arrays, {"format": "pt", _TREE: json.dumps(tree)})
    if hasattr(f, "write"):
        f.write(content)
        return
    with replacing(f) as file:
        file.write(content)


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, **_: Any) -> Any:
    """Return what `save` wrote; of another safetensors file its Tensors by name.

    Parameters
    ----------
    f : str, PathLike or binary file
    map_location : optional
        The CPU.
    """
    if map_location is not None and not callable(map_location):
        device(map_location)
    name = "file"
    if hasattr(f, "read"):
        content = f.read()
    else:
        name = os.fspath(f)
        with open(f, "rb") as file:
            content = file.read()
    # The length that a safetensors file begins with may start like a pickle; its header does not.
    if content[:2] == b"PK" or (content[:1] == b"\x80" and content[8:9] != b"{"):
        raise ValueError(
            f"{name}: this is a pickle that torch itself wrote, which is not read; write the state "
            "dict there by safetensors.torch.save_file, which torch.load here takes"
        )
    arrays, metadata = read_tensors(content, name)
    tensors = {key: over(Tensor, array) for key, array in arrays.items()}
    if _TREE not in metadata:
        return tensors
    try:
        return _decoded(json.loads(metadata[_TREE]), tensors)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{name}: what is around its Tensors is damaged") from None
