"""The shared cut: find a threshold per row, then drop what lies below it in one pass.

Every sum that decides about a row is made in pieces of a fixed size, since torch splits a long sum
of a single row among threads but not that of many rows: a row alone would round differently. For
the same reason there is no `pow`: torch rounds it differently at the end of a tensor.

In a row with NaN or +inf the sums are NaN, and so is the threshold: nothing lies below it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CANDIDATES = 1024  # how many of the largest logits a threshold is looked for among, at first
PIECE = 8192  # columns in a piece of a sum; torch sums so few on one thread
NO_MASS = -110.0  # the exponential of it, and of all below, is 0 in float32

# (values [n, m] descending, further numbers [n, 1] ...)
#   -> (threshold [n, 1], whether the values sufficed to find it [n, 1])
Threshold = Callable[..., tuple[Tensor, Tensor]]

# (x - max, its mass e^(x - max)), each [rows, columns] -> what is summed over the row. Where there
# is no mass, the distance is at most `NO_MASS`, and finite.
Term = Callable[[Tensor, Tensor], Tensor]


def branches(tensor: Tensor) -> bool:
    """Whether a branch on the tensor's data is free: on the CPU alone."""
    return tensor.device.type == "cpu"


def pieces(logits: Tensor) -> tuple[Tensor, ...]:
    """Views of `PIECE` columns each, the last of what is left."""
    return torch.split(logits, PIECE, dim=1)


def keep_at_least(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sets what is below its row's threshold ([rows, 1]) to -inf, in place."""
    return logits.masked_fill_(logits < threshold, -torch.inf)


def keep_likely(logits: Tensor, maximum: Tensor, share: Tensor) -> Tensor:
    """Keeps, in place, what has e^share of the maximum's mass: `x >= max + share`; and the maximum.

    `share` is [rows, 1] float64; the sum is rounded up to float32, so the comparison is exact.
    """
    exact = maximum.double() + share.clamp(max=0.0)
    near = exact.float()
    above = torch.nextafter(near, torch.full_like(near, torch.inf))
    return keep_at_least(logits, torch.where(near < exact, above, near))


def largest(logits: Tensor, count: int) -> Tensor:
    """The `count` largest logits of each row, descending: [rows, count]."""
    if count > logits.shape[1] // 4:
        return logits.sort(dim=-1, descending=True).values[:, :count]
    return logits.topk(count, dim=-1).values


def masses(logits: Tensor, maximum: Tensor) -> Tensor:
    """`exp(x - max)`: probabilities up to the row's total. A row of -inf alone has none."""
    return (logits - maximum).exp_().nan_to_num_(nan=0.0)


def total_mass(logits: Tensor, maximum: Tensor) -> Tensor:
    """The sum of a row's masses, [rows, 1], the same bits in any batch."""
    total = logits.new_zeros(logits.shape[0], 1)
    for piece in pieces(logits):
        total += masses(piece, maximum).sum(-1, keepdim=True)
    return total


def sums(logits: Tensor, maximum: Tensor, *terms: Term) -> list[Tensor]:
    """The sum of each term over each row, [rows, 1] float64, the same bits in any batch."""
    totals = [logits.new_zeros(logits.shape[0], 1, dtype=torch.float64) for _ in terms]
    for piece in pieces(logits):
        distance = (piece - maximum).clamp_(min=NO_MASS)
        mass = distance.exp()
        for total, term in zip(totals, terms, strict=True):
            total.add_(term(distance, mass).sum(-1, keepdim=True))
    return totals


def mass(_distance: Tensor, mass: Tensor) -> Tensor:
    """Sums to the total S."""
    return mass


def squared_mass(_distance: Tensor, mass: Tensor) -> Tensor:
    """Sums to `S^2 * sum p^2`."""
    return mass * mass


def weighted_distance(distance: Tensor, mass: Tensor) -> Tensor:
    """Sums to `S * mean`, the mean of x - max by probability. The entropy is `ln S - mean`."""
    return mass * distance


def entropy(logits: Tensor, maximum: Tensor) -> tuple[Tensor, Tensor]:
    """`ln S` and the entropy `ln S - sum p d` in nats, for d = x - max: [rows, 1] float64 each.

    The masses of 1 are summed apart from the rest, so that a rest of 1e-30 still counts: an entropy
    is right to seven digits however small it is, as long as float32 holds the masses.
    """
    ones, rest, weighted = sums(logits, maximum, _whole, _fraction, weighted_distance)
    log_total = ones.log() + (rest / ones).log1p()
    return log_total, log_total - weighted / (ones + rest)


def _whole(_distance: Tensor, mass: Tensor) -> Tensor:
    return mass.floor()


def _fraction(_distance: Tensor, mass: Tensor) -> Tensor:
    return mass.frac()


def cut_where(logits: Tensor, threshold: Threshold, *numbers: Tensor) -> Tensor:
    """The threshold of every row, [rows, 1], found among the largest logits where they suffice.

    Where they don't, that row is sorted as a whole: the result is the same in either way, since
    the sums run over the same numbers in the same order. `numbers` are [rows, 1] each.
    """
    if not branches(logits):
        return threshold(logits.sort(dim=-1, descending=True).values, *numbers)[0]
    values = largest(logits, min(CANDIDATES, logits.shape[1]))
    found, sufficed = threshold(values, *numbers)
    if values.shape[1] < logits.shape[1] and not bool(sufficed.all()):
        rows = torch.where(~sufficed[:, 0])[0]
        values = logits[rows].sort(dim=-1, descending=True).values
        found[rows], _ = threshold(values, *(number[rows] for number in numbers))
    return found
