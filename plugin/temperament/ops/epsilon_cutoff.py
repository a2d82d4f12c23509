"""Epsilon cutoff: `keep p_i >= e`, which is `x_i >= max(x) + ln(e) + ln(S)`, S = sum e^(x - max).

The maximum always stays. Source: `temperament.stages.epsilon_cutoff`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column
from temperament.ops.sums import mass, sums


def apply(logits: Tensor, *, epsilon_cutoff: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, total = sums(logits, mass)
    return keep_likely(logits, maximum, epsilon_cutoff.per_row().double().log() + total.log())
