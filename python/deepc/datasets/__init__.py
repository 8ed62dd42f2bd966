"""The chapter's data: XOR, FizzBuzz, and handwritten digits, a bundled small set and MNIST.

Each function returns a `Dataset` of fresh arrays. Only `mnist` without a folder ever touches the
network.
"""

from deepc.datasets._base import Dataset
from deepc.datasets._chapter import binary_encode, fizz_buzz, fizz_buzz_encode, xor
from deepc.datasets._digits import digits
from deepc.datasets._idx import read_idx
from deepc.datasets._mnist import mnist, raw_mnist

__all__ = [
    "Dataset",
    "binary_encode",
    "digits",
    "fizz_buzz",
    "fizz_buzz_encode",
    "mnist",
    "raw_mnist",
    "read_idx",
    "xor",
]
