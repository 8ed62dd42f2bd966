"""Networks of PyTorch, Keras and scikit-learn, in and out, by their attributes.

None of them is imported: what is read are attributes and arrays, and what is given back are arrays
under the names, and in the layouts, that their own functions take.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from deepc._values import FLOAT32, FLOAT64, Array, describe, warn
from deepc.activations import Relu, Sigmoid, Tanh
from deepc.layers import Dropout, Layer, Linear, Sequential
from deepc.shipping.kinds import walk
from deepc.shipping.tensors import read_file

__all__ = ["from_keras", "from_sklearn", "from_torch", "to_keras", "to_sklearn", "to_torch"]

_ACTIVATIONS: Mapping[str, type | None] = {
    "identity": None, "linear": None, "sigmoid": Sigmoid, "logistic": Sigmoid, "tanh": Tanh,
    "relu": Relu,
}  # fmt: skip
_NAMES = {Sigmoid: "sigmoid", Tanh: "tanh", Relu: "relu"}


def _activation(name: Any, where: str) -> list[Layer]:
    """Return the layers of an activation that somebody calls by this name."""
    if name is None:
        return []
    if name in ("softmax", "Softmax"):
        warn(
            f"{where}: the last softmax is left out: the outputs are what it is computed from, as "
            "SoftmaxCrossEntropy takes them; deepc.softmax gives the probabilities",
        )
        return []
    if not isinstance(name, str) or name.lower() not in _ACTIVATIONS:
        known = ", ".join(map(repr, _ACTIVATIONS))
        raise ValueError(f"{where}: expected one of {known}, got {describe(name)}")
    cls = _ACTIVATIONS[name.lower()]
    return [cls()] if cls else []


def _array(value: Any, where: str) -> Array:
    """Return a tensor of another library as a float array."""
    for step in ("detach", "cpu"):
        if hasattr(value, step):
            value = getattr(value, step)()
    try:
        if "bfloat16" in str(getattr(value, "dtype", "")):
            value = value.float()
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(f"{where}: expected an array, got {describe(value)}") from None
    if array.dtype.kind not in "f":
        raise TypeError(f"{where}: expected floats, got {array.dtype}")
    return array


def _linear(weight: Array, bias: Array | None, where: str) -> Linear:
    """Return a layer of weights (outputs, inputs); float16 becomes float32."""
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"{where}: expected weights of two dimensions, got {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{where}: expected {weight.shape[0]} biases, got shape {bias.shape}")
    dtype = FLOAT64 if weight.dtype == FLOAT64 else FLOAT32
    layer = Linear(weight.shape[1], weight.shape[0], "uniform", dtype=dtype, rng=0)
    layer.w = weight.astype(dtype)
    layer.b = np.zeros(weight.shape[0], dtype) if bias is None else bias.astype(dtype)
    return layer


def _chain(
    pairs: Sequence[tuple[str, Array, Array | None]], activation: Any, output_activation: Any
) -> Sequential:
    """Return linear layers one after the other with an activation between them."""
    layers: list[Layer] = []
    width = None
    for i, (name, weight, bias) in enumerate(pairs):
        layer = _linear(weight, bias, name)
        if width is not None and layer.input_dim != width:
            raise ValueError(
                f"{name}: takes {layer.input_dim} inputs, but the layer before it gives {width}; "
                "names=[...] tells the order"
            )
        width = layer.output_dim
        last = i == len(pairs) - 1
        which, where = (output_activation, "output_activation") if last else (
            activation, "activation")  # fmt: skip
        layers += [layer, *_activation(which, where)]
    if not layers:
        raise ValueError("source: expected at least one layer with weights")
    return Sequential(layers)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


# ---- PyTorch -------------------------------------------------------------------------------------

_TORCH = {"Tanh": "tanh", "Sigmoid": "sigmoid", "ReLU": "relu", "Softmax": "softmax"}


def from_torch(
    source: Any,
    *,
    activation: str | None = None,
    output_activation: str | None = None,
    names: Iterable[str] | None = None,
) -> Sequential:
    """Return the network of a torch model: an ``nn.Sequential``, a state_dict, or its file.

    Parameters
    ----------
    source : nn.Sequential, mapping, or path of a .safetensors file
        A state_dict and its file hold weights only: its linear layers are chained in the natural
        order of their names, with `activation` between them.
    activation, output_activation : {"tanh", "sigmoid", "relu"}, optional
        For weights alone: what is between the layers, and after the last one.
    names : list of str, optional
        For weights alone: the layers in order, ``["fc1", "fc2"]``, if their names do not tell it.

    Returns
    -------
    Sequential
        Of the dtype of the weights; float16 and bfloat16 become float32.

    Raises
    ------
    TypeError, ValueError
        If a module or a tensor has no counterpart; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"fc1.weight": np.ones((2, 3), "f4"), "fc2.weight": np.ones((1, 2), "f4")}
    >>> from_torch(weights, activation="relu")
    Sequential([Linear(3, 2), Relu(), Linear(2, 1)])
    """
    if hasattr(source, "named_children") and hasattr(source, "state_dict"):
        return Sequential(_torch_layers(source, ""))
    if isinstance(source, (str, os.PathLike)):
        source = read_file(os.fsdecode(source), widen=True)[0]
    if not isinstance(source, Mapping):
        raise TypeError(
            f"source: expected an nn.Sequential, a state_dict or a path, got {describe(source)}"
        )
    tensors = {name: _array(value, str(name)) for name, value in source.items()}
    given = list(names) if names is not None else sorted(
        (name.rpartition("weight")[0].rstrip(".") for name in tensors if name.endswith("weight")),
        key=_natural,
    )  # fmt: skip
    pairs, used = [], set()
    for layer in given:
        weight, bias = (f"{layer}.{part}" if layer else part for part in ("weight", "bias"))
        if weight not in tensors:
            raise ValueError(f"names: {layer!r} has no weight; there are {', '.join(tensors)}")
        pairs.append((layer or weight, tensors[weight], tensors.get(bias)))
        used |= {weight, bias}
    if unknown := [name for name in tensors if name not in used]:
        raise ValueError(f"source: {unknown[0]!r} belongs to no linear layer")
    return _chain(pairs, activation, output_activation)


def _torch_layers(module: Any, place: str) -> list[Layer]:
    kind = type(module).__name__
    children = list(module.named_children())
    if kind == "Sequential":
        layers: list[Layer] = []
        for name, child in children:
            layers += _torch_layers(child, f"{place}.{name}" if place else name)
        return layers
    if kind == "Linear":
        bias = getattr(module, "bias", None)
        weight = _array(module.weight, f"{place}.weight")
        return [_linear(weight, None if bias is None else _array(bias, place), place)]
    if kind in _TORCH:
        return _activation(_TORCH[kind], f"source: {place}")
    # What does nothing in evaluation to samples in rows.
    if kind in ("Identity", "Dropout", "AlphaDropout", "Flatten"):
        return []
    raise TypeError(
        f"source: {place or 'it'} is a {kind}, which has no counterpart; give its state_dict() "
        "with activation="
    )


def to_torch(net: Layer) -> dict[str, Array]:
    """Return the weights of a network as the state_dict of an ``nn.Sequential`` of the same layers.

    Arrays of NumPy, copies: ``{name: torch.from_numpy(a) for name, a in to_torch(net).items()}`` is
    what ``load_state_dict`` takes.
    """
    state = {}
    for position, layer in walk(net):
        if isinstance(layer, Linear):
            prefix = f"{position}." if position else ""
            state[f"{prefix}weight"] = np.array(layer.w, order="C")
            state[f"{prefix}bias"] = np.array(layer.b)
        elif not isinstance(layer, (Dropout, *_NAMES)):
            raise TypeError(f"net: layers[{position}] is a {type(layer).__name__}")
    return state


# ---- Keras ---------------------------------------------------------------------------------------


def from_keras(
    source: Any, *, activation: str | None = None, output_activation: str | None = None
) -> Sequential:
    """Return the network of a Keras model that is a chain of Dense layers, or of its weights.

    Parameters
    ----------
    source : keras.Sequential or list of arrays
        A live model, or what its ``get_weights()`` returns: kernels (inputs, outputs) and biases.
    activation, output_activation : {"tanh", "sigmoid", "relu"}, optional
        For weights alone: what is between the layers, and after the last one.

    Raises
    ------
    TypeError, ValueError
        If a layer or an activation has no counterpart, or the model branches.
    """
    if hasattr(source, "layers") and hasattr(source, "get_weights"):
        return _keras_layers(source)
    if not isinstance(source, (list, tuple)):
        raise TypeError(
            f"source: expected a model or the list of its weights, got {describe(source)}"
        )
    arrays = [_array(value, f"source[{i}]") for i, value in enumerate(source)]
    pairs: list[tuple[str, Array, Array | None]] = []
    for i, array in enumerate(arrays):
        if array.ndim == 2:
            following = arrays[i + 1] if i + 1 < len(arrays) else None
            bias = following if following is not None and following.ndim == 1 else None
            pairs.append((f"source[{i}]", array.T, bias))
        elif array.ndim != 1 or i == 0 or arrays[i - 1].ndim != 2:
            raise ValueError(
                f"source[{i}]: expected kernels and their biases, got shape {array.shape}"
            )
    return _chain(pairs, activation, output_activation)


def _keras_layers(model: Any) -> Sequential:
    layers: list[Layer] = []
    for layer in model.layers:
        kind = type(layer).__name__
        where = f"source: {getattr(layer, 'name', kind)}"
        nodes = getattr(layer, "_inbound_nodes", ())
        if len(nodes) > 1:
            raise ValueError(f"{where}: is used {len(nodes)} times; only chains are read")
        if kind == "Dense":
            weights = [_array(value, where) for value in layer.get_weights()]
            bias = weights[1] if len(weights) > 1 else None
            layers.append(_linear(weights[0].T, bias, where))
            layers += _activation(layer.get_config().get("activation"), where)
        elif kind == "Activation":
            layers += _activation(layer.get_config().get("activation"), where)
        elif kind == "ReLU":
            layers += _activation("relu", where)
        elif kind not in ("InputLayer", "Dropout", "Flatten"):
            raise TypeError(f"{where} is a {kind}, which has no counterpart")
    return Sequential(layers)


def to_keras(net: Layer) -> list[Array]:
    """Return what ``set_weights`` of a Keras model of the same Dense layers takes."""
    weights = []
    for _, layer in walk(net):
        if isinstance(layer, Linear):
            weights += [np.array(layer.w.T, order="C"), np.array(layer.b)]
    return weights


# ---- scikit-learn --------------------------------------------------------------------------------


def from_sklearn(estimator: Any) -> Sequential:
    """Return the network of a fitted ``MLPClassifier`` or ``MLPRegressor``.

    Its outputs are those of ``predict_proba`` for two classes and for several labels, of
    ``predict`` for a regressor, and what softmax makes the probabilities of for more classes.

    Raises
    ------
    TypeError, ValueError
        If it is no such estimator, or not fitted.
    """
    if not hasattr(estimator, "activation") or not hasattr(estimator, "hidden_layer_sizes"):
        raise TypeError(f"estimator: expected an MLP of scikit-learn, got {describe(estimator)}")
    if not hasattr(estimator, "coefs_"):
        raise ValueError("estimator: is not fitted; call its fit first")
    pairs = [
        (f"coefs_[{i}]", _array(w, "coefs_").T, _array(b, "intercepts_"))
        for i, (w, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    ]
    return _chain(pairs, estimator.activation, estimator.out_activation_)


def to_sklearn(net: Layer, estimator: Any) -> Any:
    """Put the weights of a network into a fitted MLP of scikit-learn; return it.

    Parameters
    ----------
    net : Layer
        Linear layers with one kind of activation between them.
    estimator : MLPClassifier or MLPRegressor
        Fitted, if for one step, to data of the same widths and classes: what it knows of its
        classes stays.

    Raises
    ------
    ValueError
        If the widths or the activation differ; the estimator is unchanged then.
    """
    if not hasattr(estimator, "coefs_"):
        raise ValueError("estimator: expected a fitted MLP of scikit-learn; fit it for one step")
    layers = [layer for _, layer in walk(net) if not isinstance(layer, Dropout)]
    linears = [layer for layer in layers if isinstance(layer, Linear)]
    ours = [tuple(layer.w.T.shape) for layer in linears]
    theirs = [tuple(np.shape(w)) for w in estimator.coefs_]
    if ours != theirs:
        raise ValueError(f"estimator: expected weights of shapes {ours}, its are {theirs}")
    own = _kinds_of(estimator, len(linears))
    kinds = [type(layer) for layer in layers]
    if kinds != own:
        raise ValueError(
            f"estimator: expected layers {[kind.__name__ for kind in kinds]}, "
            f"its are {[kind.__name__ for kind in own]}"
        )
    for i, layer in enumerate(linears):
        dtype = estimator.coefs_[i].dtype
        estimator.coefs_[i] = np.array(layer.w.T, dtype, order="C")
        estimator.intercepts_[i] = np.array(layer.b, dtype)
    return estimator


def _kinds_of(estimator: Any, count: int) -> list[type]:
    """Return the kinds of layer that an estimator has; a softmax at its end is none."""
    between = _ACTIVATIONS.get(estimator.activation)
    after = _ACTIVATIONS.get(estimator.out_activation_)
    kinds: list[type] = []
    for i in range(count):
        kinds.append(Linear)
        kinds += [kind for kind in ((between if i < count - 1 else after),) if kind]
    return kinds
