"""How often each token of a history stands in it, without a table of the vocabulary's size.

A step costs the history's length, not the vocabulary's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.inputs import History
from temperament.ops.sorting import ascending_


def subtract_once(logits: Tensor, history: History, loss: Tensor) -> Tensor:
    """Subtracts `loss` ([rows, 1]) from the tokens of the output, in place.

    Every place of a token is written, with the same number.
    """
    tokens, counts = history.spans(history.prompt_end, vocabulary=logits.shape[1])
    values = logits.gather(1, tokens)
    lowered = torch.where(counts.any(1, keepdim=True), values - loss, values)
    return logits.scatter_(1, tokens, lowered)


def subtract_each(logits: Tensor, history: History, loss: Tensor) -> Tensor:
    """Subtracts `loss` ([rows, 1]) for each time that a token stands in the output, in place.

    Equal tokens are brought together; the last of them takes the loss of all, the others -0.0,
    which leaves every number as it is.
    """
    tokens, counts = history.spans(history.prompt_end, vocabulary=logits.shape[1])
    # Ids are below 2^31, and half the bytes are sorted in half the time.
    ranked = ascending_(torch.where(counts, tokens, -1).int())
    position = torch.arange(ranked.shape[1], device=ranked.device, dtype=torch.int32)
    new = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (1, 1), value=True)
    first, last = new[:, :-1], new[:, 1:] & (ranked >= 0)
    times = position - torch.where(first, position, 0).cummax(1).values + 1
    lowered = torch.where(last, -(times * loss), -0.0)
    return logits.scatter_add_(1, ranked.clamp_min(0).long(), lowered)
