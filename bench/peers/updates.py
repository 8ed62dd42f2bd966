"""Optimizer steps over the parameters of whole networks, gradients given."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from peers.race import FULL, QUICK, Contestant, Result, race
from peers.rules import Rule, torch_optimizers

RULES = {
    "gradient descent": Rule("GradientDescent", {"learning_rate": 0.01}),
    "momentum": Rule("Momentum", {"learning_rate": 0.01, "momentum": 0.9}),
    "SGD, momentum, Nesterov": Rule(
        "SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    ),
    "RMSProp": Rule("RMSProp", {"learning_rate": 0.001}),
    "Adam": Rule("Adam", {"learning_rate": 0.001}),
    "AdamW": Rule("AdamW", {"learning_rate": 0.001}),
    "Adagrad": Rule("Adagrad", {"learning_rate": 0.01}),
}
NETWORKS = ((10, 25, 4), (784, 128, 10), (784, 1024, 1024, 10), (784, 4096, 4096, 10))


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the results of all rules and networks."""
    pace = QUICK if options.quick else FULL
    for widths in NETWORKS[:2] if options.quick else NETWORKS:
        for name, rule in RULES.items():
            rng = np.random.default_rng(0)
            shapes = [s for pair in itertools.pairwise(widths) for s in (pair, pair[1:])]
            params = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
            grads = [rng.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes]
            count = sum(param.size for param in params)
            case = f"{name}, {'-'.join(map(str, widths))} ({count:,} parameters)"
            found = list(_contestants(peers, rule, params, grads))
            yield race("optimizer steps", case, found, pace, parameters=count)


def _contestants(peers: Any, rule: Rule, params: Any, grads: Any) -> Iterator[Contestant]:
    model = peers.deepc.Sequential([])
    for w, b, dw, db in zip(params[::2], params[1::2], grads[::2], grads[1::2], strict=True):
        layer = peers.deepc.Linear(*w.shape)
        layer.w, layer.b, layer.w_grad, layer.b_grad = w.T, b, dw.T, db
        model.layers.append(layer)
    ours = [array.T for array in model.params()]
    names = {"optimizer": rule.deepc(peers.deepc), "model": model, "params": ours}
    yield Contestant("deepc", "optimizer.step(model)", names, "optimizer.step(model)\nparams")

    copies = [param.copy() for param in params]
    names = {"step": rule.numpy(copies), "params": copies, "grads": grads}
    yield Contestant("NumPy", "step(grads)", names, "step(grads)\nparams")

    if torch := peers.torch:
        for way, make in torch_optimizers(torch, rule).items():
            tensors = [torch.from_numpy(param.copy()).requires_grad_() for param in params]
            for tensor, grad in zip(tensors, grads, strict=True):
                tensor.grad = torch.from_numpy(grad)
            names = {"optimizer": make(tensors), "params": tensors}
            yield Contestant(
                f"PyTorch, {way}", "optimizer.step()", names, "optimizer.step()\nparams"
            )

    if jax := peers.jax:
        update = jax.jit(rule.jax(jax), donate_argnums=0)
        tensors = [jax.numpy.array(param) for param in params]
        names = {"update": update, "jax": jax, "grads": [jax.numpy.array(grad) for grad in grads]}
        names["kept"] = [(tensors, rule.jax_state(jax, tensors))]
        code = "kept[0] = jax.block_until_ready(update(kept[0], grads))"
        yield Contestant("JAX", code, names, code + "\nkept[0][0]")
