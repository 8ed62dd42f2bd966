"""Dropout, as in the book and as elsewhere, and other noise in training."""

from __future__ import annotations

from typing import Any, cast

from deepc._c import random
from deepc._values import BELOW_ONE, LARGEST, Array, as_bool, as_float
from deepc.layers.base import TwoModes

__all__ = ["Dropout", "GaussianDropout", "GaussianNoise"]


class Dropout(TwoModes):
    """Zeros in place of randomly chosen inputs while training; their expectation otherwise.

    While `train` is True each input is replaced by 0 with probability `p`, and what is left is
    unchanged. While it is False all inputs are multiplied by 1 - p, and `backward` raises
    `RuntimeError`.

    The `inverted` dropout, which most other libraries have, divides what is left by 1 - p, and
    gives its input unchanged while `train` is False.

    Parameters
    ----------
    p : float
        The probability of dropping an input, 0 to 1.
    inverted : bool, optional
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
    >>> layer = Dropout(0.5, inverted=True, rng=1)
    >>> sorted(set(layer.forward([1.0] * 50)))
    [0.0, 2.0]
    """

    _kind = "dropout"

    def __init__(self, p: float, *, inverted: bool = False, rng: Any = None) -> None:
        p = as_float(p, "p", 0.0, 1.0)
        if as_bool(inverted, "inverted"):
            self._kind = "inverted_dropout"
        self._make({}, rate=p, training=True, key=random.key(rng))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p}{', inverted=True' if self.inverted else ''})"

    @property
    def inverted(self) -> bool:
        """Whether what is kept is divided by 1 - p in training."""
        return self._kind == "inverted_dropout"

    @property
    def p(self) -> float:
        """The probability of dropping an input."""
        return cast(float, self._structure.rate)

    @p.setter
    def p(self, value: float) -> None:
        self._structure.rate = as_float(value, "p", 0.0, 1.0)

    @property
    def mask(self) -> Array:
        """1 where the last training pass kept an input, 0 where it dropped it."""
        s = self._structure
        if s.pass_cols == 0:
            raise RuntimeError("mask: call forward in training first")
        # A sample by itself counts as no rows.
        shape = (s.pass_rows, s.pass_cols) if s.pass_rows else (s.pass_cols,)
        return random.dropout_mask(s.key, s.pass_counter, s.pass_rate, shape)


class GaussianNoise(TwoModes):
    """Normal numbers added to the inputs while training; the inputs otherwise.

    Parameters
    ----------
    deviation : float
        Their standard deviation.
    rng : int, random.Random or numpy.random.Generator, optional
        As for `Dropout`.

    Examples
    --------
    >>> layer = GaussianNoise(0.1)
    >>> layer.forward([1.0, 1.0]) == [1.0, 1.0]
    False
    >>> layer.train = False
    >>> layer.forward([1.0, 1.0])
    [1.0, 1.0]
    """

    _kind = "gaussian_noise"

    def __init__(self, deviation: float, *, rng: Any = None) -> None:
        deviation = as_float(deviation, "deviation", 0.0, LARGEST)
        self._make({}, rate=deviation, training=True, key=random.key(rng))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.deviation})"

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise; may be assigned."""
        return cast(float, self._structure.rate)

    @deviation.setter
    def deviation(self, value: float) -> None:
        self._structure.rate = as_float(value, "deviation", 0.0, LARGEST)


class GaussianDropout(TwoModes):
    """Inputs multiplied by normal numbers around 1 while training; the inputs otherwise.

    Their deviation is ``sqrt(p / (1 - p))``, that of the factors of an inverted `Dropout`.

    Parameters
    ----------
    p : float
        From 0 to less than 1.
    rng : int, random.Random or numpy.random.Generator, optional
        As for `Dropout`.

    Examples
    --------
    >>> layer = GaussianDropout(0.5)
    >>> layer.train = False
    >>> layer.forward([1.0, 2.0])
    [1.0, 2.0]
    """

    _kind = "gaussian_dropout"

    def __init__(self, p: float, *, rng: Any = None) -> None:
        p = as_float(p, "p", 0.0, BELOW_ONE)
        self._make({}, rate=p, training=True, key=random.key(rng))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p})"

    @property
    def p(self) -> float:
        """What decides how much the factors vary; may be assigned."""
        return cast(float, self._structure.rate)

    @p.setter
    def p(self, value: float) -> None:
        self._structure.rate = as_float(value, "p", 0.0, BELOW_ONE)
