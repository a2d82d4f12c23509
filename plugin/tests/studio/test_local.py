"""The decoding loop on local weights, with a model of known logits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from temperament import EngineError, Preset, PresetError, TemperamentError
from temperament.plan.vocabulary import TokenBytes
from temperament.studio.local import LocalModel
from tests.studio.known import PROBABILITIES, preset


class KnownModel:
    """The same logits after every token; `end` is its end token."""

    device = torch.device("cpu")

    def __init__(self, end: int | None) -> None:
        self.generation_config = SimpleNamespace(eos_token_id=end)

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> Any:
        row = torch.tensor(PROBABILITIES).log()
        return SimpleNamespace(logits=row.expand(1, 1, -1), past_key_values=None)


class Words:
    """A tokenizer of five words whose ids are their places in the vocabulary."""

    eos_token_id = None
    chat_template = None
    vocabulary = ("a", "b", "c", "d", "e")

    def decode(self, ids: list[int]) -> str:
        return "".join(self.vocabulary[token] for token in ids)


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns the token ids that a preset generates, at most six."""
    table = TokenBytes(tuple(word.encode() for word in Words.vocabulary))
    monkeypatch.setattr(TokenBytes, "of", lambda _: table)

    def ids(chosen: Preset, end: int | None = None) -> list[int]:
        model = LocalModel("known", KnownModel(end), Words(), Preset("model"))

        async def run() -> list[int]:
            return [d.id async for d in model.generate([0], chosen, seed=1, max_tokens=6)]

        return asyncio.run(run())

    return ids


def test_a_text_ends_at_the_limit(generate: Any) -> None:
    """Without an end token the loop draws as many tokens as the caller allows."""
    assert [0] * 6 == generate(preset(temperature=0))


def test_the_last_token_is_forced_at_the_limit(generate: Any) -> None:
    """The limit that the caller sets is the one that `forced_eos_token_id` waits for."""
    drawn = generate(preset(temperature=0, forced_eos_token_id=(4,)))

    assert [0, 0, 0, 0, 0, 4] == drawn


def test_a_text_ends_at_the_models_end_token(generate: Any) -> None:
    """The end token is the text's last."""
    assert [0] == generate(preset(temperature=0), end=0)


def test_the_presets_end_tokens_replace_the_models(generate: Any) -> None:
    """`eos_token_id` of the preset counts, and the model's doesn't any more."""
    assert [0] * 6 == generate(preset(temperature=0, eos_token_id=[3]), end=0)
    assert [0] == generate(preset(temperature=0, eos_token_id=[0, 3]), end=None)


def test_a_text_ends_at_a_stop_text(generate: Any) -> None:
    """The stop text may span tokens."""
    assert [0, 0] == generate(preset(do_sample=False, stop=["aa"]))


def test_neutral_fields_are_allowed(generate: Any) -> None:
    """A field at its default asks for nothing."""
    assert [0] * 6 == generate(preset(temperature=0, num_beams=1, use_cache=True))


def test_what_the_loop_does_not_do_is_refused(generate: Any) -> None:
    """Every field of the preset that the loop would ignore is a problem of its own."""
    with pytest.raises(EngineError) as caught:
        generate(preset(temperature=0, num_beams=4, guidance_scale=1.5, num_return_sequences=2))

    paths = {problem.path for problem in caught.value.problems}
    assert {"num_beams", "guidance_scale", "num_return_sequences"} == paths


def test_an_unbound_preset_is_refused(generate: Any) -> None:
    """Its numbers depend on a model that isn't known."""
    with pytest.raises(TemperamentError, match="the model must be known") as caught:
        generate(Preset("warm", relative={"temperature": 1.2}))
    assert isinstance(caught.value, PresetError)
