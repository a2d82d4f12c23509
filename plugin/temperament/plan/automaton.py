"""Texts to an automaton over a vocabulary: `state x token -> state`, and where a text ends.

The Aho-Corasick automaton of the texts' bytes is run over every token's bytes at once, so a text
is found however the tokenizer cuts it. Source: Aho, Corasick 1975.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from temperament.plan.vocabulary import TokenBytes

MAX_STATES = 512  # of one set of texts: their bytes together, at most


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


def token_automaton(
    texts: Sequence[bytes], vocabulary: TokenBytes
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """([states, vocabulary] next state, [states, vocabulary] whether a text ends in the token).

    A token without bytes (a special one) starts anew.
    """
    follow, accepts = byte_automaton(texts)
    states, size = len(follow), len(vocabulary)
    after = np.zeros((states, size), dtype=np.int16)
    hit = np.zeros((states, size), dtype=np.bool_)
    lengths = np.array([len(token) for token in vocabulary.tokens])
    by_length = np.argsort(-lengths, kind="stable")
    current: NDArray[Any] = np.broadcast_to(np.arange(states)[:, None], (states, size)).copy()
    ordered = [vocabulary.tokens[token] for token in by_length]
    alive = int((lengths > 0).sum())
    sorted_lengths = lengths[by_length]
    hits = np.zeros((states, size), dtype=np.bool_)
    position = 0
    while alive:
        byte = np.fromiter((token[position] for token in ordered[:alive]), np.uint8, alive)
        current[:, :alive] = follow[current[:, :alive], byte]
        hits[:, :alive] |= accepts[current[:, :alive]]
        position += 1
        alive = int(np.searchsorted(-sorted_lengths, -position, side="left"))
    current[:, int((lengths > 0).sum()) :] = 0
    after[:, by_length] = current
    hit[:, by_length] = hits
    return after, hit
