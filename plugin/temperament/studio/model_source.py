"""Where logits and texts come from: local weights or a running server, behind the same words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from temperament.presets import Preset


@dataclass(frozen=True, eq=False, slots=True)
class Logits:
    """The next token's logits, [vocab] float32.

    A server may tell its most likely tokens only: then the others are -inf, and `seen`, the mass
    of those it told, is less than 1. It may tell log-probabilities instead of logits, which differ
    by an unknown constant: then `absolute` is false.
    """

    row: Tensor
    seen: float = 1.0
    absolute: bool = True


@dataclass(frozen=True, slots=True)
class Drawn:
    """One token of a generated text, and its surprise `-ln p` in nats.

    `text` is what it adds to the text: nothing for a special token, and nothing before a character
    is whole. p is the model's own; a server says it as its `--logprobs-mode` does.
    """

    id: int
    text: str
    surprise: float


class Source(Protocol):
    """A model that can be asked."""

    name: str
    # a Transformers tokenizer, or None where only the server has it
    tokenizer: Any
    # what the model's `generation_config.json` sets, which lies below every preset
    defaults: Preset

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        """The prompt's token ids; with `chat` those of a user's message that asks it."""
        ...

    async def logits(self, ids: Sequence[int]) -> Logits:
        """What the model says about the token after `ids`."""
        ...

    async def texts(self, ids: Sequence[int]) -> list[str]:
        """Each token as a person can read it."""
        ...

    def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        """The tokens of a text after `ids`, as they are drawn."""
        ...
