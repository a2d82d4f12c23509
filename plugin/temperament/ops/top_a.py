"""Top-a: `keep p_i >= a * p_max^2`, which is `x_i >= max(x) + ln(a) - ln(S)`: p_max is 1 / S.

The maximum always stays. Source: `temperament.stages.top_a`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column
from temperament.ops.sums import mass, sums


def apply(logits: Tensor, *, top_a: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, total = sums(logits, mass)
    return keep_likely(logits, maximum, top_a.per_row().double().log() - total.log())
