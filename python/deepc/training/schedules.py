"""Learning rates that change with the steps: what an optimizer takes in place of a number.

A schedule is called with the number of a step, from 0, and gives its rate; `rates` gives those of
many steps at once, which is how an epoch in C gets them. All is made of additions, products and
divisions, which every machine rounds alike, so the same schedule has the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepc import kernels
from deepc._values import Array, as_float, as_int, describe

__all__ = [
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseTime",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Schedule",
    "Step",
]


class Schedule:
    """A learning rate for each step. Subclass it and define `rates`.

    Examples
    --------
    >>> import deepc
    >>> sgd = deepc.SGD(Exponential(0.1, steps=10, rate=0.5))
    >>> sgd.lr
    0.1
    """

    def rates(self, steps: Any) -> Array:
        """Return the rates of some steps, float64.

        Parameters
        ----------
        steps : array_like of int
        """
        raise NotImplementedError(f"{type(self).__name__} defines no rates")

    def decided_by(self) -> dict[str, Any] | None:
        """Return all that decides the rate of a step, None where that is not known.

        It is for the schedules of this module, so that an optimizer computes their rates ahead.
        """
        return vars(self) if type(self) in _ALL else None

    def __call__(self, step: Any) -> float:
        """Return the rate of one step."""
        return float(self.rates(np.asarray([step]))[0])


def _power(base: float, exponents: Any) -> Array:
    """Return base ** exponents for a base of at least 0, and 1 for an exponent of 0."""
    x = np.asarray(exponents, np.float64)
    if base <= 0.0:
        return np.where(x == 0.0, 1.0, 0.0)
    if base == 1.0:
        return np.ones_like(x)
    flat = np.ascontiguousarray(x.reshape(-1))
    return kernels.exp(flat * kernels.log(np.array([base]))[0]).reshape(x.shape)


def _powers(bases: Array, exponent: float) -> Array:
    """Return bases ** exponent for bases of at least 0."""
    if exponent == 1.0:
        return bases
    positive = np.ascontiguousarray(np.where(bases > 0.0, bases, 1.0).reshape(-1))
    powers = kernels.exp(exponent * kernels.log(positive)).reshape(bases.shape)
    return np.where(bases > 0.0, powers, 0.0 if exponent else 1.0)


# cos(pi x) and sin(pi x) for |x| <= 1/4 in powers of x^2: Taylor's coefficients, pi^n / n!. The
# first term left out is below 1e-17.
_COS = (1.0, -4.934802200544679, 4.0587121264167685, -1.3352627688545895, 0.2353306303588932,
        -0.02580689139001406, 0.0019295743094039231, -0.0001046381049248457,
        4.303069587032947e-06)  # fmt: skip
_SIN = (3.141592653589793, -5.16771278004997, 2.5501640398773455, -0.5992645293207921,
        0.08214588661112823, -0.0073704309457143504, 0.00046630280576761255,
        -2.1915353447830217e-05)  # fmt: skip


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Return the sum of coefficients times powers of x, in place: a small epoch takes no longer."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value


def cos_pi(x: Any) -> Array:
    """Return cos(pi x) by additions and products only."""
    x = np.abs(np.asarray(x, np.float64))
    quarter = np.floor(2.0 * x + 0.5)
    rest = x - 0.5 * quarter  # exact, within +-1/4
    square = rest * rest
    # A quarter of a turn puts the sine in the cosine's place, half a turn changes the sign; one of
    # them alone makes it negative.
    half = np.floor(0.5 * quarter)
    odd = quarter - 2.0 * half
    value = np.where(odd == 1.0, _polynomial(_SIN, square) * rest, _polynomial(_COS, square))
    changed = half - 2.0 * np.floor(0.5 * half) != odd
    return np.negative(value, out=value, where=changed)


def _steps(value: Any, name: str) -> float:
    return as_float(value, name, 1.0)


class Exponential(Schedule):
    """``first * rate**(step / steps)``; with `stairs` the exponent is rounded down.

    Examples
    --------
    >>> Exponential(0.1, 10, 0.5).rates([0, 10]).tolist()
    [0.1, 0.05]
    """

    def __init__(self, first: float, steps: float, rate: float, stairs: bool = False) -> None:
        self.first = as_float(first, "first", 0.0)
        self.steps = _steps(steps, "steps")
        self.rate = as_float(rate, "rate", 0.0)
        self.stairs = bool(stairs)

    def rates(self, steps: Any) -> Array:
        x = np.asarray(steps, np.float64) / self.steps
        return self.first * _power(self.rate, np.floor(x) if self.stairs else x)


class Step(Exponential):
    """The rate falls by a factor after each so many steps.

    Examples
    --------
    >>> Step(0.5, 2, 0.5).rates(range(5)).tolist()
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, first: float, steps: int, factor: float = 0.1) -> None:
        super().__init__(first, as_int(steps, "steps", least=1), factor, stairs=True)


class InverseTime(Schedule):
    """``first / (1 + rate * step / steps)``; with `stairs` step / steps is rounded down."""

    def __init__(self, first: float, steps: float, rate: float, stairs: bool = False) -> None:
        self.first = as_float(first, "first", 0.0)
        self.steps = _steps(steps, "steps")
        self.rate = as_float(rate, "rate", 0.0)
        self.stairs = bool(stairs)

    def rates(self, steps: Any) -> Array:
        x = np.asarray(steps, np.float64) / self.steps
        return self.first / (1.0 + self.rate * (np.floor(x) if self.stairs else x))


class Polynomial(Schedule):
    """From `first` to `last` in so many steps, along ``(1 - step / steps)**power``.

    With `cycle` it starts over each time, over twice, three times ... as many steps.
    """

    def __init__(
        self,
        first: float,
        steps: float,
        last: float = 1e-4,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.first = as_float(first, "first", 0.0)
        self.steps = _steps(steps, "steps")
        self.last = as_float(last, "last", 0.0)
        self.power = as_float(power, "power", 0.0)
        self.cycle = bool(cycle)

    def rates(self, steps: Any) -> Array:
        step, over = np.asarray(steps, np.float64), np.float64(self.steps)
        whole = over * np.maximum(1.0, np.ceil(step / over)) if self.cycle else over
        left = 1.0 - np.minimum(step, whole) / whole
        return (self.first - self.last) * _powers(left, self.power) + self.last


class Piecewise(Schedule):
    """``values[i]`` up to and with step ``boundaries[i]``, the last value after all of them."""

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        self.boundaries = [as_float(b, "boundaries") for b in boundaries]
        self.values = [as_float(v, "values", 0.0) for v in values]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values: expected one more than the {len(self.boundaries)} boundaries, "
                f"got {len(self.values)}"
            )
        if sorted(self.boundaries) != self.boundaries:
            raise ValueError(f"boundaries: expected rising numbers, got {self.boundaries}")

    def rates(self, steps: Any) -> Array:
        place = np.searchsorted(self.boundaries, np.asarray(steps, np.float64), side="left")
        return np.asarray(self.values)[place]


class Cosine(Schedule):
    """Half a wave from `first`, or from `peak` after a warm-up, to `alpha` times that.

    Parameters
    ----------
    first : float
        The rate of step 0.
    steps : float
        Steps of the fall.
    alpha : float, optional
        What of the highest rate is left at the end.
    peak : float, optional
        Rise to it in a straight line over `warmup` steps, before the fall.
    warmup : float, optional
    """

    def __init__(
        self,
        first: float,
        steps: float,
        alpha: float = 0.0,
        peak: float | None = None,
        warmup: float = 0,
    ) -> None:
        self.first = as_float(first, "first", 0.0)
        self.steps = _steps(steps, "steps")
        self.alpha = as_float(alpha, "alpha", 0.0)
        self.peak = None if peak is None else as_float(peak, "peak", 0.0)
        self.warmup = as_float(warmup, "warmup", 0.0)

    def rates(self, steps: Any) -> Array:
        step = np.asarray(steps, np.float64)
        if self.peak is None:
            return self._fall(step, self.first)
        rising = self.first + (self.peak - self.first) * (step / max(self.warmup, 1.0))
        return np.where(step < self.warmup, rising, self._fall(step - self.warmup, self.peak))

    def _fall(self, step: Array, top: float) -> Array:
        part = np.minimum(np.maximum(step / self.steps, 0.0), 1.0)
        wave = 0.5 * (1.0 + cos_pi(part))
        return top * ((1.0 - self.alpha) * wave + self.alpha)


class CosineRestarts(Schedule):
    """Half waves from the highest rate down, each longer and lower than the one before.

    Parameters
    ----------
    first, steps : float
        Height and length of the first one.
    longer, lower : float, optional
        What length and height of the next one are multiplied by.
    alpha : float, optional
        What of the height is left at the end of each.
    """

    def __init__(
        self,
        first: float,
        steps: float,
        longer: float = 2.0,
        lower: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.first = as_float(first, "first", 0.0)
        self.steps = _steps(steps, "steps")
        self.longer = as_float(longer, "longer", 1.0)
        self.lower = as_float(lower, "lower", 0.0)
        self.alpha = as_float(alpha, "alpha", 0.0)

    def rates(self, steps: Any) -> Array:
        step = np.asarray(steps, np.float64)
        start, length, height = np.zeros_like(step), self.steps, np.ones_like(step)
        lengths, begins = np.full_like(step, length), 0.0
        most = float(step.max(initial=0.0))
        while begins + length <= most:
            begins, length = begins + length, length * self.longer
            later = step >= begins
            start[later], lengths[later] = begins, length
            height[later] *= self.lower
        wave = 0.5 * height * (1.0 + cos_pi((step - start) / lengths))
        return self.first * ((1.0 - self.alpha) * wave + self.alpha)


class OneCycle(Schedule):
    """Up to `peak` and down again, along half waves, in so many steps (Smith, 2018).

    Parameters
    ----------
    peak : float
    steps : int
        Of the whole cycle; after it the rate stays.
    rise : float, optional
        Which part of the steps goes upwards.
    divisor : float, optional
        It starts at ``peak / divisor``.
    last_divisor : float, optional
        It ends at ``peak / divisor / last_divisor``.

    Examples
    --------
    >>> OneCycle(1.0, 10, rise=0.5).rates([0, 2, 4, 9]).round(4).tolist()
    [0.04, 0.52, 1.0, 0.0]
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        rise: float = 0.3,
        divisor: float = 25.0,
        last_divisor: float = 1e4,
    ) -> None:
        self.peak = as_float(peak, "peak", 0.0)
        self.steps = as_int(steps, "steps", least=2)
        self.rise = as_float(rise, "rise", 0.0, 1.0)
        self.divisor = as_float(divisor, "divisor", 1.0)
        self.last_divisor = as_float(last_divisor, "last_divisor", 1.0)

    def rates(self, steps: Any) -> Array:
        step = np.asarray(steps, np.float64)
        top = self.rise * self.steps - 1.0
        first = self.peak / self.divisor
        last = first / self.last_divisor
        up = np.clip(step / top if top > 0 else np.ones_like(step), 0.0, 1.0)
        down = np.clip((step - top) / (self.steps - 1.0 - top), 0.0, 1.0)
        rising = self.peak + (first - self.peak) * 0.5 * (1.0 + cos_pi(up))
        falling = last + (self.peak - last) * 0.5 * (1.0 + cos_pi(down))
        return np.where(step <= top, rising, falling)


def check_schedule(value: Any, name: str = "learning_rate") -> Schedule:
    """Refuse what is no schedule."""
    if not isinstance(value, Schedule):
        raise TypeError(f"{name}: expected a schedule, got {describe(value)}")
    return value


_ALL = {
    Cosine, CosineRestarts, Exponential, InverseTime, OneCycle, Piecewise, Polynomial, Step,
}  # fmt: skip
