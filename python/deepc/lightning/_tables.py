"""The tables that Lightning prints: of a model's parts, and of what was measured."""

from __future__ import annotations

import math
import shutil
import sys
from typing import Any

__all__ = ["ModelSummary", "count", "results_table"]

_UNITS = (" ", "K", "M", "B", "T")


def count(number: int) -> str:
    """Return a number with three digits at most and its unit.

    Examples
    --------
    >>> count(101_770), count(1234), count(7)
    ('101 K', '1.2 K', '7  ')
    """
    groups = min(-(-len(str(number)) // 3), len(_UNITS))
    scaled = number * 10.0 ** (-3 * (groups - 1))
    if groups == 1 or scaled >= 100:
        return f"{int(scaled):,d} {_UNITS[groups - 1]}"
    return f"{scaled:,.1f} {_UNITS[groups - 1]}"


def _sizes(value: Any) -> Any:
    """Return shapes as lists, in lists where there are several."""
    if hasattr(value, "shape"):
        return list(value.shape)
    if isinstance(value, (list, tuple)):
        return [_sizes(one) for one in value]
    return "?"


class ModelSummary:
    """A table of a module's parts with their parameters.

    Parameters
    ----------
    model : LightningModule
    max_depth : int, optional
        How deep to go into parts of parts; -1 for all.
    """

    def __init__(self, model: Any, max_depth: int = 1) -> None:
        if not isinstance(max_depth, int) or max_depth < -1:
            raise ValueError(f"`max_depth` can be -1, 0 or > 0, got {max_depth}.")
        self._model = model
        depth = float("inf") if max_depth == -1 else max_depth
        self.layers = {
            name: part for name, part in list(model.named_modules())[1:] if name.count(".") < depth
        }
        self._shapes = self._run_example() if model.example_input_array is not None else None

    def _run_example(self) -> dict[int, tuple[Any, Any]]:
        """Run the model's example and note what went into and came out of each part."""
        from deepc.torch import no_grad

        model, shapes = self._model, {}
        handles = []

        def note(part: Any, given: Any, made: Any) -> None:
            shapes[id(part)] = (_sizes(given[0] if len(given) == 1 else given), _sizes(made))

        for part in model.modules():
            handles.append(part.register_forward_hook(note))
        modes = [(part, part.training) for part in model.modules()]
        model.eval()
        example = model.example_input_array
        try:
            with no_grad():
                if isinstance(example, dict):
                    model(**example)
                else:
                    model(*(example if isinstance(example, (list, tuple)) else (example,)))
        finally:
            for handle in handles:
                handle.remove()
            for part, mode in modes:
                part.training = mode
        return shapes

    @property
    def total_parameters(self) -> int:
        """The numbers in all parameters."""
        return sum(p.numel() for p in self._model.parameters())

    @property
    def trainable_parameters(self) -> int:
        """The numbers in those that are trained."""
        return sum(p.numel() for p in self._model.parameters() if p.requires_grad)

    def _columns(self) -> list[tuple[str, list[str]]]:
        parts = list(self.layers.values())
        sizes = [sum(p.numel() for p in part.parameters()) for part in parts]
        columns = [
            (" ", [str(i) for i in range(len(parts))]),
            ("Name", list(self.layers)),
            ("Type", [type(part).__name__ for part in parts]),
            ("Params", [count(size) for size in sizes]),
            ("Mode", ["train" if part.training else "eval" for part in parts]),
            ("FLOPs", [count(0)] * len(parts)),
        ]
        if self._shapes is not None:
            columns[5] = ("FLOPs", [count(self._work(part)) for part in parts])
            for i, title in enumerate(("In sizes", "Out sizes")):
                columns.append(
                    (title, [str(self._shapes.get(id(part), "??")[i]) for part in parts])
                )
        top = {name.split(".")[0]: part for name, part in self.layers.items() if "." not in name}
        rest = self.total_parameters - sum(
            p.numel() for part in top.values() for p in part.parameters()
        )
        if rest > 0:
            words = {" ": " ", "Name": "other params", "Params": count(rest)}
            for title, cells in columns:
                cells.append(words.get(title, "n/a"))
        return columns

    def _work(self, part: Any) -> int:
        """Return the multiplications and additions of the products in a part of the example."""
        assert self._shapes is not None
        total = 0
        for one in part.modules():
            given = self._shapes.get(id(one))
            if type(one).__name__ == "Linear" and given is not None:
                total += 2 * math.prod(given[0][:-1]) * one.weight.numel()
        return total

    def __str__(self) -> str:
        columns = self._columns()
        widths = [max(len(cell) for cell in [title, *cells]) for title, cells in columns]
        rule = "-" * (sum(widths) + 3 * (len(widths) + 1))
        rows = list(zip(*(cells for _, cells in columns), strict=True))
        lines = [[title for title, _ in columns], *rows]
        text = [
            " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        total, trained = self.total_parameters, self.trainable_parameters
        modes = [part.training for part in list(self._model.modules())[1:]]
        work = sum(self._work(part) for part in self._top()) if self._shapes is not None else 0
        facts = [
            (count(trained), "Trainable params"),
            (count(total - trained), "Non-trainable params"),
            (count(total), "Total params"),
            (f"{self._megabytes():,.3f}", "Total estimated model params size (MB)"),
            (str(modes.count(True)), "Modules in train mode"),
            (str(modes.count(False)), "Modules in eval mode"),
            (count(work), "Total Flops"),
        ]
        end = [f"{value:<10}{words}" for value, words in facts]
        return "\n".join([text[0], rule, *text[1:], rule, *end])

    def _top(self) -> list[Any]:
        return [part for name, part in self.layers.items() if "." not in name]

    def _megabytes(self) -> float:
        trainer = self._model._trainer
        double = trainer is not None and str(trainer.precision).startswith("64")
        return self.total_parameters * (8 if double else 4) * 1e-6

    __repr__ = __str__


def results_table(results: list[dict[str, float]], stage: str) -> str:
    """Return the table of what `validate` or `test` measured; empty if that is nothing."""
    plain = [{k.split("/dataloader_idx_")[0]: v for k, v in one.items()} for one in results]
    names = sorted({name for one in plain for name in one})
    if not names:
        return ""
    width = shutil.get_terminal_size(fallback=(120, 30)).columns or 120
    headers = [f"DataLoader {i}" for i in range(len(plain))]
    cell = int(min(max(len(max(names, key=len)), len(max(headers, key=len)), 25), width / 2))
    each = max(int((width - cell) / cell), 1)
    rule = _rule() * width
    tables = []
    for first in range(0, len(headers), each):
        shown = plain[first : first + each]
        lines = [[f"{stage} metric".capitalize(), *headers[first : first + each]]]
        for name in names:
            *whole, last = [name[i : i + width // 2] for i in range(0, len(name), width // 2)]
            values = [str(one.get(name, " ")) for one in shown]
            lines += [[part, *values] for part in whole] + [[last, *([" "] if whole else values)]]
        text = ["".join(f"{one:^{cell}}" for one in line).rstrip() for line in lines]
        tables.append("\n".join([rule, text[0], rule, *text[1:], rule]))
    return "\n".join(tables)


def _rule() -> str:
    """Return what a line is drawn with where standard output can show it."""
    try:
        "─".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError, AttributeError, TypeError):
        return "-"
    return "─"
