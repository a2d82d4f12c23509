"""The mode of every row. A new token costs a few gathers on the device.

Nothing here waits for the device. The tokens that a new request has already are read once on the
host (`temperament.plan.automata.tracer.Tracer`); every later token is one step of the row's state
here. Both find the same modes for every text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Flags, Slots
from temperament.batch.matches import rebuild
from temperament.batch.mode_tables import ModeAutomata
from temperament.ops.blocks import branches
from temperament.ops.cut import entropy
from temperament.ops.history import History
from temperament.plan.automata.modes import (
    NO_RULE,
    SAME_MODE,
    TO_BACK,
    ModeAutomaton,
    Switching,
    mode_automaton,
)
from temperament.plan.automata.tracer import Tracer
from temperament.plan.automata.triggers import NO_TOKEN
from temperament.plan.vocabulary import TokenBytes
from temperament.presets.modes import MAX_DEPTH, MAX_MODES

# The fields of a slot's state, by number.
_AUTOMATON = 0  # the number of its automaton, -1 without modes
_MODE = 1
_STATE = 2  # of the automaton
_ENTERED = 3  # the number of output tokens before the mode began
_READ = 4  # the number of history tokens that were read
_TOP, _SIZE = 5, 6  # of the stack of modes that `back` returns to: a ring of MAX_DEPTH
_STEPS_HIGH, _STEPS_LOW = 7, 8  # steps in a row with entropy above and below the mode's bounds
# The entropy of the last step in nats, as the bits of a float64, and the step's position. It is
# counted only when the next token is read, because a runner may repeat a step with other logits:
# a prompt that is processed in parts has a step for each part.
_NATS, _NATS_STEP = 9, 10
_STACK = 11
_FIELDS = _STACK + MAX_DEPTH

_NO_AUTOMATON = -1

Fields = list[Tensor]  # by number, [rows] int64 each


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
    """

    def __init__(
        self,
        slots: int,
        device: torch.device | str = "cpu",
        vocabulary: Callable[[], TokenBytes] | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._automata = ModeAutomata(device)
        # [slots + 1, _FIELDS] int64; rows whose new state isn't kept write to the last one
        self._slot_fields = torch.zeros(slots + 1, _FIELDS, dtype=torch.int64, device=device)
        self._slot_fields[:, _AUTOMATON] = _NO_AUTOMATON
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

    def __bool__(self) -> bool:
        """Returns whether any slot has modes."""
        return bool(self._automaton_of)

    @property
    def switches(self) -> int:
        """Returns how often a mode has switched; on a device, up to the last call."""
        known = int(self._switched_known)
        if self._switched_known is not self._switched:
            self._switched_known.copy_(self._switched, non_blocking=True)
        return known

    def write(self, slot: int, switching: Switching) -> None:
        """Gives a slot modes, at the start of a text; `read` adds the tokens so far."""
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
        row = [0] * _FIELDS
        row[_AUTOMATON] = self._automata.number(self._automaton_of[slot])
        row[_MODE], row[_STATE] = text.mode, text.state
        row[_ENTERED], row[_READ] = text.entered, end
        row[_SIZE] = len(text.stack)
        row[_TOP] = len(text.stack) - 1
        row[_STACK : _STACK + len(text.stack)] = text.stack
        row[_NATS_STEP] = -1
        self._slot_fields[slot] = torch.tensor(row, dtype=torch.int64).to(self._slot_fields.device)
        self.known[slot] = end

    def clear(self, slot: int) -> None:
        """Removes a slot's modes."""
        if self._has_modes[slot]:
            self._set(slot, None)
            self._slot_fields[slot, _AUTOMATON] = _NO_AUTOMATON

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
        return self._slot_fields[slot].clone()

    def restore(self, slot: int, saved: Tensor) -> None:
        """Sets a slot with the same request to a saved state."""
        number = self._automata.number(self._automaton_of[slot])
        self._slot_fields[slot] = saved
        self._slot_fields[slot, _AUTOMATON] = number
        self.known[slot] = int(saved[_READ])

    def swap(self, one: int, other: int) -> None:
        """Exchanges the modes of two slots."""
        pair, reversed_pair = [one, other], [other, one]
        self._slot_fields[pair] = self._slot_fields[reversed_pair]
        self.known[pair] = self.known[reversed_pair]
        first, second = self._automaton_of.get(one), self._automaton_of.get(other)
        self._set(one, second)
        self._set(other, first)

    def reorder(self, parents: Tensor) -> None:
        """Gives each slot the state of slot `parents[i]`: [slots] int64."""
        self._slot_fields[:-1] = self._slot_fields.index_select(0, parents)

    def advance(
        self,
        history: History,
        slots: Tensor,
        most_new: int,
        *,
        logits: Tensor | None = None,
        repeats: bool = False,
        repeated: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> RowModes:
        """Reads the new tokens of a batch whose row i is slot `slots[i]`, and returns its modes.

        `most_new` bounds the number of new tokens of any row. `logits` ([rows, vocab], of this
        step) are needed if a row has a rule on entropy. `repeats` is whether a row has a rule on
        repetitions; it reads `repeated` ([rows, positions], the suffix matches at the history's
        end), or finds the matches itself. Only rows with `keep` ([rows] bool, None: all) change the
        state of their slot.
        """
        fields = list(self._slot_fields.index_select(0, slots).unbind(1))
        has = fields[_AUTOMATON] >= 0
        fields[_AUTOMATON] = fields[_AUTOMATON].clamp_min(0)
        entered = fields[_ENTERED]
        for _ in range(most_new):
            live = has & (fields[_READ] < history.end)
            if branches(live) and not bool(live.any()):
                break
            if logits is not None:
                self._count_entropy(fields, live, fields[_READ] - history.prompt_end)
            self._read_one(fields, live, history, repeats, repeated if most_new == 1 else None)
        generated = history.end - history.prompt_end
        # The entropy of this step decides the mode of its token, but isn't in the kept state yet.
        drawn = list(fields)
        if logits is not None:
            due = has & (fields[_READ] == history.end)
            nats = entropy(logits)[2][:, 0].double().view(torch.int64)
            fields[_NATS] = torch.where(due, nats, fields[_NATS])
            fields[_NATS_STEP] = torch.where(due, generated, fields[_NATS_STEP])
            drawn = list(fields)
            self._count_entropy(drawn, due, generated)
        mode, position = drawn[_MODE], (generated - drawn[_ENTERED]).clamp_min(0)
        if self._automata.tables.any_pending:
            mode, position = self._pending(drawn, position)
        fields[_AUTOMATON] = torch.where(has, fields[_AUTOMATON], _NO_AUTOMATON)
        switched = fields[_ENTERED] != entered
        self._switched += (switched if keep is None else switched & keep).sum()
        where = slots if keep is None else torch.where(keep, slots, self._slot_fields.shape[0] - 1)
        self._slot_fields.index_copy_(0, where, torch.stack(fields, 1))
        return RowModes(torch.where(has, mode, 0), torch.where(has, position, generated))

    def _set(self, slot: int, automaton: ModeAutomaton | None) -> None:
        if automaton is None:
            self._automaton_of.pop(slot, None)
        else:
            self._automaton_of[slot] = automaton
        self._has_modes[slot] = automaton is not None
        self._has_repeat_rule[slot] = automaton is not None and automaton.switching.repeats
        self._has_entropy_rule[slot] = automaton is not None and automaton.switching.uses_entropy

    def _read_one(
        self,
        fields: Fields,
        live: Tensor,
        history: History,
        repeats: bool,
        repeated: Tensor | None,
    ) -> None:
        """Reads one more token of the rows that are `live` ([rows] bool)."""
        tables = self._automata.tables
        position = fields[_READ].clamp(0, history.tokens.shape[1] - 1)
        token = history.tokens.gather(1, position[:, None])[:, 0]
        token = torch.where(live, token, NO_TOKEN)
        fields[_READ] = fields[_READ] + live
        count = fields[_READ] - history.prompt_end
        switched = torch.zeros_like(live)
        for _ in range(tables.longest_event + 1):
            # After a switch, the rest of the token is read in the new mode.
            if branches(token) and not bool((token != NO_TOKEN).any()):
                break
            token, switches = self._follow(fields, token, count)
            switched = switched | switches
        if not (tables.any_limit or repeats):
            return
        cell = self._cell(fields)
        due = live & ~switched & (count > 0)
        limit_rule = tables.counting.limit_rule[cell]
        over = count - fields[_ENTERED] >= tables.counting.limit[cell]
        rule = torch.where(due & over, limit_rule, NO_RULE)
        if repeats:
            again = due & self._repeats(fields, cell, history, repeated)
            other = torch.where(again, tables.counting.repeat_rule[cell], NO_RULE)
            rule = _earlier(rule, other)
        self._after_switch(fields, self._switch(fields, rule, count))

    def _follow(self, fields: Fields, token: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Reads [rows] tokens up to their first switch.

        Returns (the rests of the tokens after the switch, [rows] bool: which rows switched).
        """
        tables, automaton = self._automata.tables, fields[_AUTOMATON]
        after, event = tables.step(automaton, fields[_STATE], token)
        if branches(event) and not bool(event.any()):
            fields[_STATE] = after
            return torch.full_like(token, NO_TOKEN), torch.zeros_like(token, dtype=torch.bool)
        # [rows, longest event]
        marks = tables.marks[event]
        rules = tables.choice[marks, fields[_MODE][:, None]]
        back = tables.target[rules.clamp_min(0)] == TO_BACK
        taken = (rules != NO_RULE) & ~(back & (fields[_SIZE] == 0)[:, None])
        first = taken.int().argmax(1, keepdim=True)
        rule = torch.where(taken, rules, NO_RULE).gather(1, first)[:, 0]
        switches = self._switch(fields, rule, count)
        after_mark = tables.after_mark[marks.gather(1, first)[:, 0]]
        after_switch = tables.after_switch[tables.root[automaton] + after]
        state = torch.where(after_mark < 0, after_switch, after_mark)
        fields[_STATE] = torch.where(switches, state, after)
        rest = tables.rest(automaton, token, tables.mark_ends[event].gather(1, first)[:, 0])
        return torch.where(switches, rest, NO_TOKEN), switches

    def _after_switch(self, fields: Fields, switches: Tensor) -> None:
        """Sets the rows that switched ([rows] bool) to the state in which a mode begins."""
        if branches(switches) and not bool(switches.any()):
            return
        tables = self._automata.tables
        after = tables.after_switch[tables.root[fields[_AUTOMATON]] + fields[_STATE]]
        fields[_STATE] = torch.where(switches, after, fields[_STATE])

    def _repeats(
        self, fields: Fields, cell: Tensor, history: History, repeated: Tensor | None
    ) -> Tensor:
        """Returns [rows] bool: whether the last `span` tokens occur `times` times in the output."""
        counting = self._automata.tables.counting
        if repeated is None:
            shorter = History(history.tokens, history.start, history.prompt_end, fields[_READ])
            repeated = rebuild(shorter)
        span = counting.span[cell]
        position = torch.arange(repeated.shape[1], device=repeated.device)
        inside = position >= (history.prompt_end + span - 1)[:, None]
        found = (inside & (repeated >= span[:, None])).sum(1)
        return found >= counting.times[cell] - 1

    def _switch(self, fields: Fields, rule: Tensor, count: Tensor) -> Tensor:
        """Switches rows by a rule each; returns [rows] bool: which of them switched.

        `rule` ([rows] int64) is NO_RULE for a row that stays in its mode. `count` ([rows] int64) is
        the number of output tokens that were read. A rule to `back` does nothing if there is no
        mode to return to.
        """
        tables = self._automata.tables
        known = rule.clamp_min(0)
        target = tables.target[known]
        back = target == TO_BACK
        takes = (rule != NO_RULE) & ~(back & (fields[_SIZE] == 0))
        if branches(takes) and not bool(takes.any()):
            return takes
        push, pop = takes & ~back, takes & back
        stack = torch.stack(fields[_STACK:], 1)
        top = stack.gather(1, (fields[_TOP] % MAX_DEPTH)[:, None])[:, 0]
        above = (fields[_TOP] + 1) % MAX_DEPTH
        is_above = torch.arange(MAX_DEPTH, device=rule.device) == above[:, None]
        stack = torch.where(is_above & push[:, None], fields[_MODE][:, None], stack)
        fields[_STACK:] = list(stack.unbind(1))
        fields[_MODE] = torch.where(push, target, torch.where(pop, top, fields[_MODE]))
        below = (fields[_TOP] - 1) % MAX_DEPTH
        fields[_TOP] = torch.where(push, above, torch.where(pop, below, fields[_TOP]))
        size = fields[_SIZE] + push.long() - pop.long()
        fields[_SIZE] = size.clamp_max(MAX_DEPTH)
        entered = (count - tables.before[known].long()).clamp_min(0)
        fields[_ENTERED] = torch.where(takes, entered, fields[_ENTERED])
        fields[_STEPS_HIGH] = torch.where(takes, 0, fields[_STEPS_HIGH])
        fields[_STEPS_LOW] = torch.where(takes, 0, fields[_STEPS_LOW])
        return takes

    def _count_entropy(self, fields: Fields, rows: Tensor, count: Tensor) -> None:
        """Counts a step of high or low entropy, and switches by the rules on entropy.

        Only in the `rows` ([rows] bool) whose last entropy is of position `count` ([rows] int64).
        """
        counting = self._automata.tables.counting
        due = rows & (count >= 0) & (fields[_NATS_STEP] == count)
        nats = fields[_NATS].view(torch.float64)
        cell = self._cell(fields)
        high = torch.where(nats > counting.above[cell], fields[_STEPS_HIGH] + 1, 0)
        low = torch.where(nats < counting.below[cell], fields[_STEPS_LOW] + 1, 0)
        fields[_STEPS_HIGH] = torch.where(due, high, fields[_STEPS_HIGH])
        fields[_STEPS_LOW] = torch.where(due, low, fields[_STEPS_LOW])
        is_high = due & (high >= counting.above_steps[cell])
        is_low = due & (low >= counting.below_steps[cell])
        above = torch.where(is_high, counting.above_rule[cell], NO_RULE)
        below = torch.where(is_low, counting.below_rule[cell], NO_RULE)
        self._after_switch(fields, self._switch(fields, _earlier(above, below), count))

    def _pending(self, fields: Fields, position: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (mode, position) of the next token, [rows] int64 each.

        A rule that takes effect before its trigger's last token applies to every token that may
        complete the trigger.
        """
        tables = self._automata.tables
        state = tables.root[fields[_AUTOMATON]] + fields[_STATE]
        target = tables.pending[state, fields[_MODE]]
        stack = torch.stack(fields[_STACK:], 1)
        top = stack.gather(1, (fields[_TOP] % MAX_DEPTH)[:, None])[:, 0]
        previous = torch.where(fields[_SIZE] > 0, top, fields[_MODE])
        mode = torch.where(target == TO_BACK, previous, target)
        stays = (target == SAME_MODE) | ((target == TO_BACK) & (fields[_SIZE] == 0))
        return torch.where(stays, fields[_MODE], mode), torch.where(stays, position, 0)

    @staticmethod
    def _cell(fields: Fields) -> Tensor:
        """Returns [rows] int64: the row of each mode in the tables of counting rules."""
        return fields[_AUTOMATON] * MAX_MODES + fields[_MODE]


def _earlier(one: Tensor, other: Tensor) -> Tensor:
    """Returns [rows] int64: the rule that is first in the preset; either may be NO_RULE."""
    both = (one != NO_RULE) & (other != NO_RULE)
    return torch.where(both, one.minimum(other), one.maximum(other))
