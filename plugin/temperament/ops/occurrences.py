"""How often each token of a history stands in it, without a table of the vocabulary's size.

A step costs the history's length, not the vocabulary's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import History
from temperament.ops.sorting import ascending_


def subtract(logits: Tensor, history: History, loss: Tensor, *, each: bool) -> Tensor:
    """Subtracts `loss` ([rows, 1]) from the tokens of the output: once, or for each occurrence.

    Equal tokens are brought together; the last of them takes the loss of all, the others -0.0,
    which leaves every number as it is.
    """
    tokens, counts = history.spans(history.prompt_end, vocabulary=logits.shape[1])
    ranked = ascending_(torch.where(counts, tokens, -1))
    position = torch.arange(ranked.shape[1], device=ranked.device)
    new = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (1, 1), value=True)
    first, last = new[:, :-1], new[:, 1:] & (ranked >= 0)
    times: Tensor | int = 1
    if each:
        times = position - torch.where(first, position, 0).cummax(1).values + 1
    lowered = torch.where(last, -(times * loss), -0.0)
    return logits.scatter_add_(1, ranked.clamp_min(0), lowered)
