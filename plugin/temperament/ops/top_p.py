"""Top-p: the smallest set of most likely tokens with `sum p_i >= p`; the crossing token stays.

Tokens tied with the last kept one stay; p = 0 keeps the most likely. Source:
`temperament.stages.top_p`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops import compiled_rows
from temperament.ops.cut import CANDIDATES, cut, keep_at_least, masses
from temperament.ops.inputs import Column
from temperament.ops.largest import group_maxima, largest
from temperament.ops.sums import add_up, sums_below
from temperament.ops.sums import mass as mass_term


def apply(logits: Tensor, *, top_p: Column, temperature: Column | None = None) -> Tensor:
    """[rows, vocab] float32, changed in place; `temperature` only where `compiles(logits)`."""
    values = top_p.values
    if not compiled_rows.compiles(logits):
        return _apply(logits, values[:, None])
    divisor = None if temperature is None else temperature.values
    left = compiled_rows.keep_nearest(logits, values, divisor)
    if len(left):
        logits.index_copy_(0, left, _apply(logits[left], values[left, None]))
    return logits


def _apply(logits: Tensor, p: Tensor) -> Tensor:
    if logits.shape[1] <= CANDIDATES:
        values = largest(logits, logits.shape[1])
        mass = masses(values, values[:, :1])
        return keep_at_least(logits, _last(values, mass, p * add_up(mass)[:, None], p)[0])
    maxima = group_maxima(logits)
    (total,) = sums_below(logits, maxima.amax(dim=-1, keepdim=True), mass_term)
    # In float32 a p of 0.4 and a total of 2.5 give a goal of 1; in float64 it would be above 1.
    return cut(logits, _threshold, p * total.float(), p, maxima=maxima)


def _threshold(values: Tensor, goal: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    return _last(values, masses(values, values[:, :1]), goal, p)


def _last(values: Tensor, mass: Tensor, goal: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the logit with which the goal is reached, and whether it is among the values."""
    # torch cumulates float32 in float64 on a CPU, and rounds each sum once.
    reached = mass.cumsum(-1) >= goal
    place = (~reached).sum(-1, keepdim=True).clamp(max=values.shape[1] - 1)
    off = p >= 1
    return values.gather(1, place).masked_fill(off, -torch.inf), reached[:, -1:] | off
