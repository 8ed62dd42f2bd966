"""Initializers: how weights start, by the names and with the distributions of Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepc import initializers as built_in
from deepc._c import random
from deepc._values import Array, as_array, as_dtype, as_float, missing
from deepc.initializers import SCALED, Scaled
from deepc.keras._names import find, snake

__all__ = ["deserialize", "get", "serialize"]


class Initializer:
    """What gives a weight its first numbers: called with a shape, it returns an array."""

    # The arguments of the constructor, which are attributes too.
    _arguments: tuple[str, ...] = ()

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return an array of a shape; kernels are of shape (inputs, units)."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Make one from such arguments; what Keras adds and does not use is left out."""
        unknown = [k for k, v in config.items() if k not in cls._arguments and v is not None]
        if unknown:
            raise ValueError(f"{cls.__name__}: {unknown[0]!r} is not supported")
        return cls(**{k: v for k, v in config.items() if k in cls._arguments})

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class _Random(Initializer):
    """An initializer with a seed. Without one, each call draws from the ``random`` module."""

    def __init__(self, seed: Any = None) -> None:
        # The same layer made twice with a seed starts alike, as in Keras.
        self.seed = None if seed is None else random.key(seed)


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return np.zeros(tuple(shape), as_dtype(dtype))


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return np.ones(tuple(shape), as_dtype(dtype))


class Constant(Initializer):
    """One number everywhere, or an array."""

    _arguments = ("value",)

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        value = as_array(self.value, "value", as_dtype(dtype))
        return np.array(np.broadcast_to(value, tuple(shape)))


class Identity(Initializer):
    """A matrix with `gain` on its diagonal."""

    _arguments = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = as_float(gain, "gain")

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        if len(shape) != 2:
            raise ValueError(
                f"Identity matrix initializer can only be used for 2D matrices. Received: "
                f"shape={tuple(shape)} of rank {len(shape)}."
            )
        return np.asarray(self.gain * np.eye(*shape, dtype=as_dtype(dtype)))


class RandomNormal(_Random):
    """Normal numbers."""

    _arguments = ("mean", "stddev", "seed")
    _distribution = "normal"

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = as_float(mean, "mean"), as_float(stddev, "stddev", 0.0)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return built_in.draw(shape, self._distribution, self.mean, self.stddev, self.seed, dtype)


class TruncatedNormal(RandomNormal):
    """Normal numbers, drawn again beyond two deviations."""

    _distribution = "truncated_normal"


class RandomUniform(_Random):
    """Numbers drawn evenly."""

    _arguments = ("minval", "maxval", "seed")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = as_float(minval, "minval"), as_float(maxval, "maxval")

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return built_in.draw(shape, "uniform", self.minval, self.maxval, self.seed, dtype)


class VarianceScaling(_Random):
    """Numbers whose variance is `scale` divided by a number of inputs or outputs."""

    _arguments: tuple[str, ...] = ("scale", "mode", "distribution", "seed")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        super().__init__(seed)
        if not as_float(scale, "scale") > 0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        modes = ("fan_in", "fan_out", "fan_avg")
        if mode not in modes:
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of {set(modes)}")
        names = {
            "normal": "truncated_normal", "truncated_normal": "truncated_normal",
            "untruncated_normal": "normal", "uniform": "uniform",
        }  # fmt: skip
        if distribution.lower() not in names:
            raise ValueError(
                f"Invalid `distribution` argument: {distribution}. "
                f"Please use one of {set(names) - {'normal'}}"
            )
        self.scale, self.mode, self.distribution = float(scale), mode, distribution.lower()
        self._by = Scaled(self.scale, mode, names[self.distribution])

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        inputs, outputs = (shape[0], shape[1]) if len(shape) > 1 else (shape[0],) * 2
        return built_in.scaled(tuple(shape), self._by, inputs, outputs, self.seed, dtype)


class _Named(VarianceScaling):
    """One of the scalings that have a name."""

    _arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: Any = None) -> None:
        super().__init__(*SCALED[snake(type(self).__name__)], seed=seed)


class GlorotUniform(_Named):
    """Even in +-sqrt(6 / (inputs + outputs))."""


class GlorotNormal(_Named):
    """Truncated normal, of variance 2 / (inputs + outputs)."""


class HeUniform(_Named):
    """Even in +-sqrt(6 / inputs)."""


class HeNormal(_Named):
    """Truncated normal, of variance 2 / inputs."""


class LecunUniform(_Named):
    """Even in +-sqrt(3 / inputs)."""


class LecunNormal(_Named):
    """Truncated normal, of variance 1 / inputs."""


class Orthogonal(_Random):
    """Orthogonal rows or columns of length `gain`."""

    _arguments = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = as_float(gain, "gain")

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return built_in.orthogonal(tuple(shape), self.gain, self.seed, dtype)


class _Wrapped(Initializer):
    """A user's function of (shape, dtype), or an array."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        made = as_array(self.function(tuple(shape), dtype=as_dtype(dtype)), "initializer")
        if made.shape != tuple(shape):
            raise ValueError(f"initializer: expected shape {tuple(shape)}, got {made.shape}")
        return made


_CLASSES = [
    Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal,
]  # fmt: skip
# Names as Keras takes them.
CLASSES: dict[str, type[Initializer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake(cls.__name__): cls for cls in _CLASSES},
    "zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform,
    "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal,
}  # fmt: skip
globals().update(CLASSES)
__all__ += ["Initializer", *CLASSES]


def get(identifier: Any) -> Initializer:
    """Return an initializer by name, from its class, around a function or an array, or as it is.

    Examples
    --------
    >>> get("zeros")((2,)).tolist()
    [0.0, 0.0]
    """
    if identifier is None:
        return Zeros()
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, np.ndarray):
        array = identifier
        return _Wrapped(lambda shape, dtype: array.astype(dtype))
    if callable(identifier):
        return _Wrapped(identifier)
    made: Initializer = find("initializer", identifier, CLASSES)()
    return made


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return what a file says of an initializer."""
    return {
        "module": "keras.initializers",
        "class_name": type(initializer).__name__,
        "config": initializer.get_config(),
        "registered_name": None,
    }


def deserialize(config: Any) -> Initializer:
    """Return an initializer from what a file says of it."""
    if isinstance(config, dict):
        made = find("initializer", config.get("class_name"), CLASSES)
        result: Initializer = made.from_config(config.get("config", {}))
        return result
    return get(config)


__getattr__ = missing("deepc.keras.initializers", __all__, {"STFT": "initializers.Orthogonal"})
