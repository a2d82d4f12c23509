"""Smoothing: `x' = max - k f d^2 + s f d^3`, d = x - max, k = (3 - c) / 2, s = (c - 1) / 2.

Computed as `max + f d^2 (s d - k)`, where no two infinities meet. A token whose logit would leave
float32 has no probability and is removed. Source: `temperament.stages.smoothing`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import pieces
from temperament.ops.inputs import Column
from temperament.stages import FLOAT32_MAX


def apply(logits: Tensor, *, smoothing_factor: Column, smoothing_curve: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    factor, curve = smoothing_factor.per_row(), smoothing_curve.per_row()
    square, cube = (3 - curve) / 2, (curve - 1) / 2
    active = (factor > 0) & maximum.isfinite()
    for piece in pieces(logits):
        distance = (piece - maximum).clamp_(min=-FLOAT32_MAX)
        bent = (distance * cube).sub_(square).mul_(distance * factor).mul_(distance)
        bent.add_(maximum).clamp_(max=FLOAT32_MAX)
        piece.copy_(torch.where(active, bent, piece))
    return logits
