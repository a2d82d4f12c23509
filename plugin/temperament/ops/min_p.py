"""Min-p: `keep p_i >= m * p_max`, which is `x_i >= max(x) + ln(m)`. The maximum always stays.

Source: `temperament.stages.min_p`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, min_p: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return keep_likely(logits, logits.amax(dim=-1, keepdim=True), min_p.per_row().double().log())
