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

    Its events show whether a text ended, not where. A token without bytes, such as a special one,
    leads to state 0.
    """
    table = byte_automaton([Pattern(text) for text in texts])
    marks = np.array([bool(ended) for ended in table.ends], dtype=np.int64)
    return run_over_tokens(table.next, marks, vocabulary.tokens, Events(positions=False))


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
    plain_next = np.zeros(len(tokens), dtype=np.int16)
    plain_event = np.zeros(len(tokens), dtype=np.int32)
    for group in spelling.by_first_byte:
        plain_next[group], plain_event[group] = spelling.run(group, 0, byte_next, marks, events)
    found: list[list[NDArray[Any]]] = [[], [], []]
    first_exception = np.zeros(len(byte_next) + 1, dtype=np.int64)
    for state in range(len(byte_next)):
        # Only tokens whose first byte leads to another state than from state 0 can differ.
        differing = np.flatnonzero(byte_next[state] != byte_next[0])
        group = np.concatenate([_NO_TOKENS, *(spelling.by_first_byte[b] for b in differing)])
        group = group[np.argsort(-spelling.lengths[group])]
        next_, event = spelling.run(group, state, byte_next, marks, events)
        other = np.flatnonzero((next_ != plain_next[group]) | (event != plain_event[group]))
        other = other[np.argsort(group[other])]
        for column, values in zip(found, (group, next_, event), strict=True):
            column.append(values[other])
        first_exception[state + 1] = first_exception[state] + len(other)
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
        # The longest come first, as `run` requires.
        order = np.lexsort((-self.lengths, first))
        bounds = np.searchsorted(first[order], np.arange(257))
        self.by_first_byte = [order[bounds[byte] : bounds[byte + 1]] for byte in range(256)]

    def run(
        self,
        tokens: NDArray[np.int64],
        state: int,
        byte_next: NDArray[np.int16],
        marks: NDArray[np.int64],
        events: Events,
    ) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """Runs the automaton over the bytes of tokens, the longest first.

        Returns the state after each token, and the number of the event within it.
        """
        current = np.full(len(tokens), state, dtype=np.int16)
        event = np.zeros(len(tokens), dtype=np.int32)
        lengths, starts = self.lengths[tokens], self._starts[tokens]
        for position in range(int(lengths.max(initial=0))):
            # The tokens that have a byte here are the first ones.
            alive = int(np.searchsorted(-lengths, -position, side="left"))
            current[:alive] = byte_next[current[:alive], self._bytes[starts[:alive] + position]]
            mark = marks[current[:alive]]
            ended = np.flatnonzero(mark)
            if len(ended):
                event[ended] = events.extend(event[ended], position + 1, mark[ended])
        return current, event


@lru_cache(maxsize=4)
def _spelling(tokens: tuple[bytes, ...]) -> _Spelling:
    return _Spelling(tokens)
