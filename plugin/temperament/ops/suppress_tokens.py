"""Suppress tokens: `x_t = -inf` for those named. Source: `temperament.stages.suppress_tokens`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.bans import ban
from temperament.ops.inputs import Tokens


def apply(logits: Tensor, *, suppress_tokens: Tokens) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return ban(logits, suppress_tokens)
