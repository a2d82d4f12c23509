"""A text followed through its modes on the host: what `batch.modes` does on tensors.

It reads what was there before a request came into a batch, and tells where a text switched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from temperament.plan.machine import NONE, STAYS, TO_BACK, Machine
from temperament.plan.triggers import STAYS as STAYS_THERE
from temperament.presets.modes import MAX_DEPTH

PROMPT_TOKENS = 4096  # of a prompt's last turn are read at most


@dataclass(frozen=True, slots=True)
class Switch:
    """One change of mode. Modes and rule are indices."""

    # the first token of the output that belongs to the new mode; 0 where the prompt switched
    token: int
    # how many bytes of the token in which the trigger ended belong to the trigger; 0 without a text
    byte: int
    rule: int
    source: int
    target: int


@dataclass
class Follower:
    """One text. `mode` is that of the next token, as far as the tokens tell."""

    machine: Machine
    mode: int = field(init=False)
    state: int = field(init=False)
    # how many tokens of the output were read, and at which of them the mode began
    count: int = 0
    entered: int = 0
    stack: list[int] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    _output: list[int] = field(default_factory=list)
    # for each token of the output: how long a suffix of the output ends there too
    _matches: np.ndarray[tuple[int], np.dtype[np.int64]] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )

    def __post_init__(self) -> None:
        self.mode = self.machine.switching.first
        self.state = self.machine.table.bytes.start

    @property
    def drawn_in(self) -> int:
        """The mode that the next token is drawn in."""
        pending = int(self.machine.pending[self.state, self.mode])
        if pending == TO_BACK:
            return self.stack[-1] if self.stack else self.mode
        return self.mode if pending == STAYS else pending

    def read_prompt(self, prompt: Sequence[int]) -> None:
        """Follows a prompt's last turn, if the preset starts with `auto`."""
        if not self.machine.switching.auto:
            return
        begin = len(prompt)
        stop = max(0, len(prompt) - PROMPT_TOKENS)
        while begin > stop and prompt[begin - 1] not in self.machine.turns:
            begin -= 1
        for token in prompt[begin:]:
            self._follow(token, 0)

    def read(self, tokens: Iterable[int]) -> None:
        """Follows tokens of the output."""
        for token in tokens:
            self._read_one(token)

    def _read_one(self, token: int) -> None:
        made = self.machine
        self.count += 1
        switched = self._follow(token, self.count)
        repeated = self._repeated(token)
        if switched:
            return
        rules = [int(made.counted.repeat_rule[self.mode])] if repeated else []
        if self.count - self.entered >= made.counted.limit[self.mode]:
            rules.append(int(made.counted.limit_rule[self.mode]))
        if rules and self._take(min(rules), self.count, 0):
            self.state = made.table.cleared(self.state)

    def _follow(self, token: int, count: int) -> bool:
        """Follows a token's bytes; behind each switch, what is left of it anew."""
        made, table, read, switched = self.machine, self.machine.table, 0, False
        while True:
            after, event = table.step(self.state, token)
            for place, mark in event:
                if self._take(int(made.choice[mark, self.mode]), count, read + place):
                    cleared = table.marks[mark][1]
                    self.state = table.cleared(after) if cleared == STAYS_THERE else cleared
                    token, read, switched = table.rest(token, place), read + place, True
                    break
            else:
                self.state = after
                return switched

    def _repeated(self, token: int) -> bool:
        """Whether the mode's span stands so many times, now that the token is there."""
        made = self.machine
        if not made.switching.repeats:
            return False
        before = np.concatenate([np.zeros(1, dtype=np.int64), self._matches])
        same = np.array([one == token for one in self._output], dtype=np.bool_)
        self._matches = np.append(np.where(same, before[: len(same)] + 1, 0), 0)
        self._output.append(token)
        count = int((self._matches >= made.counted.span[self.mode]).sum())
        return bool(count >= made.counted.times[self.mode] - 1)

    def _take(self, rule: int, count: int, byte: int) -> bool:
        if rule == NONE:
            return False
        made, source = self.machine, self.mode
        target = int(made.target[rule])
        if target == TO_BACK:
            if not self.stack:
                return False
            self.mode = self.stack.pop()
        else:
            self.stack = [*self.stack, self.mode][-MAX_DEPTH:]
            self.mode = target
        self.entered = max(0, count - int(made.before[rule]))
        self.switches.append(Switch(self.entered, byte, rule, source, self.mode))
        return True


def spans(follower: Follower) -> list[tuple[str, int, int]]:
    """(mode, first token, end) of the output read so far, in order; none is empty."""
    names = follower.machine.switching.modes
    made: list[tuple[str, int, int]] = []
    mode, begin = follower.machine.switching.first, 0
    if follower.switches:
        mode = follower.switches[0].source
    for switch in follower.switches:
        if switch.token > begin:
            made.append((names[mode], begin, switch.token))
            begin = switch.token
        mode = switch.target
    if follower.count > begin:
        made.append((names[mode], begin, follower.count))
    merged: list[tuple[str, int, int]] = []
    for name, first, end in made:
        if merged and merged[-1][0] == name:
            merged[-1] = (name, merged[-1][1], end)
        else:
            merged.append((name, first, end))
    return merged
