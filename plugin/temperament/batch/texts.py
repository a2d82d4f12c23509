"""The automata of all texts in use, in one table on the device; each is built once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from temperament.ops.inputs import Texts
from temperament.plan.automaton import token_automaton
from temperament.plan.vocabulary import TokenBytes

MAX_STATES = 4096  # of all sets of texts together, before those out of use are dropped


class TextTables:
    """Automata over one vocabulary. A set of texts is a range of states, the first its root."""

    def __init__(self, vocabulary: TokenBytes, device: torch.device | str = "cpu") -> None:
        self.vocabulary = vocabulary
        size = len(vocabulary)
        self._next = torch.zeros(0, size, dtype=torch.int32, device=device)
        self._hit = torch.zeros(0, size, dtype=torch.bool, device=device)
        # set of texts -> (root, states, window)
        self._sets: dict[tuple[str, ...], tuple[int, int, int]] = {}

    def add(self, texts: tuple[str, ...], in_use: Sequence[tuple[str, ...]] = ()) -> bool:
        """Builds the automaton of a set of texts; whether roots of others have moved."""
        if texts in self._sets:
            return False
        moved = self._next.shape[0] > MAX_STATES
        if moved:
            self._keep(in_use)
        raw = [text.encode() for text in texts]
        after, hit = token_automaton(raw, self.vocabulary)
        root = self._next.shape[0]
        # as many tokens as a text has bytes before its last decide where it may end
        self._sets[texts] = (root, len(after), max(map(len, raw), default=0) - 1)
        device = self._next.device
        self._next = torch.cat([self._next, torch.from_numpy(after).to(device).int() + root])
        self._hit = torch.cat([self._hit, torch.from_numpy(hit).to(device)])
        return moved

    def texts(self, sets: Sequence[tuple[str, ...]]) -> Texts:
        """The automata of rows that use these sets."""
        roots = torch.tensor([self._sets[texts][0] for texts in sets], dtype=torch.int64)
        window = max((self._sets[texts][2] for texts in sets), default=-1)
        return Texts(self._next, self._hit, roots.to(self._next.device), window)

    def _keep(self, in_use: Sequence[tuple[str, ...]]) -> None:
        rows: list[Tensor] = []
        kept: dict[tuple[str, ...], tuple[int, int, int]] = {}
        hits: list[Tensor] = []
        total = 0
        for texts in dict.fromkeys(in_use):
            root, states, window = self._sets[texts]
            rows.append(self._next[root : root + states] - root + total)
            hits.append(self._hit[root : root + states])
            kept[texts] = (total, states, window)
            total += states
        self._next = torch.cat([self._next[:0], *rows])
        self._hit = torch.cat([self._hit[:0], *hits])
        self._sets = kept
