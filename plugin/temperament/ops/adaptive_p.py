"""Adaptive-p: `x' = 5 - 10 d^2 / (1 + d)`, `d = |p - t'| / 0.3`, `t' = clamp(2 t - E, 0, 1)`.

E is the moving average of the drawn tokens' probabilities before this stage, t at first:
`E' = decay E + (1 - decay) p`. -inf stays. Source: `temperament.stages.adaptive_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS
from temperament.ops.blocks import blocks
from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.state import State
from temperament.stages import FLOAT32_MAX

WIDTH, PEAK, SHARPNESS = 0.3, 5.0, 10.0


def apply(
    logits: Tensor,
    *,
    adaptive_target: Column,
    adaptive_decay: Column,
    history: History,
    state: State,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    target, decay = adaptive_target.values.double(), adaptive_decay.values.double()
    average, drawn, followed = state.drawn(history)
    average = torch.where(average.isnan(), target, average)
    average = torch.where(followed, decay * average + (1 - decay) * drawn.double().exp(), average)
    normaliser = state.store(average, logits, history)[:, None]
    aim = (2 * target - average).clamp(0, 1).float()[:, None]
    for block in blocks(logits, spare=2):
        values, (banned, distance) = block.values, block.spare
        torch.eq(values, -torch.inf, out=banned)
        torch.sub(values, block.of(normaliser), out=distance).clamp_(min=NO_MASS).exp_()
        distance.sub_(block.of(aim)).abs_().div_(WIDTH)
        torch.mul(distance, -SHARPNESS, out=values).mul_(distance)
        values.div_(distance.add_(1)).add_(PEAK)
        # Subtracting the largest float twice gives -inf, and -0.0 changes no number: faster than
        # `masked_fill_`.
        values.add_(banned, alpha=-FLOAT32_MAX).add_(banned, alpha=-FLOAT32_MAX)
    return logits
