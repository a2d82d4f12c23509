"""Banned strings: `x_t = -inf` if one of the texts would end within t, behind the output so far.

Matched on bytes, whatever the tokenizer's cuts. A special token has no bytes, and starts anew.
Source: `temperament.stages.banned_strings`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from temperament.ops.bans import ban_mask
from temperament.ops.inputs import History, Texts


def apply(logits: Tensor, *, banned_strings: Texts, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    state = banned_strings.states(history, history.prompt_end)
    mask = banned_strings.hit.index_select(0, state)[:, : logits.shape[1]]
    return ban_mask(logits, pad(mask, (0, logits.shape[1] - mask.shape[1])))
