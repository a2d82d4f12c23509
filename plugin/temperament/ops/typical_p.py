"""Typical-p: by `|-ln p - H|` ascending, the shortest prefix with a mass of at least t.

With d = x - max, -ln p - H is the mean of d by probability, minus d. So the most typical tokens are
those with the smallest |u|, u = d - mean. Tokens tied with the last kept one stay. The most likely
token may be removed; the most typical one always stays. Source: `temperament.stages.typical_p`.

u rises with the logit, so what stays lies between two logits, and these bounds are all that is
searched. On the CPU they are searched among the tokens nearest to the mean first, and a row that
needs more is sorted; elsewhere every row is sorted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops import compiled_rows
from temperament.ops.blocks import BAND, bands, branches
from temperament.ops.cut import keep_at_least, keep_at_most, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import FEWEST, GROUP, group_maxima, of_groups
from temperament.ops.sorting import descending, places_of_largest
from temperament.ops.sums import mass, sums_below, weighted_distance

NEAREST = (128, 2048)  # the numbers of nearest tokens in which the bounds are searched
INFINITY_BITS = 0x7F800000  # of float32


def apply(logits: Tensor, *, typical_p: Column, temperature: Column | None = None) -> Tensor:
    """[rows, vocab] float32, changed in place; `temperature` only where `compiles(logits)`."""
    values = typical_p.values
    if not compiled_rows.compiles(logits):
        return _apply(logits, values[:, None])
    divisor = None if temperature is None else temperature.values
    left = compiled_rows.keep_nearest(logits, values, divisor, around_mean=True)
    if len(left):
        logits.index_copy_(0, left, _apply(logits[left], values[left, None]))
    return logits


def _apply(logits: Tensor, t: Tensor) -> Tensor:
    maximum = logits.amax(dim=-1, keepdim=True)
    total, weighted = sums_below(logits, maximum, mass, weighted_distance)
    mean = (weighted / total).float()
    # A row with NaN or +inf, or of only -inf, has no mean and stays as it is.
    off = (t >= 1) | ~mean.isfinite()
    low, high = _bounds(logits, maximum, mean, t * total.float(), off)
    return keep_at_most(keep_at_least(logits, low), maximum, high)


def _bounds(
    logits: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor, off: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the least and the largest logit to keep, [rows, 1] each; infinite where `off`.

    `goal` ([rows, 1]) is the mass that the kept tokens must have together, in units of the mass of
    the most likely token.
    """
    vocabulary = logits.shape[1]
    if not branches(logits):
        low, high = _bounds_in_sorted(descending(logits, vocabulary), maximum, mean, goal)
        return low.masked_fill(off, -torch.inf), high.masked_fill(off, torch.inf)
    low, high = torch.full_like(mean, -torch.inf), torch.full_like(mean, torch.inf)
    counts = [count for count in NEAREST if vocabulary >= GROUP * FEWEST * count]
    groups = _nearest_of_groups(logits, maximum, mean) if counts else None
    # [n] int64: the rows whose bounds haven't been found
    rows = torch.where(~off[:, 0])[0]
    for count in counts:
        # A token's mass is at most 1, so it takes at least `goal` tokens to reach `goal`.
        may_suffice = goal[rows, 0] <= count
        tried = rows[may_suffice]
        if groups is None or not len(tried):
            continue
        near = of_groups(logits, places_of_largest(groups[tried], count), tried)
        low[tried], high[tried], found = _bounds_among_nearest(
            near, count, maximum[tried], mean[tried], goal[tried]
        )
        rows = torch.cat([rows[~may_suffice], tried[~found]])
    for some in torch.split(rows, max(1, BAND // vocabulary)):
        ranked = descending(logits, vocabulary, some)
        low[some], high[some] = _bounds_in_sorted(ranked, maximum[some], mean[some], goal[some])
    return low, high


def _nearness(logits: Tensor, maximum: Tensor, mean: Tensor) -> Tensor:
    """Returns -|u|: the largest is the most typical."""
    return (logits - maximum).sub_(mean).abs_().neg_()


def _nearest_of_groups(logits: Tensor, maximum: Tensor, mean: Tensor) -> Tensor:
    """Returns [rows, groups]: the largest nearness of each group of columns (`group_maxima`)."""
    parts = [
        group_maxima(_nearness(logits[band], maximum[band], mean[band])) for band in bands(logits)
    ]
    return torch.cat(parts)[:, :-1]


def _bounds_among_nearest(
    logits: Tensor, count: int, maximum: Tensor, mean: Tensor, goal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Searches the bounds among the `count` nearest of [rows, n] logits.

    Returns (low, high, [rows] bool: whether they were found). A row that needs the last of the
    `count` tokens counts as not found: tokens tied with that one may be missing.
    """
    nearness = _nearness(logits, maximum, mean)
    place = places_of_largest(nearness, count, ordered=True)
    nearness, values = nearness.gather(1, place), logits.gather(1, place)
    reached = masses(values, maximum).cumsum(-1) >= goal
    last = (~reached).sum(-1, keepdim=True)  # the place of the token with which the goal is reached
    least = nearness.gather(1, last.clamp(max=count - 1))
    found = reached[:, -1:] & (least > nearness[:, -1:])
    kept = nearness >= least
    low = torch.where(kept, values, torch.inf).amin(1, keepdim=True)
    high = torch.where(kept, values, -torch.inf).amax(1, keepdim=True)
    return low, high, found[:, 0]


def _bounds_in_sorted(
    ranked: Tensor, maximum: Tensor, mean: Tensor, goal: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns (low, high) of [rows, vocab] logits in descending order.

    The tokens with |u| <= r stand side by side in a sorted row, and two searches find where they
    begin and end. The r that is needed is the least with enough mass, and it is one of the |u|.
    Bisection finds it in 31 steps, because non-negative float32 numbers have the order of their
    bits.
    """
    running = masses(ranked, maximum).cumsum(-1, dtype=torch.float64)
    minus_u = (ranked - maximum).sub_(mean).neg_()  # ascending

    def range_within(radius: Tensor) -> tuple[Tensor, Tensor]:
        """The places [first, end) of the tokens with |u| <= radius, [rows, 1] each."""
        first = torch.searchsorted(minus_u, -radius)
        return first, torch.searchsorted(minus_u, radius, right=True)

    def mass_before(place: Tensor) -> Tensor:
        return torch.where(place > 0, running.gather(1, (place - 1).clamp_min(0)), 0.0)

    # Bounds of the radius that is needed, as the bits of a float32.
    least = torch.zeros_like(goal, dtype=torch.int32)
    most = torch.full_like(least, INFINITY_BITS)
    for _ in range(31):
        middle = least + (most - least) // 2
        first, end = range_within(middle.view(torch.float32))
        enough = (mass_before(end) - mass_before(first)).float() >= goal
        least, most = torch.where(enough, least, middle + 1), torch.where(enough, middle, most)
    first, end = range_within(most.view(torch.float32))
    return ranked.gather(1, end - 1), ranked.gather(1, first.clamp(max=ranked.shape[1] - 1))
