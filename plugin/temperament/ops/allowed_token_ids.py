"""Allowed token ids: `x_t = -inf` for all others. Source: `temperament.stages`."""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.bans import ban_mask
from temperament.ops.inputs import Tokens


def apply(logits: Tensor, *, allowed_token_ids: Tokens) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    mask = torch.ones_like(logits, dtype=torch.bool)
    mask[allowed_token_ids.row, allowed_token_ids.token] = ~allowed_token_ids.counts
    return ban_mask(logits, mask)
