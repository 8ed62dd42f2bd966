"""Drawings of graphs: well-formed, complete, and refused where nobody could read them."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
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


def test_boxes_do_not_overlap():
    root = ET.fromstring(draw(neuron()).svg)
    boxes = [
        [float(r.get(k)) for k in ("x", "y", "width", "height")]
        for r in root.findall(SVG + "rect")[1:]
    ]
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


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
