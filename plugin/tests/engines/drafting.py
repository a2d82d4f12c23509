"""Speculative decoding laid out by hand, as V2 lays it out, since vLLM's speculators need a GPU.

Each request has a row, and a further one for each draft token. The tokens are drawn here too, and a
draft is accepted as long as its tokens are those that are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from temperament.batch.mode_state import _NATS
from tests.engines.runners import (
    VOCABULARY,
    Row,
    V2Runner,
    sampling_params,
)

ADAPTIVE = {"adaptive_target": 0.3, "adaptive_decay": 0.6}
ENTROPY: dict[str, Any] = {
    "modes": {"calm": {"temperature": 0.7}, "wild": {"temperature": 2.0, "top_k": 9}},
    "switch": [
        {"from": "calm", "on": {"entropy": {"above": 1.3, "for": 2}}, "to": "wild"},
        {"from": "wild", "on": {"entropy": {"below": 1.0}}, "to": "back"},
    ],
}
FEW = 8  # different tokens, so that modes switch and drafts are often right


@dataclass
class Text:
    """A request: its logits depend on all of its tokens, and so does what is drawn."""

    number: int
    prompt: list[int]
    values: dict[str, Any]
    output: list[int] = field(default_factory=list)
    # the logits after the stages, for each token
    after: list[Tensor] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        """The prompt and the output."""
        return [*self.prompt, *self.output]

    def logits(self, tokens: list[int]) -> Tensor:
        """[vocabulary]: the model's logits after some tokens."""
        seed = hash((self.number, *tokens)) % 2**31
        generator = torch.Generator().manual_seed(seed)
        steep = torch.rand(1, generator=generator) * 4
        x = torch.randn(VOCABULARY, generator=generator) * steep
        x[FEW:] -= 6
        return x

    def draw(self, after: Tensor) -> int:
        """A token that is left, by chance that depends on the request and the position."""
        generator = torch.Generator().manual_seed(1000 * self.number + len(self.output))
        noise = -torch.rand(VOCABULARY, generator=generator).log().neg().log()
        return int((after + noise).argmax())


class Engine:
    """Requests in the slots of a V2 runner with `drafts` draft tokens a step."""

    def __init__(self, drafts: int) -> None:
        self.runner = V2Runner(drafts)
        self.drafts = drafts
        self.slot_of: dict[int, int] = {}

    def join(self, text: Text, slot: int) -> None:
        """A request comes or comes back; its tokens are written after it has joined, as in V2."""
        runner = self.runner
        self.slot_of[text.number] = slot
        runner.prompts[slot], runner.filled[slot] = len(text.prompt), len(text.tokens)
        runner.batch.add(slot, sampling_params(text.values, seed=text.number))
        self._write(text)

    def leave(self, text: Text) -> None:
        """A request is preempted or has ended, which V2 doesn't report."""
        del self.slot_of[text.number]

    def process_part(self, text: Text, end: int) -> None:
        """A step over the first tokens of a request that came back; nothing is drawn."""
        tokens, middle = text.tokens[:end], len(text.prompt)
        row = Row(self.slot_of[text.number], {}, tokens[:middle], tokens[middle:], [])
        self.runner.step([row], text.logits(tokens)[None])

    def step(self, texts: list[Text], proposals: dict[int, list[int]]) -> None:
        """Each request gets the draft tokens that are drawn, and one more token."""
        own = [
            Row(self.slot_of[t.number], {}, t.prompt, t.output, proposals.get(t.number, []))
            for t in texts
        ]
        logits = [
            text.logits([*text.tokens, *row.drafts[:place]])
            for text, row in zip(texts, own, strict=True)
            for place in range(len(row.drafts) + 1)
        ]
        done = iter(self.runner.step(own, torch.stack(logits)))
        for text, row in zip(texts, own, strict=True):
            right = True
            for draft in [*row.drafts, None]:
                after = next(done)
                if right:
                    token = text.draw(after)
                    right = token == draft
                    text.output.append(token)
                    text.after.append(after.clone())
            self._write(text)

    def saved(self, text: Text) -> Any:
        """What is remembered of a request beside its tokens, and the modes of its slot."""
        slot, rows_ = self.slot_of[text.number], self.runner.batch.rows
        state = rows_.save(slot, len(text.output))
        state.pop("<modes>", None)
        return state, rows_._modes._packed[slot, :_NATS].tolist()

    def _write(self, text: Text) -> None:
        slot, tokens = self.slot_of[text.number], text.tokens
        self.runner.tokens[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        self.runner.totals[slot] = len(tokens)


def plain(texts: list[Text], length: int) -> list[Text]:
    """The same requests, each decoded token by token, never preempted."""
    done = [Text(text.number, text.prompt, text.values) for text in texts]
    for text in done:
        engine = Engine(0)
        engine.join(text, 0)
        for _ in range(length):
            engine.step([text], {})
    return done
