"""The state of a stage: what it keeps of each row from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from temperament.ops.blocks import branches, mass, sums
from temperament.ops.history import History


@dataclass(slots=True)
class State:
    """A stage's number for each row, and the distribution after its last step.

    The first four tensors have an entry for every slot; `slots` are the rows' slots. The methods
    read and write the rows' entries.
    """

    # [slots] float64, NaN before the first step
    value: Tensor
    # [slots, vocabulary] float32: the logits after the stage's last step
    logits: Tensor
    # [slots] float32: a token's log-probability is its logit less this number
    normaliser: Tensor
    # [slots] int64: how many tokens the row had generated at that step
    generated: Tensor
    # [rows] int64
    slots: Tensor

    def select(self, rows: Tensor) -> State:
        """Returns the state of some rows: [n] int64."""
        slots = self.slots.index_select(0, rows)
        return State(self.value, self.logits, self.normaliser, self.generated, slots)

    def drawn(self, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Returns [rows] each: the number, the drawn token's log-probability, if one was drawn.

        The last is true if the row has exactly one token more than at the last step, and that token
        had a finite log-probability. Otherwise the token wasn't drawn from these logits.
        """
        generated = history.end - history.prompt_end
        last = history.tokens.gather(1, (history.end - 1).clamp_min(0)[:, None])[:, 0]
        followed = (generated == self.generated[self.slots] + 1) & (generated > 0)
        followed &= (last >= 0) & (last < self.logits.shape[1])
        logit = self.logits[self.slots, last.where(followed, 0)]
        log_probability = logit - self.normaliser[self.slots]
        followed &= log_probability.isfinite()
        return self.value[self.slots], log_probability.where(followed, 0.0), followed

    def store(self, value: Tensor, logits: Tensor, history: History) -> Tensor:
        """Keeps a number ([rows]) and a distribution ([rows, vocabulary] logits) for the next step.

        Returns [rows] float32: a token's log-probability is its logit less this number.
        """
        maximum = logits.amax(dim=-1, keepdim=True)
        (total,) = sums(logits, maximum, mass)
        normaliser = (maximum + total.log()).float()[:, 0]
        generated, before = history.end - history.prompt_end, self.generated[self.slots]
        # A runner may process a row's known tokens again, in parts; it draws none after a part.
        new = generated >= before
        if not branches(logits) or not bool(new.all()):
            logits = torch.where(new[:, None], logits, self.logits[self.slots])
        self.value[self.slots] = torch.where(new, value, self.value[self.slots])
        self.logits.index_copy_(0, self.slots, logits)
        old = self.normaliser[self.slots]
        self.normaliser[self.slots] = torch.where(new, normaliser, old)
        self.generated[self.slots] = torch.where(new, generated, before)
        return normaliser
