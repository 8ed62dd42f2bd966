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
from datetime import datetime
from typing import Any

import numpy as np

from deepc._files import replacing
from deepc._values import Array, describe, nearest
from deepc.keras import layers, losses, metrics, optimizers
from deepc.keras._names import snake
from deepc.keras._registry import custom_name, registered
from deepc.keras.layers.calls import takes
from deepc.keras.layers.merging import Operation
from deepc.keras.layers.places import KerasTensor, mapped, mapped_shapes
from deepc.keras.optimizers.schedules import LearningRateSchedule
from deepc.shipping.hdf5 import read_arrays, write_arrays

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]

_VERSION = "3.15.1"  # of Keras, whose files these are
# A description that is larger has not been written by Keras.
_LARGEST_JSON = 2**26


# ---- Descriptions --------------------------------------------------------------------------------


class UnknownClass(TypeError):
    """A file names a class of a user's that nobody has made known."""


def _is_model(layer: Any) -> bool:
    return hasattr(layer, "_chain")


def _is_kind(model: Any, kind: str) -> bool:
    return isinstance(model, layers.MODELS[kind])


def _policy(name: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name},
            "registered_name": None}  # fmt: skip


def _shapes(shapes: Any) -> Any:
    return mapped_shapes(shapes, lambda one: [None, *one])


def of_layer(layer: Any) -> dict[str, Any]:
    """Return what a file says of a layer."""
    if _is_model(layer):
        return described(layer)
    if isinstance(layer, Operation):
        return {"module": "keras.src.ops.numpy", "class_name": layer.function,
                "config": layer.get_config(), "registered_name": layer.function}  # fmt: skip
    config = layer.get_config()
    custom = not type(layer).__module__.startswith("deepc.keras.")
    if not isinstance(layer, layers.InputLayer) and isinstance(config.get("dtype"), str):
        config["dtype"] = _policy(config["dtype"])
    made: dict[str, Any] = {
        "module": None if custom else "keras.layers", "class_name": type(layer).__name__,
        "config": config, "registered_name": custom_name(type(layer)) if custom else None,
    }  # fmt: skip
    if layer.built and not isinstance(layer, layers.InputLayer):
        made["build_config"] = {"input_shape": _shapes(layer._in)}
    return made


def sequential_config(model: Any) -> dict[str, Any]:
    """Return what makes a `Sequential` anew."""
    config: dict[str, Any] = {
        "name": model.name, "trainable": True, "dtype": _policy(model.dtype),
        "layers": [of_layer(layer) for layer in model._chain],
    }  # fmt: skip
    if model.built:
        shape = [None, *model._in]
        config["build_input_shape"] = shape
        if model._chain and not isinstance(model._chain[0], layers.InputLayer):
            first = layers.InputLayer(model._in, name="input_layer")
            config["layers"].insert(0, of_layer(first))
    return config


def functional_config(model: Any) -> dict[str, Any]:
    """Return what makes a graph of layers anew."""
    numbers: dict[int, int] = {}
    uses: dict[int, list[Any]] = {}
    for call in model._steps_of:
        mine = uses.setdefault(id(call.layer), [])
        numbers[id(call)] = len(mine)
        mine.append(call)
    inputs = dict(zip(map(id, model.inputs), model._packed_in.names, strict=True))

    def history(place: Any) -> list[Any]:
        if id(place) in inputs:
            return [inputs[id(place)], 0, 0]
        return [place.layer.name, numbers[id(place.call)], place.index]

    def argument(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            return {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(value.shape), "dtype": value.dtype,
                    "keras_history": history(value),
                },
            }  # fmt: skip
        if isinstance(value, slice):
            parts = {"start": value.start, "stop": value.stop, "step": value.step}
            return {"class_name": "__slice__", "config": parts}
        if isinstance(value, tuple):
            return {"class_name": "__tuple__", "items": [argument(one) for one in value]}
        if isinstance(value, list):
            return [argument(one) for one in value]
        if isinstance(value, dict):
            return {key: argument(one) for key, one in value.items()}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise ValueError(
            f"save: a layer of {model.name} was called with {describe(value)}, which no file can "
            "hold; the nearest is save_weights"
        )

    described_layers = []
    for layer in model._chain:
        made = of_layer(layer)
        made["name"] = layer.name
        made["inbound_nodes"] = [
            {"args": [argument(one) for one in call.arguments], "kwargs": argument(call.named)}
            for call in uses.get(id(layer), ())
            if call.inputs
        ]
        described_layers.append(made)
    ends = {
        name: mapped(at, lambda place: _Place(history(place)))
        for name, at in (("input_layers", model._inputs_at), ("output_layers", model._outputs_at))
    }
    return {"name": model.name, "trainable": True, "layers": described_layers, **ends}


class _Place(list):  # type: ignore[type-arg]
    """Where a place comes from: a leaf among nested lists."""


def described(model: Any) -> dict[str, Any]:
    """Return what a file says of a model."""
    if not type(model).__module__.startswith("deepc.keras."):
        config = model.get_config()
        if isinstance(config.get("dtype"), str):
            config["dtype"] = _policy(config["dtype"])
        made: dict[str, Any] = {
            "module": None, "class_name": type(model).__name__, "config": config,
            "registered_name": custom_name(type(model)),
        }  # fmt: skip
    else:
        sequential = _is_kind(model, "Sequential")
        made = {
            "module": "keras" if sequential else "keras.src.models.functional",
            "class_name": "Sequential" if sequential else "Functional",
            "config": model.get_config(),
            "registered_name": None if sequential else "Functional",
        }
    if model.built:
        made["build_config"] = {"input_shape": _shapes(model._in)}
    if model._compiled is not None:
        made["compile_config"] = _compile_config(model)
    return made


def _compile_config(model: Any) -> dict[str, Any]:
    compiled = model._compiled

    def metric(value: Any) -> Any:
        known = value is None or isinstance(value, str)
        return value if known else metrics.serialize(metrics.get(value))

    def loss(value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        chosen = losses.get(value)
        if not isinstance(chosen, losses.Loss):
            raise ValueError(
                f"save: the loss {type(chosen).__name__} is not Keras'; the nearest is save_weights"
            )
        return losses.serialize(chosen)

    return {
        "optimizer": optimizers.serialize(model.optimizer), "loss": mapped(compiled["loss"], loss),
        "loss_weights": compiled["loss_weights"], "metrics": mapped(compiled["metrics"], metric),
        "weighted_metrics": mapped(compiled["weighted_metrics"], metric),
        "run_eagerly": False, "steps_per_execution": 1, "jit_compile": False,
    }  # fmt: skip


def layer_of(description: Any, custom_objects: Any = None) -> Any:
    """Make a layer from what describes it."""
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ValueError(f"file: expected the description of a layer, got {description!r:.60}")
    name, config = description.get("class_name"), description["config"]
    own = description.get("registered_name") in (None, "Functional")
    if own and name in ("Sequential", "Functional"):
        return model_of(description, custom_objects)
    if str(description.get("module")).startswith("keras.src.ops"):
        if name not in Operation._functions:
            near = nearest(str(name), Operation._functions)
            raise ValueError(f"file: it has an operation {name!r}, which is not supported{near}")
        return Operation(str(name), config.get("name"))
    if name in layers.CLASSES and str(description.get("module")).startswith("keras"):
        return layers.CLASSES[name].from_config(config)
    cls = registered(description, custom_objects)
    if cls is not None:
        if _is_kind_of(cls, "Model"):
            return model_of(description, custom_objects)
        return cls.from_config(config)
    if description.get("module") is not None and description.get("registered_name") is None:
        near = nearest(str(name), layers.CLASSES)
        raise ValueError(f"file: it has a layer {name!r}, which is not supported here{near}")
    raise UnknownClass(
        f"Could not locate class '{name}'. Make sure custom classes and functions are decorated "
        "with `@keras.saving.register_keras_serializable()`, or give custom_objects; nothing is "
        "imported because a file names it"
    )


def _is_kind_of(cls: Any, kind: str) -> bool:
    return isinstance(cls, type) and issubclass(cls, layers.MODELS[kind])


def sequential_of(config: dict[str, Any], custom_objects: Any = None, cls: Any = None) -> Any:
    """Make a `Sequential` from what describes it."""
    made = (cls or layers.MODELS["Sequential"])(name=config.get("name"))
    for description in config["layers"]:
        made._add(layer_of(description, custom_objects))
    shape = config.get("build_input_shape")
    if shape is not None:
        # Of a normalization without numbers these come with the weights.
        made._shape_to_build = tuple(shape[1:])
    return made


def functional_of(config: dict[str, Any], custom_objects: Any = None, cls: Any = None) -> Any:
    """Make a graph of layers, maybe of a user's class, from what describes it."""
    made: dict[str, Any] = {}
    calls: dict[tuple[str, int], Any] = {}
    waiting = []
    for description in config["layers"]:
        name = description["name"]
        made[name] = layer_of(description, custom_objects)
        if isinstance(made[name], layers.InputLayer):
            calls[name, 0] = made[name]._calls[0]
        for number, node in enumerate(description.get("inbound_nodes") or ()):
            if not isinstance(node, dict):
                raise ValueError(
                    f"file: layer {name!r} is described as in Keras 2, which is not read; save it "
                    "anew with Keras 3"
                )
            waiting.append((name, number, node))
    while waiting:
        later = []
        for name, number, node in waiting:
            try:
                arguments = [_argument(one, calls) for one in node["args"]]
                named = _argument(node.get("kwargs") or {}, calls)
            except _NotYet:
                later.append((name, number, node))
                continue
            training = named.pop("training", None)
            before = len(made[name]._calls)
            made[name](*arguments, training=training, **named)
            calls[name, number] = made[name]._calls[before]
        if len(later) == len(waiting):
            raise ValueError(
                f"file: layer {later[0][0]!r} goes on from what no layer of the file gives"
            )
        waiting = later

    def place(history: Any) -> Any:
        if isinstance(history, dict):
            return {key: place(one) for key, one in history.items()}
        if history and isinstance(history[0], list):
            return [place(one) for one in history]
        name, number, index = history
        return calls[name, number].outputs[index]

    first, last = place(config["input_layers"]), place(config["output_layers"])
    return (cls or layers.MODELS["Functional"])(first, last, name=config.get("name"))


class _NotYet(Exception):
    """A layer goes on from a place that is made later."""


def _argument(value: Any, calls: dict[tuple[str, int], Any]) -> Any:
    """Return an argument of a call of a layer, with places for what a file says of them."""
    if isinstance(value, list):
        return [_argument(one, calls) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind == "__keras_tensor__":
        name, number, index = value["config"]["keras_history"]
        if (name, number) not in calls:
            raise _NotYet
        return calls[name, number].outputs[index]
    if kind == "__slice__":
        return slice(*(value["config"][name] for name in ("start", "stop", "step")))
    if kind == "__tuple__":
        return tuple(_argument(one, calls) for one in value["items"])
    if kind is not None:
        raise ValueError(f"file: a layer is called with {kind!r}, which is not supported here")
    return {key: _argument(one, calls) for key, one in value.items()}


def model_of(description: dict[str, Any], custom_objects: Any = None) -> Any:
    """Make a model from what describes it; its weights are new."""
    name = description.get("class_name")
    own = description.get("registered_name") in (None, "Functional")
    if own and name == "Functional":
        return functional_of(description["config"], custom_objects)
    if own and name == "Sequential":
        model = sequential_of(description["config"], custom_objects)
    else:
        cls = registered(description, custom_objects)
        if cls is None:
            raise UnknownClass(
                f"Could not locate class '{name}'. Make sure custom classes and functions are "
                "decorated with `@keras.saving.register_keras_serializable()`, or give "
                "custom_objects; nothing is imported because a file names it"
            )
        if not _is_kind_of(cls, "Model"):
            raise ValueError(f"file: {name!r} is described as a model, but it is none")
        # What a user overrides need not take the other names.
        known = (custom_objects,) if takes(cls.from_config, "custom_objects") else ()
        model = cls.from_config(description["config"], *known)
    shape = (description.get("build_config") or {}).get("input_shape")
    if not _is_kind(model, "Sequential"):
        if shape is not None and not model.built:
            model.build(shape)
        return model
    known = getattr(model, "_shape_to_build", None) or tuple((shape or [None])[1:])
    if known and not model.built:
        model._shape_to_build = known
        if not _lacks_numbers(model):
            model.build_for(layers.as_shape(known))
    return model


def _lacks_numbers(model: Any) -> bool:
    return any(
        isinstance(layer, layers.Normalization) and layer.mean is None for layer in model._within()
    )


def clone(model: Any) -> Any:
    """Return a model of the same layers, with weights of its own."""
    known = {
        custom_name(type(layer)): type(layer)
        for layer in model._within()
        if not type(layer).__module__.startswith("deepc.keras.")
    }
    description = described(model)
    description.pop("compile_config", None)
    return model_of(description, known)


# ---- Weights -------------------------------------------------------------------------------------


def _places(model: Any) -> list[tuple[str, Any]]:
    """Return each layer with its place in the file.

    In a `Sequential` and a graph that is its class and how many came before; elsewhere the name of
    the attribute that holds it, in the order of the alphabet, private ones last.
    """
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()

    def visit(layer: Any, place: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        found.append((place, layer))
        if _is_kind(layer, "Sequential") or _is_kind(layer, "Functional"):
            listed(layer.layers, f"{place}layers/")
        names = [name for name in vars(layer) if name not in _own_names(layer)]
        if _is_model(layer):
            names.append("layers")
        for name in sorted(names, key=lambda one: f"~{one}" if one[0] == "_" else one):
            value = getattr(layer, name)
            if isinstance(value, layers.Layer):
                visit(value, f"{place}{name}/")
            elif isinstance(value, dict):
                listed(list(value.values()), f"{place}{name}/")
            elif isinstance(value, (list, tuple)):
                listed(value, f"{place}{name}/")

    def listed(values: Any, place: str) -> None:
        counts: dict[str, int] = {}
        for value in values:
            if isinstance(value, layers.Layer):
                name = snake(type(value).__name__)
                count = counts.get(name, 0)
                counts[name] = count + 1
                visit(value, f"{place}{name}/" if not count else f"{place}{name}_{count}/")

    visit(model, "")
    return [(place, layer) for place, layer in found if not isinstance(layer, layers.InputLayer)]


def _own_names(layer: Any) -> set[str]:
    """Return the attributes that every layer, or every model, has."""
    base = layers.MODELS["Model"] if _is_model(layer) else layers.Layer
    names = _BASE_NAMES.get(base)
    if names is None:
        names = _BASE_NAMES[base] = {*vars(base(name="base")), "_given", "_is_chain", "_steps",
                                     "_inputs_at", "_outputs_at", "_steps_of"}  # fmt: skip
        names |= {"_packed_in", "_packed_out", "_parts"}
    return names


_BASE_NAMES: dict[Any, set[str]] = {}


def _in_file(layer: Any) -> list[Any]:
    """Return the variables of a layer itself in the order of files: those that train first."""
    own = layer._variables
    return [*(v for v in own if v.trainable), *(v for v in own if not v.trainable)]


def _weight_arrays(model: Any) -> dict[str, Array]:
    arrays = {}
    for place, layer in _places(model):
        for i, variable in enumerate(_in_file(layer)):
            arrays[f"{place}vars/{i}"] = np.asarray(variable.value, order="C")
        if isinstance(layer, (layers.Dropout, layers.GaussianNoise, layers.GaussianDropout)):
            # Keras keeps the state of its generator; here a stream is fixed by the layer's key.
            arrays[f"{place}seed_generator/vars/0"] = np.array([layer.seed or 0, 0], np.uint32)
    return arrays


def _states(model: Any) -> list[Array]:
    """Return what the optimizer keeps of the variables that train, in Keras' order and shapes."""
    rule = model.optimizer.rule
    if not rule._memory or model._engine is None:
        return []
    params = list(model._machinery()[0].params())
    places = {id_of(param): i for i, param in enumerate(params)}
    variables = model.trainable_weights

    def kept(name: str) -> list[Array]:
        """Return one of what the rule keeps, of each variable."""
        if name not in rule._kept:
            return []
        found = []
        for variable in variables:
            i = places[id_of(variable.value)]
            state = rule._memory[i][rule._kept.index(name)]
            # A layer of deepc has its matrix the other way round over the same memory.
            same = params[i].strides == variable.value.strides
            found.append(state if same and state.shape == variable.shape else state.T)
        return found

    first = [*kept("average"), *kept("accumulated")]
    by_slot = model.optimizer._slots
    if isinstance(by_slot, tuple):
        return [*first, *(state for name in by_slot for state in kept(name))]
    paired = [kept(name) for name in by_slot if name in rule._kept]
    together = [state for states in zip(*paired, strict=True) for state in states]
    return [*first, *together, *kept("third")]


def id_of(array: Array) -> int:
    """Return where the numbers of an array lie."""
    return int(array.__array_interface__["data"][0])


def _sign(model: Any) -> float:
    # Keras' velocity of SGD points to where the parameter goes, deepc's to where it comes from.
    return -1.0 if isinstance(model.optimizer, optimizers.SGD) else 1.0


def _is_sign_turned(model: Any, i: int) -> bool:
    """Whether one of the states is a velocity that Keras has with the other sign."""
    rule = model.optimizer.rule
    around = sum(name in rule._kept for name in ("average", "accumulated"))
    return _sign(model) < 0 and i >= around * len(model.trainable_weights)


def _content(model: Any) -> bytes:
    arrays = _weight_arrays(model)
    groups = [f"{place}vars" for place, _ in _places(model)]
    if model.optimizer is not None:
        rule, prefix = model.optimizer.rule, "optimizer/vars"
        arrays[f"{prefix}/0"] = np.array(model.optimizer.iterations, np.int32)
        next_place = 1
        if not isinstance(rule._schedule, LearningRateSchedule):
            arrays[f"{prefix}/1"] = np.array(rule.lr, np.float32)
            next_place = 2
        states = _states(model)
        for i, state in enumerate(states):
            turned = -state if _is_sign_turned(model, i) else state
            arrays[f"{prefix}/{next_place + i}"] = np.asarray(turned, order="C")
        if states and isinstance(model.optimizer, optimizers.Nadam):
            product = np.array(rule._numbers.momentum_product, np.float32)
            arrays[f"{prefix}/{next_place + len(states)}"] = product
    return write_arrays(arrays, tuple(groups))


def _put(model: Any, arrays: dict[str, Array], skip_mismatch: bool, name: str) -> None:
    if not model.built:
        shape = getattr(model, "_shape_to_build", None)
        for place, layer in _places(model):
            if isinstance(layer, layers.Normalization) and layer.mean is None:
                layer.mean, layer.variance = (arrays.get(f"{place}vars/{i}") for i in (0, 1))
        if shape is None:
            raise ValueError(
                "You are loading weights into a model that has not yet been built. Try building "
                "the model first by calling it on some data or by using `build()`."
            )
        model.build_for(layers.as_shape(shape))
    found: list[tuple[Any, Array]] = []
    for place, layer in _places(model):
        if isinstance(layer, layers.Normalization):
            continue
        stored = sum(1 for key in arrays if _is_var(key, place))
        mine = _in_file(layer)
        if stored != len(mine) and not skip_mismatch:
            raise ValueError(
                f"{name}: Layer '{layer.name}' expected {len(mine)} variables, but "
                f"received {stored} variables during loading."
            )
        for i, variable in enumerate(mine):
            array = arrays.get(f"{place}vars/{i}")
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


def _is_var(key: str, place: str) -> bool:
    return key.startswith(f"{place}vars/")


def _put_optimizer(model: Any, arrays: dict[str, Array]) -> None:
    stored = [key for key in arrays if key.startswith("optimizer/vars/")]
    if not stored or model.loss is None:
        return
    trained = model._machinery()[0]
    rule = model.optimizer.rule
    rule._bind(trained)
    states, next_place = _states(model), 1
    scheduled = isinstance(rule._schedule, LearningRateSchedule)
    # Files of this face have a rate also beside a schedule; those of Keras have not.
    one = arrays.get("optimizer/vars/1")
    has_rate = one is not None and one.ndim == 0 and len(stored) > 1
    next_place += has_rate
    product = isinstance(model.optimizer, optimizers.Nadam)
    if len(stored) > next_place:
        last = arrays.get(f"optimizer/vars/{next_place + len(states)}")
        fits = len(stored) == next_place + len(states) + product and all(
            arrays[f"optimizer/vars/{i}"].shape == state.shape
            for i, state in enumerate(states, next_place)
        )
        if not fits or (product and (last is None or last.size != 1)):
            raise ValueError(
                f"file: what the optimizer keeps does not fit {type(model.optimizer).__name__}; "
                "load_model(path, compile=False) reads the weights alone"
            )
        for i, state in enumerate(states):
            array = arrays[f"optimizer/vars/{next_place + i}"]
            state[...] = -array if _is_sign_turned(model, i) else array
        if product and last is not None:
            rule._numbers.momentum_product = float(last.reshape(()))
        # Only a rule that keeps a momentum has stepped with one.
        rule._numbers.moving = int("first" in rule._kept and rule._numbers.momentum > 0)
    rule._numbers.steps = int(arrays["optimizer/vars/0"])
    if has_rate and not scheduled and rule._schedule is None:
        rule.lr = float(one)  # type: ignore[arg-type]


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
        raise ValueError(
            f"save: {model.name} is not built, so nobody knows its weights: fit it, call it on "
            "some data, or use `build()`"
        )
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
        raise ValueError(
            "You are saving a model that has not yet been built. Try building the model first by "
            "calling it on some data or by using `build()`."
        )
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


def load_model(filepath: Any, compile: bool = True, custom_objects: Any = None) -> Any:
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
        model = model_of(description, custom_objects)
        settings = description.get("compile_config")
        if compile and settings:
            model.compile(
                optimizer=optimizers.get(settings["optimizer"]),
                loss=_each_of(settings.get("loss"), losses.deserialize, custom_objects),
                loss_weights=settings.get("loss_weights"),
                metrics=_each_of(settings.get("metrics"), metrics.deserialize, custom_objects),
                weighted_metrics=_each_of(
                    settings.get("weighted_metrics"), metrics.deserialize, custom_objects
                ),
            )
    except UnknownClass:
        raise
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: config.json does not describe a model: {error!r}") from None
    _put(model, arrays, False, path)
    if compile and settings:
        _put_optimizer(model, arrays)
    return model


def _each_of(value: Any, function: Any, custom_objects: Any) -> Any:
    """Return what a function makes of each description in lists and dicts of them."""
    if value is None:
        return None
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _each_of(one, function, custom_objects) for key, one in value.items()}
    if isinstance(value, list):
        return [_each_of(one, function, custom_objects) for one in value]
    known = isinstance(value, str) and registered(value, custom_objects) is None
    return value if known else function(value, custom_objects)
