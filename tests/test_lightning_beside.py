"""The same programs with Lightning itself, where one is installed: they must print the same.

The variable LIGHTNING_PYTHON names the Python in whose environment torch and lightning are. Times
are masked. Of a bar only its last picture in each epoch counts, and Lightning is kept from drawing
boxes with rich, from advertising, and from warning of its own dependencies.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

LIGHTNING_PYTHON = os.environ.get("LIGHTNING_PYTHON")
pytestmark = pytest.mark.skipif(
    not LIGHTNING_PYTHON, reason="LIGHTNING_PYTHON names no Python with Lightning"
)

OURS = """
from deepc import torch
from deepc.torch import nn
from deepc.torch.utils import data
from deepc.torch.utils.data import DataLoader, TensorDataset
import deepc.lightning.pytorch as pl
from deepc.lightning.pytorch.utilities import MisconfigurationException
"""
THEIRS = """
import importlib.metadata, sys
class NoRich:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "rich":
            raise ModuleNotFoundError("No module named 'rich'", name="rich")
sys.meta_path.insert(0, NoRich())
def hidden(function):
    def found(name):
        if name == "rich":
            raise importlib.metadata.PackageNotFoundError(name)
        return function(name)
    return found
importlib.metadata.distribution = hidden(importlib.metadata.distribution)
importlib.metadata.version = hidden(importlib.metadata.version)
import torch
from torch import nn
from torch.utils import data
from torch.utils.data import DataLoader, TensorDataset
import lightning.pytorch as pl
from lightning.pytorch.utilities.exceptions import MisconfigurationException
"""
START = """
import os, sys, tempfile, warnings
import numpy as np
os.chdir(tempfile.mkdtemp())
warnings.showwarning = lambda message, kind, *_, **__: print(
    "warning:", kind.__name__, message, file=sys.stderr)
x = torch.from_numpy(np.linspace(-1, 1, 120).reshape(40, 3).astype("float32"))
labels = torch.from_numpy((np.arange(40) % 7 % 2))
train = DataLoader(TensorDataset(x, labels), batch_size=8)
val = DataLoader(TensorDataset(x[:20], labels[:20]), batch_size=8)
def net():
    made = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with torch.no_grad():
        for i, p in enumerate(made.parameters()):
            n = p.numel()
            p.copy_(torch.from_numpy(
                (np.cos(np.arange(n) + i) / 2).astype("float32")).reshape(p.shape))
    return made
class Net(pl.LightningModule):
    def __init__(self, lr=0.1, momentum=0.0):
        super().__init__()
        self.save_hyperparameters()
        self.net = net()
        self.loss = nn.CrossEntropyLoss()
    def forward(self, x):
        return self.net(x)
    def measure(self, batch, name):
        x, y = batch
        z = self(x)
        loss = self.loss(z, y)
        accuracy = (z.argmax(dim=1) == y).float().mean()
        self.log_dict({f"{name}_loss": loss, f"{name}_acc": accuracy}, prog_bar=True,
                      on_step=False, on_epoch=True)
        return loss
    def training_step(self, batch, batch_idx):
        return self.measure(batch, "train")
    def validation_step(self, batch, batch_idx):
        self.measure(batch, "val")
    def test_step(self, batch, batch_idx):
        self.measure(batch, "test")
    def predict_step(self, batch, batch_idx):
        return self(batch[0])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr,
                               momentum=self.hparams.momentum)
def trainer(**settings):
    settings = {"logger": False, "enable_checkpointing": False, "max_epochs": 2, **settings}
    return pl.Trainer(accelerator="cpu", devices=1, **settings)
def quiet(**settings):
    return trainer(**{"enable_progress_bar": False, "enable_model_summary": False, **settings})
def shown(values):
    if isinstance(values, dict):
        return {name: shown(value) for name, value in sorted(values.items())}
    if isinstance(values, (list, tuple)):
        return [shown(value) for value in values]
    if hasattr(values, "tolist"):
        values = values.tolist()
        return shown(values) if isinstance(values, list) else shown(float(values))
    return float(f"{values:.4g}") if isinstance(values, float) else values
def weights(module):
    print("weights", shown([p.detach().numpy() for p in module.parameters()]))
def attempt(function, *arguments, **settings):
    try:
        print("made", function(*arguments, **settings))
    except Exception as error:
        print(type(error).__name__, str(error).strip()[:35])
"""
PROGRAMS = {
    "a training": """
stop = pl.callbacks.EarlyStopping(monitor="val_loss", patience=2, mode="min")
model, t = Net(momentum=0.9), trainer(max_epochs=4, callbacks=[stop])
t.fit(model, train, val)
print("close:", [v for p in model.parameters() for v in p.detach().numpy().ravel().tolist()])
print(shown(t.callback_metrics), t.current_epoch, t.global_step, shown(stop.best_score))
print(shown(t.validate(model, val)))
print(shown(t.test(model, val)))
print(shown(t.predict(model, val)))
print(model.hparams)
""",
    "the order of hooks": """
names = [n for n in dir(pl.Callback) if n.startswith(("on_", "setup", "teardown"))]
names = [n for n in names if "load_check" not in n and "save_check" not in n]
def told(who, name):
    def hook(self, *arguments, **keywords):
        print(who, name, t.current_epoch, t.global_step, t.sanity_checking)
    return hook
Spy = type("Spy", (pl.Callback,), {name: told("callback", name) for name in names})
own = [n for n in names if "sanity" not in n and "exception" not in n]
Told = type("Told", (Net,), {name: told("module", name) for name in own})
class Late(pl.callbacks.EarlyStopping):
    def on_train_epoch_end(self, *arguments):
        print("early stopping")
        super().on_train_epoch_end(*arguments)
small = DataLoader(TensorDataset(x[:12], labels[:12]), batch_size=4)
model = Told()
t = quiet(max_epochs=2, accumulate_grad_batches=2, callbacks=[Late("train_loss"), Spy()])
t.fit(model, small, small)
t.validate(model, small, verbose=False)
t.predict(model, small)
""",
    "what is logged": """
class Logs(Net):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        rows = float(len(batch[0]))
        self.log("both", rows, on_step=True, on_epoch=True, prog_bar=True)
        self.log("step", float(batch_idx))
        self.log("most", float(batch_idx), reduce_fx="max", on_epoch=True, on_step=False)
        self.log("least", rows, reduce_fx=min, on_epoch=True, on_step=False)
        self.log("sum", 1.0, reduce_fx="sum", on_epoch=True, on_step=False)
        self.log("mean3", float(batch_idx), batch_size=1, on_step=False, on_epoch=True)
        return {"loss": loss, "extra": batch_idx}
    def on_train_batch_end(self, outputs, batch, batch_idx):
        if batch_idx > 2:
            print(batch_idx, sorted(outputs), shown(self.trainer.callback_metrics))
    def on_train_epoch_end(self):
        self.log("at the end", self.current_epoch + 1.0)
        print("epoch", shown(self.trainer.callback_metrics))
    def on_validation_epoch_end(self):
        self.log("val at the end", 7.0)
odd = DataLoader(TensorDataset(x[:35], labels[:35]), batch_size=8)
model, t = Logs(), trainer(callbacks=[pl.callbacks.EarlyStopping("at the end", patience=1)])
t.fit(model, odd, val)
print(shown(t.callback_metrics), shown(t.logged_metrics), shown(t.progress_bar_metrics))
""",
    "several loaders": """
class Several(Net):
    def validation_step(self, batch, batch_idx, dataloader_idx):
        self.measure(batch, "val")
        self.log(f"own{dataloader_idx}", 1.0, add_dataloader_idx=False)
    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.measure(batch, "test")
    def predict_step(self, batch, batch_idx, dataloader_idx):
        return self(batch[0]) + dataloader_idx
model, t = Several(), trainer()
t.fit(model, train, [val, train])
print(shown(t.callback_metrics))
print(shown(t.validate(model, [val, train])))
print(shown(t.test(model, [val, train, val, train])))
print(shown(t.predict(model, [val, train])))
""",
    "when validations are": """
class Counts(pl.Callback):
    def on_validation_end(self, t, module):
        if not t.sanity_checking:
            print("validated", t.current_epoch, t.global_step)
    def on_train_end(self, t, module):
        print("end", t.current_epoch, t.global_step, t.should_stop)
for settings in [
    {"val_check_interval": 2}, {"val_check_interval": 0.5}, {"check_val_every_n_epoch": 2},
    {"val_check_interval": 4, "check_val_every_n_epoch": None}, {"limit_val_batches": 0},
    {"limit_train_batches": 3}, {"limit_train_batches": 0.5}, {"max_steps": 7, "max_epochs": None},
    {"max_steps": 3}, {"max_epochs": 0}, {"fast_dev_run": True}, {"fast_dev_run": 2},
    {"overfit_batches": 1}, {"num_sanity_val_steps": -1}, {"limit_train_batches": 0},
    {"min_epochs": 2, "max_epochs": 4}, {"limit_train_batches": 1}, {"val_check_interval": 9},
]:
    print(settings)
    class Stops(pl.Callback):
        def on_train_batch_end(self, t, *rest):
            if "min_epochs" in settings:
                t.should_stop = True
    model = Net()
    attempt(quiet(callbacks=[Counts(), Stops()], **settings).fit, model, train, val)
    weights(model)
""",
    "gradients": """
for settings in [
    {}, {"gradient_clip_val": 0.1}, {"accumulate_grad_batches": 2},
    {"gradient_clip_val": 0.02, "gradient_clip_algorithm": "value"},
    {"accumulate_grad_batches": 3, "gradient_clip_val": 0.05},
]:
    print(settings)
    model = Net(momentum=0.9)
    t = quiet(max_epochs=4, **settings)
    t.fit(model, train)
    weights(model)
    print(t.global_step, shown(t.callback_metrics))
""",
    "steps that return nothing": """
class Skips(Net):
    def training_step(self, batch, batch_idx):
        loss = self.measure(batch, "train")
        return None if batch_idx % 2 else loss
    def on_train_batch_start(self, batch, batch_idx):
        return -1 if batch_idx == 3 else None
model, t = Skips(momentum=0.5), quiet()
t.fit(model, train)
weights(model)
print(t.global_step, shown(t.callback_metrics))
""",
    "manual optimization": """
class Manual(Net):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        for optimizer in (first, second):
            self.toggle_optimizer(optimizer)
            loss = self.measure(batch, "train")
            optimizer.zero_grad()
            self.manual_backward(loss)
            self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
            optimizer.step()
            self.untoggle_optimizer(optimizer)
    def configure_optimizers(self):
        return (torch.optim.SGD(self.net[0].parameters(), lr=0.1),
                torch.optim.Adam(self.net[2].parameters(), lr=0.01))
model, t = Manual(), quiet()
t.fit(model, train)
weights(model)
print(t.global_step, shown(t.callback_metrics))
attempt(quiet(gradient_clip_val=1.0).fit, Manual(), train)
attempt(quiet(accumulate_grad_batches=2).fit, Manual(), train)
""",
    "own steps of the optimizer": """
class Own(Net):
    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        print("step", epoch, batch_idx)
        optimizer.step(closure=optimizer_closure)
    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad()
    def configure_gradient_clipping(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
        print("clip", gradient_clip_val, gradient_clip_algorithm)
        self.clip_gradients(optimizer, 0.1, "norm")
    def backward(self, loss):
        loss.backward()
model, t = Own(), quiet(max_epochs=1)
t.fit(model, train)
weights(model)
""",
    "data modules": """
class Data(pl.LightningDataModule):
    def __init__(self, size=8):
        super().__init__()
        self.save_hyperparameters()
    def prepare_data(self):
        print("prepare")
    def setup(self, stage):
        print("setup", stage == "fit", stage == "test")
    def teardown(self, stage):
        print("teardown", stage == "fit")
    def train_dataloader(self):
        print("train loader")
        return DataLoader(TensorDataset(x, labels), batch_size=self.hparams.size)
    def val_dataloader(self):
        print("val loader")
        return DataLoader(TensorDataset(x[:9], labels[:9]), batch_size=4)
    test_dataloader = predict_dataloader = val_dataloader
model, t, d = Net(), quiet(), Data(size=10)
t.fit(model, datamodule=d)
print(shown(t.callback_metrics), d.hparams)
print(shown(t.test(model, datamodule=d, verbose=False)))
print(shown(t.predict(model, d)))
t = quiet(max_epochs=3, reload_dataloaders_every_n_epochs=2)
t.fit(Net(), d)
""",
    "mistakes": """
import logging
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
attempt(trainer().fit, nn.Linear(3, 2), train)
class Bare(pl.LightningModule):
    pass
attempt(trainer().fit, Bare(), train)
class NoOptimizer(Bare):
    def training_step(self, batch, batch_idx):
        return None
attempt(trainer().fit, NoOptimizer(), train)
attempt(quiet().fit, Net())
attempt(quiet().validate, Bare(), train)
attempt(lambda: Net().trainer)
Net().log("a", 1.0)
class Wrong(Net):
    def training_step(self, batch, batch_idx):
        return wrong(self)
for wrong in [
    lambda m: m.log("x", "a"), lambda m: m.log("x", torch.ones(2)),
    lambda m: m.log("x", 1.0, on_step=False, on_epoch=False), lambda m: 1.0,
    lambda m: m.log("x", 1.0, reduce_fx="median"), lambda m: {"a": 1},
    lambda m: m.log("x", 1.0) or m.log("x", 1.0, prog_bar=True),
    lambda m: m.log("a/dataloader_idx_1", 1.0), lambda m: m.log("x", 2, on_epoch=True),
    lambda m: m.log("x", None), lambda m: m.log("x", [1.0]),
]:
    attempt(quiet(max_epochs=1).fit, Wrong(), train)
class Hook(Net):
    def on_train_start(self):
        self.log("x", 1.0, on_step=True)
attempt(quiet().fit, Hook(), train)
class Setup(Net):
    def setup(self, stage):
        self.log("x", 1.0)
attempt(quiet().fit, Setup(), train)
class NoVal(Net):
    validation_step = None
for settings in [
    {"max_epochs": -2}, {"max_steps": -3}, {"limit_train_batches": 1.5}, {"accelerator": "no"},
    {"gradient_clip_algorithm": "x"}, {"check_val_every_n_epoch": 0.5},
    {"callbacks": [pl.callbacks.ModelCheckpoint()]}, {"enable_progress_bar": False,
    "callbacks": [pl.callbacks.TQDMProgressBar()]}, {"fast_dev_run": -1}, {"precision": "x"},
]:
    try:
        pl.Trainer(**{"enable_checkpointing": False, "logger": False, **settings})
    except Exception as error:
        print(settings.keys(), type(error).__name__)
attempt(pl.callbacks.EarlyStopping, "x", mode="auto")
attempt(pl.callbacks.ModelCheckpoint, mode="auto")
attempt(pl.callbacks.ModelCheckpoint, save_top_k=-2)
attempt(pl.callbacks.ModelCheckpoint, save_top_k=3)
attempt(pl.callbacks.ModelCheckpoint, every_n_epochs=1, every_n_train_steps=2)
attempt(quiet(callbacks=[pl.callbacks.EarlyStopping("nothing")]).fit, Net(), train)
attempt(quiet(callbacks=[pl.callbacks.LearningRateMonitor()]).fit, Net(), train)
attempt(quiet(limit_train_batches=0.01).fit, Net(), train)
""",
    "checkpoints": """
def here(path):
    return os.path.basename(path)
save = pl.callbacks.ModelCheckpoint(dirpath="a", monitor="val_loss", save_top_k=2, save_last=True,
                                    filename="{epoch}-{val_loss:.3f}", verbose=True)
model = Net()
t = quiet(max_epochs=3, enable_checkpointing=True, callbacks=[save])
t.fit(model, train, val)
print(sorted(os.listdir("a")), here(save.best_model_path), shown(save.best_model_score),
      here(save.last_model_path), {here(k): shown(v) for k, v in save.best_k_models.items()})
more = quiet(max_epochs=5, enable_checkpointing=False)
again = Net()
more.fit(again, train, val, ckpt_path="a/last.ckpt")
weights(again)
whole = Net()
quiet(max_epochs=5).fit(whole, train, val)
weights(whole)
loaded = Net.load_from_checkpoint("a/last.ckpt", lr=0.5)
print(loaded.hparams, loaded.training)
weights(loaded)
print(shown(t.test(dataloaders=val, verbose=False)))
print(shown(t.test(model, val, ckpt_path="best", verbose=False)))
attempt(quiet().test, None, val)
plain = pl.callbacks.ModelCheckpoint(dirpath="b")
quiet(enable_checkpointing=True, callbacks=[plain]).fit(Net(), train, val)
print(os.listdir("b"), here(plain.best_model_path))
quiet(enable_checkpointing=True, callbacks=[pl.callbacks.ModelCheckpoint(dirpath="b")]).fit(
    Net(), train, val)
print(sorted(os.listdir("b")))
steps = pl.callbacks.ModelCheckpoint(dirpath="c", every_n_train_steps=3, save_top_k=-1)
quiet(enable_checkpointing=True, callbacks=[steps]).fit(Net(), train, val)
print(sorted(os.listdir("c")))
named = pl.callbacks.ModelCheckpoint(dirpath="d", filename="e={epoch:02d}",
                                     auto_insert_metric_name=False, every_n_epochs=2)
quiet(max_epochs=4, enable_checkpointing=True, callbacks=[named]).fit(Net(), train)
print(sorted(os.listdir("d")))
t = quiet(logger=None, enable_checkpointing=True)
t.fit(Net(), train)
print(here(t.checkpoint_callback.best_model_path), t.checkpoint_callback.best_model_path)
""",
    "loggers": """
logger = pl.loggers.CSVLogger("logs", name="mine")
class Logs(Net):
    def training_step(self, batch, batch_idx):
        self.log("every", float(batch_idx))
        return super().training_step(batch, batch_idx)
t = quiet(logger=logger, log_every_n_steps=2)
t.fit(Logs(), train, val)
print(logger.log_dir, logger.version, t.log_dir)
print(open("logs/mine/version_0/metrics.csv").read())
print(open("logs/mine/version_0/hparams.yaml").read())
t.test(Logs(), val)
print(open("logs/mine/version_0/metrics.csv").read())
again = pl.loggers.CSVLogger("logs", name="mine")
t = trainer(logger=again, callbacks=[pl.callbacks.LearningRateMonitor()])
t.fit(Logs(), train)
print(again.version, open("logs/mine/version_1/metrics.csv").read())
""",
    "early stopping": """
class Says(Net):
    def __init__(self, values):
        super().__init__()
        self.values = values
    def on_train_epoch_end(self):
        self.log("v", self.values[self.current_epoch])
nan = float("nan")
for values, settings in [
    ([3.0, 2.0, 2.0, 2.0, 2.0], {"patience": 2}),
    ([3.0, 2.5, 2.4, 2.3, 2.2, 2.1], {"patience": 2, "min_delta": 0.5}),
    ([1.0, nan, 1.0], {}), ([3.0, 2.0, 1.0, 0.5, 0.1], {"stopping_threshold": 1.0}),
    ([1.0, 2.0, 5.0, 1.0], {"divergence_threshold": 4.0, "patience": 9}),
    ([1.0, 2.0, 1.5, 1.4], {"mode": "max", "patience": 2}),
]:
    stop = pl.callbacks.EarlyStopping("v", verbose=True, **settings)
    t = quiet(max_epochs=len(values), callbacks=[stop])
    t.fit(Says(values), train)
    print(t.current_epoch, stop.stopped_epoch, stop.wait_count, shown(stop.best_score))
stop = pl.callbacks.EarlyStopping("val_loss", patience=3, min_delta=9.0)
t = quiet(max_epochs=60, check_val_every_n_epoch=10, callbacks=[stop], limit_train_batches=2)
t.fit(Net(), train, val)
print(t.current_epoch, stop.stopped_epoch)
""",
    "tables": """
class Deep(Net):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1200))
        self.example_input_array = torch.ones(5, 3)
        self.wide = nn.Linear(1000, 1300)
        for p in self.wide.parameters():
            p.requires_grad = False
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log_dict({"a" * 50: 1.0, "b/c": 2.5, "z": 1e-8})
t = trainer(callbacks=[pl.callbacks.ModelSummary(max_depth=2)])
t.fit(Deep(), train)
t.validate(Deep(), val)
os.environ["COLUMNS"] = "70"
t.validate(Deep(), [val, val, val, val])
""",
    "no length": """
class Stream(data.IterableDataset):
    def __iter__(self):
        return iter([(x[i], labels[i]) for i in range(20)])
model, t = Net(), trainer()
t.fit(model, DataLoader(Stream(), batch_size=8), DataLoader(Stream(), batch_size=8))
print(t.current_epoch, t.global_step, shown(t.callback_metrics))
t = quiet(limit_train_batches=2)
t.fit(Net(), DataLoader(Stream(), batch_size=8), val)
print(t.current_epoch, t.global_step, shown(t.callback_metrics))
attempt(quiet(limit_train_batches=0.5).fit, Net(), DataLoader(Stream()))
""",
    "schedulers": """
sched = torch.optim.lr_scheduler
class Rates(Net):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        return form(optimizer)
    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
for form in [
    lambda o: ([o], [sched.StepLR(o, 1, gamma=0.5)]),
    lambda o: ([o], [{"scheduler": sched.StepLR(o, 2), "interval": "step", "frequency": 2}]),
    lambda o: {"optimizer": o, "lr_scheduler": sched.ExponentialLR(o, 0.9)},
    lambda o: {"optimizer": o, "lr_scheduler": {
        "scheduler": sched.ReduceLROnPlateau(o, patience=0, threshold=0.9), "monitor": "val_loss"}},
    lambda o: {"optimizer": o, "lr_scheduler": sched.LambdaLR(o, lambda e: 1 / (e + 1))},
    lambda o: {"optimizer": o, "lr_scheduler": sched.ReduceLROnPlateau(o), "monitor": "val_loss"},
    lambda o: [o],
    lambda o: {"optimizer": o, "lr_scheduler": sched.ReduceLROnPlateau(o)},
    lambda o: {"optimizer": o, "lr_scheduler": {"interval": "step"}},
    lambda o: {"optimizer": o, "lr_scheduler": {"scheduler": sched.StepLR(o, 1),
                                                "interval": "batch"}},
    lambda o: 7, lambda o: [o, o], lambda o: None,
]:
    model = Rates()
    model.rates = []
    monitor = pl.callbacks.LearningRateMonitor()
    t = quiet(logger=pl.loggers.CSVLogger("x"), callbacks=[monitor], log_every_n_steps=2,
              max_epochs=3)
    attempt(t.fit, model, train, val)
    print(shown(model.rates), shown(monitor.lrs))
    weights(model)
""",
}
# What numbers stand behind that need not have the same bits.
_CLOSE = "close:"
_FOLDER = re.compile(r"/tmp/\w+")
# What Lightning says beside: of other products, of its own dependencies.
_ASIDE = re.compile(
    r"litlogger|litmodels|LeafSpec|treespec|tensorboardX|many workers|pkg_resources|isinstance\("
    r"|callbacks\.model_summary|_monitors\.ModelSummary"
    r"|ckpt_path.*weights_only|^warning: FutureWarning"
)


def run(python, imports, program):
    """Return what a program prints, and what it says on standard error, without times."""
    environment = {
        **os.environ,
        "COLUMNS": "100",
        "PYTHONWARNINGS": "default",
        "DEEPC_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [python, "-c", imports + START + program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return printed(_FOLDER.sub("FOLDER", done.stdout)), said(_FOLDER.sub("FOLDER", done.stderr))


# Numbers with all their digits, of which the last ones differ.
_NUMBER = re.compile(r"\d+\.\d{6,}(?:e-?\d+)?")
_BAR = re.compile(r"((?:Epoch|Validation|Testing|Predicting|Sanity)[^|]*?):?\s*(\d+%)?\|.*?\]")


def printed(text):
    """Return the lines, of bars only the last picture of each, without times."""
    pieces = []
    for part in re.split(r"[\n\r]", text.replace("\x1b[A", "")):
        bar = _BAR.match(part)
        if bar is None:
            pieces.append((None, part.rstrip()))
            continue
        # A program that prints does so behind the picture.
        if " 0/" in bar[0] or "0/?" in bar[0]:
            continue  # A bar that begins again, or has not begun.
        pieces.append((bar[1], re.sub(r"\[[^,]*,[^,\]]*", "[time", bar[0])))
        pieces.append((None, part[bar.end() :].rstrip()))
    pieces = [
        (name, part)
        for name, part in pieces
        if part and not part.startswith("Training: |") and not (name or "").startswith("Sanity")
    ]
    last = {name: i for i, (name, _) in enumerate(pieces) if name and name.startswith("Epoch")}
    seen, epochs = [], []
    for i, (name, part) in enumerate(pieces):
        if name is None:
            close = part.startswith(_CLOSE)
            seen.append(
                part if close else _NUMBER.sub(lambda number: f"{float(number[0]):.4g}", part)
            )
        elif name.startswith("Epoch"):
            # An epoch's bar is drawn again after each validation.
            epochs += [part] if last[name] == i else []
        elif pieces[i + 1 : i + 2] and pieces[i + 1][0] is None:
            # Those of validations in a training go away.
            seen.append(part)
    return [" ".join(line.split()) for line in seen + epochs]


def numbers(lines):
    """Return what is printed to be close."""
    return [json.loads(line.removeprefix(_CLOSE)) for line in lines if line.startswith(_CLOSE)]


def said(text):
    """Return the lines on standard error that are of the program."""
    lines = [line.rstrip() for line in text.split("\n") if line.strip() and not _ASIDE.search(line)]
    # Of the same warning Lightning shows one, because all of them come from one place.
    return [
        line
        for i, line in enumerate(lines)
        if not line.startswith("warning:") or line not in lines[:i]
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_prints_the_same(name):
    ours = run(sys.executable, OURS, PROGRAMS[name])
    theirs = run(LIGHTNING_PYTHON, THEIRS, PROGRAMS[name])
    assert [line for line in ours[0] if not line.startswith(_CLOSE)] == [
        line for line in theirs[0] if not line.startswith(_CLOSE)
    ]
    assert ours[1] == theirs[1]
    for one, other in zip(numbers(ours[0]), numbers(theirs[0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
