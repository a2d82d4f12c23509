"""The tokens of a batch that decodes, for an engine that keeps them in a table of its own.

That table may lie in the host's memory, and a device reads it slowly. So the device keeps each
slot's text, and a step copies only what is new. The rows of a request's draft tokens read the same
text, with the draft tokens at its end. Without kernels every row's text is copied at every step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import to_device
from temperament.batch.device_chains import append_tokens
from temperament.batch.drafts import StepRows
from temperament.batch.kernel_choice import runs_kernels
from temperament.ops.history import History

_ROOM = 256  # positions for the tokens to come
_MOST_KEPT = 1024  # numbers of rows whose tensors are kept


class RunningTokens:
    """The texts of `slots` slots; a request has at most `drafts` draft tokens in a step."""

    def __init__(self, slots: int, device: torch.device, *, drafts: int = 0) -> None:
        self._device = device
        self._drafts = drafts
        self._kernels = runs_kernels(device)
        # [slots, capacity] int64, and [slots] int64: how many tokens of each text are there without
        # draft tokens. Created at the first step.
        self._tokens = torch.zeros(slots, 0, dtype=torch.int64)
        self._known = torch.zeros(slots, dtype=torch.int64)
        # slots whose text was replaced since the last step
        self._forgotten: set[int] = set()
        # by the number of rows
        self._histories: dict[int, History] = {}

    def forget(self, slot: int) -> None:
        """Drops the text of a slot."""
        self._forgotten.add(slot)

    def history(self, table: Tensor, prompts: Tensor, rows: StepRows, longest: int) -> History:
        """Returns each row's tokens: the committed ones, and then its draft tokens.

        `table` ([slots, positions]) has the committed tokens of every slot, `prompts` ([slots])
        their prompts' lengths. No row has more than `longest` tokens. The result holds until the
        next call.
        """
        if not self._kernels:
            return self._copied(table, prompts, rows, longest)
        if self._tokens.shape[1] < longest:
            self._grow(longest + _ROOM)
        if self._forgotten:
            slots = to_device(np.array(sorted(self._forgotten)), self._device)
            self._known.index_fill_(0, slots, 0)
            self._forgotten.clear()
        history = self._history(rows.slots.shape[0])
        append_tokens(table, prompts, rows, self._known, history)
        return history

    def _grow(self, capacity: int) -> None:
        old = self._tokens
        self._tokens = torch.zeros(old.shape[0], capacity, dtype=old.dtype, device=self._device)
        self._tokens[:, : old.shape[1]] = old
        self._known = self._known.to(self._device)
        self._histories.clear()

    def _history(self, rows: int) -> History:
        if rows not in self._histories:
            if len(self._histories) >= _MOST_KEPT:
                self._histories.clear()
            start, middle, end, text = self._tokens.new_zeros(4, rows)
            self._histories[rows] = History(self._tokens, start, middle, end, text=text)
        return self._histories[rows]

    def _copied(self, table: Tensor, prompts: Tensor, rows: StepRows, longest: int) -> History:
        slots, position = rows.slots.long(), rows.position.long()
        tokens = table[:, :longest].index_select(0, slots).long()
        number = torch.arange(len(slots), device=slots.device)
        for back in range(self._drafts if longest else 0):
            # The last token of the row `back` rows earlier has the position `position - back`.
            is_draft = back < rows.before
            fed = rows.fed[(number - back).clamp_min(0)].long()
            place = (position - back).clamp(0, tokens.shape[1] - 1)[:, None]
            old = tokens.gather(1, place)
            tokens.scatter_(1, place, torch.where(is_draft[:, None], fed[:, None], old))
        prompt_end = prompts.index_select(0, slots).long()
        return History(tokens, torch.zeros_like(prompt_end), prompt_end, position + 1)
