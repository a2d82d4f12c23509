"""Bad words: `x_t = -inf` for the last token of a sequence whose other tokens end the history.

Prompt and output count. Source: `temperament.stages.bad_words_ids`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.history import History
from temperament.ops.inputs import Sequences


def apply(logits: Tensor, *, bad_words_ids: Sequences, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return ban(logits, bad_words_ids.tokens(), history.ends_with(bad_words_ids))
