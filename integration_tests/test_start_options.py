"""Parameters that vLLM has as options at its start: each does what `docs/parameters.md` says of it.

Engines in a process of their own, with a tiny model. vLLM's drafts and its watermark go without our
processor, so the plain `SamplingParams` are asked.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration_tests.harness.server import Runner, environment
from temperament.plan.parameters import REFERENCE

PROGRAM = """
import json, sys
from vllm import LLM, SamplingParams, TokensPrompt
from vllm.engine.arg_utils import EngineArgs

model, *jobs = json.load(sys.stdin)
prompt = TokensPrompt(prompt_token_ids=[5, 6, 7, 8] * 3)
asked = [
    SamplingParams(temperature=0, max_tokens=24, ignore_eos=True),
    SamplingParams(temperature=2, seed=1, max_tokens=100, logprobs=3, ignore_eos=True),
]
answers = []
for job in jobs:
    options = {"model": model, "dtype": "float32", **job["options"]}
    answer = {"error": "", "config": {}, "tokens": [], "first": [], "drafts": []}
    answers.append(answer)
    try:
        if job["runs"]:
            llm = LLM(enforce_eager=True, disable_log_stats=False, **options)
            config = llm.llm_engine.vllm_config
            outputs = [output.outputs[0] for output in llm.generate([prompt] * 2, asked)]
            answer["tokens"] = [list(output.token_ids) for output in outputs]
            answer["first"] = [seen.logprob for seen in outputs[1].logprobs[0].values()]
            answer["drafts"] = [m.value for m in llm.get_metrics() if "draft_tokens" in m.name]
            del llm
        else:
            config = EngineArgs(**options).create_engine_config()
    except Exception as error:
        answer["error"] = str(error)
        continue
    speculative = config.speculative_config
    answer["config"] = {
        "max_model_len": config.model_config.max_model_len,
        "cache_dtype": config.cache_config.cache_dtype,
        "logprobs_mode": config.model_config.logprobs_mode,
        "compilation": config.compilation_config.mode.name,
        "enforce_eager": config.model_config.enforce_eager,
        "drafts": speculative and [
            speculative.method, speculative.num_speculative_tokens, speculative.prompt_lookup_max
        ],
    }
print(json.dumps(answers))
"""
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}
V1: dict[str, tuple[bool, dict[str, Any]]] = {
    "logits": (True, {"max_model_len": 64, "logprobs_mode": "raw_logits"}),
    "scores": (True, {"max_model_len": 32, "logprobs_mode": "processed_logits"}),
    "cache": (True, {"max_model_len": 64, "logprobs_mode": "raw_logits",
                     "kv_cache_dtype": "fp8_e5m2"}),
    "drafts": (True, {"max_model_len": 64, "speculative_config": NGRAM}),
    "compiled": (False, {}),
    "eager": (False, {"enforce_eager": True}),
    "compiled otherwise": (False, {"compilation_config": {"mode": 1}}),
    "watermark": (False, {"watermark_config": {"key": 1}}),
}  # fmt: skip
V2: dict[str, tuple[bool, dict[str, Any]]] = {
    f"key {key}": (True, {"max_model_len": 32, "watermark_config": {"key": key}}) for key in (1, 2)
}


@dataclass(frozen=True)
class Engine:
    """What an engine with some options said."""

    error: str
    config: dict[str, Any]
    tokens: list[list[int]]  # greedy; drawn
    first: list[float]  # the numbers of the most likely tokens, of the first that was drawn
    drafts: list[int]


def engines(
    model: Path, runner: Runner, jobs: dict[str, tuple[bool, dict[str, Any]]]
) -> dict[str, Engine]:
    """An engine for each job, one after another."""
    job = [str(model), *({"runs": runs, "options": options} for runs, options in jobs.values())]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(job), capture_output=True, text=True,
        env=environment(runner) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(jobs, (Engine(**answer) for answer in answers), strict=True))


@pytest.fixture(scope="module")
def v1(tiny_path: Path) -> dict[str, Engine]:
    """The engines of the V1 runner."""
    return engines(tiny_path, "v1", V1)


class TestV1:
    """On the runner that a CPU gets."""

    def test_max_length(self, v1: dict[str, Engine]) -> None:
        """`max_model_len` bounds prompt (12 tokens) and output together."""
        assert v1["scores"].config["max_model_len"] == 32
        assert [len(v1[name].tokens[1]) for name in ("logits", "scores")] == [52, 20]

    def test_output_logits_and_scores(self, v1: dict[str, Engine]) -> None:
        """Logits as the model gives them, and as they are behind the temperature of 2."""
        logits, scores = v1["logits"].first, v1["scores"].first

        assert max(logits) > 0  # no logarithms of probabilities
        assert scores == pytest.approx([x / 2 for x in logits], rel=1e-5)

    def test_cache_config(self, v1: dict[str, Engine]) -> None:
        """`kv_cache_dtype`: a coarser cache gives other numbers."""
        assert v1["cache"].config["cache_dtype"] == "fp8_e5m2"
        assert v1["cache"].first != pytest.approx(v1["logits"].first, rel=1e-3)

    def test_drafts(self, v1: dict[str, Engine]) -> None:
        """`speculative_config`: tokens are drafted."""
        assert v1["drafts"].config["drafts"] == ["ngram", 3, 4]
        assert sum(v1["drafts"].drafts) > sum(v1["logits"].drafts) == 0

    def test_compiling(self, v1: dict[str, Engine]) -> None:
        """`enforce_eager` compiles nothing, `compilation_config` says how it is done."""
        modes = {name: v1[name].config["compilation"] for name in V1 if name != "watermark"}

        assert modes["eager"] == "NONE" != modes["compiled"]
        assert modes["compiled otherwise"] == "STOCK_TORCH_COMPILE"

    def test_the_watermark_is_for_v2(self, v1: dict[str, Engine]) -> None:
        """vLLM says so itself."""
        assert "V2" in v1["watermark"].error or "v2" in v1["watermark"].error


def test_a_watermark(tiny_path: Path) -> None:
    """`watermark_config`: another key, another text of the same seed; a greedy one stays."""
    one, other = engines(tiny_path, "v2", V2).values()

    assert one.error == other.error == ""
    assert one.tokens[1] != other.tokens[1]
    assert one.tokens[0] == other.tokens[0]


def test_all_of_them_are_tried() -> None:
    """What the table calls an option at the start, by the argument that is given above."""
    given = {
        "max_length": "max_model_len", "cache_config": "kv_cache_dtype",
        "watermarking_config": "watermark_config", "output_scores": "processed_logits",
        "output_logits": "raw_logits", "num_assistant_tokens": "num_speculative_tokens",
        "prompt_lookup_num_tokens": "ngram", "max_matching_ngram_size": "prompt_lookup_max",
        "compile_config": "compilation_config", "disable_compile": "enforce_eager",
    }  # fmt: skip
    tried = json.dumps([V1, V2])
    options = {one.name: one.vllm.where for one in REFERENCE if one.vllm.how == "flag"}

    assert options.keys() == given.keys()
    assert all(argument in options[name] for name, argument in given.items())
    assert all(f'"{argument}"' in tried for argument in given.values())
