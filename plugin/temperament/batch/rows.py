"""Everything that is kept of the requests in a batch, behind the verbs that all engines reduce to.

`write` a request into a slot, `clear`, `move` and `swap` slots, `run` a batch of them. Engines that
keep the tokens themselves pass a `History` to `run`; for the others `append` keeps them here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.heads import HeadSteps
from temperament.batch.history import TokenLog
from temperament.batch.matches import SuffixMatches, rebuild
from temperament.batch.run import execute, execute_expanded
from temperament.batch.states import Snapshot, States
from temperament.batch.table import BatchStep, Request, Slots, Table
from temperament.ops.inputs import Given, History, Matches, Vocabulary
from temperament.plan.vocabulary import TokenBytes

# Needs that are answered from the tokens: all but the vocabulary's own.
TOKENS = ("history", "matches", "noise", "state", "ends")


class Rows:
    """The requests in `slots` slots, on `device`."""

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
        *,
        heads: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.table = Table(slots, device, vocabulary, heads=heads)
        self.log = TokenLog(slots, device)
        self._matches = SuffixMatches(slots, device)
        self._states = States(slots, device)
        self._vocabulary = vocabulary
        self._newline: Tensor | None = None

    def follows(self, slot: int) -> bool:
        """Whether the slot's request has a stage that needs its tokens."""
        return bool(self.table.uses(*TOKENS)[slot])

    def write(
        self, slot: int, request: Request, prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """Gives a slot to a request with its tokens so far."""
        self.table.write(slot, request)
        self._matches.forget(slot)
        self._states.forget(slot)
        if self.follows(slot):
            self.log.write(slot, prompt, output)

    def clear(self, slot: int) -> None:
        """Takes a slot back."""
        self.table.clear(slot)

    def move(self, source: int, target: int) -> None:
        """The request in `source` goes on in `target`."""
        self.table.move(source, target)
        self.log.copy(source, target)
        self._matches.forget(target)
        self._states.copy(source, target)

    def swap(self, one: int, other: int) -> None:
        """The requests in two slots change places."""
        self.table.swap(one, other)
        self.log.swap(one, other)
        self._matches.forget(one)
        self._matches.forget(other)
        self._states.swap(one, other)

    def reorder(self, parents: Tensor) -> None:
        """Each slot goes on from what is remembered of another: `parents`, [slots] int64.

        For an engine that keeps the tokens itself, and among slots of one request.
        """
        self._matches.reorder(parents)
        self._states.reorder(parents)

    def save(self, slot: int) -> Snapshot:
        """What can't be had again from the tokens, for a request that may come back."""
        return self._states.save(slot) if self.table.uses("state")[slot] else {}

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Puts back what `save` kept."""
        self._states.restore(slot, saved)

    def run(
        self,
        logits: Tensor,
        slots: Slots,
        history: History | None = None,
        ends: np.ndarray[Any, Any] | None = None,
    ) -> Tensor:
        """Runs a batch whose row i is slot `slots[i]`: [rows, vocab] float32, changed in place.

        `history` has the engine's own tokens, and `ends` how many each row has, if the host knows.
        """
        steps = self.table.steps(slots, logits.shape[1])
        if not steps:
            return logits
        given = self._given(slots, logits, history, ends)
        return execute(logits, steps, given)

    def run_expanded(
        self, logits: Tensor, slots: Slots, rows: Tensor, history: History | None
    ) -> Tensor:
        """The same where a request has several rows and only the device knows which: `rows`."""
        steps = self.table.expanded_steps(slots, rows, logits.shape[1])
        given = Given(history=history, vocabulary=self._tokens(slots, logits.shape[1]))
        if history is not None and self.table.uses("matches")[slots].any():
            given.matches = Matches(rebuild(history))
        self._add_states(given, steps, rows, logits.shape[1])
        return execute_expanded(logits, steps, given)

    def _given(
        self,
        slots: Slots,
        logits: Tensor,
        history: History | None,
        ends: np.ndarray[Any, Any] | None,
    ) -> Given:
        given = Given(vocabulary=self._tokens(slots, logits.shape[1]))
        if not self.table.uses(*TOKENS)[slots].any():
            return given
        if history is None:
            history, ends = self.log.history(slots), self.log.ends[slots]
        given.history = history
        if self.table.uses("matches")[slots].any():
            given.matches = (
                Matches(rebuild(history))
                if ends is None
                else self._matches.update(history, slots, ends)
            )
        index = torch.from_numpy(np.ascontiguousarray(slots)).to(self.device)
        self._add_states(given, self.table.steps(slots, logits.shape[1]), index, logits.shape[1])
        return given

    def _add_states(
        self, given: Given, steps: Sequence[BatchStep | HeadSteps], slots: Tensor, vocabulary: int
    ) -> None:
        given.states = {
            step.stage: self._states.view(step.stage, slots, vocabulary)
            for step in steps
            if isinstance(step, BatchStep) and "state" in step.needs
        }

    def _tokens(self, slots: Slots, vocabulary: int) -> Vocabulary | None:
        if self._vocabulary is None or not self.table.uses("vocabulary")[slots].any():
            return None
        if self._newline is None:
            tokens = self._vocabulary().tokens[:vocabulary]
            marked = np.zeros(vocabulary, dtype=np.bool_)
            marked[: len(tokens)] = [b"\n" in token for token in tokens]
            self._newline = torch.from_numpy(marked).to(self.device)
        return Vocabulary(self._newline)
