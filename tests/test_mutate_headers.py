"""Damaged files against the reader; for more: ``python tests/mutate_headers.py 10000000``."""

from __future__ import annotations

import mutate_headers


def test_mutated_headers_raise_nothing_but_value_errors():
    assert mutate_headers.run(30_000, 15)
