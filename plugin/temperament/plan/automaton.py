"""Texts to an automaton over a vocabulary: `state x token -> state`, and where a text ends.

The Aho-Corasick automaton of the texts' bytes is run over the tokens' bytes, so a text is found
however the tokenizer cuts it. Source: Aho, Corasick 1975.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from temperament.plan.vocabulary import TokenBytes


def byte_automaton(texts: Sequence[bytes]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """([states, 256] next state, [states] whether a text ends there) of the texts' bytes."""
    edges: list[dict[int, int]] = [{}]
    accepts = [False]
    for text in texts:
        state = 0
        for byte in text:
            if byte not in edges[state]:
                edges[state][byte] = len(edges)
                edges.append({})
                accepts.append(False)
            state = edges[state][byte]
        accepts[state] = True
    follow = np.zeros((len(edges), 256), dtype=np.int16)
    for byte, child in edges[0].items():
        follow[0, byte] = child
    failure = [0] * len(edges)
    queue = deque(edges[0].values())
    while queue:
        state = queue.popleft()
        accepts[state] |= accepts[failure[state]]
        follow[state] = follow[failure[state]]
        for byte, child in edges[state].items():
            failure[child] = int(follow[failure[state], byte])
            follow[state, byte] = child
            queue.append(child)
    return follow, np.array(accepts)


# What ends within a token, in order: after how many of its bytes, and the mark of that state.
Event = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Automaton:
    """What every token does from every state.

    From any state a token does what it does from the first one, but for a few tokens: those are
    listed by state, in the order of their ids.
    """

    # [vocabulary] the state behind a token, and the event within it, from state 0
    next: NDArray[np.int16]
    event: NDArray[np.int32]
    # [states + 1] where each state's exceptions begin; state 0 has none
    offsets: NDArray[np.int64]
    # [exceptions]
    token: NDArray[np.int64]
    other_next: NDArray[np.int16]
    other_event: NDArray[np.int32]
    # by number; 0 is the empty one
    events: tuple[Event, ...]

    @property
    def states(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1

    @property
    def hit(self) -> NDArray[np.bool_]:
        """[vocabulary] whether a text ends within a token, from state 0."""
        return self.event > 0

    @property
    def other_hit(self) -> NDArray[np.bool_]:
        """[exceptions] the same for those."""
        return self.other_event > 0


def token_automaton(texts: Sequence[bytes], vocabulary: TokenBytes) -> Automaton:
    """The automaton of the texts over the vocabulary's tokens.

    A token without bytes (a special one) starts anew.
    """
    follow, accepts = byte_automaton(texts)
    return run_over_tokens(follow, accepts.astype(np.int64), vocabulary.tokens, places=False)


def run_over_tokens(
    follow: NDArray[np.int16],
    marks: NDArray[np.int64],
    tokens: tuple[bytes, ...],
    *,
    places: bool = True,
    known: Events | None = None,
) -> Automaton:
    """A byte automaton, run over each token from each state.

    `marks` are a number for each state, 0 where nothing ends. Without `places` an event is only
    that something ended. `known` are events that have numbers already.
    """
    spelling = _spelling(tokens)
    known = Events(places) if known is None else known
    after = np.zeros(len(tokens), dtype=np.int16)
    event = np.zeros(len(tokens), dtype=np.int32)
    for some in spelling.by_first:
        after[some], event[some] = spelling.walk(some, 0, follow, marks, known)
    found: list[list[NDArray[Any]]] = [[], [], []]
    offsets = np.zeros(len(follow) + 1, dtype=np.int64)
    for state in range(len(follow)):
        # Only a token whose first byte leads elsewhere can do something else.
        bytes_ = np.flatnonzero(follow[state] != follow[0])
        some = np.concatenate([_NO_TOKENS, *(spelling.by_first[byte] for byte in bytes_)])
        some = some[np.argsort(-spelling.lengths[some])]
        own = spelling.walk(some, state, follow, marks, known)
        other = np.flatnonzero((own[0] != after[some]) | (own[1] != event[some]))
        other = other[np.argsort(some[other])]
        for parts, part in zip(found, (some, *own), strict=True):
            parts.append(part[other])
        offsets[state + 1] = offsets[state] + len(other)
    token, other_next, other_event = (np.concatenate(parts) for parts in found)
    events = tuple(known.events)
    return Automaton(after, event, offsets, token, other_next, other_event, events)


_NO_TOKENS = np.zeros(0, dtype=np.int64)


class Events:
    """The events that were met, each with its number."""

    def __init__(self, places: bool) -> None:
        self._places = places
        self.events: list[Event] = [()]
        self._number: dict[Event, int] = {(): 0}

    def extend(
        self, numbers: NDArray[np.int32], place: int, marks: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """The numbers of events that go on with a mark each after `place` bytes."""
        pairs, inverse = np.unique(np.stack([numbers, marks]), axis=1, return_inverse=True)
        longer = []
        for number, mark in pairs.T.tolist():
            event = (*self.events[number], (place, mark)) if self._places else ((0, 1),)
            longer.append(self.number(event))
        return np.array(longer, dtype=np.int32)[inverse.reshape(-1)]

    def number(self, event: Event) -> int:
        """The number of an event."""
        if event not in self._number:
            self._number[event] = len(self.events)
            self.events.append(event)
        return self._number[event]


class _Spelling:
    """The bytes of all tokens in a row, and which tokens begin with each byte."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._bytes = np.frombuffer(b"".join(tokens), dtype=np.uint8)
        self.lengths = np.array([len(token) for token in tokens], dtype=np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        spelt = np.flatnonzero(self.lengths)
        first = np.full(len(tokens), -1, dtype=np.int64)
        first[spelt] = self._bytes[self._starts[spelt]]
        # the longest first, as `walk` wants them
        order = np.lexsort((-self.lengths, first))
        bounds = np.searchsorted(first[order], np.arange(257))
        self.by_first = [order[bounds[byte] : bounds[byte + 1]] for byte in range(256)]

    def walk(
        self,
        tokens: NDArray[np.int64],
        state: int,
        follow: NDArray[np.int16],
        marks: NDArray[np.int64],
        known: Events,
    ) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """(the state behind each token, the event within it).

        The longest tokens are first, so that those that have a byte at a place are the first ones.
        """
        current = np.full(len(tokens), state, dtype=np.int16)
        event = np.zeros(len(tokens), dtype=np.int32)
        lengths, starts = self.lengths[tokens], self._starts[tokens]
        for place in range(int(lengths.max(initial=0))):
            alive = int(np.searchsorted(-lengths, -place, side="left"))
            current[:alive] = follow[current[:alive], self._bytes[starts[:alive] + place]]
            mark = marks[current[:alive]]
            ended = np.flatnonzero(mark)
            if len(ended):
                event[ended] = known.extend(event[ended], place + 1, mark[ended])
        return current, event


@lru_cache(maxsize=4)
def _spelling(tokens: tuple[bytes, ...]) -> _Spelling:
    return _Spelling(tokens)
