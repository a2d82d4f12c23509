"""The shared cut: finds a threshold for each row, then removes the logits below it in one pass.

In a row with NaN or +inf the sums are NaN, and so is the threshold: no logit is below it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS
from temperament.ops.blocks import branches
from temperament.ops.exponential import masses_of
from temperament.ops.largest import group_maxima, largest
from temperament.ops.sums import largest_count, smaller_mass, sums, weighted_distance

CANDIDATES = 128  # the number of largest logits in which the search for a threshold begins
WIDER = (1024, 4096, 16384)  # and in which it continues, in the rows where the first don't suffice
LONG = 4096  # columns from which on one call for each row is faster than one for all
TOGETHER = 2**16  # logits that are searched at once: more would leave the processor's cache
PROBE = 8  # one in eight rows is searched first, to see whether more candidates suffice

# A function of the m largest logits of n rows ([n, m], descending) and further numbers ([n, 1]
# each). It returns the thresholds ([n, 1]), and whether m logits sufficed for each ([n, 1] bool).
Threshold = Callable[..., tuple[Tensor, Tensor]]


def keep_at_least(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sets the logits below their row's threshold ([rows, 1]) to -inf, in place."""
    # `torch.threshold_` takes one number, so it needs a call for each row; on long rows that is
    # still 3 times as fast as any kernel for all rows. It removes numbers that aren't above, and
    # keeps NaN.
    if not branches(logits) or logits.shape[1] < LONG:
        return logits.masked_fill_(logits < threshold, -torch.inf)
    below = torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))
    for row, bound in zip(logits, below[:, 0].tolist(), strict=True):
        torch.threshold_(row, bound, -torch.inf)
    return logits


def keep_at_most(logits: Tensor, maximum: Tensor, threshold: Tensor) -> Tensor:
    """Sets the logits above their row's threshold to -inf, in place.

    `threshold` and the row's largest logit are [rows, 1].
    """
    if not branches(logits):
        return logits.masked_fill_(logits > threshold, -torch.inf)
    above = torch.nextafter(-threshold, torch.full_like(threshold, -torch.inf))[:, 0].tolist()
    for row in torch.where(maximum[:, 0] > threshold[:, 0])[0].tolist():
        torch.threshold_(logits[row].neg_(), above[row], torch.inf).neg_()
    return logits


def least_likely(maximum: Tensor, share: Tensor) -> Tensor:
    """Returns `max + share`, at most max: the least logit with e^share of the maximum's mass.

    `share` is [rows, 1] float64. The sum is rounded up, so that comparing with it is exact.
    """
    exact = maximum.double() + share.clamp(max=0.0)
    near = exact.float()
    above = torch.nextafter(near, torch.full_like(near, torch.inf))
    return torch.where(near < exact, above, near)


def keep_likely(logits: Tensor, maximum: Tensor, share: Tensor) -> Tensor:
    """Keeps the maximum and the logits with at least e^share of its mass, in place."""
    return keep_at_least(logits, least_likely(maximum, share))


def masses(logits: Tensor, maximum: Tensor) -> Tensor:
    """Returns `exp(x - max)`, the probabilities times the row's total; 0 in a row of only -inf.

    It is at least `LEAST_MASS`, for -inf too.
    """
    return masses_of((logits - maximum).clamp_(min=NO_MASS)).nan_to_num_(nan=0.0)


def entropy(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (max, `ln S`, the entropy `ln S - sum p d` in nats), d = x - max: [rows, 1] each.

    The sums leave out the largest logit, so that a rest of 1e-30 still counts: an entropy is right
    to seven digits however small it is, as long as float32 holds the masses.
    """
    maximum, count, smaller, weighted = sums(logits, largest_count, smaller_mass, weighted_distance)
    rest = (count - 1) + smaller
    log_total = rest.log1p()
    return maximum, log_total, log_total - weighted / (1 + rest)


def cut(
    logits: Tensor,
    threshold: Threshold,
    *numbers: Tensor,
    most: int = 0,
    maxima: Tensor | None = None,
) -> Tensor:
    """Removes the logits below each row's threshold, in place.

    The search runs over a row's largest logits where these suffice, and over the sorted row where
    they don't. Both give the same bits, since the sums add the same numbers in the same order.
    `numbers` are further arguments of `threshold`, [rows, 1] each. `most` is a number of logits
    that suffices for every row, 0 if none is known. `maxima` are the `group_maxima` of the logits,
    if the caller has computed them.
    """
    vocabulary = logits.shape[1]
    most = min(most, vocabulary) or vocabulary
    if not branches(logits):
        return keep_at_least(logits, threshold(largest(logits, most), *numbers)[0])
    first = min(CANDIDATES, vocabulary)
    if maxima is None and first < vocabulary:
        maxima = group_maxima(logits)
    found, sufficed = threshold(largest(logits, first, maxima=maxima), *numbers)

    def look(rows: Tensor, count: int) -> Tensor:
        """Searches the `count` largest logits of some rows; returns where these sufficed."""
        for some in torch.split(rows, max(1, TOGETHER // count)):
            values = largest(logits, count, maxima=maxima, rows=some)
            found[some], sufficed[some] = threshold(values, *(number[some] for number in numbers))
        return sufficed[rows, 0]

    for count in (*WIDER, vocabulary):
        if not first < count <= vocabulary:
            continue
        rows = torch.where(~sufficed[:, 0])[0]
        if not len(rows):
            break
        probe = rows[::PROBE]
        last = count == vocabulary
        if last or len(probe) == len(rows) or look(probe, count).float().mean() >= 0.5:
            rest = rows if last else torch.where(~sufficed[:, 0])[0]
            if len(rest):
                look(rest, count)
    return keep_at_least(logits, found)
