"""The suffix-match memory: for each position, how long a suffix of the history ends there too.

When a token t is appended: `length'[i] = length[i - 1] + 1 if history[i] == t else 0`. One pass
over the history a step, exact for matches of any length. DRY, n-gram bans and loop detection read
it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.history import History, Matches

SHORT = 64  # tokens of a match that are compared one after another


class SuffixMatches:
    """The matches of `slots` slots. A slot whose history grew by one token takes one pass."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self._length = torch.zeros(slots, 0, dtype=torch.int32, device=device)
        # [slots] on the host: how many tokens the slot's matches are of; -1: not known
        self._known = np.full(slots, -1, dtype=np.int64)

    def forget(self, slot: int) -> None:
        """The slot's history is another one now."""
        self._known[slot] = -1

    def reorder(self, parents: Tensor) -> None:
        """Each slot takes the matches of another, of as many tokens: [slots] int64."""
        self._length = self._length.index_select(0, parents)

    def update(
        self, history: History, slots: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]
    ) -> Matches:
        """The matches of a batch whose row i is slot `slots[i]` with `ends[i]` tokens (host)."""
        longest = history.tokens.shape[1]
        if self._length.shape[1] < longest:
            grown = self._length.new_zeros(self._length.shape[0], max(64, 2 * longest))
            grown[:, : self._length.shape[1]] = self._length
            self._length = grown
        behind = ends - self._known[slots]
        index = torch.from_numpy(np.ascontiguousarray(slots)).to(self._length.device)
        if (behind == 1).all():
            length = extend(self._length[:, :longest].index_select(0, index), history)
            self._length[index, :longest] = length
            self._known[slots] = ends
            return Matches(length)
        grown_by_one = np.flatnonzero(behind == 1)
        if len(grown_by_one):
            part, place = self._part(history, slots, grown_by_one)
            old = self._length[:, :longest].index_select(0, place)
            self._length[place, :longest] = extend(old, part)
        unknown = np.flatnonzero((behind != 0) & (behind != 1))
        if len(unknown):
            part, place = self._part(history, slots, unknown)
            self._length[place, :longest] = rebuild(part)
        self._known[slots] = ends
        length = self._length[:, :longest].index_select(0, index)
        # Behind a row's end may lie what an earlier request left in the slot.
        position = torch.arange(longest, device=length.device)
        return Matches(length.masked_fill_(position >= history.end[:, None], 0))

    def _part(
        self, history: History, slots: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
    ) -> tuple[History, Tensor]:
        index = torch.from_numpy(rows).to(self._length.device)
        return history.select(index), torch.from_numpy(slots[rows]).to(self._length.device)


def extend(old: Tensor, history: History) -> Tensor:
    """[rows, positions] lengths after the last token, from those before it."""
    tokens = history.tokens
    last = tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])
    position = torch.arange(tokens.shape[1], device=tokens.device, dtype=torch.int32)
    equal = tokens == last
    equal &= position >= history.start[:, None].int()
    equal &= position < history.end[:, None].int() - 1
    return torch.nn.functional.pad(old[:, :-1], (1, 0)).add_(1).mul_(equal)


def rebuild(history: History) -> Tensor:
    """[rows, positions] lengths from nothing, exact for matches of any length.

    On the CPU the first `SHORT` tokens are compared one after another, which ends early in most
    texts; in a text that repeats longer stretches, and where asking for data would cost a
    synchronisation, the lengths are found by doubling.
    """
    position = torch.arange(history.tokens.shape[1], device=history.tokens.device)
    earlier = (position >= history.start[:, None]) & (position < history.end[:, None] - 1)
    if branches(history.tokens):
        lengths, ended = _one_by_one(history, earlier)
        if ended:
            return lengths
    return _by_doubling(history, earlier)


def _one_by_one(history: History, earlier: Tensor) -> tuple[Tensor, bool]:
    """(the lengths up to `SHORT`, whether none is longer): a pass for each token back."""
    tokens = history.tokens
    positions = tokens.shape[1]
    position = torch.arange(positions)
    lengths = torch.zeros(tokens.shape, dtype=torch.int32)
    alive = earlier
    for back in range(min(SHORT, positions)):
        place = history.end - 1 - back
        suffix = tokens.gather(1, place.clamp_min(0)[:, None])
        here = torch.nn.functional.pad(tokens[:, : positions - back], (back, 0))
        inside = (position - back >= history.start[:, None]) & (place >= history.start)[:, None]
        alive = alive & inside & (here == suffix)
        if not bool(alive.any()):
            return lengths, True
        lengths += alive
    return lengths, positions <= SHORT


def _by_doubling(history: History, earlier: Tensor) -> Tensor:
    """The lengths from names for all stretches of 1, 2, 4, ... tokens: equal ones, equal names.

    A stretch of 2 n tokens is named after the pair of its halves' names, as in the construction of
    suffix arrays; a match is then put together from its longest stretches. Source: Karp, Miller,
    Rosenberg 1972.
    """
    tokens, end = history.tokens, history.end
    positions = tokens.shape[1]
    position = torch.arange(positions, device=tokens.device)
    # The name of the stretch that ends at each position; those that begin before the text have
    # names of their own, so that they equal nothing.
    outside = (position < history.start[:, None]) | (position >= end[:, None])
    own = positions + position
    names = [torch.where(outside, own, _dense(tokens))]
    for _ in range(max(positions - 1, 1).bit_length() - 1):
        last, width = names[-1], 1 << (len(names) - 1)
        first = torch.nn.functional.pad(last[:, : positions - width], (width, 0), value=0)
        dense = _dense(last * (2 * positions) + first)
        names.append(torch.where(position - history.start[:, None] < 2 * width - 1, own, dense))
    here = position.expand(tokens.shape)
    there = (end - 1)[:, None].expand(tokens.shape)
    lengths = torch.zeros_like(tokens)
    for level in range(len(names) - 1, -1, -1):
        i, j = here - lengths, there - lengths
        one = names[level].gather(1, i.clamp_min(0))
        other = names[level].gather(1, j.clamp_min(0))
        equal = earlier & (one == other) & (i >= 0) & (one < positions)
        lengths = torch.where(equal, lengths + (1 << level), lengths)
    return lengths.int()


def _dense(keys: Tensor) -> Tensor:
    """[rows, n] int64: numbers below n for the keys of each row, equal ones for equal keys."""
    ranked, order = keys.sort(dim=1)
    new = ranked[:, 1:] != ranked[:, :-1]
    number = torch.nn.functional.pad(new.long().cumsum(1), (1, 0))
    return torch.empty_like(number).scatter_(1, order, number)
