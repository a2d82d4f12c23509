"""Changes the logits of the tokens that occur in a history, once or for each occurrence.

The cost follows the length of the history: no table of the size of the vocabulary is filled.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from temperament.ops.blocks import branches


def change_once(logits: Tensor, seen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Replaces the logit of each token in `seen` ([rows, n], -1 for none) by `change` of it, once.

    Each occurrence writes the same number, so the order doesn't matter; a -1 writes that of the
    row's largest token.
    """
    largest = seen.amax(1, keepdim=True)
    tokens = torch.where(seen < 0, largest, seen).clamp_min_(0).long()
    values = logits.gather(1, tokens)
    return logits.scatter_(1, tokens, torch.where(largest >= 0, change(values), values))


def subtract_each(logits: Tensor, seen: Tensor, loss: Tensor) -> Tensor:
    """Subtracts `loss` ([rows, 1]) for each occurrence of a token in `seen`, in place.

    Sorting brings equal tokens together. The last one of a run subtracts the loss of all of them;
    the others add -0.0, which changes no number.
    """
    ranked = seen if branches(seen) else seen.sort(dim=1).values
    position = torch.arange(ranked.shape[1], device=ranked.device, dtype=torch.int32)
    new = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (1, 1), value=True)
    first, last = new[:, :-1], new[:, 1:] & (ranked >= 0)
    times = position - torch.where(first, position, 0).cummax(1).values + 1
    lowered = torch.where(last, -(times * loss), -0.0)
    return logits.scatter_add_(1, ranked.clamp_min(0).long(), lowered)
