"""Banned strings: `x_t = -inf` if one of the texts, begun in the output, would end within t.

Matched on bytes, however the tokenizer cuts them. A special token matches by
its name alone, such as `<|im_end|>`.
Source: `temperament.stages.banned_strings`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.automata import Texts
from temperament.ops.bans import ban_mask
from temperament.ops.history import History


def apply(logits: Tensor, *, banned_strings: Texts, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    mask = banned_strings.ending(history, history.prompt_end, logits.shape[1])
    return ban_mask(logits, mask)
