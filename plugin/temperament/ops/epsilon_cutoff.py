"""Epsilon cutoff: `keep p_i >= e`, which is `x_i >= max(x) + ln(e) + ln(S)`, S = sum e^(x - max).

The maximum always stays. Source: `temperament.stages.epsilon_cutoff`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.blocks import mass, sums
from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, epsilon_cutoff: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    (total,) = sums(logits, maximum, mass)
    return keep_likely(logits, maximum, epsilon_cutoff.per_row().double().log() + total.log())
