"""torchvision, as far as it is about small images of digits: `datasets` and `transforms`."""

from deepc.torchvision import datasets, transforms

__all__ = ["datasets", "transforms"]
