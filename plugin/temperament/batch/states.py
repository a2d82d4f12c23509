"""The state that stateful stages keep for each slot, on the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.state import State

# by stage; tensors that `save` copied
Snapshot = dict[str, tuple[Tensor, ...]]

_NEVER = -2  # `generated` before a stage's first step; no number of tokens is one more


class _Bank(NamedTuple):
    """The state of one stage in all slots: the tensors of `State`."""

    # [slots] float64
    value: Tensor
    # [slots, vocabulary] float32
    logits: Tensor
    # [slots] float32
    normaliser: Tensor
    # [slots] int64
    generated: Tensor


class States:
    """The state of every stateful stage in `slots` slots, created when the stage is first used."""

    def __init__(self, slots: int, device: torch.device | str = "cpu") -> None:
        self._slots = slots
        self._device = torch.device(device)
        # by stage
        self._banks: dict[str, _Bank] = {}

    def view(self, stage: str, slots: Tensor, vocabulary: int) -> State:
        """Returns the state of a stage for a batch whose row i is slot `slots[i]` (int64)."""
        if stage not in self._banks:
            self._banks[stage] = self._build(vocabulary)
        return State(*self._banks[stage], slots)

    def reorder(self, parents: Tensor) -> None:
        """Gives each slot the state of slot `parents[i]`: [slots] int64."""
        for bank in self._banks.values():
            for part in bank:
                part.copy_(part.index_select(0, parents))

    def forget(self, slot: int) -> None:
        """Sets a slot to the state before the first step."""
        for bank in self._banks.values():
            bank.value[slot] = torch.nan
            bank.generated[slot] = _NEVER

    def save(self, slot: int) -> Snapshot:
        """Returns a copy of a slot's state, for `restore`."""
        return {
            stage: tuple(part[slot].clone() for part in bank) for stage, bank in self._banks.items()
        }

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Sets a slot to a saved state."""
        for stage, parts in saved.items():
            for bank, part in zip(self._banks[stage], parts, strict=True):
                bank[slot] = part

    def swap(self, one: int, other: int) -> None:
        """Exchanges the states of two slots."""
        pair, reversed_pair = [one, other], [other, one]
        for bank in self._banks.values():
            for part in bank:
                part[pair] = part[reversed_pair]

    def _build(self, vocabulary: int) -> _Bank:
        return _Bank(
            torch.full((self._slots,), torch.nan, dtype=torch.float64, device=self._device),
            torch.zeros(self._slots, vocabulary, device=self._device),
            torch.zeros(self._slots, device=self._device),
            torch.full((self._slots,), _NEVER, dtype=torch.int64, device=self._device),
        )
