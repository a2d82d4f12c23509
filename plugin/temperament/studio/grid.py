"""Many settings on one distribution: the entropy and the number of kept tokens of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from temperament.batch.process import Run
from temperament.presets import Catalogue
from temperament.studio.distribution import entropy, probabilities

_NUMBERS = 2**24  # logits in a batch: 64 MiB


class Grid:
    """Settings that need neither history nor noise (`{"temperature": 0.7}`), run by `Run`.

    Raises `PresetError` for a value that isn't allowed.
    """

    def __init__(self, settings: Sequence[Mapping[str, Any]]) -> None:
        self.settings = list(settings)
        self._runs: dict[tuple[int, int], Run] = {}

    def __len__(self) -> int:
        return len(self.settings)

    def measure(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Each setting's entropy in nats and number of kept tokens, for [vocab] logits.

        Returns [settings] float64 and [settings] int64.
        """
        rows = max(_NUMBERS // len(logits), 1)
        entropies, kept = [], []
        for begin in range(0, len(self), rows):
            part = self.settings[begin : begin + rows]
            run = self._runs.get((begin, len(part)))
            if run is None:
                run = Run(part, prompt_ids=[[]] * len(part), catalogue=Catalogue({}))
                self._runs[begin, len(part)] = run
            # [part, vocab]
            processed = run.run(logits.expand(len(part), -1))
            entropies.append(entropy(probabilities(processed)))
            kept.append((processed > -torch.inf).sum(-1))
        return torch.cat(entropies), torch.cat(kept)
