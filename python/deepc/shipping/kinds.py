"""What each kind of layer is in a file: its numbers, its tensors, and how it is made of them.

The one list of what can be saved as a whole. A file names a kind, never a class or a module; what
the list does not have is refused. Names and layouts of tensors are those of a torch
``nn.Sequential``, which therefore reads the file as a state_dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from deepc._values import FLOAT32, FLOAT64, LARGEST, Array, describe
from deepc.activations import LAYERS as ACTIVATIONS
from deepc.activations import Activation
from deepc.layers import (
    BatchNorm,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    PReLU,
    Sequential,
    Softmax,
)
from deepc.layers._plan import computes_with
from deepc.layers.base import COMPUTES, is_builtin

__all__ = [
    "KINDS",
    "Numbers",
    "describe_model",
    "kind_of",
    "make_model",
    "model_tensors",
    "resume_layer",
    "walk",
    "why_not",
    "word",
]

_DTYPES: dict[str, np.dtype[Any]] = {"float32": FLOAT32, "float64": FLOAT64}
# Sequentials deeper than that are no network, but a trap for the reader.
_DEEPEST = 64


class Numbers:
    """The numbers of a thing in a file, each asked for once, and refused by name if it is wrong.

    Floats stand as hexadecimal strings, which are exact, and so do 64-bit integers, which not every
    reader of JSON keeps.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise ValueError(f"{where}: expected an object, got {describe(values)}")
        self.where = where
        self._values = dict(values)

    def fail(self, name: str, expected: str, got: Any) -> ValueError:
        """Return the error for a number that is not right."""
        return ValueError(f"{self.where}: {name}: expected {expected}, got {describe(got)}")

    def take(self, name: str) -> Any:
        """Return a value of any kind."""
        if name not in self._values:
            raise ValueError(f"{self.where}: {name} is missing")
        return self._values.pop(name)

    def has(self, name: str) -> bool:
        """Whether a value is there that was not asked for."""
        return name in self._values

    def given(self, name: str) -> bool:
        """Whether a value is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str, among: Any = None) -> str:
        """Return a string, one of some where they are given."""
        value = self.take(name)
        if not isinstance(value, str) or (among is not None and value not in among):
            known = "a string" if among is None else " or ".join(map(repr, among))
            raise self.fail(name, known, value)
        return value

    def whole(self, name: str, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        value = self.take(name)
        if type(value) is not int or not least <= value < 2**63:
            raise self.fail(name, f"an integer of at least {least}", value)
        return value

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if type(value) is not bool:
            raise self.fail(name, "true or false", value)
        return value

    def real(self, name: str, finite: bool = True) -> float:
        """Return a float."""
        return self.as_real(name, self.take(name), finite)

    def as_real(self, name: str, value: Any, finite: bool = True) -> float:
        """Return a float from its hexadecimal string."""
        try:
            number = float.fromhex(value)
        except (TypeError, ValueError, OverflowError):
            raise self.fail(name, "a float in hexadecimal", value) from None
        if finite and not math.isfinite(number):
            raise self.fail(name, "a finite number", value)
        return number

    def word(self, name: str) -> int:
        """Return 64 bits."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) != 16 or set(value) - set("0123456789abcdef"):
            raise self.fail(name, "16 hexadecimal digits", value)
        return int(value, 16)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        if self._values:
            raise ValueError(f"{self.where}: unknown: {', '.join(map(repr, self._values))}")


def word(value: int) -> str:
    """Return 64 bits as they stand in a file."""
    return f"{value:016x}"


class Kind(NamedTuple):
    """A kind of layer.

    Attributes
    ----------
    cls : type
        Its class.
    numbers : callable
        From a layer, what stands in the file beside its tensors.
    make : callable
        From `Numbers` and what gives it its tensors, a new layer.
    tensors : callable
        From a layer, its tensors by their names in the file. Loading copies into these arrays.
    resume : callable
        Gives a layer what another one of that kind has beside its tensors and may have changed.
    """

    cls: type
    numbers: Callable[[Any], dict[str, Any]]
    make: Callable[[Numbers, Take], Layer]
    tensors: Callable[[Any], dict[str, Array]] = lambda layer: {}
    resume: Callable[[Any, Any], None] = lambda layer, saved: None


# Gives a tensor of the layer that is made: its name, and the shape and dtype that it must have.
Take = Callable[[str, tuple[int, ...], np.dtype[Any]], Array]


def _make_linear(numbers: Numbers, take: Take) -> Linear:
    inputs, outputs = numbers.whole("inputs", 1), numbers.whole("outputs", 1)
    dtype = _DTYPES[numbers.text("dtype", _DTYPES)]
    has_bias = not numbers.has("bias") or numbers.flag("bias")
    # Before anything is made of a size that the file has no bytes for.
    weight = take("weight", (outputs, inputs), dtype)
    bias = take("bias", (outputs,), dtype) if has_bias else None
    layer = Linear(inputs, outputs, "uniform", bias=has_bias, dtype=dtype, rng=0)
    layer.w = weight
    if bias is not None:
        layer.b = bias
    return layer


def _linear_numbers(layer: Linear) -> dict[str, Any]:
    numbers = {
        "inputs": layer.input_dim, "outputs": layer.output_dim, "dtype": layer.w.dtype.name,
    }  # fmt: skip
    return numbers if hasattr(layer, "b") else {**numbers, "bias": False}


def _random_numbers(layer: Any) -> dict[str, Any]:
    """Return the numbers of a layer that draws random ones, beside the one that users set."""
    s = layer._structure
    return {"train": layer.train, "key": word(s.key), "pass": word(s.counter)}


def _set_random(layer: Any, numbers: Numbers) -> Any:
    layer.train = numbers.flag("train")
    layer._structure.key, layer._structure.counter = numbers.word("key"), numbers.word("pass")
    return layer


def _resume_train(layer: Any, saved: Any) -> None:
    layer.train = saved.train


def _resume_random(layer: Any, saved: Any) -> None:
    layer.train = saved.train
    layer._structure.key = saved._structure.key
    layer._structure.counter = saved._structure.counter


def _resume_dropout(layer: Any, saved: Any) -> None:
    layer.p = saved.p
    _resume_random(layer, saved)


def _resume_noise(layer: Any, saved: Any) -> None:
    layer.deviation = saved.deviation
    _resume_random(layer, saved)


def _dropout_numbers(layer: Dropout) -> dict[str, Any]:
    numbers = {"p": layer.p.hex(), **_random_numbers(layer)}
    return {**numbers, "inverted": True} if layer.inverted else numbers


def _probability(numbers: Numbers) -> float:
    p = numbers.real("p")
    if not 0 <= p <= 1:
        raise numbers.fail("p", "a probability", p)
    return p


def _make_dropout(numbers: Numbers, take: Take) -> Dropout:
    p = _probability(numbers)
    inverted = numbers.has("inverted") and numbers.flag("inverted")
    return cast(Dropout, _set_random(Dropout(p, inverted=inverted, rng=0), numbers))


def _make_gaussian_dropout(numbers: Numbers, take: Take) -> GaussianDropout:
    p = _probability(numbers)
    if p == 1:
        raise numbers.fail("p", "less than 1", p)
    return cast(GaussianDropout, _set_random(GaussianDropout(p, rng=0), numbers))


def _make_gaussian_noise(numbers: Numbers, take: Take) -> GaussianNoise:
    deviation = _at_least_0(numbers, "deviation")
    return cast(GaussianNoise, _set_random(GaussianNoise(deviation, rng=0), numbers))


def _at_least_0(numbers: Numbers, name: str) -> float:
    value = numbers.real(name)
    if not 0 <= value <= LARGEST:
        raise numbers.fail(name, "a float32 of at least 0", value)
    return value


def _norm_numbers(layer: Any) -> dict[str, Any]:
    parts = layer._memory.parts
    return {
        "inputs": parts.structure.inputs,
        "epsilon": layer.epsilon.hex(),
        "dtype": parts.dtype.name,
        "scale": hasattr(layer, "gamma"),
        "center": hasattr(layer, "beta"),
    }


def _norm_tensors(layer: Any) -> dict[str, Array]:
    names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
    return {name: getattr(layer, ours) for ours, name in names.items() if hasattr(layer, ours)}


def _make_norm(numbers: Numbers, take: Take, cls: Any, *more: str, **settings: Any) -> Any:
    inputs, epsilon = numbers.whole("inputs", 1), _at_least_0(numbers, "epsilon")
    dtype = _DTYPES[numbers.text("dtype", _DTYPES)]
    scale, center = numbers.flag("scale"), numbers.flag("center")
    names = [*("weight",) * scale, *("bias",) * center, *more]
    arrays = {name: take(name, (inputs,), dtype) for name in names}
    layer = cls(inputs, epsilon=epsilon, scale=scale, center=center, dtype=dtype, **settings)
    for name, array in _norm_tensors(layer).items():
        array[...] = arrays[name]
    return layer


def _batch_norm_numbers(layer: BatchNorm) -> dict[str, Any]:
    return {
        **_norm_numbers(layer),
        "momentum": layer.momentum.hex(),
        "unbiased": bool(layer._structure.unbiased),
        "train": layer.train,
    }


def _make_batch_norm(numbers: Numbers, take: Take) -> BatchNorm:
    momentum = numbers.real("momentum")
    if not 0 <= momentum <= 1:
        raise numbers.fail("momentum", "0 to 1", momentum)
    settings = {"momentum": momentum, "unbiased": numbers.flag("unbiased")}
    train = numbers.flag("train")
    layer = _make_norm(numbers, take, BatchNorm, "running_mean", "running_var", **settings)
    layer.train = train
    return cast(BatchNorm, layer)


def _make_slopes(numbers: Numbers, take: Take) -> PReLU:
    inputs, dtype = numbers.whole("inputs"), _DTYPES[numbers.text("dtype", _DTYPES)]
    slopes = take("weight", (inputs or 1,), dtype)
    layer = PReLU(inputs or None, dtype=dtype)
    layer.slopes = slopes
    return layer


def _make_embedding(numbers: Numbers, take: Take) -> Embedding:
    classes, dim = numbers.whole("classes", 1), numbers.whole("dim", 1)
    dtype = _DTYPES[numbers.text("dtype", _DTYPES)]
    table = take("weight", (classes, dim), dtype)
    layer = Embedding(classes, dim, "uniform", dtype=dtype, rng=0)
    layer.w = table
    return layer


def _make_flatten(numbers: Numbers, take: Take) -> Flatten:
    shape = numbers.take("shape")
    if shape is None:
        return Flatten()
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**63 for n in shape):
        raise numbers.fail("shape", "null or a list of sizes", shape)
    return Flatten(shape)


def _activation(make: Callable[..., Activation]) -> Kind:
    """Return the kind of an activation, which is its name, with its parameter if it has one."""
    usual = make()
    name = usual._parameter
    if name is None:
        return Kind(type(usual), lambda layer: {}, lambda numbers, take: make())

    def make_with(numbers: Numbers, take: Take) -> Activation:
        value = numbers.real(name)
        try:
            return make(value)
        except ValueError:
            raise numbers.fail(name, f"what {type(usual).__name__} takes", value) from None

    return Kind(type(usual), lambda layer: {name: getattr(layer, name).hex()}, make_with)


def _plain(cls: Any) -> Kind:
    """Return the kind of a layer that has neither numbers nor tensors."""
    return Kind(cls, lambda layer: {}, lambda numbers, take: cls())


KINDS: Mapping[str, Kind] = {
    "linear": Kind(
        Linear,
        _linear_numbers,
        _make_linear,
        lambda layer: {"weight": layer.w, **({"bias": layer.b} if hasattr(layer, "b") else {})},
    ),
    "dropout": Kind(Dropout, _dropout_numbers, _make_dropout, resume=_resume_dropout),
    "gaussian_dropout": Kind(
        GaussianDropout,
        lambda layer: {"p": layer.p.hex(), **_random_numbers(layer)},
        _make_gaussian_dropout,
        resume=_resume_dropout,
    ),
    "gaussian_noise": Kind(
        GaussianNoise,
        lambda layer: {"deviation": layer.deviation.hex(), **_random_numbers(layer)},
        _make_gaussian_noise,
        resume=_resume_noise,
    ),
    "batch_norm": Kind(
        BatchNorm, _batch_norm_numbers, _make_batch_norm, _norm_tensors, _resume_train
    ),
    "layer_norm": Kind(
        LayerNorm, _norm_numbers, lambda numbers, take: _make_norm(numbers, take, LayerNorm),
        _norm_tensors,
    ),
    "slopes": Kind(
        PReLU,
        lambda layer: {"inputs": layer._structure.inputs, "dtype": layer.slopes.dtype.name},
        _make_slopes,
        lambda layer: {"weight": layer.slopes},
    ),
    "embedding": Kind(
        Embedding,
        lambda layer: {
            "classes": layer.classes, "dim": layer.dim, "dtype": layer.w.dtype.name,
        },
        _make_embedding,
        lambda layer: {"weight": layer.w},
    ),
    "flatten": Kind(
        Flatten,
        lambda layer: {"shape": layer.sample_shape and list(layer.sample_shape)},
        _make_flatten,
    ),
    "softmax": _plain(Softmax),
    "log_softmax": _plain(LogSoftmax),
    **{name: _activation(make) for name, make in ACTIVATIONS.items()},
}  # fmt: skip

_SEQUENTIAL = "sequential"
_NAMES = {kind.cls: name for name, kind in KINDS.items()}


def resume_layer(layer: Layer, saved: Layer) -> None:
    """Give a layer the state of another one of its kind; its arrays stay where they are."""
    kind = KINDS[str(kind_of(layer))]
    theirs = kind.tensors(saved)
    for name, array in kind.tensors(layer).items():
        array[...] = theirs[name]
    kind.resume(layer, saved)


def kind_of(layer: Any) -> str | None:
    """Return the name of a layer's kind; None for one that is partly Python."""
    name = _NAMES.get(type(layer))
    if name in ACTIVATIONS:
        name = layer._activation  # a class may be several kinds
    own = is_builtin(layer) or computes_with(layer, Flatten, COMPUTES)
    return name if name and own else None


def why_not(layer: Any) -> str:
    """Say why a layer has no kind."""
    name = type(layer).__name__
    own = is_builtin(layer) and type(layer).__module__.startswith("deepc.")
    return f"{name}, {'of which files know nothing' if own else 'which is written in Python'},"


def walk(model: Layer, position: str = "", depth: int = 0) -> Iterator[tuple[str, Layer]]:
    """Yield each layer that is no Sequential, with its position: ``"0"``, ``"1.0"``, ``""``."""
    if type(model) is not Sequential:
        yield position, model
        return
    if depth > _DEEPEST:
        raise ValueError("model: Sequentials that are nested too deeply")
    for i, layer in enumerate(model.layers):
        yield from walk(layer, f"{position}.{i}" if position else str(i), depth + 1)


def at(position: str, name: str) -> str:
    """Return the name of a tensor in a file."""
    return f"{position}.{name}" if position else name


def model_tensors(model: Layer) -> dict[str, Any]:
    """Return the tensors of a model by their names in a file, each layer's once.

    Those of layers written in Python are what they gave, lists maybe, and their names numbers.
    """
    seen: set[int] = set()
    found: dict[str, Any] = {}
    for position, layer in walk(model):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        tensors: Mapping[str, Any]
        if name := kind_of(layer):
            tensors = KINDS[name].tensors(layer)
        else:
            tensors = {str(i): param for i, param in enumerate(layer.params())}
        found.update({at(position, name): array for name, array in tensors.items()})
    return found


def describe_model(model: Layer) -> dict[str, Any]:
    """Return what a file says of a model beside its tensors."""
    return _describe(model, "", {})


def _describe(model: Any, position: str, seen: dict[int, str]) -> dict[str, Any]:
    if type(model) is Sequential:
        if len(position) > 4 * _DEEPEST:
            raise ValueError("model: Sequentials that are nested too deeply")
        inner = (at(position, str(i)) for i in range(len(model.layers)))
        layers = [
            _describe(layer, place, seen) for place, layer in zip(inner, model.layers, strict=True)
        ]
        return {"kind": _SEQUENTIAL, "layers": layers}
    name = kind_of(model)
    if name is None:
        raise TypeError(
            f"model: {f'layers[{position}]' if position else 'it'} is a {why_not(model)} "
            "and cannot be saved as a whole; save_weights(model, ...) keeps its parameters"
        )
    if id(model) in seen:
        return {"kind": "same", "as": seen[id(model)]}
    seen[id(model)] = position
    return {"kind": name, **KINDS[name].numbers(model), **_frozen(model)}


def _frozen(layer: Any) -> dict[str, Any]:
    """Return what stands in the file of a layer of which not all trains."""
    if not getattr(layer, "trainable", True):
        return {"frozen": True}
    names = sorted(getattr(layer, "_frozen", ()))
    return {"frozen": names} if names else {}


def _freeze(layer: Any, numbers: Numbers) -> None:
    if not numbers.has("frozen"):
        return
    names = numbers.take("frozen")
    if names is True:
        layer.trainable = False
        return
    try:
        layer.freeze(*names)
    except (AttributeError, TypeError, ValueError):
        raise numbers.fail("frozen", "true or names of parameters", names) from None


def make_model(description: Any, tensors: Mapping[str, Array], where: str) -> Layer:
    """Return the model that a file describes, with its tensors; each must have its place."""
    made: dict[str, Layer] = {}
    model = _make(description, tensors, where, "", made, 0)
    used = set(model_tensors(model))
    if unknown := sorted(set(tensors) - used):
        raise ValueError(f"{where}: tensor {unknown[0]!r} belongs to no layer of the model")
    return model


def _make(
    description: Any, tensors: Mapping[str, Array], where: str, position: str,
    made: dict[str, Layer], depth: int,
) -> Layer:  # fmt: skip
    numbers = Numbers(description, f"{where}: layer {position}" if position else f"{where}: model")
    kind = numbers.text("kind", [*KINDS, _SEQUENTIAL, "same"])
    if kind == _SEQUENTIAL:
        layers = numbers.take("layers")
        if not isinstance(layers, list) or depth > _DEEPEST:
            raise numbers.fail("layers", "a list of layers", layers)
        numbers.done()
        return Sequential(
            _make(layer, tensors, where, at(position, str(i)), made, depth + 1)
            for i, layer in enumerate(layers)
        )
    if kind == "same":
        other = numbers.text("as", made)
        numbers.done()
        return made[other]

    def take(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        full = at(position, name)
        if full not in tensors:
            raise ValueError(f"{where}: tensor {full!r} is missing")
        array = tensors[full]
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{where}: tensor {full!r}: expected shape {list(shape)} of {dtype}, "
                f"got {list(array.shape)} of {array.dtype}"
            )
        return array

    made[position] = layer = KINDS[kind].make(numbers, take)
    _freeze(layer, numbers)
    numbers.done()
    return layer
