"""A table of vectors, looked up by whole numbers."""

from __future__ import annotations

from typing import Any, cast

from deepc._c import random
from deepc._c.arrays import aligned_zeros
from deepc._values import MOST_WIDE, as_dtype, as_int
from deepc.initializers import random_tensor
from deepc.layers.base import BuiltinLayer, ParameterArray

__all__ = ["Embedding"]


class Embedding(BuiltinLayer):
    """The rows of a table that whole numbers name, side by side.

    From n samples of t whole numbers come n samples of t * dim numbers. It stands first in a
    `Sequential`, because no layer gives whole numbers; its `backward` returns None, because they
    have no gradient.

    Parameters
    ----------
    classes : int
        Number of rows of the table: inputs are 0 to classes - 1.
    dim : int
        Numbers in a row.
    init : {"normal", "uniform", "xavier"}, optional
        How the table starts; see `random_tensor`.
    dtype : {"float32", "float64"}, optional
        What it gives; the default dtype if not given.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the initial numbers come from; the ``random`` module if not given.

    Attributes
    ----------
    w : ndarray of shape (classes, dim)
        The table.
    w_grad : ndarray of shape (classes, dim)
        Its gradient after `backward`: each row is the sum of what came back to where it was.

    Examples
    --------
    >>> layer = Embedding(3, 2)
    >>> layer.w = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    >>> layer.forward([[2, 0], [1, 1]])
    [[4.0, 5.0, 0.0, 1.0], [2.0, 3.0, 2.0, 3.0]]
    """

    _kind = "embedding"
    _c_params = {"w": "table"}  # noqa: RUF012

    w = ParameterArray("The table, (classes, dim).")
    w_grad = ParameterArray("The gradient of the table.")

    def __init__(
        self,
        classes: int,
        dim: int,
        init: str = "normal",
        *,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        classes, dim = (
            as_int(classes, "classes", least=1, most=MOST_WIDE),
            as_int(dim, "dim", least=1, most=MOST_WIDE),
        )
        dtype, rng = as_dtype(dtype), random.generator(rng)
        table = aligned_zeros((classes, dim), dtype)
        table[...] = random_tensor(classes, dim, init=init, rng=rng, dtype=dtype)
        self._make({"w": table}, dtype, inputs=classes, outputs=dim)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.classes}, {self.dim})"

    @property
    def classes(self) -> int:
        """Number of rows of the table."""
        return cast(int, self._structure.inputs)

    @property
    def dim(self) -> int:
        """Numbers in a row."""
        return cast(int, self._structure.outputs)

    @property
    def _widths(self) -> tuple[None, None]:
        return None, None
