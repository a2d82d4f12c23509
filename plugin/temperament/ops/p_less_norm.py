"""P-less-norm: `keep p_i >= (n * sum p^2 - 1) / (n - 1)`, n the number of allowed tokens.

With Q = sum e^(2 (x - max)) that is `x_i >= max(x) + ln((n Q - S^2) / (S (n - 1)))`. The maximum
always stays. Of equally likely tokens all do: n Q = S^2 there, as with one token. Source:
`temperament.stages.p_less_norm`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column
from temperament.ops.sums import allowed, mass, squared_mass, sums


def apply(logits: Tensor, *, p_less_norm: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, total, squares = sums(logits, mass, squared_mass)
    count = allowed(logits)
    excess = (count * squares - total * total).clamp(min=0.0)
    share = (excess / (total * (count - 1).clamp(min=1.0))).log()
    return keep_likely(logits, maximum, torch.where(p_less_norm.per_row() > 0, share, -torch.inf))
