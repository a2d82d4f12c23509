"""Reproducible: `argmax_i (x_i + g_i)` stays alone, g standard Gumbel noise of (seed, position, i).

That draws from the softmax of the logits, and leaves the engine one choice. Only the tokens that
are kept are given noise. Source: `temperament.stages.reproducible`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import branches
from temperament.ops.inputs import Column
from temperament.ops.noise import TOKEN, Noise


def apply(logits: Tensor, *, reproducible: Column, noise: Noise) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    del reproducible  # a row is here only if it is on
    rows, vocabulary = logits.shape
    values = logits
    tokens = torch.arange(vocabulary, device=logits.device).expand(rows, vocabulary)
    if branches(logits) and rows:
        kept = int((logits > -torch.inf).sum(dim=-1).amax())
        if kept <= vocabulary // 4:
            values, tokens = logits.topk(max(kept, 1), dim=-1)
    # A token that is removed can't win: -inf and any finite noise stay -inf.
    place = (values.double() + noise.gumbel(TOKEN, tokens)).argmax(dim=-1, keepdim=True)
    token = tokens.gather(1, place)
    value = logits.gather(1, token)
    return logits.fill_(-torch.inf).scatter_(1, token, value)
