"""torch.nn.utils: clipping of gradients, and parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from deepc._values import missing
from deepc.autodiff import ops
from deepc.optimizers import clip_gradients
from deepc.torch._functions import cat
from deepc.torch._tensor import Tensor, wrap

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector",
    "vector_to_parameters",
]  # fmt: skip


def _found(parameters: Any) -> list[Any]:
    """Return the gradients that there are."""
    listed = [parameters] if isinstance(parameters, Tensor) else parameters
    return [grad for grad in (p._grad for p in listed) if grad is not None]


def _by_dtype(arrays: list[Any]) -> list[list[Any]]:
    kinds = {array.dtype for array in arrays}
    return [[array for array in arrays if array.dtype == kind] for kind in kinds]


def _norm(arrays: list[Any], p: float) -> float:
    norms = [np.linalg.norm(np.asarray(a, np.float64).reshape(-1), p) for a in arrays]
    return float(np.linalg.norm(norms, p)) if norms else 0.0


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Any:
    """Return the norm of several Tensors as if they were one."""
    return _as_tensor(_norm([t._data for t in tensors], float(norm_type)), np.float32)


def _as_tensor(value: float, dtype: Any) -> Any:
    return wrap(np.asarray(value, dtype))


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:  # fmt: skip
    """Multiply all gradients by ``min(1, max_norm / (norm + 1e-6))``; return the norm before.

    Examples
    --------
    >>> from deepc import torch
    >>> p = torch.nn.Parameter(torch.zeros(2))
    >>> p.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_([p], 1.0)
    tensor(5.)
    >>> p.grad
    tensor([0.6000, 0.8000])
    """
    arrays = _found(parameters)
    if not arrays:
        return _as_tensor(0.0, np.float32)
    limit, p = float(max_norm), float(norm_type)
    kinds = _by_dtype(arrays)
    dtype = arrays[0].dtype
    if p == 2 and len(kinds) == 1 and limit > 0 and not error_if_nonfinite:
        return _as_tensor(clip_gradients(arrays, global_norm=limit, epsilon=1e-6), dtype)
    total = _norm(arrays, p)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`"
        )
    factor = min(1.0, limit / (total + 1e-6))
    for array in arrays:
        array *= array.dtype.type(factor)
    return _as_tensor(total, dtype)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Hold each element of the gradients between ``-clip_value`` and ``clip_value``."""
    for arrays in _by_dtype(_found(parameters)):
        clip_gradients(arrays, value=float(clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """Return all parameters, one after the other, as one vector."""
    return cat([ops.reshape(parameter, (-1,)) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector into parameters, one after the other."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    place, array = 0, vec._data
    for parameter in parameters:
        size, shape = parameter._data.size, parameter._data.shape
        parameter.data = array[place : place + size].reshape(shape)
        place += size


__getattr__ = missing(
    "deepc.torch.nn.utils", __all__,
    {
        "rnn": "torch.cat and torch.stack", "weight_norm": "the weights themselves",
        "spectral_norm": "the weights themselves", "parametrize": "the weights themselves",
        "prune": "Tensor.mul_ with a mask", "clip_grad_norm": "clip_grad_norm_",
    },
)  # fmt: skip
