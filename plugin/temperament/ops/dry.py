"""DRY: `x_t - m b^(L - a)`, L the longest match that t would continue, if L >= a.

L is the length of the longest suffix of the history that also ends right before an earlier t,
inside the range and without crossing a breaker. A token that would complete a breaker loses
nothing. The penalty stays inside float32 for any L.
Source: `temperament.stages.dry`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Column, History, Matches, Texts
from temperament.stages.base import FLOAT32_MAX


def apply(
    logits: Tensor,
    *,
    dry_multiplier: Column,
    dry_base: Column,
    dry_allowed_length: Column,
    dry_range: Column,
    dry_sequence_breakers: Texts,
    history: History,
    matches: Matches,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    tokens, counts = history.spans(history.start, vocabulary=logits.shape[1])
    position = torch.arange(history.tokens.shape[1], device=logits.device)
    window = dry_range.values
    start = torch.where(window > 0, (history.end - window).maximum(history.start), history.start)
    broken = torch.where(dry_sequence_breakers.hits(history), position, -1).amax(1)
    since = history.end - 1 - broken.maximum(start - 1)
    # A match that is continued at a place ends right before it.
    length = matches.before().minimum(position - start[:, None]).minimum(since[:, None])
    allowed = dry_allowed_length.per_row()
    excess = (length - allowed).clamp_min(0)
    penalty = dry_multiplier.per_row() * (excess * dry_base.per_row().double().log()).exp()
    before = logits.gather(1, tokens)
    after = (before - penalty).clamp_min(-FLOAT32_MAX).float()
    counts &= ~dry_sequence_breakers.completes(history, tokens)
    lowered = torch.where(counts & (length >= allowed) & before.isfinite(), after, torch.inf)
    return logits.scatter_reduce_(1, tokens, lowered, "amin")
