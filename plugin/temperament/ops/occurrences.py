"""Changing the logits of the tokens that stand in a history, once or for each time.

A step costs the history's length, not the vocabulary's: there is no table of its size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from temperament.ops.blocks import branches


def change_once(logits: Tensor, seen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Puts `change` of its logit in place of each token seen ([rows, n], -1 for none).

    Every place of a token is written, with the same number, so the order doesn't matter; a place
    that doesn't count stands for the largest token that does.
    """
    largest = seen.amax(1, keepdim=True)
    tokens = torch.where(seen < 0, largest, seen).clamp_min_(0).long()
    values = logits.gather(1, tokens)
    return logits.scatter_(1, tokens, torch.where(largest >= 0, change(values), values))


def subtract_each(logits: Tensor, seen: Tensor, loss: Tensor) -> Tensor:
    """Subtracts `loss` ([rows, 1]) for each time that a token was seen, in place.

    Equal tokens are brought together; the last of them takes the loss of all, the others -0.0,
    which leaves every number as it is.
    """
    ranked = seen if branches(seen) else seen.sort(dim=1).values
    position = torch.arange(ranked.shape[1], device=ranked.device, dtype=torch.int32)
    new = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (1, 1), value=True)
    first, last = new[:, :-1], new[:, 1:] & (ranked >= 0)
    times = position - torch.where(first, position, 0).cummax(1).values + 1
    lowered = torch.where(last, -(times * loss), -0.0)
    return logits.scatter_add_(1, ranked.clamp_min(0).long(), lowered)
