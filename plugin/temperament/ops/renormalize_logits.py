"""Renormalisation: `x - max(x) - ln S`, S = sum e^(x - max): log-probabilities; -inf stays.

Source: `temperament.stages.renormalize_logits`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column
from temperament.ops.sums import mass, sums


def apply(logits: Tensor, *, renormalize_logits: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, total = sums(logits, mass)
    active = (renormalize_logits.per_row() > 0) & maximum.isfinite()
    logits.sub_(torch.where(active, maximum, 0.0))
    return logits.sub_(torch.where(active, total.log().float(), 0.0))
