"""Exponential decay length penalty: `x + |x| (f^(n - s) - 1)` for the end, n > s tokens generated.

The result stays inside float32. Source: `temperament.stages.exponential_decay_length_penalty`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Column, Ends
from temperament.stages.kinds import FLOAT32_MAX


def apply(
    logits: Tensor,
    *,
    exponential_decay_length_penalty: Column,
    exponential_decay_start: Column,
    history: History,
    ends: Ends,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    tokens = ends.tokens
    past = history.end - history.prompt_end - exponential_decay_start.values
    growth = (past.clamp_min(0) * exponential_decay_length_penalty.values.double().log()).expm1()
    growth = growth.clamp(max=1e300)  # a logit of 0 times infinity would be NaN
    place = (tokens.row, tokens.token)
    before = logits[place]
    after = before + before.abs() * growth[tokens.row]
    after = after.clamp(-FLOAT32_MAX, FLOAT32_MAX).float()
    changed = (past > 0)[tokens.row] & before.isfinite() & tokens.counts
    return logits.index_put_(place, torch.where(changed, after, before))
