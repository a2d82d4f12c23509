"""The lists of all places for the kernels: token sequences with a number each, one after another.

`temperament.kernels.layout` says what an entry consists of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from temperament.kernels import layout
from temperament.stages.kinds import Entry

Array = np.ndarray[Any, np.dtype[np.int32]]

_EMPTY: Array = np.zeros((0, layout.FIELDS), dtype=np.int32)
_NO_TOKENS: Array = np.zeros(0, dtype=np.int32)


class Joined(NamedTuple):
    """The lists of all places."""

    # [entries, FIELDS] int32, one entry at least; a value has the bits of its float32
    entries: Array
    # [tokens] int32: the sequences without their last tokens, one after another
    prefixes: Array
    # [places, lists + 1] int32: where each list begins, and the place's last one ends
    starts: Array


class PlaceLists:
    """The lists of each place."""

    def __init__(self) -> None:
        # place -> list -> (its entries, their prefixes)
        self._lists: dict[int, dict[int, tuple[Array, Array]]] = {}
        # the number of entries of the longest list, as of the last call of `joined`
        self.longest = 0

    def write(self, place: int, name: str, entries: Sequence[Entry]) -> None:
        """Sets a list of a place."""
        self._lists.setdefault(place, {})[layout.LISTS[name]] = _packed(entries)

    def clear(self, place: int) -> None:
        """Forgets the lists of a place."""
        self._lists.pop(place, None)

    def joined(self, places: int) -> Joined:
        """Returns the lists of the places below `places`."""
        count = len(layout.LISTS)
        sizes = np.zeros((places, count), dtype=np.int32)
        parts, prefixes, tokens = [], [], 0
        for place in sorted(self._lists):
            for number in sorted(self._lists[place]):
                entries, prefix = self._lists[place][number]
                sizes[place, number] = len(entries)
                shifted = entries.copy()
                shifted[:, layout.PREFIX] += tokens
                tokens += len(prefix)
                parts.append(shifted)
                prefixes.append(prefix)
        self.longest = int(sizes.max(initial=0))
        ends = np.cumsum(sizes.reshape(-1), dtype=np.int32)
        starts = np.zeros((places, count + 1), dtype=np.int32)
        starts[:, 1:] = ends.reshape(sizes.shape)
        starts[1:, 0] = starts[:-1, -1]
        padding = np.zeros((1, layout.FIELDS), dtype=np.int32)
        return Joined(
            np.concatenate([*parts, padding]), np.concatenate([*prefixes, padding[0]]), starts
        )


def _packed(entries: Sequence[Entry]) -> tuple[Array, Array]:
    """Returns ([entries, FIELDS], the prefixes), the entries by their last tokens."""
    if not entries:
        return _EMPTY, _NO_TOKENS
    ordered = sorted(entries, key=lambda entry: entry[0][-1])  # stable
    packed = np.zeros((len(ordered), layout.FIELDS), dtype=np.int32)
    packed[:, layout.TOKEN] = [sequence[-1] for sequence, _ in ordered]
    values = np.array([value for _, value in ordered], dtype=np.float32)
    packed[:, layout.VALUE] = values.view(np.int32)
    lengths = np.array([len(sequence) - 1 for sequence, _ in ordered], dtype=np.int32)
    packed[:, layout.LENGTH] = lengths
    packed[:, layout.PREFIX] = np.cumsum(lengths) - lengths
    first = np.flatnonzero(np.diff(packed[:, layout.TOKEN], prepend=-1))
    packed[first, layout.RUN] = np.diff(first, append=len(ordered))
    prefixes = [token for sequence, _ in ordered for token in sequence[:-1]]
    return packed, np.array(prefixes, dtype=np.int32)
