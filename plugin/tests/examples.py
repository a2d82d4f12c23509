"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import settings

# `EXAMPLES=10 ./scripts/test plugin/tests` tries ten times as many.
FACTOR = float(os.environ.get("EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Returns the settings of a test that is tried on `count` examples in CI.

    The examples are the same in every run; with a larger factor they begin with those of CI.
    """
    return settings(max_examples=max(1, round(count * FACTOR)))
