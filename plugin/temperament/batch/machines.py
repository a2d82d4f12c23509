"""The machines of all presets in use, in one set of tables on the device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.ops.automata import Automata
from temperament.plan.automata.modes import NO_RULE, SAME_MODE, CountingRules, ModeAutomaton
from temperament.plan.automata.triggers import MAX_TOKEN_BYTES, NO_TOKEN
from temperament.presets.modes import MAX_MODES

KEPT = 64  # machines, before those out of use are dropped


@dataclass(frozen=True)
class Tables:
    """Everything about some machines. A rule's number is that in the list of all their rules."""

    # `hit` holds the number of the event within a token, 0 for none
    automata: Automata
    # how many exceptions a state has at most
    exceptions: int
    # [machines] int64: the state of each in which nothing is matched
    root: Tensor
    # [events, longest] int64: the marks of an event, 0 behind the last, and their places
    marks: Tensor
    places: Tensor
    # [marks] int64: the machine's state after a switch there; -1: that behind the token, cleared
    cleared: Tensor
    # [states] int64: the machine's state after a switch
    cleared_state: Tensor
    # [rests] int64, ascending: the machine and place of a token; and what is left of it as a token
    rest_key: Tensor
    rest_token: Tensor
    # [marks, modes] int64: the rule that ends a mode there, or NO_RULE
    choice: Tensor
    # [rules] int64: the mode that it leads to
    target: Tensor
    # [rules] bool
    before: Tensor
    # [machines * modes] each
    counted: CountingRules[Tensor]
    # [states, modes] int64
    pending: Tensor
    any_pending: bool
    # whether a rule counts the tokens of its mode
    any_limit: bool
    width: int = MAX_MODES

    @property
    def longest_event(self) -> int:
        """How many marks an event has at most."""
        return self.marks.shape[1]

    def step(self, machine: Tensor, state: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """([rows] the state behind a token, [rows] the event within it), states by machine."""
        automata, root = self.automata, self.root[machine]
        known = (token >= 0) & (token < automata.next.shape[1])
        token = torch.where(known, token, 0)
        after = automata.after(root + state, token, self.exceptions)
        event = automata.ends(root + state, token, self.exceptions).long()
        stays = ~known | (after < 0)
        return torch.where(stays, state, after - root), torch.where(known, event, 0)

    def rest(self, machine: Tensor, token: Tensor, place: Tensor) -> Tensor:
        """[rows] what is left of a token behind a place, as a token."""
        if not self.rest_key.shape[0]:
            return torch.full_like(token, NO_TOKEN)
        key = (machine * self.automata.next.shape[1] + token) * MAX_TOKEN_BYTES + place
        found = torch.searchsorted(self.rest_key, key).clamp_max(self.rest_key.shape[0] - 1)
        return torch.where(self.rest_key[found] == key, self.rest_token[found], NO_TOKEN)


class Machines:
    """Machines by number. A number stays the machine's as long as a slot uses it."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._list: list[ModeAutomaton] = []
        self._tables: Tables | None = None

    @property
    def tables(self) -> Tables:
        """The tables of all."""
        if self._tables is None:
            self._tables = self._join()
        return self._tables

    def number(self, machine: ModeAutomaton) -> int:
        """The number of a machine that `use` was told of."""
        return next(i for i, known in enumerate(self._list) if known is machine)

    def use(self, machine: ModeAutomaton, in_use: Iterable[ModeAutomaton]) -> None:
        """Takes a machine up; beyond `KEPT`, in the place of one out of use."""
        if any(known is machine for known in self._list):
            return
        self._tables = None
        if len(self._list) >= KEPT:
            used = {id(one) for one in in_use}
            for place, known in enumerate(self._list):
                if id(known) not in used:
                    self._list[place] = machine
                    return
        self._list.append(machine)

    def _join(self) -> Tables:
        automata = [one.triggers.tokens for one in self._list]
        # A column at least, so that tokens may be gathered where no rule looks at one.
        size = max(1, *(len(a.next) for a in automata))
        states = np.array([a.states for a in automata])
        roots = np.cumsum(states) - states
        events = _starts([len(a.events) - 1 for a in automata])
        marks = _starts([len(one.triggers.marks) - 1 for one in self._list])
        rules = _starts([len(one.switching.rules) for one in self._list])
        exceptions = _starts([len(a.exception_token) for a in automata])
        plain, event = [], []
        for a, root, begin in zip(automata, roots, events, strict=False):
            stays = np.full(size, -1, dtype=np.int32)
            stays[: len(a.next)] = np.where(a.next < 0, -1, a.next.astype(np.int32) + root)
            plain.append(stays)
            none = np.zeros(size, dtype=np.int32)
            none[: len(a.event)] = np.where(a.event > 0, a.event + begin, 0)
            event.append(none)
        joined = Automata(
            self._to_device(np.stack(plain)),
            self._to_device(np.stack(event)),
            self._to_device(np.repeat(np.arange(len(automata)), states)),
            self._to_device(
                np.concatenate(
                    [*(a.first_exception[:-1] + begin
                       for a, begin in zip(automata, exceptions, strict=False)),
                     exceptions[-1:]]
                )
            ),
            self._to_device(
                np.concatenate(
                    [(np.repeat(np.arange(a.states), np.diff(a.first_exception)) + root) * size
                     + a.exception_token
                     for a, root in zip(automata, roots, strict=True)]
                )
            ),
            self._to_device(
                np.concatenate(
                    [np.where(a.exception_next < 0, -1, a.exception_next.astype(np.int32) + root)
                     for a, root in zip(automata, roots, strict=True)]
                )
            ),
            self._to_device(
                np.concatenate(
                    [np.where(a.exception_event > 0, a.exception_event + begin, 0)
                     for a, begin in zip(automata, events, strict=False)]
                )
            ),
        )  # fmt: skip
        longest = max(one.longest_event for one in self._list)
        event_marks = np.zeros((int(events[-1]) + 1, longest), dtype=np.int64)
        event_places = np.zeros_like(event_marks)
        rest_keys = [
            (one.triggers.rest_key // MAX_TOKEN_BYTES + number * size) * MAX_TOKEN_BYTES
            + one.triggers.rest_key % MAX_TOKEN_BYTES
            for number, one in enumerate(self._list)
        ]
        choice = [np.full((1, MAX_MODES), NO_RULE, dtype=np.int64)]
        pending, target = [], []
        for number, (one, a) in enumerate(zip(self._list, automata, strict=True)):
            for place, known in enumerate(a.events[1:], int(events[number]) + 1):
                event_marks[place, : len(known)] = [mark + marks[number] for _, mark in known]
                event_places[place, : len(known)] = [end for end, _ in known]
            choice.append(self._rules(one.choice[1:], rules[number]))
            target.append(one.target)
            pending.append(one.pending)
        counted = CountingRules(
            *(
                self._to_device(
                    np.concatenate(
                        [
                            self._rules(column, begin) if name.endswith("_rule") else column
                            for column, begin in zip(own, rules, strict=False)
                        ]
                    )
                )
                for name, own in zip(
                    CountingRules._fields,
                    zip(*(o.counting for o in self._list), strict=True),
                    strict=True,
                )
            )
        )
        none = np.zeros(1, dtype=np.int64)  # so that what no row takes may be gathered
        joined_pending = np.concatenate(pending)
        return Tables(
            automata=joined,
            exceptions=max(int(np.diff(a.first_exception).max(initial=0)) for a in automata),
            root=self._to_device(roots),
            marks=self._to_device(event_marks),
            places=self._to_device(event_places),
            cleared=self._to_device(
                np.array([0, *(c for one in self._list for _, c in one.triggers.marks[1:])])
            ),
            cleared_state=self._to_device(
                np.concatenate(
                    [np.array(one.triggers.bytes.after_switch, np.int64) for one in self._list]
                )
            ),
            rest_key=self._to_device(np.concatenate(rest_keys)),
            rest_token=self._to_device(np.concatenate([o.triggers.rest_token for o in self._list])),
            choice=self._to_device(np.concatenate(choice)),
            target=self._to_device(np.concatenate([*target, none])),
            before=self._to_device(
                np.concatenate([*(one.before for one in self._list), none.astype(np.bool_)])
            ),
            counted=counted,
            pending=self._to_device(joined_pending),
            any_limit=any((one.counting.limit_rule != NO_RULE).any() for one in self._list),
            any_pending=bool((joined_pending != SAME_MODE).any()),
        )

    @staticmethod
    def _rules(own: np.ndarray[Any, Any], begin: int) -> np.ndarray[Any, Any]:
        return np.where(own == NO_RULE, NO_RULE, own + begin)

    def _to_device(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)


def _starts(counts: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each begins if they stand one behind another, and where all end."""
    return np.cumsum([0, *counts])
