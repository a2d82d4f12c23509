"""The texts that stages search for: those of each place, and the automata that find them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from temperament.batch.joining import join
from temperament.ops.automata import Automata, Texts
from temperament.plan.automata.token_automaton import TokenAutomaton, token_automaton
from temperament.plan.vocabulary import TokenBytes

MAX_SETS = 64  # sets of texts that are kept, unless more are in use

TextSet = tuple[str, ...]


class TextTables:
    """The automata of sets of texts over one vocabulary. Each is built once."""

    def __init__(self, vocabulary: TokenBytes, device: torch.device | str = "cpu") -> None:
        self.vocabulary = vocabulary
        self._device = torch.device(device)
        self._automata: dict[TextSet, TokenAutomaton] = {}
        # the most bytes of a text of each set
        self._longest: dict[TextSet, int] = {}
        # the state of each set in which nothing is matched
        self._roots: dict[TextSet, int] = {}
        # the joined automata, None after a change
        self._joined: Automata | None = None

    def __len__(self) -> int:
        return len(self._automata)

    def add(self, texts: TextSet, in_use: Iterable[TextSet] = ()) -> None:
        """Builds the automaton of a set. If there are `MAX_SETS`, drops those not `in_use`."""
        if texts in self._automata:
            return
        if len(self._automata) >= MAX_SETS:
            self._automata = {used: self._automata[used] for used in dict.fromkeys(in_use)}
            self._longest = {used: self._longest[used] for used in self._automata}
        spelled = [one for text in texts for one in self.vocabulary.spellings(text)]
        self._automata[texts] = token_automaton(spelled, self.vocabulary)
        self._longest[texts] = max(map(len, spelled), default=0)
        self._joined = None

    def texts(self, sets: Sequence[TextSet]) -> Texts:
        """Returns the texts of a batch whose row i has the set `sets[i]`."""
        if self._joined is None:
            self._joined = self._join()
        roots = torch.tensor([self._roots[texts] for texts in sets], dtype=torch.int64)
        longest = max((self._longest[texts] for texts in sets), default=0)
        automata = [self._automata[texts] for texts in set(sets)]
        exceptions = [np.diff(automaton.first_exception).max() for automaton in automata]
        return Texts(
            self._joined,
            roots.to(self._device),
            # A token has at least one byte, so a text's other bytes are in at most that many.
            longest - 1 if len(self.vocabulary) else -1,
            int(max(exceptions, default=0)),
        )

    def _join(self) -> Automata:
        automata = list(self._automata.values())
        hits = [automaton.hit for automaton in automata]
        exception_hits = [automaton.exception_hit for automaton in automata]
        size = len(self.vocabulary)
        joined, roots = join(automata, hits, exception_hits, size, self._device)
        self._roots = dict(zip(self._automata, roots.tolist(), strict=True))
        return joined


class PlaceTexts:
    """The texts of each place by parameter.

    `vocabulary` returns the tokens' bytes; it is called when a place first has texts.
    """

    def __init__(
        self, device: torch.device, vocabulary: Callable[[], TokenBytes] | None = None
    ) -> None:
        self._device = device
        self._vocabulary = vocabulary
        self._tables: TextTables | None = None
        # parameter -> place -> texts
        self._sets: dict[str, dict[int, TextSet]] = {}

    def write(self, place: int, name: str, texts: TextSet) -> None:
        """Sets the texts of a place."""
        if self._tables is None:
            known = TokenBytes(()) if self._vocabulary is None else self._vocabulary()
            self._tables = TextTables(known, self._device)
        in_use = [used for sets in self._sets.values() for used in sets.values()]
        self._tables.add(texts, in_use)
        self._sets.setdefault(name, {})[place] = texts

    def clear(self, place: int) -> None:
        """Forgets all texts of a place."""
        for sets in self._sets.values():
            sets.pop(place, None)

    def of(self, name: str, places: Iterable[int]) -> Texts:
        """Returns the texts of a batch whose row i is place `places[i]`."""
        assert self._tables is not None
        sets = self._sets[name]
        # A row that doesn't run the stage may have any texts.
        other = next(iter(sets.values()))
        return self._tables.texts([sets.get(int(place), other) for place in places])

    def expanded(self, name: str, count: int, index: Tensor) -> Texts:
        """Returns the texts of a batch whose row i is place `index[i]` ([rows] int64) of `count`.

        For batches whose rows only the device knows.
        """
        texts = self.of(name, range(count))
        return replace(texts, root=texts.root.index_select(0, index))
