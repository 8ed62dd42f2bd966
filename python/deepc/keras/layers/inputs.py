"""The first places of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc.keras._names import automatic
from deepc.keras.layers.base import Layer
from deepc.keras.layers.places import Call, KerasTensor, as_shape

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """The first place of a model."""

    def __init__(self, shape: Any = None, name: str | None = None, **given: Any) -> None:
        given.pop("batch_size", None)
        if "batch_shape" in given:
            shape = tuple(given.pop("batch_shape"))[1:]
        dtype = given.pop("dtype", None)
        self._whole = dtype if dtype is not None and np.dtype(dtype).kind in "iu" else None
        if self._whole is None and dtype is not None:
            given["dtype"] = dtype
        super().__init__(name=name or automatic("InputLayer"), **given)
        self._shape = as_shape(shape)
        self.build_for(self._shape)
        place = KerasTensor(self._shape, Call(self, (), {}))
        place.dtype = self.dtype

    @property
    def dtype(self) -> str:
        """The name of the dtype of what comes in."""
        return super().dtype if self._whole is None else np.dtype(self._whole).name

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return {"batch_shape": [None, *self._shape], "dtype": self.dtype, "sparse": False,
                "ragged": False, "name": self.name}  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make one from such arguments."""
        dtype = config.get("dtype")
        whole = dtype if isinstance(dtype, str) and np.dtype(dtype).kind in "iu" else None
        return cls(tuple(config["batch_shape"])[1:], name=config.get("name"), dtype=whole)


def Input(
    shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None
) -> Any:
    """Return the place where samples of a shape, batch not included, come in.

    Examples
    --------
    >>> Input((4,)).shape
    (None, 4)
    """
    return InputLayer(shape, name=name, dtype=dtype).output
