"""Typical-p: by `|-ln p - H|` ascending, the shortest prefix with a mass of at least t.

-ln p - H is `mean - d` for d = x - max and its mean by probability, so the most typical tokens are
those nearest to the mean. What is tied with the last kept one stays. The most likely token may go;
the most typical one always stays. The cut is found on the nearest tokens; rows that these don't
cover are sorted. Source: `temperament.stages.typical_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops import cut
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, typical_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    total, weighted = cut.sums(logits, maximum, cut.mass, cut.weighted_distance)
    nearness = (logits - maximum).sub_((weighted / total).float()).abs_().neg_()
    t = typical_p.per_row()
    goal = t * total
    vocabulary = logits.shape[1]
    count = min(cut.CANDIDATES, vocabulary) if cut.branches(logits) else vocabulary
    least, sufficed = _least(logits, nearness, maximum, goal, count)
    if count < vocabulary and not bool(sufficed.all()):
        rows = torch.where(~sufficed[:, 0])[0]
        least[rows], _ = _least(logits[rows], nearness[rows], maximum[rows], goal[rows], vocabulary)
    least.masked_fill_(t >= 1, -torch.inf)
    return logits.masked_fill_(nearness < least, -torch.inf)


def _least(
    logits: Tensor, nearness: Tensor, maximum: Tensor, goal: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The nearness of the last kept token among the `count` nearest, and whether it is there."""
    if count > nearness.shape[1] // 4:
        values, tokens = nearness.sort(dim=-1, descending=True)
    else:
        values, tokens = nearness.topk(count, dim=-1)
    reached = cut.masses(logits.gather(1, tokens), maximum).cumsum(-1) >= goal
    place = (~reached).sum(-1, keepdim=True).clamp(max=values.shape[1] - 1)
    return values.gather(1, place), reached[:, -1:]
