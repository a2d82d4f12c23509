"""Forced last token: at the token limit all but the named tokens are -inf, and these are 0.

Several of them have equal odds; one that was removed isn't brought back. Without a limit nothing is
forced. Source: `temperament.stages.forced_eos_token_id`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.bans import ban_mask
from temperament.ops.history import History
from temperament.ops.inputs import Ends, Tokens


def apply(logits: Tensor, *, forced_eos_token_id: Tokens, history: History, ends: Ends) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    last = history.end - history.prompt_end == ends.limit - 1
    others = torch.ones_like(logits, dtype=torch.bool)
    others[forced_eos_token_id.row, forced_eos_token_id.token] = ~forced_eos_token_id.counts
    ban_mask(logits, others & last[:, None])
    return logits.masked_fill_(last[:, None] & (logits > -torch.inf), 0.0)
