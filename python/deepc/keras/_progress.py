"""The lines that Keras prints: a bar where somebody sees it, else its last state."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from deepc.training.progress import _in_notebook

__all__ = ["Progbar", "say"]

_WIDTH = 20
# Seconds from one picture of the bar to the next.
_INTERVAL = 0.05


def say(text: str, end: str = "\n") -> None:
    """Print; a stream that cannot be written to is not worth a training."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.write(text + end)
        sys.stdout.flush()


def _is_seen() -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return bool(sys.stdout.isatty()) or _in_notebook()
    return False


def _value(value: float, size: float) -> str:
    return f"{value:.4f}" if size > 1e-3 else f"{value:.4e}"


def _each(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


def _left(seconds: float) -> str:
    whole = int(seconds)
    if seconds > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if seconds > 60 else f"{whole}s"


class Progbar:
    """A bar of steps with numbers behind it.

    Parameters
    ----------
    target : int or None
        How many steps there will be, None if nobody knows.
    verbose : int, optional
        0 prints nothing, 1 a bar, 2 one line at the end.

    Examples
    --------
    >>> bar = Progbar(4)
    >>> bar.update(4, [("loss", 0.5)])
    4/4 ━━━━━━━━━━━━━━━━━━━━ 0s ...us/step - loss: 0.5000
    """

    def __init__(
        self,
        target: int | None,
        width: int = _WIDTH,
        verbose: int = 1,
        interval: float = _INTERVAL,
        stateful_metrics: object = None,
        unit_name: str = "step",
    ) -> None:
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._seen = _is_seen() if verbose == 1 else False
        self._start = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._last = 0.0
        self._done = 0
        self._written = 0

    def is_due(self) -> bool:
        """Whether a new picture would be drawn now."""
        return self._seen and time.perf_counter() - self._last >= self.interval

    def add(self, n: int, values: object = None) -> None:
        """Go on by some steps."""
        self.update(self._done + n, values)

    def update(self, current: int, values: object = None, finalize: bool | None = None) -> None:
        """Show that so many steps are done, with the numbers as they are."""
        now = time.perf_counter()
        if self._first is None and current > 0:
            self._first = (current, now)
        self._done = current
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        if not (finalize or self.is_due()) or not self.verbose:
            return
        shown = values.items() if isinstance(values, Mapping) else values or ()
        numbers = [(name, float(value)) for name, value in shown]  # type: ignore[attr-defined]
        if self.verbose == 1:
            self._draw(current, numbers, now, finalize)
        elif finalize and self.target:
            parts = [self._count(current), f"{now - self._start:.0f}s",
                     _each(self._seconds_a_step(now), self.unit_name)]  # fmt: skip
            parts += [f"{name}: {_value(value, value)}" for name, value in numbers]
            say(" - ".join(parts))
        self._last = now

    def _count(self, current: int) -> str:
        if not self.target:
            return f"{current:7d}/Unknown"
        return f"{current:{int(math.log10(self.target)) + 1}d}/{self.target}"

    def _seconds_a_step(self, now: float) -> float:
        """Return the time of a step, without the first ones that were reported."""
        if not self._done or self._first is None:
            return 0.0
        steps, at = self._first
        if self._done > steps:
            return (now - at) / (self._done - steps)
        return (now - self._start) / self._done

    def _draw(self, current: int, numbers: list[tuple[str, float]], now: float, last: bool) -> None:
        each = self._seconds_a_step(now)
        filled = int(self.width * current / self.target) if self.target else 0
        if last or not self.target:
            seconds = f"{now - self._start:.0f}s"
        else:
            seconds = _left(each * (self.target - current))
        tail = f" {_each(each, self.unit_name)}" + "".join(
            f" - {name}: {_value(value, abs(value))}" for name, value in numbers
        )
        count, cells, rest = self._count(current), "━" * filled, "━" * (self.width - filled)
        plain = (
            f"{count} {cells}{rest} {seconds}{tail}"
            if self.target
            else (f"{count} {seconds}{tail}")
        )
        if not self._seen:
            say(plain)
            return
        text = f"\x1b[1m{count}\x1b[0m "
        if self.target:
            text += (f"\x1b[32m{cells}\x1b[0m" if cells else "") + f"\x1b[37m{rest}\x1b[0m "
        text += f"\x1b[1m{seconds}\x1b[0m{tail}"
        back = "\b" * self._written + "\r"
        say(back + text + " " * (self._written - len(plain)), end="\n" if last else "")
        self._written = len(plain)
