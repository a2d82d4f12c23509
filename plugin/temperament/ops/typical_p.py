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

from temperament.ops.blocks import BAND, bands, branches, mass, sums, weighted_distance
from temperament.ops.cut import keep_at_least, keep_at_most, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import FEWEST, GROUP, group_maxima, of_groups
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
    if whole >= GROUP * FEWEST * NEAREST[0]:
        groups = torch.cat([
            group_maxima(_nearness(logits[band], maximum[band], mean[band]))
            for band in bands(logits)
        ])[:, :-1]  # fmt: skip
    for count in NEAREST:
        # A token's mass is at most 1, that of the most likely.
        some = rows[goal[rows, 0] <= count]
        if not len(some) or whole < GROUP * FEWEST * count:
            continue
        near = of_groups(logits, places_of_largest(groups[some], count), some)
        low[some], high[some], found = _nearest(near, count, maximum[some], mean[some], goal[some])
        rows = torch.cat([rows[goal[rows, 0] > count], some[~found]])
    for some in torch.split(rows, max(1, BAND // whole)):
        ranked = descending(logits, whole, some)
        low[some], high[some] = _between(ranked, maximum[some], mean[some], goal[some])
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
    place = places_of_largest(nearness, count, ordered=True)
    nearness, values = nearness.gather(1, place), logits.gather(1, place)
    reached = masses(values, maximum).cumsum(-1) >= goal
    least = nearness.gather(1, (~reached).sum(-1, keepdim=True).clamp(max=count - 1))
    found = reached[:, -1:] & (least > nearness[:, -1:])
    low = torch.where(nearness >= least, values, torch.inf).amin(1, keepdim=True)
    high = torch.where(nearness >= least, values, -torch.inf).amax(1, keepdim=True)
    return low, high, found[:, 0]


def _between(ranked: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """The bounds among all logits of some rows, in descending order.

    The smallest radius with enough mass is one of the `|u|`, found by halving over float32's
    numbers.
    """
    running = masses(ranked, maximum).cumsum(-1, dtype=torch.float64)
    ascending = (ranked - maximum).sub_(mean).neg_()

    def places(radius: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.searchsorted(ascending, -radius)
        return first, torch.searchsorted(ascending, radius, right=True)

    def behind(place: Tensor) -> Tensor:
        return torch.where(place > 0, running.gather(1, (place - 1).clamp_min(0)), 0.0)

    low = torch.zeros_like(goal, dtype=torch.int32)
    high = torch.full_like(low, LARGEST_BITS)
    for _ in range(31):
        middle = low + (high - low) // 2
        first, end = places(middle.view(torch.float32))
        enough = (behind(end) - behind(first)).float() >= goal
        low, high = torch.where(enough, low, middle + 1), torch.where(enough, middle, high)
    first, end = places(high.view(torch.float32))
    most = ranked.shape[1] - 1
    return ranked.gather(1, end - 1), ranked.gather(1, first.clamp(max=most))
