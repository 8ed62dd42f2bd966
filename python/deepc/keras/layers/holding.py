"""What layers hold: their variables, and the layers inside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import deepc
from deepc._values import Array, as_array, as_bool
from deepc.keras import constraints, initializers, regularizers
from deepc.keras._names import automatic
from deepc.keras._variables import Variable
from deepc.keras.layers.calls import context
from deepc.keras.layers.places import flat
from deepc.layers import Layer as DeepcLayer
from deepc.layers import _plan

__all__ = ["Holder"]


class Holder:
    """The variables of a layer, and the layers inside it."""

    name: str
    built: bool
    _dtype: np.dtype[Any] | None
    _trainable: bool
    _made: list[DeepcLayer]
    _variables: list[Variable]
    _losses: list[Any]

    def _check_begun(self) -> None:
        if "built" not in self.__dict__:
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the "
                "first statement in the `__init__()` method. Go add it!"
            )

    def _real(self) -> np.dtype[Any]:
        return self._dtype or deepc.default_dtype()

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that belongs to the layer.

        Parameters
        ----------
        shape : tuple of int, optional
            ``()``, a number, if not given.
        initializer : str or callable, optional
            Glorot's uniform numbers if not given.
        dtype : optional
            The layer's if not given.
        trainable : bool, optional
        regularizer, constraint : optional
        name : str, optional
        """
        self._check_begun()
        label = name or automatic("Variable")
        path = "/".join(filter(None, (context.path or self.name, label)))
        sizes = () if shape is None else tuple(shape)
        if any(size is None for size in sizes):
            raise ValueError(
                "Shapes used to initialize variables must be fully-defined (no `None` "
                f"dimensions). Received: shape={sizes} for variable path='{path}'"
            )
        kind = self._real() if dtype is None else np.dtype(dtype)
        made = initializers.get(
            ("glorot_uniform" if kind.kind == "f" else "zeros")
            if initializer is None
            else initializer
        )
        # What a number starts with is drawn as one of a row.
        array = np.array(made(sizes or (1,), self._real()), kind, order="C").reshape(sizes)
        gradient = np.zeros_like(array) if kind.kind == "f" else None
        variable: Variable = Variable.over(
            array, gradient, label, path, bool(trainable) and gradient is not None
        )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._variables.append(variable)
        _plan.note_change()
        return variable

    add_variable = add_weight

    def _sublayers(self) -> Iterator[Any]:
        """Yield the layers among its attributes, in the order in which they came."""
        seen: set[int] = set()
        for name, value in self.__dict__.items():
            if name in ("_calls", "_given", "_losses", "_made", "_mark", "_variables"):
                continue
            for one in flat(value):
                if isinstance(one, Holder) and id(one) not in seen:
                    seen.add(id(one))
                    yield one

    def _within(self) -> Iterator[Any]:
        """Yield itself and all layers inside, each once."""
        seen: set[int] = set()

        def walk(layer: Holder) -> Iterator[Any]:
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                for one in layer._sublayers():
                    yield from walk(one)

        return walk(self)

    @property
    def trainable(self) -> bool:
        """Whether training changes it; may be assigned."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._within():
            layer._trainable = as_bool(value, "trainable")
            layer._set_trains()

    def _set_trains(self) -> None:
        """Say to the layers of deepc, and to the variables, whether they train."""
        for layer in self._made:
            if hasattr(layer, "trainable"):
                layer.trainable = self._trainable and not getattr(layer, "_fixed", False)
        if not self._made:
            for variable in self._variables:
                if variable.dtype.kind == "f":
                    variable.requires_grad = self._trainable and variable.trainable
            _plan.note_change()

    @property
    def weights(self) -> list[Variable]:
        """All variables: its own, those that train first, then those of the layers inside."""
        found: dict[int, Variable] = {}
        for layer in self._within():
            own = layer._variables
            for variable in (*filter(_trains, own), *(v for v in own if not _trains(v))):
                found.setdefault(id(variable), variable)
        return list(found.values())

    @property
    def variables(self) -> list[Variable]:
        """All variables."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        if not self._trainable:
            return []
        found: dict[int, Variable] = {}
        for layer in self._within():
            if layer._trainable:
                found.update({id(v): v for v in layer._variables if v.trainable})
        return list(found.values())

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes."""
        return self.trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The variables that it does not."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that it does not."""
        return self.non_trainable_weights

    @property
    def losses(self) -> list[Any]:
        """What `add_loss` added in the last call, and what regularizers add."""
        added = [one for layer in self._within() for one in layer._losses]
        return [*added, *(v.regularizer(v) for v in self.trainable_weights if v.regularizer)]

    def _need(self, name: str) -> None:
        if not self.built:
            raise AttributeError(f"You must build the layer before accessing `{name}`.")

    def _variable(self, name: str) -> Variable:
        self._need(name)
        return next(v for v in self._variables if v.name == name)

    def get_weights(self) -> list[Array]:
        """Return copies of all weights."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy other numbers into the weights."""
        mine, given = self.weights, list(weights)
        if len(given) != len(mine):
            raise ValueError(
                f"You called `set_weights(weights)` on layer '{self.name}' with a weight list of "
                f"length {len(given)}, but the layer was expecting {len(mine)} weights."
            )
        arrays = [as_array(w, "weights", v.value.dtype) for w, v in zip(given, mine, strict=True)]
        for array, variable in zip(arrays, mine, strict=True):
            if array.shape != variable.shape:
                raise ValueError(
                    f"Layer {self.name} weight shape {variable.shape} is not compatible with "
                    f"provided weight shape {array.shape}."
                )
        for array, variable in zip(arrays, mine, strict=True):
            variable.value[...] = array

    def count_params(self) -> int:
        """Return how many numbers its weights hold."""
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't "
                "built. You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(v.value.size for v in self.weights)


def _trains(variable: Variable) -> bool:
    return bool(variable.trainable)
