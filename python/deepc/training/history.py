"""What training returns: the loss of each epoch, and beside it every other series by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["History"]

# The figures of a table's column, sign and exponent included.
_WIDTH = 10


class History(list[float]):
    """The epochs of a training: a list of their losses, with named series beside it.

    ``history[-1]`` is the loss of the last epoch, as with any list; ``history["accuracy"]`` is the
    series of that name, one number for each epoch in which it was measured.

    Attributes
    ----------
    epochs : list of int
        The numbers of the epochs, from 0; they start later where training went on from
        ``initial_epoch``.
    series : dict of str to list of float
        All series: ``"loss"``, the metrics, and what begins with ``val_`` and was measured on the
        validation data.
    best_epoch : int or None
        The epoch whose weights the model has, where a callback put them back.
    stopped : str or None
        Why training ended before its last epoch.

    Examples
    --------
    >>> history = History()
    >>> history.record(0, {"loss": 2.0, "accuracy": 0.5})
    >>> history.record(1, {"loss": 1.0, "accuracy": 0.75})
    >>> history
    History of 2 epochs
     epoch   accuracy       loss
         0        0.5          2
         1       0.75          1
    >>> history[-1], history["accuracy"], min(history)
    (1.0, [0.5, 0.75], 1.0)
    """

    def __init__(self, losses: Iterable[float] = ()) -> None:
        super().__init__(losses)
        self.epochs: list[int] = list(range(len(self)))
        self.series: dict[str, list[float]] = {"loss": list(self)} if len(self) else {}
        self._epochs_of: dict[str, list[int]] = {"loss": list(self.epochs)} if len(self) else {}
        self.best_epoch: int | None = None
        self.stopped: str | None = None

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add an epoch's numbers; what is not measured in every epoch has a shorter series."""
        self.epochs.append(epoch)
        for name, value in values.items():
            self.series.setdefault(name, []).append(value)
            self._epochs_of.setdefault(name, []).append(epoch)
        self.append(values.get("loss", float("nan")))

    @property
    def loss(self) -> list[float]:
        """The losses, as a plain list."""
        return list(self)

    def names(self) -> list[str]:
        """Return the names of all series, in the order in which they came."""
        return list(self.series)

    def last(self) -> dict[str, float]:
        """Return the last number of each series."""
        return {name: values[-1] for name, values in self.series.items()}

    def epochs_of(self, name: str) -> list[int]:
        """Return the epochs in which a series was measured."""
        return list(self._epochs_of[self._known(name)])

    def _known(self, name: str) -> str:
        if name not in self.series:
            raise KeyError(
                f"{name!r}: this training measured {', '.join(self.series) or 'nothing'}"
            )
        return name

    # A list is asked for numbers and slices; a history for names as well.
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.series[self._known(key)]
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is no attribute: history.accuracy, history.val_loss.
        series = self.__dict__.get("series", {})
        if name in series:
            return series[name]
        raise AttributeError(f"{name!r}: this training measured {', '.join(series) or 'nothing'}")

    def __reduce__(self) -> Any:
        return (_restored, (list(self), dict(self.__dict__)))

    def __repr__(self) -> str:
        epochs = len(self)
        head = f"History of {epochs} epoch{'' if epochs == 1 else 's'}"
        if self.stopped:
            head += f", {self.stopped}"
        if not epochs:
            return head
        shown = [0, 1, 2, *range(epochs - 3, epochs)] if epochs > 8 else list(range(epochs))
        names = sorted(self.series, key=lambda name: (name.startswith("val_"), name))
        lines = [head, " epoch" + "".join(_cell(name) for name in names)]
        before = -1
        for place in shown:
            if place != before + 1:
                lines.append("   ...")
            epoch = self.epochs[place]
            lines.append(f"{epoch:6d}" + "".join(self._cells(names, epoch)))
            before = place
        return "\n".join(lines)

    def _cells(self, names: list[str], epoch: int) -> Iterator[str]:
        for name in names:
            measured = dict(zip(self._epochs_of[name], self.series[name], strict=True))
            width = max(_WIDTH, len(name)) + 1
            yield f"{measured[epoch]:{width}.4g}" if epoch in measured else " " * width

    def plot(self, *names: str, axes: Any = None) -> Any:
        """Draw the series over the epochs, training and validation in one panel each.

        Parameters
        ----------
        *names : str, optional
            Which series (without ``val_``); all of them if none is given.
        axes : matplotlib Axes or a sequence of them, optional
            Where to draw; a new figure with one panel for each name otherwise.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        KeyError
            If there is no series of a name.
        """
        from deepc.plots import history

        return history(self, *names, axes=axes)


def _cell(name: str) -> str:
    return f" {name:>{_WIDTH}}"


def _restored(losses: list[float], state: dict[str, Any]) -> History:
    history = History()
    history.extend(losses)
    history.__dict__.update(state)
    return history
