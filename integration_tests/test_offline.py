"""`vllm.LLM` with `temperament.vllm.sampling_params`: many requests in one batch, and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness import engine, mixed_batch
from integration_tests.harness.mixed_batch import CASES, Report
from integration_tests.harness.offline import generate
from integration_tests.harness.server import Runner

STEPS = 6


@pytest.fixture(scope="module", params=["v1", "v2"])
def report(request: pytest.FixtureRequest, shallow_path: Path, tiny_path: Path) -> Report:
    """A real model on the V1 runner, and a tiny one on V2."""
    runner: Runner = request.param
    return mixed_batch.run(runner, {"v1": shallow_path, "v2": tiny_path}[runner], copies=1)


class TestMixedBatch:
    """Requests of every preset join, leave, move and are preempted."""

    def test_what_a_row_gets_is_what_it_gets_alone(self, report: Report) -> None:
        """Each row of each step has the logits, bit for bit, that it has alone."""
        assert [] == report.differing
        assert CASES.keys() == report.rows.keys()
        assert min(report.rows.values()) >= 4

    def test_rows_change_where_something_is_left_to_us(self, report: Report) -> None:
        """The processor changes the rows with residual stages, and no others."""
        idle = {"default, residual", "nothing"}  # temperature 1
        native = {case for case, (_, plan) in CASES.items() if plan == "auto" and ", auto" in case}
        for case, rows in report.rows.items():
            assert (0 if case in idle | native else rows) == report.changed[case], case

    def test_the_batches_were_mixed(self, report: Report) -> None:
        """Batches hold ten cases or more, have many sizes, and some requests were preempted."""
        assert report.most_cases >= 10
        assert len(report.sizes) >= 8
        assert report.preemptions > 0


# name -> (the preset, the overrides, whether the text is the greedy one)
REQUESTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a greedy preset": ("code", {}, True),
    "by its alias": ("代码生成", {}, True),
    "an override": ("creative", {"temperature": 0}, True),
    "a residual override": ("creative", {"top_k": 1}, True),
    "the whole chain residual": ("code", {"plan": "residual"}, True),
    "a value of the model's": ("creative", {"model_defaults": {"top_k": 1}}, True),
    "the preset over the model's": ("creative", {"model_defaults": {"temperature": 0}}, False),
    "a hot preset": ("creative", {"temperature": 3.5}, False),
}


@pytest.fixture(scope="module")
def texts(tiny_path: Path) -> dict[str, list[list[int]]]:
    """Request -> the tokens of its samples, all drawn in one batch."""
    ids = list(AutoTokenizer.from_pretrained(tiny_path)("import os")["input_ids"])
    asked = {"max_tokens": STEPS, "ignore_eos": True}
    requests: list[Mapping[str, Any]] = [
        {"ids": ids, "preset": preset, "overrides": {**asked, **overrides}}
        for preset, overrides, _ in REQUESTS.values()
    ]
    several = {"ids": ids, "preset": "creative", "overrides": {**asked, "n": 3}}
    answers, _ = generate(tiny_path, [*requests, several], dtype="float32")
    return dict(zip([*REQUESTS, "several"], answers, strict=True))


@pytest.fixture(scope="module")
def greedy(tiny_path: Path) -> list[int]:
    """The greedy text of Transformers."""
    ids = AutoTokenizer.from_pretrained(tiny_path)("import os", return_tensors="pt").input_ids
    model = AutoModelForCausalLM.from_pretrained(tiny_path, dtype=torch.float32).eval()
    for _ in range(STEPS):
        with torch.inference_mode():
            last = model(ids).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, last], dim=1)
    return list(ids[0, -STEPS:].tolist())


class TestSamplingParams:
    """The text follows from the preset, the overrides and the model's values."""

    @pytest.mark.parametrize("name", REQUESTS)
    def test_texts(self, texts: dict[str, list[list[int]]], greedy: list[int], name: str) -> None:
        """The text is the greedy one exactly where the resolved values are greedy."""
        [tokens] = texts[name]

        assert STEPS == len(tokens)
        assert REQUESTS[name][2] == (tokens == greedy)

    def test_several_samples(self, texts: dict[str, list[list[int]]]) -> None:
        """vLLM draws `n` different samples of a prompt that has a preset."""
        assert 3 == len({tuple(tokens) for tokens in texts["several"]})


# What a request asks for beside a preset that nobody has read -> the reason for which its text ends
PAST_THE_DOOR: dict[str, tuple[dict[str, Any], str]] = {
    "a text": ({"max_tokens": 8}, "stop"),
    "a seed, and samples": ({"max_tokens": 8, "seed": 1, "n": 2}, "stop"),
    "no end": ({"max_tokens": 3, "ignore_eos": True}, "length"),
    "a stop of its own": ({"max_tokens": 8, "ignore_eos": True, "stop_token_ids": [70]}, "stop"),
}
UNSEEN = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 2}


def past_the_door(model: str) -> list[list[tuple[str, str | None, int]]]:
    """Runs in the engine's process: requests of which the door hasn't seen all.

    vLLM's Rust front end isn't in the wheel for CPUs. It calls no `validate_params`, as here.
    """
    from vllm import LLM, SamplingParams

    import temperament
    from temperament.engines.vllm.processor import TemperamentLogitsProcessor

    llm = LLM(model, enforce_eager=True, dtype="float32", enable_prompt_embeds=True)
    params = [
        SamplingParams(extra_args={"preset": "chat"}, **fields)
        for fields, _ in PAST_THE_DOOR.values()
    ]
    plain = SamplingParams(max_tokens=8, ignore_eos=True)
    with patch.object(TemperamentLogitsProcessor, "validate_params"):
        ended = llm.generate(["import os"] * 5, [*params, plain], use_tqdm=False)
    embeds = torch.zeros(4, llm.model_config.get_hidden_size())
    unseen = temperament.vllm.sampling_params(UNSEEN, plan="residual", max_tokens=2)
    llm.generate([{"prompt_embeds": embeds}, "import os"], unseen, use_tqdm=False)
    return [
        [(one.text, one.finish_reason, len(one.token_ids)) for one in request.outputs]
        for request in ended
    ]


class TestPastTheDoor:
    """Requests of which the door has not seen all."""

    @pytest.mark.parametrize("runner", ["v1", "v2"])
    def test_they_end_and_the_log_says_why(self, runner: Runner, tiny_path: Path) -> None:
        """Texts of a preset that nobody has read end at once, beside a text that doesn't.

        The log names the preset, and what can't see a prompt of embeddings, once each.
        """
        *ended, [[text, reason, length]] = engine.call(runner, past_the_door, model=str(tiny_path))
        lines = engine._processes[runner].log.read_text(errors="replace").splitlines()

        assert {name: {reason} for name, (_, reason) in PAST_THE_DOOR.items()} == {
            name: {reason for _, reason, _ in samples}
            for name, samples in zip(PAST_THE_DOOR, ended, strict=True)
        }
        assert [[1], [1, 1], [3], [1]] == [[length for *_, length in one] for one in ended]
        assert [""] * 3 == [text for name in (0, 1) for text, *_ in ended[name]]
        assert text and (8, "length") == (length, reason)
        assert [
            "vllm_xargs.preset 'chat': no front end has read it, so its texts end at once;"
            " `temperament serve` reads presets.",
            "inline: no_repeat_ngram_size, repetition_penalty: can't see a prompt in"
            " prompt_embeds.",
        ] == [
            re.sub(r"@\w+", "", line.partition("temperament: ")[2])
            for line in lines
            if "no front end has read it" in line or "can't see a prompt" in line
        ]
