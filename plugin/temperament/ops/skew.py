"""Skew: `p'_i = F_i^a - F_(i-1)^a`, a = e^skew, F the cumulated sorted p, the largest first.

Computed as `ln p'_i = a ln F_i + ln(1 - e^(-u))`, u = -a ln(1 - p_i / F_i), accurate for unlikely
tokens too: where p_i / F_i is tiny, 1 - e^(-u) is a p_i / F_i. F and p / F are float64, the
logarithms written out in float32. Equally likely tokens are in the order of their ids, and come out
different. A token whose mass float64 can't tell from 0 is removed. Source:
`temperament.stages.skew`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS, NOTHING, SMALL, TINY
from temperament.ops import compiled_rows
from temperament.ops.blocks import bands, branches
from temperament.ops.exponential import masses_of, rest_of_one
from temperament.ops.inputs import Column
from temperament.ops.logarithm import logarithm
from temperament.ops.sorting import ranked

PART = 2**17  # tokens that are bent at once: more would leave the processor's cache


def apply(logits: Tensor, *, skew: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    if compiled_rows.compiles(logits):
        return compiled_rows.skew(logits, skew.values, _powers(skew.values))
    for rows in bands(logits):
        _bend(logits[rows], skew.per_row()[rows])
    return logits


def _powers(amount: Tensor) -> Tensor:
    return amount.double().exp().float()


def _bend(logits: Tensor, amount: Tensor) -> None:
    values, tokens = ranked(logits)
    maximum = logits.amax(-1, keepdim=True)  # NaN in a row with NaN
    distance = values - maximum
    mass = masses_of(distance.clamp(min=NO_MASS)).double()
    running = mass.cumsum(-1)
    total = running[:, -1:].clone()
    power = _powers(amount)
    tiny = amount - logarithm(total, total - 1)
    active = (amount != 0) & maximum.isfinite()
    step = max(1, PART // len(logits)) if branches(logits) else logits.shape[1]
    for begin in range(0, logits.shape[1], step):
        part = slice(begin, begin + step)
        share = mass[:, part].div_(running[:, part])
        up_to = running[:, part].div_(total)
        log_up_to = _below_one(up_to, up_to - 1)
        # the power times ln(1 - p / F), and 1 - e^that
        minus_u = _below_one(1 - share, -share).mul_(power)
        grown = minus_u.neg() if _small(minus_u) else rest_of_one(minus_u)
        bent = logarithm(grown, grown - 1)
        if begin == 0:  # nothing is before it
            bent[:, 0] = 0.0
        bent.add_(power * log_up_to)
        unlikely = (power - 1) * log_up_to
        unlikely.add_(tiny).add_(distance[:, part])
        bent = torch.where(share < TINY, unlikely, bent)
        bent.masked_fill_(distance[:, part] < NOTHING, -torch.inf)
        values[:, part] = torch.where(active, bent, values[:, part])
    logits.scatter_(1, tokens, values)


def _small(negative: Tensor) -> bool:
    """Returns whether all are near 0, by the first of each row: no other is farther away."""
    return branches(negative) and bool((negative[:, 0] > -SMALL).all())


def _below_one(number: Tensor, above_one: Tensor) -> Tensor:
    """Returns the logarithm of numbers from 0 to 1 that rise along the row."""
    return above_one.float() if _small(above_one) else logarithm(number, above_one)
