"""Typical-p: by `|-ln p - H|` ascending, the shortest prefix with a mass of at least t.

-ln p - H is `mean - d` for d = x - max and its mean by probability, so the most typical tokens are
those with the smallest `|u|`, u = d - mean. What is tied with the last kept one stays. The most
likely token may go; the most typical one always stays. The cut is found among the nearest tokens;
rows that these don't cover are sorted. Source: `temperament.stages.typical_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import bands, branches, mass, sums, weighted_distance
from temperament.ops.cut import HEAD, covers, head, masses, remove
from temperament.ops.inputs import Column
from temperament.ops.sorting import descending

LARGEST_BITS = 0x7F800000  # float32's infinity, as an integer


def apply(logits: Tensor, *, typical_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    total, weighted = sums(logits, maximum, mass, weighted_distance)
    mean = (weighted / total).float()
    t = typical_p.per_row()
    goal = t * total.float()
    for rows in bands(logits):
        _keep_nearest(logits[rows], maximum[rows], mean[rows], t[rows], goal[rows])
    return logits


def _keep_nearest(logits: Tensor, maximum: Tensor, mean: Tensor, t: Tensor, goal: Tensor) -> None:
    offset = (logits - maximum).sub_(mean)
    nearness = offset.abs().neg_()
    if branches(logits):
        top = head(nearness, min(HEAD, logits.shape[1]))
        running = masses(offset.gather(1, top.tokens), -mean).cumsum(-1)
        place = (running < goal).sum(-1, keepdim=True)
        count = running.shape[1]
        least = top.values.gather(1, place.clamp(max=count - 1))
        rows = torch.where(place[:, 0] == count)[0]
        if len(rows):
            least[rows] = _least(descending(offset, logits.shape[1], rows), -mean[rows], goal[rows])
        least.masked_fill_(t >= 1, -torch.inf)
        if covers(top, least):
            kept = logits.gather(1, top.tokens).masked_fill_(top.values < least, -torch.inf)
            logits.fill_(-torch.inf).scatter_(1, top.tokens, kept)
            return
    else:
        least = _least(descending(offset, logits.shape[1]), -mean, goal)
        least.masked_fill_(t >= 1, -torch.inf)
    remove(logits, torch.lt(nearness, least, out=nearness))


def _least(offset: Tensor, maximum: Tensor, goal: Tensor) -> Tensor:
    """Minus the smallest radius with enough mass, [rows, 1], for offsets in descending order.

    The radius is one of the offsets' absolute values, found by halving over float32's numbers.
    """
    running = masses(offset, maximum).cumsum(-1, dtype=torch.float64)
    running = torch.nn.functional.pad(running, (1, 0))
    ascending = offset.neg()
    low = torch.zeros_like(goal, dtype=torch.int32)
    high = torch.full_like(low, LARGEST_BITS)
    for _ in range(31):
        middle = low + (high - low) // 2
        radius = middle.view(torch.float32)
        end = torch.searchsorted(ascending, radius, right=True)
        start = torch.searchsorted(ascending, -radius)
        enough = (running.gather(1, end) - running.gather(1, start)).float() >= goal
        low, high = torch.where(enough, low, middle + 1), torch.where(enough, middle, high)
    return -high.view(torch.float32)
