"""The automata of all texts in use, in one table on the device; each is built once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from temperament.ops.automata import Automata, Texts
from temperament.plan.automata.tokens import TokenAutomaton, token_automaton
from temperament.plan.vocabulary import TokenBytes

MAX_SETS = 64  # of texts, before those out of use are dropped


class TextTables:
    """Automata over one vocabulary. A set of texts is a range of states, the first its root."""

    def __init__(self, vocabulary: TokenBytes, device: torch.device | str = "cpu") -> None:
        self.vocabulary = vocabulary
        self._device = torch.device(device)
        self._sets: dict[tuple[str, ...], TokenAutomaton] = {}
        self._roots: dict[tuple[str, ...], int] = {}
        self._table: Automata | None = None

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, texts: tuple[str, ...], in_use: Sequence[tuple[str, ...]] = ()) -> None:
        """Builds the automaton of a set of texts; beyond `MAX_SETS`, forgets those out of use."""
        if texts in self._sets:
            return
        if len(self._sets) >= MAX_SETS:
            self._sets = {used: self._sets[used] for used in dict.fromkeys(in_use)}
        self._sets[texts] = token_automaton([text.encode() for text in texts], self.vocabulary)
        self._table = None

    def texts(self, sets: Sequence[tuple[str, ...]]) -> Texts:
        """The automata of rows that use these sets."""
        if self._table is None:
            self._table = self._join()
        roots = torch.tensor([self._roots[texts] for texts in sets], dtype=torch.int64)
        # As many tokens as a text has bytes before its last decide where it may end.
        longest = max((len(text.encode()) for texts in sets for text in texts), default=0)
        exceptions = [np.diff(self._sets[texts].first_exception).max() for texts in set(sets)]
        return Texts(
            self._table,
            roots.to(self._device),
            longest - 1 if len(self.vocabulary) else -1,
            int(max(exceptions, default=0)),
        )

    def _join(self) -> Automata:
        automata = list(self._sets.values())
        states = np.array([automaton.states for automaton in automata])
        roots = np.cumsum(states) - states
        self._roots = dict(zip(self._sets, roots.tolist(), strict=True))
        before = np.cumsum([0, *(len(automaton.exception_token) for automaton in automata)])
        offsets = [
            a.first_exception[:-1] + start for a, start in zip(automata, before, strict=False)
        ]
        pairs = list(zip(automata, roots, strict=True))
        size = len(self.vocabulary)
        keys = [
            (np.repeat(np.arange(a.states), np.diff(a.first_exception)) + root) * size
            + a.exception_token
            for a, root in pairs
        ]
        return Automata(
            self._to_device(np.stack([a.next.astype(np.int32) + root for a, root in pairs])),
            self._to_device(np.stack([a.hit for a in automata])),
            self._to_device(np.repeat(np.arange(len(automata)), states)),
            self._to_device(np.concatenate([*offsets, before[-1:]])),
            self._to_device(np.concatenate(keys)),
            self._to_device(
                np.concatenate([a.exception_next.astype(np.int32) + root for a, root in pairs])
            ),
            self._to_device(np.concatenate([a.exception_hit for a in automata])),
        )

    def _to_device(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
        return torch.from_numpy(values).to(self._device)
