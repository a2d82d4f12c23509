"""The state that stateful stages keep for each slot, on the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from temperament.ops.state import State

# by stage; tensors that `save` copied
Snapshot = dict[str, tuple[Tensor, ...]]

_NEVER = -2  # `generated` before a stage's first step: no request has -2 + 1 tokens


class _Bank(NamedTuple):
    """The state of one stage in all slots: the tensors of `State`."""

    # [slots, entries] float64
    value: Tensor
    # [slots, entries, vocabulary] float32
    logits: Tensor
    # [slots, entries] float32
    normaliser: Tensor
    # [slots, entries] int64
    generated: Tensor


class States:
    """The state of every stateful stage in `slots` slots, created when the stage is first used.

    A slot has an entry for the step after its tokens, and one for the step after each of at most
    `drafts` draft tokens.
    """

    def __init__(self, slots: int, device: torch.device | str = "cpu", *, drafts: int = 0) -> None:
        self._shape = (slots, drafts + 1)
        self._device = torch.device(device)
        # by stage
        self._banks: dict[str, _Bank] = {}

    def view(self, stage: str, slots: Tensor, vocabulary: int, entry: int = 0) -> State:
        """Returns the state of a stage for a batch whose row i is slot `slots[i]` (int64).

        Each row comes after `entry` draft tokens. Raises `ValueError` if the stage's state is of
        rows with another number of logits, which a kernel would read beyond their end.
        """
        if stage not in self._banks:
            self._banks[stage] = self._build(vocabulary)
        kept = self._banks[stage].logits.shape[-1]
        if kept != vocabulary:
            raise ValueError(f"{stage}: rows of {vocabulary} logits after rows of {kept}")
        return State(*self._banks[stage], slots, entry)

    @property
    def drafted(self) -> bool:
        """Returns whether slots have entries for draft tokens, so that `commit` is needed."""
        return self._shape[1] > 1

    def commit(self, slots: Tensor, generated: Tensor) -> None:
        """Keeps of each slot the step after its last accepted token, and drops all others.

        `generated` ([rows] int64) is how many tokens each of the slots ([rows] int64) has. The
        steps that are dropped are those after rejected draft tokens.
        """
        if not self.drafted:
            return
        for bank in self._banks.values():
            number = bank.generated.index_select(0, slots)
            earlier = torch.where(number < generated[:, None], number, _NEVER)
            last, entry = earlier.max(1)
            # If known tokens are processed again, no step is earlier; the first entry stays.
            entry = torch.where(last > _NEVER, entry, 0)
            for part in bank:
                part[slots, torch.zeros_like(entry)] = part[slots, entry]
            dropped = torch.full_like(number, _NEVER)
            dropped[:, 0] = bank.generated[slots, torch.zeros_like(entry)]
            bank.generated.index_copy_(0, slots, dropped)

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
        """Returns a copy of a slot's state without draft tokens, for `restore`."""
        return {
            stage: tuple(part[slot, 0].clone() for part in bank)
            for stage, bank in self._banks.items()
        }

    def restore(self, slot: int, saved: Snapshot) -> None:
        """Sets a slot that forgot its state to a saved one."""
        for stage, parts in saved.items():
            for bank, part in zip(self._banks[stage], parts, strict=True):
                bank[slot, 0] = part

    def swap(self, one: int, other: int) -> None:
        """Exchanges the states of two slots."""
        pair, reversed_pair = [one, other], [other, one]
        for bank in self._banks.values():
            for part in bank:
                part[pair] = part[reversed_pair]

    def _build(self, vocabulary: int) -> _Bank:
        shape, device = self._shape, self._device
        return _Bank(
            torch.full(shape, torch.nan, dtype=torch.float64, device=device),
            torch.zeros(*shape, vocabulary, device=device),
            torch.zeros(shape, device=device),
            torch.full(shape, _NEVER, dtype=torch.int64, device=device),
        )
