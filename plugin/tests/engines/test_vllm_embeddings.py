"""An engine says what of a request can't see a prompt that comes as embeddings."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from temperament.engines.vllm import embeddings
from tests.engines.runners import Row, V2Runner, sampling_params

LINES = {
    "test: no_repeat_ngram_size, repetition_penalty: can't see a prompt in prompt_embeds": {
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.2,
    },
    "test: start: auto: can't see a prompt in prompt_embeds": {
        "modes": {"a": {"top_k": 1}, "b": {"top_k": 2}},
        "switch": [{"from": "a", "on": {"tokens": 3}, "to": "b"}],
        "start": "auto",
    },
    "": {"temperature": 2.5, "presence_penalty": 1.0},
}


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """The log, as if this process had logged nothing yet."""
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    embeddings._log.cache_clear()
    return caplog


@pytest.mark.parametrize(("line", "values"), LINES.items())
def test_a_chain(line: str, values: dict[str, Any], logged: pytest.LogCaptureFixture) -> None:
    """The line names the preset and what of it reads the prompt, once."""
    for _ in range(2):
        embeddings.report(sampling_params(values))

    assert ([f"temperament: {line}."] if line else []) == logged.messages


def test_vllms_own_penalty(logged: pytest.LogCaptureFixture) -> None:
    """A penalty that vLLM computes itself sees such a prompt no more than ours."""
    params = sampling_params({})
    params.repetition_penalty = 1.1
    embeddings.report(params)

    assert ["temperament: repetition_penalty: can't see a prompt in prompt_embeds."] == (
        logged.messages
    )


@pytest.mark.parametrize(
    ("takes_embeddings", "prompt", "expected"),
    [(True, [0, 0, 0], 1), (True, [0, 0, 4], 0), (False, [0, 0, 0], 0)],
)
def test_the_v2_runner(
    takes_embeddings: bool, prompt: list[int], expected: int, logged: pytest.LogCaptureFixture
) -> None:
    """It has tokens with id 0 for such a prompt, of which an engine that takes none says nothing.

    The runner's tables are stand-ins.
    """
    runner = V2Runner(0, takes_embeddings)
    row = Row(1, {"no_repeat_ngram_size": 2}, prompt, [3], [])
    runner.add(row)
    runner.batch.flush()

    assert expected == len(logged.messages)
