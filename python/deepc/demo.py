"""The demonstration: the chapter's networks learn, a table and pictures tell how well.

``python -m deepc demo`` runs it. Pictures need Matplotlib and the progress bar needs tqdm; without
them it says so and does the rest.
"""

from __future__ import annotations

import importlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import deepc
from deepc import datasets
from deepc._files import replacing
from deepc._values import Array
from deepc.datasets import Dataset
from deepc.layers import Layer
from deepc.losses import Loss
from deepc.optimizers import Optimizer
from deepc.training.progress import Advance, is_seen, progress_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["run"]

INSTALL = 'pip install "deepc-nn[demo]"'

# One call of `fit` goes over about so many samples: often enough for the bar, too seldom to cost
# anything.
SAMPLES_A_CALL = 20_000

# With this seed all learn well, as with 0 in the chapter; FizzBuzz does not with every seed.
DEFAULT_SEED = 4


# ---- What is trained -----------------------------------------------------------------------------


@dataclass
class Task:
    """A network of the chapter, what it learns, and, once it is trained, how that went."""

    name: str
    sizes: tuple[int, ...]
    data: Dataset
    layers: Callable[[random.Random], list[Layer]]
    loss: Loss
    optimizer: Optimizer
    epochs: int
    # Samples for which `history` has one number: an epoch, unless that would leave a single one.
    interval: int = 0

    network: deepc.Sequential = field(init=False)
    history: list[float] = field(init=False, default_factory=list)
    seconds: float = field(init=False, default=0.0)
    train_accuracy: float = field(init=False, default=0.0)
    test_accuracy: float = field(init=False, default=0.0)
    predicted: Array = field(init=False)

    @property
    def title(self) -> str:
        return f"{self.name} {'-'.join(map(str, self.sizes))}"

    @property
    def loss_name(self) -> str:
        return "squared error" if isinstance(self.loss, deepc.SSE) else "cross-entropy"

    @property
    def samples(self) -> int:
        """How many samples training goes over in all."""
        return self.epochs * len(self.data.train_x)

    def train(self, seed: int, advance: Advance) -> None:
        """Train and evaluate; call `advance` with the samples since its last call and the loss."""
        self.network = deepc.Sequential(self.layers(random.Random(seed)))
        x, y = self.data.train_x, self._targets()
        start = time.perf_counter()
        # Sample by sample in the order of the data, as in the chapter.
        for epochs, rows in self._calls():
            losses = deepc.fit(
                self.network,
                x[rows],
                y[rows],
                loss=self.loss,
                optimizer=self.optimizer,
                epochs=epochs,
                progress=False,
            )
            self.history += losses
            advance(epochs * len(x[rows]), losses[-1])
        self.seconds = time.perf_counter() - start

        for layer in self.network.layers:
            if isinstance(layer, deepc.Dropout):
                layer.train = False
        self.predicted = self._predict(self.data.test_x)
        self.train_accuracy = _share(self._predict(x), self.data.train_y)
        self.test_accuracy = _share(self.predicted, self.data.test_y)

    def _calls(self) -> Iterator[tuple[int, slice]]:
        """Cut the training into calls: for how many epochs, over which rows."""
        count = len(self.data.train_x)
        if self.interval:
            for _ in range(self.epochs):
                for start in range(0, count, self.interval):
                    yield 1, slice(start, start + self.interval)
            return
        at_once = max(1, SAMPLES_A_CALL // count)
        for done in range(0, self.epochs, at_once):
            yield min(at_once, self.epochs - done), slice(None)

    def _targets(self) -> Array:
        """Return what the network shall give: labels for cross-entropy, else (one-hot) floats."""
        y = self.data.train_y
        if self.data.classes and isinstance(self.loss, deepc.SSE):
            return np.eye(len(self.data.classes), dtype=self.data.train_x.dtype)[y]
        return y

    def _predict(self, x: Array) -> Array:
        outputs: Array = self.network.forward(x)
        return outputs.argmax(axis=1) if self.data.classes else outputs > 0.5


def _share(predicted: Array, actual: Array) -> float:
    return float(np.mean(predicted == actual))


def _tasks(folder: str | None, quick: bool) -> list[Task]:
    """Return what the demonstration trains; all data are read now, to find faults early."""
    xor, fizz_buzz, digits = datasets.xor(), datasets.fizz_buzz(), datasets.digits()
    tasks = [
        Task("XOR", (2, 2, 1), xor, _xor_layers, deepc.SSE(), deepc.GradientDescent(0.1), 3000),
        Task(
            "FizzBuzz",
            (10, 25, 4),
            fizz_buzz,
            lambda rng: [*_fizz_buzz_layers(rng), deepc.Sigmoid()],
            deepc.SSE(),
            deepc.Momentum(0.1, 0.9),
            1000,
        ),
        Task(
            "FizzBuzz",
            (10, 25, 4),
            fizz_buzz,
            _fizz_buzz_layers,
            deepc.SoftmaxCrossEntropy(),
            deepc.Momentum(0.1, 0.9),
            100,
        ),
        *_digit_tasks("Digits", digits, 40),
    ]
    if folder is not None:
        mnist = datasets.mnist(folder)
        if quick:
            train_x, train_y, test_x, test_y = (array[: -(-len(array) // 10)] for array in mnist)
            mnist = replace(mnist, train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)
        tasks += _digit_tasks("MNIST", mnist, 1, max(1, len(mnist.train_x) // 60))
    if quick:
        for task in tasks:
            task.epochs = max(1, task.epochs // 10)
    return tasks


def _xor_layers(rng: random.Random) -> list[Layer]:
    return [deepc.Linear(2, 2, rng=rng), deepc.Sigmoid(), deepc.Linear(2, 1, rng=rng)]


def _fizz_buzz_layers(rng: random.Random) -> list[Layer]:
    return [
        deepc.Linear(10, 25, init="uniform", rng=rng),
        deepc.Tanh(),
        deepc.Linear(25, 4, init="uniform", rng=rng),
    ]


def _digit_tasks(name: str, data: Dataset, epochs: int, interval: int = 0) -> list[Task]:
    """Return the chapter's two networks for digits: logistic regression and a deep one."""
    pixels = data.train_x.shape[1]

    def shallow(rng: random.Random) -> list[Layer]:
        return [deepc.Linear(pixels, 10, rng=rng)]

    def deep(rng: random.Random) -> list[Layer]:
        return [
            deepc.Linear(pixels, 30, rng=rng),
            deepc.Dropout(0.1, rng=rng),
            deepc.Tanh(),
            deepc.Linear(30, 10, rng=rng),
            deepc.Dropout(0.1, rng=rng),
            deepc.Tanh(),
            deepc.Linear(10, 10, rng=rng),
        ]

    return [
        Task(
            name,
            sizes,
            data,
            layers,
            deepc.SoftmaxCrossEntropy(),
            deepc.Momentum(0.01, 0.99),
            epochs,
            interval,
        )
        for sizes, layers in (((pixels, 10), shallow), ((pixels, 30, 10, 10), deep))
    ]


# ---- The run -------------------------------------------------------------------------------------

HEADING = (
    f"{'network':<20}  {'loss':<13}  {'epochs':>6}  {'train':>7}  {'test':>7}  {'seconds':>7}  "
    f"{'samples/s':>10}"
)


def run(
    folder: str | None = None,
    output: str = "demo-output",
    quick: bool = False,
    seed: int = DEFAULT_SEED,
    progress: bool | None = None,
) -> None:
    """Train the chapter's networks, print a table, write pictures.

    Parameters
    ----------
    folder : str, optional
        Where the MNIST files are (see `deepc.datasets.mnist`); without it MNIST is left out.
    output : str, optional
        The folder for the pictures; it is made if need be.
    quick : bool, optional
        Train for a tenth of the epochs, only to see that all works.
    seed : int, optional
        Fixes the initial weights and the dropout.
    progress : bool, optional
        Show a progress bar; if not given, on a terminal and in a notebook.

    Raises
    ------
    OSError, ValueError
        If the files of MNIST cannot be read, or `output` cannot be written to.
    """
    tasks = _tasks(folder, quick)
    os.makedirs(output, exist_ok=True)
    if progress is None:
        progress = is_seen()
    if progress and not _installed("tqdm"):
        print(f"The progress bar needs tqdm: {INSTALL}")
        progress = False
    print(HEADING)
    print("-" * len(HEADING), flush=True)
    for task in tasks:
        # The bar goes away in favour of the task's line in the table.
        bar = progress_bar(progress, task.samples, desc=task.title, leave=False)
        with bar as advance:
            task.train(seed, advance)
        print(_row(task), flush=True)
    if _installed("matplotlib"):
        print("\nPictures:", flush=True)
        for path in _draw(tasks, output):
            print(f"  {path}", flush=True)
    else:
        print(f"\nPictures need Matplotlib: {INSTALL}")


def _installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _row(task: Task) -> str:
    # XOR has nothing but its four rows, so there is nothing to test with.
    test = f"{task.test_accuracy:7.1%}" if task.data.classes else f"{'-':>7}"
    return (
        f"{task.title:<20}  {task.loss_name:<13}  {task.epochs:>6,}  {task.train_accuracy:7.1%}  "
        f"{test}  {task.seconds:7.2f}  {task.samples / task.seconds:>10,.0f}"
    )


# ---- Pictures ------------------------------------------------------------------------------------

# Blue and vermilion of the palette by Okabe and Ito, which the colour-blind tell apart; greys for
# the rest.
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY, FAINT = "#222222", "#767676", "#E4E4E4"
COLOURS = (BLUE, VERMILION)
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


def _draw(tasks: list[Task], output: str) -> Iterator[str]:
    """Write the pictures; yield their paths."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield _save(_learning_curves(tasks), output, "learning-curves.png")
        for task in tasks:
            if task.data.image_shape and len(task.sizes) > 2:
                name = task.name.lower()
                yield _save(_digit_grid(task), output, f"{name}.png")
                yield _save(_confusion_matrix(task), output, f"{name}-confusion.png")


def _save(figure: Figure, output: str, name: str) -> str:
    path = os.path.join(output, name)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path


def _figure(width: float, height: float) -> Figure:
    """Return a figure of that many pixels that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _learning_curves(tasks: list[Task]) -> Figure:
    """Draw the loss against epochs, one panel for each data set and loss."""
    from matplotlib.ticker import MaxNLocator

    panels: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        panels.setdefault((task.name, task.loss_name), []).append(task)
    columns = 2 if len(panels) == 4 else 3
    rows = -(-len(panels) // columns)
    figure = _figure(120 + 620 * columns, 40 + 520 * rows)
    for place, ((name, loss_name), curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        above: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(name, (0, 1), (0, 22), fontsize=11, fontweight="bold", **above)
        axes.annotate(f"{loss_name} per sample", (0, 1), (0, 9), color=GREY, **above)
        for task, colour, line in zip(curves, COLOURS, (22, 9), strict=False):
            text = f"{'-'.join(map(str, task.sizes))}: {task.history[-1]:.2g}"
            axes.annotate(text, (1, 1), (0, line), color=colour, ha="right", **above)
            x = (task.interval or 1) * np.arange(1, len(task.history) + 1)
            axes.plot(x, task.history, color=colour, linewidth=1.5)
        _scale(axes, [loss for task in curves for loss in task.history])
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        interval = curves[0].interval
        axes.set_xlabel(f"samples, means of {interval:,}" if interval else "epochs")
    figure.subplots_adjust(
        left=100 / figure.bbox.width,
        right=1 - 50 / figure.bbox.width,
        bottom=85 / figure.bbox.height,
        top=1 - 110 / figure.bbox.height,
        wspace=0.2,
        hspace=0.62,
    )
    return figure


def _scale(axes: Axes, losses: list[float]) -> None:
    """Give the axes a logarithmic scale with few, plain labels."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.minorticks_off()
    axes.grid(visible=True, axis="y")
    low, high = min(losses), max(losses)
    if high < 1000 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _digit_grid(task: Task) -> Figure:
    """Draw test digits with what the network reads and what they are: mistakes first."""
    actual, predicted = task.data.test_y, task.predicted
    wrong = np.flatnonzero(predicted != actual)
    right = [np.flatnonzero((actual == digit) & (predicted == digit)) for digit in range(10)]
    # Each row is a list of (column, index of the image); of the right ones a column is a digit.
    blocks = [
        (
            f"Mistaken, {_some(len(wrong), 20)}",
            [list(enumerate(wrong[i : i + 10])) for i in range(0, 20, 10)],
        ),
        (
            "Read right, the first four of each digit",
            [
                [(digit, found[i]) for digit, found in enumerate(right) if len(found) > i]
                for i in range(4)
            ],
        ),
    ]
    blocks = [(text, [row for row in rows if row]) for text, rows in blocks if any(rows)]

    shape, paper = task.data.image_shape, task.data.test_x.min()
    # In pixels. A side of 120 has room for 8 + 2 and for 28 + 2 pixels of the same whole size.
    side, across, down, margin = 120, 148, 180, 60
    height = 170 + sum(70 + down * len(rows) for _, rows in blocks)
    figure, canvas = _canvas(10 * across - (across - side) + 2 * margin, height)
    canvas.text(margin, 62, f"{task.name}: what the network reads", fontsize=13, fontweight="bold")
    canvas.text(
        margin,
        100,
        f"Bold: what {task.title} reads. Grey: what it is. "
        f"Of {len(actual):,} test images it reads {task.test_accuracy:.1%} right.",
        color=GREY,
    )
    top = 130
    for text, rows in blocks:
        canvas.text(margin, top + 44, text, fontsize=10, fontweight="bold")
        top += 70
        for row in rows:
            for column, i in row:
                image = np.pad(task.data.test_x[i].reshape(shape), 1, constant_values=paper)
                _cell(canvas, margin + column * across, top, side, image, predicted[i], actual[i])
            top += down
    return figure


def _some(count: int, shown: int) -> str:
    return f"all {count}" if count <= shown else f"{shown} of {count:,}"


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure and axes that fill it, in pixels from the top left corner."""
    figure = _figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure, axes


def _cell(
    canvas: Axes, left: int, top: int, side: int, image: Array, predicted: int, actual: int
) -> None:
    from matplotlib.patches import Rectangle

    right = predicted == actual
    canvas.imshow(
        image,
        cmap="Greys",
        interpolation="nearest",
        extent=(left, left + side, top + side, top),
        aspect="auto",
    )
    frame: Any = {"edgecolor": FAINT} if right else {"edgecolor": VERMILION, "linewidth": 1.4}
    canvas.add_patch(Rectangle((left, top), side, side, fill=False, **frame))
    below: Any = {"va": "top", "ha": "center", "fontsize": 10}
    canvas.text(
        left + side / 2 - 14,
        top + side + 8,
        str(predicted),
        color=BLUE if right else VERMILION,
        fontweight="bold",
        **below,
    )
    canvas.text(left + side / 2 + 14, top + side + 8, str(actual), color=GREY, **below)


def _confusion_matrix(task: Task) -> Figure:
    """Draw how often each digit was read as which."""
    from matplotlib.colors import to_rgb

    classes = len(task.data.classes)
    pairs = classes * task.data.test_y + task.predicted
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    errors = counts * ~np.eye(classes, dtype=bool)
    # How much colour a cell has: right ones by their share of the row, mistakes by their number.
    strength = np.where(counts == errors, 0.75 * errors / max(errors.max(), 5), shares)
    strength[errors > 0] += 0.1
    hue = np.where(np.eye(classes, dtype=bool)[..., None], to_rgb(BLUE), to_rgb(VERMILION))
    strength = strength[..., None]

    figure, canvas = _canvas(1160, 1190)
    right = int(np.trace(counts))
    canvas.text(
        90,
        62,
        f"{task.name}: {right:,} of {counts.sum():,} test images read right",
        fontsize=13,
        fontweight="bold",
    )
    canvas.text(90, 100, f"Rows: what they are. Columns: what {task.title} reads.", color=GREY)
    left, top, cell = 90, 200, 95
    for i, name in enumerate(task.data.classes):
        middle = (i + 0.5) * cell
        canvas.text(left - 22, top + middle, name, va="center", ha="center", fontsize=11)
        canvas.text(left + middle, top - 24, name, va="center", ha="center", fontsize=11)
        share = f"{shares[i, i]:.0%}"
        canvas.text(
            left + classes * cell + 75, top + middle, share, va="center", ha="right", color=GREY
        )
    canvas.text(left + classes * cell + 75, top - 24, "right", va="center", ha="right", color=GREY)
    canvas.imshow(
        1 - strength * (1 - hue),
        interpolation="nearest",
        extent=(left, left + classes * cell, top + classes * cell, top),
        aspect="auto",
    )
    for i in range(classes + 1):
        canvas.plot([left, left + classes * cell], [top + i * cell] * 2, color="white", linewidth=2)
        canvas.plot([left + i * cell] * 2, [top, top + classes * cell], color="white", linewidth=2)
    for (row, column), count in np.ndenumerate(counts):
        canvas.text(
            left + (column + 0.5) * cell,
            top + (row + 0.5) * cell,
            f"{count:,}" if count else "",
            color="white" if row == column and strength[row, column, 0] > 0.6 else INK,
            va="center",
            ha="center",
        )
    return figure
