"""A training that can go on where it was killed: all of its state in one file.

The file is that of `save`, with a part more: the optimizer's numbers and what it remembers, where
in the data training is, the history, and what callbacks have counted. Floats stand in hexadecimal,
so that nothing is rounded on the way. `load` reads the model out of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from deepc._c.optimizer import new_optimizer, states_of
from deepc._values import Array, as_number, describe
from deepc.layers import Layer
from deepc.optimizers import BuiltinOptimizer, Optimizer
from deepc.shipping.kinds import (
    KINDS,
    Numbers,
    describe_model,
    kind_of,
    make_model,
    model_tensors,
    resume_layer,
    walk,
    word,
)
from deepc.shipping.tensors import KEEPS_NAMES, ending, read_parts, write_parts

__all__ = ["CheckpointFile", "Progress"]

_OPTIMIZER, _CALLBACKS, _METRICS = "optimizer.", "callbacks.", "metrics."
_OWN = (_OPTIMIZER, _CALLBACKS, _METRICS)
_FACTS = ("rows", "batch_size", "steps_per_epoch")


class Progress:
    """How far a training is.

    Attributes
    ----------
    facts : dict of str to int
        What it goes over, which must be the same when it goes on: rows, batch_size,
        steps_per_epoch, as far as they are known.
    key : int or None
        What the orders of all epochs come from; None if rows are not shuffled.
    epoch : int
        The epoch that runs, or is next.
    position, step : int
        How many rows of it have been trained on, in how many steps.
    loss : float
        The sum of their losses.
    counted : bool
        Whether the batches are counted, because epochs do not begin where their order does.
    taken, digest : int
        How many batches have been taken in all epochs, and a checksum of those of a stream.
    metrics : list
        What adds up over an epoch, and so belongs to a position in its midst.
    """

    def __init__(self, facts: dict[str, int], key: int | None, epoch: int, counted: bool) -> None:
        self.facts, self.key, self.epoch, self.counted = facts, key, epoch, counted
        self.position = self.step = self.taken = self.digest = 0
        self.loss = 0.0
        self.metrics: list[Any] = []

    def stored(self) -> dict[str, Any]:
        """Return what stands in the file."""
        place = {"step": self.step, "taken": self.taken, "digest": word(self.digest)}
        return {
            **self.facts,
            "order": None if self.key is None else word(self.key),
            "epoch": self.epoch,
            "position": self.position,
            "loss": float(self.loss).hex(),
            **({"batches": place} if self.counted else {}),
        }

    def restored(self, numbers: Numbers, path: str) -> Progress:
        """Return what stands in a file, if it is of a training like this one."""
        for name in _FACTS:
            theirs = numbers.whole(name, 1) if numbers.given(name) else None
            if theirs != self.facts.get(name):
                raise ValueError(
                    f"{path}: is of a training with {name} {theirs}, not {self.facts.get(name)}"
                )
        key = numbers.word("order") if numbers.given("order") else numbers.take("order")
        if (key is None) != (self.key is None):
            raise ValueError(f"{path}: shuffle: is of a training with {key is not None}")
        new = Progress(self.facts, key, numbers.whole("epoch"), self.counted)
        new.position, new.loss = numbers.whole("position"), numbers.real("loss", finite=False)
        if self.counted:
            of = Numbers(numbers.take("batches"), f"{numbers.where}: batches")
            new.step, new.taken, new.digest = of.whole("step"), of.whole("taken"), of.word("digest")
            of.done()
            most = min(new.taken, self.facts.get("steps_per_epoch", new.taken + 1) - 1)
            if new.step > most or (new.step == 0) != (new.position == 0):
                raise of.fail("step", f"a step of the epoch, at most {most}", new.step)
        elif new.position > self.facts["rows"] or new.position % self.facts["batch_size"]:
            raise numbers.fail("position", "the end of a batch", new.position)
        else:
            new.step = new.position // self.facts["batch_size"]
        return new


class CheckpointFile:
    """Where a training keeps its state, and how often.

    Parameters
    ----------
    path : str or path
    every : "epoch" or float
        After each epoch, or after so many seconds, also in the midst of an epoch.
    """

    def __init__(self, path: Any, every: Any) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint: expected a string or a path, got {describe(path)}")
        self.path = os.fsdecode(path)
        ending(self.path, KEEPS_NAMES, "checkpoint")
        self.seconds: float | None = None
        if isinstance(every, str):
            if every != "epoch":
                raise ValueError(f"every: expected 'epoch' or seconds, got {every!r}")
        else:
            self.seconds = as_number(every, "every")
            if not self.seconds >= 0:
                raise ValueError(f"every: expected 'epoch' or at least 0 seconds, got {every}")
        self.last = time.monotonic()

    def is_due(self, at_end_of_epoch: bool) -> bool:
        """Whether it is time to write."""
        if self.seconds is None:
            return at_end_of_epoch
        return time.monotonic() - self.last >= self.seconds

    def write(
        self, model: Layer, optimizer: Any, callbacks: Sequence[Any], history: Any,
        progress: Progress,
    ) -> None:  # fmt: skip
        """Replace the file by one with the state of now."""
        kept = [dict(_kept(callback)) for callback in callbacks]
        added = [state_of(item) or {} for item in progress.metrics if progress.position]
        arrays = dict(_tensors(model))
        names = _parameter_names(model)
        optimizer = _rule_of(optimizer)
        for name, states in zip(names, optimizer._memory, strict=False):
            for state, array in zip(optimizer._kept, states, strict=True):
                arrays[f"{_OPTIMIZER}{state}.{name}"] = array
        for place, states in ((_CALLBACKS, kept), (_METRICS, added)):
            for i, values in enumerate(states):
                for name, value in values.items():
                    for j, array in enumerate(value if _is_arrays(value) else ()):
                        arrays[f"{place}{i}.{name}.{j}"] = array
        numbers = optimizer.__getstate__()["_numbers"]
        training = {
            **progress.stored(),
            "optimizer": {
                "kind": type(optimizer).__name__,
                **{name: _stored(value) for name, value in numbers.items()},
            },
            "history": {
                "epochs": history.epochs,
                "losses": [float(value).hex() for value in history],
                "series": {
                    name: [history.epochs_of(name), [float(v).hex() for v in values]]
                    for name, values in history.series.items()
                },
                "stopped": history.stopped,
            },
            "callbacks": _listed(callbacks, kept),
            "metrics": _listed(progress.metrics, added),
        }  # fmt: skip
        write_parts(self.path, arrays, {"model": _description(model), "training": training})
        self.last = time.monotonic()

    def read(
        self, model: Layer, optimizer: Any, callbacks: Sequence[Any], history: Any,
        progress: Progress, go_to: Callable[[Progress], None],
    ) -> None:  # fmt: skip
        """Put the state of the file into a training; everything is checked before.

        `go_to` brings what gives the rows to a place, or refuses.

        Raises
        ------
        ValueError
            If the file is damaged, or that of another training; nothing has changed then.
        """
        path = self.path
        tensors, parts = read_parts(path, ("model", "training"))
        own = {n: a for n, a in tensors.items() if not n.startswith(_OWN)}
        pairs, others = _saved_parts(parts["model"], own, model, path)
        optimizer = _rule_of(optimizer)
        numbers = Numbers(parts["training"], f"{path}: training")
        place = progress.restored(numbers, path)
        new_numbers, kept, memory = _read_optimizer(numbers, model, optimizer, tensors)
        new_history = _read_history(Numbers(numbers.take("history"), f"{path}: history"))
        names = [tuple(getattr(callback, "kept", ())) for callback in callbacks]
        states = _read_states(numbers, "callbacks", callbacks, names, tensors)
        added: Sequence[Any] = progress.metrics if place.position else ()
        sums = _read_states(numbers, "metrics", added, [tuple(vars(m)) for m in added], tensors)
        numbers.done()
        go_to(place)

        for layer, saved in pairs:
            for (_, old), (_, new) in zip(walk(layer), walk(saved), strict=True):
                resume_layer(old, new)
        for array, numbers_of in others:
            array[...] = numbers_of
        optimizer.__setstate__({"_numbers": new_numbers, "_kept": kept, "_memory": memory})
        optimizer._unbind()
        epochs, losses, series, stopped = new_history
        history[:] = losses
        history.epochs = epochs
        history.series = {name: values for name, (_, values) in series.items()}
        history._epochs_of = {name: of for name, (of, _) in series.items()}
        history.stopped = stopped
        for callback, state in zip(callbacks, states, strict=True):
            vars(callback).update(state)
        for item, state in zip(added, sums, strict=True):
            vars(item).update(state)
        place.metrics = progress.metrics
        vars(progress).update(vars(place))


def check(optimizer: Optimizer, callbacks: Sequence[Any]) -> None:
    """Refuse what has a state that nobody knows."""
    if not isinstance(_rule_of(optimizer), BuiltinOptimizer):
        raise TypeError(
            f"checkpoint: expected an optimizer of the library, got {describe(optimizer)}"
        )
    for callback in callbacks:
        dict(_kept(callback))


def _listed(things: Sequence[Any], states: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what stands in the file of callbacks or metrics, beside their arrays."""
    return [
        {
            "kind": type(thing).__name__,
            **{name: len(v) if _is_arrays(v) else _stored(v) for name, v in state.items()},
        }
        for thing, state in zip(things, states, strict=False)
    ]


def state_of(metric: Any) -> dict[str, Any] | None:
    """Return what a metric has added up, None if that cannot be kept."""
    state = dict(vars(metric))
    return state if all(_is_plain(v) or _is_arrays(v) for v in state.values()) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _kept(callback: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(callback, "kept", ()):
        value = getattr(callback, name)
        if not (_is_plain(value) or _is_arrays(value)):
            raise TypeError(
                f"checkpoint: {type(callback).__name__}.{name}: expected a number, a string, None "
                f"or a list of arrays, got {describe(value)}"
            )
        yield name, value


def _is_arrays(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, np.ndarray) for item in value)


def _stored(value: Any) -> Any:
    """Return a value as it stands in the file: floats and large integers exactly."""
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"int": str(int(value))}
    return value


def _restored(numbers: Numbers, name: str) -> Any:
    value = numbers.take(name)
    if isinstance(value, dict) and len(value) == 1:
        inner = Numbers(value, f"{numbers.where}: {name}")
        if "float" in value:
            return inner.real("float", finite=False)
        text = inner.text("int")
        if text.removeprefix("-").isdecimal() and len(text) <= 20:
            return int(text)
    if value is None or isinstance(value, (bool, str)):
        return value
    raise numbers.fail(name, "a number, a string or null", value)


def _rule_of(optimizer: Any) -> Any:
    """Return the optimizer that another one is wrapped around."""
    return getattr(optimizer, "optimizer", optimizer)


# A model that is no layer or `Sequential` of the library may say what it is made of: its method
# `stored_parts` returns layers of the library, and arrays that belong to none of them.


def _parts_of(model: Any) -> tuple[list[Any], list[Array]] | None:
    parts = getattr(model, "stored_parts", None)
    return parts() if callable(parts) else None


def _tensors(model: Any) -> dict[str, Any]:
    parts = _parts_of(model)
    if parts is None:
        return model_tensors(model)
    found = {
        f"{i}.{name}": array
        for i, layer in enumerate(parts[0])
        for name, array in model_tensors(layer).items()
    }
    return {**found, **{f"own.{i}": array for i, array in enumerate(parts[1])}}


def _description(model: Any) -> dict[str, Any]:
    parts = _parts_of(model)
    if parts is None:
        return describe_model(model)
    return {"kind": "parts", "layers": [describe_model(layer) for layer in parts[0]]}


def _saved_parts(
    description: Any, tensors: dict[str, Array], model: Any, path: str
) -> tuple[list[tuple[Any, Any]], list[tuple[Array, Array]]]:
    """Return each layer of a model with what a file has of it, and each other array with its."""
    parts = _parts_of(model)
    if parts is None:
        saved = make_model(description, tensors, path)
        _check_model(saved, model, path)
        return [(model, saved)], []
    numbers = Numbers(description, f"{path}: model")
    numbers.text("kind", ["parts"])
    layers = numbers.take("layers")
    if not isinstance(layers, list) or len(layers) != len(parts[0]):
        raise ValueError(f"{path}: is of another model: expected {len(parts[0])} layers")
    rest, pairs = dict(tensors), []
    for i, (one, layer) in enumerate(zip(layers, parts[0], strict=True)):
        mine = {key: rest.pop(key) for key in list(rest) if key.split(".")[0] == str(i)}
        stripped = {key.partition(".")[2]: array for key, array in mine.items()}
        saved = make_model(one, stripped, path)
        _check_model(saved, layer, path)
        pairs.append((layer, saved))
    others = []
    for i, array in enumerate(parts[1]):
        stored = rest.pop(f"own.{i}", None)
        if stored is None or (stored.shape, stored.dtype) != (array.shape, array.dtype):
            got = "none" if stored is None else f"{list(stored.shape)} of {stored.dtype}"
            raise ValueError(
                f"{path}: is of another model: expected weights of shape {list(array.shape)} of "
                f"{array.dtype}, got {got}"
            )
        others.append((array, stored))
    if rest:
        raise ValueError(f"{path}: tensor {min(rest)!r} belongs to no part of the model")
    return pairs, others


def _parameter_names(model: Layer) -> list[str]:
    # By where they lie: a model of parts may have a layer's matrix the other way round.
    names = {_place_of(array): name for name, array in _tensors(model).items()}
    return [names[_place_of(param)] for param in model.params()]


def _place_of(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        return (array.__array_interface__["data"][0], array.size)
    return id(array)


def _check_model(saved: Layer, model: Layer, path: str) -> None:
    def described(net: Layer) -> list[tuple[str, str]]:
        layers = []
        for place, layer in walk(net):
            kind = str(kind_of(layer))
            tensors = KINDS[kind].tensors(layer).items()
            shapes = [f"{name} {list(array.shape)} of {array.dtype}" for name, array in tensors]
            layers.append((place, f"{kind} ({', '.join(shapes)})" if shapes else kind))
        return layers

    ours, theirs = described(model), described(saved)
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            place = f"layer {mine[0]}" if mine[0] else "it"
            raise ValueError(
                f"{path}: is of another network: {place} is {mine[1]}, there {other[1]}"
            )
    if len(ours) != len(theirs):
        raise ValueError(f"{path}: is of another network: of {len(theirs)} layers, not {len(ours)}")


def _read_optimizer(
    numbers: Numbers, model: Layer, optimizer: Any, tensors: dict[str, Array]
) -> tuple[dict[str, Any], tuple[str, ...], list[list[Array]]]:
    """Return the numbers of an optimizer, what it remembers of a parameter, and that of each."""
    of = Numbers(numbers.take("optimizer"), f"{numbers.where}: optimizer")
    of.text("kind", [type(optimizer).__name__])
    values: dict[str, Any] = {}
    made = new_optimizer(optimizer._rule)
    for name, now in optimizer.__getstate__()["_numbers"].items():
        values[name] = _restored(of, name)
        if type(values[name]) is not type(now):
            raise of.fail(name, f"a number like {now}", values[name])
        try:
            setattr(made, name, values[name])
        except OverflowError:
            raise of.fail(name, f"a number like {now}", values[name]) from None
    of.done()
    kept, memory = states_of(made), []
    for name, param in zip(_parameter_names(model), model.params(), strict=True):
        states = [tensors.get(f"{_OPTIMIZER}{state}.{name}") for state in kept]
        found = [state for state in states if state is not None]
        array = np.asarray(param)
        if len(found) not in (0, len(states)) or any(
            (state.shape, state.dtype) != (array.shape, array.dtype) for state in found
        ):
            raise ValueError(f"{of.where}: expected what it remembers of {name}, like {name}")
        memory.append(found)
    if not any(memory):
        return values, (), []
    if not all(memory):
        raise ValueError(f"{of.where}: it remembers some parameters only")
    return values, kept, memory


def _read_history(numbers: Numbers) -> tuple[Any, ...]:
    def floats(name: str, values: Any) -> list[float]:
        if not isinstance(values, list):
            raise numbers.fail(name, "a list", values)
        return [numbers.as_real(name, value, finite=False) for value in values]

    def integers(name: str, values: Any) -> list[int]:
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            raise numbers.fail(name, "a list of integers", values)
        return values

    epochs = integers("epochs", numbers.take("epochs"))
    losses = floats("losses", numbers.take("losses"))
    series, table = {}, numbers.take("series")
    if not isinstance(table, dict) or len(epochs) != len(losses):
        raise numbers.fail("series", "a series for each name", table)
    for name, pair in table.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise numbers.fail(name, "epochs and numbers", pair)
        series[name] = (integers(name, pair[0]), floats(name, pair[1]))
        if len(series[name][0]) != len(series[name][1]):
            raise numbers.fail(name, "a number for each epoch", pair[1])
    stopped = numbers.text("stopped") if numbers.given("stopped") else numbers.take("stopped")
    numbers.done()
    return epochs, losses, series, stopped


def _read_states(
    numbers: Numbers, what: str, things: Sequence[Any], names: Sequence[tuple[str, ...]],
    tensors: dict[str, Array],
) -> list[dict[str, Any]]:  # fmt: skip
    saved = numbers.take(what)
    if not isinstance(saved, list) or len(saved) != len(things):
        raise numbers.fail(what, f"those of {len(things)} {what}", saved)
    states = []
    for i, (thing, of_thing, one) in enumerate(zip(things, names, saved, strict=True)):
        of = Numbers(one, f"{numbers.where}: {what}[{i}]")
        of.text("kind", [type(thing).__name__])
        state: dict[str, Any] = {}
        for name in of_thing:
            if of.has(name) and type(one[name]) is int:
                keys = [f"{what}.{i}.{name}.{j}" for j in range(of.whole(name))]
                if missing := [key for key in keys if key not in tensors]:
                    raise ValueError(f"{of.where}: tensor {missing[0]!r} is missing")
                state[name] = [tensors[key] for key in keys]
            else:
                state[name] = _restored(of, name)
        of.done()
        states.append(state)
    return states
