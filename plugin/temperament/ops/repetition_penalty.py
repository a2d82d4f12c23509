"""Repetition penalty: seen tokens, once each: `x / r` if x > 0, else `x * r`.

Prompt and output count, or the last `repetition_range` tokens of both. The result stays inside
float32. Source: `temperament.stages.repetition_penalty`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.occurrences import change_once
from temperament.stages.kinds import FLOAT32_MAX


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
    """Divides by `penalty` ([rows, 1]) the tokens at `start` <= i < `end`, in place."""

    def change(values: Tensor) -> Tensor:
        changed = torch.where(values > 0, values / penalty, values * penalty)
        changed.clamp_(-FLOAT32_MAX, FLOAT32_MAX)
        return torch.where(values.abs() < torch.inf, changed, values)

    return change_once(logits, history.seen(start, end, vocabulary=logits.shape[1]), change)
