"""The mode of every row. A new token costs a few gathers on the device.

Nothing here waits for the device. The tokens that a new request has already are read once on the
host (`temperament.plan.automata.tracer.Tracer`); every later token is one step of the row's state
here. Both find the same modes for every text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from temperament.batch import mode_entropy
from temperament.batch.arrays import Flags, Slots
from temperament.batch.device_chains import advance_modes
from temperament.batch.drafts import Drafts
from temperament.batch.kernel_choice import runs_kernels
from temperament.batch.mode_reading import TokenReader
from temperament.batch.mode_rules import next_mode
from temperament.batch.mode_state import (
    AUTOMATON,
    NO_AUTOMATON,
    READ,
    ModeState,
    packed_after,
    width,
)
from temperament.batch.mode_tables import ModeAutomata
from temperament.ops.blocks import branches
from temperament.ops.history import History
from temperament.plan.automata.mode_automaton import ModeAutomaton, Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes


@dataclass(frozen=True, slots=True)
class RowModes:
    """The modes in which the rows of a batch draw their next tokens."""

    # [rows] int64
    mode: Tensor
    # [rows] int64: the number of tokens in the mode so far
    position: Tensor


class Modes:
    """The modes of the requests in `slots` slots.

    `vocabulary` returns the tokens' bytes; it is called when a request's rules first need them.
    `drafts` is the most draft tokens that a request has in a step.
    """

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
        *,
        drafts: int = 0,
    ) -> None:
        self._vocabulary = vocabulary
        self._automata = ModeAutomata(device)
        self._drafts = drafts
        # [slots + 1, width] int64: a packed `ModeState`. Rows whose new state isn't kept write to
        # the last one.
        shape = (slots + 1, width(drafts + 1))
        self._packed = torch.zeros(shape, dtype=torch.int64, device=device)
        self._packed[:, AUTOMATON] = NO_AUTOMATON
        # slot -> its automaton
        self._automaton_of: dict[int, ModeAutomaton] = {}
        # [slots] on the host: whether the slot has modes, a rule on repetitions, one on entropy
        self._has_modes = np.zeros(slots, dtype=np.bool_)
        self._has_repeat_rule = np.zeros(slots, dtype=np.bool_)
        self._has_entropy_rule = np.zeros(slots, dtype=np.bool_)
        # [slots] on the host: the number of tokens that were read, where the host knows it
        self.known = np.zeros(slots, dtype=np.int64)
        # int64: the number of switches, on the device, and a copy of it on the host
        self._switched = torch.zeros((), dtype=torch.int64, device=device)
        on_device = self._switched.device.type != "cpu"
        self._switched_known = (
            torch.zeros((), dtype=torch.int64, pin_memory=True) if on_device else self._switched
        )
        self._kernels = runs_kernels(self._switched.device)
        # by the number of rows: 0, 1, ... and zeros, [rows]
        self._plain: dict[int, tuple[Tensor, Tensor]] = {}
        # what `switches` last returned, and how many more calls must read the copy again
        self._switches = self._unread = 0

    def __bool__(self) -> bool:
        """Returns whether any slot has modes."""
        return bool(self._automaton_of)

    @property
    def switches(self) -> int:
        """Returns how often a mode has switched; on a device, up to the last call."""
        if self._unread:
            self._unread -= 1
            self._switches = int(self._switched_known)
            if self._switched_known is not self._switched:
                self._switched_known.copy_(self._switched, non_blocking=True)
        return self._switches

    def write(self, slot: int, switching: Switching) -> None:
        """Gives a slot modes, at the start of a text; `read` adds the tokens so far."""
        automaton = self._automata.get(switching)
        if automaton is None:
            vocabulary = self._vocabulary if switching.why_tokenizer else None
            automaton = mode_automaton(switching, None if vocabulary is None else vocabulary())
        self._set(slot, automaton)
        self._automata.add(automaton, in_use=self._automaton_of.values())
        self.read(slot, [], [], 0)

    def read(self, slot: int, prompt: list[int], output: list[int], end: int) -> None:
        """Sets the state of a slot to that after its tokens.

        `end` is the position of the history from which later tokens are read.
        """
        text = Tracer(self._automaton_of[slot])
        text.read_prompt(prompt)
        text.read(output)
        number = self._automata.number(self._automaton_of[slot])
        packed = packed_after(text, number, end, self._drafts + 1)
        self._packed[slot] = packed.to(self._packed.device)
        self.known[slot] = end

    def clear(self, slot: int) -> None:
        """Removes a slot's modes."""
        if self._has_modes[slot]:
            self._set(slot, None)
            self._packed[slot, AUTOMATON] = NO_AUTOMATON

    def has(self, slots: Slots) -> Flags:
        """Returns [rows] bool: whether the slot has modes."""
        return np.asarray(self._has_modes[slots])

    def repeats(self, slots: Slots) -> bool:
        """Returns whether one of the slots has a rule on repetitions."""
        return bool(self._has_repeat_rule[slots].any())

    def uses_entropy(self, slots: Slots) -> bool:
        """Returns whether one of the slots has a rule on entropy, which the tokens don't show."""
        return bool(self._has_entropy_rule[slots].any())

    def save(self, slot: int) -> Tensor:
        """Returns a copy of a slot's state, for `restore`."""
        return self._packed[slot].clone()

    def restore(self, slot: int, saved: Tensor) -> None:
        """Sets a slot with the same request to a saved state."""
        number = self._automata.number(self._automaton_of[slot])
        self._packed[slot] = saved
        self._packed[slot, AUTOMATON] = number
        self.known[slot] = int(saved[READ])

    def swap(self, one: int, other: int) -> None:
        """Exchanges the modes of two slots."""
        pair, reversed_pair = [one, other], [other, one]
        self._packed[pair] = self._packed[reversed_pair]
        self.known[pair] = self.known[reversed_pair]
        first, second = self._automaton_of.get(one), self._automaton_of.get(other)
        self._set(one, second)
        self._set(other, first)

    def reorder(self, parents: Tensor) -> None:
        """Gives each slot the state of slot `parents[i]`: [slots] int64."""
        self._packed[:-1] = self._packed.index_select(0, parents)

    def advance(
        self,
        history: History,
        slots: Tensor,
        most_new: int,
        *,
        logits: Tensor | None = None,
        repeats: bool = False,
        repeated: Tensor | None = None,
        drafts: Drafts | None = None,
    ) -> RowModes:
        """Reads the new tokens of a batch whose row i is slot `slots[i]`, and returns its modes.

        `most_new` bounds the number of tokens that are new to any slot, without draft tokens.
        `logits` ([rows, vocab], of this step) are needed if a row has a rule on entropy. `repeats`
        is whether a row has a rule on repetitions; it reads `repeated` ([rows, positions], the
        suffix matches at the history's end), or finds the matches itself. `drafts` are the rows of
        each slot, None if a slot has one row. A slot keeps the state without draft tokens.
        """
        tables = self._automata.tables
        if self._kernels and logits is None and not repeats:
            return self._by_kernel(history, slots, most_new, drafts)
        state = ModeState.unpack(self._packed.index_select(0, slots))
        has_modes = state.automaton != NO_AUTOMATON
        # The tables need a number for every row; without modes, a row reads nothing in them.
        state.automaton = state.automaton.clamp_min(0)
        matches = repeated if most_new == 1 and drafts is None else None
        reader = TokenReader(tables, history, repeats, matches)
        uses_entropy = logits is not None
        committed = history.end if drafts is None else history.end - drafts.before
        switches = _read(reader, state, has_modes, committed, most_new, uses_entropy=uses_entropy)
        if logits is not None:
            complete, position = (
                has_modes & (state.read == committed),
                committed - history.prompt_end,
            )
            mode_entropy.record(state, complete, position, logits, slots, drafts)
        self._store(state, has_modes, slots, switches, drafts)
        # Draft tokens and the entropy of this step decide the mode of this step's tokens only: the
        # state that they lead to isn't stored.
        if drafts is not None:
            _read(reader, state, has_modes, history.end, self._drafts, uses_entropy=uses_entropy)
        generated = history.end - history.prompt_end
        if logits is not None:
            mode_entropy.count(tables, state, has_modes & (state.read == history.end), generated)
        mode, position = next_mode(tables, state, generated)
        return RowModes(
            torch.where(has_modes, mode, 0), torch.where(has_modes, position, generated)
        )

    def _by_kernel(
        self, history: History, slots: Tensor, most_new: int, drafts: Drafts | None
    ) -> RowModes:
        """Returns the same, without rules on repetitions and on entropy."""
        rows = slots.shape[0]
        if rows not in self._plain:
            order = torch.arange(rows, device=slots.device)
            self._plain[rows] = order, torch.zeros_like(order, dtype=torch.int32)
        order, before = self._plain[rows]
        most_drafts = 0
        if drafts is not None:
            before, most_drafts = drafts.before, self._drafts
        if history.text is None:
            history = replace(history, text=order)
        drawn = advance_modes(
            self._packed,
            slots,
            before,
            history,
            self._automata.tables.for_kernel,
            most_new,
            most_drafts,
            self._switched,
        )
        self._unread = 2
        return RowModes(*drawn)

    def _store(
        self,
        state: ModeState,
        has_modes: Tensor,
        slots: Tensor,
        switches: Tensor,
        drafts: Drafts | None,
    ) -> None:
        """Stores the state of the rows without draft tokens, and counts their `switches`."""
        stored = state.copy()
        stored.automaton = torch.where(has_modes, state.automaton, NO_AUTOMATON)
        if drafts is not None:
            first, unused = drafts.before == 0, self._packed.shape[0] - 1
            slots, switches = torch.where(first, slots, unused), torch.where(first, switches, 0)
        self._packed.index_copy_(0, slots, stored.pack())
        self._switched += switches.sum()
        self._unread = 2  # the next call starts the copy, and the one after it reads it

    def _set(self, slot: int, automaton: ModeAutomaton | None) -> None:
        if automaton is None:
            self._automaton_of.pop(slot, None)
        else:
            self._automaton_of[slot] = automaton
        self._has_modes[slot] = automaton is not None
        self._has_repeat_rule[slot] = automaton is not None and automaton.switching.repeats
        self._has_entropy_rule[slot] = automaton is not None and automaton.switching.uses_entropy


def _read(
    reader: TokenReader,
    state: ModeState,
    rows: Tensor,
    end: Tensor,
    most: int,
    *,
    uses_entropy: bool,
) -> Tensor:
    """Reads at most `most` tokens before `end` ([rows] int64), in some rows ([rows] bool).

    Returns [rows] int64: at how many of these tokens the mode switched.
    """
    switches = torch.zeros_like(end)
    for _ in range(most):
        unread = rows & (state.read < end)
        if branches(unread) and not bool(unread.any()):
            break
        before = state.entered
        if uses_entropy:
            position = state.read - reader.history.prompt_end
            mode_entropy.count(reader.tables, state, unread, position)
        reader.read(state, unread)
        switches += state.entered != before
    return switches
