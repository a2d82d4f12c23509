"""Presence penalty: `x - q` for tokens that stand in the output. Source: `temperament.stages`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.inputs import Column, History
from temperament.ops.occurrences import subtract_once


def apply(logits: Tensor, *, presence_penalty: Column, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return subtract_once(logits, history, presence_penalty.per_row())
