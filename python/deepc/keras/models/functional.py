"""Models of places: any graph of layers from one or several inputs to one or several outputs."""

from __future__ import annotations

from typing import Any

from deepc.keras.layers.base import Layer
from deepc.keras.layers.calls import is_custom
from deepc.keras.layers.inputs import InputLayer
from deepc.keras.layers.places import Call, KerasTensor, flat, mapped, sample_shapes
from deepc.keras.models.model import Model, first_reason

__all__ = ["Functional"]


class Functional(Model):
    """A graph of layers: ``Model(inputs, outputs)``.

    A chain of layers from one input to one output is compiled into one network. Anything else,
    with joins, layers that are used twice, several inputs or outputs, computes on the tape.

    Examples
    --------
    >>> from deepc.keras import layers
    >>> place = layers.Input((4,))
    >>> hidden = layers.Dense(4, activation="relu")(place)
    >>> model = Model(place, layers.Dense(2)(layers.Add()([place, hidden])))
    >>> model.output_shape
    (None, 2)
    """

    _has_graph = True

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None,
        trainable: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(name=name, trainable=trainable)
        _check_places(inputs, "inputs")
        _check_places(outputs, "outputs")
        self._inputs_at, self._outputs_at = _single(inputs), _single(outputs)
        self._steps_of = _ordered(list(flat(inputs)), list(flat(outputs)))
        self._chain = _by_depth(self._steps_of, list(flat(inputs)), list(flat(outputs)))
        self._is_chain = self._is_one_chain()
        self._in = sample_shapes(self._inputs_at)
        self._out = sample_shapes(self._outputs_at)
        self.built = True
        if self._is_chain:
            self._made = [made for layer in self._chain for made in layer._made]
        self._ready()

    def _is_one_chain(self) -> bool:
        """Whether each layer gets what the one before it gives."""
        place = self._inputs_at
        if not isinstance(place, KerasTensor) or not isinstance(self._outputs_at, KerasTensor):
            return False
        calls = [call for call in self._steps_of if not isinstance(call.layer, InputLayer)]
        if len({id(call.layer) for call in calls}) != len(calls):
            return False
        for call in calls:
            if call.named or len(call.arguments) != 1 or call.arguments[0] is not place:
                return False
            if len(call.outputs) != 1:
                return False
            place = call.outputs[0]
        return place is self._outputs_at

    def why_not_compiled(self) -> str:
        """Return why it is no chain of layers that become one network, "" if it is one."""
        if is_custom(type(self)):
            return super().why_not_compiled()
        if not self._is_chain:
            return "its layers are no chain from one input to one output"
        return first_reason(self._chain)

    @property
    def layers(self) -> list[Layer]:  # type: ignore[override]
        """Its layers, the inputs first."""
        own = {id(layer) for layer in self._chain}
        more = [layer for layer in self._sublayers() if id(layer) not in own]
        return [*self._chain, *more]

    @property
    def inputs(self) -> list[Any]:
        """The places of its inputs."""
        return list(flat(self._inputs_at))

    @property
    def outputs(self) -> list[Any]:
        """The places of its outputs."""
        return list(flat(self._outputs_at))

    def _input_names(self) -> list[str] | None:
        return [place.layer.name for place in flat(self._inputs_at)]

    def _output_names(self) -> list[str] | None:
        if isinstance(self._outputs_at, dict):
            return list(self._outputs_at)
        names = [place.layer.name for place in flat(self._outputs_at)]
        return [
            name if names.count(name) == 1 else f"{name}_{i}" if names[:i].count(name) else name
            for i, name in enumerate(names)
        ]

    def build_for(self, sample: Any, owner: str = "") -> Any:
        """Return the shape of what comes out; all weights are there."""
        return self._out

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute Tensors by all layers, each after those that it goes on from."""
        given = list(flat(inputs))
        places = list(flat(self._inputs_at))
        if len(given) != len(places):
            raise ValueError(
                f"inputs: Layer '{self.name}' expects {len(places)} input(s), but it received "
                f"{len(given)} input tensors"
            )
        found: dict[int, Any] = {
            id(place): value for place, value in zip(places, given, strict=True)
        }

        def value(part: Any) -> Any:
            return found[id(part)] if isinstance(part, KerasTensor) else part

        for call in self._steps_of:
            if all(id(place) in found for place in call.outputs):
                continue
            named = dict(call.named)
            said = named.pop("training", None)
            result = call.layer(
                *mapped(call.arguments, value), training=said, **mapped(named, value)
            )
            found.update(
                {id(place): one for place, one in zip(call.outputs, flat(result), strict=True)}
            )
        return mapped(self._outputs_at, value)

    def get_config(self) -> dict[str, Any]:
        """Return what makes it anew, without its weights."""
        from deepc.keras import _saving

        return _saving.functional_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make one from that."""
        from deepc.keras import _saving

        return _saving.functional_of(config, custom_objects)


def _check_places(places: Any, name: str) -> None:
    listed = list(flat(places))
    for one in listed:
        if not isinstance(one, KerasTensor):
            raise ValueError(
                f"All `{name}` values must be KerasTensors, as Input and layers give them. "
                f"Received: {name}={places} including invalid value {one} of type {type(one)}"
            )
    if not listed:
        raise ValueError(f"{name}: expected at least one place, got {places}")


def _single(places: Any) -> Any:
    """Return the place for a list of one, anything else with tuples as lists."""
    if isinstance(places, dict):
        return dict(places)
    if isinstance(places, (list, tuple)):
        return places[0] if len(places) == 1 else list(places)
    return places


def _ordered(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Call]:
    """Return the uses of layers between places, each after those that it goes on from.

    By a list of what is still to do, not by recursion: a graph may be deep.
    """
    ends = {id(place) for place in inputs}
    order: list[Call] = []
    done: set[int] = set()
    todo: list[tuple[Call, bool]] = []
    for output in reversed(outputs):
        if id(output) not in ends:
            todo.append((output.call, False))
    while todo:
        call, is_ready = todo.pop()
        if id(call) in done:
            continue
        if is_ready:
            done.add(id(call))
            order.append(call)
            continue
        if not call.inputs:
            at = next((i for i, o in enumerate(outputs) if _reaches(o, call)), 0)
            raise ValueError(
                f"Output with path `{at if len(outputs) > 1 else ''}` is not connected to "
                f"`inputs`: it needs '{call.layer.name}', which is none of them"
            )
        todo.append((call, True))
        for place in reversed(call.inputs):
            if id(place) not in ends:
                todo.append((place.call, False))
    return order


def _reaches(output: KerasTensor, wanted: Call) -> bool:
    todo, seen = [output.call], set[int]()
    while todo:
        call = todo.pop()
        if call is wanted:
            return True
        if id(call) not in seen:
            seen.add(id(call))
            todo += [place.call for place in call.inputs]
    return False


def _by_depth(
    order: list[Call], inputs: list[KerasTensor], outputs: list[KerasTensor]
) -> list[Layer]:
    """Return the layers, those that are farthest from the outputs first, as Keras shows them."""
    depths: dict[int, int] = {}
    layers: dict[int, Layer] = {}
    of_layer: dict[int, int] = {}
    # Places that stand in for an input have a layer of their own.
    sources = [
        place.call.layer if isinstance(place.call.layer, InputLayer)
        else InputLayer(place.shape[1:], name=f"input_layer_{i}")
        for i, place in enumerate(inputs)
    ]  # fmt: skip
    calls = {id(place): source for place, source in zip(inputs, sources, strict=True)}
    for call in reversed(order):
        depth = max(depths.get(id(call), 0), of_layer.get(id(call.layer), 0))
        depths[id(call)] = of_layer[id(call.layer)] = depth
        layers[id(call.layer)] = call.layer
        for place in call.inputs:
            source = calls.get(id(place))
            if source is not None:
                of_layer[id(source)] = max(of_layer.get(id(source), 0), depth + 1)
                layers[id(source)] = source
            else:
                before = depths.get(id(place.call), 0)
                depths[id(place.call)] = max(before, depth + 1)
    for source in sources:
        layers.setdefault(id(source), source)
        of_layer.setdefault(id(source), 0)
    first_use = _first_use(outputs, calls)
    return sorted(
        layers.values(), key=lambda layer: (-of_layer[id(layer)], first_use.get(id(layer), -1))
    )


def _first_use(outputs: list[KerasTensor], sources: dict[int, InputLayer]) -> dict[int, int]:
    """Return when each layer is first met on the way from the outputs back."""
    found: dict[int, int] = {}
    todo = list(reversed(outputs))
    seen: set[int] = set()
    while todo:
        place = todo.pop()
        source = sources.get(id(place))
        layer = source if source is not None else place.call.layer
        found.setdefault(id(layer), len(found))
        if source is None and id(place.call) not in seen:
            seen.add(id(place.call))
            todo += reversed(place.call.inputs)
    return found
