"""Entries: token sequences of each place, each with a number, for biases and bans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import to_device
from temperament.ops.inputs import Sequences
from temperament.stages.kinds import Entry

# Fills up a place that has fewer entries than others; it has no effect.
_FILLER: Entry = ((0,), -0.0)


class Entries:
    """The entries of each place by name (a parameter, or the ends of a text)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # name -> place -> entries
        self._entries: dict[str, dict[int, list[Entry]]] = {}

    def write(self, place: int, name: str, entries: list[Entry]) -> None:
        """Sets the entries of a place."""
        self._entries.setdefault(name, {})[place] = entries

    def clear(self, place: int) -> None:
        """Forgets all entries of a place."""
        for entries in self._entries.values():
            entries.pop(place, None)

    def of(self, name: str, places: Iterable[int], vocabulary: int) -> Sequences:
        """Returns the entries of a batch whose row i is place `places[i]`.

        Only the entries whose last token is below `vocabulary`.
        """
        return self._sequences(self._known(name, places, vocabulary))

    def expanded(
        self, name: str, count: int, index: Tensor, vocabulary: int, *, additive: bool
    ) -> Sequences:
        """Returns the entries of a batch whose row i is place `index[i]` ([rows] int64).

        Only the device knows `index`, so each of the `count` places is filled up to the same
        number of entries. The place's first entry fills it up, since a repeated entry changes
        nothing; where entries add up (`additive`) or there is none, an entry that doesn't count.
        """
        known = self._known(name, range(count), vocabulary)
        most = max(map(len, known), default=0)
        filled = [
            entries + [_FILLER if additive or not entries else entries[0]] * (most - len(entries))
            for entries in known
        ]
        table = self._sequences(filled)
        entry = (index[:, None] * most + torch.arange(most, device=self._device)).reshape(-1)
        row = torch.arange(index.shape[0], device=self._device).repeat_interleave(most)
        return Sequences(row, *(part[entry] for part in table[1:]))

    def _known(self, name: str, places: Iterable[int], vocabulary: int) -> list[list[Entry]]:
        table = self._entries.get(name, {})
        return [
            [entry for entry in table.get(int(place), ()) if entry[0][-1] < vocabulary]
            for place in places
        ]

    def _sequences(self, rows: Sequence[Sequence[Entry]]) -> Sequences:
        counts = [entry is not _FILLER for entries in rows for entry in entries]
        flat = [(row, *entry) for row, entries in enumerate(rows) for entry in entries]
        longest = max((len(sequence) for _, sequence, _ in flat), default=1) - 1
        prefix = np.full((len(flat), longest), -1, dtype=np.int64)
        for number, (_, sequence, _) in enumerate(flat):
            if len(sequence) > 1:
                prefix[number, longest - len(sequence) + 1 :] = sequence[:-1]
        arrays = (
            np.array([row for row, _, _ in flat], dtype=np.int64),
            prefix,
            np.array([sequence[-1] for _, sequence, _ in flat], dtype=np.int64),
            np.array([value for _, _, value in flat], dtype=np.float32),
            np.array(counts, dtype=np.bool_),
        )
        return Sequences(*(to_device(array, self._device) for array in arrays))
