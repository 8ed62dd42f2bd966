"""Random programs against a model; for longer: ``python tests/random_api.py 600``."""

from __future__ import annotations

import random_api


def test_random_programs():
    random_api.run(1.5, 1)
