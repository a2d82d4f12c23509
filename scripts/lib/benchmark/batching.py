"""Tokens/s of Transformers' continuous batching with presets, beside the same without.

One manager each: 32 requests of different lengths with 8 presets, and the same requests without.
Rounds of the two take turns, and the ratio is that of the medians. Every request draws all of its
tokens: none may end early.
"""

from __future__ import annotations

import statistics
import time
from random import Random
from typing import Any

import torch
from integration_tests.harness.models import model_path
from tqdm import tqdm

import temperament

REQUESTS = 32
ROUNDS = 5
GOAL = 0.95
PRESETS: tuple[dict[str, Any], ...] = (
    {"temperature": 0},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.2, "min_p": 0.05},
    {"temperature": 0.8, "repetition_penalty": 1.1},
    {"temperature": 0.9, "frequency_penalty": 0.4, "presence_penalty": 0.2},
    {"temperature": 0.8, "top_k": 40, "no_repeat_ngram_size": 3},
    {"mirostat": 2, "mirostat_tau": 3.0},
    {"temperature": 0.8, "dry_multiplier": 0.8},
)


def run_batching(quick: bool) -> dict[str, Any]:
    """Returns the number of requests, tokens/s of each round with presets and without, the ratio.

    A round ends when the last request has all of its tokens.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = model_path("tiny" if quick else "smollm2")
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    random = Random(0)
    longest = 8 if quick else 64
    requests = [
        (
            [random.randrange(5, 1000) for _ in range(random.randint(4, 2 * longest))],
            random.randint(longest // 2, longest),
        )
        for _ in range(REQUESTS)
    ]
    rates: dict[str, list[float]] = {"without presets": [], "with 8 presets": []}
    for number in tqdm(range(2 if quick else ROUNDS + 1), desc="rounds", disable=None):
        for name, found in rates.items():
            # a model of its own: a manager changes its attention
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
            rate = _round(model, tokenizer, requests, presets=name != "without presets")
            if number:  # the first round warms up
                found.append(rate)
    medians = [statistics.median(found) for found in rates.values()]
    return {"requests": REQUESTS, "tokens/s": rates, "ratio": medians[1] / medians[0]}


def batching_table(numbers: dict[str, Any]) -> str:
    """Markdown: a line for each kind of round."""
    lines = [
        f"| {name} | {statistics.median(found):.1f} | {min(found):.1f} to {max(found):.1f} |"
        for name, found in numbers["tokens/s"].items()
    ]
    lines.append(f"| ratio (goal {GOAL}) | {numbers['ratio']:.3f} | |")
    head = f"| {numbers['requests']} requests | tokens/s | of |"
    return "\n".join([head, "| --- | --- | --- |", *lines])


def _round(
    model: Any, tokenizer: Any, requests: list[tuple[list[int], int]], *, presets: bool
) -> float:
    """Returns the tokens/s of a manager that gets all requests at once."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    manager = model.init_continuous_batching(
        GenerationConfig(do_sample=True, eos_token_id=-1),
        ContinuousBatchingConfig(
            num_blocks=512, page_size=16, max_batch_tokens=256,
            use_cuda_graph=False, use_async_batching=False,
        ),
    )  # fmt: skip
    arguments: list[dict[str, Any]] = [{}] * len(requests)
    if presets:
        attached = temperament.transformers.attach(manager, tokenizer)
        chosen = [attached.request_kwargs(preset) for preset in PRESETS]
        arguments = [chosen[number % len(chosen)] for number in range(len(requests))]
    try:
        manager.start()
        begin = time.perf_counter()
        for (prompt, count), extra in zip(requests, arguments, strict=True):
            manager.add_request(prompt, max_new_tokens=count, **extra)
        tokens, left = 0, len(requests)
        while left:
            output = manager.get_result(timeout=1)
            if output is None:
                if not manager.is_running():
                    raise RuntimeError(manager.background_thread_status.fatal_error)
            elif output.is_finished():
                if output.error is not None:
                    raise RuntimeError(output.error)
                tokens += len(output.generated_tokens)
                left -= 1
        seconds = time.perf_counter() - begin
    finally:
        manager.stop(block=True)
        manager.destroy()
    if tokens != sum(count for _, count in requests):
        raise RuntimeError(f"{tokens} tokens")
    return tokens / seconds
