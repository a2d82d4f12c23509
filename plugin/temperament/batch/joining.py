"""Joins the automata of all requests into one set of tables, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from temperament.batch.arrays import to_device
from temperament.ops.automata import Automata
from temperament.plan.automata.token_automaton import TokenAutomaton
from temperament.plan.automata.triggers import SAME_STATE


def starts(counts: Iterable[int]) -> NDArray[np.int64]:
    """Returns the start of each part in the concatenation of parts, and the end of the last."""
    return np.cumsum([0, *counts])


def join(
    automata: Sequence[TokenAutomaton],
    hits: Sequence[NDArray[Any]],
    exception_hits: Sequence[NDArray[Any]],
    size: int,
    device: torch.device,
) -> tuple[Automata, NDArray[np.int64]]:
    """Returns (the tables, [automata] the root of each: its state 0 there).

    `hits` ([tokens]) and `exception_hits` ([exceptions]) are, for each automaton, what ends within
    a token. `size` is the number of tokens in the tables, at least that of any automaton.
    """
    states = [automaton.states for automaton in automata]
    roots = starts(states)[:-1]
    exceptions = starts(len(automaton.exception_token) for automaton in automata)
    shape = (len(automata), size)
    next_state = np.full(shape, SAME_STATE, dtype=np.int32)
    hit = np.zeros(shape, dtype=hits[0].dtype)
    first_exception, keys, exception_next = [], [], []
    for number, (automaton, root) in enumerate(zip(automata, roots, strict=True)):
        next_state[number, : len(automaton.next)] = _shift(automaton.next, root)
        hit[number, : len(automaton.next)] = hits[number]
        first_exception.append(automaton.first_exception[:-1] + exceptions[number])
        state = np.repeat(np.arange(automaton.states), np.diff(automaton.first_exception))
        keys.append((state + root) * size + automaton.exception_token)
        exception_next.append(_shift(automaton.exception_next, root))
    arrays = (
        next_state,
        hit,
        np.repeat(np.arange(len(automata)), states),
        np.concatenate([*first_exception, exceptions[-1:]]),
        np.concatenate(keys),
        np.concatenate(exception_next),
        np.concatenate(exception_hits),
    )
    return Automata(*(to_device(array, device) for array in arrays)), roots


def _shift(states: NDArray[np.int16], root: np.int64) -> NDArray[np.int32]:
    shifted: NDArray[np.int32] = states.astype(np.int32) + np.int32(root)
    return np.where(states == SAME_STATE, np.int32(SAME_STATE), shifted)
