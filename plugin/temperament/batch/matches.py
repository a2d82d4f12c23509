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

from temperament.ops.inputs import History, Matches


class SuffixMatches:
    """The matches of `slots` slots. A slot whose history grew by one token takes one pass."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self._length = torch.zeros(slots, 0, dtype=torch.int32, device=device)
        # [slots] on the host: how many tokens the slot's matches are of; -1: not known
        self._known = np.full(slots, -1, dtype=np.int64)

    def forget(self, slot: int) -> None:
        """The slot's history is another one now."""
        self._known[slot] = -1

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
        index = torch.from_numpy(np.ascontiguousarray(slots)).to(self._length.device)
        return Matches(self._length[:, :longest].index_select(0, index))

    def _part(
        self, history: History, slots: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
    ) -> tuple[History, Tensor]:
        index = torch.from_numpy(rows).to(self._length.device)
        return history.select(index), torch.from_numpy(slots[rows]).to(self._length.device)


def extend(old: Tensor, history: History) -> Tensor:
    """[rows, positions] lengths after the last token, from those before it."""
    tokens = history.tokens
    last = tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])
    position = torch.arange(tokens.shape[1], device=tokens.device)
    earlier = (position >= history.start[:, None]) & (position < history.end[:, None] - 1)
    shifted = torch.nn.functional.pad(old[:, :-1], (1, 0))
    return torch.where(earlier & (tokens == last), shifted + 1, 0)


def rebuild(history: History) -> Tensor:
    """[rows, positions] lengths from nothing: as many passes as the longest match has tokens.

    The loop ends by asking the device, once a request or after a break in its history; the steady
    state doesn't come here.
    """
    tokens = history.tokens
    positions = tokens.shape[1]
    position = torch.arange(positions, device=tokens.device)
    lengths = torch.zeros(tokens.shape, dtype=torch.int32, device=tokens.device)
    alive = (position >= history.start[:, None]) & (position < history.end[:, None] - 1)
    for back in range(positions):
        place = history.end - 1 - back
        suffix = tokens.gather(1, place.clamp_min(0)[:, None])
        here = torch.nn.functional.pad(tokens[:, : positions - back], (back, 0))
        alive = alive & (position - back >= history.start[:, None]) & (here == suffix)
        alive = alive & (place >= history.start)[:, None]
        if not bool(alive.any()):
            break
        lengths += alive
    return lengths
