"""The crossing into C: these modules alone import ``deepc._deepc``, each for one subject.

Everything above hands over Python values. An array goes down as it is: functions in C read its
dtype, shape and memory, make the result and refuse what does not fit (see
``csrc/python/arrays_api.h``), because doing that in Python would take longer than a small network.
What was refused is converted in Python and goes down again, or gets an error that names the
argument. All else goes through cffi.
"""

import sys
from importlib import import_module


def _refuse_other_interpreters() -> None:
    """Raise ImportError where the library would not work, before any of it is loaded."""
    if sys.implementation.name != "cpython":  # pragma: no cover
        raise ImportError(
            "deepc needs CPython, the usual Python, because it takes NumPy arrays by CPython's C "
            f"API; this is {sys.implementation.name}"
        )
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "deepc: cannot be imported in a sub-interpreter, where its functions in C would "
                "take the main one's objects; import it in the main interpreter"
            )
        return


_refuse_other_interpreters()
