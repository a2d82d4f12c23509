"""Samplers on the CPU: as torch operators and compiled, beside the peers, in one run."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

from scripts.lib.benchmark.costs import Step, logits_of, measure
from scripts.lib.benchmark.ops import BATCHES, WORKS
from scripts.lib.benchmark.peers import PEERS, ours
from torch import Tensor

import temperament
from temperament.compiled import prepared

WORK, VALUES = next(iter(WORKS.items()))
COMPARED = ("Transformers", "vLLM", "llama.cpp")
PROCESS = "process"  # one row, by `temperament.process`
CUT_ROWS = 64
# what else is compiled: (logits, preset)
CUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "temperature .8, top_p .95": ("normal", {"temperature": 0.8, "top_p": 0.95}),
    "temperature 1.3, top_p .95, deviation 3": ("narrow", {"temperature": 1.3, "top_p": 0.95}),
    "temperature .8, top_p .95, nearly flat": ("flat", {"temperature": 0.8, "top_p": 0.95}),
    "typical_p .9": ("normal", {"typical_p": 0.9}),
    "eta_cutoff 3e-4": ("normal", {"eta_cutoff": 3e-4}),
    "epsilon_cutoff 3e-4": ("normal", {"epsilon_cutoff": 3e-4}),
    "top_a .2": ("normal", {"top_a": 0.2}),
    "tfs .95": ("normal", {"tfs": 0.95}),
    "tfs .95, nearly flat": ("flat", {"tfs": 0.95}),
    "skew .2": ("normal", {"skew": 0.2}),
}


def run_chains(quick: bool) -> dict[str, Any]:
    """Returns the milliseconds of both ways, and how many times the compiled one each peer takes.

    The number of rows, or `PROCESS`, is the key of each. Without numba both ways are the same.
    """
    batches, vocabulary = ((1, 8), 8_192) if quick else (BATCHES, 151_936)
    temperament.prepare()
    times: dict[str, dict[str, float]] = {}
    for rows in batches:
        logits = logits_of("normal", rows, vocabulary)
        times[str(rows)] = beside_peers(VALUES, logits, quick)
    rows = 4 if quick else CUT_ROWS
    for cut, (kind, values) in CUTS.items():
        times[f"{rows}, {cut}"] = beside_peers(values, logits_of(kind, rows, vocabulary), quick)

    def process(logits: Tensor) -> None:
        temperament.process(logits, VALUES)

    logits = logits_of("normal", 1, vocabulary)
    times[PROCESS] = both_ways(process, process, logits, quick)
    month = time.strftime("%Y-%m")
    return {"month": month, "work": WORK, "vocabulary": vocabulary, "times": times}


def beside_peers(values: dict[str, Any], logits: Tensor, quick: bool) -> dict[str, float]:
    """The milliseconds of both ways, and how many times the compiled one each peer takes."""
    step = ours([values] * len(logits))
    found = both_ways(step, step, logits, quick)
    for peer in COMPARED:
        theirs = PEERS[peer](dict(values))
        if theirs is not None:
            found[peer] = rounded(spent(theirs, logits, quick) / found["compiled, ms"])
    return found


def both_ways(operators: Step, compiled: Step, logits: Tensor, quick: bool) -> dict[str, float]:
    """The milliseconds of a step as torch operators, then compiled."""
    with patch.multiple(prepared, chains=None, cuts=None):
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
