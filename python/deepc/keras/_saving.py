"""Files of Keras: a model as ``.keras``, weights as ``.weights.h5``, read and written.

A ``.keras`` file is a zip of a description in JSON and of the weights as HDF5. Of a description
only names are taken that this face has; anything else is refused by its name, and nothing in a file
is executed or imported.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from deepc._files import replacing
from deepc._values import Array, nearest
from deepc.keras import layers, losses, metrics, optimizers
from deepc.keras._names import snake
from deepc.shipping.hdf5 import read_arrays, write_arrays

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]

_VERSION = "3.15.1"  # of Keras, whose files these are
# A description that is larger has not been written by Keras.
_LARGEST_JSON = 2**26


# ---- Descriptions --------------------------------------------------------------------------------


def _is_model(layer: Any) -> bool:
    return hasattr(layer, "_chain")


def _policy(name: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name},
            "registered_name": None}  # fmt: skip


def _of_layer(layer: Any) -> dict[str, Any]:
    if _is_model(layer):
        return described(layer)
    config = layer.get_config()
    if not isinstance(layer, layers.InputLayer):
        config["dtype"] = _policy(config["dtype"])
    made: dict[str, Any] = {
        "module": "keras.layers", "class_name": type(layer).__name__, "config": config,
        "registered_name": None,
    }  # fmt: skip
    if layer.built and not isinstance(layer, layers.InputLayer):
        made["build_config"] = {"input_shape": [None, *layer._in]}
    return made


def sequential_config(model: Any) -> dict[str, Any]:
    """Return what makes a `Sequential` anew."""
    config: dict[str, Any] = {
        "name": model.name, "trainable": True, "dtype": _policy(model.dtype),
        "layers": [_of_layer(layer) for layer in model._chain],
    }  # fmt: skip
    if model.built:
        shape = [None, *model._in]
        config["build_input_shape"] = shape
        if model._chain and not isinstance(model._chain[0], layers.InputLayer):
            first = layers.InputLayer(model._in, name="input_layer")
            config["layers"].insert(0, _of_layer(first))
    return config


def functional_config(model: Any) -> dict[str, Any]:
    """Return what makes a chain of layers anew."""
    chain = []
    before: Any = None
    for layer in model._chain:
        made = _of_layer(layer)
        made["name"] = layer.name
        made["inbound_nodes"] = []
        if before is not None:
            place = {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": [None, *before._out], "dtype": before.dtype,
                    "keras_history": [before.name, 0, 0],
                },
            }  # fmt: skip
            made["inbound_nodes"] = [{"args": [place], "kwargs": {}}]
        chain.append(made)
        before = layer
    return {
        "name": model.name, "trainable": True, "layers": chain,
        "input_layers": [model._chain[0].name, 0, 0],
        "output_layers": [model._chain[-1].name, 0, 0],
    }  # fmt: skip


def described(model: Any) -> dict[str, Any]:
    """Return what a file says of a model."""
    sequential = isinstance(model, layers.MODELS["Sequential"])
    made: dict[str, Any] = {
        "module": "keras" if sequential else "keras.src.models.functional",
        "class_name": "Sequential" if sequential else "Functional",
        "config": model.get_config(),
        "registered_name": None if sequential else "Functional",
    }
    if model.built:
        made["build_config"] = {"input_shape": [None, *model._in]}
    if model._compiled is not None:
        made["compile_config"] = _compile_config(model)
    return made


def _compile_config(model: Any) -> dict[str, Any]:
    compiled = model._compiled

    def named(values: Any) -> Any:
        if values is None:
            return None
        listed = values.values() if isinstance(values, dict) else values
        return [v if isinstance(v, str) else metrics.serialize(metrics.get(v)) for v in listed]

    loss = compiled["loss"]
    if loss is not None and not isinstance(loss, str):
        chosen = compiled["chosen"]
        if not isinstance(chosen, losses.Loss):
            raise ValueError(
                f"save: the loss {type(chosen).__name__} is not Keras'; the nearest is save_weights"
            )
        loss = losses.serialize(chosen)
    return {
        "optimizer": optimizers.serialize(model.optimizer), "loss": loss, "loss_weights": None,
        "metrics": named(compiled["metrics"]),
        "weighted_metrics": named(compiled["weighted_metrics"]),
        "run_eagerly": False, "steps_per_execution": 1, "jit_compile": False,
    }  # fmt: skip


def _layer_of(description: Any) -> Any:
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ValueError(f"file: expected the description of a layer, got {description!r:.60}")
    name = description.get("class_name")
    if name in ("Sequential", "Functional"):
        return model_of(description)
    if name not in layers.CLASSES:
        near = nearest(str(name), layers.CLASSES)
        raise ValueError(f"file: it has a layer {name!r}, which is not supported here{near}")
    return layers.CLASSES[name].from_config(description["config"])


def sequential_of(config: dict[str, Any]) -> Any:
    """Make a `Sequential` from what describes it."""
    made = layers.MODELS["Sequential"](name=config.get("name"))
    for description in config["layers"]:
        made._add(_layer_of(description))
    shape = config.get("build_input_shape")
    if shape is not None:
        # Of a normalization without numbers these come with the weights.
        made._shape_to_build = tuple(shape[1:])
    return made


def _functional_of(config: dict[str, Any]) -> Any:
    place, made = None, {}
    for description in config["layers"]:
        layer = _layer_of(description)
        if place is None:
            place = layer.output
        else:
            inbound = str(description.get("inbound_nodes"))
            if inbound.count("__keras_tensor__") != 1:
                raise ValueError(
                    f"file: layer {layer.name!r} joins or is used in several places, which is not "
                    "supported here; the nearest is one chain"
                )
            place = layer(place)
        made[layer.name] = layer
    if place is None:
        raise ValueError("file: a model without layers")
    first = next(iter(made.values())).output
    return layers.MODELS["Functional"](first, place, name=config.get("name"))


def model_of(description: dict[str, Any]) -> Any:
    """Make a model from what describes it; its weights are new."""
    name = description.get("class_name")
    if name == "Sequential":
        model = sequential_of(description["config"])
        shape = getattr(model, "_shape_to_build", None) or tuple(
            (description.get("build_config") or {}).get("input_shape", [None])[1:]
        )
        if shape and not model.built:
            model._shape_to_build = shape
            if not _lacks_numbers(model):
                model.build_for(layers.as_shape(shape))
        return model
    if name == "Functional":
        return _functional_of(description["config"])
    raise ValueError(
        f"file: a model of class {name!r} is not read; Sequential and Functional ones are"
    )


def _lacks_numbers(model: Any) -> bool:
    return any(
        isinstance(layer, layers.Normalization) and layer.mean is None for layer in model._flat()
    )


# ---- Weights -------------------------------------------------------------------------------------


def _places(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each layer with its place in the file: by its class and how many came before."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        name = snake(type(layer).__name__)
        count = counts.get(name, 0)
        counts[name] = count + 1
        place = f"{path}layers/{name}" + (f"_{count}" if count else "")
        if _is_model(layer):
            yield from _places(layer, f"{place}/")
        else:
            yield place, layer


def _weight_arrays(model: Any) -> dict[str, Array]:
    arrays = {}
    for place, layer in _places(model):
        for i, variable in enumerate(layer._variables):
            arrays[f"{place}/vars/{i}"] = np.ascontiguousarray(variable.value)
        if isinstance(layer, (layers.Dropout, layers.GaussianNoise, layers.GaussianDropout)):
            # Keras keeps the state of its generator; here a stream is fixed by the layer's key.
            arrays[f"{place}/seed_generator/vars/0"] = np.array([layer.seed or 0, 0], np.uint32)
    return arrays


def _states(model: Any) -> list[Array]:
    """Return what the optimizer keeps of each variable that trains, in Keras' order and shape."""
    rule = model.optimizer.rule
    if not rule._memory or model._engine is None:
        return []
    trained = model._machinery()[0]
    params = {id_of(param): i for i, param in enumerate(trained.params())}
    kept = []
    for variable in model.trainable_weights:
        states = rule._memory[params[id_of(variable.value)]]
        for state in states:
            kept.append(state.T if state.shape != variable.shape else state)
    return kept


def id_of(array: Array) -> int:
    """Return where the numbers of an array lie."""
    return int(array.__array_interface__["data"][0])


def _sign(model: Any) -> float:
    # Keras' velocity of SGD points to where the parameter goes, deepc's to where it comes from.
    return -1.0 if isinstance(model.optimizer, optimizers.SGD) else 1.0


def _content(model: Any) -> bytes:
    arrays = _weight_arrays(model)
    groups = [place for place, _ in _places(model)] + ["vars"]
    if model.optimizer is not None:
        optimizer = model.optimizer
        arrays["optimizer/vars/0"] = np.array(optimizer.iterations, np.int64)
        arrays["optimizer/vars/1"] = np.array(optimizer.rule.lr, np.float32)
        for i, state in enumerate(_states(model), 2):
            arrays[f"optimizer/vars/{i}"] = np.ascontiguousarray(_sign(model) * state)
    return write_arrays(arrays, tuple(f"{group}/vars" if group != "vars" else group
                                      for group in groups))  # fmt: skip


def _put(model: Any, arrays: dict[str, Array], skip_mismatch: bool, name: str) -> None:
    if not model.built:
        shape = getattr(model, "_shape_to_build", None)
        for place, layer in _places(model):
            if isinstance(layer, layers.Normalization) and layer.mean is None:
                layer.mean, layer.variance = (arrays.get(f"{place}/vars/{i}") for i in (0, 1))
        if shape is None:
            raise ValueError(
                f"load_weights: {model.name} is not built; call build((None, ...)) or add an Input"
            )
        model.build_for(layers.as_shape(shape))
    found: list[tuple[Any, Array]] = []
    for place, layer in _places(model):
        if isinstance(layer, layers.Normalization):
            continue
        stored = sum(1 for key in arrays if key.startswith(f"{place}/vars/"))
        if stored != len(layer._variables) and not skip_mismatch:
            raise ValueError(
                f"{name}: Layer '{layer.name}' expected {len(layer._variables)} variables, but "
                f"received {stored} variables during loading."
            )
        for i, variable in enumerate(layer._variables):
            array = arrays.get(f"{place}/vars/{i}")
            if array is None or array.shape != variable.shape:
                if skip_mismatch:
                    continue
                got = "none" if array is None else array.shape
                raise ValueError(
                    f"{name}: Layer {layer.name} weight shape {variable.shape} is not compatible "
                    f"with stored shape {got}."
                )
            found.append((variable, array))
    for variable, array in found:
        variable.value[...] = array


def _put_optimizer(model: Any, arrays: dict[str, Array]) -> None:
    count = sum(1 for key in arrays if key.startswith("optimizer/vars/"))
    if count < 1 or model.loss is None:
        return
    trained, _, rule, _ = model._machinery()
    rule = model.optimizer.rule
    rule._bind(trained)
    rule._numbers.steps = int(arrays["optimizer/vars/0"])
    if rule._schedule is None and count > 1:
        rule.lr = float(arrays["optimizer/vars/1"])
    for i, state in enumerate(_states(model), 2):
        stored = arrays.get(f"optimizer/vars/{i}")
        if stored is None or stored.shape != state.shape:
            raise ValueError(
                f"file: what the optimizer keeps does not fit {type(model.optimizer).__name__}; "
                "load_model(path, compile=False) reads the weights alone"
            )
        state[...] = _sign(model) * stored


# ---- Files ---------------------------------------------------------------------------------------


def _target(filepath: Any, ending: str, overwrite: bool) -> str:
    path: str = os.fspath(filepath)
    if not path.endswith(ending):
        if ending == ".weights.h5":
            raise ValueError(
                f"The filename must end in `.weights.h5`. Received: filepath={filepath}"
            )
        more = (
            "; legacy `.h5` models are not written, weights are, by save_weights"
            if (path.endswith(".h5"))
            else ""
        )
        raise ValueError(
            "Invalid filepath extension for saving. Please add a `.keras` extension for the "
            f"native Keras format. Received: filepath={filepath}{more}"
        )
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"filepath: {path} is there already, and overwrite is False")
    return path


def save_model(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write a model with its weights and, if it is compiled, its optimizer."""
    path = _target(filepath, ".keras", overwrite)
    if not model.built:
        raise ValueError(f"save: {model.name} is not built; fit it, or call build((None, ...))")
    metadata = {
        "keras_version": _VERSION,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        file.writestr("metadata.json", json.dumps(metadata))
        file.writestr("config.json", json.dumps(described(model)))
        file.writestr("model.weights.h5", _content(model))
    with replacing(path) as out:
        out.write(content.getvalue())


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights of a model."""
    path = _target(filepath, ".weights.h5", overwrite)
    if not model.built:
        raise ValueError(f"save_weights: {model.name} is not built, so it has no weights")
    content = _content(model)
    with replacing(path) as out:
        out.write(content)


def _existing(filepath: Any) -> str:
    path: str = os.fspath(filepath)
    if not os.path.exists(path):
        raise ValueError(
            f"File not found: filepath={path}. Please ensure the file is an accessible `.keras` "
            "zip file, or a `.weights.h5` file for load_weights."
        )
    return path


def _member(file: zipfile.ZipFile, name: str, path: str, largest: float = math.inf) -> bytes:
    try:
        info = file.getinfo(name)
    except KeyError:
        raise ValueError(f"{path}: no .keras file: it lacks {name}") from None
    if info.file_size > min(largest, 1100 * max(info.compress_size, 1)):
        raise ValueError(f"{path}: {name} is larger than its file explains")
    try:
        return file.read(info)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}: {name} is damaged: {error}") from None


def _opened(path: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path}: no .keras file: {error}") from None


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read weights into a model."""
    path = _existing(filepath)
    if path.endswith(".keras"):
        with _opened(path) as file:
            content = _member(file, "model.weights.h5", path)
    else:
        with open(path, "rb") as plain:
            content = plain.read()
    _put(model, read_arrays(content, path), skip_mismatch, path)


def load_model(filepath: Any, compile: bool = True) -> Any:
    """Read a model."""
    path = _existing(filepath)
    if not path.endswith(".keras"):
        raise ValueError(
            f"{path}: legacy models are not read; the nearest are `.keras` files, and "
            "load_weights for `.weights.h5`"
        )
    with _opened(path) as file:
        try:
            description = json.loads(_member(file, "config.json", path, _LARGEST_JSON))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: config.json: {error}") from None
        content = _member(file, "model.weights.h5", path)
    arrays = read_arrays(content, path)
    try:
        model = model_of(description)
        settings = description.get("compile_config")
        if compile and settings:
            model.compile(
                optimizer=optimizers.get(settings["optimizer"]),
                loss=losses.deserialize(settings["loss"]) if settings.get("loss") else None,
                metrics=settings.get("metrics"),
                weighted_metrics=settings.get("weighted_metrics"),
            )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: config.json does not describe a model: {error!r}") from None
    _put(model, arrays, False, path)
    if compile and settings:
        _put_optimizer(model, arrays)
    return model
