"""What stateful stages remember of each slot, on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from temperament.ops.state import State

Bank = tuple[Tensor, Tensor, Tensor, Tensor]
Snapshot = dict[str, tuple[Tensor, ...]]


class States:
    """One memory for each stateful stage that was ever used."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self._slots = slots
        self._device = torch.device(device)
        self._banks: dict[str, Bank] = {}

    def bank(self, stage: str, vocabulary: int) -> Bank:
        """(value, given, normaliser, count) of a stage, made when first asked for."""
        if stage not in self._banks:
            self._banks[stage] = (
                torch.full((self._slots,), torch.nan, dtype=torch.float64, device=self._device),
                torch.zeros(self._slots, vocabulary, device=self._device),
                torch.zeros(self._slots, device=self._device),
                torch.full((self._slots,), -2, dtype=torch.int64, device=self._device),
            )
        return self._banks[stage]

    def view(self, stage: str, slots: Tensor, vocabulary: int) -> State:
        """The state of a batch whose row i is slot `slots[i]`: [rows] int64."""
        return State(*self.bank(stage, vocabulary), slots)

    def reorder(self, parents: Tensor) -> None:
        """Each slot takes the state of another: [slots] int64."""
        for bank in self._banks.values():
            for part in bank:
                part.copy_(part.index_select(0, parents))

    def forget(self, slot: int) -> None:
        """A request takes the slot anew."""
        for value, _, _, count in self._banks.values():
            value[slot] = torch.nan
            count[slot] = -2

    def save(self, slot: int) -> Snapshot:
        """A copy of a slot's state, to be restored when its request comes back."""
        return {
            stage: tuple(part[slot].clone() for part in bank) for stage, bank in self._banks.items()
        }

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Puts a saved state into a slot."""
        for stage, parts in saved.items():
            for bank, part in zip(self._banks[stage], parts, strict=True):
                bank[slot] = part

    def copy(self, source: int, target: int) -> None:
        """The state of one slot, in another too."""
        for bank in self._banks.values():
            for part in bank:
                part[target] = part[source]

    def swap(self, one: int, other: int) -> None:
        """Two slots change places."""
        pair, turned = [one, other], [other, one]
        for bank in self._banks.values():
            for part in bank:
                part[pair] = part[turned]
