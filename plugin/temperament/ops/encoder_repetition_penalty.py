"""Encoder repetition penalty: the prompt's tokens, once each: `x r` if x > 0, else `x / r`.

Source: `temperament.stages.encoder_repetition_penalty`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.repetition_penalty import penalise


def apply(logits: Tensor, *, encoder_repetition_penalty: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    reciprocal = 1 / encoder_repetition_penalty.per_row()
    return penalise(logits, history, reciprocal, history.start, history.prompt_end)
