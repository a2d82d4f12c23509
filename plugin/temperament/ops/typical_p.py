"""Typical-p: by `|-ln p - H|` ascending, the shortest prefix with a mass of at least t.

-ln p - H is `mean - d` for d = x - max and its mean by probability, so the most typical tokens are
those with the smallest `|u|`, u = d - mean. Tokens tied with the last kept one stay. The most
likely token may be removed; the most typical one always stays. The kept logits are those between
two bounds. The bounds are searched among the tokens nearest to the mean; a row that needs more is
sorted. Source: `temperament.stages.typical_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import BAND, bands, branches, mass, sums, weighted_distance
from temperament.ops.cut import keep_at_least, keep_at_most, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import FEWEST, GROUP, group_maxima, of_groups
from temperament.ops.sorting import descending, places_of_largest

NEAREST = (128, 2048)  # the numbers of nearest tokens in which the bounds are searched
LARGEST_BITS = 0x7F800000  # float32's infinity, as an integer


def apply(logits: Tensor, *, typical_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    total, weighted = sums(logits, maximum, mass, weighted_distance)
    mean = (weighted / total).float()
    t = typical_p.per_row()
    # A row with NaN or +inf, or of only -inf, has no mean and stays as it is.
    off = (t >= 1) | ~mean.isfinite()
    low, high = _bounds(logits, maximum, mean, t * total.float(), off)
    return keep_at_most(keep_at_least(logits, low), maximum, high)


def _bounds(
    logits: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor, off: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the least and the largest logit to keep, [rows, 1] each; infinite where `off`."""
    vocabulary = logits.shape[1]
    if not branches(logits):
        low, high = _between(descending(logits, vocabulary), maximum, mean, goal)
        return low.masked_fill(off, -torch.inf), high.masked_fill(off, torch.inf)
    low, high = torch.full_like(mean, -torch.inf), torch.full_like(mean, torch.inf)
    rows = torch.where(~off[:, 0])[0]
    if vocabulary >= GROUP * FEWEST * NEAREST[0]:
        groups = torch.cat(
            [
                group_maxima(_nearness(logits[band], maximum[band], mean[band]))
                for band in bands(logits)
            ]
        )[:, :-1]
    for count in NEAREST:
        # A token's mass is at most 1, so `goal` tokens at least are needed.
        some = rows[goal[rows, 0] <= count]
        if not len(some) or vocabulary < GROUP * FEWEST * count:
            continue
        near = of_groups(logits, places_of_largest(groups[some], count), some)
        low[some], high[some], found = _nearest(near, count, maximum[some], mean[some], goal[some])
        rows = torch.cat([rows[goal[rows, 0] > count], some[~found]])
    for some in torch.split(rows, max(1, BAND // vocabulary)):
        ranked = descending(logits, vocabulary, some)
        low[some], high[some] = _between(ranked, maximum[some], mean[some], goal[some])
    return low, high


def _nearness(logits: Tensor, maximum: Tensor, mean: Tensor) -> Tensor:
    """Returns -|u|."""
    return (logits - maximum).sub_(mean).abs_().neg_()


def _nearest(
    logits: Tensor, count: int, maximum: Tensor, mean: Tensor, goal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Searches the `count` nearest of some logits; returns (low, high, [rows] bool found).

    Tokens tied with the last of the `count` may be missing, so a row that needs that one isn't
    found.
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
    """Returns the bounds for rows in descending order.

    The smallest radius with enough mass is one of the `|u|`; bisection over the bits of float32
    finds it.
    """
    running = masses(ranked, maximum).cumsum(-1, dtype=torch.float64)
    ascending = (ranked - maximum).sub_(mean).neg_()

    def places(radius: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.searchsorted(ascending, -radius)
        return first, torch.searchsorted(ascending, radius, right=True)

    def mass_before(place: Tensor) -> Tensor:
        return torch.where(place > 0, running.gather(1, (place - 1).clamp_min(0)), 0.0)

    low = torch.zeros_like(goal, dtype=torch.int32)
    high = torch.full_like(low, LARGEST_BITS)
    for _ in range(31):
        middle = low + (high - low) // 2
        first, end = places(middle.view(torch.float32))
        enough = (mass_before(end) - mass_before(first)).float() >= goal
        low, high = torch.where(enough, low, middle + 1), torch.where(enough, middle, high)
    first, end = places(high.view(torch.float32))
    most = ranked.shape[1] - 1
    return ranked.gather(1, end - 1), ranked.gather(1, first.clamp(max=most))
