"""Which places of the parameter table belong to a slot: one, or one for each mode of its request.

The place of a request without modes has its slot's number. The places of modes are numbered after
all slots.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from temperament.batch.arrays import Places, Slots, Uploads
from temperament.batch.table import Table
from temperament.presets.modes import MAX_MODES


class SlotPlaces:
    """The places of `slots` slots in `table`."""

    def __init__(self, table: Table, slots: int, device: torch.device) -> None:
        self._table = table
        self._uploads = Uploads(device)
        # [slots, MAX_MODES] the place of each mode; filled up with that of the first mode
        self._places = np.repeat(np.arange(slots), MAX_MODES).reshape(slots, MAX_MODES)
        # places that no request has
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._places)

    def of(self, slots: Slots) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Returns [rows, MAX_MODES]: the place of each mode of some slots."""
        return np.asarray(self._places[slots])

    @property
    def every(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """[slots, MAX_MODES]: the place of each mode of every slot."""
        return self._places

    def different(self, slots: Slots) -> Places:
        """Returns the places of some slots, each once."""
        return np.unique(self._places[slots])

    def take(self, slot: int, count: int) -> list[int]:
        """Gives a slot a place for each of `count` modes, and returns them."""
        places = [self._take() for _ in range(count)]
        self._places[slot] = [*places, *[places[0]] * (MAX_MODES - count)]
        return places

    def clear(self, slot: int) -> None:
        """Gives back the places of a slot's modes, and clears all its places in the table."""
        for place in set(self._places[slot].tolist()):
            self._table.clear(place)
            if place != slot:
                self._free.append(place)
        self._places[slot] = slot

    def swap(self, one: int, other: int) -> None:
        """Exchanges the places of two slots' modes."""
        pair, reversed_pair = [one, other], [other, one]
        self._places[pair] = self._places[reversed_pair]
        for slot in pair:  # a request without modes has the place of its slot's number
            self._places[slot][self._places[slot] < len(self._places)] = slot

    def in_mode(self, slots: Tensor, modes: Tensor) -> Tensor:
        """Returns [rows] int64: the place of each row's mode, from [rows] slots and modes."""
        places = self._uploads.of("places", self._places)
        return places.view(-1)[slots * MAX_MODES + modes]

    def _take(self) -> int:
        if not self._free:
            count = self._table.places
            self._table.grow(max(len(self._places), MAX_MODES))
            self._free = list(range(self._table.places - 1, count - 1, -1))
        return self._free.pop()
