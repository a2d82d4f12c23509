"""The kernels beside draft tokens: a text is that of plain decoding, and costs about as much."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from temperament.engines.vllm import v2
from tests import rows
from tests.engines.drafting import ADAPTIVE, ENTROPY, FEW, Engine, Text, plain
from tests.engines.runners import DRAFTS, MODES, VOCABULARY
from tests.kernels import draft_counts

HISTORY: dict[str, Any] = {
    "repetition_penalty": 1.3,
    "frequency_penalty": 0.4,
    "dry_multiplier": 0.8,
    "dry_allowed_length": 1,
    "dry_sequence_breakers": [],
    "no_repeat_ngram_size": 4,
    "temperature": 1.5,
}
# Torch operators count repetitions.
RULES = [rule for rule in MODES["switch"] if "repeat" not in rule["on"]]
BY_KERNEL = {**MODES, "switch": [*RULES, {"from": ["a"], "on": {"token": 3}, "to": "c"}]}
COUNTED = draft_counts.CHAINS | draft_counts.KINDS
UPLOADING_NOTHING = COUNTED | draft_counts.STATES | {"modes": draft_counts.MODES}
OTHERS: dict[str, Any] = {**HISTORY, "no_repeat_ngram_size": 3, "top_k": 5}


class ReadOnce(Engine):
    """An engine whose table of tokens loses those that a step has seen."""

    def step(self, texts: list[Text], proposals: dict[int, list[int]]) -> None:
        """A step, after which the tokens that it has seen are gone."""
        seen = {self.slot_of[text.number]: len(text.tokens) for text in texts}
        super().step(texts, proposals)
        for slot, count in seen.items():
            self.runner.tokens[slot, :count] = VOCABULARY - 1


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """DRY's breakers, even none, need the bytes of tokens; the stand-in has no tokenizer."""
    monkeypatch.setattr(v2, "token_bytes", lambda _: rows.token_bytes(VOCABULARY))


@pytest.mark.parametrize(
    "values",
    [ADAPTIVE, ENTROPY, MODES, BY_KERNEL],
    ids=["state", "entropy", "modes", "modes by the kernel"],
)
def test_a_text_is_that_of_plain_decoding(values: dict[str, Any]) -> None:
    """Bit for bit, though some of the draft tokens are rejected."""
    (alone,) = plain([Text(1, [1, 2], values)], 6)
    text, engine, random = Text(1, [1, 2], values), Engine(DRAFTS), Random(1)
    engine.join(text, 4)
    while len(text.output) < 6:
        engine.step([text], {1: some_drafts(alone, text, random)})

    assert {} == engine.runner.meter.fallbacks
    assert alone.output == text.output[:6]
    assert all(rows.same_bits(*pair) for pair in zip(alone.after, text.after[:6], strict=True))
    assert ("modes" in values) == (engine.runner.batch.rows.switches > 1)


def test_texts_are_kept_on_the_device() -> None:
    """Steps with and without draft tokens read a text's tokens once, and its bits are the same."""
    texts = [Text(1, [1, 2, 3, 1, 2], HISTORY), Text(2, [4], OTHERS)]
    alone = plain(texts, 12)
    engine, random = ReadOnce(DRAFTS), Random(3)
    engine.join(texts[0], 4)
    joined = texts[:1]
    while any(len(text.output) < 12 for text in texts):
        if len(texts[0].output) > 3 and len(joined) == 1:
            engine.join(texts[1], 1)
            joined = texts[::-1]
        drafts = {
            t.number: some_drafts(alone[t.number - 1], t, random)
            for t in joined
            if len(t.output) < 12 and random.random() < 0.7
        }
        engine.step([text for text in joined if len(text.output) < 12], drafts)

    assert {} == engine.runner.meter.fallbacks
    for text, expected in zip(texts, alone, strict=True):
        assert expected.output == text.output[:12]
        pairs = zip(expected.after, text.after[:12], strict=True)
        assert all(rows.same_bits(*pair) for pair in pairs)


def some_drafts(alone: Text, text: Text, random: Random) -> list[int]:
    """Draft tokens of which the first ones are right."""
    right = alone.output[len(text.output) :][: random.randint(0, 2)]
    return [*right, *random.choices(range(FEW), k=DRAFTS - len(right))]


@pytest.mark.parametrize("name", COUNTED)
def test_a_step_with_drafts_costs_what_one_without_costs(name: str) -> None:
    """As many launches, but for the numbers of slots of a chain without tokens; no text is copied.

    That holds for the steps of a batch without draft tokens too.
    """
    values = COUNTED[name]
    plain_step = draft_counts.step(values, 0)
    without, with_drafts = (draft_counts.step(values, DRAFTS, part) for part in (0, DRAFTS))
    converted = int(name in draft_counts.WITHOUT_TOKENS)

    assert plain_step.names == without.names
    assert len(plain_step.names) + converted == len(with_drafts.names), with_drafts.names
    assert 0 == plain_step.bytes == with_drafts.bytes


@pytest.mark.parametrize("drafts", [0, DRAFTS])
@pytest.mark.parametrize("name", UPLOADING_NOTHING)
def test_a_step_uploads_nothing(name: str, drafts: int) -> None:
    """All that a step reads is on the device, with draft tokens, modes and states too."""
    counted = draft_counts.step(UPLOADING_NOTHING[name], drafts)

    assert counted.names
    assert [] == counted.uploads
