"""The last guard: what raises in our code costs a request its preset, and never the engine.

vLLM gives a logits processor no way of failing one request: what it raises ends the engine for
everybody. So the request goes on neutral, from that step to its end; it's logged and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from vllm.logger import init_logger

from temperament.batch.table import Slots
from temperament.engines.vllm.meter import Meter
from temperament.stages import BY_NAME

logger = init_logger("vllm.temperament")

BATCH = "batch"  # stands for a stage where it was none

# (logits, the slots of their requests, which rows of the step they are: None for all) -> logits
Step = Callable[[Tensor, Slots, Tensor | None], Tensor]


class Guard:
    """Runs the steps of one runner.

    `give_up` makes a slot neutral and returns its preset's label; `restart` makes all slots
    neutral, should even that raise.
    """

    def __init__(
        self, meter: Meter, give_up: Callable[[int], str], restart: Callable[[], None]
    ) -> None:
        self._meter = meter
        self._give_up = give_up
        self._restart = restart
        self._logged: set[tuple[str, type[Exception]]] = set()
        self._kept = torch.zeros(0)

    def run(
        self,
        logits: Tensor,
        slots: Slots,
        step: Step,
        rows_of: Callable[[int], Tensor],
        switches: Callable[[], int],
    ) -> Tensor:
        """`step` on a batch: [rows, vocab] float32 logits, changed in place.

        If it raises, each of the `slots` has a step of its own, on its rows (`rows_of`, [n] int64)
        as they were, so that the others' logits are those that they would have been; a slot that
        raises alone is given up.
        """
        begin = time.perf_counter()
        kept = self._copy_of(logits)
        try:
            done = step(logits, slots, None)
        except Exception as caught:
            error = caught
        else:
            self._meter.step(time.perf_counter() - begin, switches())
            return done
        logits.copy_(kept)
        failed = [slot for slot in slots.tolist() if self._alone(logits, kept, slot, step, rows_of)]
        if not failed:  # alone, each of them can be run
            self._report(error, "nobody")
        return logits

    def attempt(self, slot: int, work: Callable[[], object]) -> None:
        """Whatever the runner tells of a slot's request. If it raises, the slot is given up."""
        try:
            work()
        except Exception as error:
            self._fail(slot, error)

    def lost(self, error: Exception) -> None:
        """What is kept of all requests is no longer to be trusted."""
        self._restart()
        self._report(error, "every request")

    def _alone(
        self,
        logits: Tensor,
        kept: Tensor,
        slot: int,
        step: Step,
        rows_of: Callable[[int], Tensor],
    ) -> bool:
        """One slot's step; whether it was given up."""
        try:
            rows = rows_of(slot)
            own = step(kept.index_select(0, rows), np.array([slot]), rows)
            logits.index_copy_(0, rows, own)
        except Exception as error:
            self._fail(slot, error)
            return True
        return False

    def _fail(self, slot: int, error: Exception) -> None:
        try:
            self._report(error, self._give_up(slot))
        except Exception as other:
            self.lost(other)

    def _report(self, error: Exception, who: str) -> None:
        notes = getattr(error, "__notes__", ())
        stage = next((note for note in notes if note in BY_NAME), BATCH)
        kind = (stage, type(error))
        logger.error(
            "temperament: an error of ours: %s goes on without a preset; %s: %s, in %s",
            who or "a request",
            type(error).__name__,
            str(error)[:200],
            stage,
            exc_info=None if kind in self._logged else error,
        )
        self._logged.add(kind)
        self._meter.fallback(stage)

    def _copy_of(self, logits: Tensor) -> Tensor:
        """[rows, vocab] in a buffer that is used at every step."""
        size = logits.numel()
        if self._kept.numel() < size or self._kept.device != logits.device:
            self._kept = torch.empty(size, device=logits.device)
        return self._kept[:size].view(logits.shape).copy_(logits)
