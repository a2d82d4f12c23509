"""How often each token of a history stands in it, without a table of the vocabulary's size.

The counts live at the history's positions: a step costs the history's length, not the
vocabulary's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import History


def subtract(logits: Tensor, history: History, loss: Tensor, *, each: bool) -> Tensor:
    """Subtracts `loss` ([rows, 1]) from the tokens of the output: once, or for each occurrence."""
    tokens, counts = history.spans(history.prompt_end, vocabulary=logits.shape[1])
    values = logits.gather(1, tokens)
    if each:
        # Sorting brings equal tokens together; an occurrence's run length is their count.
        ranked, order = torch.where(counts, tokens, -1).sort(dim=1)
        first = torch.searchsorted(ranked, ranked, side="left")
        after = torch.searchsorted(ranked, ranked, side="right")
        times = after - first
        number = torch.empty_like(tokens).scatter_(1, order, times)
        # A filler stands for the row's largest token: its count is that token's.
        number = torch.where(counts, number, times[:, -1:])
        lowered = values - number.to(values.dtype) * loss
    else:
        lowered = values - loss
    return logits.scatter_(1, tokens, torch.where(counts.any(1, keepdim=True), lowered, values))
