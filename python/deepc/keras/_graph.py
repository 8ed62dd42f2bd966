"""Models that are no chain of built-in layers, as the one engine trains them: rows in, rows out.

The rows of all inputs lie side by side in one array, and so do those of all outputs; between them
the model computes on the tape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from deepc import _tensorflow
from deepc._c import tape
from deepc._values import Array
from deepc.autodiff import Module, ops
from deepc.autodiff.tensor import no_grad
from deepc.keras.layers.calls import calling
from deepc.keras.layers.places import Shape, flat
from deepc.layers import _plan

__all__ = ["Graph", "Packing"]


class Packing:
    """How the inputs, or the outputs, of a model lie in rows.

    Parameters
    ----------
    shapes : tuple, or list or dict of tuples
        The shapes of samples: of one thing, or of several.
    names : list of str
        What the several are called.
    """

    def __init__(self, shapes: Any, names: list[str] | None = None) -> None:
        self.keys = list(shapes) if isinstance(shapes, dict) else None
        listed: Any = list(shapes.values()) if isinstance(shapes, dict) else shapes
        self.several = isinstance(listed, list)
        self.shapes: list[Shape] = listed if self.several else [listed]
        self.names = names or self.keys or [str(i) for i in range(len(self.shapes))]
        ends = np.cumsum([math.prod(shape) for shape in self.shapes]).tolist()
        self.columns = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        self.width = ends[-1]

    def listed(self, given: Any, what: str, owner: str) -> list[Any]:
        """Return what somebody gave for each of the several, in their order."""
        if isinstance(given, Mapping):
            missing = [name for name in self.names if name not in given]
            unknown = [name for name in given if name not in self.names]
            if missing or unknown:
                raise ValueError(
                    f"{what}: expected a dict of {self.names}, got the keys {list(given)}"
                )
            return [given[name] for name in self.names]
        if not self.several:
            one = isinstance(given, (list, tuple)) and len(given) == 1
            return list(given) if one and np.ndim(given[0]) > 1 else [given]
        if not isinstance(given, (list, tuple)) or len(given) != len(self.shapes):
            count = len(given) if isinstance(given, (list, tuple)) else 1
            raise ValueError(
                f"{what}: Layer '{owner}' expects {len(self.shapes)} input(s), but it received "
                f"{count} input tensors; give a list in the order of {self.names}, or a dict"
                if what.endswith("x") or what == "inputs"
                else f"{what}: expected a list of {len(self.shapes)} arrays, in the order of "
                f"{self.names}, or a dict; got {count}"
            )
        return list(given)

    def rows(self, arrays: list[Array], dtype: np.dtype[Any]) -> Array:
        """Return arrays side by side."""
        if len(arrays) == 1:
            return np.asarray(arrays[0], dtype).reshape(len(arrays[0]), -1)
        return np.concatenate([np.asarray(a, dtype).reshape(len(a), -1) for a in arrays], axis=1)

    def taken_apart(self, rows: Any) -> Any:
        """Return what lies in rows, a Tensor's or an array's, as it was before."""
        reshape = ops.reshape if isinstance(rows, tape.Node) else np.reshape
        parts = [
            reshape(rows[:, columns] if self.several else rows, (len(rows), *shape))
            for shape, columns in zip(self.shapes, self.columns, strict=True)
        ]
        if self.keys is not None:
            return dict(zip(self.keys, parts, strict=True))
        return parts if self.several else parts[0]


class Graph(Module):
    """A model as a layer of deepc.

    Attributes
    ----------
    train : bool
        Whether it computes as in training.
    logits : list of bool
        For each output whether it is taken from before a final softmax or sigmoid.
    added : float
        What `add_loss` added in the last pass.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.train = False
        # Layers of deepc, whose modes are changed with its own.
        listed = [made for layer in model._within() for made in layer._made]
        self.layers = list({id(made): made for made in listed}.values())
        self.logits = [False] * len(model._packed_out.shapes)
        self.added = 0.0
        self._extra: Any = None
        self._result: Any = None
        self._found: tuple[int, Any] = (-1, ([], []))

    def _looked_at(self) -> tuple[list[Any], list[Any]]:
        """Return the variables and the layers of the model, as long as no layer changes."""
        version, found = self._found
        if version != _plan.structure_version:
            found = [v for v in self.model.weights if v.trainable], list(self.model._within())
            self._found = _plan.structure_version, found
        return cast("tuple[list[Any], list[Any]]", found)

    def parameters(self) -> list[Any]:
        """Return the variables that belong to the rule, trained or not."""
        return self._looked_at()[0]

    def _leaves(self) -> list[Any]:
        return self._looked_at()[0]

    def stored_parts(self) -> tuple[list[Any], list[Array]]:
        """Return the layers of deepc inside, and the variables that belong to none of them."""
        own = [
            v.value for layer in self._looked_at()[1] if not layer._made for v in layer._variables
        ]
        return list(self.layers), own

    def state(self) -> list[Array]:
        """Return the other variables, as the averages of a normalization."""
        return [v.value for v in self.model.weights if not v.trainable]

    def __call__(self, x: Any) -> Any:
        """Return the rows of all outputs for a Tensor of the rows of all inputs."""
        with calling(self.train, ""):
            given = self.model._packed_in.taken_apart(x)
            found = list(flat(self.model._compute_now(given)))
        found = [
            logits_of(y) if wanted else y for y, wanted in zip(found, self.logits, strict=True)
        ]
        rows = [ops.reshape(y, (x.shape[0], -1)) for y in found]
        return rows[0] if len(rows) == 1 else ops.concatenate(rows, 1)

    def forward(self, input: Any) -> Any:
        """Return the outputs for rows, or for one; keep what `backward` needs."""
        given = np.asarray(input)
        x = _tensorflow.Tensor(np.ascontiguousarray(np.atleast_2d(given)))
        if self.train or any(self.logits):
            y = self(x)
        else:
            with no_grad():
                y = self(x)
        # What a layer added in a call before this one does not count.
        mark, within = self.model._mark, self._looked_at()[1]
        extra = [one for layer in within if layer._mark is mark for one in layer._losses]
        self._extra = sum(extra[1:], extra[0]) if extra else None
        self.added = 0.0 if self._extra is None else float(self._extra.data.item())
        self._result = y
        return y.data[0] if given.ndim == 1 else y.data

    def backward(self, gradient: Any, input_gradient: bool = True) -> None:
        """Store the gradients of the variables; nobody asks for those of the inputs."""
        y, self._result = self._result, None
        if y is None:
            raise RuntimeError("backward: call forward first")
        tape.zero(self._leaves())
        if y.requires_grad:
            y.backward(np.asarray(gradient, y.data.dtype).reshape(y.shape))
        if self._extra is not None and self._extra.requires_grad:
            self._extra.backward(np.ones(self._extra.shape, self._extra.data.dtype))

    def __repr__(self) -> str:
        return f"Graph({self.model!r})"


# Operations that a crossentropy undoes.
FINAL = {"softmax": "softmax", "Softmax": "softmax", "sigmoid": "sigmoid"}


def final_activation(y: Any) -> str:
    """Return what the last operation of a Tensor is, if it is a softmax or a sigmoid."""
    return FINAL.get(_last(y)._op, "")


def logits_of(y: Any) -> Any:
    """Return the Tensor from which a final softmax or sigmoid was computed."""
    last = _last(y)
    if last._op not in FINAL:
        raise RuntimeError(
            f"the model ended with a softmax or sigmoid when it was built, but now with "
            f"'{last._op}'; end it the same way in each call"
        )
    return last._prev[0]


def _last(y: Any) -> Any:
    while y._op == "reshape":
        y = y._prev[0]
    return y
