"""torch.nn.init: draw the numbers of a Tensor in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepc._values import missing
from deepc.initializers import draw
from deepc.initializers import orthogonal as _orthogonal
from deepc.torch._rng import Generator, key
from deepc.torch._tensor import _bump

__all__ = ["calculate_gain"]

# What keeps the variance of activations where it is, by the function between the layers.
_GAINS = {
    "linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0),
    "selu": 0.75,
    **{f"conv{kind}{n}d": 1.0 for n in (1, 2, 3) for kind in ("", "_transpose")},
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor of a deviation that suits an activation.

    Examples
    --------
    >>> from deepc.torch.nn import init
    >>> round(init.calculate_gain("leaky_relu", 0.2), 4)
    1.3868
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def _write(tensor: Any, array: Any) -> Any:
    tensor._data[...] = array
    return _bump(tensor)


def _drawn(tensor: Any, kind: str, a: float, b: float, generator: Generator | None) -> Any:
    data = tensor._data
    return _write(tensor, draw(data.shape, kind, a, b, key(generator), data.dtype))


def _fans(tensor: Any) -> tuple[int, int]:
    shape = tensor._data.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Any:
    """Draw evenly from [a, b)."""
    return _drawn(tensor, "uniform", a, b, generator)


def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Any:
    """Draw from a normal distribution."""
    return _drawn(tensor, "normal", mean, std, generator)


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Draw from a normal distribution, again what is not within [a, b]."""
    data, rng = tensor._data, key(generator)
    numbers = draw((data.size,), "normal", mean, std, rng, data.dtype)
    for _ in range(1000):
        outside = np.flatnonzero((numbers < a) | (numbers > b))
        if not outside.size:
            return _write(tensor, numbers.reshape(data.shape))
        numbers[outside] = draw((outside.size,), "normal", mean, std, rng, data.dtype)
    raise ValueError(f"trunc_normal_: hardly any number is within [{a}, {b}]")


def constant_(tensor: Any, val: float) -> Any:
    """Make all elements one number."""
    return _write(tensor, val)


def ones_(tensor: Any) -> Any:
    """Make all elements 1."""
    return _write(tensor, 1)


def zeros_(tensor: Any) -> Any:
    """Make all elements 0."""
    return _write(tensor, 0)


def eye_(tensor: Any) -> Any:
    """Make a matrix the identity."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor._data.shape))


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Draw evenly with variance ``gain**2 * 2 / (fan_in + fan_out)``."""
    limit = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -limit, limit, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Draw normal numbers with variance ``gain**2 * 2 / (fan_in + fan_out)``."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[mode == "fan_out"])


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Draw evenly with variance ``gain**2 / fan``."""
    limit = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -limit, limit, generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Draw normal numbers with variance ``gain**2 / fan``."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1, generator: Generator | None = None) -> Any:
    """Make rows or columns, the fewer, orthogonal and of length `gain`."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    data = tensor._data
    rows = data.reshape(len(data), -1)
    matrix = _orthogonal(rows.shape, gain, key(generator), data.dtype)
    return _write(tensor, matrix.reshape(data.shape))


__getattr__ = missing(
    "deepc.torch.nn.init", list(globals()),
    {
        "dirac_": "init.eye_", "sparse_": "init.normal_",
        **{f"{name}": f"init.{name}_" for name in (
            "uniform", "normal", "constant", "xavier_uniform", "xavier_normal",
            "kaiming_uniform", "kaiming_normal", "orthogonal")},
    },
)  # fmt: skip
