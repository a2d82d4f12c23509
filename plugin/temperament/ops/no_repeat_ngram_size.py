"""No-repeat n-gram: `x_t = -inf` if the last n - 1 tokens and t occurred together before.

Prompt and output count. A token is banned if it followed the last n - 1 tokens before. Source:
`temperament.stages.no_repeat_ngram_size`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Column


def apply(
    logits: Tensor, *, no_repeat_ngram_size: Column, history: History, matches: Matches
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    least = no_repeat_ngram_size.per_row() - 1
    return ban(logits, matches.continued(history, least, logits.shape[1]).tokens())
