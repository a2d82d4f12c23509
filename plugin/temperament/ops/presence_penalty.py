"""Presence penalty: `x - q` for tokens that occur in the output. Source: `temperament.stages`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.occurrences import change_once


def apply(logits: Tensor, *, presence_penalty: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    loss = presence_penalty.per_row()
    return change_once(logits, history.output(logits.shape[1]), lambda values: values - loss)
