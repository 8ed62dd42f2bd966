"""What is done to an image before a network sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepc._values import FLOAT32, Array, describe, nearest
from deepc.torch._tensor import Tensor, wrap

__all__ = ["Compose", "Lambda", "Normalize", "PILToTensor", "ToTensor", "whole_batch"]


def _pixels(image: Any) -> Array:
    """Return an image as an array of shape (height, width) or (height, width, channels)."""
    if isinstance(image, np.ndarray):
        array = image
    elif hasattr(image, "getbands") and hasattr(image, "__array_interface__"):
        array = np.asarray(image)
        if array.dtype == bool:
            array = np.multiply(array, 255, dtype=np.uint8)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(image)}")
    if array.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    return array


def _channels_first(array: Array) -> Array:
    """Return an image as (channels, height, width), in memory of its own."""
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return np.array(array, order="C")


def _scaled(array: Array) -> Array:
    """Return bytes as float32 from 0 to 1; all else as it is."""
    return np.divide(array, np.float32(255), dtype=FLOAT32) if array.dtype == np.uint8 else array


class ToTensor:
    """Make a tensor of an image, channels first: of bytes a float32 one from 0 to 1.

    An image is one of PIL's, or an array of shape (height, width) or (height, width, channels).

    Examples
    --------
    >>> import numpy as np
    >>> ToTensor()(np.array([[0, 255]], np.uint8))
    tensor([[[0., 1.]]])
    """

    def __call__(self, pic: Any) -> Any:
        """Return the tensor of an image."""
        return wrap(_channels_first(_scaled(_pixels(pic))))

    def _of_batch(self, images: Array) -> Array:
        return _scaled(images)[:, None]

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """Make a tensor of an image, channels first, with the numbers that it has."""

    def __call__(self, pic: Any) -> Any:
        """Return the tensor of an image."""
        return wrap(_channels_first(_pixels(pic)))

    def _of_batch(self, images: Array) -> Array:
        return images[:, None]

    def __repr__(self) -> str:
        return "PILToTensor()"


class Normalize:
    """Subtract a mean from each channel and divide by a standard deviation.

    Parameters
    ----------
    mean, std : sequence of float, or float
        One number for each channel, or one for all.
    inplace : bool, optional
        Do it in the tensor that came.

    Examples
    --------
    >>> from deepc import torch
    >>> Normalize((0.5,), (0.5,))(torch.tensor([[[0.0, 1.0]]]))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = mean, std, inplace
        self._mean, self._std = (_numbers(x, n) for x, n in ((mean, "mean"), (std, "std")))
        if not self._std.all():
            raise ValueError(f"std evaluated to zero, leading to division by zero: {std}")

    def __call__(self, tensor: Any) -> Any:
        """Return an image normalized."""
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"img should be Tensor Image. Got {type(tensor)}; ToTensor() before Normalize "
                "makes a tensor of an image"
            )
        array = tensor._data
        if array.dtype.kind != "f":
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        if array.ndim < 3:
            raise ValueError(
                "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
                f"{tuple(array.shape)}"
            )
        made = self._of_batch(array if self.inplace else array.copy())
        return tensor if self.inplace else wrap(made)

    def _of_batch(self, images: Array) -> Array:
        """Normalize images where they are: nobody else has seen them yet."""
        for name, numbers in (("mean", self._mean), ("std", self._std)):
            if len(numbers) not in (1, images.shape[-3]):
                raise ValueError(
                    f"{name}: expected {images.shape[-3]} numbers, one for each channel, or one, "
                    f"got {len(numbers)}"
                )
        np.subtract(images, self._mean.astype(images.dtype)[:, None, None], out=images)
        np.divide(images, self._std.astype(images.dtype)[:, None, None], out=images)
        return images

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


def _numbers(value: Any, name: str) -> Array:
    array = np.atleast_1d(np.asarray(value, np.float64))
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected numbers, one for each channel, got {describe(value)}")
    return array


class Lambda:
    """Call a function of one's own."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        """Return what an image becomes."""
        return self.lambd(image)

    def __repr__(self) -> str:
        return "Lambda()"


class Compose:
    """Do several things one after the other.

    Examples
    --------
    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        """Return what an image becomes."""
        for each in self.transforms:
            image = each(image)
        return image

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {each}" for each in self.transforms), ")"])


def whole_batch(transform: Any) -> Callable[[Array], Array] | None:
    """Return what does the same as a transform to images of bytes that stand in one array.

    None where only the transform itself knows what it does to an image.
    """
    steps: list[Any] = list(transform.transforms) if type(transform) is Compose else [transform]
    if not steps or type(steps[0]) not in (ToTensor, PILToTensor):
        return None
    if any(type(each) is not Normalize for each in steps[1:]):
        return None
    if len(steps) > 1 and type(steps[0]) is not ToTensor:
        return None

    def whole(images: Array) -> Array:
        for each in steps:
            images = each._of_batch(images)
        return images

    return whole


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'deepc.torchvision.transforms' has no attribute {name!r}"
        f"{nearest(name, __all__[:-1]) or '; Lambda takes a function of your own'}"
    )
