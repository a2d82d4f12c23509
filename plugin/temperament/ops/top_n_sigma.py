"""Top-n-sigma: `keep x_i >= max(x) - n * sigma`, the population's deviation of what is allowed.

The variance is `mean(d^2) - mean(d)^2` for d = x - max in float64. Nothing is lost by it: the
maximum itself has d = 0, so the variance is at least `mean(d)^2 / (count - 1)`. Source:
`temperament.stages.top_n_sigma`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import keep_likely, pieces
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, top_n_sigma: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    highest = maximum.double()
    count, first, second = (torch.zeros_like(highest) for _ in range(3))
    for piece in pieces(logits):
        distance = (piece - highest).masked_fill_(piece == -torch.inf, 0.0)
        count += (piece > -torch.inf).sum(-1, keepdim=True)
        first += distance.sum(-1, keepdim=True)
        second += distance.square_().sum(-1, keepdim=True)
    sigma = (second / count - (first / count).square()).clamp(min=0.0).sqrt()
    n = top_n_sigma.per_row()
    return keep_likely(logits, maximum, torch.where(n > 0, -n * sigma, -torch.inf))
