"""Rows of speculative decoding: a request has one after its tokens, and one after each draft token.

Only the device knows which rows are whose. A request has its rows in the order of its draft tokens,
and the engine commits some of these tokens at the next step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Drafts:
    """The rows of every slot's request."""

    # [rows] int64: the number of draft tokens before the row
    before: Tensor
    # [slots] int64: the number of rows of each slot
    count: Tensor
    # [slots, most drafts + 1] int64: the row of each slot after so many draft tokens; after the
    # slot's last row, that row again
    row: Tensor

    @classmethod
    def of(cls, slot: Tensor, before: Tensor, *, slots: int, most: int) -> Drafts:
        """Returns the rows of `slots` slots; a slot has at most `most` draft tokens.

        `slot` and `before` ([rows] int64) are each row's slot and its number of draft tokens.
        """
        device = slot.device
        count = torch.zeros(slots, dtype=torch.int64, device=device)
        count.index_add_(0, slot, torch.ones_like(slot))
        number = torch.arange(most + 1, device=device)
        row = torch.zeros(slots * (most + 1), dtype=torch.int64, device=device)
        row[slot * (most + 1) + before.clamp_max(most)] = torch.arange(len(slot), device=device)
        last = torch.minimum(number, (count[:, None] - 1).clamp_min(0))
        return cls(before, count, row.view(slots, most + 1).gather(1, last))

    def after(self, slots: Tensor, number: int) -> Tensor:
        """Returns [n] int64: the row after `number` draft tokens of the slots [n], or the last."""
        return self.row[:, number].index_select(0, slots)
