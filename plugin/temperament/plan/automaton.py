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


@dataclass(frozen=True)
class Automaton:
    """What every token does from every state.

    From any state a token does what it does from the first one, but for a few tokens: those are
    listed by state, in the order of their ids.
    """

    # [vocabulary] the state behind a token, and whether a text ends within it, from state 0
    next: NDArray[np.int16]
    hit: NDArray[np.bool_]
    # [states + 1] where each state's exceptions begin; state 0 has none
    offsets: NDArray[np.int64]
    # [exceptions]
    token: NDArray[np.int64]
    other_next: NDArray[np.int16]
    other_hit: NDArray[np.bool_]

    @property
    def states(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1


def token_automaton(texts: Sequence[bytes], vocabulary: TokenBytes) -> Automaton:
    """The automaton of the texts over the vocabulary's tokens.

    A token without bytes (a special one) starts anew.
    """
    follow, accepts = byte_automaton(texts)
    spelling = _spelling(vocabulary)
    after = np.zeros(len(vocabulary), dtype=np.int16)
    hit = np.zeros(len(vocabulary), dtype=np.bool_)
    for tokens in spelling.by_first:
        after[tokens], hit[tokens] = spelling.walk(tokens, 0, follow, accepts)
    found: list[list[NDArray[Any]]] = [[], [], []]
    offsets = np.zeros(len(follow) + 1, dtype=np.int64)
    for state in range(len(follow)):
        # Only a token whose first byte leads elsewhere can do something else.
        bytes_ = np.flatnonzero(follow[state] != follow[0])
        tokens = np.concatenate([_NO_TOKENS, *(spelling.by_first[byte] for byte in bytes_)])
        tokens = tokens[np.argsort(-spelling.lengths[tokens])]
        own = spelling.walk(tokens, state, follow, accepts)
        other = np.flatnonzero((own[0] != after[tokens]) | (own[1] != hit[tokens]))
        other = other[np.argsort(tokens[other])]
        for parts, part in zip(found, (tokens, *own), strict=True):
            parts.append(part[other])
        offsets[state + 1] = offsets[state] + len(other)
    return Automaton(after, hit, offsets, *(np.concatenate(parts) for parts in found))


_NO_TOKENS = np.zeros(0, dtype=np.int64)


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
        accepts: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """(the state behind each token, whether a text ends within it).

        The longest tokens are first, so that those that have a byte at a place are the first ones.
        """
        current = np.full(len(tokens), state, dtype=np.int16)
        hit = np.zeros(len(tokens), dtype=np.bool_)
        lengths, starts = self.lengths[tokens], self._starts[tokens]
        for place in range(int(lengths.max(initial=0))):
            alive = int(np.searchsorted(-lengths, -place, side="left"))
            current[:alive] = follow[current[:alive], self._bytes[starts[:alive] + place]]
            hit[:alive] |= accepts[current[:alive]]
        return current, hit


@lru_cache(maxsize=4)
def _spelling(vocabulary: TokenBytes) -> _Spelling:
    return _Spelling(vocabulary.tokens)
