"""The parameters of a stage as tensors: what an op takes beside the logits.

The tokens of the rows are in `history`, the automata of texts in `automata`, and what a stage
keeps from step to step in `state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class Column(NamedTuple):
    """One parameter of every row, with bounds that the host knows.

    A branch on `low` or `high` doesn't wait for the device. They bound the values of all
    rows of the batch, so an op may skip work by them, but never choose other arithmetic.
    """

    # [rows] float32, int64 or bool
    values: Tensor
    low: float
    high: float

    @classmethod
    def of(
        cls, values: Sequence[float], *, integer: bool = False, device: str | torch.device = "cpu"
    ) -> Column:
        """Returns a column of numbers from the host: int64 if `integer`, else float32."""
        dtype = torch.int64 if integer else torch.float32
        tensor = torch.tensor(values, dtype=dtype, device=device)
        return cls(tensor, min(values, default=0), max(values, default=0))

    def per_row(self) -> Tensor:
        """Returns the values as [rows, 1], which broadcasts over the vocabulary."""
        return self.values[:, None]

    def clamped(self) -> Column:
        """Returns the column with all values within the bounds.

        A row that doesn't take part in a step may hold any number; within the bounds it is
        harmless.
        """
        return self._replace(values=self.values.clamp(self.low, self.high))


class Tokens(NamedTuple):
    """A number for some tokens of some rows. Each (row, token) occurs once, unless documented.

    An entry whose `counts` is false only fills up a row that has fewer entries than others.
    """

    # [entries] int64
    row: Tensor
    # [entries] int64
    token: Tensor
    # [entries] float32
    value: Tensor
    # [entries] bool
    counts: Tensor


class Sequences(NamedTuple):
    """A number for some token sequences of some rows.

    An entry whose `counts` is false only fills up a row that has fewer entries than others.
    """

    # [entries] int64
    row: Tensor
    # [entries, longest] int64: the sequence without its last token, right-aligned, padded with -1
    prefix: Tensor
    # [entries] int64: the sequence's last token
    last: Tensor
    # [entries] float32
    value: Tensor
    # [entries] bool
    counts: Tensor

    def tokens(self) -> Tokens:
        """Returns the last tokens without their prefixes."""
        return Tokens(self.row, self.last, self.value, self.counts)


@dataclass(slots=True)
class Ends:
    """The token ids that end each row's text, and the most tokens that it may have."""

    # one entry for each id of each row; the values are 0
    tokens: Tokens
    # [rows] int64: the number of tokens that may be generated, -1 if unknown
    limit: Tensor


@dataclass
class Vocabulary:
    """Facts about the tokens themselves, the same for all rows."""

    # [vocabulary] bool: whether a token contains a newline
    newline: Tensor

    @cached_property
    def newline_bytes(self) -> Tensor:
        """Returns [vocabulary] int8, the same for kernels."""
        return self.newline.view(torch.int8)
