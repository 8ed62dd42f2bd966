"""Data sets by the names that Keras has for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from deepc._values import missing

__all__ = ["fashion_mnist", "mnist"]

_refuse = missing(
    "deepc.keras.datasets",
    __all__,
    dict.fromkeys(
        ("cifar10", "cifar100", "imdb", "reuters", "boston_housing", "california_housing"),
        "datasets.mnist",
    ),
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"deepc.keras.datasets.{name}")
    return _refuse(name)
