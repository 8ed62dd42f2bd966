"""Dropout, as in the book."""

from __future__ import annotations

from typing import Any, cast

from deepc._c import random
from deepc._values import Array, as_bool, as_float
from deepc.layers.base import BuiltinLayer

__all__ = ["Dropout"]


class Dropout(BuiltinLayer):
    """Zeros in place of randomly chosen inputs while training; their expectation otherwise.

    While `train` is True each input is replaced by 0 with probability `p`, and what is left is
    unchanged. While it is False all inputs are multiplied by 1 - p, and `backward` raises
    `RuntimeError`.

    Parameters
    ----------
    p : float
        The probability of dropping an input, 0 to 1.
    rng : int, random.Random or numpy.random.Generator, optional
        Where the key of the layer's random stream comes from; the ``random`` module if not given.
        The stream is fixed by that key and by how many training passes there were.

    Attributes
    ----------
    p : float
    train : bool
    mask : ndarray
        1 where the last training pass kept an input, 0 where it dropped it.

    Examples
    --------
    >>> layer = Dropout(0.25)
    >>> layer.train = False
    >>> layer.forward([1.0, 2.0])
    [0.75, 1.5]
    """

    _kind = "dropout"

    def __init__(self, p: float, *, rng: Any = None) -> None:
        super().__init__()
        self.p = p
        self.train = True
        self._structure.key = random.key(rng)

    def __getstate__(self) -> dict[str, Any]:
        s = self._structure
        return {**super().__getstate__(), "_numbers": (s.rate, s.training, s.key, s.counter)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        s_numbers = state.pop("_numbers")
        super().__setstate__(state)
        s = self._structure
        s.rate, s.training, s.key, s.counter = s_numbers

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p})"

    @property
    def p(self) -> float:
        """The probability of dropping an input."""
        return cast(float, self._structure.rate)

    @p.setter
    def p(self, value: float) -> None:
        self._structure.rate = as_float(value, "p", 0.0, 1.0)

    @property
    def train(self) -> bool:
        """Whether inputs are dropped."""
        return bool(self._structure.training)

    @train.setter
    def train(self, value: bool) -> None:
        self._structure.training = as_bool(value, "train")

    @property
    def mask(self) -> Array:
        """1 where the last training pass kept an input, 0 where it dropped it."""
        s = self._structure
        if s.pass_cols == 0:
            raise RuntimeError("mask: call forward in training first")
        # A sample by itself counts as no rows.
        shape = (s.pass_rows, s.pass_cols) if s.pass_rows else (s.pass_cols,)
        return random.dropout_mask(s.key, s.pass_counter, s.pass_rate, shape)
