"""XOR and FizzBuzz."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepc._values import Array, as_dtype, as_int
from deepc.datasets._base import Dataset

__all__ = ["binary_encode", "fizz_buzz", "fizz_buzz_encode", "xor"]

FIZZ_BUZZ_NAMES = ("number", "fizz", "buzz", "fizzbuzz")


def xor(dtype: Any = None) -> Dataset:
    """Return the four rows of exclusive or, which are both the training and the test set.

    Parameters
    ----------
    dtype : dtype, optional
        float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (4, 2); y of shape (4, 1), floats as `SSE` compares them with a network's one
        output.

    Examples
    --------
    >>> data = xor()
    >>> data.train_x.tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> data.train_y.tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """
    real = as_dtype(dtype)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], real)
    y = np.array([[0], [1], [1], [0]], real)
    return Dataset(x, y, x.copy(), y.copy())


def binary_encode(x: int) -> list[int]:
    """Return the ten binary digits of a number, the least significant first.

    Parameters
    ----------
    x : int
        0 to 1023.

    Returns
    -------
    list of int
        Ten zeros and ones.

    Raises
    ------
    TypeError, ValueError
        If `x` is not an int, or does not fit into ten digits.

    Examples
    --------
    >>> binary_encode(10)
    [0, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    """
    number = as_int(x, "x", least=0)
    if number > 1023:
        raise ValueError(f"x: expected at most 1023, which has ten binary digits, got {number}")
    return [number >> i & 1 for i in range(10)]


def fizz_buzz_encode(x: int) -> list[int]:
    """Return what to say for a number, one-hot: the number itself, "fizz", "buzz" or "fizzbuzz".

    Parameters
    ----------
    x : int
        Any whole number.

    Returns
    -------
    list of int
        Four numbers, of which one is 1 and the others are 0.

    Raises
    ------
    TypeError
        If `x` is not an int.

    Examples
    --------
    >>> [fizz_buzz_encode(x) for x in (2, 6, 10, 30)]
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    number = as_int(x, "x")
    label = (number % 3 == 0) + 2 * (number % 5 == 0)
    return [int(i == label) for i in range(4)]


def fizz_buzz(dtype: Any = None) -> Dataset:
    """Return FizzBuzz as the chapter poses it: learn from 101 to 1023, be tested on 1 to 100.

    Parameters
    ----------
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        A row of x is the ten binary digits of a number (`binary_encode`); y is 0 to 3: the number
        itself, fizz, buzz, fizzbuzz (the place of the 1 in `fizz_buzz_encode`).

    Examples
    --------
    >>> data = fizz_buzz()
    >>> data.test_x[9].astype(int).tolist() == binary_encode(10)
    True
    >>> data.test_y[:15].tolist()
    [0, 0, 1, 0, 2, 1, 0, 0, 1, 2, 0, 1, 0, 0, 3]
    """
    real = as_dtype(dtype)

    def encoded(first: int, last: int) -> tuple[Array, Array]:
        numbers = np.arange(first, last + 1, dtype=np.int64)
        bits = numbers[:, None] >> np.arange(10) & 1
        return bits.astype(real), (numbers % 3 == 0) + 2 * (numbers % 5 == 0)

    return Dataset(*encoded(101, 1023), *encoded(1, 100), classes=FIZZ_BUZZ_NAMES)
