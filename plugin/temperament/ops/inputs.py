"""What an op is given beside the logits: columns of parameters, tables of tokens, the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Column(NamedTuple):
    """One parameter of every row, with bounds that the host knows.

    A branch on `low` or `high` costs no synchronisation with the device. They bound the values of
    the whole batch, so an op may skip work by them, but never choose other arithmetic.
    """

    # [rows]
    values: Tensor
    low: float
    high: float

    @classmethod
    def of(
        cls, values: Sequence[float], *, integer: bool = False, device: str | torch.device = "cpu"
    ) -> Column:
        """A column of numbers from the host."""
        dtype = torch.int64 if integer else torch.float32
        tensor = torch.tensor(values, dtype=dtype, device=device)
        return cls(tensor, min(values, default=0), max(values, default=0))

    def per_row(self) -> Tensor:
        """[rows, 1], to be broadcast over the vocabulary."""
        return self.values[:, None]


class Tokens(NamedTuple):
    """A number for some tokens of some rows, each (row, token) once."""

    # [entries]
    row: Tensor
    # [entries]
    token: Tensor
    # [entries] float32
    value: Tensor


@dataclass(slots=True)
class History:
    """The tokens of every row so far. Valid are the positions `start` <= i < `end`."""

    # [rows, positions] int64; what lies outside start..end is never read as a token
    tokens: Tensor
    # [rows] int64
    start: Tensor
    # [rows] int64: where the prompt ends and the output begins
    prompt_end: Tensor
    # [rows] int64
    end: Tensor

    def select(self, rows: Tensor) -> History:
        """The history of some rows."""
        return History(
            self.tokens.index_select(0, rows),
            self.start.index_select(0, rows),
            self.prompt_end.index_select(0, rows),
            self.end.index_select(0, rows),
        )

    def spans(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids and whether each counts, for the positions `start` <= i < `end`.

        ([rows, positions] int64, [rows, positions] bool). Where a position doesn't count, its id
        is that of one that does, or 0 if the row has none: an op that writes the same number at
        every place of a token thus needs no mask.
        """
        position = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        counts = (position >= start[:, None]) & (position < self.end[:, None])
        last = (self.end - 1).clamp_min(0)[:, None]
        filler = torch.where(
            (self.end > start)[:, None], self.tokens.gather(1, last), self.tokens.new_zeros(1, 1)
        )
        return torch.where(counts, self.tokens, filler), counts
