"""Counts the launches and the passes over the logits, and what draft tokens add, without a GPU."""

from __future__ import annotations

import os
import re
from typing import Any
from unittest.mock import patch

WAYS = {"operators": "off", "kernels": "interpret"}  # the switch of each way
DISTINCT = (1, 8, 32)


def run_launches(only: str) -> dict[str, Any]:
    """Returns the launches and passes of each chain whose name matches a pattern.

    By chain for torch's operators and for the kernels; and the launches of a step without and with
    draft tokens, with the bytes of whole texts that it copies. Then the launches by the number of
    different presets in the batch.
    """
    with patch.dict(os.environ, {"TRITON_INTERPRET": "1", "TEMPERAMENT_KERNELS": "interpret"}):
        from tests.kernels import counts, draft_counts
        from tests.kernels.interpreter import patch_once

        patch_once()
        chains = {}
        for name, values in counts.CHAINS.items():
            if re.search(only, name):
                with patch.dict(os.environ, {"TEMPERAMENT_KERNELS": "off"}):
                    operators = counts.operators(values)
                found = {"operators": operators, "kernels": counts.cost(values)}
                chains[name] = {way: [n, round(p, 2)] for way, (n, p) in found.items()}
        drafts = {
            name: [
                [len(each.names), each.bytes]
                for each in (
                    draft_counts.step(values, 0),
                    draft_counts.step(values, draft_counts.DRAFTS),
                )
            ]
            for name, values in (draft_counts.CHAINS | {"modes": draft_counts.MODES}).items()
            if re.search(only, name)
        }
        presets: dict[str, dict[str, dict[int, int]]] = {}
        for name, make in counts.PRESETS.items():
            if re.search(only, name):
                presets[name] = {}
                for way, switch in WAYS.items():
                    with patch.dict(os.environ, {"TEMPERAMENT_KERNELS": switch}):
                        presets[name][way] = {
                            distinct: len(counts.launches_of([*map(make, range(distinct))]).names)
                            for distinct in DISTINCT
                        }
        return {"chains": chains, "drafts": drafts, "presets": presets}


def launches_table(counted: dict[str, Any]) -> str:
    """Markdown: a line for each chain, and one for each chain with draft tokens."""
    lines = ["| chain | operators | passes | kernels | passes |", f"|{' --- |' * 5}"]
    for name, ways in counted["chains"].items():
        cells = [f"{n:,} | {passes:.1f}" for n, passes in ways.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| chain | launches | with draft tokens | bytes of texts |", f"|{' --- |' * 4}"]
    for name, ((plain, _), (drafting, copied)) in counted["drafts"].items():
        lines.append(f"| {name} | {plain} | {drafting} | {copied:,} |")
    lines += ["", f"| presets | way | {' | '.join(map(str, DISTINCT))} |", f"|{' --- |' * 5}"]
    for name, by_way in counted["presets"].items():
        for way, found in by_way.items():
            lines.append(f"| {name} | {way} | {' | '.join(map(str, found.values()))} |")
    return "\n".join(lines)
