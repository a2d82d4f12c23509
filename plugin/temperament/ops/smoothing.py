"""Smoothing: `x' = max - k f d^2 + s f d^3`, d = x - max, k = (3 - c) / 2, s = (c - 1) / 2.

Computed as `max + f d^2 (s d - k)`, where no two infinities meet. A token whose logit would leave
float32 has no probability and is removed. Source: `temperament.stages.smoothing`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import blocks, branches
from temperament.ops.inputs import Column
from temperament.stages import FLOAT32_MAX


def apply(logits: Tensor, *, smoothing_factor: Column, smoothing_curve: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    factor, curve = smoothing_factor.per_row(), smoothing_curve.per_row()
    square, cube = (3 - curve) / 2, (curve - 1) / 2
    active = (factor > 0) & maximum.isfinite()
    every = branches(logits) and bool(active.all())
    for block in blocks(logits, spare=2):
        highest, (distance, bent) = block.of(maximum), block.spare
        torch.sub(block.values, highest, out=distance).clamp_(min=-FLOAT32_MAX)
        torch.mul(distance, block.of(cube), out=bent).sub_(block.of(square))
        bent.mul_(distance).mul_(block.of(factor)).mul_(distance)
        bent.add_(highest).clamp_(max=FLOAT32_MAX)
        block.values.copy_(bent if every else torch.where(block.of(active), bent, block.values))
    return logits
