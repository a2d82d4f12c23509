"""The V1 runner: rows are the places of its persistent batch, and requests move between them.

The runner tells which request joins, leaves and moves; a request's output tokens are read from the
list that the runner keeps, so a request that was preempted and comes back brings its history along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from temperament.batch.history import TokenLog
from temperament.batch.run import execute
from temperament.batch.table import Table
from temperament.engines.vllm.params import chain_of

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate


class V1Batch:
    """The rows of a V1 runner."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device) -> None:
        slots = vllm_config.scheduler_config.max_num_seqs
        self.table = Table(slots, device)
        self._log = TokenLog(slots, device)
        # row -> the runner's own list of the request's output, for rows that need the history
        self._outputs: dict[int, list[int]] = {}

    def update(self, update: BatchUpdate) -> None:
        """Follows the runner's removals, additions and moves, in that order."""
        from vllm.v1.sample.logits_processor import MoveDirectionality

        for row in update.removed:
            self.table.clear(row)
            self._outputs.pop(row, None)
        for row, params, prompt, output in update.added:
            self.table.write(row, chain_of(params))
            self._outputs.pop(row, None)
            if self.table.uses("history")[row]:
                self._log.write(row, prompt or [], output)
                self._outputs[row] = output
        for source, target, direction in update.moved:
            if direction == MoveDirectionality.SWAP:
                self.table.swap(source, target)
                self._log.swap(source, target)
                pair = self._outputs.pop(source, None), self._outputs.pop(target, None)
                moved = {target: pair[0], source: pair[1]}
            else:
                self.table.move(source, target)
                self._log.copy(source, target)
                self._outputs.pop(target, None)
                moved = {target: self._outputs.pop(source, None)}
            self._outputs.update((row, out) for row, out in moved.items() if out is not None)

    def apply(self, logits: Tensor) -> Tensor:
        """[rows, vocab] float32, changed in place."""
        slots = np.arange(logits.shape[0], dtype=np.int64)
        steps = self.table.steps(slots, logits.shape[1])
        if not steps:
            return logits
        history = None
        if self._outputs:
            self._catch_up()
            history = self._log.history(slots)
        return execute(logits, steps, history)

    def _catch_up(self) -> None:
        """Appends what the runner has added to its lists since the last step."""
        rows = list(self._outputs)
        ends = self._log.prompt_ends[rows] + [len(self._outputs[row]) for row in rows]
        behind = ends - self._log.ends[rows]
        if (behind == 1).all():
            last = torch.tensor([self._outputs[row][-1] for row in rows])
            self._log.append(last.to(self._log.device), np.array(rows))
            return
        for row, missing in zip(rows, behind, strict=True):
            if missing:
                self._log.rewrite_output(row, self._outputs[row])
