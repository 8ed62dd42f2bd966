"""The library as a whole: its start, its version, instruction sets, threads and statuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import deepc._deepc as _deepc
from deepc._deepc import ffi, lib
from deepc._values import FLOAT32, FLOAT64, Array, as_int

lib.dc_arrays_initialize(id(_deepc))
lib.dc_tape_initialize(id(_deepc))


def check(status: int, what: str = "") -> None:
    """Raise what a status of the library means; `what` names the call or its argument."""
    if not status:
        return
    text = ffi.string(lib.dc_status_text(status)).decode()
    message = f"{what}: {text}" if what else text
    if status == lib.DC_NO_MEMORY:
        raise MemoryError(message)
    if status == lib.DC_BAD_STATE:
        raise RuntimeError(message)
    raise ValueError(message)


def version() -> str:
    """Return the version of the library."""
    return cast(str, ffi.string(lib.dc_version()).decode())


def compiler() -> str:
    """Return the compiler that built the library."""
    return cast(str, ffi.string(lib.dc_compiler()).decode())


def isa() -> str:
    """Return the instruction set in force."""
    return cast(str, ffi.string(lib.dc_isa()).decode())


def available_isas() -> list[str]:
    """Return the instruction sets that this machine runs, best first."""
    names: list[str] = []
    while (name := lib.dc_isa_available(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


def promises_bits(name: str) -> bool:
    """Tell whether an instruction set gives the bits that all with such a promise give."""
    return bool(lib.dc_isa_promises_bits(name.encode()))


def set_isa(name: str) -> None:
    """Compute with another instruction set, one of `available_isas`.

    Raises
    ------
    ValueError
        If this machine or this build does not have it.
    """
    if not isinstance(name, str) or name not in available_isas():
        raise ValueError(f"name: {name!r} is not one of {', '.join(available_isas())}")
    check(lib.dc_set_isa(name.encode()), "name")


def get_num_threads() -> int:
    """Return how many threads a call may use.

    At first that is ``DEEPC_NUM_THREADS``, else the number of CPUs that this process may run on.
    """
    return cast(int, lib.dc_num_threads())


def set_num_threads(count: int) -> None:
    """Let a call use up to `count` threads. Results do not depend on it.

    Parameters
    ----------
    count : int
        1 to 256.

    Raises
    ------
    ValueError
        If `count` is less than 1 or more than the library can start.

    Examples
    --------
    >>> import deepc
    >>> before = deepc.get_num_threads()
    >>> deepc.set_num_threads(1)
    >>> deepc.get_num_threads()
    1
    >>> deepc.set_num_threads(before)
    """
    number = as_int(count, "count", least=1)
    if number > lib.DC_MOST_THREADS:
        raise ValueError(f"count: expected at most {lib.DC_MOST_THREADS}, got {number}")
    check(lib.dc_set_num_threads(number), "count")


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Let calls inside a ``with`` block use up to `count` threads.

    The number is one for the whole process: where several threads enter such blocks at once, the
    last one that is left decides.

    Examples
    --------
    >>> import deepc
    >>> with deepc.num_threads(1):
    ...     deepc.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


# ---- What both dtypes share ----------------------------------------------------------------------


class _Typed:
    """The functions of the library for one dtype, and its pointer type."""

    def __init__(self, suffix: str, ctype: str) -> None:
        self.suffix = suffix
        # As an object, because a name would be looked up in each call.
        self.ctype = ffi.typeof(ctype + "[]")
        self.pointer = ffi.typeof(ctype + " *")
        self.samples = ffi.typeof(f"dc_samples_{suffix} *")
        for name in dir(lib):
            if name.startswith("dc_") and name.endswith("_" + suffix):
                setattr(self, name[3 : -len(suffix) - 1], getattr(lib, name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


TYPED = {FLOAT32: _Typed("f32", "float"), FLOAT64: _Typed("f64", "double")}


def pointer(array: Array, writable: bool = False) -> Any:
    """Return a pointer to a C-contiguous array of float32 or float64."""
    return ffi.from_buffer(TYPED[array.dtype].ctype, array, writable)


def flat(array: Array) -> Array:
    """Return the array over the same memory whose buffer is contiguous: itself or its transpose."""
    return array if array.flags.c_contiguous else array.T


if lib.dc_initialize():
    raise ValueError(
        f"DEEPC_ISA: expected one of {', '.join(available_isas())}, "
        f"got {os.environ.get('DEEPC_ISA')!r}"
    )
