"""Where logits and texts come from: one interface for local weights and running servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from temperament.presets import Preset


@dataclass(frozen=True, eq=False, slots=True)
class Logits:
    """The next token's logits, [vocab] float32.

    A server may return its most likely tokens only: then the others are -inf, and `seen`, the mass
    of those that it returned, is below 1. It may return log-probabilities, which differ from the
    logits by an unknown constant: then `absolute` is false.
    """

    row: Tensor
    seen: float = 1.0
    absolute: bool = True


@dataclass(frozen=True, slots=True)
class Drawn:
    """One token of a generated text, and its surprise `-ln p` in nats.

    `text` is what it adds to the text: nothing for a special token, and nothing until a character
    is complete. p is the probability before any stage; a server's `--logprobs-mode` may change it.
    """

    id: int
    text: str
    surprise: float


class Source(Protocol):
    """A model that returns logits and texts."""

    name: str
    # a Transformers tokenizer, or None where only the server has it
    tokenizer: Any
    # the layer under every preset: the values of the model's `generation_config.json`
    defaults: Preset

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        """The prompt's token ids; with `chat`, those of a chat whose user message it is."""
        ...

    async def logits(self, ids: Sequence[int]) -> Logits:
        """The logits of the token after `ids`."""
        ...

    async def texts(self, ids: Sequence[int]) -> list[str]:
        """Each token as a person can read it."""
        ...

    def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        """The tokens of a text after `ids`, one by one as they are drawn."""
        ...
