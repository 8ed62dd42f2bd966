"""Where the random numbers of the torch face come from."""

from __future__ import annotations

import random
from typing import Any

__all__ = ["Generator", "default_generator", "initial_seed", "key", "manual_seed", "seed"]


class Generator:
    """A source of random numbers of its own.

    The numbers are deepc's, not torch's: the same for the same seed on every machine.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.source = random.Random(67280421310721)
        self._seed = 67280421310721

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed; return the generator."""
        self._seed = int(seed)
        self.source.seed(self._seed)
        return self

    def initial_seed(self) -> int:
        """Return the seed that it started from."""
        return self._seed

    def seed(self) -> int:
        """Start anew from a seed that nobody knows; return it."""
        self.manual_seed(random.SystemRandom().getrandbits(63))
        return self._seed


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Let all random numbers that follow be those of a seed."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Let all random numbers that follow be those of a seed that nobody knows; return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed that the random numbers started from."""
    return default_generator.initial_seed()


def key(generator: Generator | None = None) -> random.Random:
    """Return the source of a generator, of the common one if there is none."""
    return (generator or default_generator).source
