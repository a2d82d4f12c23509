"""Skew: `p'_i = F_i^a - F_(i-1)^a`, a = e^skew, F the cumulated sorted p, the largest first.

Computed as `ln p'_i = a ln F_i + ln(1 - (1 - p_i / F_i)^a)` in float64, accurate for unlikely
tokens too. Equally likely tokens are in the order of their ids, and come out different. A token
whose mass float64 can't tell from 0 is removed. Source: `temperament.stages.skew`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import bands
from temperament.ops.inputs import Column
from temperament.ops.sorting import ranked


def apply(logits: Tensor, *, skew: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    for rows in bands(logits):
        _bend(logits[rows], skew.per_row()[rows])
    return logits


def _bend(logits: Tensor, amount: Tensor) -> None:
    values, tokens = ranked(logits)
    maximum = values[:, :1]
    power = amount.double().exp()
    part = (values.double() - maximum).exp_()
    running = part.cumsum(-1)
    part.div_(running)
    after = running.div_(running[:, -1:].clone()).log_().mul_(power)
    after += part.neg_().log1p_().mul_(power).expm1_().neg_().log_()
    active = (amount != 0) & maximum.isfinite()
    logits.scatter_(1, tokens, torch.where(active, after.float(), values))
