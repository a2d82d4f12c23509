"""Frequency penalty: `x - count * f` over the output. Source: `temperament.stages`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Column
from temperament.ops.occurrences import subtract_each


def apply(logits: Tensor, *, frequency_penalty: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return subtract_each(logits, history.output(logits.shape[1]), frequency_penalty.per_row())
