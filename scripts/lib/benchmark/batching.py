"""Tokens/s of Transformers' continuous batching with presets, beside the same without.

One manager each: 32 requests of different lengths with 8 presets, and the same requests without.
Rounds of the two take turns, and the ratio is that of the medians: of tokens/s, and of tokens for
each second of processor time, which other work on the machine changes less. Every request draws all
of its tokens: none may end early.
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
ROUNDS = 3
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
    """Returns the number of requests, tokens/s of each round with presets and without, the ratios.

    A round ends when the last request has all of its tokens. The rates are of [tokens/s, tokens for
    each second of processor time].
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
    rates: dict[str, list[tuple[float, float]]] = {"without presets": [], "with 8 presets": []}
    for number in tqdm(range(2 if quick else ROUNDS + 1), desc="rounds", disable=None):
        for name, found in rates.items():
            # a model of its own: a manager changes its attention
            model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
            rate = _round(model, tokenizer, requests, presets=name != "without presets")
            if number:  # the first round warms up
                found.append(rate)
    ratios = [
        statistics.median(presets) / statistics.median(without)
        for without, presets in zip(
            *(zip(*found, strict=True) for found in rates.values()), strict=True
        )
    ]
    return {"requests": REQUESTS, "rates": rates, "ratio": ratios[0], "processor ratio": ratios[1]}


def batching_table(numbers: dict[str, Any]) -> str:
    """Markdown: a line for each kind of round."""
    lines = []
    for name, found in numbers["rates"].items():
        wall, processor = (statistics.median(kind) for kind in zip(*found, strict=True))
        lines.append(f"| {name} | {wall:.1f} | {processor:.1f} |")
    ratios = f"{numbers['ratio']:.3f} | {numbers['processor ratio']:.3f}"
    lines.append(f"| ratio (goal {GOAL}) | {ratios} |")
    head = f"| {numbers['requests']} requests | tokens/s | tokens/s of processor time |"
    return "\n".join([head, "| --- | --- | --- |", *lines])


def _round(
    model: Any, tokenizer: Any, requests: list[tuple[list[int], int]], *, presets: bool
) -> tuple[float, float]:
    """Returns the tokens/s of a manager that gets all requests at once, by clock and processor."""
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
        begin, processor = time.perf_counter(), time.process_time()
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
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    finally:
        manager.stop(block=True)
        manager.destroy()
    if tokens != sum(count for _, count in requests):
        raise RuntimeError(f"{tokens} tokens")
    return tokens / seconds, tokens / processor
