"""An engine that takes prompts as embeddings says what can't see them."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from temperament.engines.vllm import embeddings

LINE = (
    "temperament: dry, encoder_no_repeat_ngram_size, encoder_repetition_penalty,"
    " no_repeat_ngram_size, repetition_penalty and `start: auto` can't see a prompt that comes as"
    " embeddings"
)


@pytest.mark.parametrize(
    ("enabled", "v2", "expected"),
    [
        (False, False, []),
        (True, False, [f"{LINE}."]),
        (True, True, [f"{LINE}: they take it for tokens with id 0."]),
    ],
)
def test_the_start_says_it(
    enabled: bool, v2: bool, expected: list[str], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the stages, where requests may have such prompts.

    The configuration is a stand-in, since the real one needs a model.
    """
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    model = SimpleNamespace(enable_prompt_embeds=enabled)
    config: Any = SimpleNamespace(model_config=model, use_v2_model_runner=v2)
    embeddings.report(config)

    assert expected == caplog.messages
