"""The tokens of a batch that decodes, for an engine that keeps them in a table of its own.

That table may lie in the host's memory, and a device reads it slowly. So a batch's tokens are
copied once, and at each step only the new ones. Without kernels they are copied at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.device_chains import append_tokens, runs_kernels
from temperament.batch.rows import Batch
from temperament.ops.history import History

_ROOM = 256  # positions for the tokens to come


class RunningTokens:
    """The copy of the last batch's tokens."""

    def __init__(self, device: torch.device) -> None:
        self._kernels = runs_kernels(device)
        self._batch: Batch | None = None
        # [rows] the number of each row's tokens in the copy; `_NONE` where it isn't known
        self._known = np.zeros(0, dtype=np.int64)
        # [rows, room] int64, and [rows] int64 each
        self._tokens = torch.zeros(0, 0, dtype=torch.int64)
        self._end = self._start = self._prompt_end = torch.zeros(0, dtype=torch.int64)

    def history(
        self,
        batch: Batch,
        table: Tensor,
        prompt_ends: Tensor,
        position: Tensor,
        lengths: np.ndarray[Any, np.dtype[np.int64]],
    ) -> History:
        """Returns the tokens of a batch up to `position` ([rows] int64).

        `table` is [slots, positions], `prompt_ends` [slots]; `lengths` is `position` + 1 on the
        host, or more where it isn't known. The result holds until the next call.
        """
        longest = int(lengths.max())
        if batch is not self._batch:
            self._batch = None
            self._prompt_end = prompt_ends.index_select(0, batch.index).long()
            self._start = torch.zeros_like(self._prompt_end)
            self._tokens = self._tokens[:0, :0]
        if not self._kernels:
            tokens, end = (
                table[:, :longest].index_select(0, batch.index).long(),
                (position + 1).long(),
            )
        elif longest <= self._tokens.shape[1] and ((lengths - self._known) == 1).all():
            append_tokens(table, batch.index, position, self._tokens, self._end)
            tokens, end = self._tokens[:, :longest], self._end
        else:
            room = min(longest + _ROOM, table.shape[1])
            self._tokens = table[:, :room].index_select(0, batch.index).long()
            self._end = (position + 1).long()
            tokens, end = self._tokens[:, :longest], self._end
        self._batch, self._known = batch, lengths
        return History(tokens, self._start, self._prompt_end, end)
