"""`vllm.LLM` in a process of its own: a job as JSON on standard input, the answers at the end.

The job has `model`, `options` of `LLM`, and `requests`: each the ids of a prompt and what
`temperament.vllm.sampling_params` is given. They are handed over at once, so they share batches;
the first `alone` of them one at a time. The answer has, for each request, each sample's token ids
and, if the request asked for `logprobs`, the probabilities of the most likely tokens at each
position.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from integration_tests.harness.server import Runner, environment


@dataclass(frozen=True)
class Sample:
    """One sample of a request."""

    tokens: list[int]
    top: list[dict[int, float]]  # at each position: token -> probability


def generate(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    *,
    runner: Runner = "v1",
    alone: int = 0,
    **options: Any,
) -> tuple[list[list[list[int]]], str]:
    """(the token ids of each sample of each request, what vLLM wrote to its log).

    The first `alone` requests are handed over one at a time, before the others.
    """
    answers, log = _run(model, requests, runner, options, alone)
    return [[sample.tokens for sample in samples] for samples in answers], log


def samples(
    model: Path, requests: Sequence[Mapping[str, Any]], **options: Any
) -> list[list[Sample]]:
    """Every sample of each request."""
    return _run(model, requests, "v1", {"max_logprobs": -1, **options})[0]


def distributions(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    *,
    runner: Runner = "v1",
    **options: Any,
) -> list[Sample]:
    """The first sample of each request, with what each of its tokens was drawn from.

    Requests say how many tokens they want to see by `logprobs` among their overrides.
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
) -> tuple[list[list[Sample]], str]:
    job = json.dumps(
        {"model": str(model), "requests": list(requests), "options": options, "alone": alone}
    )
    env = environment(runner) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "integration_tests.harness.offline"],
        input=job, env=env, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    answers = [
        [
            Sample(tokens, [{int(token): p for token, p in place.items()} for place in top])
            for tokens, top in samples
        ]
        for samples in json.loads(done.stdout.splitlines()[-1])
    ]
    return answers, done.stdout + done.stderr


def main() -> None:
    """Runs the job on standard input."""
    from vllm import LLM, TokensPrompt

    import temperament

    job = json.load(sys.stdin)
    llm = LLM(job["model"], enforce_eager=True, disable_log_stats=False, **job["options"])
    prompts = [TokensPrompt(prompt_token_ids=request["ids"]) for request in job["requests"]]
    params = [
        temperament.vllm.sampling_params(request["preset"], **request.get("overrides", {}))
        for request in job["requests"]
    ]
    alone = job["alone"]
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
    for metric in llm.get_metrics():
        if "preemption" in metric.name:
            print(metric.name, getattr(metric, "value", ""))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
