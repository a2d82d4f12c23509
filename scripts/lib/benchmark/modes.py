"""The cost of a step of 64 rows that all have modes, beside the same batch without modes.

Both batches sample alike: the one without modes has the values of a mode that the other never
leaves. Steps of the two take turns, and the ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from integration_tests.harness.models import model_path
from tqdm import tqdm
from transformers import AutoTokenizer

import temperament

ROWS = 64
STEPS = 40
WARM_UP = 3
VALUES: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.8}


def run_modes(quick: bool) -> dict[str, Any]:
    """Returns the rows, the vocabulary, the median milliseconds of each batch, and the excess."""
    tokenizer: Any = AutoTokenizer.from_pretrained(model_path("tiny" if quick else "smollm2"))
    with_modes = {
        "modes": {"text": VALUES, "fence": {**VALUES, "temperature": 0}},
        "switch": [
            {"from": "text", "on": {"text": ["```"], "at_line_start": True}, "to": "fence"},
            {"from": "fence", "on": {"end_of": "```"}, "to": "back"},
        ],
    }
    prompts = [tokenizer.encode("A story about a lighthouse.")] * ROWS
    runs = {
        "without": temperament.Run([VALUES] * ROWS, prompt_ids=prompts),
        "with": temperament.Run([with_modes] * ROWS, prompt_ids=prompts, tokenizer=tokenizer),
    }
    size = len(tokenizer)
    logits = torch.randn(ROWS, size, generator=torch.Generator().manual_seed(0)) * 3
    word = tokenizer.encode(" sea")[0]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for step in tqdm(range((5 if quick else STEPS) + WARM_UP), desc="steps", disable=None):
        for name, run in runs.items():
            fresh = logits.clone()
            begin = time.perf_counter()
            run.run(fresh)
            run.accept(torch.full((ROWS,), word))
            if step >= WARM_UP:
                times[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(seconds) * 1000 for name, seconds in times.items()}
    excess = medians["with"] / medians["without"] - 1
    return {"rows": ROWS, "vocabulary": size, "ms": medians, "extra": excess}


def modes_table(numbers: dict[str, Any]) -> str:
    """Markdown: a line for each batch."""
    lines = [f"| {name} modes | {ms:.2f} |" for name, ms in numbers["ms"].items()]
    lines.append(f"| extra | {numbers['extra']:.1%} |")
    size = f"{numbers['rows']} x {numbers['vocabulary']:,}"
    return "\n".join([f"| {size} | ms |", "| --- | --- |", *lines])
