"""The table that ``model.summary()`` prints, cell by cell as Keras'."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

__all__ = ["table"]


def _size(count: float) -> str:
    units = ["B", "KB", "MB", "GB", "TB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        units.pop(0)
    return f"{count:.2f} {units[0]}"


def _wrapped(text: str, width: int) -> list[str]:
    """Cut a text at blanks into lines of a width; a longer word is cut with an ellipsis."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
        elif lines[-1]:
            lines.append(word)
        else:
            lines[-1] = word
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _cells(row: list[str], widths: list[int], ends: tuple[str, str]) -> Iterator[str]:
    wrapped = [_wrapped(text, width - 2) for text, width in zip(row, widths, strict=True)]
    for i in range(max(map(len, wrapped))):
        parts = [lines[i] if i < len(lines) else "" for lines in wrapped]
        left = [f" {parts[0]:<{widths[0] - 2}} ", f" {parts[1]:<{widths[1] - 2}} "]
        left.append(f" {parts[2]:>{widths[2] - 2}} ")
        left += [f" {part:^{width - 2}} " for part, width in zip(parts[3:], widths[3:],
                                                                 strict=True)]  # fmt: skip
        yield ends[0] + ends[1].join(left) + ends[0]


def table(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> str:
    """Return the whole text."""
    less: tuple[int, ...]
    places: Any
    columns = shutil.get_terminal_size().columns
    if show_trainable:
        length = line_length or min(100, columns - 4)
        places = positions or (0.405, 0.72, 0.9, 1.0)
        less = (1, 1, 2, 1)
    else:
        length = line_length or min(88, columns - 4)
        places = positions or (0.45, 0.8, 1.0)
        less = (1, 2, 1)
    ends = [int(length * place) if place <= 1 else int(place) for place in places]
    ends[-1] = length if places[-1] <= 1 else ends[-1]
    starts = [0, *ends[:-1]]
    widths = [max(end - start - cut, 4) for start, end, cut in zip(starts, ends, less, strict=True)]
    head = ["Layer (type)", "Output Shape", "Param #", *(["Trainable"] if show_trainable else [])]
    shown = [*model._shown_layers()]
    if layer_range is not None:
        names = [layer.name for layer in shown]
        shown = shown[names.index(layer_range[0]) : names.index(layer_range[1]) + 1]
    rows = [_row(layer, show_trainable) for layer in shown]
    rule = ["━" * width for width in widths]
    lines = [f'Model: "{model.name}"', "┏" + "┳".join(rule) + "┓"]
    lines += _cells(head, widths, ("┃", "┃"))
    lines.append("┡" + "╇".join(rule) + "┩")
    thin = "├" + "┼".join("─" * width for width in widths) + "┤"
    for i, row in enumerate(rows):
        lines += [thin] if i else []
        lines += _cells(row, widths, ("│", "│"))
    lines.append("└" + "┴".join("─" * width for width in widths) + "┘")
    return "\n".join([*lines, *_totals(model)]) + "\n"


def _row(layer: Any, show_trainable: bool) -> list[str]:
    name = f"{layer.name} ({type(layer).__name__})"
    if layer.built:
        shape, count = str((None, *layer._out)), f"{layer.count_params():,}"
    else:
        shape, count = "?", "0 (unbuilt)"
    row = [name, shape, count]
    if show_trainable:
        row.append(("Y" if layer.trainable else "N") if layer.weights else "-")
    return row


def _totals(model: Any) -> Iterator[str]:
    def counted(variables: Any) -> tuple[int, int]:
        return (sum(v.value.size for v in variables), sum(v.value.nbytes for v in variables))

    trained, other = counted(model.trainable_weights), counted(model.non_trainable_weights)
    kept = (0, 0)
    optimizer = model.optimizer
    if optimizer is not None and optimizer.rule._memory:
        kept = counted(optimizer.variables)
    rows = [("Total", [trained, other, kept]), ("Trainable", [trained]), ("Non-trainable", [other])]
    if kept[0]:
        rows.append(("Optimizer", [kept]))
    for name, parts in rows:
        count, size = (sum(part[i] for part in parts) for i in range(2))
        yield f" {name} params: {count:,} ({_size(size)})"
