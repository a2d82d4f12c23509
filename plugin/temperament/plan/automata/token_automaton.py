"""Turns an automaton over bytes into one over tokens, by running it over every token's bytes.

A text is then found however the tokenizer cuts it, and each token costs one look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from temperament.plan.automata.patterns import Pattern, byte_automaton
from temperament.plan.vocabulary import TokenBytes

# The ends within a token, in order: (number of the token's bytes up to there, mark).
Event = tuple[tuple[int, int], ...]

_NO_TOKENS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class TokenAutomaton:
    """The state and the event of every token from every state.

    Most tokens lead to the same state and event from any state. So there is one row for state 0
    and, for each other state, a list of the tokens that differ: its exceptions, by rising id.
    """

    # [vocabulary] the state after a token, and the number of the event within it, from state 0
    next: NDArray[np.int16]
    event: NDArray[np.int32]
    # [states + 1] where each state's exceptions begin; state 0 has none
    first_exception: NDArray[np.int64]
    # [exceptions] the token, the state after it, and the number of the event within it
    exception_token: NDArray[np.int64]
    exception_next: NDArray[np.int16]
    exception_event: NDArray[np.int32]
    # by number; event 0 is empty
    events: tuple[Event, ...]

    @property
    def states(self) -> int:
        """The number of states."""
        return len(self.first_exception) - 1

    @property
    def hit(self) -> NDArray[np.bool_]:
        """[vocabulary] whether something ends within a token, from state 0."""
        return self.event > 0

    @property
    def exception_hit(self) -> NDArray[np.bool_]:
        """[exceptions] whether something ends within an exception's token."""
        return self.exception_event > 0


def token_automaton(texts: Sequence[bytes], vocabulary: TokenBytes) -> TokenAutomaton:
    """Returns the automaton that finds texts (none empty) in a vocabulary's tokens.

    Its events show whether a text ended, not where. A token without bytes, and a special one that
    is in none of the texts, leads to state 0. `TokenBytes.spellings` says how texts name special
    tokens.
    """
    table = byte_automaton([Pattern(text) for text in texts])
    marks = np.array([bool(ended) for ended in table.ends], dtype=np.int64)
    return run_over_tokens(table.next, marks, vocabulary.atomic, Events(positions=False))


def run_over_tokens(
    byte_next: NDArray[np.int16],
    marks: NDArray[np.int64],
    tokens: tuple[bytes, ...],
    events: Events,
) -> TokenAutomaton:
    """Returns the automaton whose step for a token is that of `byte_next` over the token's bytes.

    `byte_next` is [states, 256]; `marks` is [states], 0 where nothing ends. New events are added to
    `events`.
    """
    spelling = _spelling(tokens)
    plain = spelling.path(byte_next, marks, events)
    plain_next, plain_event = spelling.at_end(plain)
    found: list[list[NDArray[Any]]] = [[], [], []]
    first_exception = np.zeros(len(byte_next) + 1, dtype=np.int64)
    for state in range(len(byte_next)):
        group = spelling.can_differ(state, byte_next, marks)
        group, next_, event = spelling.differing(group, state, plain, byte_next, marks, events)
        found[0].append(group)
        found[1].append(next_)
        found[2].append(event)
        first_exception[state + 1] = first_exception[state] + len(group)
    token, next_, event = (np.concatenate(column) for column in found)
    known = tuple(events.known)
    return TokenAutomaton(plain_next, plain_event, first_exception, token, next_, event, known)


class Events:
    """Events by number. Without `positions`, an event shows only that something ended."""

    def __init__(self, *, positions: bool = True) -> None:
        self._positions = positions
        self.known: list[Event] = [()]
        self._number: dict[Event, int] = {(): 0}

    def number(self, event: Event) -> int:
        """Returns the number of an event; a new event gets the next number."""
        if event not in self._number:
            self._number[event] = len(self.known)
            self.known.append(event)
        return self._number[event]

    def extend(
        self, numbers: NDArray[np.int32], end: int, marks: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Returns the number of each event with one more mark, which is after `end` bytes."""
        pairs, inverse = np.unique(np.stack([numbers, marks]), axis=1, return_inverse=True)
        longer = [
            self.number((*self.known[number], (end, mark)) if self._positions else ((0, 1),))
            for number, mark in pairs.T.tolist()
        ]
        return np.array(longer, dtype=np.int32)[inverse.reshape(-1)]


class _Spelling:
    """The bytes of all tokens in one array, and the tokens that begin with each byte."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._bytes = np.frombuffer(b"".join(tokens), dtype=np.uint8)
        self.lengths = np.array([len(token) for token in tokens], dtype=np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        spelt = np.flatnonzero(self.lengths)
        first = np.full(len(tokens), -1, dtype=np.int64)
        first[spelt] = self._bytes[self._starts[spelt]]
        # The longest come first, as `path` requires.
        order = np.lexsort((-self.lengths, first))
        bounds = np.searchsorted(first[order], np.arange(257))
        self.by_first_byte = [order[bounds[byte] : bounds[byte + 1]] for byte in range(256)]
        self._second: dict[int, tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]] = {}

    def path(self, byte_next: NDArray[np.int16], marks: NDArray[np.int64], events: Events) -> _Path:
        """Runs the automaton from state 0 over the bytes of every token."""
        state = np.zeros(len(self._bytes), dtype=np.int16)
        event = np.zeros(len(self._bytes), dtype=np.int32)
        for tokens in self.by_first_byte:
            lengths, starts = self.lengths[tokens], self._starts[tokens]
            current = np.zeros(len(tokens), dtype=np.int16)
            so_far = np.zeros(len(tokens), dtype=np.int32)
            for position in range(int(lengths.max(initial=0))):
                # The tokens that have a byte here are the first ones.
                alive = int(np.searchsorted(-lengths, -position, side="left"))
                at = starts[:alive] + position
                current[:alive] = byte_next[current[:alive], self._bytes[at]]
                _extend(so_far, marks[current[:alive]], position, events)
                state[at], event[at] = current[:alive], so_far[:alive]
        return state, event

    def at_end(self, path: _Path) -> _Path:
        """Returns the state after each token, and the number of the event within it."""
        state = np.zeros(len(self.lengths), dtype=np.int16)
        event = np.zeros(len(self.lengths), dtype=np.int32)
        spelt = np.flatnonzero(self.lengths)
        last = self._starts[spelt] + self.lengths[spelt] - 1
        state[spelt], event[spelt] = path[0][last], path[1][last]
        return state, event

    def can_differ(
        self, state: int, byte_next: NDArray[np.int16], marks: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Returns the tokens that may end in another state from `state` than from state 0.

        The first two bytes decide: a token after which both paths are in the same state is left
        out, which most are.
        """
        groups = [_NO_TOKENS]
        for byte in np.flatnonzero(byte_next[state] != byte_next[0]).tolist():
            after, plain = byte_next[state, byte], byte_next[0, byte]
            if marks[after] != marks[plain]:
                groups.append(self.by_first_byte[byte])
                continue
            alone, by_second = self._by_second_byte(byte)
            seconds = np.flatnonzero(byte_next[after] != byte_next[plain]).tolist()
            groups += [alone, *(by_second[second] for second in seconds if second in by_second)]
        return np.concatenate(groups)

    def _by_second_byte(self, byte: int) -> tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]:
        """Returns the tokens that are this byte alone, and the longer ones by their second byte."""
        if byte not in self._second:
            tokens = self.by_first_byte[byte]
            longer = tokens[self.lengths[tokens] > 1]
            second = self._bytes[self._starts[longer] + 1]
            order = np.argsort(second, kind="stable")
            values, first = np.unique(second[order], return_index=True)
            parts = np.split(longer[order], first[1:])
            by_second = dict(zip(values.tolist(), parts, strict=False))
            self._second[byte] = (tokens[self.lengths[tokens] == 1], by_second)
        return self._second[byte]

    def differing(
        self,
        tokens: NDArray[np.int64],
        state: int,
        plain: _Path,
        byte_next: NDArray[np.int16],
        marks: NDArray[np.int64],
        events: Events,
    ) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int32]]:
        """Returns the tokens that end differently from `state` than from state 0.

        `plain` is the path from state 0. Once a token's path from `state` meets it, the rest is the
        same, and the token is dropped. The tokens come by rising id, with the state and the event
        after each.
        """
        found: list[list[NDArray[Any]]] = [[_NO_TOKENS], [], []]
        current = np.full(len(tokens), state, dtype=np.int16)
        event = np.zeros(len(tokens), dtype=np.int32)
        position = 0
        while len(tokens):
            at = self._starts[tokens] + position
            current = byte_next[current, self._bytes[at]]
            _extend(event, marks[current], position, events)
            differs = (current != plain[0][at]) | (event != plain[1][at])
            ends = self.lengths[tokens] == position + 1
            for column, values in zip(found, (tokens, current, event), strict=True):
                column.append(values[differs & ends])
            left = differs & ~ends
            tokens, current, event = tokens[left], current[left], event[left]
            position += 1
        token = np.concatenate(found[0])
        order = np.argsort(token)
        next_, number = (np.concatenate([_NO_TOKENS, *column]) for column in found[1:])
        return token[order], next_[order].astype(np.int16), number[order].astype(np.int32)


# For each byte of all tokens: the state after it, and the number of the event up to there.
_Path = tuple[NDArray[np.int16], NDArray[np.int32]]


def _extend(
    event: NDArray[np.int32], mark: NDArray[np.int64], position: int, events: Events
) -> None:
    """Adds to events, in place, the marks of the byte at a position; `mark` may be shorter."""
    ended = np.flatnonzero(mark)
    if len(ended):
        event[ended] = events.extend(event[ended], position + 1, mark[ended])


@lru_cache(maxsize=4)
def _spelling(tokens: tuple[bytes, ...]) -> _Spelling:
    return _Spelling(tokens)
