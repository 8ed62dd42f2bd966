"""A small Lightning program: an epoch of training and a validation, loaders and all."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from peers.race import FULL, QUICK, Contestant, Result, race

GROUP = "Lightning"
EPOCHS = 3
ROWS, VALIDATION = 4096, 1024


def run(peers: Any, options: Any) -> Iterator[Result]:
    """Yield the result."""
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, 1, 28, 28), np.float32)
    y = rng.integers(0, 10, ROWS)
    found = [_contestant("deepc", _program("deepc.torch", "deepc.lightning.pytorch", x, y))]
    if peers.torch:
        found.append(_contestant("PyTorch, a loop", _loop(peers.torch, x, y)))
        with contextlib.suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(_contestant("Lightning", _program("torch", "lightning.pytorch", x, y)))
    yield race(
        GROUP, f"784-128-10, an epoch of {ROWS} and {VALIDATION} to validate", found,
        QUICK if options.quick else FULL, aim_ratio="10 x Lightning, 5 x a loop",
    )  # fmt: skip


def _contestant(peer: str, train: Callable[[], Any]) -> Contestant:
    return Contestant(peer, "train()", {"train": train}, steps=EPOCHS)


def _parts(torch: Any, x: Any, y: Any) -> tuple[Any, Any, Callable[[], Any]]:
    """Return loaders, and what makes a network, whose weights are the same everywhere."""
    data = importlib.import_module(f"{torch.__name__}.utils.data")
    whole = data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    train = data.DataLoader(data.Subset(whole, list(range(ROWS))), batch_size=64)
    validation = data.DataLoader(data.Subset(whole, list(range(VALIDATION))), batch_size=256)

    def network() -> Any:
        nn = torch.nn
        made = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        with torch.no_grad():
            for i, p in enumerate(made.parameters()):
                values = np.cos(np.arange(p.numel()) * 1.7 + i) / 20
                p.copy_(torch.from_numpy(values.astype(np.float32).reshape(p.shape)))
        return made

    return train, validation, network


def _program(torch_name: str, lightning_name: str, x: Any, y: Any) -> Callable[[], Any]:
    """Return a training with the Trainer of that module."""
    torch, pl = importlib.import_module(torch_name), importlib.import_module(lightning_name)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    train, validation, network = _parts(torch, x, y)

    class Net(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = network()
            self.loss_fn = torch.nn.CrossEntropyLoss()

        def forward(self, x: Any) -> Any:
            return self.model(x)

        def _step(self, batch: Any, name: str) -> Any:
            x, y = batch
            logits = self(x)
            loss = self.loss_fn(logits, y)
            accuracy = (logits.argmax(dim=1) == y).float().mean()
            levels = {"prog_bar": True, "on_step": False, "on_epoch": True}
            self.log(f"{name}_loss", loss, **levels)
            self.log(f"{name}_acc", accuracy, **levels)
            return loss

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self._step(batch, "train")

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self._step(batch, "val")

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    def fit() -> Any:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = Net()
            trainer = pl.Trainer(
                max_epochs=EPOCHS, logger=False, enable_checkpointing=False, accelerator="cpu",
                enable_model_summary=False, num_sanity_val_steps=0,
            )  # fmt: skip
            trainer.fit(module, train, validation)
        return [p.detach().numpy() for p in module.parameters()]

    return fit


def _loop(torch: Any, x: Any, y: Any) -> Callable[[], Any]:
    """Return the same training as a loop of one's own."""
    train, validation, network = _parts(torch, x, y)
    loss_fn = torch.nn.CrossEntropyLoss()

    def fit() -> Any:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(EPOCHS):
            for x, y in train:
                loss = loss_fn(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                for x, y in validation:
                    loss_fn(model(x), y).item()
        return [p.detach().numpy() for p in model.parameters()]

    return fit
