"""Measures one step on [rows, vocabulary] logits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

PROMPTS = (
    "The old man looked at the sea and",
    "def add(a, b):\n    return",
    "1 + 1 = 2, 2 + 2 = 4, 3 + 3 =",
    "Translate to French: The weather is",
    "Once upon a time there was a",
    "The capital of France is",
    "Dear Sir or Madam, I am writing to",
    '{"name": "Anna", "age":',
)

Step = Callable[[Tensor], Any]

SCALES = {"normal": 4.0, "narrow": 3.0, "flat": 0.1}  # standard deviations of random logits


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step of one program cost."""

    work: str
    peer: str
    logits: str
    rows: int
    vocabulary: int
    milliseconds: float
    # the middle half of the repetitions, as a share of the median
    spread: float
    passes: float


def measure(step: Step, source: Tensor, seconds: float, least: int) -> tuple[float, float, float]:
    """(median milliseconds, spread, median passes) of a step on a fresh copy of the logits."""
    buffer = source.clone()
    step(buffer)
    costs: list[float] = []
    units: list[float] = []
    end = time.perf_counter() + seconds
    while len(costs) < least or (time.perf_counter() < end and len(costs) < 200):
        start = time.perf_counter()
        buffer.copy_(source)
        middle = time.perf_counter()
        step(buffer)
        costs.append(time.perf_counter() - middle)
        units.append(middle - start)
    median = statistics.median(costs)
    quarters = np.quantile(costs, [0.25, 0.75])
    return median * 1e3, float(np.ptp(quarters) / median), median / statistics.median(units)


def logits_of(kind: str, rows: int, vocabulary: int) -> Tensor:
    """[rows, vocabulary]: random normal, nearly flat, or a model's for real prompts."""
    generator = torch.Generator().manual_seed(0)
    if kind in SCALES:
        return torch.randn(rows, vocabulary, generator=generator) * SCALES[kind]
    known = _of_model(kind)
    return known[torch.arange(rows) % len(known), :vocabulary].contiguous()


def _of_model(name: str) -> Tensor:
    from integration_tests.harness.models import model_path
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = model_path(name)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    found = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
            if name == "gemma":
                ids = torch.cat([torch.tensor([[tokenizer.bos_token_id]]), ids], dim=1)
            found.append(model(ids).logits[0, -6:])
    return torch.cat(found).clone()
