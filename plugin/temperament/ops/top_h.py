"""Top-h: from the most likely on, keep while the cumulated `-p ln p` is at most `h * H`.

p and its entropy H are those of the 100 most likely tokens, renormalised. The most likely stays,
and so does what is tied with the last kept one; h = 0 is off. Source: `temperament.stages.top_h`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import cut
from temperament.ops.inputs import Column

TOP = 100


def apply(logits: Tensor, *, top_h: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return cut(logits, _threshold, top_h.per_row(), most=TOP)


def _threshold(values: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    top = values[:, :TOP]
    running = torch.special.entr(top.double().softmax(dim=-1)).cumsum(-1)
    within = running <= h * running[:, -1:]
    last = top.gather(1, within.sum(-1, keepdim=True).clamp(min=1) - 1)
    found = torch.where(h > 0, last, -torch.inf)
    return found, torch.full_like(found, values.shape[1] >= TOP, dtype=torch.bool)
