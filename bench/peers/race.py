"""A race: contestants do the same work, are checked against each other, and then timed in turns."""

from __future__ import annotations

import contextlib
import gc
import statistics
import sys
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from peers.worker import clock

OURS = "deepc"


@dataclass
class Contestant:
    """One way to do the work: the code as a user would write it, and the names it uses."""

    peer: str
    code: str
    names: dict[str, Any]
    # Code that gives what is compared; its last line is an expression. None: the code itself.
    result: str | None = None
    # Steps of work in one run of the code; times are those of a step.
    steps: int = 1
    # What takes the place of some names in the check: less work, if a run is long.
    few: dict[str, Any] = field(default_factory=dict)
    # How far its result may be from ours, if its formula is another one; None: as all others'.
    tolerance: float | None = None
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    _timer: timeit.Timer | None = field(default=None, repr=False)

    def value(self) -> Any:
        """Run once and return the result as an array."""
        *before, expression = (self.result or self.code).split("\n")
        names = {**self.names, **self.few}
        with self.around():
            if before:
                exec("\n".join(before), names)
            return to_numpy(eval(expression, names))

    def seconds(self, loops: int) -> float:
        """Return how long so many runs take."""
        if self._timer is None:
            self._timer = timeit.Timer(self.code, timer=clock(), globals=self.names)
        with self.around():
            return self._timer.timeit(loops)


def to_numpy(value: Any) -> Any:
    """Return an array, a list of arrays or a number of any library as NumPy's in float64."""
    if isinstance(value, tuple | list) and not all(isinstance(item, float) for item in value):
        return [to_numpy(item) for item in value]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return np.asarray(value, dtype=np.float64)


@dataclass
class Result:
    """What came out for one piece of work: seconds a step of each peer, least and median."""

    group: str
    case: str
    least: dict[str, float]
    median: dict[str, float]
    code: dict[str, str]
    # Anything else about the work: flops, sizes, the target of the project, and `beside`: ways of
    # ours that are timed for comparison and have no part in the ratio.
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def best_peer(self) -> str | None:
        """The fastest one that is not ours, if any took part."""
        peers = [name for name in self.least if not is_ours(name)]
        return min(peers, key=self.least.__getitem__, default=None)

    @property
    def ours(self) -> float:
        """Our own time: the least one if there are several ways, without what stands beside."""
        beside = self.more.get("beside", ())
        return min(s for name, s in self.least.items() if is_ours(name) and name not in beside)

    @property
    def ratio(self) -> float | None:
        """How many times as long as we the best peer takes."""
        best = self.best_peer
        return self.least[best] / self.ours if best else None

    def as_json(self) -> dict[str, Any]:
        """Return what is worth keeping."""
        return {
            "group": self.group, "case": self.case, "least": self.least, "median": self.median,
            "best_peer": self.best_peer, "ratio": self.ratio, "code": self.code, **self.more,
        }  # fmt: skip


def is_ours(name: str) -> bool:
    """Whether a contestant is one of ours: deepc, or deepc with something said about it."""
    return name.split(",")[0] == OURS


@dataclass
class Pace:
    """How long races take."""

    rounds: int
    slice: float  # seconds that each contestant gets in each round
    most: float  # seconds that one contestant may take in all rounds, if three rounds fit


QUICK = Pace(rounds=3, slice=3e-4, most=0.3)
FULL = Pace(rounds=15, slice=4e-3, most=3.0)


def race(
    group: str,
    case: str,
    contestants: Sequence[Any],
    pace: Pace,
    tolerance: float | None = 1e-4,
    prepare: Callable[[Any], Any] = lambda value: value,
    **more: Any,
) -> Result:
    """Check that all get the same, then time them: each round times each of them once.

    `prepare` brings what they get to one form; a tolerance of None leaves the check out.
    """
    if tolerance is not None:
        contestants = _agreeing(group, case, contestants, tolerance, prepare)
    plans = []
    for contestant in contestants:
        loops, seconds = 1, contestant.seconds(1)
        while seconds < pace.slice / 4:
            loops *= 2
            seconds = contestant.seconds(loops)
        loops = max(1, round(loops * pace.slice / seconds))
        rounds = max(3, min(pace.rounds, int(pace.most / max(seconds, pace.slice))))
        plans.append((contestant, loops, rounds))
    samples: dict[str, list[float]] = {contestant.peer: [] for contestant in contestants}
    gc.collect()
    for turn in range(pace.rounds):
        # The order turns, so that nobody always runs in the caches that the same other one left.
        first = turn % len(plans)
        for contestant, loops, rounds in plans[first:] + plans[:first]:
            if turn < rounds:
                seconds = contestant.seconds(loops) / (loops * contestant.steps)
                samples[contestant.peer].append(seconds)
    return Result(
        group,
        case,
        {peer: min(times) for peer, times in samples.items()},
        {peer: statistics.median(times) for peer, times in samples.items()},
        {contestant.peer: contestant.code for contestant in contestants},
        more,
    )


# What went wrong in the checks of this run.
disagreements: list[str] = []


def _agreeing(
    group: str,
    case: str,
    contestants: Sequence[Any],
    tolerance: float,
    prepare: Callable[[Any], Any],
) -> list[Any]:
    """Return those whose results are the first one's within the tolerance; say which are not."""
    agreeing: list[Any] = []
    expected = None
    for contestant in contestants:
        try:
            value = prepare(contestant.value())
            expected = value if expected is None else expected
            error = difference(value, expected)
            most = getattr(contestant, "tolerance", None) or tolerance
            trouble = "" if error <= most else f"differs from {OURS} by {error:.3g}"
        except Exception as exception:
            if is_ours(contestant.peer):
                raise
            trouble = f"fails: {type(exception).__name__}: {exception}".splitlines()[0]
        if trouble:
            disagreements.append(f"{group}, {case}: {contestant.peer} {trouble}")
            print(disagreements[-1], file=sys.stderr)
        else:
            agreeing.append(contestant)
    if len(contestants) > 2 and all(is_ours(contestant.peer) for contestant in agreeing):
        raise RuntimeError(f"{group}, {case}: {OURS} agrees with nobody")
    return agreeing


def difference(got: Any, expected: Any) -> float:
    """Return the largest difference, relative where the numbers are larger than 1."""
    if isinstance(expected, list):
        return max(difference(g, e) for g, e in zip(got, expected, strict=True))
    if got.shape != expected.shape:
        got = got.reshape(expected.shape)
    if not np.isfinite(got).all():
        return float("inf")
    return float(np.max(np.abs(got - expected) / np.maximum(1.0, np.abs(expected)), initial=0.0))
