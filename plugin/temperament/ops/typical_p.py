"""Typical-p: by `|-ln p - H|` ascending, the shortest prefix with a mass of at least t.

-ln p - H is `mean - d` for d = x - max and its mean by probability, so the most typical tokens are
those with the smallest `|u|`, u = d - mean. What is tied with the last kept one stays. The most
likely token may go; the most typical one always stays. What is kept are the logits between two:
these are found among the nearest tokens, and a row that these don't cover is sorted. Source:
`temperament.stages.typical_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import bands, branches, mass, sums, weighted_distance
from temperament.ops.cut import keep_at_least, keep_at_most, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import FEWEST, group_maxima, of_groups
from temperament.ops.sorting import descending, places_of_largest

NEAREST = (128, 2048)  # how many of the nearest tokens the bounds are looked for among
LARGEST_BITS = 0x7F800000  # float32's infinity, as an integer


def apply(logits: Tensor, *, typical_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    total, weighted = sums(logits, maximum, mass, weighted_distance)
    mean = (weighted / total).float()
    t = typical_p.per_row()
    # Rows of NaN, of infinities or of bans alone have no mean, and are left as they are.
    off = (t >= 1) | ~mean.isfinite()
    low, high = _bounds(logits, maximum, mean, t * total.float(), off)
    return keep_at_most(keep_at_least(logits, low), maximum, high)


def _bounds(
    logits: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor, off: Tensor
) -> tuple[Tensor, Tensor]:
    """The least and the largest logit to keep, [rows, 1] each; infinite where it's off."""
    whole = logits.shape[1]
    if not branches(logits):
        low, high = _between(descending(logits, whole), maximum, mean, goal)
        return low.masked_fill(off, -torch.inf), high.masked_fill(off, torch.inf)
    low, high = torch.full_like(mean, -torch.inf), torch.full_like(mean, torch.inf)
    rows = torch.where(~off[:, 0])[0]
    if len(rows):
        groups = torch.cat([
            group_maxima(_nearness(logits[band], maximum[band], mean[band]))
            for band in bands(logits)
        ])[:, :-1]  # fmt: skip
    for count in NEAREST:
        if not len(rows) or groups.shape[1] < FEWEST * count:
            continue
        near = of_groups(logits[rows], places_of_largest(groups[rows], count))
        own = maximum[rows], mean[rows], goal[rows]
        low[rows], high[rows], found = _nearest(near, count, *own)
        rows = rows[~found]
    if len(rows):
        ranked = descending(logits, whole, rows)
        low[rows], high[rows] = _between(ranked, maximum[rows], mean[rows], goal[rows])
    return low, high


def _nearness(logits: Tensor, maximum: Tensor, mean: Tensor) -> Tensor:
    """-|u|"""
    return (logits - maximum).sub_(mean).abs_().neg_()


def _nearest(
    logits: Tensor, count: int, maximum: Tensor, mean: Tensor, goal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The bounds among the `count` nearest of some logits, and which rows ([rows] bool) have them.

    What is tied with the last of the `count` may be missing: a row that reaches there has none.
    """
    nearness = _nearness(logits, maximum, mean)
    place = places_of_largest(nearness, count)
    ordered = nearness.gather(1, place).sort(dim=-1, descending=True)
    values = logits.gather(1, place.gather(1, ordered.indices))
    reached = masses(values, maximum).cumsum(-1) >= goal
    last = (~reached).sum(-1, keepdim=True).clamp(max=count - 1)
    least = ordered.values.gather(1, last)
    found = reached[:, -1:] & (least > ordered.values[:, -1:])
    low, high = _extremes(values, ordered.values >= least)
    return low, high, found[:, 0]


def _between(ranked: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """The bounds among all logits of some rows, in descending order."""
    offset = (ranked - maximum).sub_(mean)
    return _extremes(ranked, offset.abs() <= _radius(offset, -mean, goal))


def _extremes(values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.where(kept, values, torch.inf).amin(1, keepdim=True)
    return low, torch.where(kept, values, -torch.inf).amax(1, keepdim=True)


def _radius(offset: Tensor, maximum: Tensor, goal: Tensor) -> Tensor:
    """The smallest radius with enough mass, [rows, 1], for offsets in descending order.

    It is one of the offsets' absolute values, found by halving over float32's numbers.
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
    return high.view(torch.float32)
