"""Follows one text through its modes on the host, as `batch.row_modes` does on the device.

`batch.row_modes` reads a new request's prompt and earlier output with it. Traces for users
(`preset_trace`, `temperament trace`, the playground) come from here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from temperament.plan.automata.mode_automaton import NO_RULE, SAME_MODE, TO_BACK, ModeAutomaton
from temperament.plan.automata.triggers import SAME_STATE
from temperament.presets.modes import MAX_DEPTH

PROMPT_TOKENS = 4096  # the most tokens of a prompt that are read


@dataclass(frozen=True, slots=True)
class Switch:
    """One change of mode. Modes and rule are indices."""

    # the first token of the output that belongs to the new mode; 0 if the prompt switched
    token: int
    # the number of its token's bytes up to the trigger's end; 0 for a trigger that isn't a text
    byte: int
    rule: int
    source: int
    target: int


@dataclass
class Tracer:
    """Reads one text. Rules on entropy never apply here, since the tokens don't show it."""

    automaton: ModeAutomaton
    # the mode and the automaton's state after the tokens read so far
    mode: int = field(init=False)
    state: int = field(init=False)
    # the number of output tokens read so far, and that number when the mode began
    count: int = 0
    entered: int = 0
    # the modes that `back` returns to, the latest last
    stack: list[int] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    _output: list[int] = field(default_factory=list)
    # [count] the length of the longest common suffix of the output and its first i + 1 tokens; 0
    # for the last i
    _matches: np.ndarray[tuple[int], np.dtype[np.int64]] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )

    def __post_init__(self) -> None:
        self.mode = self.automaton.switching.first
        self.state = self.automaton.triggers.bytes.start

    @property
    def drawn_in(self) -> int:
        """The mode that the next token is drawn in."""
        pending = int(self.automaton.pending[self.state, self.mode])
        if pending == TO_BACK:
            return self.stack[-1] if self.stack else self.mode
        return self.mode if pending == SAME_MODE else pending

    def read_prompt(self, prompt: Sequence[int]) -> None:
        """Reads a prompt's last turn, if the preset starts with `auto`."""
        if not self.automaton.switching.auto:
            return
        begin = len(prompt)
        earliest = max(0, len(prompt) - PROMPT_TOKENS)
        while begin > earliest and prompt[begin - 1] not in self.automaton.turns:
            begin -= 1
        for token in prompt[begin:]:
            self._read_bytes(token, 0)

    def read(self, tokens: Iterable[int]) -> None:
        """Reads tokens of the output."""
        for token in tokens:
            self._read_token(token)

    def _read_token(self, token: int) -> None:
        counting = self.automaton.counting
        self.count += 1
        switched = self._read_bytes(token, self.count)
        repeated = self._repeated(token)
        if switched:
            return
        rules = [int(counting.repeat_rule[self.mode])] if repeated else []
        if self.count - self.entered >= counting.limit[self.mode]:
            rules.append(int(counting.limit_rule[self.mode]))
        if rules and self._switch(min(rules), self.count, 0):
            self.state = self.automaton.triggers.after_switch(self.state)

    def _read_bytes(self, token: int, count: int) -> bool:
        """Reads a token; after a switch, its rest in the new mode. Returns whether it switched."""
        triggers, choice = self.automaton.triggers, self.automaton.choice
        read, switched = 0, False
        while True:
            after, event = triggers.step(self.state, token)
            for end, mark in event:
                if self._switch(int(choice[mark, self.mode]), count, read + end):
                    _, state = triggers.marks[mark]
                    self.state = triggers.after_switch(after) if state == SAME_STATE else state
                    token, read, switched = triggers.rest(token, end), read + end, True
                    break
            else:
                self.state = after
                return switched

    def _repeated(self, token: int) -> bool:
        """Adds a token to the output; returns whether the mode's rule on repetitions applies."""
        if not self.automaton.switching.repeats:
            return False
        counting = self.automaton.counting
        longer = np.concatenate([np.zeros(1, dtype=np.int64), self._matches]) + 1
        same = np.array([known == token for known in self._output], dtype=np.bool_)
        self._matches = np.append(np.where(same, longer[: len(same)], 0), 0)
        self._output.append(token)
        earlier = int((self._matches >= counting.span[self.mode]).sum())
        return bool(earlier >= counting.times[self.mode] - 1)

    def _switch(self, rule: int, count: int, byte: int) -> bool:
        """Switches by a rule; returns False if there is no rule, or no mode to go back to."""
        if rule == NO_RULE:
            return False
        source, target = self.mode, int(self.automaton.target[rule])
        if target == TO_BACK:
            if not self.stack:
                return False
            self.mode = self.stack.pop()
        else:
            self.stack = [*self.stack, self.mode][-MAX_DEPTH:]
            self.mode = target
        self.entered = max(0, count - int(self.automaton.before[rule]))
        self.switches.append(Switch(self.entered, byte, rule, source, self.mode))
        return True


def spans(tracer: Tracer) -> list[tuple[str, int, int]]:
    """Returns the output read so far as (mode, first token, end), in order; none is empty.

    Neighbours have different modes.
    """
    names = tracer.automaton.switching.modes
    mode = tracer.switches[0].source if tracer.switches else tracer.automaton.switching.first
    found: list[tuple[str, int, int]] = []

    def add(begin: int, end: int) -> None:
        if begin >= end:
            return
        if found and found[-1][0] == names[mode]:
            begin = found.pop()[1]
        found.append((names[mode], begin, end))

    begin = 0
    for switch in tracer.switches:
        add(begin, switch.token)
        begin, mode = max(begin, switch.token), switch.target
    add(begin, tracer.count)
    return found
