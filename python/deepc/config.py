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
    same bits as elsewhere: ...
    threads: ...
    default dtype: float...
    compiler: ...
    """
    isa, others = library.isa(), ", ".join(library.available_isas())
    fused = library.promises_bits(isa)
    print(f"deepc {library.version()}")
    print(f"instruction set: {isa} (this machine runs {others})")
    promised = "yes" if fused else "no, this one rounds products by themselves"
    print(f"same bits as elsewhere: {promised}")
    print(f"threads: {library.get_num_threads()}")
    print(f"default dtype: {default_dtype()}")
    print(f"compiler: {library.compiler()}")
