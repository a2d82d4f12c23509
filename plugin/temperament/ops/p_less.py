"""P-less: `keep p_i >= (sum p^k)^(1/(k-1))` for an order k, which is `sum p^2` for 2.

With Q = sum e^(k (x - max)) that is `x_i >= max(x) + (ln Q - ln S) / (k - 1)`. The maximum always
stays, and of equally likely tokens all: Q = S there. Source: `temperament.stages.p_less`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.compiled.constants import NO_MASS, PIECE
from temperament.ops.blocks import blocks
from temperament.ops.cut import keep_likely
from temperament.ops.exponential import set_masses
from temperament.ops.inputs import Column
from temperament.ops.sums import add_up, mass, squared_mass, sums


def apply(logits: Tensor, *, p_less: Column, p_less_order: Column) -> Tensor:
    """[rows, vocab] float32, changed in place."""
    maximum, total, squares = sums(logits, mass, squared_mass)
    order = p_less_order.per_row().double()
    powers = squares
    if p_less_order.low != 2 or p_less_order.high != 2:
        powers = torch.where(order == 2, squares, _powers(logits, maximum, p_less_order))
    share = (powers.log() - total.log()) / (order - 1)
    return keep_likely(logits, maximum, torch.where(p_less.per_row() > 0, share, -torch.inf))


def _powers(logits: Tensor, maximum: Tensor, order: Column) -> Tensor:
    """Returns the sum of e^(k (x - max)) over each row, [rows, 1] float64."""
    parts = logits.new_empty(logits.shape[0], -(-logits.shape[1] // PIECE))
    for block in blocks(logits, spare=4):
        distance, *spare = block.spare
        torch.sub(block.values, block.of(maximum), out=distance)
        distance.mul_(block.of(order.per_row())).clamp_(min=NO_MASS)
        parts[block.rows, block.pieces] = add_up(set_masses(distance, *spare))
    return add_up(parts.double())[:, None]
