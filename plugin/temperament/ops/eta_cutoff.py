"""Eta cutoff: `keep p_i >= min(e, sqrt(e) * exp(-H))`, H the entropy in nats.

The maximum always stays. Source: `temperament.stages.eta_cutoff`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import entropy, keep_likely
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, eta_cutoff: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, log_total, nats = entropy(logits)
    least = eta_cutoff.per_row().double().log()
    return keep_likely(logits, maximum, torch.minimum(least, least / 2 - nats) + log_total)
