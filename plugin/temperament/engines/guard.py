"""The guard: an internal error in a decoding step costs one request its preset, never the engine.

In vLLM, and in Transformers' continuous batching, a logits processor can't fail a single request:
its exception ends the engine for every client. So a request whose stages raise goes on without its
preset; the error is logged and counted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Slots
from temperament.stages import BY_NAME

BATCH = "batch"  # reported instead of a stage if no stage raised the error

# (logits, the slots of their requests, their rows in the step or None for all rows) -> logits
Step = Callable[[Tensor, Slots, Tensor | None], Tensor]


class Counts(Protocol):
    """What the guard counts."""

    def step(self, seconds: float, switches: int) -> None:
        """Records a step of the batch, and the number of mode switches since the start."""

    def fallback(self, stage: str) -> None:
        """Records that a request lost its preset to an error in `stage`."""


class Guard:
    """Runs the steps of one runner.

    `give_up` makes one slot neutral and returns its preset's label. If that raises too, `restart`
    makes all slots neutral.
    """

    def __init__(
        self,
        logger: logging.Logger,
        counts: Counts,
        give_up: Callable[[int], str],
        restart: Callable[[], None],
    ) -> None:
        self._logger = logger
        self._counts = counts
        self._give_up = give_up
        self._restart = restart
        self._logged: set[tuple[str, type[Exception]]] = set()
        self._buffer = torch.zeros(0)
        # the part of the buffer that the last step used, in the shape of its logits
        self._copy = self._buffer

    def run(
        self,
        logits: Tensor,
        slots: Slots,
        step: Step,
        rows_of: Callable[[int], Tensor],
        switches: Callable[[], int],
        changes_once: Callable[[], bool] = lambda: False,
    ) -> Tensor:
        """Runs `step` on a batch; returns its [rows, vocab] float32 logits, changed in place.

        If it raises, `step` runs again for each slot alone, on the slot's original rows (`rows_of`
        returns their [n] int64 indices), so that the other requests get their usual logits. A slot
        that raises when it runs alone goes on without its preset. `switches` returns the number of
        mode switches so far, and `changes_once` whether a step that raises has changed no logit, so
        that none is copied.
        """
        begin = time.perf_counter()
        original = logits
        try:
            if not changes_once():
                original = self._copy_of(logits)
            changed = step(logits, slots, None)
        except Exception as caught:
            error = caught
        else:
            self._counts.step(time.perf_counter() - begin, switches())
            return changed
        if original is not logits:
            logits.copy_(original)
        failed = [
            slot for slot in slots.tolist() if self._fails(logits, original, slot, step, rows_of)
        ]
        if not failed:
            self._report(error, "no request")
        return logits

    def attempt(self, slot: int, work: Callable[[], object]) -> None:
        """Runs `work` for a slot's request; gives the slot up if it raises."""
        try:
            work()
        except Exception as error:
            self._fail(slot, error)

    def give_up_all(self, error: Exception) -> None:
        """Makes all slots neutral, since the data of their requests may be wrong."""
        self._restart()
        self._report(error, "every request")

    def _fails(
        self,
        logits: Tensor,
        original: Tensor,
        slot: int,
        step: Step,
        rows_of: Callable[[int], Tensor],
    ) -> bool:
        """Runs one slot's step; returns whether the slot was given up."""
        try:
            rows = rows_of(slot)
            changed = step(original.index_select(0, rows), np.array([slot]), rows)
            logits.index_copy_(0, rows, changed)
        except Exception as error:
            self._fail(slot, error)
            return True
        return False

    def _fail(self, slot: int, error: Exception) -> None:
        try:
            self._report(error, self._give_up(slot))
        except Exception as other:
            self.give_up_all(other)

    def _report(self, error: Exception, who: str) -> None:
        notes = getattr(error, "__notes__", ())
        stage = next((note for note in notes if note in BY_NAME), BATCH)
        kind = (stage, type(error))
        self._logger.error(
            "temperament: internal error: %s goes on without a preset; %s: %s, in %s",
            who or "a request",
            type(error).__name__,
            str(error)[:200],
            stage,
            exc_info=None if kind in self._logged else error,
        )
        self._logged.add(kind)
        self._counts.fallback(stage)

    def _copy_of(self, logits: Tensor) -> Tensor:
        """Returns a copy, [rows, vocab], in a buffer that all steps share."""
        if self._copy.shape != logits.shape or self._copy.device != logits.device:
            size = logits.numel()
            if self._buffer.numel() < size or self._buffer.device != logits.device:
                self._buffer = torch.empty(size, device=logits.device)
            self._copy = self._buffer[:size].view(logits.shape)
        return self._copy.copy_(logits)
