"""Entropy equilibrium: keep the k - 1 likeliest, k >= 2 the first rank with `H_k / ln k < P_k`.

P_k is the sum of the k largest p, and H_k the entropy of these, renormalised, in nats. With d = x -
max, m = e^d and sums c_k = sum m, w_k = sum m d that is `H_k = ln c_k - w_k / c_k`. Where there is
no such k all stay. Of two tokens that differ the first stays alone: P_2 is 1. Those tied with the
last kept one stay, so that all equal ones do. Source: `temperament.stages.ees`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS_64
from temperament.ops.cut import cut
from temperament.ops.exponential import precise_masses
from temperament.ops.inputs import Column
from temperament.ops.sums import mass, sums


def apply(logits: Tensor, *, ees: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    threshold = partial(_threshold, logits.shape[1])
    return cut(logits, threshold, sums(logits, mass)[1], ees.per_row() > 0)


def _threshold(vocabulary: int, values: Tensor, total: Tensor, on: Tensor) -> tuple[Tensor, Tensor]:
    distance = values.double() - values[:, :1].double()
    masses = precise_masses(distance.clamp(min=NO_MASS_64))
    held = masses.cumsum(-1)
    weighted = (masses * distance).masked_fill_(values == -torch.inf, 0.0).cumsum(-1)
    entropy = held.log() - weighted / held
    rank = torch.arange(1, values.shape[1] + 1, device=values.device).double()
    # All allowed tokens hold all of the mass, whatever the rounding of their sum.
    allowed = (values > -torch.inf).sum(-1, keepdim=True)
    complete = (allowed < values.shape[1]) | (allowed == vocabulary)
    share = (held / total).masked_fill_(complete & (rank >= allowed), 1.0)
    over = (entropy < share * rank.log()) & (rank > 1)
    found = over.any(-1, keepdim=True)
    before = over.int().argmax(-1, keepdim=True) - 1
    last = values.gather(1, before.clamp(min=0))
    return last.masked_fill(~(on & found), -torch.inf), found | complete | ~on
