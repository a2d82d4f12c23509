"""Repetition penalty: seen tokens, once each: `x / r` if x > 0, else `x * r`.

Prompt and output count. Source: `temperament.stages.repetition_penalty`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, History


def apply(logits: Tensor, *, repetition_penalty: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    if history.tokens.shape[1] == 0:
        return logits
    tokens, counts = history.spans(history.start)
    values = logits.gather(1, tokens)
    penalty = repetition_penalty.per_row()
    # Every place of a token gets the same number, so it doesn't matter which one is written last.
    seen = torch.where(values > 0, values / penalty, values * penalty)
    return logits.scatter_(1, tokens, torch.where(counts.any(1, keepdim=True), seen, values))
