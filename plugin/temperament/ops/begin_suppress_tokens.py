"""Begin-suppress tokens: `x_t = -inf` while nothing is generated. Source: `temperament.stages`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.history import History
from temperament.ops.inputs import Tokens


def apply(logits: Tensor, *, begin_suppress_tokens: Tokens, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    first = history.end == history.prompt_end
    return ban(logits, begin_suppress_tokens, first[begin_suppress_tokens.row])
