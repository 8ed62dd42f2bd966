"""The bars that Lightning shows, and the callback that draws them.

On a terminal and in a notebook a bar is redrawn in its line; elsewhere only what it is at the end
of an epoch, or of a stage, is printed.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from deepc.lightning._callback import Callback
from deepc.training.progress import _in_notebook

__all__ = ["ProgressBar", "TQDMProgressBar"]

# Seconds from one picture of a bar to the next.
_INTERVAL = 0.05
_CELLS, _PLAIN_CELLS = " ▏▎▍▌▋▊▉█", " 123456789#"
_NARROW = 10
_PAD = 5
_STREAM_ERRORS = (OSError, ValueError, AttributeError, TypeError)


def _clock(seconds: float) -> str:
    """Return a time as minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _number(value: Any) -> str:
    """Return a value with three significant digits; floats fill five places, so nothing jumps."""
    if isinstance(value, str):
        text = value
    else:
        short = f"{value:.3g}".replace("e+0", "e+").replace("e-0", "e-")
        text = short if len(short) < len(str(value)) else str(value)
    if isinstance(value, int) or "e" in text:
        return text
    if "." not in text and len(text) < _PAD:
        try:
            float(text)
        except ValueError:
            return text
        text += "."
    return text + "0" * (_PAD - len(text))


class _Bar:
    """One line that shows how far something is."""

    def __init__(self, words: str, leave: bool, below: bool = False) -> None:
        self.words, self.leave, self.below = words, leave, below
        self.postfix = ""
        self.seen, self._cells = _place()
        self._width = 0
        self._is_open = True
        self.reset(None)

    def reset(self, total: int | None) -> None:
        """Begin again at 0."""
        self.n, self.total = 0, total
        self._start = time.perf_counter()
        self._last = -1.0

    def is_due(self) -> bool:
        """Whether somebody sees it, and the last picture is old."""
        return self.seen and time.perf_counter() - self._last >= _INTERVAL

    def text(self) -> str:
        """Return the line as it is now."""
        elapsed = time.perf_counter() - self._start
        rate = self.n / elapsed if elapsed > 0 else 0.0
        speed = f"{rate:5.2f}it/s" if rate else "?it/s"
        total = "?" if self.total is None else str(self.total)
        left = _clock((self.total - self.n) / rate) if rate and self.total is not None else "?"
        if rate and self.total is None:
            left = _clock(0)
        postfix = f", {self.postfix}" if self.postfix else ""
        tail = f"| {self.n}/{total} [{_clock(elapsed)}<{left}, {speed}{postfix}]"
        part = f"{100 * self.n / self.total:3.0f}%" if self.total else ""
        head = f"{self.words}: {part}|"
        if not sys.stdout.isatty():
            return head + self._filled(_NARROW) + tail
        # It fills the line; a longer one would go on in the next, and stay there.
        columns = shutil.get_terminal_size().columns
        width = max(1, columns - len(head) - len(tail))
        return (head + self._filled(width) + tail)[:columns]

    def _filled(self, width: int) -> str:
        """Return so many cells, as many of them filled as are done."""
        steps = len(self._cells) - 1
        done = min(self.n / self.total, 1.0) if self.total else 0.0
        whole, part = divmod(int(done * width * steps), steps)
        if whole == width:
            return self._cells[-1] * width
        return self._cells[-1] * whole + self._cells[part] + " " * (width - whole - 1)

    def draw(self) -> None:
        """Show the line where somebody sees it."""
        if not self.seen or not self._is_open:
            return
        with suppress(*_STREAM_ERRORS):
            text = self.text()
            line = "\r" + text + " " * (self._width - len(text))
            _write(f"\n{line}\x1b[A" if self.below else line)
            self._width = len(text)
        self._last = time.perf_counter()

    def line(self) -> None:
        """Print the line as a line of its own, where nobody sees it move."""
        if not self.seen and self._is_open:
            with suppress(*_STREAM_ERRORS):
                _write(self.text() + "\n")

    def close(self) -> None:
        """Let the line stay, or take it away."""
        if not self._is_open:
            return
        if self.leave and self.seen:
            self.draw()
            _write("\n")
        elif self.seen and self._width:
            gone = "\r" + " " * self._width
            _write(f"\n{gone}\x1b[A\r" if self.below else gone + "\r")
        self._is_open = False


def _write(text: str) -> None:
    with suppress(*_STREAM_ERRORS):
        sys.stdout.write(text)
        sys.stdout.flush()


def _place() -> tuple[bool, str]:
    """Return whether somebody sees standard output, and what it can draw a bar with."""
    seen, cells = False, _CELLS
    with suppress(*_STREAM_ERRORS):
        seen = bool(sys.stdout.isatty()) or _in_notebook()
    with suppress(AttributeError, TypeError, LookupError):
        try:
            _CELLS.encode(sys.stdout.encoding or "utf-8")
        except UnicodeEncodeError:
            cells = _PLAIN_CELLS
    return seen, cells


class ProgressBar(Callback):
    """What shows how far the Trainer is; a class of one's own may show it in another way."""

    sanity_check_description = "Sanity Checking"
    train_description = "Training"
    validation_description = "Validation"
    test_description = "Testing"
    predict_description = "Predicting"

    def __init__(self) -> None:
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether it shows anything."""
        return self._enabled

    @property
    def is_disabled(self) -> bool:
        """Whether it shows nothing."""
        return not self.is_enabled

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def disable(self) -> None:
        """Show nothing from now on."""
        self._enabled = False

    def get_metrics(self, trainer: Any, pl_module: Any) -> Mapping[str, Any]:
        """Return the numbers behind the bar."""
        shown: dict[str, Any] = {}
        if trainer.loggers and trainer.loggers[0].version is not None:
            version = trainer.loggers[0].version
            shown["v_num"] = version[-4:] if isinstance(version, str) else version
        return {**shown, **trainer.progress_bar_metrics}

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print something."""
        print(*args, **kwargs)


class TQDMProgressBar(ProgressBar):
    """The bars as tqdm would draw them, on standard output; tqdm itself is not needed.

    Parameters
    ----------
    refresh_rate : int, optional
        Batches from one picture to the next, at least; 0 shows nothing.
    process_position : int, optional
        Accepted; there is one process.
    leave : bool, optional
        Let the bar of each epoch stay in a line of its own.
    """

    def __init__(
        self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False
    ) -> None:
        super().__init__()
        self.refresh_rate, self.process_position = refresh_rate, process_position
        self._leave = leave
        # The bar of the training, and the one of what is measured now.
        self._main: _Bar | None = None
        self._other: _Bar | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether it shows anything."""
        return self._enabled and self.refresh_rate > 0

    def print(self, *args: Any, sep: str = " ", end: str = "\n", **kwargs: Any) -> None:
        """Print something above the bar."""
        bar = self._main or self._other
        if bar is not None and bar.seen and bar._width:
            _write("\r" + " " * bar._width + "\r")
        print(*args, sep=sep, end=end, **kwargs)

    # ---- Training --------------------------------------------------------------------------------

    def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of the check."""
        self._open(self.sanity_check_description, leave=False)

    def on_sanity_check_end(self, trainer: Any, pl_module: Any) -> None:
        """Take it away."""
        self._close()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of the training."""
        self._main = _Bar(self.train_description, leave=True) if self.is_enabled else None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin an epoch."""
        if self._main is None:
            return
        if self._leave and self._main.n:
            self._main = _Bar(self.train_description, leave=True)
        total = trainer.num_training_batches
        self._main.words = f"Epoch {trainer.current_epoch}"
        self._main.reset(None if total == float("inf") else total)
        self._main.draw()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Go on by a batch."""
        bar = self._main
        if bar is not None:
            bar.n = batch_idx + 1
            if bar.is_due() and bar.n % self.refresh_rate == 0:
                self._show(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Show the numbers of the epoch."""
        if self._main is not None:
            self._show(trainer, pl_module)
            self._main.line()
            if self._leave:
                self._main.close()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let the bar stay."""
        if self._main is not None:
            self._main.close()
        self._main = None

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Let the bars be as they are."""
        for bar in (self._other, self._main):
            if bar is not None:
                bar.line()
                bar.close()
        self._main = self._other = None

    def _show(self, trainer: Any, pl_module: Any) -> None:
        assert self._main is not None
        shown = self.get_metrics(trainer, pl_module)
        self._main.postfix = ", ".join(
            f"{name}={_number(value) if isinstance(value, (int, float)) else value}"
            for name, value in shown.items()
        )
        self._main.draw()

    # ---- Validation, test, prediction ------------------------------------------------------------

    def _open(self, words: str, leave: bool, below: bool = False) -> None:
        self._close()
        if self.is_enabled:
            self._other = _Bar(words, leave, below)

    def _close(self) -> None:
        if self._other is not None:
            if self._other.leave:
                self._other.line()
            self._other.close()
        self._other = None

    def _begin(self, words: str, totals: list[Any], batch_idx: int, number: int) -> None:
        if self._other is not None and batch_idx == 0:
            total = totals[number]
            self._other.words = f"{words} DataLoader {number}"
            self._other.reset(None if total == float("inf") else total)

    def _advance(self, batch_idx: int) -> None:
        bar = self._other
        if bar is not None:
            bar.n = batch_idx + 1
            if bar.is_due() and bar.n % self.refresh_rate == 0:
                bar.draw()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of the validation."""
        if not trainer.sanity_checking:
            self._open(
                self.validation_description, leave=not trainer.fitting, below=trainer.fitting
            )

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin with a loader."""
        checking = trainer.sanity_checking
        words = self.sanity_check_description if checking else self.validation_description
        totals = trainer.num_sanity_val_batches if checking else trainer.num_val_batches
        self._begin(words, totals, batch_idx, dataloader_idx)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Go on by a batch."""
        self._advance(batch_idx)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Show the numbers behind the bar of the training."""
        if not trainer.sanity_checking:
            self._close()
        if self._main is not None and trainer.fitting:
            self._show(trainer, pl_module)

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of the test."""
        self._open(self.test_description, leave=True)

    def on_test_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin with a loader."""
        self._begin(self.test_description, trainer.num_test_batches, batch_idx, dataloader_idx)

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Go on by a batch."""
        self._advance(batch_idx)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Let the bar stay."""
        self._close()

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of the prediction."""
        self._open(self.predict_description, leave=True)

    def on_predict_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begin with a loader."""
        totals = trainer.num_predict_batches
        self._begin(self.predict_description, totals, batch_idx, dataloader_idx)

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Go on by a batch."""
        self._advance(batch_idx)

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Let the bar stay."""
        self._close()
