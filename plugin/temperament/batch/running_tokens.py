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
        # the `lengths` of the next step ([rows], as bytes) if every row grows by one token, and
        # the largest of them
        self._next, self._longest = b"", 0
        nothing = torch.zeros(0, dtype=torch.int64)
        # has room for tokens to come; what stands at and after a row's end is undefined
        self._copy = History(nothing[:, None], nothing, nothing, nothing)

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
        room = self._copy.tokens.shape[1]
        grown = batch is self._batch and lengths.tobytes() == self._next
        if grown and self._kernels and self._longest <= room:
            append_tokens(table, batch.index, position, self._copy.tokens, self._copy.end)
            self._copy.seen_in_output = None
        else:
            self._longest = int(lengths.max())
            self._copy = self._copied(batch, table, prompt_ends, position)
        # This comes last: if the above raises, the same step runs again.
        self._batch, self._next, self._longest = batch, (lengths + 1).tobytes(), self._longest + 1
        return self._copy

    def _copied(
        self, batch: Batch, table: Tensor, prompt_ends: Tensor, position: Tensor
    ) -> History:
        start, prompt_end = self._copy.start, self._copy.prompt_end
        if batch is not self._batch:
            prompt_end = prompt_ends.index_select(0, batch.index).long()
            start = torch.zeros_like(prompt_end)
        width = min(self._longest + (_ROOM if self._kernels else 0), table.shape[1])
        tokens = table[:, :width].index_select(0, batch.index).long()
        return History(tokens, start, prompt_end, (position + 1).long())
