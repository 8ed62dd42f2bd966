"""Loggers: where the numbers of a training are written."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from typing import Any

from deepc._values import describe

__all__ = ["CSVLogger", "Logger"]


class Logger:
    """Where a Trainer's numbers go; a class of one's own gives `log_metrics` and the others."""

    @property
    def name(self) -> str | None:
        """The name of the experiment."""
        return None

    @property
    def version(self) -> Any:
        """Which of its runs this is."""
        return None

    @property
    def save_dir(self) -> str | None:
        """The folder of all experiments."""
        return None

    @property
    def root_dir(self) -> str | None:
        """The folder of the experiment."""
        return None

    @property
    def log_dir(self) -> str | None:
        """The folder of the run."""
        return None

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Take numbers of a step."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Take hyperparameters."""

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """See that a checkpoint was saved."""

    def save(self) -> None:
        """Write what was taken."""

    def finalize(self, status: str) -> None:
        """End: "success" or "failed"."""
        self.save()


class CSVLogger(Logger):
    """Write numbers to ``metrics.csv`` and hyperparameters to ``hparams.yaml``.

    Parameters
    ----------
    save_dir : str or path
    name : str, optional
        The folder of the experiment in it.
    version : int or str, optional
        The folder of the run; the next free number if not given.
    prefix : str, optional
        What names of metrics begin with, before a ``-``.
    flush_logs_every_n_steps : int, optional
        Calls of `log_metrics` after which the file is written.
    """

    def __init__(
        self,
        save_dir: Any,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        flush_logs_every_n_steps: int = 100,
    ) -> None:
        if flush_logs_every_n_steps < 1:
            raise ValueError(
                "flush_logs_every_n_steps: expected at least 1, got "
                f"{describe(flush_logs_every_n_steps)}"
            )
        self._save_dir: str = os.fspath(save_dir)
        self._name = name or ""
        self._version, self._prefix, self._every = version, prefix, flush_logs_every_n_steps
        self._rows: list[dict[str, Any]] = []
        self._unwritten, self._columns = 0, list[str]()
        self._hparams: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._name

    @property
    def save_dir(self) -> str:
        """The folder of all experiments."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """The folder of the experiment."""
        return os.path.join(self._save_dir, self._name)

    @property
    def version(self) -> int | str:
        """Which of the experiment's runs this is."""
        if self._version is None:
            found = os.listdir(self.root_dir) if os.path.isdir(self.root_dir) else []
            numbers = [name[8:] for name in found if name.startswith("version_")]
            self._version = max((int(n) for n in numbers if n.isdigit()), default=-1) + 1
        return self._version

    @property
    def log_dir(self) -> str:
        """The folder of the run."""
        version = self.version
        part = version if isinstance(version, str) else f"version_{version}"
        return os.path.join(self.root_dir, part)

    @property
    def experiment(self) -> CSVLogger:
        """The logger itself."""
        return self

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take numbers of a step."""
        names = {
            f"{self._prefix}-{name}" if self._prefix else name: v for name, v in metrics.items()
        }
        row = {name: v.item() if hasattr(v, "item") else v for name, v in names.items()}
        self._rows.append({**row, "step": len(self._rows) if step is None else step})
        self._unwritten += 1
        if self._unwritten >= self._every:
            self.save()

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Take hyperparameters."""
        self._hparams.update(params if isinstance(params, Mapping) else vars(params))
        os.makedirs(self.log_dir, exist_ok=True)
        with open(os.path.join(self.log_dir, "hparams.yaml"), "w", encoding="utf-8") as file:
            file.write(_yaml(self._hparams, 0) if self._hparams else "{}\n")

    def save(self) -> None:
        """Write the numbers that are not yet in the file; a column for each name, sorted."""
        if not self._unwritten:
            return
        os.makedirs(self.log_dir, exist_ok=True)
        columns = sorted({name for row in self._rows for name in row})
        # A new name is a new column, for which the file has to be written again.
        again = columns != self._columns
        path = os.path.join(self.log_dir, "metrics.csv")
        with open(path, "w" if again else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if again:
                writer.writeheader()
            writer.writerows(self._rows if again else self._rows[-self._unwritten :])
        self._columns, self._unwritten = columns, 0


def _yaml(value: Mapping[Any, Any], depth: int) -> str:
    """Return plain values by name as YAML."""
    lines = []
    for name in sorted(value, key=str):
        each = value[name]
        if isinstance(each, Mapping) and each:
            lines.append(f"{'  ' * depth}{name}:\n{_yaml(each, depth + 1)}")
        elif isinstance(each, (list, tuple)) and each:
            items = "".join(f"{'  ' * depth}- {_scalar(item)}\n" for item in each)
            lines.append(f"{'  ' * depth}{name}:\n{items}")
        else:
            lines.append(f"{'  ' * depth}{name}: {_scalar(each)}\n")
    return "".join(lines)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    plain = text and text.replace("_", "").replace("-", "").replace("/", "").isalnum()
    return text if plain and not text[0].isdigit() else "'" + text.replace("'", "''") + "'"
