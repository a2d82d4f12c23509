"""Logit bias: `x_t + b_t` for the named tokens. Source: `temperament.stages.logit_bias`."""

from __future__ import annotations

from torch import Tensor

from temperament.ops.inputs import Tokens


def apply(logits: Tensor, *, logit_bias: Tokens) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    place = (logit_bias.row, logit_bias.token)
    return logits.index_put_(place, logits[place] + logit_bias.value)
