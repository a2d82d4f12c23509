"""A worker that samples with the admitted requests."""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from integration_tests.harness.hostile import VOCABULARY

from temperament.batch.request import request_of
from temperament.batch.rows import Rows
from temperament.plan import decode
from temperament.plan.vocabulary import TokenBytes

SLOTS = 16

STEPS = 3


class Worker:
    """Draws with what was let in, as an engine's worker would."""

    def __init__(self, tokens: TokenBytes, random: Random) -> None:
        self.random = random
        self.rows = Rows(SLOTS, vocabulary=lambda: tokens)
        self.generator = torch.Generator().manual_seed(0)
        self.ends = tokens.ends
        self.slot = 0

    def draw(self, text: str) -> int:
        """Gives a request a slot; every `SLOTS` of them, draws some tokens. How many rows."""
        from dataclasses import replace

        request = replace(request_of(decode(text), self.ends), seed=self.random.randrange(2**63))
        prompt = self.random.choices(range(VOCABULARY.size), k=self.random.randint(1, 40))
        output = self.random.choices(range(VOCABULARY.size), k=self.random.randint(0, 6))
        self.rows.write(
            self.slot, replace(request, limit=self.random.randint(-1, 12)), prompt, output
        )
        self.slot = (self.slot + 1) % SLOTS
        if self.slot:
            return 0
        slots = np.arange(SLOTS)
        for _ in range(STEPS):
            logits = self._logits()
            drawn = self.rows.run(logits.clone(), slots)
            assert not drawn.isnan().any(), "NaN"
            assert (drawn > -torch.inf).any(1).all(), "a row without a token"
            assert ((logits > -torch.inf) | (drawn == -torch.inf)).all(), "a masked token came back"
            followed = [slot for slot in range(SLOTS) if self.rows.follows(slot)]
            if followed:
                self.rows.log.append(drawn.argmax(1)[followed], np.array(followed))
        return SLOTS * STEPS

    def _logits(self) -> torch.Tensor:
        logits = torch.randn(SLOTS, VOCABULARY.size, generator=self.generator) * 4
        logits[1] *= 1e30
        logits[2] = 0
        logits[3, 1:] = -torch.inf
        logits[4, ::2] = -torch.inf
        return logits
