"""A chain with top-k on the CPU: as torch operators and compiled, beside the peers, in one run."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

from scripts.lib.benchmark.costs import Step, logits_of, measure
from scripts.lib.benchmark.ops import BATCHES, WORKS
from scripts.lib.benchmark.peers import PEERS, ours
from torch import Tensor

import temperament
from temperament.batch import host_chains

WORK, VALUES = next(iter(WORKS.items()))
COMPARED = ("Transformers", "vLLM", "llama.cpp")
PROCESS = "process"  # one row, by `temperament.process`


def run_chains(quick: bool) -> dict[str, Any]:
    """Returns the milliseconds of both ways, and how many times the compiled one each peer takes.

    The number of rows, or `PROCESS`, is the key of each. Without numba both ways are the same.
    """
    batches, vocabulary = ((1, 8), 8_192) if quick else (BATCHES, 151_936)
    temperament.prepare()
    times: dict[str, dict[str, float]] = {}
    for rows in batches:
        logits = logits_of("normal", rows, vocabulary)
        found = both_ways(ours([VALUES] * rows), ours([VALUES] * rows), logits, quick)
        for peer in COMPARED:
            step = PEERS[peer](dict(VALUES))
            if step is not None:
                found[peer] = rounded(spent(step, logits, quick) / found["compiled, ms"])
        times[str(rows)] = found

    def process(logits: Tensor) -> None:
        temperament.process(logits, VALUES)

    logits = logits_of("normal", 1, vocabulary)
    times[PROCESS] = both_ways(process, process, logits, quick)
    month = time.strftime("%Y-%m")
    return {"month": month, "work": WORK, "vocabulary": vocabulary, "times": times}


def both_ways(operators: Step, compiled: Step, logits: Tensor, quick: bool) -> dict[str, float]:
    """The milliseconds of a step as torch operators, then compiled."""
    with patch.object(host_chains, "_compiled", None):
        first = spent(operators, logits, quick)
    return {
        "operators, ms": rounded(first),
        "compiled, ms": rounded(spent(compiled, logits, quick)),
    }


def spent(step: Step, logits: Tensor, quick: bool) -> float:
    """The median milliseconds of a step."""
    return measure(step, logits, 0.01 if quick else 1.0, 3)[0]


def rounded(number: float) -> float:
    """Three digits, which is more than a machine repeats."""
    return float(f"{number:.3g}")
