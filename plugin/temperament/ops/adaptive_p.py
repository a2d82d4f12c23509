"""Adaptive-p: `x' = 5 - 10 d^2 / (1 + d)`, `d = |p - t'| / 0.3`, `t' = clamp(2 t - E, 0, 1)`.

E is the moving average of the drawn tokens' probabilities before this stage, t at first:
`E' = decay E + (1 - decay) p`. -inf stays. Source: `temperament.stages.adaptive_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, History, State

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
    given = logits.log_softmax(dim=-1)
    state.store(average, given, history)
    aim = (2 * target - average).clamp(0, 1).float()[:, None]
    distance = (given.exp() - aim).abs() / WIDTH
    reshaped = PEAK - SHARPNESS * distance.square() / (1 + distance)
    return logits.copy_(torch.where(logits == -torch.inf, logits, reshaped))
