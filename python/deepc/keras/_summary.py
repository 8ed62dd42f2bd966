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
    indent = len(text) - len(text.lstrip())
    lines = [" " * (indent - 1)] if indent else [""]
    for word in text.lstrip().split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
        elif lines[-1]:
            lines.append(word)
        else:
            lines[-1] = word
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _cells(row: list[str], widths: list[int], ends: tuple[str, str], aligned: str) -> Iterator[str]:
    wrapped = [_wrapped(text, width - 2) for text, width in zip(row, widths, strict=True)]
    for i in range(max(map(len, wrapped))):
        cells = [
            f" {lines[i] if i < len(lines) else '':{side}{width - 2}} "
            for lines, side, width in zip(wrapped, aligned, widths, strict=True)
        ]
        yield ends[0] + ends[1].join(cells) + ends[0]


def table(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    show_trainable: bool = False,
    layer_range: Any = None,
    expand_nested: bool = False,
) -> str:
    """Return the whole text."""
    columns = shutil.get_terminal_size().columns
    is_graph = not getattr(model, "_is_chain", True)
    head = ["Layer (type)", "Output Shape", "Param #"]
    places = [0.45, 0.8, 1.0]
    if is_graph:
        head.append("Connected to")
        places = [0.3, 0.56, 0.74, 1.0]
    length = min(98 if is_graph else 88, columns - 4)
    if show_trainable:
        head.append("Trainable")
        places = [0.9 * place for place in places] + [1.0]
        length = min(100, columns - 4)
    length, places = line_length or length, positions or places
    ends = [int(length * place) if place <= 1 else int(place) for place in places]
    ends[-1] = length if places[-1] <= 1 else ends[-1]
    less = [1] * len(ends)
    less[-2] = 2
    starts = [0, *ends[:-1]]
    widths = [max(end - start - cut, 4) for start, end, cut in zip(starts, ends, less, strict=True)]
    shown = [*model._shown_layers()]
    if layer_range is not None:
        names = [layer.name for layer in shown]
        shown = shown[names.index(layer_range[0]) : names.index(layer_range[1]) + 1]
    rows = list(_rows(model, shown, is_graph, show_trainable, expand_nested))
    aligned = "<<>" + "<" * is_graph + "^" * show_trainable
    rule = ["━" * width for width in widths]
    lines = [f'Model: "{model.name}"', "┏" + "┳".join(rule) + "┓"]
    lines += _cells(head, widths, ("┃", "┃"), aligned)
    lines.append("┡" + "╇".join(rule) + "┩")
    thin = "├" + "┼".join("─" * width for width in widths) + "┤"
    for i, row in enumerate(rows):
        lines += [thin] if i else []
        lines += _cells(row, widths, ("│", "│"), aligned)
    lines.append("└" + "┴".join("─" * width for width in widths) + "┘")
    return "\n".join([*lines, *_totals(model)]) + "\n"


def _rows(
    model: Any, shown: list[Any], is_graph: bool, show_trainable: bool, expand: bool, depth: int = 0
) -> Iterator[list[str]]:
    for layer in shown:
        name = f"{'    ' * (depth - 1)}{'└ ' * bool(depth)}{layer.name} ({layer._kind()})"
        row = [name, _shape(layer), f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"]
        if is_graph:
            row.append("-" if depth else _connections(model, layer))
        if show_trainable:
            row.append(("Y" if layer.trainable else "N") if layer.weights else "-")
        yield row
        inner = getattr(layer, "layers", None)
        if expand and inner is not None:
            yield from _rows(model, list(inner), is_graph, show_trainable, expand, depth + 1)


def _shape(layer: Any) -> str:
    """Return the output's shape as Keras shows it: of a layer of a user's it may not know it."""
    eager = layer._built_by is not None
    if not layer.built or (eager and not (layer._tells_shape() and layer.weights)):
        return "?"
    out = layer._out
    if isinstance(out, dict):
        return str({key: (layer._built_by, *one) for key, one in out.items()})
    if isinstance(out, list):
        return ", ".join(str((layer._built_by, *one)) for one in out)
    return str((layer._built_by, *out))


def _connections(model: Any, layer: Any) -> str:
    """Return the places that a layer of a graph goes on from."""
    mine = {id(call) for call in model._steps_of}
    found = [
        f"{place.layer.name}[{place.call.number}][{place.index}]"
        for call in layer._calls
        if id(call) in mine
        for place in call.inputs
    ]
    return ", ".join(found) or "-"


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
