"""Temperature: `x / T`; T = 0 keeps the first of the largest logits alone.

Below 1e-30 a logit divided by T would leave float32: such rows are first shifted to a maximum of
0, which changes no probability. Source: `temperament.stages.temperature`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.inputs import Column

SHIFTED_BELOW = 1e-30


def apply(logits: Tensor, *, temperature: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    values = temperature.per_row()
    if temperature.low < SHIFTED_BELOW:
        if branches(logits):
            rows = torch.where(values[:, 0] < SHIFTED_BELOW)[0]
            logits.index_copy_(0, rows, _prepare(logits[rows], values[rows]))
        else:
            _prepare(logits, values)
        values = torch.where(values == 0, 1.0, values)
    return logits.div_(values)


def _prepare(logits: Tensor, values: Tensor) -> Tensor:
    """Shifts rows of a tiny temperature, and leaves greedy ones their first largest logit."""
    largest, first = logits.max(dim=-1, keepdim=True)
    tiny = (values > 0) & (values < SHIFTED_BELOW) & largest.isfinite()
    logits.sub_(torch.where(tiny, largest, 0.0))
    chosen = logits.gather(1, first)
    return logits.masked_fill_(values == 0, -torch.inf).scatter_(1, first, chosen)
