"""Min-k: of the sorted logits `l_1 >= l_2 >= ...` keep k = max(cliff, floor(tau / R)).

`cliff` is the i with the largest `(l_i - l_(i+1)) / i`, the first of equal ones; R = l_1 - l_n is
the range of the n allowed logits, which doesn't change where the largest lies. Logits tied with the
k-th stay, so all do where R = 0. Source: `temperament.stages.min_k`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import PIECE
from temperament.ops.blocks import blocks
from temperament.ops.cut import cut
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, min_k: Column, min_k_tau: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    return cut(logits, _threshold, _smallest(logits), min_k_tau.per_row(), min_k.per_row() > 0)


def _smallest(logits: Tensor) -> Tensor:
    """Returns the smallest allowed logit, [rows, 1]; +inf where none is, NaN where one is."""
    parts = logits.new_empty(logits.shape[0], -(-logits.shape[1] // PIECE))
    for block in blocks(logits, spare=1):
        found = block.spare[0]
        torch.nan_to_num(block.values, torch.nan, torch.inf, torch.inf, out=found)
        parts[block.rows, block.pieces] = found.amin(-1)
    return parts.amin(-1, keepdim=True)


def _threshold(values: Tensor, smallest: Tensor, tau: Tensor, on: Tensor) -> tuple[Tensor, Tensor]:
    ranked, smallest = values.double(), smallest.double()
    count = values.shape[1]
    fall = (ranked[:, :-1] - ranked[:, 1:]).masked_fill(values[:, 1:] == -torch.inf, -1.0)
    rank = torch.arange(1, count, device=values.device)
    steepest, cliff = torch.nn.functional.pad(fall / rank, (0, 1), value=-1.0).max(-1, keepdim=True)
    extent = ranked[:, :1] - smallest
    fallback = (tau / extent).floor().nan_to_num(nan=0.0, posinf=torch.inf)
    # The rows with NaN or +inf, and those of only -inf, have no range and stay as they are.
    off = ~on | ~extent.isfinite()
    left = (values > -torch.inf).sum(-1, keepdim=True)
    last = torch.maximum(cliff, fallback.clamp(max=count).long() - 1)
    found = values.gather(1, torch.minimum(last, left - 1).clamp(min=0))
    # Further down, no fall is larger than the rest of the range, and no rank below `count`.
    later = (ranked[:, -1:] - smallest) / count
    sufficed = off | (left < count) | ((steepest >= later) & (fallback <= count))
    return found.masked_fill(off, -torch.inf), sufficed
