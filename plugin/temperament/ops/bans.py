"""Removes tokens, but never all of a row: its best token stays.

If bans would remove every token of a row, the one with the largest logit stays: a decoding step
must not fail, and an engine would draw at random from a row of only -inf.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import Tokens


def ban(logits: Tensor, tokens: Tokens, active: Tensor | None = None) -> Tensor:
    """Removes tokens, in place: those of the `active` entries ([entries] bool), by default all."""
    if tokens.row.shape[0] == 0:
        return logits
    place = (tokens.row, tokens.token)
    before = logits[place]
    active = tokens.counts if active is None else active & tokens.counts
    # A token may have an active and an inactive entry: the lower bound of the two counts.
    bound = torch.where(active, -torch.inf, torch.inf)
    flat = logits.view(-1)
    index = tokens.row * logits.shape[1] + tokens.token
    flat.scatter_reduce_(0, index, bound, "amin")
    gone = (logits.amax(dim=-1) == -torch.inf)[tokens.row]
    lost = torch.where(gone, before, -torch.inf)
    best = logits.new_full((logits.shape[0],), -torch.inf)
    best.scatter_reduce_(0, tokens.row, lost, "amax")
    stays = torch.where(gone & (before == best[tokens.row]), before, -torch.inf)
    flat.scatter_reduce_(0, index, stays, "amax")
    return logits


def ban_mask(logits: Tensor, mask: Tensor) -> Tensor:
    """Removes the tokens of a mask ([rows, vocabulary] bool), in place."""
    best = logits.amax(dim=-1, keepdim=True)
    left = (~mask & (logits > -torch.inf)).any(dim=-1, keepdim=True)
    return logits.masked_fill_(mask & (left | (logits < best)), -torch.inf)
