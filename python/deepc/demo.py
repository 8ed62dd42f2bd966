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
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import deepc
from deepc import datasets, plots
from deepc._files import replacing
from deepc._values import Array
from deepc.datasets import Dataset
from deepc.layers import Layer
from deepc.losses import Loss
from deepc.optimizers import Optimizer
from deepc.training.progress import Advance, is_seen, progress_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run"]

INSTALL = 'pip install "deepc-nn[demo]"'

# One call of `fit` goes over about so many samples: often enough for the bar, too seldom to cost
# anything.
SAMPLES_A_CALL = 20_000

# So many points at least has the curve of the test data, if there are as many epochs.
POINTS = 40

# The chapter's own. How well FizzBuzz is learned depends on it more than all else does.
DEFAULT_SEED = 0


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
    # The samples trained on when the test data were looked at, and their loss then.
    test_history: list[tuple[int, float]] = field(init=False, default_factory=list)
    seconds: float = field(init=False, default=0.0)
    train_accuracy: float = field(init=False, default=0.0)
    test_accuracy: float = field(init=False, default=0.0)
    outputs: Array = field(init=False)
    predicted: Array = field(init=False)

    @property
    def layout(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def title(self) -> str:
        return f"{self.name} {self.layout}"

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
        x, y = self.data.train_x, self._targets(self.data.train_y)
        test_y = self._targets(self.data.test_y)
        done = 0
        # Sample by sample in the order of the data, as in the chapter.
        for epochs, rows in self._calls():
            start = time.perf_counter()
            losses = deepc.fit(
                self.network,
                x[rows],
                y[rows],
                loss=self.loss,
                optimizer=self.optimizer,
                epochs=epochs,
                progress=False,
            )
            self.seconds += time.perf_counter() - start
            self.history += losses
            done += epochs * len(x[rows])
            if self.data.classes:
                seen = deepc.evaluate(self.network, self.data.test_x, test_y, loss=self.loss)
                self.test_history.append((done, seen["loss"]))
            advance(epochs * len(x[rows]), losses[-1])

        for layer in self.network.layers:
            if isinstance(layer, deepc.Dropout):
                layer.train = False
        self.outputs = self.network.forward(self.data.test_x)
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
        at_once = max(1, min(SAMPLES_A_CALL // count, self.epochs // POINTS))
        for done in range(0, self.epochs, at_once):
            yield min(at_once, self.epochs - done), slice(None)

    def _targets(self, y: Array) -> Array:
        """Return what the network shall give: labels for cross-entropy, else (one-hot) floats."""
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
    print(f"Seed {seed}, from which the networks start; with others they learn more or less.")
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


def _draw(tasks: list[Task], output: str) -> Iterator[str]:
    """Write the pictures; yield their paths."""
    import matplotlib

    with matplotlib.rc_context(plots.STYLE):
        yield _save(_learning_curves(tasks), output, "learning-curves.png")
        for task in tasks:
            if task.data.image_shape and len(task.sizes) > 2:
                name = task.name.lower()
                yield _save(_digit_grid(task), output, f"{name}.png")
                figure = plots.confusion_matrix(
                    task.data.test_y, task.predicted, task.data.classes,
                    name=f"{task.name}, test images", reader=f"the network ({task.layout})",
                )  # fmt: skip
                yield _save(figure, output, f"{name}-confusion.png")
                first = cast(deepc.Linear, task.network[0])
                title = f"{task.name} {task.layout}"
                figure = plots.weight_images(first.w, task.data.image_shape, name=title)
                yield _save(figure, output, f"{name}-weights.png")
            elif not task.data.classes:
                figure = plots.decision_surface(
                    task.network, task.data.train_x, task.data.train_y, name=task.title
                )
                yield _save(figure, output, f"{task.name.lower()}.png")


def _digit_grid(task: Task) -> Figure:
    shape = task.data.image_shape
    assert shape is not None
    shares = deepc.softmax(task.outputs)[np.arange(len(task.predicted)), task.predicted]
    return plots.digit_grid(
        task.data.test_x.reshape(-1, *shape), task.predicted, task.data.test_y,
        probabilities=shares, name=f"{task.name} {task.layout}, test images",
    )  # fmt: skip


def _save(figure: Figure, output: str, name: str) -> str:
    path = os.path.join(output, name)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path


def _learning_curves(tasks: list[Task]) -> Figure:
    """Draw the loss against epochs, one panel for each data set and loss."""
    from matplotlib.ticker import MaxNLocator

    panels: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        panels.setdefault((task.name, task.loss_name), []).append(task)
    columns = 2 if len(panels) == 4 else 3
    rows = -(-len(panels) // columns)
    figure = plots.new_figure(120 + 640 * columns, 40 + 540 * rows)
    for place, ((name, loss_name), curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        above: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
        title = f"{name}: {loss_name} per sample"
        axes.annotate(title, (0, 1), (0, 36), fontsize=11, fontweight="bold", **above)
        shown = []
        for task, colour, line in zip(curves, plots.COLOURS, (22, 9), strict=False):
            x = (task.interval or 1) * np.arange(1, len(task.history) + 1)
            losses = np.array(task.history)
            text = f"{task.layout}: training {losses[-1]:.2g} (line)"
            if task.interval:  # each is a mean over few samples
                axes.plot(x, losses, color=colour, linewidth=0.7, alpha=0.3)
                losses = _running_mean(losses)
            axes.plot(x, losses, color=colour, linewidth=1.5)
            shown += losses.tolist()
            if task.test_history:
                at, test = zip(*task.test_history, strict=True)
                epochs = np.array(at) / (1 if task.interval else len(task.data.train_x))
                axes.plot(epochs, test, color=colour, linewidth=1.2, linestyle=(0, (1.5, 1)))
                text += f", test {test[-1]:.2g} (dots)"
                shown += test
            axes.annotate(text, (0, 1), (0, line), color=colour, **above)
        plots.logarithmic(axes, shown)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        interval = curves[0].interval
        axes.set_xlabel(f"samples, running means of {9 * interval:,}" if interval else "epochs")
    figure.subplots_adjust(
        left=100 / figure.bbox.width,
        right=1 - 50 / figure.bbox.width,
        bottom=85 / figure.bbox.height,
        top=1 - 130 / figure.bbox.height,
        wspace=0.2,
        hspace=0.68,
    )
    return figure


def _running_mean(losses: Array) -> Array:
    """Return means of nine neighbours, of fewer at the ends."""
    ones = np.ones(9)
    weights = np.convolve(np.ones(len(losses)), ones)[4 : 4 + len(losses)]
    return np.convolve(losses, ones)[4 : 4 + len(losses)] / weights
