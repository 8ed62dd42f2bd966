"""The progress bar of `fit` and of the demonstration.

Nothing that happens to standard error (closed, a pipe that nobody reads, an object of somebody's
own) is worth a training: the bar goes away then, and the training goes on.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["Advance", "is_seen", "progress_bar"]

# What is called with the samples done since the last call and the loss to show.
Advance = Callable[[int, float], None]

# What writing raises where a stream cannot be written to, or is none.
_STREAM_ERRORS = (OSError, ValueError, AttributeError, TypeError)


def is_seen() -> bool:
    """Whether somebody sees a bar: on a terminal, or in a notebook."""
    with suppress(*_STREAM_ERRORS):
        return bool(sys.stderr.isatty()) or _in_notebook()
    return _in_notebook()


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook, where standard error is no terminal."""
    with suppress(Exception):
        return "IPKernelApp" in sys.modules["IPython"].get_ipython().config
    return False


def _tqdm() -> Any:
    """Return the class of bars for this place."""
    if not _in_notebook():
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets it takes the other class, and warns
        from tqdm.auto import tqdm
    return tqdm


@contextmanager
def progress_bar(wanted: bool | None, total: int | None, **settings: Any) -> Iterator[Advance]:
    """Yield what to call with the samples done since the last call and the loss.

    `wanted` is None for a bar where somebody sees it if tqdm is installed; `settings` are more of
    tqdm's.
    """
    bar = None
    if is_seen() if wanted is None else wanted:
        try:
            tqdm = _tqdm()
        except ImportError:
            if wanted:
                raise ImportError(
                    "progress: needs tqdm; install it, or say progress=False"
                ) from None
        else:
            with suppress(*_STREAM_ERRORS):
                bar = tqdm(total=total, unit=" samples", unit_scale=True, **settings)
    if bar is None:
        yield lambda samples, loss: None
        return

    def advance(samples: int, loss: float) -> None:
        try:
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(samples)
        except _STREAM_ERRORS:
            bar.disable = True  # so that neither it nor its end writes again

    try:
        yield advance
    finally:
        try:
            bar.close()
        except _STREAM_ERRORS:
            bar.disable = True
