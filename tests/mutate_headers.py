"""Damaged safetensors files against the reader, which may say ValueError and nothing else.

    python tests/mutate_headers.py [files [seed]]        1,000,000 files, a seed of the clock

A file is one that must be read or refused, with a few bytes of its header changed. Whatever it
claims, reading it must take no more memory than its size explains; and where the package of the
format's authors is installed, it must find the same in every file that is read. A failure names
the seed, which repeats it.
"""

from __future__ import annotations

import random
import re
import sys
import time
import tracemalloc

import numpy as np
from deepc.shipping.safetensors import read_tensors, write_tensors
from test_safetensors import BAD, GOOD, same

try:
    from safetensors.numpy import load
except ImportError:
    load = None

# One file in so many is read while memory is counted, which is slow; what an error's text and the
# header's tables may take beside the file itself.
COUNTED = 64
MOST_BYTES = 100_000
TOKEN = re.compile(rb'-?\d+|"[^"]*"|[][{}]')
TOKENS = [b"0", b"1", b"2", b"3", b"4", b"8", b"12", b"24", b"-1", b"1.0", b"1e3", b"true", b"null",
          b"[]", b"[0]", b"{}", b"4294967296", b"9223372036854775807", b"9223372036854775808",
          b"18446744073709551616", b'"a"', b'"b"', b'"F32"', b'"F64"', b'"U8"', b'"BOOL"', b'"F16"',
          b'"BF16"', b'"I64"', b'"__metadata__"', b'"shape"', b'"dtype"', b'"data_offsets"',
          b"-0"]  # fmt: skip


def seeds() -> list[bytes]:
    """Return the files that are changed: small ones of all kinds, whose sizes are right."""
    found = [content for content, *_ in GOOD.values()]
    net = {"0.weight": np.ones((2, 3)), "0.bias": np.ones(2, "f4"), "n": np.array(3)}
    found.append(write_tensors(net, {"format": "pt"}))
    found *= 5  # about as many as the bad ones
    found += [content for content, _ in BAD.values() if 10 < len(content) < 1000]
    return [c for c in found if int.from_bytes(c[:8], "little") <= len(c)]


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return a file with a few bytes of its header changed, cut out, doubled or of another one.

    The size before the header follows in most cases, so that the header itself is what is read.
    """
    content = rng.choice(seeds)
    size = int.from_bytes(content[:8], "little")
    header, data = bytearray(content[8 : 8 + size]), content[8 + size :]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, kind = rng.randrange(len(header) + 1), rng.randrange(8)
        if kind > 4:
            # A whole number, string or bracket becomes another: it stays JSON in most cases.
            token = TOKEN.search(header, at) or TOKEN.search(header)
            if token:
                header[token.start() : token.end()] = rng.choice(TOKENS)
            continue
        if kind == 0:
            header[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            header[at : at + 1] = rng.choice(b'{}[],:"0123456789-e.\\u').to_bytes(1, "little")
        elif kind == 2:
            del header[at : at + rng.randrange(9)]
        elif kind == 3:
            other = rng.choice(seeds)[8:]
            start = rng.randrange(len(other) + 1)
            header[at:at] = other[start : start + rng.randrange(30)]
        else:
            header[at:at] = header[at : at + rng.randrange(30)]
    length = len(header) if rng.random() < 0.95 else rng.getrandbits(rng.randrange(1, 65))
    return length.to_bytes(8, "little") + bytes(header) + data


def check(content: bytes, counted: bool) -> bool:
    """Read a file; return whether it was right."""
    if counted:
        tracemalloc.start()
    try:
        arrays, _ = read_tensors(content)
    except ValueError:
        return False
    finally:
        if counted:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < MOST_BYTES + 2 * len(content), f"{peak} bytes of memory"
    assert sum(array.nbytes for array in arrays.values()) < len(content)
    if load:
        same(load(content), arrays)
    return True


def run(files: int, seed: int) -> int:
    """Check so many files; return how many of them were right."""
    rng, start, read = random.Random(seed), seeds(), 0
    for number in range(files):
        content = mutated(rng, start)
        try:
            read += check(content, number % COUNTED == 0)
        except BaseException as error:
            error.add_note(f"seed {seed}, file {number}: {content!r}")
            raise
    return read


if __name__ == "__main__":
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    begin = time.monotonic()
    read = run(files, seed)
    print(
        f"{files} files with seed {seed} in {time.monotonic() - begin:.0f} s: {read} read"
        f"{' as the package of the format reads them' if load else ''}, all others ValueError"
    )
