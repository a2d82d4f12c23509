"""Top-n-sigma: `keep x_i >= max(x) - n * sigma`, the population's deviation of what is allowed.

The variance is `mean(d^2) - mean(d)^2` for d = x - c; c is the mean of the first columns, so that
the two means don't cancel. Source: `temperament.stages.top_n_sigma`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import PIECE
from temperament.ops.blocks import blocks
from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column
from temperament.ops.sums import allowed


def apply(logits: Tensor, *, top_n_sigma: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    middle = _first_mean(logits, maximum)
    first, second = logits.new_empty(2, logits.shape[0], -(-logits.shape[1] // PIECE))
    for block in blocks(logits, spare=1):
        distance = torch.sub(block.values, block.of(middle), out=block.spare[0])
        _without_banned(distance)
        first[block.rows, block.pieces] = distance.sum(-1)
        second[block.rows, block.pieces] = distance.mul_(distance).sum(-1)
    count = allowed(logits)
    mean, square = (
        part.sum(-1, keepdim=True, dtype=torch.float64) / count for part in (first, second)
    )
    sigma = (square - mean * mean).clamp(min=0.0).sqrt()
    n = top_n_sigma.per_row()
    return keep_likely(logits, maximum, torch.where(n > 0, -n * sigma, -torch.inf))


def _first_mean(logits: Tensor, maximum: Tensor) -> Tensor:
    """[rows, 1] of the first columns' allowed logits; the maximum where there are none."""
    distance = logits[:, :PIECE] - maximum
    count = allowed(distance.contiguous()).float()
    return maximum + _without_banned(distance).sum(-1, keepdim=True) / count.clamp(min=1.0)


def _without_banned(distance: Tensor) -> Tensor:
    """0 in place of -inf; NaN and +inf stay."""
    return distance.nan_to_num_(nan=torch.nan, posinf=torch.inf, neginf=0.0)
