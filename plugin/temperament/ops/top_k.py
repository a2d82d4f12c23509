"""Top-k: `keep x_i >= x_(k)`, the k-th largest; all that are tied with it stay.

k of at least the vocabulary keeps everything. Source: `temperament.stages.top_k`.
"""

from __future__ import annotations

from torch import Tensor

from temperament.ops.cut import keep_at_least, largest
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, top_k: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    vocabulary = logits.shape[1]
    if top_k.low >= vocabulary:
        return logits
    values = largest(logits, min(int(top_k.high), vocabulary))
    place = top_k.values.clamp(max=values.shape[1]) - 1
    threshold = values.gather(1, place[:, None])
    if top_k.high >= vocabulary:
        threshold = threshold.masked_fill(top_k.per_row() >= vocabulary, float("-inf"))
    return keep_at_least(logits, threshold)
