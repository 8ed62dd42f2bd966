"""What this build of deepc is and what it runs on."""

from __future__ import annotations

from deepc import _native

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
    others = ", ".join(_native.available_isas())
    print(f"deepc {_native.version()}")
    print(f"instruction set: {_native.isa()} (this machine runs {others})")
    print(f"threads: {_native.get_num_threads()}")
    print(f"default dtype: {_native.default_dtype()}")
    print(f"compiler: {_native.compiler()}")
