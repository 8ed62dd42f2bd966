"""Pictures of trainings. They need Matplotlib, which is imported when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepc.training.history import History

__all__ = ["history"]

# Colours that also those tell apart who see few of them (Okabe and Ito).
TRAINING, VALIDATION = "#0072B2", "#D55E00"


def history(history: History, *names: str, axes: Any = None) -> Figure:
    """Draw the series of a training over its epochs, one panel for each name.

    Parameters
    ----------
    history : History
    *names : str, optional
        Which series, without ``val_``; all of them if none is given.
    axes : matplotlib Axes or a sequence of them, optional
        Where to draw, one for each name; a new figure otherwise.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    KeyError
        If there is no series of a name.
    ValueError
        If the number of axes is not that of the names.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError("plot: needs Matplotlib; install it: pip install matplotlib") from None
    shown = list(names) or [name for name in history.names() if not name.startswith("val_")]
    for name in shown:
        history.epochs_of(name)  # refuses what was not measured
    if axes is None:
        _, axes = pyplot.subplots(
            1, len(shown), figsize=(4.5 * len(shown), 3.2), layout="constrained", squeeze=False
        )
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != len(shown):
        raise ValueError(f"axes: expected {len(shown)}, one for each series, got {len(panels)}")
    for panel, name in zip(panels, shown, strict=True):
        for series, colour, label in (
            (name, TRAINING, "training"),
            (f"val_{name}", VALIDATION, "validation"),
        ):
            if series in history.series:
                epochs, values = history.epochs_of(series), history[series]
                panel.plot(epochs, values, color=colour, marker="." if len(epochs) < 25 else "")
                # At the end of its line, so that nobody has to look up a legend.
                panel.annotate(
                    f" {label}", (epochs[-1], values[-1]), color=colour, va="center", fontsize=9
                )
        if history.best_epoch is not None:
            panel.axvline(history.best_epoch, color="0.7", linewidth=1, linestyle=":")
        panel.set_title(name.replace("_", " "), loc="left")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.margins(x=0.18)
        panel.grid(axis="y", color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    return panels[0].figure  # type: ignore[no-any-return]
