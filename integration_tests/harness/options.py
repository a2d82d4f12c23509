"""`vllm.LLM` with options of its start, in the process of `harness/engine.py`.

vLLM's drafts and its watermark exclude the processor, so the requests are plain `SamplingParams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration_tests.harness import engine
from integration_tests.harness.server import Runner


@dataclass(frozen=True)
class Job:
    """Options of an engine, and whether it generates or is only configured."""

    options: Mapping[str, Any]
    generates: bool = True


@dataclass(frozen=True)
class Engine:
    """What an engine with some options reported."""

    error: str  # why vLLM refused the options, or ""
    config: dict[str, Any]
    tokens: list[list[int]]  # of the greedy answer, of the drawn one
    first: list[float]  # the numbers of the most likely tokens, at the first drawn position
    drafts: list[int]


def engines(model: Path, runner: Runner, jobs: Mapping[str, Job]) -> dict[str, Engine]:
    """An engine for each job, one after another. The last one may draft tokens."""
    answers = engine.call(
        runner, answer, model=str(model),
        jobs=[{"options": dict(job.options), "generates": job.generates} for job in jobs.values()],
    )  # fmt: skip
    # Drafting imports numba, and vLLM builds no engine in a process that has imported it.
    engine.stop(runner)
    return dict(zip(jobs, (Engine(**answer) for answer in answers), strict=True))


def answer(model: str, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs in the engine's process: the fields of each job's `Engine`."""
    return [_engine({"model": model, "dtype": "float32", **j["options"]}, **j) for j in jobs]


def _engine(all_options: dict[str, Any], options: object, generates: bool) -> dict[str, Any]:
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.engine.arg_utils import EngineArgs

    found: dict[str, Any] = {"error": "", "config": {}, "tokens": [], "first": [], "drafts": []}
    try:
        if generates:
            llm = LLM(enforce_eager=True, disable_log_stats=False, **all_options)
            config = llm.llm_engine.vllm_config
            prompt = TokensPrompt(prompt_token_ids=[5, 6, 7, 8] * 3)
            params = [
                SamplingParams(temperature=0, max_tokens=24, ignore_eos=True),
                SamplingParams(temperature=2, seed=1, max_tokens=100, logprobs=3, ignore_eos=True),
            ]
            outputs = [output.outputs[0] for output in llm.generate([prompt] * 2, params)]
            found["tokens"] = [list(output.token_ids) for output in outputs]
            found["first"] = [seen.logprob for seen in outputs[1].logprobs[0].values()]
            found["drafts"] = [m.value for m in llm.get_metrics() if "draft_tokens" in m.name]
        else:
            config = EngineArgs(**all_options).create_engine_config()
    except Exception as error:
        found["error"] = str(error)
        return found
    drafts = config.speculative_config
    found["config"] = {
        "max_model_len": config.model_config.max_model_len,
        "cache_dtype": config.cache_config.cache_dtype,
        "logprobs_mode": config.model_config.logprobs_mode,
        "compilation": config.compilation_config.mode.name,
        "enforce_eager": config.model_config.enforce_eager,
        "drafts": drafts
        and [drafts.method, drafts.num_speculative_tokens, drafts.prompt_lookup_max],
    }
    return found
