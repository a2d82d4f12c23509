"""Top-p: the smallest set of most likely tokens with `sum p_i >= p`; the crossing token stays.

Tokens tied with the last kept one stay; p = 0 keeps the most likely. Source:
`temperament.stages.top_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import mass, sums
from temperament.ops.cut import CANDIDATES, cut, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import group_maxima


def apply(logits: Tensor, *, top_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    few = logits.shape[1] <= CANDIDATES  # `cut` needs no `group_maxima` for so few columns
    maxima = logits if few else group_maxima(logits)
    (total,) = sums(logits, maxima.amax(dim=-1, keepdim=True), mass)
    # In float32 a p of 0.4 and a total of 2.5 give a goal of 1; in float64 it would be above 1.
    goal = top_p.per_row() * total.float()
    return cut(logits, _threshold, goal, top_p.per_row(), maxima=maxima)


def _threshold(values: Tensor, goal: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    # torch cumulates float32 in float64 on a CPU, and rounds each sum once.
    reached = masses(values, values[:, :1]).cumsum(-1) >= goal
    place = (~reached).sum(-1, keepdim=True).clamp(max=values.shape[1] - 1)
    off = p >= 1
    return values.gather(1, place).masked_fill(off, -torch.inf), reached[:, -1:] | off
