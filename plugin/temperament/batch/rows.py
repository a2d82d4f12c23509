"""The rows of an engine: everything that is kept for the requests in its slots.

An adapter calls `write` when a request gets a slot, `clear` and `swap` when requests leave or move,
and `run` at each step. An engine that keeps the tokens itself passes a `History` to `run`; for the
others `log` keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Flags, Places, Slots, Uploads, to_device
from temperament.batch.drafts import Drafts
from temperament.batch.places import SlotPlaces
from temperament.batch.request import Request
from temperament.batch.row_modes import Modes, RowModes
from temperament.batch.run import Context, execute, execute_expanded
from temperament.batch.states import Snapshot, States
from temperament.batch.suffix_matches import SuffixMatches, rebuild
from temperament.batch.table import Table
from temperament.batch.token_log import TokenLog
from temperament.ops.blocks import branches
from temperament.ops.history import History, Matches
from temperament.ops.inputs import Vocabulary
from temperament.ops.state import State
from temperament.plan.vocabulary import TokenBytes
from temperament.stages import BY_NAME

_MODES = "<modes>"  # in a snapshot, beside the stages' names

# The needs for which a row's tokens must be known.
TOKENS = ("history", "matches", "noise", "state", "ends")


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts about a batch of slots, which hold until a request comes, leaves or moves."""

    # never changed, so that `Rows` recognises a caller's array by identity alone
    slots: Slots
    # [rows] the place of each slot's first mode
    places: Places
    # [rows] int64 on the device: the slots
    index: Tensor
    # whether one of them has anything to run
    active: bool
    # whether their tokens, suffix matches, the bytes of tokens, or a position are read
    tokens: bool
    matches: bool
    vocabulary: bool
    scheduled: bool
    # the stages that have state
    stateful: tuple[str, ...]
    # the rows that have modes
    modal: Slots


class Rows:
    """The requests in `slots` slots, on `device`.

    A request with modes has a place in the table for each of them; its current mode decides which
    one runs.

    `vocabulary` returns the tokens' bytes; it is called when a request first needs them.
    `candidates` is whether a chain may run on a row's largest logits alone. `drafts` is the most
    draft tokens that a request has in a step.
    """

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
        *,
        candidates: bool = True,
        drafts: int = 0,
    ) -> None:
        self.device = torch.device(device)
        self.table = Table(slots, device, vocabulary, candidates=candidates)
        self.log = TokenLog(slots, device)
        self._matches = SuffixMatches(slots, device, drafts=drafts)
        self._drafts = drafts
        self._states = States(slots, device, drafts=drafts)
        self._modes = Modes(slots, device, vocabulary, drafts=drafts)
        self._places = SlotPlaces(self.table, slots, self.device)
        self._vocabulary = vocabulary
        # facts about the tokens, once a stage asks for them
        self._facts: Vocabulary | None = None
        # by needs: [slots] whether the slot has one of them; cleared when a request is written,
        # cleared or swapped
        self._used: dict[tuple[str, ...], Flags] = {}
        # [rows] int64: the mode of each row of the last batch that had modes, 0 without modes
        self.drawn_in: Tensor | None = None
        # slot -> its preset's label
        self._labels: dict[int, str] = {}
        self._uploads = Uploads(self.device)
        # a batch, and its answer of `changes_once`
        self._once: tuple[Batch, bool] | None = None
        # the last batch; None after a request was written, cleared or swapped
        self._last: Batch | None = None
        # a batch, the number of logits of a row, and the answer of `_views`
        self._viewed: tuple[Batch, int, dict[str, State]] | None = None

    def follows(self, slot: int) -> bool:
        """Returns whether the slot's request has a stage or a mode that reads its tokens."""
        return bool(self.uses(np.array([slot]), *TOKENS)[0])

    def label(self, slot: int) -> str:
        """Returns the label of the preset of a slot's request, "" if it has none."""
        return self._labels.get(slot, "")

    @property
    def switches(self) -> int:
        """Returns how many modes have switched so far; on a device, as of the last call."""
        return self._modes.switches

    def active(self, slots: Slots) -> bool:
        """Returns whether one of the slots has anything to run."""
        if self._last is not None and self._is(slots, self._last):
            return self._last.active
        return self.table.active(self._places.of(slots))

    def changes_once(self, slots: Slots, vocabulary: int) -> bool:
        """Returns whether an error in a step of these slots leaves the logits as they were."""
        batch = self.batch(slots)
        if self._once is None or self._once[0] is not batch:
            places = self._places.different(slots) if len(batch.modal) else batch.places
            once = self.table.changes_once(places, vocabulary)
            self._once = batch, once
        return self._once[1]

    def uses(self, slots: Slots, *needs: str) -> Flags:
        """Returns [rows] bool: whether a slot's request has one of these needs."""
        if needs not in self._used:
            used = np.asarray(self.table.uses(*needs)[self._places.every].any(axis=1))
            if self._modes and "history" in needs:
                used |= self._modes.has(np.arange(len(used)))
            self._used[needs] = used
        return np.asarray(self._used[needs][slots])

    def write(
        self, slot: int, request: Request, prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """Puts a request with its tokens so far into a slot, and removes the previous request."""
        self.clear(slot)
        self._forget_batch()
        if request.label:
            self._labels[slot] = request.label
        if request.switching is None:
            self.table.write(slot, request)
        else:
            for number, place in enumerate(self._places.take(slot, len(request.chains))):
                self.table.write(place, request.in_mode(number))
            self._modes.write(slot, request.switching)
        self._matches.forget(slot)
        self._states.forget(slot)
        if self.follows(slot):
            self.log.write(slot, prompt, output)
            self.read(slot, prompt, output)

    def read(
        self, slot: int, prompt: Sequence[int], output: Sequence[int], end: int | None = None
    ) -> None:
        """Finds the mode of a slot's request from its tokens so far.

        `end` is where these tokens end in the history, by default after all of them. A request
        without modes is left as it is.
        """
        if self._modes and self._modes.has(np.array([slot]))[0]:
            end = len(prompt) + len(output) if end is None else end
            self._modes.read(slot, list(prompt), list(output), end)

    def rewrite_output(self, slot: int, output: Sequence[int]) -> None:
        """Replaces the output tokens of a slot."""
        self.log.rewrite_output(slot, output)
        self.read(slot, *self.log.lists(slot))

    def clear(self, slot: int) -> None:
        """Removes the request of a slot."""
        self._forget_batch()
        self._labels.pop(slot, None)
        self._places.clear(slot)
        self._modes.clear(slot)

    def swap(self, one: int, other: int) -> None:
        """Exchanges the requests of two slots."""
        self._forget_batch()
        self.table.swap(one, other)
        labels = {one: self._labels.pop(other, ""), other: self._labels.pop(one, "")}
        self._labels.update((slot, label) for slot, label in labels.items() if label)
        self._places.swap(one, other)
        self.log.swap(one, other)
        self._matches.forget(one)
        self._matches.forget(other)
        self._states.swap(one, other)
        self._modes.swap(one, other)

    def _forget_batch(self) -> None:
        self._used.clear()
        self._last = None

    def reorder(self, parents: Tensor) -> None:
        """Gives each slot the matches, states and modes of slot `parents[i]`: [slots] int64.

        For an engine that keeps the tokens itself, and among slots of one request.
        """
        self._matches.reorder(parents)
        self._states.reorder(parents)
        self._modes.reorder(parents)

    def remembers(self, slot: int) -> bool:
        """Returns whether the slot has state that its tokens don't determine."""
        one = np.array([slot])
        return bool(self.uses(one, "state")[0] or self._modes.uses_entropy(one))

    def save(self, slot: int, generated: int | None = None) -> Snapshot:
        """Returns the state that the tokens don't determine, for a request that may come back.

        `generated` is how many tokens it has; it is needed if its last step had draft tokens.
        """
        saved: Snapshot = {}
        if self.uses(np.array([slot]), "state")[0]:
            if generated is not None:
                number = torch.tensor([slot, generated]).to(self.device)
                self._states.commit(number[:1], number[1:])
            saved = self._states.save(slot)
        if self._modes.uses_entropy(np.array([slot])):
            saved = {**saved, _MODES: (self._modes.save(slot),)}
        return saved

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Restores a snapshot of `save` for the same request, in any slot."""
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
        bounds: np.ndarray[Any, Any] | None = None,
        new: int = 0,
    ) -> Tensor:
        """Runs a batch whose row i is slot `slots[i]`: [rows, vocab] float32, changed in place.

        An engine that keeps the tokens itself passes its `history`. If the host knows the number of
        each row's tokens, it is in `ends` ([rows]); otherwise `bounds` are upper bounds of it, and
        `new` is the most tokens by which a row may have grown since its last step. Returns the
        logits.
        """
        vocabulary = logits.shape[1]
        batch = self.batch(slots)
        context = self._context(batch, vocabulary, history, ends, bounds)
        rows = batch.modal
        if not len(rows):
            return execute(logits, self.table.steps(batch.places, vocabulary), context)
        places = batch.places.copy()
        if history is None:
            ends = self.log.ends[slots]
        drawn = self._advance(rows, slots, logits, context, ends, new)
        if branches(logits):
            places[rows] = self._places.of(slots[rows])[np.arange(len(rows)), drawn.mode.numpy()]
            return execute(logits, self.table.steps(places, vocabulary), context)
        in_mode = self._places.in_mode(self._uploads.of("modal", slots[rows]), drawn.mode)
        index = self._uploads.of("places", places)
        index = index.index_copy(0, self._uploads.of("rows", rows), in_mode)
        steps = self.table.expanded_steps(self._places.different(slots), index, vocabulary)
        return execute_expanded(logits, steps, context)

    def run_expanded(
        self,
        logits: Tensor,
        slots: Slots,
        rows: Tensor,
        before: Tensor,
        history: History | None,
        *,
        bounds: np.ndarray[Any, Any] | None = None,
        new: int = 0,
    ) -> Tensor:
        """Runs a batch in which a request may have several rows: row i is slot `rows[i]` (int64).

        Row i comes after `before[i]` draft tokens; each slot has a row after none, after one, and
        so on. Only the device knows `rows`; the host knows that `slots` occur in it, each once, and
        that with its draft tokens slot `slots[i]` has at most `bounds[i]` tokens. Modes and states
        follow from committed tokens alone. `new` is the most tokens that were committed since the
        request's last step. Returns new logits.
        """
        vocabulary = logits.shape[1]
        batch = self.batch(slots)
        context = Context(history=history, vocabulary=self._tokens(batch, vocabulary))
        drafts = Drafts(rows, before, slots=len(self._places), most=self._drafts)
        if history is not None and self.uses(slots, "matches").any():
            context.matches = (
                Matches(rebuild(history.divided()))
                if history.text is None or bounds is None
                else self._matches.update(history, slots, bounds, drafts)
            )
        place = rows
        if history is not None and batch.scheduled:
            context.position = history.end - history.prompt_end
        if self._modes and self._modes.has(slots).any():
            assert history is not None
            drawn = self._modes.advance(
                history,
                rows,
                new,
                logits=logits if self._modes.uses_entropy(slots) else None,
                repeats=self._modes.repeats(slots),
                drafts=drafts,
            )
            place, context.position = self._places.in_mode(rows, drawn.mode), drawn.position
        places = self._places.different(slots)
        if not batch.stateful:
            return execute_expanded(
                logits, self.table.expanded_steps(places, place, vocabulary), context
            )
        # A state follows from the one a draft token earlier, so that a slot's rows run one after
        # another. A slot with fewer rows repeats its last one, which changes nothing.
        done = logits.clone()
        index = batch.index
        for number in range(self._drafts + 1):
            turn = drafts.after(index, number)
            part = context.select(turn)
            assert part.history is not None
            if number == 0:
                self._states.commit(index, part.history.end - part.history.prompt_end)
            part.states = self._views(batch, vocabulary, number)
            steps = self.table.expanded_steps(places, place.index_select(0, turn), vocabulary)
            changed = execute_expanded(logits.index_select(0, turn), steps, part)
            done.index_copy_(0, turn, changed)
        return done

    def _advance(
        self,
        rows: Slots,
        slots: Slots,
        logits: Tensor,
        context: Context,
        ends: np.ndarray[Any, Any] | None,
        new: int,
    ) -> RowModes:
        """Advances the modes of some rows of a batch to their last token.

        `rows` are the rows that have modes. Sets `drawn_in`, and the position of these rows in the
        context. Returns their modes.
        """
        modal = slots[rows]
        index = self._uploads.of("rows", rows)
        if ends is not None:
            new = max(0, int((ends[rows] - self._modes.known[modal]).max()))
            self._modes.known[modal] = np.maximum(self._modes.known[modal], ends[rows])
        history, matches = context.history, context.matches
        assert history is not None
        if len(rows) < len(slots):
            history = history.select(index)
            matches = None if matches is None else matches.select(index)
        drawn = self._modes.advance(
            history,
            self._uploads.of("modal", modal),
            new,
            logits=logits.index_select(0, index) if self._modes.uses_entropy(modal) else None,
            repeats=self._modes.repeats(modal),
            repeated=None if matches is None else matches.length,
        )
        if context.position is not None:
            context.position.index_copy_(0, index, drawn.position)
        self.drawn_in = torch.zeros(len(slots), dtype=torch.int64, device=self.device)
        self.drawn_in.index_copy_(0, index, drawn.mode)
        return drawn

    def batch(self, slots: Slots) -> Batch:
        """Returns what holds of a batch of slots; another object after each change of a request."""
        if self._last is None or not self._is(slots, self._last):
            self._last = self._described(slots.copy())
        return self._last

    @staticmethod
    def _is(slots: Slots, batch: Batch) -> bool:
        return slots is batch.slots or slots.tobytes() == batch.slots.tobytes()

    def _described(self, slots: Slots) -> Batch:
        places = self._places.of(slots)
        different = self._places.different(slots)
        stages = {stage for place in different for stage in self.table.stages(place)}
        repeats = bool(self._modes) and self._modes.repeats(slots)
        return Batch(
            slots,
            places[:, 0],
            self._uploads.of("slots", slots),
            self.table.active(places),
            bool(self.uses(slots, *TOKENS).any()),
            bool(self.uses(slots, "matches").any()) or repeats,
            bool(self.uses(slots, "vocabulary").any()),
            self.table.scheduled(places),
            tuple(sorted(stage for stage in stages if "state" in BY_NAME[stage].needs)),
            np.flatnonzero(self._modes.has(slots)),
        )

    def _context(
        self,
        batch: Batch,
        vocabulary: int,
        history: History | None,
        ends: np.ndarray[Any, Any] | None,
        bounds: np.ndarray[Any, Any] | None,
    ) -> Context:
        slots = batch.slots
        context = Context(vocabulary=self._tokens(batch, vocabulary))
        if not batch.tokens:
            return context
        if history is None:
            history, ends = self.log.history(slots), self.log.ends[slots]
        context.history = history
        if batch.scheduled:
            context.position = history.end - history.prompt_end
        if batch.matches:
            if ends is None and history.text is not None:
                ends = bounds  # which is enough for the kernel
            context.matches = (
                Matches(rebuild(history.divided()))
                if ends is None
                else self._matches.update(history, slots, ends)
            )
        if batch.stateful:
            if self._states.drafted:
                self._states.commit(batch.index, history.end - history.prompt_end)
            viewed = self._viewed
            if viewed is None or viewed[0] is not batch or viewed[1] != vocabulary:
                viewed = self._viewed = batch, vocabulary, self._views(batch, vocabulary)
            context.states = viewed[2]
        return context

    def _views(self, batch: Batch, vocabulary: int, entry: int = 0) -> dict[str, State]:
        """Returns the states of the stages that the slots have in any mode, by stage.

        For rows that come after `entry` draft tokens.
        """
        return {
            stage: self._states.view(stage, batch.index, vocabulary, entry)
            for stage in batch.stateful
        }

    def _tokens(self, batch: Batch, vocabulary: int) -> Vocabulary | None:
        if self._vocabulary is None or not batch.vocabulary:
            return None
        if self._facts is None or self._facts.newline.shape[0] != vocabulary:
            tokens = self._vocabulary().tokens[:vocabulary]
            newline = np.zeros(vocabulary, dtype=np.bool_)
            newline[: len(tokens)] = [b"\n" in token for token in tokens]
            self._facts = Vocabulary(to_device(newline, self.device))
        return self._facts
