"""A network as one C file, with the library's bits.

The file is made of blocks of ``runtime.c``, constants, and three functions: forward, predict, self
test. Whoever compiles it needs a C99 (or C++) compiler and nothing else: no library of mathematics,
no memory from the heap, no state that calls share.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from deepc._c.library import isa
from deepc._files import replacing
from deepc._values import as_bool, describe
from deepc.kernels import matmul
from deepc.layers import Layer
from deepc.losses import Loss
from deepc.optimizers import Optimizer
from deepc.shipping.c_text import Text, test_rows
from deepc.shipping.c_train import TrainText
from deepc.shipping.program import evaluated, in_eight_bits, program
from deepc.shipping.quantize import quantized

__all__ = ["export_c"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The longest name that still leaves room for what is added to it.
_LONGEST_NAME = 60
# Words of C and C++, which no function can begin with as its whole name; with a suffix they could,
# but a header called int.h helps nobody.
_WORDS = (
    "alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char class "
    "compl concept const consteval constexpr constinit continue decltype default delete do "
    "double else enum explicit export extern false float for friend goto if inline int long "
    "main mutable namespace new noexcept not not_eq nullptr operator or or_eq private "
    "protected public register requires restrict return short signed sizeof static struct "
    "switch template this thread_local throw true try typedef typeid typename typeof union "
    "unsigned using virtual void volatile while xor xor_eq"
)
_RESERVED = frozenset(_WORDS.split())


def export_c(
    net: Layer,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    verify: bool = True,
    train: Optimizer | None = None,
    loss: Loss | None = None,
    train_from: int = 0,
    weights: str = "float",
) -> None:
    """Write a network as one C file, with its header, that computes the same bits.

    The file is C99 (and C++), allocates nothing, calls nothing and keeps no state. It offers
    ``NAME_forward(x, y)``, ``NAME_predict(x)``, the class, and ``NAME_self_test()``, which returns
    0 where compiler, options and machine give the bits of the library. Layers are what they are in
    evaluation.

    Parameters
    ----------
    net : Layer
        Layers of the library, in Sequentials or by itself.
    path : str or path
        The .c file; the header goes beside it.
    name : str, optional
        What the functions' names begin with; the file's stem if not given.
    verify : bool, optional
        Compile the file with what the machine has (``CC``, cc, gcc, clang) and compare its results
        with the network's, bit by bit. Without a compiler a warning says so.
    train : GradientDescent, Momentum, SGD, Adam or AdamW, optional
        Adds ``NAME_train_step(x, target)``, one step with the bits of `fit` with batches of one
        row, from the weights and with what the optimizer remembers now. The weights are then the
        struct ``NAME_weights``, which is not constant: copy it to store what was learned.
    loss : SSE or SoftmaxCrossEntropy, optional
        What is trained for; needed with `train`.
    train_from : int, optional
        Train only the layers from this one on (counted flat, from 0); those before stay constants,
        which need no RAM.
    weights : {"float", "int8"}, optional
        With ``"int8"`` a quarter of the flash: the file then has the bits of ``quantized(net)``.

    Raises
    ------
    TypeError, ValueError
        If a layer is written in Python or cannot be exported, weights are not finite, or the name
        is no identifier of C; nothing is written then.
    RuntimeError
        If the compiled file gives other bits: the message says for which row and output.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from deepc import Linear, Sequential, Tanh
    >>> net = Sequential([Linear(10, 25), Tanh(), Linear(25, 4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_c(net, os.path.join(folder, "fizz.c"), verify=False)
    ...     sorted(os.listdir(folder))
    ['fizz.c', 'fizz.h']
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a string or a path, got {describe(path)}")
    target = Path(os.fsdecode(path))
    if target.suffix != ".c":
        raise ValueError(f"path: expected a name that ends in .c, got {str(target)!r}")
    if name is None:
        name = target.stem
    _check_name(name)
    verify = as_bool(verify, "verify")
    plan = program(net)
    if not _fuses(plan.dtype):
        raise ValueError(
            f"export_c: the instruction set in force, {isa()}, has no fused multiply-add, without "
            "which the library does not have the bits that the file gives"
        )
    if not isinstance(weights, str) or weights not in ("float", "int8"):
        raise ValueError(f"weights: expected 'float' or 'int8', got {describe(weights)}")
    if weights == "int8":
        if train is not None:
            raise ValueError("weights: int8 cannot be trained; expected 'float', as train is given")
        plan, net = in_eight_bits(plan), quantized(net)
    if train is None:
        if loss is not None or train_from != 0:
            raise ValueError("train: expected an optimizer, as loss or train_from is given")
        text = Text(plan, name, target.stem)
    else:
        text = TrainText(plan, name, target.stem, net, train, loss, train_from)
    reference = evaluated(net)
    expected = np.asarray(reference.forward(plan.as_input(test_rows(plan))))
    source = text.source(expected)
    header = text.header()
    with replacing(target) as file:
        file.write(source.encode())
    with replacing(target.with_suffix(".h")) as file:
        file.write(header.encode())
    if verify:
        from deepc.shipping.verify import compare

        compare(target, name, plan, reference, train, loss, train_from)


def _fuses(dtype: Any) -> bool:
    """Whether the library has fused multiply-add, and so the bits that it promises."""
    small = np.finfo(dtype).eps / 2
    root = dtype.type(1) + np.sqrt(small)  # its square has the last bit that a sum would round off
    x, w = np.array([[1, root]], dtype), np.array([[-1 - 2 * np.sqrt(small)], [root]], dtype)
    return bool(matmul(x, w)[0, 0] != 0)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {describe(name)}")
    if name in _RESERVED:
        raise ValueError(
            f"name: expected a name that is free in C and C++, got {name!r}, a word of the "
            "language; name='...' chooses another one than the file's"
        )
    if not _IDENTIFIER.fullmatch(name) or name.startswith("__"):
        raise ValueError(
            f"name: expected an identifier of C, got {name!r}; "
            "name='...' chooses another one than the file's"
        )
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"name: expected at most {_LONGEST_NAME} letters, got {len(name)}")
