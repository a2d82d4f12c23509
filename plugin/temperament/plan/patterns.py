"""Texts of several kinds to one automaton over bytes, which tells which of them end where.

A pattern's text counts wherever it stands, only at the start of a line (spaces and tabs may stand
before it), or only alone in its line; then it ends with the line's newline. The automaton is the
subset construction of all patterns at once: for plain texts, that of Aho and Corasick 1975.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from temperament.errors import PresetError, Problem

MAX_STATES = 4096

_INDENT = frozenset(b" \t")
_BEHIND = frozenset(b" \t\r")  # what may stand between a text that is alone and the newline
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Pattern:
    """One text."""

    text: bytes
    at_line_start: bool = False
    # alone in its line, which must end
    whole_line: bool = False


@dataclass(frozen=True)
class ByteTable:
    """The automaton. State 0 is that inside a line with nothing matched."""

    # [states, 256] the next state
    follow: NDArray[np.int16]
    # by state: the patterns that end there
    ends: tuple[frozenset[int], ...]
    # by state: the patterns that have begun, each with how many of its bytes are there
    begun: tuple[frozenset[tuple[int, int]], ...]
    # by state: the one in which no line has begun that a pattern wants whole, all else being equal
    cleared: tuple[int, ...]
    # the state at a line's start
    start: int

    @property
    def states(self) -> int:
        """How many there are."""
        return len(self.ends)


# Whether only spaces and tabs stand in the line so far, and (pattern, bytes matched): a text that
# is alone in its line has matched one byte more than it has when the newline is there.
_State = tuple[bool, frozenset[tuple[int, int]]]


def byte_table(patterns: Sequence[Pattern]) -> ByteTable:
    """The automaton of some patterns. Raises `PresetError` if it has more than `MAX_STATES`."""
    by_line = any(pattern.at_line_start or pattern.whole_line for pattern in patterns)
    letters = {byte for pattern in patterns for byte in pattern.text}
    if by_line:
        letters |= _BEHIND | {_NEWLINE}
    other = next((byte for byte in range(256) if byte not in letters), None)
    root: _State = (False, frozenset())
    number: dict[_State, int] = {root: 0}
    states = [root]
    if by_line:
        number[(True, frozenset())] = 1
        states.append((True, frozenset()))
    rows: list[NDArray[np.int16]] = []
    plain = len(states)  # nothing has begun there
    for state in states:  # grows while it is walked
        blank, matched = state
        if len(rows) < plain:
            row = np.zeros(256, dtype=np.int16)
            some = [byte for byte in (other, *letters) if byte is not None]
        else:  # what no pattern goes on with does what it does where nothing has begun
            row = rows[int(blank)].copy()
            some = sorted(byte for one in matched for byte in _next_bytes(patterns, *one))
        for byte in some:
            after = _step(patterns, state, byte, by_line)
            if after not in number:
                number[after] = len(states)
                states.append(after)
            if byte == other and len(rows) < plain:
                row[:] = number[after]
            else:
                row[byte] = number[after]
        rows.append(row)
        if _cleared(patterns, state) not in number:
            number[_cleared(patterns, state)] = len(states)
            states.append(_cleared(patterns, state))
        if len(states) > MAX_STATES:
            message = f"the triggers' texts make more than {MAX_STATES} states"
            raise PresetError(Problem("switch", "", message, allowed="fewer or shorter texts"))
    return ByteTable(
        np.stack(rows),
        tuple(frozenset(p for p, k in own if k == _whole(patterns[p])) for _, own in states),
        tuple(frozenset((p, k) for p, k in own if k < _whole(patterns[p])) for _, own in states),
        tuple(number[_cleared(patterns, state)] for state in states),
        1 if by_line else 0,
    )


def _whole(pattern: Pattern) -> int:
    return len(pattern.text) + pattern.whole_line


def _cleared(patterns: Sequence[Pattern], state: _State) -> _State:
    blank, matched = state
    return blank, frozenset((p, k) for p, k in matched if not patterns[p].whole_line)


def _next_bytes(patterns: Sequence[Pattern], number: int, count: int) -> frozenset[int]:
    """The bytes with which a pattern goes on of which so many are there."""
    pattern = patterns[number]
    if count < len(pattern.text):
        return frozenset({pattern.text[count]})
    waits = pattern.whole_line and count == len(pattern.text)
    return _BEHIND | {_NEWLINE} if waits else frozenset()


def _step(patterns: Sequence[Pattern], state: _State, byte: int, by_line: bool) -> _State:
    blank, matched = state
    new = set()
    for number, pattern in enumerate(patterns):
        anywhere = not (pattern.at_line_start or pattern.whole_line)
        if (anywhere or blank) and pattern.text[0] == byte:
            new.add((number, 1))
    for number, count in matched:
        pattern = patterns[number]
        if count < len(pattern.text):
            if pattern.text[count] == byte:
                new.add((number, count + 1))
        elif pattern.whole_line and count == len(pattern.text):
            if byte == _NEWLINE:
                new.add((number, count + 1))
            elif byte in _BEHIND:
                new.add((number, count))
    new_line = by_line and (byte == _NEWLINE or (blank and byte in _INDENT))
    return new_line, frozenset(new)
