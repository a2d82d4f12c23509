"""Tail-free sampling: keep while the cumulated, normalised `|p_i - 2 p_(i+1) + p_(i+2)|` is <= z.

p is sorted; a second difference counts for its middle token. So the first always stays, and at
z < 1 the last two go. What is tied with the last kept one stays. Fewer than three candidates, or
probabilities on a straight line (all tied, say): no-op. The differences' scale doesn't matter, so
masses e^(x - max) replace p; they are in float64, since near a flat top the differences are small,
and written out, so that their bits are the same on every processor.
The second differences after the m-th largest token sum to at most 2 p_(m-1). If the cut is the same
for a sum of 0 and of 2 p_(m-1), the m largest suffice; other rows are sorted. Source:
`temperament.stages.tfs`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS_64, STRAIGHT
from temperament.ops import compiled_rows
from temperament.ops.cut import cut
from temperament.ops.exponential import precise_masses
from temperament.ops.inputs import Column


def apply(logits: Tensor, *, tfs: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    if logits.shape[1] < 3:
        return logits
    if not compiled_rows.compiles(logits):
        return cut(logits, _threshold, tfs.per_row())
    return compiled_rows.tfs(logits, tfs.values)


def _threshold(values: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    wide = values.double()
    mass = precise_masses((wide - wide[:, :1]).clamp_(min=NO_MASS_64))
    first = mass[:, :-1] - mass[:, 1:]
    second = (first[:, :-1] - first[:, 1:]).abs_()
    running = second.masked_fill_(values[:, 2:] == -torch.inf, 0.0).cumsum(-1)
    known = running[:, -1:]
    unknown = (2 * mass[:, -2:-1]).masked_fill_(values[:, -1:] == -torch.inf, 0.0)
    # How many second differences are within z, if the unknown rest is 0 and if it is the largest
    fewest = (running <= z * known).sum(-1, keepdim=True)
    most = (running <= z * (known + unknown)).sum(-1, keepdim=True)
    off = z >= 1
    last = values.gather(1, fewest).masked_fill_(off | ~(known > STRAIGHT), -torch.inf)
    sufficed = (fewest == most) & (most < running.shape[1])
    return last, off | (unknown == 0) | sufficed
