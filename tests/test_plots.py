"""Pictures of what networks have learned: that they show what they are given."""

from __future__ import annotations

import itertools

import deepc
import numpy as np
import pytest
from deepc import Linear, datasets, keras

pytest.importorskip("matplotlib")
from deepc import plots


def texts(figure):
    figure.canvas.draw()
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [
        text.get_text() for text in figure.texts
    ]


def images(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_digit_grid_shows_mistakes_with_what_they_are():
    data = datasets.digits()
    pictures = data.test_x.reshape(-1, 8, 8)
    read = data.test_y.copy()
    read[[3, 50]] = (data.test_y[[3, 50]] + 1) % 10
    shares = np.full(len(read), 0.625)
    words = texts(plots.digit_grid(pictures, read, data.test_y, probabilities=shares))
    assert "Mistaken: all 2" in words
    assert [word for word in words if word.endswith("62%")] == [
        f"{data.test_y[i]}  62%" for i in (3, 50)
    ]
    assert any("99.4% right" in word for word in words)
    figure = plots.digit_grid(pictures, read, data.test_y)
    shown = images(figure)
    assert len(shown) == 2 + 40
    assert np.array_equal(shown[0][1:-1, 1:-1], pictures[3])
    assert "Mistaken" not in str(texts(plots.digit_grid(pictures, data.test_y, data.test_y)))


def test_confusion_matrix_counts():
    actual, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    words = texts(plots.confusion_matrix(actual, predicted, ["cat", "dog", "owl"], name="Pets"))
    assert "Pets: 4 of 6 read right" in words
    assert sorted(word for word in words if word.isdigit()) == ["1", "1", "1", "1", "2"]
    for share in ("67%", "50%", "100%"):
        assert share in words


@pytest.mark.parametrize("names", ["ab", ["in time", "late"], ["a", "a very long name", "b"]])
def test_confusion_matrix_has_room_for_its_words(names):
    figure = plots.confusion_matrix([0, 1], [1, 1], names, name="Rentals of a station")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.width
    heads = [box for box, text in zip(boxes, figure.axes[0].texts, strict=True)
             if text.get_text() in names and text.get_ha() == "center"]  # fmt: skip
    assert len(heads) == len(names)
    assert all(one.x1 < next_one.x0 for one, next_one in itertools.pairwise(heads))


def lines(figure):
    """Return the lines of each panel, without that of the best epoch."""
    return [
        [line.get_xydata().tolist() for line in panel.lines if line.get_linestyle() == "-"]
        for panel in figure.axes
    ]


def test_history_draws_what_was_measured():
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    stopping = keras.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True)
    of_keras = model.fit(x, y, epochs=5, verbose=0, validation_data=(x, y), validation_freq=2,
                         callbacks=[stopping])  # fmt: skip
    found = lines(plots.history(of_keras, "loss", "accuracy"))
    for name, (training, validation) in zip(("loss", "accuracy"), found, strict=True):
        assert training == [list(p) for p in enumerate(of_keras.history[name])]
        values = of_keras.history[f"val_{name}"]
        assert validation == [list(p) for p in zip([1, 3], values, strict=True)]
    assert "best" in [text.get_text().strip() for text in plots.history(of_keras).axes[0].texts]

    of_deepc = deepc.fit(Linear(2, 1), x, y, loss=deepc.SSE("mean"), optimizer=deepc.SGD(0.01),
                         epochs=3, progress=False)  # fmt: skip
    assert lines(of_deepc.plot()) == [[[list(p) for p in enumerate(of_deepc)]]]
    # As Keras' own dict has it.
    by_name = {"loss": [3.0, 2.0], "val_loss": [2.0, 1.0]}
    assert lines(plots.history(by_name)) == [[[[0, 3], [1, 2]], [[0, 2], [1, 1]]]]


def test_history_names_lines_apart():
    figure = plots.history({"loss": [3.0, 1.0], "val_loss": [2.0, 1.0]})
    figure.canvas.draw()
    one, other = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not one.overlaps(other)


def test_weight_images_are_the_weights():
    layer = Linear(6, 3, rng=0)
    figure = plots.weight_images(layer.w, (2, 3))
    for image, row in zip(images(figure), layer.w, strict=True):
        assert np.array_equal(image, row.reshape(2, 3))
    plots.weight_images(np.zeros((1, 4)), (2, 2)).canvas.draw()


def test_decision_surface_is_what_the_model_gives():
    layer = Linear(2, 1, rng=0)
    layer.w, layer.b = [[1.0, 0.0]], [0.0]
    x, y, _, _ = datasets.xor()
    figure = plots.decision_surface(layer, x, y)
    (surface,) = images(figure)
    assert np.allclose(surface, np.linspace(-0.4, 1.4, 241), atol=1e-6)
    assert sorted(word for word in texts(figure) if word in "01") == ["0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.digit_grid(np.ones((2, 4)), [0, 1], [0, 1]), "images: .*height, width"),
        (lambda: plots.digit_grid(np.ones((2, 2, 2)), [0], [0, 1]), "predicted: expected 2"),
        (lambda: plots.digit_grid(np.ones((1, 2, 2)), [0], [10]), "actual: .*0 to 9"),
        (
            lambda: plots.digit_grid(np.ones((1, 2, 2)), [0], [1], probabilities=[0.1, 0.2]),
            "probabilities: expected 1",
        ),
        (lambda: plots.confusion_matrix([0], [0], ["one"]), "classes: expected 2 to 20"),
        (lambda: plots.confusion_matrix([0], [-1], "ab"), "predicted: .*0 to 1"),
        (lambda: plots.confusion_matrix([[0]], [0], "ab"), "actual: expected shape"),
        (
            lambda: plots.history({"loss": [1.0, 2.0], "val_loss": [1.0]}),
            "'val_loss' has 1 numbers",
        ),
        (lambda: plots.history({"loss": [1.0]}, axes=[1, 2]), "axes: expected 1"),
        (lambda: plots.weight_images(np.ones((2, 5)), (2, 2)), r"weights: .*\(neurons, 4\)"),
        (lambda: plots.weight_images(np.ones((2, 0)), (2, 0)), "shape: expected at least 1"),
        (lambda: plots.decision_surface(Linear(3, 1), np.ones((4, 3)), [0] * 4), "x: expected"),
        (lambda: plots.decision_surface(Linear(2, 1), np.ones((4, 2)), [0] * 3), "y: expected 4"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_no_history_is_refused():
    with pytest.raises(TypeError, match=r"history: expected a History.*got list"):
        plots.history([1.0, 2.0])
    with pytest.raises(KeyError, match="'accuracy': this training measured loss"):
        plots.history({"loss": [1.0]}, "accuracy")


def test_figures_leave_the_callers_style_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.weight_images(np.ones((1, 4)), (2, 2))
    assert dict(matplotlib.rcParams) == before
    assert deepc.plots is plots
