"""Where the rows of a training come from: arrays, or an iterable of batches; by epochs or by steps.

A source yields the parts that an epoch is trained in, and can go to the place where a training was
interrupted. Arrays are gone into directly. An iterable is gone over again from its beginning up to
there, without training, because nothing else brings what makes its batches, a generator of random
numbers say, into the state that it had.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from deepc._c import random
from deepc._values import Array, warn
from deepc.losses import Loss
from deepc.training.data import Rows, batches

# Only trainings that are kept in a file pay for what writes it.
if TYPE_CHECKING:
    from deepc.shipping.checkpoint import Progress

__all__ = ["Part", "Source", "StreamSource", "Validation"]

# How much of each array of a batch tells whether it is the one that was there before.
_LOOKED_AT = 4096


class Part:
    """Rows that are trained in one go, in an order, in batches."""

    def __init__(self, rows: Rows, order: Array | None, batch_size: int) -> None:
        self.rows = rows
        self.order = order
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.rows)

    def actual(self, start: int, stop: int) -> Array:
        """Return what is right for some rows, in the order of their use."""
        return np.asarray(self.rows.actual[self._chosen(start, stop)])

    def weights(self, start: int, stop: int) -> Array | None:
        """Return the weights of the same rows; None if they have none."""
        if self.rows.weights is None:
            return None
        return np.asarray(self.rows.weights[self._chosen(start, stop)])

    def batches(self, start: int) -> Iterator[tuple[int, Any]]:
        """Yield where each batch from a row on ends, and its rows."""
        for begin in range(start, len(self), self.batch_size):
            stop = min(begin + self.batch_size, len(self))
            yield stop, self.rows.part(self._chosen(begin, stop))

    def _chosen(self, start: int, stop: int) -> slice | Array:
        return slice(start, stop) if self.order is None else self.order[start:stop]


class Source:
    """Where the rows of an epoch come from: arrays, in a new order each time if shuffled."""

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        shuffle: bool,
        rng: Any,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        # One key for all orders, with the epoch as the counter: so the order of an epoch does not
        # depend on what was drawn before it.
        self.key = random.key(rng) if shuffle else None
        self.steps = steps_per_epoch
        # Where the caller cuts the epochs: how many batches of all orders, one after the other,
        # have been given.
        self._taken = 0
        self._progress: Progress | None = None

    @property
    def samples(self) -> int:
        """How many rows an epoch has."""
        return len(self.rows) if self.steps is None else self.steps * self.batch_size

    @property
    def by_batches(self) -> bool:
        """Whether each step is a part of its own, also if nobody follows the steps."""
        return self.steps is not None

    @property
    def steps_of_an_epoch(self) -> int:
        """How many steps an epoch has."""
        return self._steps_of_an_order if self.steps is None else self.steps

    @property
    def _steps_of_an_order(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def progress(self, epoch: int) -> Progress:
        """Return the progress of a training that begins with an epoch, and keep it up to date."""
        from deepc.shipping.checkpoint import Progress

        facts = {"rows": len(self.rows), "batch_size": self.batch_size}
        more = {} if self.steps is None else {"steps_per_epoch": self.steps}
        self._progress = Progress(facts | more, self.key, epoch, self.steps is not None)
        return self._progress

    def go_to(self, place: Progress) -> None:
        """Go on from a place."""
        self.key = place.key
        self._taken = place.taken
        if self._progress:
            self._progress.taken = place.taken

    def order(self, epoch: int) -> Array | None:
        """Return the order of an epoch."""
        return None if self.key is None else random.permutation(len(self.rows), self.key, epoch)

    def parts(self, epoch: int, by_steps: bool, first_step: int = 0) -> Iterator[Part]:
        """Yield what an epoch is trained in: one part, or a part for each step from one on."""
        if self.steps is not None:
            for part in itertools.islice(self._endless(), self.steps - first_step):
                self._taken += 1
                if self._progress:
                    self._progress.taken = self._taken
                yield part
        elif by_steps:
            yield from self._batches(epoch, first_step)
        else:
            yield Part(self.rows, self.order(epoch), self.batch_size)

    def _batches(self, epoch: int, first_step: int = 0) -> Iterator[Part]:
        order = self.order(epoch)
        for start in range(first_step * self.batch_size, len(self.rows), self.batch_size):
            stop = min(start + self.batch_size, len(self.rows))
            chosen = slice(start, stop) if order is None else order[start:stop]
            yield Part(self.rows.part(chosen), None, self.batch_size)

    def _endless(self) -> Iterator[Part]:
        """Yield the batches from the one on that is next."""
        first, step = divmod(self._taken, self._steps_of_an_order)
        for epoch in itertools.count(first):
            yield from self._batches(epoch, step)
            step = 0


class StreamSource:
    """Batches that come from an iterable; an endless one is cut into epochs of so many steps."""

    samples = None  # Nobody knows how many rows will come.
    by_batches = True

    def __init__(
        self, stream: Any, model: Any, loss: Loss | None, steps_per_epoch: int | None,
        read: Callable[..., Iterator[Any]] = batches,
    ) -> None:  # fmt: skip
        self.stream = stream
        # What makes checked rows of the batches of a stream, for a model and a loss.
        self._read = read
        self.model = model
        self.loss = loss
        self.steps = self.steps_of_an_epoch = steps_per_epoch
        self._going: Iterator[Rows] | None = None
        self._progress: Progress | None = None

    def progress(self, epoch: int) -> Progress:
        """Return the progress of a training that begins with an epoch, and keep it up to date."""
        from deepc.shipping.checkpoint import Progress

        facts = {} if self.steps is None else {"steps_per_epoch": self.steps}
        self._progress = Progress(facts, None, epoch, True)
        return self._progress

    def go_to(self, place: Progress) -> None:
        """Take the batches up to a place; refuse what gives others than it gave before.

        Raises
        ------
        ValueError
            If it gives other batches, or fewer.
        """
        now, self._going = self._progress or self.progress(place.epoch), None
        now.taken = now.digest = 0
        while now.taken < place.taken:
            if self._next() is None and self._next() is None:
                break
        if not place.step and self.steps is None and place.taken:
            # Also what is behind the last batch of an epoch belongs to it.
            now.taken += self._next() is not None
        if (now.taken, now.digest) != (place.taken, place.digest):
            raise ValueError(
                f"x: gives other batches than it gave to the training that is resumed, up to batch "
                f"{place.taken}; expected an iterable that begins anew and whose order is fixed, "
                "by a seed of its own say"
            )

    def parts(self, epoch: int, by_steps: bool, first_step: int = 0) -> Iterator[Part]:
        """Yield a part for each batch."""
        del epoch, by_steps
        if self.steps is None and not first_step:
            self._going = None
        for _ in itertools.count() if self.steps is None else range(self.steps - first_step):
            rows = self._next()
            if rows is None and self.steps is not None:
                rows = self._next()  # A loader can be gone over again; a generator cannot.
                if rows is None:
                    warn("x: the batches ran out before the steps")
            if rows is None:
                return
            yield Part(rows, None, max(len(rows), 2))

    def _next(self) -> Rows | None:
        """Return the next batch; None after the last one, behind which it begins anew."""
        if self._going is None:
            self._going = self._read(self.stream, self.model, self.loss)
        rows = next(self._going, None)
        if rows is None:
            self._going = None
        elif self._progress:
            self._progress.taken += 1
            self._progress.digest = _digest(rows, self._progress.digest)
        return rows


def _digest(rows: Rows, digest: int) -> int:
    """Return a checksum that goes on with the first rows of a batch."""
    for array in (rows.x, rows.actual, rows.weights):
        if array is not None and not array.dtype.hasobject:
            first = array[: max(1, _LOOKED_AT // max(1, array[:1].nbytes))]
            digest = zlib.crc32(first.tobytes(), digest)
    return zlib.crc32(len(rows).to_bytes(8, "little"), digest)


class Validation:
    """What a training is measured on, and after which epochs."""

    def __init__(self, rows: Rows, every: int, batch_size: int | None) -> None:
        self.rows = rows
        self.every = every
        self.batch_size = batch_size

    def is_due(self, epoch: int) -> bool:
        """Whether it belongs after this epoch."""
        return (epoch + 1) % self.every == 0
