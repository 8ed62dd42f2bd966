"""Pictures of trainings and of what networks have learned, as Matplotlib figures.

Matplotlib is imported when one is drawn. The figures belong to no window: save them with
``figure.savefig(path)``, or let a notebook show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepc._values import Array, any_array, as_array, as_int, describe
from deepc.layers import Layer
from deepc.losses import as_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepc.training.history import History

__all__ = ["confusion_matrix", "decision_surface", "digit_grid", "history", "weight_images"]

# Blue and vermilion of the palette by Okabe and Ito, which the colour-blind tell apart; greys for
# the rest.
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY, FAINT = "#222222", "#767676", "#E4E4E4"
COLOURS = TRAINING, VALIDATION = BLUE, VERMILION
DPI = 160

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
}


def history(
    history: History | Mapping[str, Sequence[float]] | Any, *names: str, axes: Any = None
) -> Figure:
    """Draw the series of a training over its epochs, one panel for each name.

    Parameters
    ----------
    history : History, or what Keras' ``fit`` returns, or its dict of series
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
    TypeError
        If `history` is none.
    ValueError
        If the number of axes is not that of the names, or nobody knows the epochs of a series.

    Examples
    --------
    >>> from deepc import plots
    >>> losses = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]}
    >>> figure = plots.history(losses)  # doctest: +SKIP
    """
    try:
        from matplotlib import pyplot
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError("plot: needs Matplotlib; install it: pip install matplotlib") from None
    series = _series(history)
    shown = list(names) or [name for name in series if not name.startswith("val_")]
    for name in shown:
        if name not in series:
            raise KeyError(f"{name!r}: this training measured {', '.join(series) or 'nothing'}")
    if axes is None:
        _, axes = pyplot.subplots(
            1, len(shown), figsize=(4.5 * len(shown), 3.2), layout="constrained", squeeze=False
        )
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != len(shown):
        raise ValueError(f"axes: expected {len(shown)}, one for each series, got {len(panels)}")
    best = getattr(history, "best_epoch", None)
    for panel, name in zip(panels, shown, strict=True):
        ends = []
        for one, colour, label in (
            (name, TRAINING, "training"),
            (f"val_{name}", VALIDATION, "validation"),
        ):
            if one in series:
                epochs, values = series[one]
                panel.plot(epochs, values, color=colour, marker="." if len(epochs) < 25 else "")
                ends.append((epochs[-1], values[-1], colour, label))
        if best is not None:
            panel.axvline(best, color=GREY, linewidth=1, linestyle=":")
            at_the_top = panel.get_xaxis_transform()
            panel.text(best, 1, " best", transform=at_the_top, color=GREY, fontsize=8, va="top")
        panel.set_title(name.replace("_", " "), loc="left")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.margins(x=0.03)
        panel.grid(axis="y", color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
        _name_ends(panel, ends)
    return panels[0].figure  # type: ignore[no-any-return]


def _name_ends(panel: Axes, ends: list[tuple[int, float, str, str]]) -> None:
    """Write names at the ends of lines, so that nobody has to look up a legend.

    Where two lines end close to each other, their names are moved apart.
    """
    panel.get_ylim()  # now the scale is final
    points = [panel.transData.transform(end[:2])[1] * 72 / panel.figure.dpi for end in ends]
    moves = [0.0] * len(ends)
    if len(ends) == 2:
        upper = int(points[1] >= points[0])
        lacking = max(0.0, 11 - abs(points[1] - points[0])) / 2
        moves[upper], moves[1 - upper] = lacking, -lacking
    for (epoch, value, colour, label), move in zip(ends, moves, strict=True):
        panel.annotate(
            label, (epoch, value), (5, move), textcoords="offset points", color=colour,
            va="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip


def _series(history: Any) -> dict[str, tuple[list[int], list[float]]]:
    """Return the epochs and numbers of each series of a history of any kind."""
    found = getattr(history, "series", getattr(history, "history", history))
    if not isinstance(found, Mapping):
        raise TypeError(
            f"history: expected a History, what Keras' fit returns, or its dict of series, "
            f"got {describe(history)}"
        )
    of = getattr(history, "epochs_of", None)
    every = list(getattr(history, "epoch", range(max(map(len, found.values()), default=0))))
    series = {}
    for name, values in found.items():
        if of is None and len(values) != len(every):
            raise ValueError(
                f"history: {name!r} has {len(values)} numbers, other series {len(every)}, and "
                "nobody knows of which epochs; give the history that fit returned"
            )
        series[name] = (every if of is None else of(name), list(values))
    return series


# ---- What a classifier reads ---------------------------------------------------------------------


def digit_grid(
    images: Any, predicted: Any, actual: Any, *, probabilities: Any = None, name: str = "Digits"
) -> Figure:
    """Draw images of digits with what a network reads: mistakes first.

    Parameters
    ----------
    images : ndarray of shape (samples, height, width)
        Ink is large, paper small.
    predicted, actual : ndarray of shape (samples,)
        The digits 0 to 9 that it reads, and that they are.
    probabilities : ndarray of shape (samples,), optional
        How sure it is of what it reads; shown below mistakes.
    name : str, optional
        Of the data, for the title.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    Examples
    --------
    >>> from deepc import datasets, plots
    >>> data = datasets.digits()
    >>> images = data.test_x.reshape(-1, *data.image_shape)
    >>> figure = plots.digit_grid(images, data.test_y, data.test_y)  # doctest: +SKIP
    """
    pictures = as_array(images, "images")
    if pictures.ndim != 3:
        raise ValueError(f"images: expected (samples, height, width), got {pictures.shape}")
    read = _classes(predicted, "predicted", len(pictures), 10)
    right = _classes(actual, "actual", len(pictures), 10)
    shares = None if probabilities is None else as_array(probabilities, "probabilities")
    if shares is not None and shares.shape != read.shape:
        raise ValueError(f"probabilities: expected {len(read)} numbers, got shape {shares.shape}")
    import matplotlib

    wrong = np.flatnonzero(read != right)
    found = [np.flatnonzero((right == digit) & (read == digit)) for digit in range(10)]
    # Each row is a list of (column, index of the image); of the right ones a column is a digit.
    blocks = [
        (
            f"Mistaken: {_some(len(wrong), 20)}",
            [list(enumerate(wrong[i : i + 10])) for i in range(0, 20, 10)],
        ),
        (
            "Read right, the first four of each digit",
            [
                [(digit, places[i]) for digit, places in enumerate(found) if len(places) > i]
                for i in range(4)
            ],
        ),
    ]
    blocks = [(text, [row for row in rows if row]) for text, rows in blocks if any(rows)]

    # In pixels. A side of 120 has room for 8 + 2 and for 28 + 2 pixels of the same whole size.
    side, across, down, margin = 120, 148, 180, 60
    height = 170 + sum(70 + down * len(rows) for _, rows in blocks)
    with matplotlib.rc_context(STYLE):
        figure, canvas = _canvas(10 * across - (across - side) + 2 * margin, height)
        title = f"{name}: what the network reads"
        canvas.text(margin, 62, title, fontsize=13, fontweight="bold")
        share = float(np.mean(read == right)) if len(read) else 0.0
        about = "Bold: what it reads. Grey: what it is, where that differs"
        about += ", and how sure it was." if shares is not None else "."
        text = f"{about} Of {len(read):,} images it reads {share:.1%} right."
        canvas.text(margin, 100, text, color=GREY)
        top = 130
        for text, rows in blocks:
            canvas.text(margin, top + 44, text, fontsize=10, fontweight="bold")
            top += 70
            for row in rows:
                for column, i in row:
                    image = np.pad(pictures[i], 1, constant_values=pictures.min())
                    note = "" if read[i] == right[i] else f"{right[i]}"
                    if note and shares is not None:
                        note += f"  {shares[i]:.0%}"
                    place = (margin + column * across, top, side)
                    _cell(canvas, place, image, str(read[i]), note)
                top += down
    return figure


def _some(count: int, shown: int) -> str:
    return f"all {count}" if count <= shown else f"{shown} of {count:,}"


def _cell(canvas: Axes, place: tuple[int, int, int], image: Array, read: str, note: str) -> None:
    """Draw an image with what is read in it; `note` tells what a mistake should be."""
    from matplotlib.patches import Rectangle

    left, top, side = place
    extent = (left, left + side, top + side, top)
    canvas.imshow(image, cmap="Greys", interpolation="nearest", extent=extent, aspect="auto")
    frame: Any = {"edgecolor": VERMILION, "linewidth": 1.4} if note else {"edgecolor": FAINT}
    canvas.add_patch(Rectangle((left, top), side, side, fill=False, **frame))
    below: Any = {"va": "top", "fontsize": 10}
    middle, colour = left + side / 2, VERMILION if note else BLUE
    if note:
        canvas.text(left, top + side + 8, read, color=colour, fontweight="bold", **below)
        canvas.text(left + side, top + side + 8, note, color=GREY, ha="right", **below)
    else:
        canvas.text(
            middle, top + side + 8, read, color=colour, fontweight="bold", ha="center", **below
        )


def confusion_matrix(
    actual: Any, predicted: Any, classes: Any, *, name: str = "", reader: str = "the network"
) -> Figure:
    """Draw how often each class was taken for which.

    Parameters
    ----------
    actual, predicted : ndarray of int of shape (samples,)
        The classes that samples are, and that they were taken for: numbers below
        ``len(classes)``.
    classes : sequence of str
        Their names, at most 20.
    name, reader : str, optional
        What is read and who reads it, for the titles.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or a class is out of range.

    Examples
    --------
    >>> from deepc import plots
    >>> figure = plots.confusion_matrix([0, 1, 1], [0, 1, 0], ["cat", "dog"])  # doctest: +SKIP
    """
    names = [str(each) for each in classes]
    if not 2 <= len(names) <= 20:
        raise ValueError(f"classes: expected 2 to 20 names, got {len(names)}")
    right = _classes(actual, "actual", None, len(names))
    read = _classes(predicted, "predicted", len(right), len(names))
    import matplotlib
    from matplotlib.colors import to_rgb

    count = len(names)
    counts = np.bincount(count * right + read, minlength=count**2).reshape(count, count)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(count, dtype=bool)
    errors = counts * ~diagonal
    # How much colour a cell has: right ones by their share of the row, mistakes by their number.
    strength = np.where(diagonal, shares, 0.75 * errors / max(errors.max(), 5))
    strength[errors > 0] += 0.1
    hue = np.where(diagonal[..., None], to_rgb(BLUE), to_rgb(VERMILION))
    strength = strength[..., None]

    title = f"{name}: " if name else ""
    title += f"{int(np.trace(counts)):,} of {counts.sum():,} read right"
    about = f"Rows: what they are. Columns: what {reader} reads."
    with matplotlib.rc_context(STYLE):
        # Names stand beside rows and above columns, so all must have room for the longest.
        widest = max(_text_width(each, 11) for each in names)
        left, top, wide, high = round(75 + widest), 200, round(max(95, widest + 16)), 95
        width, height = wide * count, high * count
        needed = 130 + max(_text_width(title, 13, "bold"), _text_width(about, 9))
        figure, canvas = _canvas(round(max(left + width + 120, needed)), top + height + 40)
        canvas.text(90, 62, title, fontsize=13, fontweight="bold")
        canvas.text(90, 100, about, color=GREY)
        end = left + width + 75
        middle: Any = {"va": "center", "ha": "center"}
        for i, label in enumerate(names):
            across, down = left + (i + 0.5) * wide, top + (i + 0.5) * high
            canvas.text(left - 22, down, label, va="center", ha="right", fontsize=11)
            canvas.text(across, top - 24, label, fontsize=11, **middle)
            canvas.text(end, down, f"{shares[i, i]:.0%}", va="center", ha="right", color=GREY)
        canvas.text(end, top - 24, "right", va="center", ha="right", color=GREY)
        extent = (left, left + width, top + height, top)
        image = 1 - strength * (1 - hue)
        canvas.imshow(image, interpolation="nearest", extent=extent, aspect="auto")
        for i in range(count + 1):
            line: Any = {"color": "white", "linewidth": 2}
            canvas.plot([left, left + width], [top + i * high] * 2, **line)
            canvas.plot([left + i * wide] * 2, [top, top + height], **line)
        for (row, column), number in np.ndenumerate(counts):
            if number:
                dark = row == column and strength[row, column, 0] > 0.6
                x, y = left + (column + 0.5) * wide, top + (row + 0.5) * high
                canvas.text(x, y, f"{number:,}", color="white" if dark else INK, **middle)
    return figure


def _classes(labels: Any, name: str, count: int | None, classes: int) -> Array:
    """Return class numbers, checked."""
    array = any_array(labels, name)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected shape (samples,), got {array.shape}")
    numbers = as_labels(array, (len(array) if count is None else count, classes), name)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise ValueError(f"{name}: expected classes from 0 to {classes - 1}")
    return numbers


# ---- What a network has learned ------------------------------------------------------------------


def weight_images(weights: Any, shape: tuple[int, int], *, name: str = "") -> Figure:
    """Draw the weights of neurons that look at an image as images: blue is above 0, red below.

    Parameters
    ----------
    weights : ndarray of shape (neurons, height * width)
        As ``layer.w`` of a `Linear` that is given flattened images.
    shape : tuple of two ints
        Height and width.
    name : str, optional
        For the title.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    Examples
    --------
    >>> from deepc import Linear, plots
    >>> figure = plots.weight_images(Linear(64, 30).w, (8, 8))  # doctest: +SKIP
    """
    array = as_array(weights, "weights")
    height, width = (as_int(size, "shape", least=1) for size in shape)
    if array.ndim != 2 or not array.size or array.shape[1] != height * width:
        raise ValueError(f"weights: expected shape (neurons, {height * width}), got {array.shape}")
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("weights", [VERMILION, "white", BLUE])
    columns = min(10, len(array))
    side, across, margin = 120, 138, 60
    rows = -(-len(array) // columns)
    with matplotlib.rc_context(STYLE):
        figure, canvas = _canvas(max(columns * across + 2 * margin, 900), 130 + rows * across + 40)
        title = f"{name}: " if name else ""
        title += f"what {len(array)} neurons look for"
        canvas.text(margin, 62, title, fontsize=13, fontweight="bold")
        text = "Blue: ink here excites the neuron. Red: it inhibits it. White: nothing."
        canvas.text(margin, 100, text, color=GREY)
        for i, neuron in enumerate(array):
            left, top = margin + i % columns * across, 130 + i // columns * across
            # Each by its own largest weight: the pattern counts, not how strong it is.
            most = float(abs(neuron).max()) or 1.0
            canvas.imshow(
                neuron.reshape(height, width), cmap=colours, vmin=-most, vmax=most,
                interpolation="nearest", extent=(left, left + side, top + side, top),
                aspect="auto",
            )  # fmt: skip
    return figure


def decision_surface(model: Layer, x: Any, y: Any, *, name: str = "") -> Figure:
    """Draw what a model of two inputs and one output gives over the plane, and its samples.

    Parameters
    ----------
    model : Layer
        Its output is 0 to 1, or nearly.
    x : ndarray of shape (samples, 2)
    y : ndarray of shape (samples,) or (samples, 1)
        What is right: 0 or 1.
    name : str, optional
        For the title.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    Examples
    --------
    >>> from deepc import Linear, datasets, plots
    >>> x, y, _, _ = datasets.xor()
    >>> figure = plots.decision_surface(Linear(2, 1), x, y)  # doctest: +SKIP
    """
    points, right = as_array(x, "x"), as_array(y, "y").ravel()
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"x: expected shape (samples, 2), got {points.shape}")
    if right.shape != (len(points),):
        raise ValueError(f"y: expected {len(points)} numbers, one a row of x, got {right.shape}")
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    low, high = points.min(axis=0), points.max(axis=0)
    reach = np.maximum(high - low, 1e-6)
    low, high = low - 0.4 * reach, high + 0.4 * reach
    axis = [np.linspace(a, b, 241) for a, b in zip(low, high, strict=True)]
    grid = np.stack([part.ravel() for part in np.meshgrid(*axis)], axis=1).astype(points.dtype)
    surface = np.asarray(model.forward(grid)).reshape(241, 241)
    colours = LinearSegmentedColormap.from_list("surface", [VERMILION, "white", BLUE])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(1000, 1000)
        axes = figure.add_axes((0.11, 0.09, 0.82, 0.76))
        figure.text(
            0.11, 0.94, f"{name}: what the network gives" if name else "What the network gives",
            fontsize=13, fontweight="bold",
        )  # fmt: skip
        text = "Blue: towards 1. Red: towards 0. The line is 0.5. Rings: what is"
        figure.text(0.11, 0.895, f"{text} right there.", color=GREY)
        extent = (low[0], high[0], low[1], high[1])
        axes.imshow(
            surface, cmap=colours, vmin=0, vmax=1, extent=extent, origin="lower", aspect="auto",
            interpolation="bilinear", alpha=0.75,
        )  # fmt: skip
        if surface.min() < 0.5 < surface.max():
            axes.contour(*axis, surface, levels=[0.5], colors=INK, linewidths=1)
        for (across, up), value in zip(points, right, strict=True):
            colour = BLUE if value > 0.5 else VERMILION
            axes.plot(
                across, up, "o", markersize=22, markerfacecolor="white", markeredgecolor=colour,
                markeredgewidth=2,
            )  # fmt: skip
            axes.text(
                across, up, f"{value:.3g}", ha="center", va="center_baseline", color=colour,
                fontweight="bold",
            )  # fmt: skip
        axes.set_xlabel("first input")
        axes.set_ylabel("second input")
    return figure


# ---- Figures and axes ----------------------------------------------------------------------------


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of that many pixels that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure and axes that fill it, in pixels from the top left corner."""
    figure = new_figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure, axes


def _text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return how many pixels wide a text is."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(weight=weight, size=size)
    return float(TextPath((0, 0), text, prop=font).get_extents().width * DPI / 72)


def logarithmic(axes: Axes, losses: list[float]) -> None:
    """Give the axes a logarithmic scale with few, plain labels."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.minorticks_off()
    axes.grid(visible=True, axis="y")
    low, high = min(losses), max(losses)
    if high < 1000 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
