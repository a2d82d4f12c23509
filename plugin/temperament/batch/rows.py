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

from temperament.batch.history import TokenLog
from temperament.batch.matches import SuffixMatches, rebuild
from temperament.batch.modes import Modes
from temperament.batch.run import Context, execute, execute_expanded
from temperament.batch.states import Snapshot, States
from temperament.batch.table import Request, Slots, Table
from temperament.ops.blocks import branches
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Vocabulary
from temperament.ops.state import State
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.modes import MAX_MODES
from temperament.stages import BY_NAME

_MODES = "<modes>"  # in a snapshot, beside the stages' names

# Needs that are answered from the tokens: all but the vocabulary's own.
TOKENS = ("history", "matches", "noise", "state", "ends")


class Rows:
    """The requests in `slots` slots, on `device`.

    In the table a request without modes has the place of its slot; one with modes has a place for
    each of them, behind those of all slots, and its mode tells which is run.
    """

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
        self._modes = Modes(slots, device, vocabulary)
        # [slots, modes] the place of each mode in the table; behind the last, the first once more
        self._places = np.repeat(np.arange(slots), MAX_MODES).reshape(slots, MAX_MODES)
        self._free: list[int] = []
        self._vocabulary = vocabulary
        self._newline: Tensor | None = None
        # needs -> [slots] whether a slot has one of them, until a request comes, goes or moves
        self._used: dict[tuple[str, ...], np.ndarray[Any, np.dtype[np.bool_]]] = {}
        # [rows] int64: the modes that the rows of the last batch were in, 0 without modes
        self.drawn_in: Tensor | None = None
        # slot -> its preset's label
        self._labels: dict[int, str] = {}

    def follows(self, slot: int) -> bool:
        """Whether the slot's request has a stage, or a mode, that needs its tokens."""
        return bool(self.uses(np.array([slot]), *TOKENS)[0])

    def label(self, slot: int) -> str:
        """The label of the preset of a slot's request, "" if it has none."""
        return self._labels.get(slot, "")

    @property
    def switches(self) -> int:
        """How many modes have switched so far, as far as is known without asking the device."""
        return self._modes.switches

    def active(self, slots: Slots) -> bool:
        """Whether one of the slots has anything to run."""
        return bool(self.table.program[self._places[slots]].any())

    def uses(self, slots: Slots, *needs: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """[rows] whether a slot's request needs one of these."""
        if needs not in self._used:
            used = np.asarray(self.table.uses(*needs)[self._places].any(axis=1))
            if self._modes and "history" in needs:
                used |= self._modes.has(np.arange(len(used)))
            self._used[needs] = used
        return np.asarray(self._used[needs][slots])

    def write(
        self, slot: int, request: Request, prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """Gives a slot to a request with its tokens so far."""
        self.clear(slot)
        self._used.clear()
        if request.label:
            self._labels[slot] = request.label
        if request.switching is None:
            self.table.write(slot, request)
        else:
            places = [self._take_place() for _ in request.chains]
            for number, place in enumerate(places):
                self.table.write(place, request.in_mode(number))
            self._places[slot] = [*places, *[places[0]] * (MAX_MODES - len(places))]
            self._modes.write(slot, request.switching)
        self._matches.forget(slot)
        self._states.forget(slot)
        if self.follows(slot):
            self.log.write(slot, prompt, output)
            self.read(slot, prompt, output)

    def read(
        self, slot: int, prompt: Sequence[int], output: Sequence[int], end: int | None = None
    ) -> None:
        """Tells what tokens a request with modes has had; `end`: where they end in the history."""
        if self._modes and self._modes.has(np.array([slot]))[0]:
            end = len(prompt) + len(output) if end is None else end
            self._modes.read(slot, list(prompt), list(output), end)

    def rewrite_output(self, slot: int, output: Sequence[int]) -> None:
        """The output tokens of a slot, whatever was known of them before."""
        self.log.rewrite_output(slot, output)
        self.read(slot, *self.log.lists(slot))

    def clear(self, slot: int) -> None:
        """Takes a slot back."""
        self._used.clear()
        self._labels.pop(slot, None)
        for place in set(self._places[slot].tolist()):
            self.table.clear(place)
            if place != slot:
                self._free.append(place)
        self._places[slot] = slot
        self._modes.clear(slot)

    def move(self, source: int, target: int) -> None:
        """The request in `source` goes on in `target`."""
        self.clear(target)
        self.swap(source, target)

    def swap(self, one: int, other: int) -> None:
        """The requests in two slots change places."""
        self._used.clear()
        self.table.swap(one, other)
        labels = {one: self._labels.pop(other, ""), other: self._labels.pop(one, "")}
        self._labels.update((slot, label) for slot, label in labels.items() if label)
        pair, turned = [one, other], [other, one]
        self._places[pair] = self._places[turned]
        for slot in pair:  # without modes, a slot's place is its own
            self._places[slot][self._places[slot] < len(self._places)] = slot
        self.log.swap(one, other)
        self._matches.forget(one)
        self._matches.forget(other)
        self._states.swap(one, other)
        self._modes.swap(one, other)

    def reorder(self, parents: Tensor) -> None:
        """Each slot goes on from what is remembered of another: `parents`, [slots] int64.

        For an engine that keeps the tokens itself, and among slots of one request.
        """
        self._matches.reorder(parents)
        self._states.reorder(parents)
        self._modes.reorder(parents)

    def remembers(self, slot: int) -> bool:
        """Whether something is kept of the slot that can't be had again from the tokens."""
        one = np.array([slot])
        return bool(self.uses(one, "state")[0] or self._modes.forgets(one))

    def save(self, slot: int) -> Snapshot:
        """What can't be had again from the tokens, for a request that may come back."""
        saved: Snapshot = {}
        if self.uses(np.array([slot]), "state")[0]:
            saved = self._states.save(slot)
        if self._modes.forgets(np.array([slot])):
            saved = {**saved, _MODES: (self._modes.save(slot),)}
        return saved

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Puts back what `save` kept."""
        self._states.restore(slot, {name: s for name, s in saved.items() if name != _MODES})
        if _MODES in saved:
            self._modes.restore(slot, saved[_MODES][0])

    def run(
        self,
        logits: Tensor,
        slots: Slots,
        history: History | None = None,
        ends: np.ndarray[Any, Any] | None = None,
        *,
        new: int = 0,
    ) -> Tensor:
        """Runs a batch whose row i is slot `slots[i]`: [rows, vocab] float32, changed in place.

        `history` has the engine's own tokens, and `ends` how many each row has, if the host knows;
        else `new` bounds how many are new in any row.
        """
        context = self._context(slots, logits, history, ends)
        modal = self._modes.has(slots) if self._modes else np.zeros(len(slots), dtype=np.bool_)
        places = self._places[slots, 0]
        if not modal.any():
            return execute(logits, self.table.steps(places, logits.shape[1]), context)
        rows = np.flatnonzero(modal)
        own = slots[rows]
        index = self._index(rows)
        assert context.history is not None
        if ends is None and history is None:
            ends = self.log.ends[slots]
        if ends is not None:
            new = max(0, int((ends[rows] - self._modes.known[own]).max()))
            self._modes.known[own] = np.maximum(self._modes.known[own], ends[rows])
        past, matches = context.history, context.matches
        if len(rows) < len(slots):
            past = past.select(index)
            matches = None if matches is None else Matches(matches.length.index_select(0, index))
        drawn = self._modes.advance(
            past,
            self._index(own),
            new,
            logits=logits.index_select(0, index) if self._modes.forgets(own) else None,
            repeats=self._modes.repeats(own),
            repeated=None if matches is None else matches.length,
        )
        if context.position is not None:
            context.position.index_copy_(0, index, drawn.position)
        self.drawn_in = torch.zeros(len(slots), dtype=torch.int64, device=self.device)
        self.drawn_in.index_copy_(0, index, drawn.mode)
        if branches(logits):
            places[rows] = self._places[own, drawn.mode.numpy()]
            return execute(logits, self.table.steps(places, logits.shape[1]), context)
        place = self._index(places)
        place.index_copy_(0, index, self._place(self._index(own), drawn.mode))
        everything = np.unique(self._places[slots])
        steps = self.table.expanded_steps(everything, place, logits.shape[1])
        return execute_expanded(logits, steps, context)

    def run_expanded(
        self,
        logits: Tensor,
        slots: Slots,
        rows: Tensor,
        history: History | None,
        *,
        first: Tensor | None = None,
        new: int = 0,
    ) -> Tensor:
        """The same where a request has several rows and only the device knows which: `rows`.

        `first` ([rows] bool) are the rows with no draft tokens, one for each request.
        """
        context = Context(history=history, vocabulary=self._tokens(slots, logits.shape[1]))
        repeats = bool(self._modes) and self._modes.repeats(slots)
        if history is not None and self.uses(slots, "matches").any():
            context.matches = Matches(rebuild(history))
        place = rows
        if history is not None:
            context.position = history.end - history.prompt_end
        if self._modes and self._modes.has(slots).any():
            assert history is not None
            drawn = self._modes.advance(
                history,
                rows,
                new,
                logits=logits if self._modes.forgets(slots) else None,
                repeats=repeats,
                keep=first,
            )
            place, context.position = self._place(rows, drawn.mode), drawn.position
        everything = np.unique(self._places[slots])
        steps = self.table.expanded_steps(everything, place, logits.shape[1])
        context.states = self._views(slots, rows, logits.shape[1])
        return execute_expanded(logits, steps, context)

    def _context(
        self,
        slots: Slots,
        logits: Tensor,
        history: History | None,
        ends: np.ndarray[Any, Any] | None,
    ) -> Context:
        context = Context(vocabulary=self._tokens(slots, logits.shape[1]))
        if not self.uses(slots, *TOKENS).any():
            return context
        if history is None:
            history, ends = self.log.history(slots), self.log.ends[slots]
        context.history = history
        context.position = history.end - history.prompt_end
        if self.uses(slots, "matches").any() or (self._modes and self._modes.repeats(slots)):
            context.matches = (
                Matches(rebuild(history))
                if ends is None
                else self._matches.update(history, slots, ends)
            )
        context.states = self._views(slots, self._index(slots), logits.shape[1])
        return context

    def _views(self, slots: Slots, rows: Tensor, vocabulary: int) -> dict[str, State]:
        """The states of the stages that requests in `slots` have in any mode; `rows`: whose."""
        if not self.uses(slots, "state").any():
            return {}
        stages = {s for place in np.unique(self._places[slots]) for s in self.table.stages(place)}
        return {
            stage: self._states.view(stage, rows, vocabulary)
            for stage in stages
            if "state" in BY_NAME[stage].needs
        }

    def _tokens(self, slots: Slots, vocabulary: int) -> Vocabulary | None:
        if self._vocabulary is None or not self.uses(slots, "vocabulary").any():
            return None
        if self._newline is None:
            tokens = self._vocabulary().tokens[:vocabulary]
            marked = np.zeros(vocabulary, dtype=np.bool_)
            marked[: len(tokens)] = [b"\n" in token for token in tokens]
            self._newline = torch.from_numpy(marked).to(self.device)
        return Vocabulary(self._newline)

    def _take_place(self) -> int:
        if not self._free:
            before = self.table.slots
            self.table.grow(max(len(self._places), MAX_MODES))
            self._free = list(range(self.table.slots - 1, before - 1, -1))
        return self._free.pop()

    def _place(self, slots: Tensor, modes: Tensor) -> Tensor:
        """[rows] the table's place of each row's mode, on the device."""
        return self._index(self._places.reshape(-1))[slots * MAX_MODES + modes]

    def _index(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, non_blocking=True)
