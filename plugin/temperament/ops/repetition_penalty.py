"""Repetition penalty: seen tokens, once each: `x / r` if x > 0, else `x * r`.

Prompt and output count, or the last `repetition_range` tokens of both. The result stays inside
float32. Source: `temperament.stages.repetition_penalty`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, History
from temperament.stages.base import FLOAT32_MAX


def apply(
    logits: Tensor, *, repetition_penalty: Column, repetition_range: Column, history: History
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    window = repetition_range.values
    start = torch.where(window > 0, (history.end - window).maximum(history.start), history.start)
    return penalise(logits, history, repetition_penalty.per_row(), start, history.end)


def penalise(
    logits: Tensor, history: History, penalty: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Divides by `penalty` ([rows, 1]) what stands at `start` <= i < `end`, in place."""
    tokens, counts = history.spans(start, end, vocabulary=logits.shape[1])
    values = logits.gather(1, tokens)
    # Every place of a token gets the same number, so it doesn't matter which one is written last.
    seen = torch.where(values > 0, values / penalty, values * penalty)
    finite = seen.clamp(-FLOAT32_MAX, FLOAT32_MAX)
    seen = torch.where(values.isfinite(), finite, values)
    return logits.scatter_(1, tokens, torch.where(counts.any(1, keepdim=True), seen, values))
