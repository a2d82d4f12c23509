"""Forced first token: all others are -inf if the history has one token.

A forced token that is removed already isn't brought back. Source: `temperament.stages`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.bans import ban_mask
from temperament.ops.history import History
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, forced_bos_token_id: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    forced = forced_bos_token_id.per_row()
    first = (history.end - history.start == 1)[:, None] & (forced < logits.shape[1])
    others = torch.arange(logits.shape[1], device=logits.device) != forced
    return ban_mask(logits, first & others)
