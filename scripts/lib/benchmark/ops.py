"""The cost of our ops beside every peer's, on the same logits, in one run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from scripts.lib.benchmark.costs import Cost, Step, logits_of, measure
from scripts.lib.benchmark.peers import PEERS, ours, transformers_step, vllm_step
from scripts.lib.command import ROOT
from torch import Tensor
from tqdm import tqdm

import temperament

K, P, M = 50, 0.95, 0.05

WORKS: dict[str, dict[str, Any]] = {
    "temperature, top_k 50, top_p .95, min_p .05": {
        "temperature": 0.8, "top_k": K, "top_p": P, "min_p": M,
    },
    "temperature, top_p .95": {"temperature": 0.8, "top_p": P},
    "temperature, min_p .05": {"temperature": 0.8, "min_p": M},
    "typical_p .9": {"typical_p": 0.9},
    "eta_cutoff 3e-4": {"eta_cutoff": 3e-4},
    "epsilon_cutoff 3e-4": {"epsilon_cutoff": 3e-4},
    "top_n_sigma 1": {"top_n_sigma": 1.0},
    "xtc": {"xtc_probability": 0.5},
}  # fmt: skip

HISTORY: dict[str, dict[str, Any]] = {
    "dry": {"dry_multiplier": 0.8, "dry_sequence_breakers": []},
    "no_repeat_ngram_size 3": {"no_repeat_ngram_size": 3},
    "repetition_penalty 1.1": {"repetition_penalty": 1.1},
    "frequency and presence penalty": {"frequency_penalty": 0.3, "presence_penalty": 0.3},
}

BATCHES = (1, 8, 64, 256)


def cases(quick: bool) -> Iterator[tuple[str, str, str, int, int, Step]]:
    """(work, peer, logits, rows, vocabulary, step) of everything that is measured."""
    shapes = [("normal", 8, 2000)] if quick else [
        *(("normal", rows, 151_936) for rows in BATCHES),
        *(("flat", rows, 151_936) for rows in (8, 64)),
        *((name, 64, size) for name, size in (("smollm2", 49_152), ("gemma", 262_144))),
        ("normal", 64, 49_152), ("normal", 64, 262_144),
    ]  # fmt: skip
    for kind, rows, vocabulary in shapes:
        for work, values in WORKS.items():
            yield work, "ours", kind, rows, vocabulary, ours([values] * rows)
            for peer, make in PEERS.items():
                if (quick and peer == "compiled naive") or (rows > 64 and peer == "loop over rows"):
                    continue
                if (step := make(dict(values))) is not None:
                    yield work, peer, kind, rows, vocabulary, step
    kind, rows, vocabulary = ("normal", 8, 2000) if quick else ("normal", 64, 151_936)
    chain = {"temperature": 0.8, "top_k": K, "top_p": P, "min_p": M}
    for distinct in (1, 8, 64):
        some = [{**chain, "temperature": 0.8 + 0.001 * (row % distinct)} for row in range(rows)]
        name = f"{distinct} presets of the same stages"
        yield name, "ours", kind, rows, vocabulary, ours(some)
    mixed = [dict(list(chain.items())[: 1 + row % 4]) for row in range(rows)]
    yield "4 chains: one to four of the stages", "ours", kind, rows, vocabulary, ours(mixed)
    for length in (64,) if quick else (1024, 8192, 32_768):
        ids = torch.randint(0, vocabulary, (rows, length))
        for work, values in HISTORY.items():
            named = f"{work}, {length:,} tokens"
            step = ours([values] * rows, length, vocabulary)
            yield named, "ours", kind, rows, vocabulary, step
            for peer, peer_step in (
                ("Transformers", transformers_step(values, ids)),
                ("vLLM", vllm_step(values, ids)),
            ):
                if peer_step is not None and length <= 8192:
                    yield named, peer, kind, rows, vocabulary, peer_step


def run_ops(quick: bool, only: str) -> list[Cost]:
    """Measures every case, with a bar of progress."""
    costs: list[Cost] = []
    if not quick:
        temperament.prepare()
    chosen = [case for case in cases(quick) if re.search(only, " ".join(map(str, case[:-1])))]
    known: tuple[tuple[str, int, int], Tensor] | None = None
    bar = tqdm(chosen, unit="case", disable=None)
    for work, peer, kind, rows, vocabulary, step in bar:
        bar.set_description(f"{kind} {rows} x {vocabulary:,} {peer}")
        key = (kind, rows, vocabulary)
        if known is None or known[0] != key:
            known = key, logits_of(*key)
        seconds, least = (0.01, 3) if quick else (1.0, 3 if peer != "ours" else 7)
        found = measure(step, known[1], seconds, least)
        costs.append(Cost(work, peer, kind, rows, vocabulary, *found))
    return costs


def merge(costs: Sequence[Cost]) -> list[Cost]:
    """What docs/benchmarks holds, with what was measured now in the place of the same."""
    known = json.loads((ROOT / "docs" / "benchmarks" / "ops.json").read_text())["costs"]
    by_place = {_place(cost): cost for cost in (*(Cost(**each) for each in known), *costs)}
    return list(by_place.values())


def _place(cost: Cost) -> tuple[Any, ...]:
    return cost.work, cost.peer, cost.logits, cost.rows, cost.vocabulary


def ops_table(costs: Sequence[Cost]) -> str:
    """Markdown: a line for each work and shape, a column for each peer."""
    peers = [peer for peer in ("ours", *PEERS) if any(cost.peer == peer for cost in costs)]
    table: dict[tuple[Any, ...], dict[str, Cost]] = {}
    for cost in costs:
        place = (cost.logits, cost.rows, cost.vocabulary, cost.work)
        table.setdefault(place, {})[cost.peer] = cost
    head = ["logits", "rows x vocabulary", "work", "ours, ms", "passes", *peers[1:]]
    lines = [head, ["---"] * len(head)]
    for (kind, rows, vocabulary, work), found in table.items():
        our_cost = found["ours"]
        others = [
            f"{found[peer].milliseconds / our_cost.milliseconds:.1f} x" if peer in found else ""
            for peer in peers[1:]
        ]
        spread = f"{our_cost.milliseconds:.2f} ± {our_cost.spread / 2:.0%}"
        shape = f"{rows} x {vocabulary:,}"
        lines.append([kind, shape, work, spread, f"{our_cost.passes:.1f}", *others])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def plot(costs: Sequence[Cost], path: Path) -> None:
    """Cost against the batch, the vocabulary, the number of presets and the history's length."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    first, second = list(WORKS)[:2]
    chosen = [c for c in costs if c.logits == "normal"]
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")

    def draw(axis: Any, title: str, series: dict[str, list[tuple[float, float]]]) -> None:
        for (label, points), marker in zip(series.items(), "osv^Dx*+", strict=False):
            axis.plot(*zip(*sorted(points), strict=True), marker=marker, label=label)
        axis.set(title=title, xscale="log", yscale="log", ylabel="milliseconds a step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)

    def points(field: str, **fixed: Any) -> dict[str, list[tuple[float, float]]]:
        series: dict[str, list[tuple[float, float]]] = {}
        for cost in chosen:
            if cost.work in (first, second) and all(
                getattr(cost, n) == v for n, v in fixed.items()
            ):
                label = f"{cost.peer}: {cost.work}"
                series.setdefault(label, []).append((getattr(cost, field), cost.milliseconds))
        return {label: found for label, found in series.items() if len(found) > 1}

    draw(axes[0, 0], "against the batch (vocabulary 151,936)", points("rows", vocabulary=151_936))
    draw(axes[0, 1], "against the vocabulary (64 rows)", points("vocabulary", rows=64))
    presets = [
        (float(c.work.split()[0]), c.milliseconds) for c in chosen if "same stages" in c.work
    ]
    draw(axes[1, 0], "against the number of distinct presets (64 rows)", {"ours": presets})
    history: dict[str, list[tuple[float, float]]] = {}
    for cost in costs:
        work, comma, tokens = cost.work.rpartition(", ")
        if comma and tokens.endswith(" tokens"):
            length = float(tokens.removesuffix(" tokens").replace(",", ""))
            history.setdefault(f"{cost.peer}: {work}", []).append((length, cost.milliseconds))
    draw(axes[1, 1], "against the history's length (64 rows)", history)
    figure.savefig(path, dpi=110)
    plt.close(figure)
