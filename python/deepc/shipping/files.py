"""Files of models and of weights.

`save` and `load` keep a whole model, in safetensors or NumPy's npz. `save_weights` and
`load_weights` keep parameters only, also as JSON, a list of nested lists, as the book has it.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

import numpy as np

from deepc._files import replacing
from deepc._values import Array, as_array, check_part, describe
from deepc.layers import Layer
from deepc.layers.sequential import all_tensors
from deepc.shipping.kinds import describe_model, make_model, model_tensors
from deepc.shipping.tensors import (
    KEEPS_NAMES,
    ending,
    read_file,
    read_parts,
    write_file,
    write_parts,
)
from deepc.tensor import Tensor, leaves, shape

__all__ = ["load", "load_weights", "save", "save_weights"]


def save(model: Layer, filename: str | os.PathLike[str]) -> None:
    """Write a model to a file, its layers and all that they have learned, for `load`.

    The file is replaced whole or not at all, as by `save_weights`. Equal models give equal bytes.
    What is random in a layer goes on after `load` where it was.

    Parameters
    ----------
    model : Layer
        Layers of the library, in Sequentials or by itself.
    filename : str or path
        Where to: ``.safetensors`` (which torch reads as the state_dict of an ``nn.Sequential``) or
        ``.npz``.

    Raises
    ------
    TypeError
        If a layer is written in Python: a file names kinds, it does not hold code.
    ValueError
        If the name has another ending.
    OSError
        If it cannot be written; what was there stays.

    Examples
    --------
    >>> import os, tempfile
    >>> from deepc import Linear, Sequential, Tanh
    >>> net = Sequential([Linear(3, 2), Tanh()])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     save(net, path)
    ...     again = load(path)
    >>> again
    Sequential([Linear(3, 2), Tanh()])
    >>> again.forward([1.0, 2.0, 3.0]) == net.forward([1.0, 2.0, 3.0])
    True
    """
    path = _path(filename)
    _params(model)
    ending(path, KEEPS_NAMES, "filename")
    write_parts(path, model_tensors(model), {"model": describe_model(model)})


def load(filename: str | os.PathLike[str]) -> Layer:
    """Return the model that `save`, or a training with checkpoints, wrote to a file.

    Nothing in the file is imported, evaluated or unpickled, and nothing is made that is larger
    than the file's size explains, so that a file from anywhere may be tried.

    Parameters
    ----------
    filename : str or path

    Returns
    -------
    Layer
        A new one, of the kind, the dtypes and the bits of the one that was saved.

    Raises
    ------
    ValueError
        If the file is damaged, from another program, or from a later version; the message says
        which.
    OSError
        If it cannot be read.
    """
    path = _path(filename)
    tensors, parts = read_parts(path, ("model",))
    # What a checkpoint of a training holds beside the model.
    own = {n: a for n, a in tensors.items() if not n.startswith(("optimizer.", "callbacks."))}
    return make_model(parts["model"], own, path)


def save_weights(model: Layer, filename: str | os.PathLike[str]) -> None:
    """Write the parameters of a model to a file.

    The ending says how: ``.safetensors``, ``.npz``, or as JSON in the book's way with any other.

    Whoever reads the file finds the old one or the new one, whole, also where a signal handler
    saves during a save or the machine stops: it is written beside its place, under a name
    ``.deepc-<16 hexadecimal digits>.part``, and renamed. A killed process may leave such a file,
    which can be deleted. Links and modes stay as they are. Every float is written so that it is
    read back the same.

    Parameters
    ----------
    model : Layer
        Any layer, also one written in Python.
    filename : str or path
        Where to; a file of that name is replaced. What is no file, a pipe say, is written to.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    ValueError
        If a parameter holds NaN or an infinity, which JSON does not have; or if the ending is that
        of another program's files.

    Examples
    --------
    >>> import os, tempfile
    >>> from deepc import Linear
    >>> first, second = Linear(3, 2), Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(first, os.path.join(folder, "weights.json"))
    ...     load_weights(second, os.path.join(folder, "weights.json"))
    >>> bool((first.w == second.w).all())
    True
    """
    import json  # not above, because it takes milliseconds

    path = _path(filename)
    params = _params(model)
    if ending(path) in KEEPS_NAMES:
        named = model_tensors(model).items()
        write_file(path, {name: as_array(t, f"model: {name}") for name, t in named}, {})
        return
    tensors = []
    for i, param in enumerate(params):
        array = as_array(param, f"model: parameter {i}")
        if not np.isfinite(array).all():
            raise ValueError(f"model: parameter {i} has numbers that are not finite")
        tensors.append(array.tolist())
    with replacing(path) as file:
        for i, tensor in enumerate(tensors):
            file.write((", " if i else "[").encode())
            file.write(json.dumps(tensor).encode())
        file.write(b"]" if tensors else b"[]")


def load_weights(model: Layer, filename: str | os.PathLike[str]) -> None:
    """Put parameters that `save_weights`, or the book's function, wrote into a model.

    Parameters
    ----------
    model : Layer
        Of the same parameters, in the same order, as the one that was saved.
    filename : str or path

    Raises
    ------
    ValueError
        If the file is not a list of tensors, or one of them is not of the shape of the model's; the
        message names the file, the tensor, what came and what was expected. The model is unchanged
        then.
    OSError
        If the file cannot be read.
    """
    path = _path(filename)
    params = _params(model)
    if ending(path) in KEEPS_NAMES:
        _load_named(model, path)
        return
    tensors = _read(path, sum(np.size(param) for param in params))
    if len(tensors) != len(params):
        raise ValueError(
            f"{path}: expected {len(params)} tensors as in the model, got {len(tensors)}"
        )
    new = [
        _checked(f"{path}: tensor {i}", *pair)
        for i, pair in enumerate(zip(tensors, params, strict=True))
    ]
    _put(params, new, path)


def _load_named(model: Layer, path: str) -> None:
    """Put the tensors of a file into those of the model that have the same names."""
    tensors, params = read_file(path)[0], model_tensors(model)
    if missing := [name for name in params if name not in tensors]:
        raise ValueError(
            f"{path}: tensor {missing[0]!r} is missing; the file has "
            f"{', '.join(list(tensors)[:8]) or 'none'}"
        )
    if unknown := [name for name in tensors if name not in params]:
        raise ValueError(f"{path}: tensor {unknown[0]!r} belongs to no layer of the model")
    new = [_fitting(f"{path}: tensor {name!r}", tensors[name], p) for name, p in params.items()]
    _put(list(params.values()), new, path)


def _fitting(name: str, array: Array, param: Tensor) -> Array:
    """Return an array of the file in the shape and the dtype of a parameter."""
    if list(array.shape) != shape(param):
        raise ValueError(f"{name}: expected shape {shape(param)}, got {list(array.shape)}")
    if array.dtype.kind not in "f":
        raise ValueError(f"{name}: expected floats, got {array.dtype}")
    dtype = param.dtype if isinstance(param, np.ndarray) else np.dtype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        new = array.astype(dtype)
    if (np.isfinite(array) & ~np.isfinite(new)).any():
        raise ValueError(f"{name}: expected numbers that {dtype} can hold, got some too large")
    return new


def _put(params: list[Any], new: list[Array], path: str) -> None:
    for i, param in enumerate(params):
        if isinstance(param, np.ndarray) and not param.flags.writeable:
            raise ValueError(f"{path}: tensor {i}: the model's is read-only")
    for param, array in zip(params, new, strict=True):
        if isinstance(param, np.ndarray):
            param[...] = array
        else:
            param[:] = array.tolist()


def _path(filename: Any) -> str:
    if not isinstance(filename, (str, os.PathLike)):
        raise TypeError(f"filename: expected a string or a path, got {describe(filename)}")
    return os.fsdecode(filename)


def _params(model: Any) -> list[Tensor]:
    check_part(model, "model", "a layer", "params")
    return all_tensors(model)


# More than a number takes in JSON, on a line of its own in brackets of its own; and for the rest.
_MOST_A_NUMBER, _MOST_BESIDE = 128, 2**16


def _read(path: str, count: int) -> list[Any]:
    """Return what stands in a file for so many numbers; a larger file is not even parsed."""
    import json

    most = _MOST_A_NUMBER * count + _MOST_BESIDE

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a finite number")

    with open(path, encoding="utf-8") as file:
        try:
            text = file.read(most + 1)
            if len(text) > most:
                raise ValueError(f"more than {most} characters for the model's {count} numbers")
            tensors = json.loads(text, parse_constant=refuse)
        except RecursionError:
            raise ValueError(f"{path}: expected a list of tensors, got lists too deep") from None
        except ValueError as error:  # also what is not UTF-8
            raise ValueError(f"{path}: expected a list of tensors in JSON: {error}") from None
    if not isinstance(tensors, list):
        raise ValueError(f"{path}: expected a list of tensors, got {describe(tensors)}")
    return tensors


def _checked(name: str, tensor: Any, param: Tensor) -> Array:
    """Return a tensor of the file as an array that fits a parameter."""
    expected = shape(param)
    if not isinstance(tensor, list):
        raise ValueError(f"{name}: expected shape {expected}, got {describe(tensor)}")
    try:
        array = as_array(tensor, name)
    except TypeError as error:  # here the file is wrong, not the call
        raise ValueError(str(error)) from None
    if list(array.shape) != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {list(array.shape)}")
    if bool in map(type, leaves(tensor, len(expected))):
        raise ValueError(f"{name}: expected real numbers, got true or false among them")
    dtype = param.dtype if isinstance(param, np.ndarray) else array.dtype
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected numbers that {dtype} can hold, got some too large")
    return array
