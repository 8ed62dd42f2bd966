"""What a model is trained and measured on: samples, what is right for them, and their weights.

Everything is checked here before anything changes. Arrays are used where they are (also those that
are mapped from a file); lists, pandas tables and the like become arrays once; batches from a
generator or a loader become arrays one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from deepc._c.arrays import array_sum
from deepc._values import Array, any_array, as_array, check_part, describe
from deepc.layers import Layer
from deepc.layers.sequential import compiled_network, output_width
from deepc.losses import BuiltinLoss, Loss, as_labels, check_labels

__all__ = ["Rows"]


def check_model(model: Any) -> None:
    """Refuse what is no layer."""
    check_part(model, "model", "a layer", "forward")


class Rows:
    """Samples in rows with what is right for them: targets, or labels, and the other one is None.

    Attributes
    ----------
    x : ndarray of shape (rows, inputs)
    targets : ndarray of shape (rows, outputs) or None
    labels : ndarray of int64 of shape (rows,) or None
    weights : ndarray of shape (rows,) or None
        How much each row counts; of the dtype of x.
    """

    # Not a dataclass, whose module takes longer to import than the rest of this one.
    __slots__ = ("labels", "targets", "weights", "x")

    def __init__(
        self,
        x: Array,
        targets: Array | None,
        labels: Array | None,
        weights: Array | None = None,
    ) -> None:
        self.x = x
        self.targets = targets
        self.labels = labels
        self.weights = weights

    def __len__(self) -> int:
        return len(self.x)

    @property
    def actual(self) -> Array:
        """The targets or the labels."""
        return self.labels if self.targets is None else self.targets  # type: ignore[return-value]

    def part(self, rows: slice | Array) -> Rows:
        """Return some of the rows."""
        return Rows(*(None if a is None else a[rows] for a in self._arrays()))  # type: ignore[arg-type]

    def _arrays(self) -> tuple[Array | None, ...]:
        return self.x, self.targets, self.labels, self.weights


def finite(array: Array, name: str) -> Array:
    """Return an array; refuse one that holds NaN or an infinity, and say where."""
    # The sum is one pass at memory speed; only if it is odd is it worth looking for the place.
    if not math.isfinite(array_sum(array)) and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}: expected finite numbers that {array.dtype} can hold, "
            f"got {array[place]} at {place}"
        )
    return array


def samples(x: Any, name: str, dtype: np.dtype[Any] | None) -> Array:
    """Return samples as an array of that dtype, or of the one that fits what came."""
    return as_array(x, name, dtype)


def check_rows(
    model: Layer, x: Any, y: Any, loss: Loss | None, sample_weight: Any = None, name: str = ""
) -> Rows:
    """Return samples and what is right for them, checked against the model and the loss.

    `name` stands before the names of the arguments in errors: ``"validation "``.
    """
    network = compiled_network(model)
    if network is None:
        array = finite(samples(x, f"{name}x", None), f"{name}x")
    elif network.takes_indices:
        array = network.as_input(x, f"{name}x")
        network.check_indices(array, f"{name}x")
    else:
        array = finite(network.as_input(x, f"{name}x"), f"{name}x")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name}x: expected samples in rows, at least 1 x 1, got shape {array.shape}"
        )
    if network and network.inputs and array.shape[1] != network.inputs:
        raise ValueError(f"{name}x: expected {network.inputs} columns, got {array.shape[1]}")
    if y is None:
        raise ValueError(f"{name}y: expected {len(array)} targets or labels, got None")
    dtype = network.dtype if network else array.dtype
    outputs = network.outputs_for(array.shape[1]) if network else output_width(model)
    targets, labels = check_targets(y, array, outputs, loss, f"{name}y", dtype)
    weights = check_weights(sample_weight, array, f"{name}sample_weight", dtype)
    return Rows(array, targets, labels, weights)


def check_targets(
    y: Any,
    x: Array,
    outputs: int | None,
    loss: Loss | None,
    name: str = "y",
    dtype: np.dtype[Any] | None = None,
) -> tuple[Array | None, Array | None]:
    """Return targets or labels, checked; the other one is None. Targets are of `dtype`, or x's."""
    given = any_array(y, name)
    if not isinstance(loss, BuiltinLoss) and given.shape != (len(x), outputs or -1):
        if given.ndim == 0 or len(given) != len(x):
            raise ValueError(f"{name}: expected {len(x)} rows as in x, got shape {given.shape}")
        return given, None
    if given.ndim == 1 and isinstance(loss, BuiltinLoss) and loss.takes_labels:
        shape = (len(x), outputs if outputs else int(np.iinfo(np.int64).max))
        labels = as_labels(given, shape, name)
        check_labels(given, shape[-1], name)
        return None, labels
    if isinstance(loss, BuiltinLoss) and outputs and outputs > 1:
        _refuse_labels(given, loss, outputs, name)
    targets = finite(as_array(given, name, dtype or x.dtype), name)
    if targets.ndim == 1 and outputs in (1, None):
        targets = targets[:, None]
    if targets.ndim != 2 or (outputs and targets.shape[1] != outputs):
        raise ValueError(
            f"{name}: expected shape ({len(x)}, {outputs or 'outputs'}), got {targets.shape}"
        )
    if len(targets) != len(x):
        raise ValueError(f"{name}: expected {len(x)} rows as in x, got {len(targets)}")
    return targets, None


def _refuse_labels(given: Array, loss: BuiltinLoss, outputs: int, name: str) -> None:
    """Refuse what are class numbers, or seem to be, and say how they become what is wanted."""
    one_column = given.ndim == 2 and given.shape[1] == 1
    y = name.split()[-1]  # of "validation y" too
    if given.ndim != 1 and not one_column:
        return
    if loss.takes_labels:
        cure = f"labels are of shape ({len(given)},): use {y}.ravel()"
    else:
        column = f"{y}.ravel()" if one_column else y
        cure = f"class numbers? use one_hot_encode({column}, {outputs}) or SoftmaxCrossEntropy"
    raise ValueError(f"{name}: expected shape ({len(given)}, {outputs}), got {given.shape}; {cure}")


def check_weights(
    weights: Any, x: Array, name: str, dtype: np.dtype[Any] | None = None
) -> Array | None:
    """Return weights of rows, of `dtype` or the dtype of x; None if there are none."""
    if weights is None:
        return None
    array = finite(as_array(weights, name, dtype or x.dtype), name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (len(x),):
        raise ValueError(f"{name}: expected {len(x)} numbers, one a row of x, got {array.shape}")
    if (least := array.min()) < 0:
        raise ValueError(f"{name}: expected numbers of at least 0, got {least}")
    return np.ascontiguousarray(array)


def class_weights(class_weight: Any, rows: Rows) -> Array:
    """Return the weight of each row by its class; a class that is not named weighs 1."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight: expected a dict of class number to weight, got {describe(class_weight)}"
        )
    for key, value in class_weight.items():
        if isinstance(key, (bool, np.bool_)) or not hasattr(key, "__index__") or key < 0:
            raise ValueError(f"class_weight: expected class numbers as keys, got {key!r}")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"class_weight: expected weights of at least 0, got {value}")
    if rows.labels is not None:
        classes = rows.labels
    elif rows.targets is not None and rows.targets.shape[1] > 1:
        classes = rows.targets.argmax(axis=1)
    else:
        classes = rows.actual.reshape(-1).astype(np.int64)
    most = max([int(classes.max()), *map(int, class_weight)])
    if most >= 2**24:
        raise ValueError(f"class_weight: expected class numbers below {2**24}, got {most}")
    whole = rows.x.dtype.kind == "i"  # x names rows of a table; what is right for it may be labels
    given = rows.actual.dtype if rows.targets is not None else np.dtype(np.float32)
    table = np.ones(most + 1, given if whole else rows.x.dtype)
    for key, value in class_weight.items():
        table[key] = value
    return np.asarray(table[classes])


def split(rows: Rows, fraction: float) -> tuple[Rows, Rows]:
    """Return the first rows and the last ones, which are that fraction."""
    first = math.floor(len(rows) * (1 - fraction))
    if first == 0 or first == len(rows):
        raise ValueError(
            f"validation_split: {len(rows)} samples cannot be split into a training and a "
            f"validation part by {fraction}"
        )
    return rows.part(slice(0, first)), rows.part(slice(first, None))


def is_stream(x: Any, y: Any) -> bool:
    """Whether x brings whole batches, each with its targets, instead of being the samples."""
    if y is not None or isinstance(x, (np.ndarray, list, tuple, str, Mapping)):
        return False
    if hasattr(x, "to_numpy") or hasattr(x, "__array__"):
        return False
    return isinstance(x, Iterable)


def batches(stream: Any, model: Layer, loss: Loss | None) -> Iterator[Rows]:
    """Yield the batches of a stream, checked."""
    for number, batch in enumerate(stream):
        name = f"batch {number}: "
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise TypeError(f"{name}expected (x, y) or (x, y, weights), got {describe(batch)}")
        x, y, *weights = (_plain(part) for part in batch)
        yield check_rows(model, x, y, loss, weights[0] if weights else None, name)


def _plain(value: Any) -> Any:
    """Return what other libraries' tensors hold as an array."""
    if hasattr(value, "detach"):
        value = value.detach()
    return value.numpy() if hasattr(value, "numpy") and not isinstance(value, list) else value
