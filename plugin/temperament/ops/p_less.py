"""P-less: `keep p_i >= sum p^2`, which is `x_i >= max(x) + ln(Q) - ln(S)`, Q = sum e^(2 (x - max)).

The maximum always stays, and of equally likely tokens all: Q = S there. Source:
`temperament.stages.p_less`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.blocks import mass, squared_mass, sums
from temperament.ops.cut import keep_likely
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, p_less: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum = logits.amax(dim=-1, keepdim=True)
    total, squares = sums(logits, maximum, mass, squared_mass)
    share = squares.log() - total.log()
    return keep_likely(logits, maximum, torch.where(p_less.per_row() > 0, share, -torch.inf))
