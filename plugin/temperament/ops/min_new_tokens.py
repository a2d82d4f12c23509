"""Min new tokens: the tokens that end the text are -inf before n. Source: `temperament.stages`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.history import History
from temperament.ops.inputs import Column, Ends


def apply(logits: Tensor, *, min_new_tokens: Column, history: History, ends: Ends) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    early = history.end - history.prompt_end < min_new_tokens.values
    return ban(logits, ends.tokens, early[ends.tokens.row])
