"""Encoder no-repeat n-gram: `x_t = -inf` if the last n - 1 tokens and t occur in the prompt.

Source: `temperament.stages.encoder_no_repeat_ngram_size`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Column


def apply(
    logits: Tensor, *, encoder_no_repeat_ngram_size: Column, history: History, matches: Matches
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    least = encoder_no_repeat_ngram_size.per_row() - 1
    places = matches.continued(history, least, logits.shape[1])
    return ban(logits, places.tokens(), places.position < history.prompt_end[places.row])
