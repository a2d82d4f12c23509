"""Rows of speculative decoding: a request has one after its tokens, and one after each draft token.

Only the device knows which rows are whose. A request has its rows in the order of its draft tokens,
and the engine commits some of these tokens at the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class StepRows(NamedTuple):
    """The rows of a step, [rows] integers each. A request's rows follow each other."""

    slots: Tensor
    # the number of draft tokens before the row
    before: Tensor
    # where the row's last token is in its text, and which token that is
    position: Tensor
    fed: Tensor


@dataclass(frozen=True)
class Drafts:
    """The rows of every slot's request, of `slots` slots with at most `most` draft tokens."""

    # [rows] int64: the slot of each row
    slot: Tensor
    # [rows] of integers: the number of draft tokens before the row
    before: Tensor
    slots: int
    most: int

    @cached_property
    def count(self) -> Tensor:
        """[slots] int64: the number of rows of each slot."""
        count = torch.zeros(self.slots, dtype=torch.int64, device=self.slot.device)
        return count.index_add_(0, self.slot, torch.ones_like(self.slot))

    @cached_property
    def row(self) -> Tensor:
        """[slots, most + 1] int64: the row of each slot after 0, 1, ... draft tokens.

        After the slot's last row, that row is repeated.
        """
        slot, device = self.slot, self.slot.device
        number = torch.arange(self.most + 1, device=device)
        row = torch.zeros(self.slots * len(number), dtype=torch.int64, device=device)
        place = slot * len(number) + self.before.clamp_max(self.most)
        row[place] = torch.arange(len(slot), device=device)
        last = torch.minimum(number, (self.count[:, None] - 1).clamp_min(0))
        return row.view(self.slots, len(number)).gather(1, last)

    def after(self, slots: Tensor, number: int) -> Tensor:
        """Returns [n] int64: the row after `number` draft tokens of the slots [n], or the last."""
        return self.row[:, number].index_select(0, slots)
