"""The state of a stage: what it keeps of each row from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from temperament.ops.blocks import branches
from temperament.ops.history import History
from temperament.ops.sums import mass, sums


@dataclass(slots=True)
class State:
    """A stage's number for each row, and the distribution after its last step.

    The first four tensors have entries for every slot: the first one is of the step after the
    request's tokens, a further one of the step after each draft token. `slots` are the rows' slots.
    The methods read the last entry of a row's slot before `entry`, and write `entry`.
    """

    # [slots, entries] float64, NaN before the first step
    value: Tensor
    # [slots, entries, vocabulary] float32: the logits after the stage's last step
    logits: Tensor
    # [slots, entries] float32: a token's log-probability is its logit less this number
    normaliser: Tensor
    # [slots, entries] int64: how many tokens the row had generated at that step
    generated: Tensor
    # [rows] int64
    slots: Tensor
    # the number of draft tokens before each row
    entry: int = 0
    # [rows] bool: whose state changes, None for all
    takes_part: Tensor | None = None

    def select(self, rows: Tensor) -> State:
        """Returns the state of some rows: [n] int64."""
        part = self.takes_part
        return replace(
            self,
            slots=self.slots.index_select(0, rows),
            takes_part=None if part is None else part.index_select(0, rows),
        )

    def only(self, takes_part: Tensor) -> State:
        """Returns the state such that only some rows ([rows] bool) change theirs."""
        return replace(self, takes_part=takes_part)

    @property
    def source(self) -> Tensor:
        """Returns [rows] int64: the entry that is read, numbered through all slots."""
        if self.value.shape[1] == 1:
            return self.slots
        return self.slots * self.value.shape[1] + self._last()

    @property
    def destination(self) -> Tensor:
        """Returns [rows] int64: the entry that is written, numbered through all slots."""
        if self.value.shape[1] == 1:
            return self.slots
        return self.slots * self.value.shape[1] + self.entry

    def drawn(self, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Returns [rows] each: the number, the drawn token's log-probability, if one was drawn.

        The last is true if the row has exactly one token more than at the last step, and that token
        had a finite log-probability. Otherwise the token wasn't drawn from these logits.
        """
        entry = self._last()
        generated = history.end - history.prompt_end
        last = history.tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])[:, 0]
        followed = (generated == self.generated[self.slots, entry] + 1) & (generated > 0)
        followed &= (last >= 0) & (last < self.logits.shape[-1])
        logit = self.logits[self.slots, entry, last.where(followed, 0)]
        log_probability = logit - self.normaliser[self.slots, entry]
        followed &= log_probability.isfinite()
        return self.value[self.slots, entry], log_probability.where(followed, 0.0), followed

    def store(self, value: Tensor, logits: Tensor, history: History) -> Tensor:
        """Keeps a number ([rows]) and a distribution ([rows, vocabulary] logits) for the next step.

        Returns [rows] float32: a token's log-probability is its logit less this number.
        """
        maximum, total = sums(logits, mass)
        normaliser = (maximum + total.log()).float()[:, 0]
        here = self.destination
        parts = (self.value, self.normaliser, self.generated)
        values, normalisers, generated_at = (part.view(-1) for part in parts)
        generated, before = history.end - history.prompt_end, generated_at[here]
        # A runner may process a row's known tokens again, in parts; it draws none after a part.
        new = generated >= before
        if self.takes_part is not None:
            new &= self.takes_part
        kept = self.logits.view(-1, logits.shape[1])
        if not branches(logits) or not bool(new.all()):
            logits = torch.where(new[:, None], logits, kept[here])
        kept.index_copy_(0, here, logits)
        values[here] = torch.where(new, value, values[here])
        normalisers[here] = torch.where(new, normaliser, normalisers[here])
        generated_at[here] = torch.where(new, generated, before)
        return normaliser

    def _last(self) -> Tensor:
        """Returns [rows] int64: the last entry before `entry` that a step has written."""
        if self.entry == 0:  # the step replaces the previous one in the only entry
            return torch.zeros_like(self.slots)
        return self.generated[self.slots, : self.entry].argmax(1)
