"""DRY: `x_t - m b^(L - a)`, L the longest match that t would continue, if L >= a.

L is the length of the longest suffix of the history that also ends right before an earlier t,
inside the range and without crossing a breaker. A token that would complete a breaker loses
nothing, nor does one that ends the text, if `dry_protect_ends`. The penalty stays inside float32
for any L.
Source: `temperament.stages.dry`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.automata import Texts
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Column, Ends
from temperament.stages.kinds import FLOAT32_MAX


def apply(
    logits: Tensor,
    *,
    dry_multiplier: Column,
    dry_base: Column,
    dry_allowed_length: Column,
    dry_range: Column,
    dry_sequence_breakers: Texts,
    dry_protect_ends: Column,
    history: History,
    matches: Matches,
    ends: Ends,
) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    end = (ends.tokens.row, ends.tokens.token)
    before_end = logits[end]
    allowed = dry_allowed_length.values
    row, position, token, length, counts = matches.continued(
        history, allowed[:, None], logits.shape[1]
    )
    window = dry_range.values
    start = torch.where(window > 0, (history.end - window).maximum(history.start), history.start)
    broken = dry_sequence_breakers.last_hit(history)
    since = history.end - 1 - broken.maximum(start - 1)
    # A match that is continued at a place ends right before it.
    length = length.minimum(position - start[row]).minimum(since[row])
    excess = (length - allowed[row]).clamp_min(0)
    penalty = dry_multiplier.values[row] * (excess * dry_base.values[row].double().log()).exp()
    before = logits[row, token]
    after = (before - penalty).clamp_min(-FLOAT32_MAX).float()
    counts = counts & (length >= allowed[row]) & before.isfinite()
    counts &= ~dry_sequence_breakers.completes(history, row, token)
    lowered = torch.where(counts, after, torch.inf)
    place = row * logits.shape[1] + token
    logits.view(-1).scatter_reduce_(0, place, lowered, "amin")
    spared = ends.tokens.counts & dry_protect_ends.values[ends.tokens.row]
    logits[end] = torch.where(spared, before_end, logits[end])
    return logits
