"""What this build of deepc is and what it runs on."""

from __future__ import annotations

from deepc._c import library
from deepc._values import default_dtype

__all__ = ["show_config"]


def show_config() -> None:
    """Print the version, the instruction set in force, the threads and the compiler.

    Examples
    --------
    >>> import deepc
    >>> deepc.show_config()  # doctest: +ELLIPSIS
    deepc ...
    instruction set: ...
    threads: ...
    default dtype: float...
    compiler: ...
    """
    others = ", ".join(library.available_isas())
    print(f"deepc {library.version()}")
    print(f"instruction set: {library.isa()} (this machine runs {others})")
    print(f"threads: {library.get_num_threads()}")
    print(f"default dtype: {default_dtype()}")
    print(f"compiler: {library.compiler()}")
