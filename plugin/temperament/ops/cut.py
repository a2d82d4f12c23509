"""The shared cut: find a threshold per row, then drop what lies below it in one pass.

In a row with NaN or +inf the sums are NaN, and so is the threshold: nothing lies below it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.blocks import NO_MASS, blocks, branches, small_mass, sums, weighted_distance
from temperament.ops.sorting import descending
from temperament.stages import FLOAT32_MAX

HEAD = 128  # how many of the largest logits a threshold is first looked for among
BODIES = (1024, 16384)  # and then, in the rows where it isn't there
PROBE = 8  # of so many rows one shows whether it's worth while
GROUP = 32  # columns of which the largest is found first

# (values [n, m] descending, further numbers [n, 1] ...)
#   -> (threshold [n, 1], whether the values sufficed to find it [n, 1])
Threshold = Callable[..., tuple[Tensor, Tensor]]


class Head(NamedTuple):
    """The largest logits of each row, descending, and whose they are."""

    # [rows, count] float32
    values: Tensor
    # [rows, count] int64
    tokens: Tensor


def head(logits: Tensor, count: int) -> Head:
    """The `count` largest; among equal ones any.

    They lie in the `count` groups of columns with the largest maxima, and the maxima of strided
    groups take one pass: 2 to 5 times faster than torch's `topk` over all.
    """
    rows, vocabulary = logits.shape
    groups = vocabulary // GROUP
    if groups < 2 * count:
        return Head(*logits.topk(min(count, vocabulary), dim=-1))
    grouped = logits[:, : groups * GROUP].view(rows, GROUP, groups)
    chosen = grouped.amax(1).topk(count, dim=-1, sorted=False).indices[:, None, :]
    candidates = grouped.gather(2, chosen.expand(-1, GROUP, -1)).flatten(1)
    start = torch.arange(0, groups * GROUP, groups, device=logits.device)[:, None]
    tokens = (chosen + start).flatten(1)
    if groups * GROUP < vocabulary:
        rest = torch.arange(groups * GROUP, vocabulary, device=logits.device)
        candidates = torch.cat([candidates, logits[:, groups * GROUP :]], dim=1)
        tokens = torch.cat([tokens, rest.expand(rows, -1)], dim=1)
    values, place = candidates.topk(count, dim=-1)
    return Head(values, tokens.gather(1, place))


def largest(logits: Tensor, count: int) -> Tensor:
    """The `count` largest logits of each row, descending: [rows, count]."""
    if count <= HEAD:
        return head(logits, count).values
    return descending(logits, count)


def remove(values: Tensor, below: Tensor) -> None:
    """Sets to -inf, in place, where `below` is 1, and changes no bit where it is 0.

    -0.0 is the one number that leaves every other as it is, -0.0 too; two steps of the largest
    float lead from any number to -inf. That is 7 times faster than `masked_fill_` on a CPU.
    """
    values.add_(below, alpha=-FLOAT32_MAX).add_(below, alpha=-FLOAT32_MAX)


def keep_at_least(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sets what is below its row's threshold ([rows, 1]) to -inf, in place."""
    if not branches(logits):
        return logits.masked_fill_(logits < threshold, -torch.inf)
    for block in blocks(logits, spare=1):
        remove(block.values, torch.lt(block.values, block.of(threshold), out=block.spare[0]))
    return logits


def keep_head(logits: Tensor, top: Head, threshold: Tensor) -> Tensor:
    """The same where all that is kept is in `top`, which is faster still."""
    kept = torch.where(top.values < threshold, -torch.inf, top.values)
    return logits.fill_(-torch.inf).scatter_(1, top.tokens, kept)


def covers(top: Head, threshold: Tensor) -> bool:
    """Whether nothing outside of `top` is at or above its row's threshold ([rows, 1])."""
    return bool((top.values[:, -1:] < threshold).all())


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


def cut(logits: Tensor, threshold: Threshold, *numbers: Tensor, most: int = 0) -> Tensor:
    """Drops what is below each row's threshold, in place.

    The threshold is found among the largest logits where they suffice; a row where they don't is
    sorted as a whole. The result is the same in either way, since its sums run over the same
    numbers in the same order. `numbers` are [rows, 1] each; `most` is how many values suffice for
    certain, 0 where that isn't known.
    """
    vocabulary = logits.shape[1]
    most = min(most, vocabulary) or vocabulary
    if not branches(logits):
        return keep_at_least(logits, threshold(largest(logits, most), *numbers)[0])
    top = head(logits, min(HEAD, vocabulary))
    found, sufficed = threshold(top.values, *numbers)

    def look(rows: Tensor, count: int) -> Tensor:
        """Looks among the `count` largest of some rows; which of them that sufficed for."""
        values = descending(logits, count, rows)
        found[rows], sufficed[rows] = threshold(values, *(number[rows] for number in numbers))
        return sufficed[rows, 0]

    for count in (*BODIES, vocabulary):
        rows = torch.where(~sufficed[:, 0])[0]
        if not len(rows) or not top.values.shape[1] < count <= vocabulary:
            continue
        probe = rows[::PROBE]
        last = count == vocabulary
        if last or len(probe) == len(rows) or look(probe, count).float().mean() >= 0.5:
            rest = rows if last else torch.where(~sufficed[:, 0])[0]
            if len(rest):
                look(rest, count)
    return keep_head(logits, top, found) if covers(top, found) else keep_at_least(logits, found)
