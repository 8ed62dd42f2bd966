"""torch.autograd: gradients of chosen Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc._values import missing
from deepc.autodiff import gradients
from deepc.torch._functions import enable_grad as enable_grad
from deepc.torch._functions import no_grad as no_grad
from deepc.torch._functions import set_grad_enabled as set_grad_enabled
from deepc.torch._tensor import Tensor, wrap

__all__ = ["grad"]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of outputs with respect to inputs; no `grad` is touched.

    Examples
    --------
    >>> from deepc import torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x**3, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(18.),)
    """
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs
    seeds = list(seeds) if seeds is not None else [None] * len(ys)
    for y, seed in zip(ys, seeds, strict=True):
        if not y.requires_grad:
            raise RuntimeError(
                "element 0 of tensors does not require grad and does not have a grad_fn"
            )
        if seed is None and y.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if not all(x.requires_grad for x in xs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    seeds = [
        np.ones(y._data.shape, y._data.dtype) if s is None else s
        for y, s in zip(ys, seeds, strict=True)
    ]
    found = gradients(ys, xs, seeds, create_graph, "none")
    result = []
    for x, one in zip(xs, found, strict=True):
        if one is None and materialize_grads:
            one = np.zeros_like(x._data)
        elif one is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        result.append(one if one is None or isinstance(one, Tensor) else wrap(one))
    return tuple(result)


__getattr__ = missing(
    "deepc.torch.autograd", [*globals()],
    {
        "Function": "deepc.autodiff.Function", "functional": "deepc.autodiff",
        "Variable": "torch.tensor", "gradcheck": "deepc.autodiff.check_gradients",
        "set_detect_anomaly": "deepc.autodiff.detect_nan",
        "detect_anomaly": "deepc.autodiff.detect_nan",
    },
)  # fmt: skip
