"""The automata of all presets with modes that are in use, joined into one set of tables.

`temperament.plan.automata.mode_automaton` builds each of them. The joined tables have the states,
events, marks and rules of one automaton after those of another, so that a step of rows with
different presets is a few gathers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from temperament.batch.arrays import to_device
from temperament.batch.joining import join, starts
from temperament.ops.automata import Automata
from temperament.plan.automata.mode_automaton import (
    NO_RULE,
    SAME_MODE,
    CountingRules,
    ModeAutomaton,
    Switching,
)
from temperament.plan.automata.triggers import MAX_TOKEN_BYTES, NO_TOKEN
from temperament.presets.modes import MAX_MODES

KEPT = 64  # automata that are kept, unless more are in use


@dataclass(frozen=True)
class Tables:
    """The joined tables. States, events, marks and rules are numbered through all automata.

    A row's state is numbered within its automaton; adding `root` gives its number in the tables.
    """

    # `hit` is the number of the event within a token, 0 for none
    automata: Automata
    # the most exceptions that a state has
    exceptions: int
    # [automata] int64: the number of each automaton's state 0
    root: Tensor
    # [events, longest] int64: the marks of an event in order, then 0
    marks: Tensor
    # [events, longest] int64: the number of the token's bytes up to each mark, then 0
    mark_ends: Tensor
    # [marks] int64: the state of the row after a switch at a mark, SAME_STATE where that is
    # `after_switch` of the state after the token
    after_mark: Tensor
    # [states] int64: the state of the row after a switch in a state
    after_switch: Tensor
    # [rests] int64, ascending: (automaton * tokens + token) * MAX_TOKEN_BYTES + end
    rest_key: Tensor
    # [rests] int64: the id of what follows the first `end` bytes of the token
    rest_token: Tensor
    # [marks, MAX_MODES] int64: the rule that ends a mode at a mark, or NO_RULE
    choice: Tensor
    # [rules] int64: the mode that a rule leads to, or TO_BACK
    target: Tensor
    # [rules] bool: whether the trigger's last token belongs to the new mode
    before: Tensor
    # the rules that count, [automata * MAX_MODES] each
    counting: CountingRules[Tensor]
    # [states, MAX_MODES] int64: the mode of the next token if it may complete the trigger of a
    # rule that takes effect before its last token: a mode, TO_BACK, or SAME_MODE
    pending: Tensor
    # whether an entry of `pending` is another than SAME_MODE
    any_pending: bool
    # whether a rule counts the tokens of its mode
    any_limit: bool

    @property
    def longest_event(self) -> int:
        """Returns the most marks that an event has."""
        return self.marks.shape[1]

    @cached_property
    def for_kernel(self) -> list[Tensor]:
        """Returns the tables as the kernel reads them, in its order."""
        after, event, set_of, offset, key, other_after, other_event = self.automata
        counting = self.counting
        return [
            after,
            event.int(),
            set_of,
            offset,
            key,
            other_after,
            other_event.int(),
            self.root,
            self.marks,
            self.mark_ends,
            self.after_mark,
            self.after_switch,
            self.rest_key,
            self.rest_token,
            self.choice,
            self.target,
            self.before.view(torch.int8),
            counting.limit,
            counting.limit_rule,
            self.pending,
        ]

    def step(self, automaton: Tensor, state: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (the rows' states after a token, the events within it): [rows] int64 each.

        `automaton`, `state` and `token` are [rows] int64. A token without bytes, or outside the
        vocabulary, leaves the state as it is.
        """
        automata, root = self.automata, self.root[automaton]
        known = (token >= 0) & (token < automata.next.shape[1])
        token = torch.where(known, token, 0)
        after = automata.after(root + state, token, self.exceptions)
        event = automata.ends(root + state, token, self.exceptions).long()
        stays = ~known | (after < 0)
        return torch.where(stays, state, after - root), torch.where(known, event, 0)

    def rest(self, automaton: Tensor, token: Tensor, end: Tensor) -> Tensor:
        """Returns [rows] int64: the id of what follows the first `end` bytes of a token.

        NO_TOKEN where nothing does.
        """
        if not self.rest_key.shape[0]:
            return torch.full_like(token, NO_TOKEN)
        key = (automaton * self.automata.next.shape[1] + token) * MAX_TOKEN_BYTES + end
        index = torch.searchsorted(self.rest_key, key).clamp_max(self.rest_key.shape[0] - 1)
        return torch.where(self.rest_key[index] == key, self.rest_token[index], NO_TOKEN)


class ModeAutomata:
    """The automata in use, by number. An automaton keeps its number as long as a slot uses it."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._list: list[ModeAutomaton] = []
        self._number: dict[Switching, int] = {}
        # None after a change of the list
        self._tables: Tables | None = None

    @property
    def tables(self) -> Tables:
        """Returns the joined tables."""
        if self._tables is None:
            self._tables = self._join()
        return self._tables

    def get(self, switching: Switching) -> ModeAutomaton | None:
        """Returns the automaton of some modes and rules, if it was added."""
        number = self._number.get(switching)
        return None if number is None else self._list[number]

    def number(self, automaton: ModeAutomaton) -> int:
        """Returns the number of an automaton that was added."""
        return self._number[automaton.switching]

    def add(self, automaton: ModeAutomaton, in_use: Iterable[ModeAutomaton]) -> None:
        """Adds an automaton. If there are `KEPT` already, it replaces one that isn't `in_use`."""
        if automaton.switching in self._number:
            return
        self._tables = None
        number = len(self._list)
        if number >= KEPT:
            used = {id(one) for one in in_use}
            unused = (n for n, known in enumerate(self._list) if id(known) not in used)
            number = next(unused, number)
        if number < len(self._list):
            del self._number[self._list[number].switching]
            self._list[number] = automaton
        else:
            self._list.append(automaton)
        self._number[automaton.switching] = number

    def _join(self) -> Tables:
        triggers = [automaton.triggers for automaton in self._list]
        tokens = [automaton.triggers.tokens for automaton in self._list]
        # At least one column, so that tokens can be gathered even if no rule depends on them.
        size = max(1, *(len(table.next) for table in tokens))
        # All automata share event 0 and mark 0, with which nothing ends.
        first_event = starts(len(table.events) - 1 for table in tokens)
        first_mark = starts(len(one.marks) - 1 for one in triggers)
        first_rule = starts(len(automaton.switching.rules) for automaton in self._list)
        automata, roots = join(
            tokens,
            [_shift(t.event, first, 0) for t, first in zip(tokens, first_event, strict=False)],
            [
                _shift(t.exception_event, first, 0)
                for t, first in zip(tokens, first_event, strict=False)
            ],
            size,
            self._device,
        )
        marks, mark_ends = self._marks(first_event, first_mark)
        choice = [np.full((1, MAX_MODES), NO_RULE, dtype=np.int64)]
        rest_key = []
        for number, automaton in enumerate(self._list):
            choice.append(_shift(automaton.choice[1:], first_rule[number], NO_RULE))
            token, end = np.divmod(automaton.triggers.rest_key, MAX_TOKEN_BYTES)
            rest_key.append((number * size + token) * MAX_TOKEN_BYTES + end)
        after_mark = [state for one in triggers for _, state in one.marks[1:]]
        pending = np.concatenate([automaton.pending for automaton in self._list])
        # At least one rule, so that rules can be gathered for rows that have none.
        no_rule = np.zeros(1, dtype=np.int64)
        return Tables(
            automata=automata,
            exceptions=max(int(np.diff(t.first_exception).max(initial=0)) for t in tokens),
            root=self._tensor([roots]),
            marks=self._tensor([marks]),
            mark_ends=self._tensor([mark_ends]),
            after_mark=self._tensor([np.array([0, *after_mark])]),
            after_switch=self._tensor([np.array(t.bytes.after_switch, np.int64) for t in triggers]),
            rest_key=self._tensor(rest_key),
            rest_token=self._tensor([one.rest_token for one in triggers]),
            choice=self._tensor(choice),
            target=self._tensor([*(one.target for one in self._list), no_rule]),
            before=self._tensor([*(one.before for one in self._list), no_rule.astype(np.bool_)]),
            counting=self._counting(first_rule),
            pending=self._tensor([pending]),
            any_pending=bool((pending != SAME_MODE).any()),
            any_limit=any((one.counting.limit_rule != NO_RULE).any() for one in self._list),
        )

    def _marks(
        self, first_event: NDArray[np.int64], first_mark: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns [events, longest] each: the marks of every event, and their positions in it."""
        # At least one mark, so that the first one can be chosen even if no rule waits for a text.
        longest = max(1, *(automaton.longest_event for automaton in self._list))
        marks = np.zeros((int(first_event[-1]) + 1, longest), dtype=np.int64)
        ends = np.zeros_like(marks)
        for number, automaton in enumerate(self._list):
            events = automaton.triggers.tokens.events[1:]
            for row, event in enumerate(events, int(first_event[number]) + 1):
                marks[row, : len(event)] = [mark + first_mark[number] for _, mark in event]
                ends[row, : len(event)] = [end for end, _ in event]
        return marks, ends

    def _counting(self, first_rule: NDArray[np.int64]) -> CountingRules[Tensor]:
        columns = []
        for name in CountingRules._fields:
            parts = [getattr(automaton.counting, name) for automaton in self._list]
            if name.endswith("_rule"):
                parts = [
                    _shift(part, first, NO_RULE)
                    for part, first in zip(parts, first_rule, strict=False)
                ]
            columns.append(self._tensor(parts))
        return CountingRules(*columns)

    def _tensor(self, parts: Sequence[NDArray[Any]]) -> Tensor:
        return to_device(np.concatenate(parts), self._device)


def _shift(numbers: NDArray[Any], first: int, nothing: int) -> NDArray[Any]:
    """Returns one automaton's numbers as numbers in the joined tables; `nothing` stays."""
    return np.where(numbers == nothing, nothing, numbers + first).astype(numbers.dtype)
