"""Top-k: `keep x_i >= x_(k)`, the k-th largest; all that are tied with it stay.

k of at least the vocabulary keeps everything. Source: `temperament.stages.top_k`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.cut import cut
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, top_k: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    vocabulary = logits.shape[1]
    if top_k.low >= vocabulary:
        return logits

    def threshold(values: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        count = values.shape[1]
        last = values.gather(1, k.clamp(max=count) - 1)
        if top_k.high < vocabulary:  # off in no row
            return last, k <= count
        off = k >= vocabulary
        return last.masked_fill(off, -torch.inf), (k <= count) | off

    return cut(logits, threshold, top_k.per_row(), most=int(top_k.high))
