"""The tokens per second of a real server, with presets and with vLLM's fields."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from temperament.stages import STAGES

# What an exotic stage is measured with: values that keep the text going.
EXOTIC: dict[str, dict[str, Any]] = {
    "dynamic_temperature": {"dynatemp_low": 0.8, "dynatemp_high": 1.4},
    "smoothing": {"smoothing_factor": 0.1},
    "typical_p": {"typical_p": 0.9},
    "epsilon_cutoff": {"epsilon_cutoff": 3e-4},
    "eta_cutoff": {"eta_cutoff": 3e-4},
    "top_a": {"top_a": 0.1},
    "tfs": {"tfs": 0.95},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "top_h": {"top_h": 0.5},
    "p_less": {"p_less": True},
    "xtc": {"xtc_probability": 0.5},
    "skew": {"skew": 0.2},
    "mirostat": {"mirostat": 2},
    "adaptive_p": {"adaptive_target": 0.4},
    "dry": {"dry_multiplier": 0.8},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 4},
    "banned_strings": {"banned_strings": ["lorem ipsum"]},
    "reproducible": {"reproducible": True, "top_p": 0.95},
}

assert EXOTIC.keys() <= {stage.name for stage in STAGES}

# Modes that a text doesn't leave, so that it's drawn as with the values of one.
VALUES = {"temperature": 1.3, "top_k": 20, "top_p": 0.8}

MODES = {
    "modes": {"text": VALUES, "fence": {**VALUES, "temperature": 0}},
    "switch": [
        {"from": "text", "on": {"text": ["```"], "at_line_start": True}, "to": "fence"},
        {"from": "fence", "on": {"end_of": "```"}, "to": "back"},
    ],
}

CEILING = "native: temperature (the ceiling)"


@dataclass(frozen=True, slots=True)
class Served:
    """How fast a server answered."""

    work: str
    streams: int
    tokens_per_second: float
    milliseconds_per_token: float
    # all rounds, tokens/s
    rounds: tuple[float, ...]


def run_serve(quick: bool, only: str) -> list[Served]:
    """Tokens/s of a real server, the rounds of all works taken in turns."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    arguments = ["--served-model-name", "m", "--max-num-seqs", "32", "--max-model-len", "2048"]
    arguments += ["--dtype", "float32"]  # bfloat16 is six times as slow where it is emulated
    path = model_path("tiny" if quick else "smollm2")
    native = {"temperature": 1.3, "top_p": 0.95}
    penalty = {"frequency_penalty": 0.3}
    inline = {"temperature": 1.3}
    works: dict[str, dict[str, Any]] = {
        "native: greedy": {"temperature": 0},
        CEILING: {"temperature": 1.3},
        "native: temperature, top_p": native,
        "preset: temperature, top_p": {**native, "preset": "default"},
        "native: with a frequency penalty": {**native, **penalty},
        "preset: with a frequency penalty": {**native, **penalty, "preset": "default"},
    }
    if not quick:
        works |= {f"preset: {name}": {**inline, **values} for name, values in EXOTIC.items()}
        works["preset: one mode"] = {"preset": VALUES}
        works["preset: the same with modes"] = {"preset": MODES}
    works = {
        name: fields for name, fields in works.items() if name == CEILING or re.search(only, name)
    }
    # exotic stages and modes are measured with 32 streams only
    both = {"preset: temperature, top_p", "preset: with a frequency penalty"}
    served = []
    with Server(path, "v1", arguments) as server:
        client = server.client()

        def one(fields: dict[str, Any], tokens: int) -> None:
            client.completions.create(
                model="m",
                prompt="Once upon a time",
                max_tokens=tokens,
                extra_body={**fields, "ignore_eos": True},
            )

        tokens = 4 if quick else 24
        for streams in (2,) if quick else (32, 8, 1):
            rounds: dict[str, list[float]] = {name: [] for name in works}
            with ThreadPoolExecutor(streams) as pool:
                for _ in tqdm(range(1 if quick else 4), desc=f"{streams} streams", disable=None):
                    for name, fields in works.items():
                        if streams != 32 and not quick and "preset" in name and name not in both:
                            continue
                        begin = time.perf_counter()
                        list(pool.map(lambda _, f=fields: one(f, tokens), range(streams)))
                        rounds[name].append(streams * tokens / (time.perf_counter() - begin))
            for name, found in rounds.items():
                if found:
                    best = statistics.median(found[1:] or found)  # the first warms up
                    served.append(Served(name, streams, best, streams / best * 1e3, tuple(found)))
    return served


def serve_table(served: Sequence[Served]) -> str:
    """Markdown: tokens/s by work and streams, and beside the ceiling."""
    counts = sorted({one.streams for one in served})
    rate = {(one.work, one.streams): one for one in served}
    head = ["work", *(f"{n} streams, tokens/s" for n in counts), "ms per token", "of the ceiling"]
    lines = [head, ["---"] * len(head)]
    most = counts[-1]
    ceiling = rate[CEILING, most].tokens_per_second
    for work in dict.fromkeys(one.work for one in served):
        cells = [rate.get((work, n)) for n in counts]
        last = rate[work, most]
        lines.append([
            work, *(f"{c.tokens_per_second:.0f}" if c else "" for c in cells),
            f"{last.milliseconds_per_token:.0f}", f"{last.tokens_per_second / ceiling:.2f}",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
