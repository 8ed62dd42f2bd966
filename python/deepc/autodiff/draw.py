"""Drawings of graphs: what a result was computed from, as SVG, by nothing but this module."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from deepc._c.tape import Node
from deepc._files import replacing
from deepc._values import describe
from deepc.autodiff.tensor import Parameter

__all__ = ["Drawing", "draw"]

# More nodes than that nobody can read.
MOST_NODES = 500
# In pixels: a line of text, a letter, and the room between boxes; an operation's circle.
LINE, LETTER, GAP, ACROSS, CIRCLE = 16, 6.7, 14, 46, 14


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
    """A node with its place in the drawing."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.before: list[_Box] = []
        self.column = 0
        self.row = 0.0
        self.x = self.y = 0.0
        self.lines = _lines(node)
        self.width = LETTER * max(map(len, self.lines)) + 2 * LETTER
        self.height = LINE * len(self.lines) + LINE / 2


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
    """Give every box a column by its depth, and a row near what it comes from and leads to."""
    # A leaf stands just before the first operation that uses it.
    users: dict[int, list[_Box]] = {}
    for box in boxes:
        for one in box.before:
            users.setdefault(id(one), []).append(box)
    for box in boxes:
        if not box.before and id(box) in users:
            box.column = min(one.column for one in users[id(box)]) - 1
    columns: list[list[_Box]] = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in boxes:
        columns[box.column].append(box)
    x = float(GAP)
    for column in columns:
        width = max(box.width for box in column)
        column.sort(key=_wanted)
        for row, box in enumerate(column):
            box.row = row - (len(column) - 1) / 2
            box.x = x + (width - box.width) / 2
        x += width + 2 * CIRCLE + ACROSS
    tallest = max(len(column) for column in columns)
    step = max(box.height for box in boxes) + GAP
    for box in boxes:
        box.y = GAP + (box.row + (tallest - 1) / 2) * step


def _wanted(box: _Box) -> float:
    """Return the row that a box would like: the mean of those before it."""
    return sum(one.row for one in box.before) / len(box.before) if box.before else 0.0


def _svg(boxes: list[_Box]) -> str:
    width = max(box.x + box.width for box in boxes) + GAP
    height = max(box.y + box.height for box in boxes) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="11">'
    )
    parts = [head, '<rect width="100%" height="100%" fill="#ffffff"/>']
    parts += [line for box in boxes for line in _edges(box)]
    parts += [line for box in boxes for line in _box(box)]
    return "\n".join([*parts, "</svg>"])


def _edges(box: _Box) -> list[str]:
    """Return the lines into a box, through the circle with the operation's name."""
    if not box.before:
        return []
    middle = box.y + box.height / 2
    center = box.x - CIRCLE - ACROSS / 4
    parts = [f'<path d="M{center:.1f} {middle:.1f} H{box.x:.1f}" stroke="#777777" fill="none"/>']
    for one in box.before:
        x, y = one.x + one.width, one.y + one.height / 2
        half = (x + center) / 2
        parts.append(
            f'<path d="M{x:.1f} {y:.1f} C{half:.1f} {y:.1f} {half:.1f} {middle:.1f} '
            f'{center:.1f} {middle:.1f}" stroke="#777777" fill="none"/>'
        )
    name = escape(box.node._op)
    radius = max(float(CIRCLE), LETTER * len(box.node._op) / 2 + 4)
    parts.append(
        f'<ellipse cx="{center:.1f}" cy="{middle:.1f}" rx="{radius:.1f}" ry="{CIRCLE}" '
        'fill="#fff3d6" stroke="#b8860b"/>'
    )
    parts.append(f'<text x="{center:.1f}" y="{middle + 4:.1f}" text-anchor="middle">{name}</text>')
    return parts


def _box(box: _Box) -> list[str]:
    trained = not box.before and box.node.requires_grad
    frame = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="4" fill="#eef4ff" stroke="#3465a4" '
        f'stroke-width="{2 if trained else 1}"/>'
    )
    parts = [frame]
    middle = box.x + box.width / 2
    for i, line in enumerate(box.lines):
        y = box.y + LINE * (i + 1)
        parts.append(
            f'<text x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">{escape(line)}</text>'
        )
    return parts
