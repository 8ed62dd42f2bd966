"""Files of named tensors, by their ending: safetensors and npz, with what else deepc keeps in them.

A file of deepc says so in its metadata: ``{"format": "deepc", "version": "1", "deepc": ...}``, one
JSON text for each part (the model, the training), and a digest of all of it, because neither format
notices a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from deepc._c.library import version
from deepc._files import replacing
from deepc._values import Array, describe
from deepc.shipping.npz import read_npz, write_npz
from deepc.shipping.safetensors import read_tensors, write_tensors

__all__ = ["KEEPS_NAMES", "ending", "read_file", "read_parts", "write_file", "write_parts"]

# The endings of files that hold tensors by name.
KEEPS_NAMES = (".safetensors", ".npz")
_VERSION = "1"
_METADATA = "__metadata__"

_TORCH = (
    "it holds code; where torch is installed, "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors') converts it"
)
_KERAS = (
    "it holds a whole program; where Keras is installed, "
    "numpy.savez('weights.npz', *model.get_weights()) converts it"
)
# What others write, which is not read, and the line that converts it.
_FOREIGN = {
    ".pt": _TORCH, ".pth": _TORCH, ".ckpt": _TORCH, ".bin": _TORCH, ".keras": _KERAS,
    ".pkl": "a pickle holds code; save what it holds with deepc.save(model, 'model.safetensors')",
    ".pickle": "a pickle holds code; save what it holds with "
               "deepc.save(model, 'model.safetensors')",
    ".joblib": "a pickle holds code; give the estimator itself to deepc.from_sklearn",
    ".onnx": "deepc.from_onnx reads it",
}  # fmt: skip


def ending(path: str, among: Iterable[str] | None = None, name: str = "filename") -> str:
    """Return the ending of a file's name; refuse those of files that are not read or written."""
    end = os.path.splitext(path)[1].lower()
    if end in _FOREIGN:
        raise ValueError(f"{name}: {end} is not read or written: {_FOREIGN[end]}")
    if among is not None and end not in among:
        raise ValueError(
            f"{name}: expected a name that ends in {' or '.join(among)}, got {describe(path)}"
        )
    return end


def read_file(path: str, widen: bool = False) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Raises
    ------
    ValueError
        If it is not what its ending says, or not right.
    """
    end = ending(path, KEEPS_NAMES)
    with open(path, "rb") as file:
        content = file.read()
    if end == ".safetensors":
        return read_tensors(content, path, widen)
    arrays = read_npz(content, path)
    raw = arrays.pop(_METADATA, None)
    if raw is None:
        return arrays, {}
    try:
        metadata = json.loads(raw.astype(np.uint8).tobytes().decode())
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise ValueError(f"{path}: {_METADATA}: expected strings by name in JSON")
    return arrays, metadata


def write_file(path: str, arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Replace a file by one with these tensors and metadata."""
    if ending(path, KEEPS_NAMES) == ".safetensors":
        content = write_tensors(arrays, metadata)
    else:
        more = dict(arrays)
        if metadata:
            text = json.dumps(dict(sorted(metadata.items()))).encode()
            more[_METADATA] = np.frombuffer(text, np.uint8)
        content = write_npz(more)
    with replacing(path) as file:
        file.write(content)


def _digest(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """Return a digest of all that a file holds, whatever the format."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        total.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        total.update(little.tobytes())
    for name in sorted(metadata):
        total.update(f"{name}\0{metadata[name]}\0".encode())
    return total.hexdigest()


def write_parts(path: str, arrays: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Replace a file by one of deepc with these tensors and parts (objects of JSON)."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    metadata = {
        name: json.dumps(part, separators=(",", ":"), allow_nan=False)
        for name, part in parts.items()
    }
    metadata |= {"format": "deepc", "version": _VERSION, "deepc": version()}
    write_file(path, arrays, metadata | {"sha256": _digest(arrays, metadata)})


def read_parts(path: str, names: Iterable[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors and the named parts of a file of deepc.

    Raises
    ------
    ValueError
        If it is damaged, from another program or a later version, or lacks a part.
    """
    arrays, metadata = read_file(path)
    if metadata.get("format") != "deepc":
        raise ValueError(
            f"{path}: not a file of deepc.save; load_weights(model, {path!r}) "
            "puts weights of others into a model"
        )
    if metadata.get("version") != _VERSION:
        raise ValueError(
            f"{path}: version {metadata.get('version')} of the format, written by deepc "
            f"{metadata.get('deepc')}; this deepc {version()} reads version {_VERSION}"
        )
    digest = metadata.pop("sha256", None)
    if digest != _digest(arrays, metadata):
        raise ValueError(f"{path}: damaged: its content is not what its sha256 says")
    parts = {}
    for name in names:
        if name not in metadata:
            raise ValueError(f"{path}: it has no {name}")
        try:
            parts[name] = json.loads(metadata[name])
        except (ValueError, RecursionError):
            raise ValueError(f"{path}: {name}: expected JSON") from None
    return arrays, parts
