"""Top-h: from the most likely on, keep while the cumulated `-p ln p` is at most `h * H`.

p and its entropy H are those of the 100 most likely tokens, renormalised. The most likely stays,
and so does what is tied with the last kept one; h = 0 is off. Source: `temperament.stages.top_h`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import keep_at_least, largest
from temperament.ops.inputs import Column

TOP = 100


def apply(logits: Tensor, *, top_h: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    values = largest(logits, min(TOP, logits.shape[1]))
    running = torch.special.entr(values.double().softmax(dim=-1)).cumsum(-1)
    h = top_h.per_row()
    within = running <= h * running[:, -1:]
    last = values.gather(1, within.sum(-1, keepdim=True).clamp(min=1) - 1)
    return keep_at_least(logits, torch.where(h > 0, last, -torch.inf))
