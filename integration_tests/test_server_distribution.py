"""vLLM draws from the distribution that `temperament.process` gives for Transformers' logits.

The servers run in float32 with `--logprobs-mode processed_logprobs`: the log-probabilities that
they answer with are those of the distribution that the token was drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import temperament
from integration_tests.harness.ask import CHAT, COMPLETIONS, post
from integration_tests.harness.server import Server
from temperament import Catalogue
from temperament.plan import TARGETS, split
from temperament.presets import as_preset

PROMPT = (
    "The sea was calm, and the old man rowed his boat across the bay. The sea was cold, and the"
)
STEPS = 6
TOP = 20
ASKED = TOP + 1  # chat answers with the drawn token in place of the last one, if it is none of them
TOLERANCE = 1e-3

NATIVE, RESIDUAL = False, True
PENALTIES = {"repetition_penalty": 1.3, "frequency_penalty": 0.6, "presence_penalty": 0.4}
# name -> (the request's fields, whether a part of the chain is residual on a CPU)
CASES: dict[str, tuple[dict[str, Any], bool]] = {
    **{
        name: ({"preset": name}, NATIVE)
        for name in ("code", "math", "data", "chat", "translation", "creative", "default")
    },
    "min_p": ({"preset": "creative", "min_p": 0.1}, NATIVE),
    "penalties": ({"preset": "chat", **PENALTIES}, RESIDUAL),
    "bias": ({"preset": "default", "logit_bias": {"260": 4.5, "28": -3}}, NATIVE),
    "top_k": ({"preset": "chat", "top_k": 12}, RESIDUAL),
    "top_p": ({"preset": "chat", "top_p": 0.7}, RESIDUAL),
    "top_p 0": ({"preset": "chat", "top_p": 0}, RESIDUAL),
    "min_p behind top_p": ({"preset": "chat", "min_p": 0.05, "top_p": 0.9}, RESIDUAL),
    "all three cuts": ({"preset": "chat", "min_p": 0.02, "top_p": 0.9, "top_k": 15}, RESIDUAL),
    "cuts before temperature": (
        {
            "preset": "creative",
            "order": ["top_k", "top_p", "temperature"],
            "top_k": 30,
            "top_p": 0.8,
        },
        RESIDUAL,
    ),
    "min_p first, temperature last": (
        {
            "preset": "creative",
            "order": ["min_p", "top_p", "temperature"],
            "min_p": 0.02,
            "top_p": 0.8,
        },
        RESIDUAL,
    ),
    "hotter than vLLM allows": ({"preset": "creative", "temperature": 2.5}, RESIDUAL),
    "colder than vLLM allows": ({"preset": "creative", "temperature": 0.004}, RESIDUAL),
    "greedy behind top_k": (
        {"preset": "code", "order": ["top_k", "temperature"], "top_k": 5},
        RESIDUAL,
    ),
    "a bias that vLLM would cut": ({"preset": "chat", "logit_bias": {"260": 150}}, RESIDUAL),
    "penalties, then cuts": ({"preset": "chat", **PENALTIES, "top_p": 0.8}, RESIDUAL),
    "penalties behind such a bias": (
        {"preset": "chat", **PENALTIES, "logit_bias": {"28": 120, "30": 119.5}},
        RESIDUAL,
    ),
    "everything": (
        {
            "preset": "creative",
            **PENALTIES,
            "logit_bias": {"260": 1.5},
            "order": ["top_k", "temperature", "min_p", "top_p"],
            "temperature": 2.2,
            "top_k": 40,
            "min_p": 0.01,
            "top_p": 0.95,
        },
        RESIDUAL,
    ),
}


@dataclass(frozen=True)
class Drawn:
    """The tokens of one answer, and the most likely ones at each of their positions."""

    prompt: list[int]
    output: list[int]
    top: list[dict[int, float]]  # token -> probability


@dataclass(frozen=True)
class Answers:
    """The answers of one server to all cases, which were sent at the same time."""

    drawn: Mapping[tuple[str, str], Drawn] = field(repr=False)
    # Transformers' logits at the answers' positions, [steps, vocab] each
    logits: Mapping[tuple[str, str], torch.Tensor] = field(repr=False)

    def check(self, path: str, case: str) -> None:
        """Fails unless the case's distributions are those of `process`, within `TOLERANCE`."""
        fields = dict(CASES[case][0])
        drawn = self.drawn[path, case]
        expected = temperament.process(
            self.logits[path, case],
            {"extends": fields.pop("preset"), **fields},
            prompt_ids=[drawn.prompt] * STEPS,
            output_ids=[drawn.output[:step] for step in range(STEPS)],
        ).softmax(-1)
        greedy = fields.get("temperature", Catalogue.load()[preset_of(case)].values["temperature"])
        assert STEPS == len(drawn.output)
        for row, (token, top) in enumerate(zip(drawn.output, drawn.top, strict=True)):
            assert expected[row, token] > 0
            if greedy == 0 and not CASES[case][1]:
                # vLLM takes the arg max, and shows the distribution at temperature 1.
                assert 1 == expected[row, token]
                continue
            likeliest = expected[row].topk(TOP)
            for other, p in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True):
                assert pytest.approx(p, abs=TOLERANCE) == top.get(other, 0.0)
            for other, p in top.items():
                assert pytest.approx(expected[row, other].item(), abs=TOLERANCE) == p


def preset_of(case: str) -> str:
    """The name of a case's preset."""
    return str(CASES[case][0]["preset"])


def token_id(shown: str) -> int:
    """The token id in `token_id:123`."""
    return int(shown.removeprefix("token_id:"))


def complete(server: Server, model: str, prompt: list[int], fields: dict[str, Any]) -> Drawn:
    """The tokens of one answer of `/v1/completions`, with their distributions."""
    asked = {"model": model, "prompt": prompt, "max_tokens": STEPS, "logprobs": ASKED}
    options = {"return_tokens_as_token_ids": True, "ignore_eos": True}
    answer = post(server, COMPLETIONS, asked | options | fields)
    assert 200 == answer.status, answer.json
    logprobs = answer.json["choices"][0]["logprobs"]
    return Drawn(
        prompt,
        [token_id(token) for token in logprobs["tokens"]],
        [{token_id(t): exp(p) for t, p in top.items()} for top in logprobs["top_logprobs"]],
    )


def chat(server: Server, model: str, prompt: list[int], fields: dict[str, Any]) -> Drawn:
    """The same of `/v1/chat/completions`, whose prompt vLLM renders."""
    messages = [{"role": "user", "content": PROMPT}]
    asked = {"model": model, "messages": messages, "max_tokens": STEPS, "ignore_eos": True}
    options = {"logprobs": True, "top_logprobs": ASKED, "return_tokens_as_token_ids": True}
    answer = post(server, CHAT, asked | options | {"return_token_ids": True} | fields)
    assert 200 == answer.status, answer.json
    content = answer.json["choices"][0]["logprobs"]["content"]
    return Drawn(
        answer.json["prompt_token_ids"],
        [token_id(place["token"]) for place in content],
        [
            {token_id(other["token"]): exp(other["logprob"]) for other in place["top_logprobs"]}
            for place in content
        ],
    )


ASK: dict[str, Callable[[Server, str, list[int], dict[str, Any]], Drawn]] = {
    COMPLETIONS: complete,
    CHAT: chat,
}


def ask_all(server: Server, path: Path, model: str) -> Answers:
    """Sends every case to both endpoints, 16 at a time."""
    prompt = AutoTokenizer.from_pretrained(path)(PROMPT)["input_ids"]
    asked = [(endpoint, case) for endpoint in ASK for case in CASES]
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda w: ASK[w[0]](server, model, prompt, CASES[w[1]][0]), asked)
        drawn = dict(zip(asked, answers, strict=True))
    reference = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    logits: dict[tuple[str, str], torch.Tensor] = {}
    for endpoint in ASK:  # all prompts of an endpoint are equal
        *prompt, last = drawn[endpoint, "code"].prompt
        ids = [[last, *drawn[endpoint, case].output[:-1]] for case in CASES]
        with torch.inference_mode():
            cache = reference(torch.tensor([prompt])).past_key_values
            cache.batch_repeat_interleave(len(CASES))
            rows = reference(torch.tensor(ids), past_key_values=cache).logits
        logits.update(((endpoint, case), row) for case, row in zip(CASES, rows, strict=True))
    return Answers(drawn, logits)


@pytest.fixture(scope="module")
def v1_answers(v1_server: Server, shallow_path: Path) -> Answers:
    """The V1 runner's answers to all cases."""
    return ask_all(v1_server, shallow_path, "smollm2")


@pytest.fixture(scope="module")
def v2_answers(v2_server: Server, tiny_path: Path) -> Answers:
    """The V2 runner's answers to all cases."""
    return ask_all(v2_server, tiny_path, "tiny")


@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize("case", CASES)
class TestDistribution:
    """Asked in one batch with all the others, each case has its own distribution."""

    def test_v1(self, v1_answers: Answers, path: str, case: str) -> None:
        """The V1 runner draws a real model's tokens from the distribution of `process`."""
        v1_answers.check(path, case)

    def test_v2(self, v2_answers: Answers, path: str, case: str) -> None:
        """The V2 runner draws a tiny model's tokens from the distribution of `process`."""
        v2_answers.check(path, case)


@pytest.mark.parametrize("case", CASES)
def test_native_and_residual_cases(case: str) -> None:
    """A case has residual stages exactly where the table says so."""
    fields, residual = dict(CASES[case][0]), CASES[case][1]
    catalogue = Catalogue.load()
    preset = as_preset({"extends": fields.pop("preset"), **fields}, catalogue)

    assert residual == bool(split(preset.chain, TARGETS["vllm"], platform="cpu").residual)
