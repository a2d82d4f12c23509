"""The probabilities and the entropy of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """[rows, vocab] float64 that sum to 1 in each row."""
    return logits.double().softmax(-1)


def entropy(shares: Tensor) -> Tensor:
    """`-sum p ln p` in nats of each row of [rows, vocab] probabilities, where `0 ln 0 = 0`."""
    surprises: Tensor = torch.special.entr(shares)
    return surprises.sum(-1)
