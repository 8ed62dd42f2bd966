"""Data as a model takes them: samples as rows, what is right for them, and weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepc._values import Array
from deepc.keras import _training
from deepc.keras._graph import Graph, Packing
from deepc.keras.layers.inputs import InputLayer
from deepc.keras.layers.places import flat
from deepc.keras.models.compiling import Compiled
from deepc.training.data import Rows, check_rows, class_weights, split
from deepc.training.sources import StreamSource

__all__ = ["Feeding"]


class Feeding(Compiled):
    """What a model makes of the arrays and batches that it is given."""

    def _rows_of(self, x: Any, name: str = "x", batch: int | None = None) -> Array:
        """Return samples as rows, the model built for them."""
        if self._full is None:
            given = _training.structured(x, name)
            rows = [len(one) for one in flat(given)]
            if not rows or not all(rows):
                raise ValueError(f"{name}: expected at least one sample, got none")
            self._build_from(given, min(batch or rows[0], rows[0]))
        packing = self._packed_in
        if packing.several:
            given = packing.listed(x, name, self.name)
        elif isinstance(x, (list, tuple)) and len(x) == 1 and np.ndim(x[0]) == len(self._in) + 1:
            given = [x[0]]  # a list of the one input
        else:
            given = [x[packing.names[0]] if _is_named(x, packing) else x]
        arrays = []
        for i, one in enumerate(given):
            array = _training.as_samples(one, f"{name}[{i}]" if packing.several else name)
            if len(array) == 0:
                raise ValueError(f"{name}: expected at least one sample, got shape {array.shape}")
            shape = packing.shapes[i]
            if array.shape[1:] != shape:
                if array.ndim == 1 and shape == (1,):
                    array = array[:, None]
                else:
                    self._refuse(array, shape, packing.names[i] if packing.several else "")
            arrays.append(array)
        _training.check_cardinality(**{f"{name}[{i}]": array for i, array in enumerate(arrays)})
        if isinstance(self._full, Graph):
            return packing.rows(arrays, self._row_dtype())
        return arrays[0].reshape(len(arrays[0]), -1)

    def _row_dtype(self) -> np.dtype[Any]:
        """Return the widest dtype that any weight has."""
        kinds = {v.dtype for v in self.weights if v.dtype.kind == "f"}
        return np.result_type(*kinds) if kinds else self._real()

    def _refuse(self, array: Array, shape: Any, place: str) -> None:
        expected = (None, *shape)
        if place:
            raise ValueError(
                f"Invalid input shape for input '{place}'. Expected shape {expected}, but input "
                f"has incompatible shape {array.shape}"
            )
        if array.shape == shape:
            raise ValueError(
                f"Invalid input shape for input {array.dtype} array. Expected shape {expected}, "
                f"but input has incompatible shape {array.shape}; for one sample use x[None]"
            )
        inner = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        first = inner[0].name if inner else self.name
        if array.ndim == 1:
            raise ValueError(
                f"Input 0 of layer '{first}' is incompatible with the layer: expected "
                f"min_ndim=2, found ndim=1. Full shape received: {array.shape}"
            )
        raise ValueError(
            f"Exception encountered when calling {type(self).__name__}.call(). Input 0 with name "
            f"'None' of layer '{first}' is incompatible with the layer: expected axis -1 of input "
            f"shape to have value {shape[-1] if shape else 1}, but received input with "
            f"shape {array.shape}"
        )

    def _data(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, name: str = "",
        batch: int | None = None,
    ) -> Rows:  # fmt: skip
        """Return checked samples, targets and weights."""
        if isinstance(x, tuple) and y is None and len(x) in (2, 3):
            x, y, sample_weight = (*x, sample_weight)[:3]
        if sample_weight is not None and class_weight is not None:
            raise ValueError("You cannot `class_weight` and `sample_weight` at the same time.")
        rows = self._rows_of(x, f"{name}x", batch)
        if y is None:
            raise ValueError(f"{name}y: expected {len(rows)} targets, got None")
        out = self._packed_out
        weights = each = None
        if not out.several and isinstance(sample_weight, dict) and list(sample_weight) == out.names:
            sample_weight = sample_weight[out.names[0]]
        if out.several and isinstance(sample_weight, (dict, list, tuple)):
            each = _training.output_weights(sample_weight, out, len(rows), f"{name}sample_weight")
        elif sample_weight is not None:
            weights = _training.as_samples(sample_weight, f"{name}sample_weight")
        if out.several or (isinstance(y, dict) and list(y) == out.names):
            listed = out.listed(y, f"{name}y", self.name)
        else:
            listed = [y]
        given = [None if one is None else _training.as_samples(one, f"{name}y") for one in listed]
        named = {f"y[{i}]" if out.several else "y": one for i, one in enumerate(given)}
        _training.check_cardinality(x=rows, sample_weight=weights, **named)
        self._choose_crossentropy(given)
        _, _, _, net = self._machinery()
        prepared, ignored = _training.all_targets(self._chosen(), given, out, f"{name}y", each)
        if ignored is not None:
            weights = ignored if weights is None else weights * ignored
        checked = check_rows(net, rows, prepared, self._checks_by(), weights, name)
        if class_weight is not None:
            if not isinstance(class_weight, dict) or any(
                isinstance(k, bool) or not isinstance(k, (int, np.integer)) for k in class_weight
            ):
                raise ValueError(
                    "`class_weight` must be a dictionary mapping integer class numbers to "
                    f"weights. Received: class_weight={class_weight}"
                )
            if out.several or len(out.shapes[0]) != 1:
                raise ValueError(
                    "`class_weight` is only supported for models with a single output of shape "
                    "(batch, classes); the nearest is sample_weight"
                )
            checked.weights = class_weights(class_weight, checked)
        return checked

    def _checks_by(self) -> Any:
        """Return the loss that tells what the library takes as targets."""
        _, loss, _, _ = self._machinery()
        return loss.inner if isinstance(loss, _training.AddedLoss) else loss

    def _split(self, rows: Rows, fraction: float) -> tuple[Rows, Rows]:
        if not 0 < fraction < 1 or math.floor(len(rows) * (1 - fraction)) in (0, len(rows)):
            raise ValueError(
                f"Training data contains {len(rows)} samples, which is not sufficient to split it "
                "into a validation and training set as specified by "
                f"`validation_split={fraction}`. Either provide more data, or a different value "
                "for the `validation_split` argument."
            )
        return split(rows, fraction)

    def _stream(self, x: Any, steps: int | None) -> tuple[Any, int | None]:
        stream = _training.Stream(x, self._batch)
        first = stream.peek()
        self._data(*_as_batch(first))
        _, _, _, net = self._machinery()
        length = len(x) if hasattr(x, "__len__") else None
        return StreamSource(stream, net, self._checks_by(), steps), steps or length

    def _batch(self, batch: Any) -> Any:
        rows = self._data(*_as_batch(batch))
        given = (rows.x, rows.actual)
        return given if rows.weights is None else (*given, rows.weights)

    def _whole_batches(self, stream: Any, steps: int | None) -> tuple[Any, Any, Any]:
        several = self._full is not None and self._packed_out.several
        return _training.whole_batches(stream, steps, several)

    def _validation(self, data: Any, steps: int | None, name: str = "validation ") -> Rows:
        if _training.is_stream(data):
            return self._data(*self._whole_batches(data, steps), None, name)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data: expected (x, y) or (x, y, sample_weight), "
                f"got {type(data).__name__}"
            )
        x, y, weights = (*data, None)[:3]
        return self._data(x, y, weights, None, name)


def _is_named(x: Any, packing: Packing) -> bool:
    return isinstance(x, dict) and list(x) == packing.names


def _as_batch(batch: Any) -> tuple[Any, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ValueError(
            f"x: expected batches of (x, y) or (x, y, sample_weight), got {type(batch).__name__}"
        )
    return tuple(batch)
