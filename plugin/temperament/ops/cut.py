"""The shared cut: find a threshold per row, then drop what lies below it in one pass.

Every sum that decides about a row is made in pieces of a fixed size, since torch splits a long sum
of a single row among threads but not that of many rows: a row alone would round differently.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CANDIDATES = 1024  # how many of the largest logits a threshold is looked for among, at first
PIECE = 8192  # columns in a piece of a sum; torch sums so few on one thread

# (values [n, m] descending, maximum [n, 1], total mass [n, 1], parameter [n, 1])
#   -> (threshold [n, 1], whether the values sufficed to find it [n, 1])
Threshold = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def branches(tensor: Tensor) -> bool:
    """Whether a branch on the tensor's data is free: on the CPU alone."""
    return tensor.device.type == "cpu"


def keep_at_least(logits: Tensor, threshold: Tensor) -> Tensor:
    """Sets what is below its row's threshold ([rows, 1]) to -inf, in place."""
    return logits.masked_fill_(logits < threshold, -torch.inf)


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
    for start in range(0, logits.shape[1], PIECE):
        piece = masses(logits[:, start : start + PIECE], maximum)
        total += piece.sum(-1, keepdim=True)
    return total


def cut_where(logits: Tensor, threshold: Threshold, parameter: Tensor) -> Tensor:
    """The threshold of every row, [rows, 1], found among the largest logits where they suffice.

    Where they don't, that row is sorted as a whole: the result is the same in either way, since
    the sums run over the same numbers in the same order.
    """
    if not branches(logits):
        values = logits.sort(dim=-1, descending=True).values
        maximum = values[:, :1]
        return threshold(values, maximum, total_mass(logits, maximum), parameter)[0]
    values = largest(logits, min(CANDIDATES, logits.shape[1]))
    maximum = values[:, :1]
    total = total_mass(logits, maximum)
    found, sufficed = threshold(values, maximum, total, parameter)
    if values.shape[1] < logits.shape[1] and not bool(sufficed.all()):
        rows = torch.where(~sufficed[:, 0])[0]
        values = logits[rows].sort(dim=-1, descending=True).values
        found[rows], _ = threshold(values, maximum[rows], total[rows], parameter[rows])
    return found
