"""Drawings of graphs: well-formed, complete, and refused where nobody could read them."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from deepc import autodiff as ad
from deepc.autodiff import Neuron, Parameter, Scalar, Tensor, draw

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "neuron.svg"


def texts(drawing):
    return [t.text for t in ET.fromstring(drawing.svg).iter(SVG + "text")]


def neuron():
    """Return the output of the neuron on the page about the tape."""
    neuron = Neuron(2)
    for weight, value, name in zip(neuron.parameters(), (0.5, -1.0, 0.25), "vwb", strict=True):
        weight.data, weight.label = value, name
    x, y = Scalar(2.0), Scalar(-1.0)
    x.label, y.label = "x", "y"
    output = neuron([x, y])
    output.backward()
    return output


def test_every_node_and_operation_is_there():
    a, b = Scalar(2.0), Scalar(-1.0)
    a.label = "a <&>"
    y = a * b + a
    y.backward()
    drawing = draw(y)
    root = ET.fromstring(drawing.svg)
    assert len(list(root.iter(SVG + "rect"))) == 1 + 4
    assert len(list(root.iter(SVG + "ellipse"))) == 2
    assert {"a <&>", "data 2", "grad 0", "*", "+"} <= set(texts(drawing))
    width = float(root.get("width"))
    for box in root.findall(SVG + "rect")[1:]:
        assert 0 <= float(box.get("x")) <= float(box.get("x")) + float(box.get("width")) <= width
    assert drawing._repr_svg_() == drawing.svg


def model():
    """Return a loss whose operations have long names, and of which some are far from each other."""
    w, v = Parameter(np.ones((4, 8))), Parameter(np.ones((8, 3)))
    w.label = "a name that makes its box wide"
    y = ad.log_softmax(ad.concatenate([ad.softplus(ad.linear(np.ones((5, 4)), w) @ v)], 1))
    loss = ad.cross_entropy(y, [0, 1, 2, 0, 1]) + (w * w).sum() + ad.norm(v)
    loss.backward()
    return loss


def frames(root):
    """Return the rectangles of boxes and operations."""
    found = []
    kinds = {"rect": ("x", "y", "width", "height"), "ellipse": ("cx", "cy", "rx", "ry")}
    for kind, keys in kinds.items():
        for shape in root.findall(SVG + kind)[kind == "rect" :]:
            a, b, c, d = (float(shape.get(key)) for key in keys)
            found.append((a, b, a + c, b + d) if kind == "rect" else (a - c, b - d, a + c, b + d))
    return found


@pytest.mark.parametrize("make", [neuron, model])
def test_boxes_and_operations_do_not_overlap(make):
    boxes = frames(ET.fromstring(draw(make()).svg))
    for i, (x, y, right, below) in enumerate(boxes):
        for x2, y2, right2, below2 in boxes[i + 1 :]:
            assert right <= x2 or right2 <= x or below <= y2 or below2 <= y


@pytest.mark.parametrize("make", [neuron, model])
def test_lines_pass_boxes_where_they_are_straight(make):
    root = ET.fromstring(draw(make()).svg)
    boxes = frames(root)
    for path in root.findall(SVG + "path"):
        words = path.get("d").replace("M", "").replace("C", "").split()
        x, y, i = float(words[0]), float(words[1]), 2
        start = x
        while i < len(words):
            if not words[i].startswith("H"):
                x, y = float(words[i + 4]), float(words[i + 5])
                i += 6
                continue
            end = float(words[i][1:])
            crossed = [b for b in boxes if b[1] < y < b[3] and b[0] < end and x < b[2]]
            # Only where it begins, and the operation and the box at its end.
            assert x == start or i == len(words) - 1 or not crossed
            x = end
            i += 1


def test_tensors_show_their_shape():
    w = Parameter(np.ones((3, 2)))
    y = (Tensor(np.ones((4, 3))) @ w).sum()
    y.backward()
    assert {"Parameter (3, 2)", "largest |grad| 4", "Tensor (4, 2)", "data 24"} <= set(
        texts(draw(y))
    )


def test_large_graphs_are_refused():
    y = Scalar(1.0)
    for _ in range(600):
        y = y + 1.0
    with pytest.raises(ValueError, match="more than 500 nodes"):
        draw(y)
    with pytest.raises(TypeError, match="Scalar or a Tensor"):
        draw(1.0)


def test_save(tmp_path):
    drawing = draw(Scalar(1.0))
    drawing.save(tmp_path / "one.svg")
    assert (tmp_path / "one.svg").read_text() == drawing.svg


@pytest.mark.skipif(not PICTURE.exists(), reason="needs docs/ beside the tests")
def test_the_picture_in_the_docs_is_what_is_drawn():
    assert PICTURE.read_text() == draw(neuron()).svg
