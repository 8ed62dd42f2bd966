"""Lightning's face: known numbers, the order of things, reports of its users, its words."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading

import deepc.lightning.pytorch as pl
import numpy as np
import pytest
from deepc import torch
from deepc.lightning import _hparams, _progress
from deepc.lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint, Timer
from deepc.lightning.pytorch.utilities import MisconfigurationException, ModelSummary
from deepc.torch import nn
from deepc.torch.utils.data import DataLoader, TensorDataset

X = torch.linspace(-1, 1, 30).reshape(10, 3)
Y = torch.arange(10) % 2


def loader(rows=10, each=4, **settings):
    return DataLoader(TensorDataset(X[:rows], Y[:rows]), batch_size=each, **settings)


class Net(pl.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.sin(torch.arange(p.numel()).float() + i).reshape(p.shape))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.5)


class Validated(Net):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    test_step = validation_step


def trainer(**settings):
    quiet = {
        "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
        "enable_model_summary": False, "max_epochs": 2,
    }  # fmt: skip
    return pl.Trainer(**{**quiet, **settings})


def weights(module):
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])


def logging(*values, **settings):
    """Return what one epoch makes of values that are logged in its steps."""

    class Logs(Net):
        def training_step(self, batch, batch_idx):
            self.log("v", values[batch_idx], on_step=False, on_epoch=True, **settings)
            return super().training_step(batch, batch_idx)

    t = trainer(max_epochs=1)
    t.fit(Logs(), loader(len(values), 1))
    return float(t.callback_metrics["v"])


# ---- Reports of Lightning's users ----------------------------------------------------------------


def test_mean_of_an_epoch_counts_rows():
    values = [0.7, 0.8, 0.9]

    class Logs(Net):
        def training_step(self, batch, batch_idx):
            rows = (256, 256, 10)[batch_idx]
            self.log("v", values[batch_idx], on_step=False, on_epoch=True, batch_size=rows)
            return super().training_step(batch, batch_idx)

    t = trainer(max_epochs=1)
    t.fit(Logs(), loader(each=4))
    assert float(t.callback_metrics["v"]) == pytest.approx(0.752874, abs=1e-6)

    class Rows(Net):
        def training_step(self, batch, batch_idx):
            self.log("v", float(len(batch[0])), on_step=False, on_epoch=True)
            return super().training_step(batch, batch_idx)

    t = trainer(max_epochs=1)
    t.fit(Rows(), loader(5, 2))
    assert float(t.callback_metrics["v"]) == pytest.approx(1.8)


def test_sums_and_extremes_know_no_rows():
    assert logging(1.0, 1.0, 1.0, reduce_fx="sum", batch_size=9) == 3.0
    assert logging(3.0, 1.0, 2.0, reduce_fx="min") == 1.0
    assert logging(3.0, 1.0, 2.0, reduce_fx=max) == 3.0
    assert np.isnan(logging(3.0, float("nan"), 2.0, reduce_fx="max"))


def test_logged_loss_is_not_divided_by_accumulation():
    class Logs(Net):
        def training_step(self, batch, batch_idx):
            self.log("ten", torch.tensor(10.0))
            return super().training_step(batch, batch_idx)

    t = trainer(max_epochs=1, accumulate_grad_batches=2)
    t.fit(Logs(), loader())
    assert float(t.callback_metrics["ten"]) == 10.0


def test_accumulated_gradients_and_the_last_batch():
    seen = []

    class Sums(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def training_step(self, batch, batch_idx):
            return (self.w * batch).sum() * 10

        def on_before_optimizer_step(self, optimizer):
            seen.append(float(self.w.grad))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer(max_epochs=1, accumulate_grad_batches=2).fit(
        Sums(), DataLoader(torch.arange(1.0, 6.0), batch_size=2)
    )
    # Of 1 .. 5 in batches of two, each divided by 2: (3 + 7) / 2 and, alone, 5 / 2.
    assert seen == [50.0, 25.0]


def test_early_stopping_waits_for_validations():
    stop = EarlyStopping("val_loss", patience=3, min_delta=9.0)
    t = trainer(max_epochs=60, check_val_every_n_epoch=10, callbacks=[stop])
    t.fit(Validated(), loader(), loader())
    assert t.current_epoch == 40


def test_predictions_come_by_batch():
    class Predicts(Net):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return self(batch[0])

    made = trainer().predict(Predicts(), loader(5, 2))
    assert [tuple(each.shape) for each in made] == [(2, 2), (2, 2), (1, 2)]
    two = trainer().predict(Predicts(), [loader(5, 2), loader(3, 3)])
    assert [len(each) for each in two] == [3, 1]


@pytest.mark.parametrize(
    ("values", "settings", "epochs"),
    [
        ([3, 2, 2, 2, 2], {"patience": 2}, 4),
        ([3, 2.5, 2.4, 2.3, 2.2, 2], {"patience": 2, "min_delta": 0.5}, 5),
        ([1, float("nan"), 1], {}, 2), ([3, 2, 1, 0.5, 0], {"stopping_threshold": 1.0}, 4),
        ([1, 5, 1], {"divergence_threshold": 4.0}, 2), ([1, 2, 1, 1], {"mode": "max",
         "patience": 2}, 4),
    ],
)  # fmt: skip
def test_early_stopping(values, settings, epochs):
    class Says(Net):
        def on_train_epoch_end(self):
            self.log("v", float(values[self.current_epoch]))

    t = trainer(max_epochs=len(values), callbacks=[EarlyStopping("v", **settings)])
    t.fit(Says(), loader())
    assert t.current_epoch == epochs


# ---- Going on ------------------------------------------------------------------------------------


class Dropped(Validated):
    def __init__(self, lr=0.1):
        super().__init__(lr)
        self.net.append(nn.Dropout(0.3))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.mark.parametrize("settings", [{"every_n_epochs": 1}, {"every_n_train_steps": 2}])
def test_resumed_training_has_the_same_bits(tmp_path, settings):
    def shuffled():
        return loader(each=3, shuffle=True)

    torch.manual_seed(1)
    whole = Dropped()
    save = ModelCheckpoint(dirpath=tmp_path, save_top_k=-1, **settings)
    trainer(max_epochs=4, enable_checkpointing=True, callbacks=[save]).fit(
        whole, shuffled(), loader()
    )
    files = sorted(tmp_path.iterdir(), key=lambda path: int(path.stem.split("step=")[1]))
    assert len(files) == (4 if "every_n_epochs" in settings else 8)
    for path in files[:-1]:
        torch.manual_seed(77)
        again = Dropped()
        t = trainer(max_epochs=4)
        with pytest.warns(UserWarning, match="callbacks used to create the checkpoint"):
            t.fit(again, shuffled(), loader(), ckpt_path=path)
        np.testing.assert_array_equal(weights(again), weights(whole))
        assert (t.global_step, t.current_epoch) == (16, 4)


def test_checkpoints_hold_what_torch_load_gives(tmp_path):
    class Odd(Net):
        def __init__(self, lr=0.1, widths=(4, 2), made=None):
            super().__init__(lr)
            self.save_hyperparameters()

        def on_save_checkpoint(self, checkpoint):
            checkpoint["mine"] = {1: [torch.ones(2), float("inf"), None], "x": (1, "y")}

        def on_load_checkpoint(self, checkpoint):
            self.mine = checkpoint["mine"]

    t, model = trainer(), Odd(0.25, widths=[5], made=object())
    t.fit(model, loader())
    path = tmp_path / "deep" / "a.ckpt"
    with pytest.warns(UserWarning, match=r"hyper_parameters\.made .* is left out"):
        t.save_checkpoint(path)
    content = torch.load(path)
    assert sorted(content) == [
        "callbacks", "epoch", "global_step", "hyper_parameters", "loops", "lr_schedulers", "mine",
        "optimizer_states", "state_dict",
    ]  # fmt: skip
    assert content["state_dict"]["net.0.weight"].shape == (4, 3)
    loaded = Odd.load_from_checkpoint(path, lr=0.5)
    assert (loaded.hparams.lr, loaded.hparams.widths) == (0.5, [5])
    assert loaded.mine[1][1:] == [float("inf"), None]
    assert loaded.mine["x"] == (1, "y")
    np.testing.assert_array_equal(weights(loaded), weights(model))
    bare = tmp_path / "bare.ckpt"
    with pytest.warns(UserWarning, match="is left out"):
        t.save_checkpoint(bare, weights_only=True)
    with pytest.raises(KeyError, match="contains only the model"):
        trainer().fit(Odd(), loader(), ckpt_path=bare)
    (tmp_path / "foreign.ckpt").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(ValueError, match="pickle"):
        Odd.load_from_checkpoint(tmp_path / "foreign.ckpt")
    torch.save(model.state_dict(), tmp_path / "state.ckpt")
    with pytest.raises(ValueError, match="load_state_dict"):
        Odd.load_from_checkpoint(tmp_path / "state.ckpt")


def test_ctrl_c_ends_a_fit_and_is_raised(capfd):
    told = []

    class Slow(Net):
        def on_train_epoch_start(self):
            if self.current_epoch == 1 and not told:
                os.kill(os.getpid(), signal.SIGINT)

    note = LambdaCallback(on_exception=lambda t, m, error: told.append(type(error)))
    t, model = trainer(max_epochs=10**9, callbacks=[note]), Slow()
    with pytest.raises(KeyboardInterrupt):
        t.fit(model, loader())
    assert told == [KeyboardInterrupt]
    assert (t.interrupted, t.current_epoch, t.fitting) == (True, 1, False)
    assert "Detected KeyboardInterrupt, attempting graceful shutdown" in capfd.readouterr().err
    t.max_epochs = 2
    t.fit(model, loader())
    assert t.current_epoch == 2


# ---- What surrounds it ---------------------------------------------------------------------------


def test_sanity_check_uses_up_no_random_number():
    results = []
    for steps in (0, 2):
        torch.manual_seed(5)
        model = Validated()
        val = loader(shuffle=True)
        trainer(num_sanity_val_steps=steps, limit_val_batches=2).fit(
            model, loader(shuffle=True), val
        )
        results.append(weights(model))
    np.testing.assert_array_equal(*results)


def test_modes_of_parts_are_put_back():
    class Frozen(Validated):
        def __init__(self):
            super().__init__()
            self.net[1].eval()

        def validation_step(self, batch, batch_idx):
            assert not any(part.training for part in self.modules())
            assert not torch.is_grad_enabled()
            super().validation_step(batch, batch_idx)

    model = Frozen()
    trainer().fit(model, loader(), loader())
    assert [part.training for part in model.modules()] == [True, True, True, False, True]
    assert torch.is_grad_enabled()


def test_several_training_loaders_go_together():
    seen = []

    class Both(Net):
        def training_step(self, batch, batch_idx):
            seen.append((len(batch["a"][0]), len(batch["b"][0])))
            return super().training_step(batch["a"], batch_idx)

    with pytest.warns(UserWarning, match="ambiguous collection. The batch size we found is 4"):
        trainer(max_epochs=1).fit(Both(), {"a": loader(10, 4), "b": loader(3, 3)})
    # The shorter one begins anew.
    assert seen == [(4, 3), (4, 3), (2, 3)]


def test_float64():
    model = Validated()
    t = trainer(precision="64-true")
    t.fit(model, loader(), loader())
    assert weights(model).dtype == np.float64
    assert t.callback_metrics["val_loss"].dtype is torch.float64


def test_time_limit_and_timer():
    timer = Timer(duration="00:00:00:00")
    t = trainer(max_epochs=-1, callbacks=[timer])
    t.fit(Net(), loader())
    assert t.global_step == 1
    assert timer.time_elapsed() > 0
    assert timer.time_remaining() < 0
    t = trainer(max_epochs=None, max_time={"seconds": 0})
    t.fit(Net(), loader())
    assert t.global_step == 1
    with pytest.raises(ValueError, match="DD:HH:MM:SS"):
        Timer("1:2")


def test_copies_belong_to_no_trainer():
    model, t = Validated(0.25), trainer()
    t.fit(model, loader(), loader())
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(weights(made), weights(model))
        assert made.hparams.lr == 0.25
        with pytest.raises(RuntimeError, match="Validated is not attached to a `Trainer`"):
            _ = made.trainer
    assert model.trainer is t
    model.trainer = None
    assert (model.current_epoch, model.logger) == (0, None)


def test_hyperparameters():
    class Base(pl.LightningModule):
        def __init__(self, **more):
            super().__init__()
            self.save_hyperparameters(ignore="secret")

    class Derived(Base):
        def __init__(self, width, *, lr=0.1, secret=3):
            super().__init__(depth=2)

    model = Derived(5)
    assert dict(model.hparams) == {"depth": 2, "width": 5, "lr": 0.1}
    model.hparams.lr = 0.5
    assert model.hparams_initial.lr == 0.1
    assert repr(_hparams.AttributeDict(lr=0.01, size=3)) == '"lr":   0.01\n"size": 3'
    with pytest.raises(AttributeError, match="Missing attribute"):
        _ = model.hparams.nothing

    class Named(pl.LightningModule):
        def __init__(self, a, b):
            super().__init__()
            self.save_hyperparameters("b", "c")

    with pytest.raises(ValueError, match="no argument 'c'"):
        Named(1, 2)


def test_unknown_arguments_name_the_nearest():
    with pytest.raises(TypeError, match="'max_epoch'; did you mean 'max_epochs'"):
        pl.Trainer(max_epoch=3)
    with pytest.raises(AttributeError, match="did you mean 'EarlyStopping'"):
        _ = pl.callbacks.EarlyStoping
    with pytest.raises(AttributeError, match="the nearest is CSVLogger"):
        _ = pl.loggers.TensorBoardLogger
    with pytest.raises(TypeError, match="no hook 'on_train_ends'; did you mean 'on_train_end'"):
        LambdaCallback(on_train_ends=print)
    with pytest.raises(TypeError, match="expected Callbacks, got int 3"):
        pl.Trainer(callbacks=[3])
    with pytest.raises(ValueError, match="accelerator: expected 'auto' or 'cpu', got str 'gpu'"):
        pl.Trainer(accelerator="gpu")


def test_a_loader_that_is_none():
    class Wrong(Net):
        def train_dataloader(self):
            return 3

    with pytest.raises(TypeError, match="An invalid dataloader was passed"):
        trainer().fit(Wrong())
    with pytest.raises(MisconfigurationException, match="train_dataloader` must be implemented"):
        trainer().fit(Net())


def test_seed_everything(capfd, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert pl.seed_everything(7) == 7
    first = torch.rand(3).tolist(), np.random.random(), os.environ["PL_GLOBAL_SEED"]  # noqa: NPY002
    assert pl.seed_everything(7, verbose=False) == 7
    assert first == (torch.rand(3).tolist(), np.random.random(), "7")  # noqa: NPY002
    assert pl.seed_everything(verbose=False) == 7
    assert capfd.readouterr().err == "Seed set to 7\n"
    with pytest.raises(ValueError, match="not in bounds"):
        pl.seed_everything(-1)


# ---- What is printed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.41, "1.410"), (0.5, "0.500"), (12345.0, "12345.0"), (1234567.0, "1.23e+6"),
     (1.0, "1.000"), (1e-8, "1e-8"),
     (100.0, "100.0"), (3, "3"), ("abc", "abc"), (0.0625, "0.0625"), (float("nan"), "nan.0")],
)  # fmt: skip
def test_numbers_behind_the_bar(value, text):
    assert _progress._number(value) == text


class Terminal:
    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    trainer(max_epochs=2, enable_progress_bar=True).fit(Validated(), loader(), loader())
    assert terminal.text.startswith("\rSanity Checking DataLoader 0:  50%|")
    pictures = terminal.text.replace("\n", "\r").split("\r")
    assert any(one.startswith("Epoch 1: 100%|█") and "3/3 [" in one for one in pictures)
    assert any(one.startswith("Validation DataLoader 0:  67%|") for one in pictures)
    assert max(len(one.replace("\x1b[A", "").rstrip()) for one in pictures) <= 60
    assert terminal.text.endswith("\n")


def test_bar_that_cannot_be_written_is_worth_no_training(monkeypatch):
    class Closed(Terminal):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    t = trainer(enable_progress_bar=True)
    t.fit(Validated(), loader(), loader())
    assert t.current_epoch == 2


def test_summary():
    text = str(ModelSummary(Net()))
    assert text.splitlines()[:3] == [
        "  | Name | Type       | Params | Mode  | FLOPs",
        "-" * 52,
        "0 | net  | Sequential | 26     | train | 0    ",
    ]
    assert len(str(ModelSummary(Net(), max_depth=-1)).splitlines()) == 14
    shown = trainer(enable_model_summary=True, callbacks=[pl.callbacks.ModelSummary(2)])
    assert [type(one).__name__ for one in shown.callbacks] == ["ModelSummary"]


def test_steps_in_threads_do_not_meet():
    results = {}

    def fit(number):
        model = Net(0.1 * number)
        trainer(max_epochs=3).fit(model, loader())
        results[number] = weights(model)

    threads = [threading.Thread(target=fit, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (1, 2):
        model = Net(0.1 * number)
        trainer(max_epochs=3).fit(model, loader())
        np.testing.assert_array_equal(results[number], weights(model))
