"""Builds an automaton over bytes from patterns, the first of the automata.

The automaton is the subset construction of all patterns at once. For patterns that count anywhere
it is that of Aho and Corasick (1975).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from temperament.errors import PresetError, Problem

MAX_STATES = 4096

_INDENT = frozenset(b" \t")
_TRAILING = frozenset(b" \t\r")  # allowed between a text that is alone in its line and the newline
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text, not empty. It counts anywhere, unless one of the fields is set."""

    text: bytes
    # only spaces and tabs precede it in its line
    at_line_start: bool = False
    # it is alone in its line but for spaces and tabs; it ends with the line's newline
    whole_line: bool = False

    @property
    def length(self) -> int:
        """The number of bytes to match: those of the text, and the newline for `whole_line`."""
        return len(self.text) + self.whole_line


@dataclass(frozen=True)
class ByteAutomaton:
    """The automaton. In state 0 no pattern has begun, and the line is not at its start."""

    # [states, 256] the next state
    next: NDArray[np.int16]
    # [states] the patterns that end there
    ends: tuple[frozenset[int], ...]
    # [states] the unfinished patterns that have begun, each with the number of its matched bytes
    begun: tuple[frozenset[tuple[int, int]], ...]
    # [states] the state from which a text goes on if the mode switches there: `whole_line` patterns
    # that have begun no longer count
    after_switch: tuple[int, ...]
    # the state at the start of a line
    start: int

    @property
    def states(self) -> int:
        """The number of states."""
        return len(self.ends)


class _State(NamedTuple):
    # whether the line has only spaces and tabs so far; False if no pattern depends on lines
    blank: bool
    # (pattern, number of its matched bytes) of each pattern that has begun
    matched: frozenset[tuple[int, int]]


def byte_automaton(patterns: Sequence[Pattern]) -> ByteAutomaton:
    """Returns the automaton that finds all patterns.

    Raises `PresetError` if it has more than `MAX_STATES` states.
    """
    by_line = any(pattern.at_line_start or pattern.whole_line for pattern in patterns)
    # In these states no pattern has begun.
    idle = [_State(False, frozenset()), _State(True, frozenset())][: 1 + by_line]
    states = list(idle)
    number = {state: i for i, state in enumerate(states)}

    def number_of(state: _State) -> int:
        if state not in number:
            number[state] = len(states)
            states.append(state)
        return number[state]

    pattern_bytes = {byte for pattern in patterns for byte in pattern.text}
    if by_line:
        pattern_bytes |= _TRAILING | {_NEWLINE}
    rows: list[NDArray[np.int16]] = []
    after_switch: list[int] = []
    for state in states:  # grows during the loop
        if len(rows) < len(idle):
            # A byte that is in no pattern leads to a state where no pattern has begun.
            row, relevant = np.zeros(256, dtype=np.int16), pattern_bytes
        else:
            # Only bytes that continue a pattern can lead elsewhere than from an idle state.
            row, relevant = (
                rows[int(state.blank)].copy(),
                _continuing_bytes(patterns, state.matched),
            )
        for byte in sorted(relevant):
            row[byte] = number_of(_step(patterns, state, byte, by_line))
        rows.append(row)
        after_switch.append(number_of(_after_switch(patterns, state)))
        if len(states) > MAX_STATES:
            message = f"the texts of the triggers need more than {MAX_STATES} states"
            raise PresetError(Problem("switch", "", message, allowed="fewer or shorter texts"))
    length = [pattern.length for pattern in patterns]
    return ByteAutomaton(
        np.stack(rows),
        tuple(frozenset(p for p, n in s.matched if n == length[p]) for s in states),
        tuple(frozenset((p, n) for p, n in s.matched if n < length[p]) for s in states),
        tuple(after_switch),
        1 if by_line else 0,
    )


def _step(patterns: Sequence[Pattern], state: _State, byte: int, by_line: bool) -> _State:
    """Returns the state after one more byte."""
    matched = set()
    for number, pattern in enumerate(patterns):
        anywhere = not (pattern.at_line_start or pattern.whole_line)
        if (anywhere or state.blank) and pattern.text[0] == byte:
            matched.add((number, 1))
    for number, count in state.matched:
        pattern = patterns[number]
        if count < len(pattern.text):
            if pattern.text[count] == byte:
                matched.add((number, count + 1))
        elif count < pattern.length:
            if byte == _NEWLINE:
                matched.add((number, count + 1))
            elif byte in _TRAILING:
                matched.add((number, count))
    blank = by_line and (byte == _NEWLINE or (state.blank and byte in _INDENT))
    return _State(blank, frozenset(matched))


def _continuing_bytes(patterns: Sequence[Pattern], matched: Iterable[tuple[int, int]]) -> set[int]:
    """Returns the bytes that continue one of the patterns that have begun."""
    found: set[int] = set()
    for number, count in matched:
        pattern = patterns[number]
        if count < len(pattern.text):
            found.add(pattern.text[count])
        elif count < pattern.length:
            found |= _TRAILING | {_NEWLINE}
    return found


def _after_switch(patterns: Sequence[Pattern], state: _State) -> _State:
    """Returns the state without the `whole_line` patterns that have begun."""
    kept = ((p, count) for p, count in state.matched if not patterns[p].whole_line)
    return _State(state.blank, frozenset(kept))
