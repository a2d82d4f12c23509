"""Counts the launches and the passes over the logits of the kernels, without a GPU."""

from __future__ import annotations

import os
import re
from unittest.mock import patch


def run_launches(only: str) -> dict[str, tuple[int, float]]:
    """Returns the launches and passes of each chain whose name matches a pattern."""
    with patch.dict(os.environ, {"TRITON_INTERPRET": "1", "TEMPERAMENT_KERNELS": "interpret"}):
        from tests.kernels.counts import CHAINS, cost
        from tests.kernels.interpreter import patch_once

        patch_once()
        return {name: (*cost(values),) for name, values in CHAINS.items() if re.search(only, name)}


def launches_table(counted: dict[str, tuple[int, float]]) -> str:
    """Markdown: a line for each chain."""
    lines = [f"| {name} | {n} | {passes:.1f} |" for name, (n, passes) in counted.items()]
    return "\n".join(["| chain | launches | passes |", "| --- | --- | --- |", *lines])
