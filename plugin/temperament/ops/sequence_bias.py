"""Sequence bias: `x_t + b` for the last token of a sequence whose other tokens end the history.

Sequences that end in the same token add up. Prompt and output count. Source: `temperament.stages`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.history import History
from temperament.ops.inputs import Sequences


def apply(logits: Tensor, *, sequence_bias: Sequences, history: History) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    value = torch.where(history.ends_with(sequence_bias), sequence_bias.value, -0.0)
    return logits.index_put_((sequence_bias.row, sequence_bias.last), value, accumulate=True)
