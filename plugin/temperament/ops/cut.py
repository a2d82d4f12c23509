"""The shared cut: find a threshold per row, then drop what lies below it in one pass.

In a row with NaN or +inf the sums are NaN, and so is the threshold: nothing lies below it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from temperament.ops.blocks import NO_MASS, branches, small_mass, sums, weighted_distance
from temperament.ops.largest import group_maxima, head, largest

HEAD = 128  # how many of the largest logits a threshold is first looked for among
BODIES = (1024, 16384)  # and then, in the rows where it isn't there
LONG = 4096  # columns of a row that is worth a call of its own
PROBE = 8  # of so many rows one shows whether it's worth while

# (values [n, m] descending, further numbers [n, 1] ...)
#   -> (threshold [n, 1], whether the values sufficed to find it [n, 1])
Threshold = Callable[..., tuple[Tensor, Tensor]]


def keep_at_least(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sets what is below its row's threshold ([rows, 1]) to -inf, in place."""
    # torch's own threshold takes one number: a call for each row, and yet on long rows 3 times as
    # fast as any of its kernels for all rows. It removes what is not above, and leaves NaN.
    if not branches(logits) or logits.shape[1] < LONG:
        return logits.masked_fill_(logits < threshold, -torch.inf)
    below = torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))
    for row, bound in zip(logits, below[:, 0].tolist(), strict=True):
        torch.threshold_(row, bound, -torch.inf)
    return logits


def keep_at_most(logits: Tensor, maximum: Tensor, threshold: Tensor) -> Tensor:
    """Sets what is above its row's threshold to -inf, in place; [rows, 1] of maxima, thresholds."""
    if not branches(logits):
        return logits.masked_fill_(logits > threshold, -torch.inf)
    above = torch.nextafter(-threshold, torch.full_like(threshold, -torch.inf))[:, 0].tolist()
    for row in torch.where(maximum[:, 0] > threshold[:, 0])[0].tolist():
        torch.threshold_(logits[row].neg_(), above[row], torch.inf).neg_()
    return logits


def least_likely(maximum: Tensor, share: Tensor) -> Tensor:
    """The least float32 with e^share of the maximum's mass: `max + share`, at most the maximum.

    `share` is [rows, 1] float64; the sum is rounded up, so that comparing with it is exact.
    """
    exact = maximum.double() + share.clamp(max=0.0)
    near = exact.float()
    above = torch.nextafter(near, torch.full_like(near, torch.inf))
    return torch.where(near < exact, above, near)


def keep_likely(logits: Tensor, maximum: Tensor, share: Tensor) -> Tensor:
    """Keeps, in place, what has e^share of the maximum's mass; and the maximum."""
    return keep_at_least(logits, least_likely(maximum, share))


def masses(logits: Tensor, maximum: Tensor) -> Tensor:
    """`exp(x - max)`: probabilities up to the row's total. A row of -inf alone has none.

    Below float32's normal numbers, and for -inf, it is `LEAST_MASS`.
    """
    return (logits - maximum).clamp_(min=NO_MASS).exp_().nan_to_num_(nan=0.0)


def entropy(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(max, `ln S`, the entropy `ln S - sum p d` in nats), d = x - max: [rows, 1] each.

    The largest logit is set aside, so that a rest of 1e-30 still counts: an entropy is right to
    seven digits however small it is, as long as float32 holds the masses.
    """
    maximum, token = head(logits, 1)
    logits.scatter_(1, token, -torch.inf)
    rest, weighted = sums(logits, maximum, small_mass, weighted_distance)
    logits.scatter_(1, token, maximum)
    log_total = rest.log1p()
    return maximum, log_total, log_total - weighted / (1 + rest)


def cut(
    logits: Tensor,
    threshold: Threshold,
    *numbers: Tensor,
    most: int = 0,
    maxima: Tensor | None = None,
) -> Tensor:
    """Drops what is below each row's threshold, in place.

    The threshold is found among the largest logits where they suffice; a row where they don't is
    sorted as a whole. The result is the same in either way, since its sums run over the same
    numbers in the same order. `numbers` are [rows, 1] each; `most` is how many values suffice for
    certain, 0 where that isn't known; `maxima` are the `group_maxima`, where they are known.
    """
    vocabulary = logits.shape[1]
    most = min(most, vocabulary) or vocabulary
    if not branches(logits):
        return keep_at_least(logits, threshold(largest(logits, most), *numbers)[0])
    first = min(HEAD, vocabulary)
    if maxima is None and first < vocabulary:
        maxima = group_maxima(logits)
    found, sufficed = threshold(largest(logits, first, maxima=maxima), *numbers)

    def look(rows: Tensor, count: int) -> Tensor:
        """Looks among the `count` largest of some rows; which of them that sufficed for."""
        some = None if len(rows) == len(logits) else rows
        values = largest(logits, count, maxima=maxima, rows=some)
        found[rows], sufficed[rows] = threshold(values, *(number[rows] for number in numbers))
        return sufficed[rows, 0]

    for count in (*BODIES, vocabulary):
        rows = torch.where(~sufficed[:, 0])[0]
        if not len(rows) or not first < count <= vocabulary:
            continue
        probe = rows[::PROBE]
        last = count == vocabulary
        if last or len(probe) == len(rows) or look(probe, count).float().mean() >= 0.5:
            rest = rows if last else torch.where(~sufficed[:, 0])[0]
            if len(rest):
                look(rest, count)
    return keep_at_least(logits, found)
