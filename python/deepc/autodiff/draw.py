"""Drawings of graphs: what a result was computed from, as SVG, by nothing but this module."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from deepc._c.tape import Node
from deepc._values import describe
from deepc.autodiff.tensor import Parameter

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Drawing", "draw"]

# More nodes than that nobody can read.
MOST_NODES = 500
# In pixels: a line of text, a letter, the room between boxes and between columns, half the height
# of an operation's ellipse and what it is away from its box.
LINE, LETTER, GAP, ACROSS, CIRCLE, NEAR = 16, 6.7, 14, 46, 14, 12
# How often places are mended, until hardly anything moves.
SWEEPS = 12


class Drawing:
    """A drawing as SVG; notebooks show it.

    Attributes
    ----------
    svg : str
    """

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Write the drawing to a file."""
        from deepc._files import replacing

        with replacing(path) as file:
            file.write(self.svg.encode())

    def __repr__(self) -> str:
        return f"Drawing of {len(self.svg)} characters; .save(path) writes it as SVG"


def draw(result: Any) -> Drawing:
    """Draw the graph of a result: what it was computed from, with values and gradients.

    Time runs from left to right. Each box is a Scalar or a Tensor, with its `label` where it has
    one, its value (its shape if there are several numbers) and its gradient; the circle before it
    names the operation. Parameters and other leaves that are trained have a thicker frame.

    Parameters
    ----------
    result : Scalar or Tensor

    Returns
    -------
    Drawing
        Shown in notebooks; `svg` is the text, ``save(path)`` writes a file.

    Raises
    ------
    ValueError
        If the graph has more than 500 nodes.

    Examples
    --------
    >>> from deepc.autodiff import Scalar, draw
    >>> a = Scalar(2.0)
    >>> a.label = "a"
    >>> loss = a * a + 1
    >>> draw(loss).svg[:4]
    '<svg'
    """
    if not isinstance(result, Node):
        raise TypeError(f"result: expected a Scalar or a Tensor, got {describe(result)}")
    boxes = _boxes(result)
    _place(boxes)
    return Drawing(_svg(boxes))


class _Box:
    """A place in a column: of a node, or of a line that passes to a later column (no node)."""

    def __init__(self, node: Any = None, column: int = 0) -> None:
        self.node = node
        self.before: list[_Box] = []
        self.after: list[_Box] = []
        self.column = column
        # The middle's height, the left edge; where its column begins and ends.
        self.middle = self.x = self.left = self.right = 0.0
        self.lines = _lines(node) if node is not None else []
        self.width = LETTER * max(map(len, self.lines)) + 2 * LETTER if self.lines else 0.0
        self.height = LINE * len(self.lines) + LINE / 2
        self.radius = 0.0  # of the operation before it

    def near(self) -> float:
        """Return the height that its lines would like it to have."""
        others = self.before + self.after
        return sum(one.middle for one in others) / len(others) if others else self.middle


def _lines(node: Any) -> list[str]:
    """Return what stands in a node's box."""
    found = [node.label] if node.label else []
    data = node.data
    if isinstance(data, float):
        return [*found, f"data {data:.4g}", f"grad {node.grad:.4g}"]
    kind = "Parameter" if isinstance(node, Parameter) else "Tensor"
    single = data.size == 1
    found.append(f"data {data.item():.4g}" if single else f"{kind} {data.shape}")
    if node.grad is not None:
        size = float(np.abs(node.grad).max(initial=0))
        found.append(f"grad {node.grad.item():.4g}" if single else f"largest |grad| {size:.3g}")
    return found


def _boxes(result: Any) -> list[_Box]:
    """Return all nodes, each after those that it was computed from."""
    boxes: dict[int, _Box] = {}
    done: list[_Box] = []
    stack = [(result, False)]
    while stack:
        node, seen = stack.pop()
        if seen:
            box = boxes[id(node)]
            box.before = [boxes[id(one)] for one in node._prev]
            box.column = 1 + max((one.column for one in box.before), default=-1)
            done.append(box)
        elif id(node) not in boxes:
            if len(boxes) == MOST_NODES:
                raise ValueError(
                    f"result: its graph has more than {MOST_NODES} nodes, too many to be read; "
                    "draw a smaller example"
                )
            boxes[id(node)] = _Box(node)
            stack.append((node, True))
            stack.extend((one, False) for one in reversed(node._prev))
    return done


def _place(boxes: list[_Box]) -> None:
    """Give every box a column by its depth, and a height near what it comes from and leads to."""
    for box in boxes:
        if box.before:
            box.radius = max(float(CIRCLE), LETTER * len(box.node._op) / 2 + 5)
        for one in box.before:
            one.after.append(box)
    # A leaf stands just before the first operation that uses it.
    for box in boxes:
        if not box.before and box.after:
            box.column = min(one.column for one in box.after) - 1
    columns: list[list[_Box]] = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in boxes:
        columns[box.column].append(box)
    for box in boxes:
        box.before = [_passed(one, box, columns) for one in box.before]
    _set_across(columns)
    for column in columns:
        _stack(column)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            # Who is above whom is settled in the first half.
            if sweep < SWEEPS // 2:
                column.sort(key=_Box.near)
            _stack(column)
    top = min(box.middle - box.height / 2 for column in columns for box in column) - GAP
    for column in columns:
        for box in column:
            box.middle -= top


def _passed(one: _Box, box: _Box, columns: list[list[_Box]]) -> _Box:
    """Give a line a place in each column between two boxes; return the last box before the end."""
    one.after.remove(box)
    for column in range(one.column + 1, box.column):
        lane = _Box(column=column)
        lane.before = [one]
        one.after.append(lane)
        columns[column].append(lane)
        one = lane
    one.after.append(box)
    return one


def _set_across(columns: list[list[_Box]]) -> None:
    """Put columns beside each other, with the operations before their boxes."""
    left = float(GAP)
    for column in columns:
        operation = max((2 * box.radius + NEAR if box.radius else 0) for box in column)
        width = max(box.width for box in column)
        for box in column:
            box.left, box.right = left, left + operation + width
            box.x = left + operation + (width - box.width) / 2
        left += operation + width + ACROSS


def _stack(column: list[_Box]) -> None:
    """Move the boxes of a column, in their order, to where they would like to be, but apart."""
    wanted = [box.near() for box in column]
    down, up = wanted[:], wanted[:]
    for i in range(1, len(column)):
        down[i] = max(down[i], down[i - 1] + _apart(column[i - 1], column[i]))
    for i in range(len(column) - 2, -1, -1):
        up[i] = min(up[i], up[i + 1] - _apart(column[i], column[i + 1]))
    for i, box in enumerate(column):
        box.middle = (down[i] + up[i]) / 2


def _apart(above: _Box, below: _Box) -> float:
    """Return how far the middles of two boxes are from each other at least."""
    return (above.height + below.height) / 2 + GAP


def _svg(boxes: list[_Box]) -> str:
    lanes = [one for box in boxes for one in _way(box)]
    width = max(box.x + box.width for box in boxes) + GAP
    height = max(box.middle + box.height / 2 for box in [*boxes, *lanes]) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="11">'
    )
    parts = [head, '<rect width="100%" height="100%" fill="#ffffff"/>']
    parts += [line for box in boxes for line in _edges(box)]
    parts += [line for box in boxes for line in _operation(box)]
    parts += [line for box in boxes for line in _box(box)]
    return "\n".join([*parts, "</svg>"])


def _way(box: _Box) -> list[_Box]:
    """Return the places of the lines that lead to a box."""
    found = []
    for one in box.before:
        while one.node is None:
            found.append(one)
            one = one.before[0]
    return found


def _edges(box: _Box) -> list[str]:
    """Return the lines into a box: curved between columns, straight through a column."""
    parts = []
    for one in box.before:
        way = [one]
        while way[0].node is None:
            way.insert(0, way[0].before[0])
        path = f"M{way[0].x + way[0].width:.1f} {way[0].middle:.1f}"
        for start, end in itertools.pairwise([*way, box]):
            half = (start.right + end.left) / 2
            path += (
                f" H{start.right:.1f} C{half:.1f} {start.middle:.1f} {half:.1f} {end.middle:.1f} "
                f"{end.left:.1f} {end.middle:.1f}"
            )
        parts.append(f'<path d="{path} H{box.x:.1f}" stroke="#777777" fill="none"/>')
    return parts


def _escape(text: str) -> str:
    # The tables of HTML's characters come along: only who draws needs them.
    from html import escape

    return escape(text)


def _operation(box: _Box) -> list[str]:
    """Return the ellipse with the operation's name before a box."""
    if not box.before:
        return []
    name, center = _escape(box.node._op), box.x - NEAR - box.radius
    ellipse = (
        f'<ellipse cx="{center:.1f}" cy="{box.middle:.1f}" rx="{box.radius:.1f}" ry="{CIRCLE}" '
        'fill="#fff3d6" stroke="#b8860b"/>'
    )
    text = f'<text x="{center:.1f}" y="{box.middle + 4:.1f}" text-anchor="middle">{name}</text>'
    return [ellipse, text]


def _box(box: _Box) -> list[str]:
    trained = not box.before and box.node.requires_grad
    top = box.middle - box.height / 2
    frame = (
        f'<rect x="{box.x:.1f}" y="{top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="4" fill="#eef4ff" stroke="#3465a4" '
        f'stroke-width="{2 if trained else 1}"/>'
    )
    parts = [frame]
    middle = box.x + box.width / 2
    for i, line in enumerate(box.lines):
        y = top + LINE * (i + 1)
        parts.append(
            f'<text x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">{_escape(line)}</text>'
        )
    return parts
