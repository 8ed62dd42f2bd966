"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepc.keras.layers.base import Layer
from deepc.keras.layers.calls import is_custom
from deepc.keras.layers.inputs import InputLayer
from deepc.keras.layers.places import KerasTensor
from deepc.keras.models.model import Model, first_reason

__all__ = ["Sequential"]


class Sequential(Model):
    """Layers one after the other.

    Examples
    --------
    >>> from deepc.keras import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(3, activation="relu")])
    >>> model.count_params()
    15
    """

    _has_graph = True

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        for layer in layers or ():
            self._add(layer)
        self._build_if_known()

    def _add(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor):
            layer = layer.layer
        self._check_begun()
        if not isinstance(layer, Layer):
            raise ValueError(
                "Only instances of `keras.Layer` can be added to a Sequential model. Received: "
                f"{layer} (of type {type(layer)})"
            )
        if any(layer.name == other.name for other in self._chain):
            raise ValueError(
                "All layers added to a Sequential model should have unique names. Name "
                f"'{layer.name}' is already the name of a layer in this model. Update the `name` "
                "argument to pass a unique name."
            )
        if isinstance(layer, InputLayer) and self._chain:
            raise ValueError("Input: stands first in a Sequential model, or not at all")
        self._chain.append(layer)

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """Its layers, without the input."""
        return [layer for layer in self._chain if not isinstance(layer, InputLayer)]

    def why_not_compiled(self) -> str:
        """Return why its layers become no network, "" if they do."""
        return super().why_not_compiled() if is_custom(type(self)) else first_reason(self.layers)

    def build_for(self, sample: Any, owner: str = "") -> Any:
        """Make all weights for samples of a shape; return the shape of what comes out."""
        if self.built:
            return self._out if sample == self._in else self._compute(sample)
        if not self.layers:
            raise ValueError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call "
                "`model.add(layer)`."
            )
        shape, path = sample, "/".join(filter(None, (owner, self.name)))
        for layer in self._chain:
            shape = layer.output_for(shape, path)
        self._in, self._out, self.built = sample, shape, True
        self._made = [made for layer in self._chain for made in layer._made]
        self._ready()
        return shape

    def _compute(self, sample: Any) -> Any:
        for layer in self._chain:
            sample = layer._compute(sample)
        return sample

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute Tensors by all layers, one after the other."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def _build_if_known(self) -> None:
        if not self._chain or not self.layers:
            return
        first = self._chain[0]
        known: Any = first._in if isinstance(first, InputLayer) else first._sample
        if known is None and isinstance(first, Model) and first.built:
            known = first._in
        if known is not None:
            self._unbuild()
            self.build_for(known)

    def _unbuild(self) -> None:
        self.built, self._engine, self._full, self._made = False, None, None, []

    def add(self, layer: Any) -> None:
        """Add a layer at the end."""
        self._add(layer)
        if self.built:
            known = self._in
            self._unbuild()
            self.build_for(known)
        else:
            self._build_if_known()

    def pop(self) -> Layer | None:
        """Take the last layer away; return it."""
        if not self.layers:
            return None
        layer = self._chain.pop()
        if self.built:
            known = self._in
            self._unbuild()
            if self.layers:
                self.build_for(known)
        return layer

    def get_config(self) -> dict[str, Any]:
        """Return what makes it anew, without its weights."""
        from deepc.keras import _saving

        return _saving.sequential_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make one from that."""
        from deepc.keras import _saving

        return _saving.sequential_of(config)
