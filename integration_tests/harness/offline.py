"""Requests to `vllm.LLM`, in the process of `harness/engine.py`.

A request has the `ids` of its prompt, a `preset`, and the `overrides` that
`temperament.vllm.sampling_params` takes beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from integration_tests.harness import engine
from integration_tests.harness.server import Runner

KERNELS = "TEMPERAMENT_KERNELS"


@dataclass(frozen=True)
class Sample:
    """One sample of a request: its tokens, and the distribution of each if asked for."""

    tokens: list[int]
    top: list[dict[int, float]]  # at each position: token -> probability


def generate(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    *,
    runner: Runner = "v1",
    alone: int = 0,
    kernels: bool = False,
    **options: Any,
) -> tuple[list[list[list[int]]], int]:
    """(the token ids of each sample of each request, how often a request was preempted).

    The first `alone` requests run one at a time; then the others run together. `kernels` is whether
    the presets run on the Triton kernels, which takes the V2 runner.
    """
    answers, preemptions = _run(model, requests, runner, options, alone, kernels)
    return [[sample.tokens for sample in samples] for samples in answers], preemptions


def samples(
    model: Path, requests: Sequence[Mapping[str, Any]], **options: Any
) -> list[list[Sample]]:
    """All samples of each request, on the V1 runner."""
    return _run(model, requests, "v1", {"max_logprobs": -1, **options})[0]


def distributions(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    *,
    runner: Runner = "v1",
    **options: Any,
) -> list[Sample]:
    """The first sample of each request, with the distribution of each of its tokens.

    A request sets by `logprobs`, among its overrides, how many of the most likely tokens it gets.
    """
    options = {"logprobs_mode": "processed_logprobs", "max_logprobs": -1, **options}
    answers, _ = _run(model, requests, runner, options)
    return [samples[0] for samples in answers]


def _run(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    runner: Runner,
    options: Mapping[str, Any],
    alone: int = 0,
    kernels: bool = False,
) -> tuple[list[list[Sample]], int]:
    answers, preemptions = engine.call(
        runner, answer_on_kernels if kernels else answer,
        model=str(model), requests=list(requests), alone=alone,
        options=dict(options),
    )  # fmt: skip
    return [
        [
            Sample(tokens, [{int(token): p for token, p in place.items()} for place in top])
            for tokens, top in samples
        ]
        for samples in answers
    ], preemptions


def answer(
    model: str, requests: list[dict[str, Any]], alone: int, options: dict[str, Any]
) -> tuple[list[list[tuple[list[int], list[dict[int, float]]]]], int]:
    """Runs in the engine's process: ((tokens, top) of each sample of each request, preemptions)."""
    from vllm import LLM, TokensPrompt

    import temperament

    llm = LLM(model, enforce_eager=True, disable_log_stats=False, **options)
    prompts = [TokensPrompt(prompt_token_ids=request["ids"]) for request in requests]
    params = [
        temperament.vllm.sampling_params(request["preset"], **request.get("overrides", {}))
        for request in requests
    ]
    groups = [slice(place, place + 1) for place in range(alone)] + [slice(alone, None)]
    outputs = [
        output
        for group in groups
        for output in llm.generate(prompts[group], params[group], use_tqdm=False)
    ]
    answers = [
        [
            (
                list(sample.token_ids),
                [
                    {token: exp(seen.logprob) for token, seen in place.items()}
                    for place in sample.logprobs or ()
                ],
            )
            for sample in output.outputs
        ]
        for output in outputs
    ]
    return answers, preemptions(llm)


def answer_on_kernels(**arguments: Any) -> Any:
    """Runs `answer` on the Triton kernels, under the interpreter, which the V2 runner needs."""
    os.environ[KERNELS] = "interpret"
    try:
        return answer(**arguments)
    finally:
        del os.environ[KERNELS]


def preemptions(llm: Any) -> int:
    """How often the engine preempted a request."""
    return sum(
        int(getattr(metric, "value", 0))
        for metric in llm.get_metrics()
        if "preemptions" in metric.name
    )
