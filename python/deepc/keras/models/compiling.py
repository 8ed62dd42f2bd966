"""What `compile` chooses: loss, metrics and optimizer, for the outputs that a model has."""

from __future__ import annotations

import math
from typing import Any

import deepc
from deepc._values import Array, as_float
from deepc.keras import _training, losses, metrics, optimizers
from deepc.keras._graph import Graph, Packing
from deepc.keras.layers.base import Layer
from deepc.keras.layers.places import mapped
from deepc.layers import _plan
from deepc.training.constraints import Constrained
from deepc.training.penalties import Penalties
from deepc.training.sources import Validation

__all__ = ["Compiled"]


class Compiled(Layer):
    """What a model is trained by."""

    optimizer: Any
    loss: Any
    stop_training: bool
    history: Any
    layers: list[Layer]
    # What it is trained as: a network of deepc, or a graph; how its inputs and outputs lie in rows;
    # the final activation of each output.
    _full: Any
    _packed_in: Packing
    _packed_out: Packing
    _finals: list[str]
    _quick: bool

    def _build_from(self, given: Any, batch: int | None = None) -> None:
        raise NotImplementedError

    def _ready(self, finals: list[str] | None = None) -> None:
        raise NotImplementedError

    def _own_steps(self) -> str:
        raise NotImplementedError

    def _begin(self) -> None:
        """Set what is there before `compile`."""
        self.optimizer = self.loss = self.history = None
        self.stop_training = False
        self._tracked: list[_training.Tracked] = []
        self._meanings: list[_training.Meaning] = []
        self._engine: tuple[Any, ...] | None = None
        self._compiled: dict[str, Any] | None = None
        self._penalties: Penalties | None = None
        self._validated: Validation | None = None
        self._modes: list[Any] = []
        self._last: Any = None
        # Which part of its steps is somebody's own; looked at once, because steps are often asked.
        self._own = ""
        self._loss_mean = metrics.Mean(name="loss")
        self._output_means: list[metrics.Mean] = []

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained: by which optimizer, loss and metrics."""
        made = optimizers.get(optimizer)
        chosen = _training.each(loss, self._as_loss)
        if loss_weights is not None:
            if not isinstance(loss_weights, (list, tuple, dict)):
                raise ValueError(
                    "loss_weights: expected a list or a dict of floats, one for each output, got "
                    f"{loss_weights!r}"
                )
            loss_weights = mapped(loss_weights, lambda one: as_float(one, "loss_weights"))
        from deepc.keras import metrics as named

        for given, argument in ((metrics, "metrics"), (weighted_metrics, "weighted_metrics")):
            _training.check_metrics(given, argument, named.get)
        self.optimizer, self.loss = made, loss
        self._compiled = {
            "optimizer": optimizer, "loss": loss, "metrics": metrics, "chosen": chosen,
            "weighted_metrics": weighted_metrics, "loss_weights": loss_weights,
        }  # fmt: skip
        self._own = self._own_steps()
        self._engine = None
        self._tracked, self._output_means = [], []
        if self._full is not None:
            self._track()

    @staticmethod
    def _as_loss(loss: Any) -> Any:
        if loss is None or (isinstance(loss, str) and loss in ("crossentropy", "ce")):
            return loss
        return losses.get(loss)

    def _track(self) -> None:
        """Make the metrics of `compile`, once it is known which outputs there are."""
        from deepc.keras import metrics as named

        assert self._compiled is not None
        given = [(a, self._compiled[a]) for a in ("metrics", "weighted_metrics")]
        self._tracked = _training.tracked(named.get, given, self._packed_out)

    def _chosen(self) -> list[Any]:
        """Return the loss of each output, None for one without."""
        assert self._compiled is not None
        return self._packed_out_of(self._compiled["chosen"], "loss")

    def _packed_out_of(self, given: Any, name: str) -> list[Any]:
        """Return what was given for all outputs, or for each, for each of them."""
        out = self._packed_out
        if isinstance(given, dict):
            unknown = [key for key in given if key not in out.names]
            if unknown:
                raise ValueError(
                    f"In the dict argument `{name}`, key '{unknown[0]}' does not correspond to any "
                    f"model output. Received: {name}={given}; the outputs are {out.names}"
                )
            return [given.get(key) for key in out.names]
        if isinstance(given, (list, tuple)):
            if len(given) != len(out.names):
                raise ValueError(
                    f"For a model with several outputs, the argument `{name}` should have one "
                    f"entry for each of the {len(out.names)} outputs. Received: {name}={given}"
                )
            return list(given)
        return [given] * len(out.names)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def _machinery(self) -> tuple[Any, Any, Any, Any]:
        """Return what is trained, the loss for deepc, the rule, and the network that checks ask."""
        engine, version = self._engine, _plan.structure_version
        if engine is not None and engine[0] == version:
            return engine[2]  # type: ignore[no-any-return]
        trains = tuple(layer.trainable for layer in self._within())
        if engine is not None and engine[1] == trains:
            # Layers of somebody else have changed.
            self._engine = (version, trains, engine[2])
            return engine[2]  # type: ignore[no-any-return]
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")
        chosen = self._chosen()
        if all(one is None for one in chosen):
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        if any(isinstance(one, str) for one in chosen):
            raise ValueError(
                "loss: 'crossentropy' is chosen when targets are known: call fit or evaluate first"
            )
        fused = [
            isinstance(one, losses.Loss) and one.fused_with(last)
            for one, last in zip(chosen, self._finals, strict=True)
        ]
        net: Any = self._full
        if isinstance(net, Graph):
            net.logits = fused
        elif fused[0]:
            net = deepc.Sequential(self._made[:-1])
        self._meanings = [
            _training.Meaning(last if f else "", shape)
            for f, last, shape in zip(fused, self._finals, self._packed_out.shapes, strict=True)
        ]
        loss = self._loss_of(chosen, fused)
        trained, rule = net, self.optimizer.rule
        variables = self.trainable_weights
        if isinstance(net, Graph):
            loss = _training.AddedLoss(loss, net)
        self._penalties = Penalties(
            net,
            [
                (v.value, v.regularizer.l1, v.regularizer.l2)
                for v in variables
                if v.regularizer is not None
            ],
        )
        constrained = [v for v in variables if v.constraint is not None]
        if constrained:
            rule = Constrained(rule, [(v.value, v.constraint) for v in constrained])
        self.optimizer.build(variables)
        machinery = (trained, loss, rule, net)
        self._engine = (_plan.structure_version, trains, machinery)
        self._modes = [made for made in self._made if hasattr(made, "train")]
        return machinery

    def _loss_of(self, chosen: list[Any], fused: list[bool]) -> Any:
        """Return deepc's loss of all outputs; set what the metrics of each get."""
        out = self._packed_out
        made = [
            None if one is None else _training.made(one, f, shape)
            for one, f, shape in zip(chosen, fused, out.shapes, strict=True)
        ]
        self._parts = _training.parts(chosen, out)
        mine = _training.loss_metrics(made, out) if out.several else []
        tracked = [item for item in self._tracked if not isinstance(item, _training.OutputLoss)]
        for item in tracked:
            item.meaning = self._meanings[item.output]
        self._tracked = [*mine, *tracked]
        for item in self._tracked:
            item.part = self._parts[item.output] if out.several else None
        assert self._compiled is not None
        if not out.several:
            if self._compiled["loss_weights"] is not None:
                raise ValueError(
                    "loss_weights: are for models with several outputs; the nearest for one is "
                    "sample_weight in fit, or a loss of your own"
                )
            return made[0]
        given = self._packed_out_of(self._compiled["loss_weights"], "loss_weights")
        return _training.parts_loss(self._parts, made, given)

    def _choose_crossentropy(self, given: list[Array | None]) -> None:
        """Take the crossentropy that fits the shapes, where compile left it open."""
        assert self._compiled is not None
        chosen = self._chosen()
        if not any(isinstance(one, str) for one in chosen):
            return
        for i, (one, y) in enumerate(zip(chosen, given, strict=True)):
            if isinstance(one, str) and y is not None:
                width = math.prod(self._packed_out.shapes[i])
                name = "categorical_crossentropy"
                if width == 1:
                    name = "binary_crossentropy"
                elif y.ndim == 1 or y.shape[-1] == 1:
                    name = "sparse_categorical_crossentropy"
                chosen[i] = losses.get(name)
        self._compiled["chosen"] = chosen if self._packed_out.several else chosen[0]

    def _check_compiled(self) -> None:
        if self._compiled is None:
            raise ValueError("You must call `compile()` before using the model.")
