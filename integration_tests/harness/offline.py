"""`vllm.LLM` in a process of its own: a job as JSON on standard input, the answers at the end.

The job has `model`, `options` of `LLM`, and `requests`: each the ids of a prompt and what
`temperament.vllm.sampling_params` is given. They are all handed over at once, so they share
batches. The answer has, for each request, the token ids of each sample.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integration_tests.harness.server import Runner, environment


def generate(
    model: Path,
    requests: Sequence[Mapping[str, Any]],
    *,
    runner: Runner = "v1",
    **options: Any,
) -> tuple[list[list[list[int]]], str]:
    """(the token ids of each sample of each request, what vLLM wrote to its log)."""
    job = json.dumps({"model": str(model), "requests": list(requests), "options": options})
    env = environment(runner) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "integration_tests.harness.offline"],
        input=job, env=env, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


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
    outputs = llm.generate(prompts, params, use_tqdm=False)
    answers = [[list(sample.token_ids) for sample in output.outputs] for output in outputs]
    for metric in llm.get_metrics():
        if "preemption" in metric.name:
            print(metric.name, getattr(metric, "value", ""))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
