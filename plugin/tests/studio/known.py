"""A source of known logits for the studio's tests: no model, no server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import torch

from temperament.presets import Catalogue, Preset, as_preset
from temperament.studio.model_source import Drawn, Logits

# the reference documents' five words and their probabilities
WORDS = ("cat", "dog", "bird", "fish", "horse")
PROBABILITIES = (0.4, 0.3, 0.15, 0.1, 0.05)


class KnownSource:
    """The same logits after every prompt, whose ids are its characters' places in the alphabet."""

    name = "known"
    tokenizer = None

    def __init__(self, defaults: Preset | None = None, seen: float = 1.0) -> None:
        self.absolute = True
        self.defaults = defaults or Preset("model")
        self.seen = seen
        self.asked: list[list[int]] = []

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        return [ord(character) % 5 for character in prompt]

    async def logits(self, ids: Sequence[int]) -> Logits:
        self.asked.append(list(ids))
        return Logits(torch.tensor(PROBABILITIES).log(), self.seen, self.absolute)

    async def texts(self, ids: Sequence[int]) -> list[str]:
        return [WORDS[token] for token in ids]

    async def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        for token in range(max_tokens):
            yield Drawn(token, WORDS[token], 1.0)


def preset(**values: object) -> Preset:
    """A preset of these values."""
    return as_preset(values, Catalogue({}))
