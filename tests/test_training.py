"""The training engine: validation, metrics, callbacks, weights of classes, streams, history."""

from __future__ import annotations

import csv
import itertools
import json
import math
import pickle

import deepc
import numpy as np
import pytest
from deepc import Linear, Sequential, callbacks, metrics
from deepc.training import steps
from deepc.training.metrics import METRICS, metric
from deepc.training.steps import Stepper
from reference import digest

# ---- Helpers -------------------------------------------------------------------------------------


def data(rows=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype("f4")
    return x, (np.abs(x).argmax(axis=1) % classes).astype(np.int64)


def network(seed=0, classes=3):
    layers = [deepc.Linear(4, 8, rng=seed), deepc.Tanh(), deepc.Linear(8, classes, rng=seed + 1)]
    return deepc.Sequential(layers)


def bits(model):
    return b"".join(np.asarray(param).tobytes() for param in model.params())


def train(net, x, y, **settings):
    settings = {"loss": deepc.SoftmaxCrossEntropy(), "optimizer": deepc.SGD(0.01), **settings}
    return deepc.fit(net, x, y, **settings)


class Series(deepc.Callback):
    """Put given numbers into the epochs' logs, as if they had been measured."""

    def __init__(self, **series):
        self.series = series

    def on_epoch_end(self, epoch, logs):
        for name, values in self.series.items():
            logs[name] = values[epoch]


class Rates(deepc.Callback):
    def __init__(self):
        self.rates = []

    def on_epoch_begin(self, epoch):
        self.rates.append(self.session.learning_rate)


def run(watching, epochs=10, net=None, lr=0.0, **series):
    """Train with made-up series; return the history."""
    x, y = data(6)
    return train(
        net or network(), x, y, epochs=epochs, optimizer=deepc.SGD(lr),
        callbacks=[Series(**series), watching],
    )  # fmt: skip


# ---- The loop ------------------------------------------------------------------------------------


def test_history_is_a_list_of_losses_with_named_series():
    x, y = data()
    history = train(network(), x, y, epochs=3, batch_size=8, metrics=["accuracy"])
    assert list(history) == history.loss == history["loss"]
    assert len(history) == 3
    assert history.names() == ["loss", "accuracy"]
    assert history.epochs == [0, 1, 2]
    assert history.accuracy == history["accuracy"]
    assert history.last() == {"loss": history[-1], "accuracy": history.accuracy[-1]}
    with pytest.raises(KeyError, match=r"val_loss.*measured loss, accuracy"):
        history["val_loss"]
    with pytest.raises(AttributeError, match="val_loss"):
        history.val_loss  # noqa: B018
    again = pickle.loads(pickle.dumps(history))
    assert again == history
    assert again.series == history.series
    assert repr(history).splitlines()[1].split() == ["epoch", "accuracy", "loss"]
    assert len(repr(history).splitlines()) == 5


@pytest.mark.parametrize("batch_size", [1, 7, 60, 100])
def test_metrics_and_callbacks_change_no_bit(batch_size):
    class Steps(deepc.Callback):
        steps = 0

        def on_step_end(self, step, logs):
            self.steps += 1

    x, y = data()
    settings = {"epochs": 2, "batch_size": batch_size, "shuffle": True, "rng": 5}
    plain, measured, stepped = network(), network(), network()
    steps = Steps()
    losses = train(plain, x, y, **settings)
    assert train(measured, x, y, metrics=["accuracy"], **settings) == pytest.approx(losses)
    assert train(stepped, x, y, callbacks=[steps], **settings) == pytest.approx(losses)
    assert bits(plain) == bits(measured) == bits(stepped)
    assert steps.steps == 2 * -(-60 // batch_size)


def test_the_order_of_an_epoch_depends_on_its_number_only():
    x, y = data()
    at_once, resumed = network(), network()
    settings = {"shuffle": True, "rng": 3, "batch_size": 4}
    train(at_once, x, y, epochs=3, **settings)
    optimizer = deepc.SGD(0.01)
    train(resumed, x, y, epochs=1, optimizer=optimizer, **settings)
    train(resumed, x, y, epochs=3, initial_epoch=1, optimizer=optimizer, **settings)
    assert bits(at_once) == bits(resumed)


def test_predictions_of_an_epoch_are_those_before_each_step():
    # A model that multiplies by 2 and a rate of 0: mean absolute errors of 2, 4, 6, 8, 10.
    layer = deepc.Linear(1, 1)
    layer.w, layer.b = [[2.0]], [0.0]
    x = np.arange(1.0, 6.0)[:, None]
    history = deepc.fit(
        layer, x, np.zeros((5, 1)), loss=deepc.SSE(), optimizer=deepc.SGD(0.0), batch_size=2,
        metrics=["mae", "rmse"],
    )  # fmt: skip
    assert history.series == {"loss": [44.0], "mae": [6.0], "rmse": [pytest.approx(44**0.5)]}


def test_validation_is_measured_in_evaluation_and_as_often_as_asked():
    x, y = data(40)
    net = deepc.Sequential([*network().layers[:2], deepc.Dropout(0.5), deepc.Linear(8, 3, rng=9)])
    history = train(
        net, x, y, epochs=5, validation_data=(x, y), validation_freq=2, metrics=["accuracy"]
    )
    assert history.epochs_of("val_loss") == [1, 3]
    assert len(history["val_accuracy"]) == 2
    assert net.layers[2].train
    measured = deepc.evaluate(net, x, y, loss=deepc.SoftmaxCrossEntropy(), metrics=["accuracy"])
    # Epoch 3 was the one before the last, so only the kind of the numbers can be compared.
    assert set(measured) == {"loss", "accuracy"}
    with deepc.training(net, False):
        logits = np.asarray(net.forward(x), np.float64)
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    nll = -np.log((exps / exps.sum(axis=1, keepdims=True))[np.arange(40), y])
    assert measured["loss"] == pytest.approx(nll.mean(), rel=1e-5)
    assert measured["accuracy"] == (logits.argmax(axis=1) == y).mean()


def test_validation_split_takes_the_last_rows_before_the_shuffle():
    seen = []

    class Look(deepc.Loss):
        def loss(self, predicted, actual):
            seen.append(np.array(actual))
            return 0.0

        def gradient(self, predicted, actual):
            return np.zeros_like(predicted)

    x = np.arange(10.0)[:, None]
    deepc.fit(
        deepc.Linear(1, 1), x, x, loss=Look(), optimizer=deepc.SGD(0.0), batch_size=7,
        validation_split=0.25, shuffle=True, rng=1,
    )  # fmt: skip
    assert sorted(seen[0].ravel()) == list(range(7))
    assert seen[1].ravel().tolist() == [7, 8, 9]


def test_streams_of_batches():
    x, y = data()
    pieces = [(x[i : i + 20], y[i : i + 20]) for i in range(0, 60, 20)]
    from_arrays, from_list, endless = network(), network(), network()
    losses = train(from_arrays, x, y, epochs=2, batch_size=20)
    assert train(from_list, iter_again(pieces), None, epochs=2) == pytest.approx(losses)
    stream = itertools.cycle(pieces)
    assert train(endless, stream, None, epochs=2, steps_per_epoch=3) == pytest.approx(losses)
    assert bits(from_arrays) == bits(from_list) == bits(endless)


class iter_again:
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def test_steps_per_epoch_goes_on_where_it_ended():
    x, y = data(6)
    by_epochs, by_steps = network(), network()
    train(by_epochs, x, y, epochs=2, batch_size=2)
    history = train(by_steps, x, y, epochs=3, batch_size=2, steps_per_epoch=2)
    assert len(history) == 3
    assert bits(by_epochs) == bits(by_steps)


def test_pandas_and_mapped_files(tmp_path):
    x, y = data()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    a, b = network(), network()
    train(a, x, y, batch_size=5)
    train(b, mapped, y, batch_size=5)
    assert bits(a) == bits(b)


def test_a_loss_that_runs_away_warns_once():
    class Mine(deepc.SSE):
        def loss(self, predicted, actual):
            return super().loss(predicted, actual)

    class Watches(deepc.Callback):
        def on_step_end(self, step, logs):
            pass

    x = np.full((20, 1), 1e6)
    for batch_size, settings, loss in itertools.product(
        (1, 4), ({}, {"callbacks": Watches()}, {"steps_per_epoch": 5}), (deepc.SSE(), Mine())
    ):
        # The same by hand: in which step is the sum of an epoch's losses no longer finite?
        layer, one = (deepc.Linear(1, 1, dtype="float64", rng=1) for _ in range(2))
        total, step, rate = 0.0, 0, deepc.SGD(1e6)
        with np.errstate(all="ignore"):
            while math.isfinite(total):
                total = 0.0 if step % (20 // batch_size) == 0 else total
                predicted = one.forward(x[:batch_size])
                total += deepc.SSE().loss(predicted, -x[:batch_size])
                one.backward(deepc.SSE().gradient(predicted, -x[:batch_size]))
                rate.step(one)
                step += 1
        each = 5 if "steps_per_epoch" in settings else 20 // batch_size
        place = f"became {total} in epoch {(step - 1) // each}, step {(step - 1) % each}: "
        with pytest.warns(RuntimeWarning, match=place + "the learning rate") as seen:
            deepc.fit(
                layer, x, -x, loss=loss, optimizer=deepc.SGD(1e6), epochs=60,
                batch_size=batch_size, **settings,
            )  # fmt: skip
        assert len(seen) == 1
        assert seen[0].filename == __file__


# ---- Metrics -------------------------------------------------------------------------------------


def value(name, actual, predicted, *, pieces=1, weights=None):
    found = metric(name)
    found.reset()
    a, p = np.asarray(actual), np.asarray(predicted, float)
    for part in np.array_split(np.arange(len(p)), pieces):
        found.update(a[part], p[part], None if weights is None else np.asarray(weights)[part])
    return found.result()


@pytest.mark.parametrize(
    ("name", "actual", "predicted", "right"),
    [
        ("accuracy", [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], 2 / 3),
        ("accuracy", [[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]], 0.5),
        ("accuracy", [0, 1], [[0.5], [0.51]], 1.0),
        ("accuracy", [[1, 1], [0, 1]], [[0.9, 0.8], [0.6, 0.7]], 1.0),
        ("binary_accuracy", [[1, 1], [0, 1]], [[0.9, 0.8], [0.6, 0.7]], 0.75),
        ("precision", [0, 1, 1, 1], [1, 0, 1, 1], 2 / 3),
        ("recall", [0, 1, 1, 1], [1, 0, 1, 1], 2 / 3),
        ("f1", [0, 1, 1, 1], [1, 0, 1, 1], 2 / 3),
        ("precision", [1, 1], [0, 0], 0.0),
        ("auc", [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], 0.75),
        ("auc", [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5),
        ("mse", [[1, 2], [3, 5]], [[1.5, 2], [2, 2]], 2.5625),
        ("mae", [[1, 2], [3, 5]], [[1.5, 2], [2, 2]], 1.125),
        ("rmse", [1, 0, 0], [2, 3, 0], 1.8257418583505538),
        ("r2", [3, -0.5, 2, 7], [2.5, 0.0, 2, 8], 0.9486081370449679),
        ("top_k", [0, 2], [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1, 2, 3, 4, 5, 6]], 0.5),
        ("mse", [1, 2], [[1], [4]], 2.0),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_metrics_of_rows_however_they_come(name, actual, predicted, right, pieces):
    assert value(name, actual, predicted, pieces=pieces) == pytest.approx(right, rel=1e-12)


def test_weights_of_rows_in_metrics():
    predicted, actual = [[1.0], [2.0], [3.0]], [[0.0], [0.0], [0.0]]
    assert value("mae", actual, predicted, weights=[1, 0, 3]) == 2.5
    assert value("r2", actual, actual, weights=[1, 2, 3]) == 1.0


def test_auc_at_fixed_thresholds_is_near_the_exact_one():
    rng = np.random.default_rng(0)
    actual = rng.integers(0, 2, 500)
    predicted = np.clip(rng.normal(0.4 + 0.2 * actual, 0.2), 0, 1)
    exact = value("auc", actual, predicted)
    cut = metrics.AUC(num_thresholds=200)
    cut.update(actual, predicted)
    pairs = predicted[actual == 1][:, None] - predicted[actual == 0][None, :]
    assert exact == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), rel=1e-12)
    assert cut.result() == pytest.approx(exact, abs=5e-3)


def test_functions_are_metrics_of_all_rows_and_get_classes_if_they_want_them():
    def rows(actual, predicted):
        return len(actual)

    def share(actual, predicted):  # as scikit-learn's: probabilities are refused
        if predicted.dtype.kind == "f":
            raise ValueError("a mix of multiclass and continuous-multioutput targets")
        return (actual == predicted).mean()

    x, y = data()
    history = train(network(), x, y, batch_size=7, metrics=[rows, share, "accuracy"])
    assert history["rows"] == [60.0]
    assert history["share"] == history["accuracy"]


def test_names_of_metrics():
    assert [m.name for m in metrics.metric_list(["mae", "mae", "acc"])] == ["mae", "mae_1", "acc"]
    for name in METRICS:
        assert metric(name).name == name
    with pytest.raises(ValueError, match="'acuracy'; did you mean 'accuracy'"):
        metric("acuracy")
    with pytest.raises(TypeError, match="metrics: expected a list"):
        metrics.metric_list("accuracy")
    with pytest.raises(TypeError, match="metrics: expected names or functions, got int 3"):
        metric(3)


# ---- Callbacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "settings", "epochs", "best"),
    [
        ([3, 2, 2, 2, 2, 2], {"patience": 2}, 4, 2),
        ([3, 2.5, 2.4, 2.3, 2.2, 2.1], {"patience": 2, "min_delta": 0.5}, 5, 2.4),
        ([3, 2, 1, 2, 3], {}, 4, 1),
        ([1, 1, 1], {}, 2, 1),
        ([9, 8, 1, 2, 3, 4, 5, 6], {"patience": 1, "start_from": 4}, 6, 3),
        ([3, 2, 2.5, 2.5], {"patience": 2, "baseline": 1}, 3, 2),
        ([1, math.nan, math.nan, 0], {"patience": 2}, 3, 1),
    ],
)  # fmt: skip
def test_early_stopping(series, settings, epochs, best):
    stopping = deepc.EarlyStopping("val_loss", **settings)
    history = run(stopping, epochs=len(series), val_loss=series)
    assert len(history) == epochs
    assert history.stopped == "stopped by val_loss"
    assert stopping.best == best
    assert stopping.stopped_epoch == epochs - 1


def test_the_best_weights_come_back_also_at_the_end():
    kept = {}

    class Keep(deepc.Callback):
        def on_epoch_end(self, epoch, logs):
            kept[epoch] = bits(self.session.model)

    net, stopping = network(), deepc.EarlyStopping("v", 5, mode="min", restore_best=True)
    x, y = data(6)
    history = train(net, x, y, epochs=4, callbacks=[Series(v=[3, 1, 2, 2.5]), Keep(), stopping])
    assert len(history) == 4
    assert history.best_epoch == 1
    assert history.stopped is None
    assert bits(net) == kept[1] != kept[3]


def test_watching_what_is_not_measured_warns_and_what_nobody_knows_raises():
    with pytest.warns(UserWarning, match="monitors 'val_loss', which is not measured"):
        assert len(run(deepc.EarlyStopping(), epochs=3)) == 3
    with pytest.raises(ValueError, match="'speed' gets better; say mode='min'"):
        run(deepc.EarlyStopping("speed"), speed=[1] * 10)


def test_reduce_on_plateau():
    for cooldown, rates in ((0, [0.5] * 3 + [0.05] * 2 + [0.005]), (2, [0.5] * 3 + [0.05] * 3)):
        reduce = callbacks.ReduceOnPlateau("v", patience=2, cooldown=cooldown, mode="min")
        history = run(reduce, epochs=6, lr=0.5, v=[1] * 6)
        assert history["learning_rate"] == pytest.approx(rates)


def test_schedule_of_epochs():
    history = run(callbacks.Schedule(lambda epoch, rate: 0.5 ** (epoch + 1)), epochs=3)
    assert history["learning_rate"] == [0.5, 0.25, 0.125]
    history = run(callbacks.Schedule(lambda epoch: 0.25), epochs=2)
    assert history["learning_rate"] == [0.25, 0.25]


def test_logs_in_files(tmp_path):
    x, y = data()
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    history = train(
        network(), x, y, epochs=2, validation_data=(x, y),
        callbacks=[callbacks.CSVLog(table), callbacks.JSONLog(lines)],
    )  # fmt: skip
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    assert table.read_bytes().count(b"\r\n") == 3
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [entry["loss"] for entry in written] == list(history)
    assert [entry["epoch"] for entry in written] == [0, 1]


def test_stop_on_nan():
    x, y = data()
    x = x.astype(float) * 1e150
    settings = {"loss": deepc.SSE(), "optimizer": deepc.SGD(1e9), "epochs": 9}
    layer = deepc.Linear(4, 1, dtype="float64")
    with pytest.warns(RuntimeWarning, match="the loss became"):
        history = deepc.fit(layer, x, y, callbacks=[callbacks.StopOnNaN()], **settings)
    assert len(history) < 9
    assert "the loss of epoch" in history.stopped
    with pytest.warns(RuntimeWarning), pytest.raises(FloatingPointError, match="the loss of epoch"):
        deepc.fit(layer, x, y, callbacks=[callbacks.StopOnNaN(raise_error=True)], **settings)


def test_order_of_the_hooks():
    events = []

    class Log(deepc.Callback):
        def on_train_begin(self):
            events.append("train")

        def on_train_end(self):
            events.append("end")

        def on_epoch_begin(self, epoch):
            events.append(f"epoch {epoch}")

        def on_epoch_end(self, epoch, logs):
            events.append(sorted(logs))

        def on_step_begin(self, step):
            events.append(step)

        def on_step_end(self, step, logs):
            events.append(sorted(logs))

        def on_validation_begin(self):
            events.append("validation")

        def on_validation_end(self, logs):
            events.append(sorted(logs))

    x, y = data(4)
    train(network(), x, y, batch_size=2, callbacks=[Log()], validation_data=(x, y))
    assert events == [
        "train", "epoch 0", 0, ["loss"], 1, ["loss"], "validation", ["loss"],
        ["loss", "val_loss"], "end",
    ]  # fmt: skip


def test_stopping_in_a_step_ends_the_epoch_there():
    class Stop(deepc.Callback):
        def on_step_end(self, step, logs):
            if step == 1:
                self.session.stop("enough")

    x, y = data(20)
    history = train(network(), x, y, batch_size=2, epochs=5, callbacks=[Stop()])
    assert len(history) == 1
    assert history.stopped == "enough"


# ---- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("metrics", {"metrics": "accuracy"}),
        ("metrics", {"metrics": ["acuracy"]}),
        ("callbacks", {"callbacks": [3]}),
        ("callbacks", {"callbacks": [deepc.EarlyStopping]}),
        ("validation_data", {"validation_data": 3}),
        ("validation y", {"validation_data": (data()[0], data()[1][:5])}),
        ("validation_split", {"validation_split": 1.5}),
        ("validation_split", {"validation_split": 0.999}),
        ("validation_freq", {"validation_freq": 0, "validation_split": 0.5}),
        ("class_weight", {"class_weight": [1, 2]}),
        ("class_weight", {"class_weight": {"invalid": 0.5}}),
        ("class_weight", {"class_weight": {0: -1.0}}),
        ("sample_weight", {"sample_weight": [1.0]}),
        ("sample_weight", {"sample_weight": [math.nan] * 60}),
        ("steps_per_epoch", {"steps_per_epoch": 0}),
        ("initial_epoch", {"initial_epoch": -1}),
    ],
)
def test_bad_arguments_change_nothing(name, settings):
    x, y = data()
    net = network()
    before = bits(net)
    with pytest.raises((ValueError, TypeError), match=name):
        train(net, x, y, **settings)
    assert bits(net) == before


@pytest.mark.parametrize(
    "settings",
    [{"class_weight": {0: 1.0}}, {"sample_weight": [1.0]}, {"validation_split": 0.5},
     {"shuffle": True}],
)  # fmt: skip
def test_streams_refuse_what_belongs_to_arrays(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        train(network(), iter([data()]), None, **settings)


def test_streams_name_the_batch():
    with pytest.raises(TypeError, match="batch 1: expected"):
        train(network(), iter([data(), 3]), None)
    with pytest.raises(ValueError, match="batch 0: y"):
        train(network(), iter([(data()[0], data()[1][:3])]), None)


# ---- Weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_weights_count_in_the_loss_which_is_divided_by_the_rows(batch_size):
    # A model that multiplies by 2: losses 4, 16, 36, 64, 100 with weights 1 to 5.
    layer = deepc.Linear(1, 1)
    layer.w, layer.b = [[2.0]], [0.0]
    x, weights = np.arange(1.0, 6.0)[:, None], [1, 2, 3, 4, 5]
    settings = {"loss": deepc.SSE("mean"), "optimizer": deepc.SGD(0.0)}
    history = deepc.fit(layer, x, 0 * x, batch_size=batch_size, sample_weight=weights, **settings)
    assert list(history) == [180.0]
    measured = deepc.evaluate(layer, x, 0 * x, loss=deepc.SSE(), sample_weight=weights)
    assert measured == {"loss": 180.0}


def test_weights_of_classes_are_weights_of_samples():
    x, y = data()
    by_class, by_sample, plain, ones = network(), network(), network(), network()
    train(by_class, x, y, batch_size=8, class_weight={0: 2.0, 1: 0.5})
    train(by_sample, x, y, batch_size=8, sample_weight=np.array([2.0, 0.5, 1.0])[y])
    assert bits(by_class) == bits(by_sample)
    train(plain, x, y, batch_size=8)
    train(ones, x, y, batch_size=8, class_weight={0: 1.0})
    assert bits(plain) == bits(ones) != bits(by_class)


# ---- An epoch in one call ------------------------------------------------------------------------


class Seen(deepc.metrics.Metric):
    """Keeps all that a metric is given."""

    name = "seen"

    def reset(self):
        self.actual, self.predicted = [], []

    def update(self, actual, predicted, weights=None):
        self.actual.append(np.array(actual))
        self.predicted.append(np.array(predicted))

    def result(self):
        return 0.0


def epochs(dtype, loss, batch_size, labels, kind):
    """Train with weights, metrics, an order and a schedule; return all that came of it."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((103, 6)).astype(dtype)
    y = rng.integers(0, 3, 103) if labels else rng.dirichlet(np.ones(3), 103)
    # A batch without any weight has no mean by weight.
    weights = rng.integers(loss.reduction == "mean_by_weight", 3, 103) / 2
    middle = {"dropout": [deepc.Dropout(0.3, rng=4)], "norm": [deepc.BatchNorm(7, dtype=dtype)]}
    net = Sequential([
        Linear(6, 7, dtype=dtype, rng=1), *middle.get(kind, ()), deepc.GELU(),
        Linear(7, 3, dtype=dtype, rng=2), *([deepc.Tanh()] if kind == "tanh" else ()),
    ])  # fmt: skip
    optimizer = deepc.GradientDescent(lambda step: 0.05 / (1 + 0.1 * step))
    seen = Seen()
    history = deepc.fit(
        net, x, y, loss=loss, optimizer=optimizer, epochs=3, batch_size=batch_size, shuffle=True,
        rng=3, sample_weight=weights, metrics=["mse" if not labels else "accuracy", seen],
    )  # fmt: skip
    arrays = [np.concatenate(a) for a in (seen.actual, seen.predicted)]
    return digest(*history, *history["accuracy" if labels else "mse"], *net.params(), *arrays)


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_of_elements", "mean_by_weight"])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("kind", ["dropout", "norm", "tanh", "plain"])
@pytest.mark.parametrize("batch_size", [1, 8, 103])
def test_an_epoch_in_one_call_has_the_bits_of_its_steps(
    dtype, reduction, labels, kind, batch_size, monkeypatch
):
    if kind == "norm" and batch_size == 1:
        pytest.skip("a batch of one row has no variance")
    loss = deepc.SoftmaxCrossEntropy(reduction) if labels else deepc.Huber(reduction, 0.3)
    together = epochs(dtype.name, loss, batch_size, labels, kind)
    calls = []
    whole = Stepper._compiled
    monkeypatch.setattr(
        Stepper, "_compiled", lambda self, *given: calls.append(1) or whole(self, *given)
    )
    assert epochs(dtype.name, loss, batch_size, labels, kind) == together
    assert len(calls) == 3
    monkeypatch.setattr(steps, "compiled_network", lambda model: None)
    assert epochs(dtype.name, loss, batch_size, labels, kind) == together
    assert len(calls) == 3


class Predicted(metrics.SparseCategoricalAccuracy):
    """A user's accuracy, which gets predictions."""

    def update(self, actual, predicted, weights=None):
        self.seen = predicted
        super().update(actual, predicted, weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [2, 3, 4, 11])
@pytest.mark.parametrize("one_hot", [False, True])
def test_accuracy_that_c_counts_is_that_of_the_predictions(dtype, classes, one_hot):
    x, y = data(70, classes)
    y = np.eye(classes, dtype=dtype)[y] if one_hot else y
    net = Sequential([Linear(4, classes, dtype=dtype, rng=1)])
    if classes == 4:
        net.layers[0].w[:] = 0  # all outputs are equal in the first step, some later
        net.layers[0].b[:] = 0
    seen, weighted = Seen(), metrics.Accuracy()
    weighted.name, weighted.weighted = "weighted", True
    weights = np.arange(70) % 3
    name = "categorical_accuracy" if one_hot else "sparse_categorical_accuracy"
    history = train(
        net, x.astype(dtype), y, epochs=2, batch_size=16, shuffle=True, rng=2,
        sample_weight=weights, metrics=["accuracy", name, weighted, seen],
    )  # fmt: skip
    actual, predicted = seen.actual[0], seen.predicted[0]  # of the last epoch
    right = predicted.argmax(axis=1) == (actual.argmax(axis=1) if one_hot else actual)
    assert history["accuracy"][-1] == history[name][-1] == right.mean()
    assert 0 < history["weighted"][-1] != right.mean()
    plain = train(network(classes=classes), x, y, metrics=["accuracy"], batch_size=16)
    other = train(network(classes=classes), x, y, metrics=["accuracy", seen], batch_size=16)
    assert plain["accuracy"] == other["accuracy"]


def test_a_metric_of_somebodys_own_keeps_predictions_that_nobody_changes():
    x, y = data()
    own, changed, kept = Predicted(), metrics.Accuracy(), []
    own.name, update = "own", changed.update
    changed.update = lambda *given: kept.append(given[1]) or update(*given)
    history = train(network(), x, y, epochs=3, batch_size=7, metrics=[own, changed])
    assert history["own"] == history["accuracy"]
    assert own.seen is kept[-1]
    assert len({digest(predicted) for predicted in kept}) == 3


@pytest.mark.parametrize("shape", ["labels", "one_hot", "column"])
def test_accuracies_of_an_evaluation_are_those_of_numpy(shape):
    x, y = data(70, 4)
    net = network(classes=4)
    right = np.asarray(net.forward(x)).argmax(axis=1) == y
    given = {"labels": y, "one_hot": np.eye(4)[y], "column": y[:, None]}[shape]
    by_name = "categorical_accuracy" if shape == "one_hot" else "sparse_categorical_accuracy"
    weighted = metrics.Accuracy()
    weighted.name, weighted.weighted = "weighted", True
    asked = ["accuracy", by_name, weighted]
    loss = None if shape == "column" else deepc.SoftmaxCrossEntropy()
    found = deepc.evaluate(net, x, given, loss=loss, metrics=asked, sample_weight=y % 2 * 1.0)
    assert found["accuracy"] == found[by_name] == right.mean()
    assert found["weighted"] == right[y % 2 == 1].mean()


def test_accuracy_counts_nothing_else_than_numpy_finds():
    from deepc._c.arrays import argmax, argmax_equals

    rng = np.random.default_rng(0)
    numbers = np.array([0.0, -0.0, 1.0, 2.0, -1.0, np.inf, -np.inf, np.nan])
    for dtype, cols, some in itertools.product(("f4", "f8"), (1, 2, 3, 4, 5, 8, 9, 40), (4, 8)):
        x = rng.choice(numbers[:some], (200, cols)).astype(dtype)
        x[::3] = rng.normal(size=(67, cols))
        places = rng.integers(-1, cols + 1, 200)
        places[::2] = x[::2].argmax(axis=1)
        expected = x.argmax(axis=1) == places
        for given in (x, x[:, ::-1][:, ::-1], np.asfortranarray(x)):
            for at in (places, places.astype("i4"), np.repeat(places, 2)[::2], places * 1.0):
                assert (argmax_equals(given, at) == expected).all()
        assert (argmax(x) == x.argmax(axis=1)).all()


class Changing(deepc.schedules.Cosine):
    """A user's schedule, which depends on more than its settings."""

    calls = 0

    def rates(self, steps):
        type(self).calls += 1
        return super().rates(steps) / self.calls


@pytest.mark.parametrize("accumulation", [1, 3])
def test_rates_that_are_computed_ahead_are_those_of_the_steps(accumulation):
    cosine = deepc.schedules.CosineRestarts(0.1, 7.0, longer=1.5, lower=0.5)
    rule = deepc.SGD(cosine, accumulation=accumulation)
    layer = Linear(1, 1, rng=1)
    layer.forward([1.0])
    layer.backward([1.0])
    place = 0
    for count in (1, 5, 3000, 2, 40):
        steps = (np.arange(count) + place) // accumulation
        assert rule.rates(count).tolist() == cosine.rates(steps).tolist()
        rule.rates(count)[:] = 9.0  # is the caller's
        assert rule.lr == cosine(place // accumulation)
        for _ in range(count % 7):
            rule.step(layer)
            place += 1
    cosine.first = 0.3
    assert rule.lr == cosine(place // accumulation) != 0
    rule.lr = deepc.schedules.Piecewise([2, 4], [1.0, 0.5, 0.25])
    assert rule.lr == rule._schedule(place // accumulation)
    rule._schedule.values[:] = [3.0, 2.0, 1.0]
    assert rule.lr == rule._schedule(place // accumulation) >= 1
    assert pickle.loads(pickle.dumps(rule)).lr == rule.lr


def test_schedules_of_users_are_asked_each_time():
    Changing.calls = 0
    rule = deepc.SGD(Changing(1.0, 10))
    before = Changing.calls
    assert rule.rates(3).tolist() != rule.rates(3).tolist()
    assert Changing.calls == before + 2


def test_weights_are_part_of_the_loss_that_is_told():
    net = Sequential([Linear(1, 2, dtype="float64")])
    for param in net.params():
        param[:] = 0
    x, y = np.ones((4, 1)), np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    w = [2.0, 0.0, 4.0, 2.0]  # the sum of the losses is 4 + 72 + 64
    for reduction, expected in {
        "sum": 35, "mean": 35, "mean_of_elements": 35 / 2, "mean_by_weight": 140 / 8,
    }.items():  # fmt: skip
        history = deepc.fit(
            net, x, y, loss=deepc.SSE(reduction), optimizer=deepc.GradientDescent(0.0),
            batch_size=4, sample_weight=w,
        )  # fmt: skip
        assert history[-1] == pytest.approx(expected, rel=1e-14)
        evaluated = deepc.evaluate(net, x, y, loss=deepc.SSE(reduction), sample_weight=w)
        assert evaluated["loss"] == pytest.approx(expected, rel=1e-14)
