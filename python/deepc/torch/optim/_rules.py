"""The optimizers by name."""

from __future__ import annotations

from typing import Any

from deepc import optimizers
from deepc._values import SMALLEST
from deepc.torch.optim._optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop"]

# How torch computes a step is no matter here; they are taken and do nothing.
_WAYS = {"foreach", "fused", "capturable", "differentiable"}


def _eps(group: dict[str, Any]) -> float:
    return max(float(group["eps"]), SMALLEST)


class _Builtin(Optimizer):
    def __init__(self, params: Any, defaults: dict[str, Any], ways: dict[str, Any]) -> None:
        for name in ways:
            if name not in _WAYS:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'"
                )
        super().__init__(params, defaults)


class SGD(_Builtin):
    """Steps against the gradient: ``v = momentum * v + (1 - dampening) * g; p -= lr * v``.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr, momentum, dampening, weight_decay : float, optional
    nesterov, maximize : bool, optional

    Examples
    --------
    >>> from deepc import torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = torch.optim.SGD([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.data
    tensor([0.5000])
    """

    _state_names = {"momentum_buffer": "first"}  # noqa: RUF012
    _number_names = {}  # noqa: RUF012

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.SGD(
            group["lr"], group["momentum"], group["nesterov"], group["weight_decay"],
            dampening=group["dampening"], maximize=group["maximize"],
        )  # fmt: skip


class Adam(_Builtin):
    """Adaptive moment estimation; `weight_decay` adds to the gradient.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float, optional
    betas : tuple of float, optional
    eps, weight_decay : float, optional
    amsgrad, maximize, decoupled_weight_decay : bool, optional
    """

    _state_names = {  # noqa: RUF012
        "exp_avg": "first", "exp_avg_sq": "second", "max_exp_avg_sq": "third",
    }  # fmt: skip

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        maximize: bool = False, decoupled_weight_decay: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        cls: Any = optimizers.AdamW if group["decoupled_weight_decay"] else optimizers.Adam
        return cls(
            group["lr"], group["betas"][0], group["betas"][1], _eps(group), group["weight_decay"],
            amsgrad=group["amsgrad"], maximize=group["maximize"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay apart from the gradient."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
            decoupled_weight_decay=True, **ways,
        )  # fmt: skip


class NAdam(_Builtin):
    """Adam with Nesterov's look ahead."""

    _state_names = {"exp_avg": "first", "exp_avg_sq": "second"}  # noqa: RUF012
    _number_names = {"step": "steps", "mu_product": "momentum_product"}  # noqa: RUF012

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.Nadam(
            group["lr"], group["betas"][0], group["betas"][1], _eps(group), group["weight_decay"],
            momentum_decay=group["momentum_decay"], maximize=group["maximize"],
            decoupled=group["decoupled_weight_decay"],
        )  # fmt: skip


class Adamax(_Builtin):
    """Adam with the largest gradient in place of the root of their squares."""

    _state_names = {"exp_avg": "first", "exp_inf": "second"}  # noqa: RUF012

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, *, maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.Adamax(
            group["lr"], group["betas"][0], group["betas"][1], _eps(group), group["weight_decay"],
            epsilon_inside=True, maximize=group["maximize"],
        )  # fmt: skip


class RMSprop(_Builtin):
    """Steps scaled by a running average of squared gradients; eps is outside the root."""

    _state_names = {  # noqa: RUF012
        "square_avg": "second", "momentum_buffer": "first", "grad_avg": "third",
    }  # fmt: skip

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False, *,
        maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "maximize": maximize,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.RMSProp(
            group["lr"], group["alpha"], _eps(group), group["weight_decay"],
            momentum=group["momentum"], centered=group["centered"], maximize=group["maximize"],
        )  # fmt: skip


class Adagrad(_Builtin):
    """Steps scaled by the sum of all squared gradients; eps is outside the root."""

    _state_names = {"sum": "second"}  # noqa: RUF012

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, *, maximize: bool = False,
        **ways: Any,
    ) -> None:  # fmt: skip
        if lr_decay != 0:
            raise ValueError(
                f"lr_decay: only 0 is built in, got {lr_decay}; "
                "lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step * lr_decay)) does it"
            )
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.Adagrad(
            group["lr"], _eps(group), group["weight_decay"],
            initial=group["initial_accumulator_value"], maximize=group["maximize"],
        )  # fmt: skip


class Adadelta(_Builtin):
    """Steps scaled by how large steps and gradients have been."""

    _state_names = {"square_avg": "second", "acc_delta": "first"}  # noqa: RUF012

    def __init__(
        self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0, *, maximize: bool = False, **ways: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
        }, ways)  # fmt: skip

    def _make(self, group: dict[str, Any]) -> Any:
        return optimizers.Adadelta(
            group["lr"], group["rho"], _eps(group), group["weight_decay"],
            maximize=group["maximize"],
        )  # fmt: skip
