"""Temperature: `x / T`; T = 0 keeps the first of the largest logits alone.

Below 1e-30 a logit divided by T would leave float32: such rows are first shifted to a maximum of
0, which changes no probability. Source: `temperament.stages.temperature`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column

SHIFTED_BELOW = 1e-30


def apply(logits: Tensor, *, temperature: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    values = temperature.per_row()
    if temperature.low < SHIFTED_BELOW:
        largest, first = logits.max(dim=-1, keepdim=True)
        tiny = (values > 0) & (values < SHIFTED_BELOW) & largest.isfinite()
        logits.sub_(torch.where(tiny, largest, 0.0))
        if temperature.low == 0:
            greedy = values == 0
            token = torch.arange(logits.shape[1], device=logits.device)
            logits.masked_fill_(greedy & (token != first), -torch.inf)
            values = torch.where(greedy, 1.0, values)
    return logits.div_(values)
