"""The progress bar of `fit` and of the demonstration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Advance", "is_terminal", "progress_bar"]

# What is called with the samples done since the last call and the loss to show.
Advance = Callable[[int, float], None]


def is_terminal() -> bool:
    """Whether standard error, where a bar goes, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress_bar(wanted: bool | None, total: int | None, **settings: Any) -> Iterator[Advance]:
    """Yield what to call with the samples done since the last call and the loss.

    `wanted` is None for a bar on a terminal if tqdm is installed; `settings` are more of tqdm's.
    """
    if wanted is None:
        show, missing_is_fine = is_terminal(), True
    else:
        show, missing_is_fine = wanted, False
    if show:
        try:
            from tqdm import tqdm
        except ImportError:
            if not missing_is_fine:
                raise ImportError(
                    "progress: needs tqdm; install it, or say progress=False"
                ) from None
            show = False
    if not show:
        yield lambda samples, loss: None
        return
    with tqdm(total=total, unit=" samples", unit_scale=True, **settings) as bar:

        def advance(samples: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(samples)

        yield advance
