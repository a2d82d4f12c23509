"""Parameters that are options of vLLM's start: each does what `docs/parameters.md` says of it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from integration_tests.harness.options import Engine, Job, engines
from temperament.plan.documented import DOCUMENTED
from temperament.plan.targets import VLLM

NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}
FP8 = "fp8_e5m2"
V1 = {
    "logits": Job({"max_model_len": 64, "logprobs_mode": "raw_logits"}),
    "scores": Job({"max_model_len": 32, "logprobs_mode": "processed_logits"}),
    "cache": Job({"max_model_len": 64, "logprobs_mode": "raw_logits", "kv_cache_dtype": FP8}),
    "drafts": Job({"max_model_len": 64, "speculative_config": NGRAM}),
    "compiled": Job({}, generates=False),
    "eager": Job({"enforce_eager": True}, generates=False),
    "compiled otherwise": Job({"compilation_config": {"mode": 1}}, generates=False),
    "watermark": Job({"watermark_config": {"key": 1}}, generates=False),
}
V2 = {f"key {key}": Job({"max_model_len": 32, "watermark_config": {"key": key}}) for key in (1, 2)}


@pytest.fixture(scope="module")
def v1(tiny_path: Path) -> dict[str, Engine]:
    """The tiny model's engines on the V1 runner."""
    return engines(tiny_path, "v1", V1)


class TestV1:
    """On the runner that a CPU gets."""

    def test_max_length(self, v1: dict[str, Engine]) -> None:
        """`max_model_len` bounds prompt (12 tokens) and output together."""
        assert 32 == v1["scores"].config["max_model_len"]
        assert [52, 20] == [len(v1[name].tokens[1]) for name in ("logits", "scores")]

    def test_output_logits_and_scores(self, v1: dict[str, Engine]) -> None:
        """`raw_logits` are the model's, `processed_logits` are divided by the temperature of 2."""
        logits, scores = v1["logits"].first, v1["scores"].first

        assert max(logits) > 0  # so these are no logarithms of probabilities
        assert pytest.approx(scores, rel=1e-5) == [x / 2 for x in logits]

    def test_cache_config(self, v1: dict[str, Engine]) -> None:
        """`kv_cache_dtype` stores the cache in fewer bits, which changes the logits."""
        if "AVX-512" in v1["cache"].error:
            pytest.skip(v1["cache"].error)
        assert FP8 == v1["cache"].config["cache_dtype"]
        assert v1["cache"].first != pytest.approx(v1["logits"].first, rel=1e-3)

    def test_drafts(self, v1: dict[str, Engine]) -> None:
        """`speculative_config` lets vLLM draft tokens, and without it none are drafted."""
        assert ["ngram", 3, 4] == v1["drafts"].config["drafts"]
        assert sum(v1["drafts"].drafts) > sum(v1["logits"].drafts) == 0

    def test_compiling(self, v1: dict[str, Engine]) -> None:
        """`enforce_eager` compiles nothing, `compilation_config` sets how vLLM compiles."""
        names = ("compiled", "compiled otherwise", "eager")
        modes = {name: v1[name].config["compilation"] for name in names}

        assert "NONE" == modes["eager"] != modes["compiled"]
        assert "STOCK_TORCH_COMPILE" == modes["compiled otherwise"]

    def test_the_watermark_is_for_v2(self, v1: dict[str, Engine]) -> None:
        """On the V1 runner vLLM refuses a watermark and names the V2 runner."""
        assert "v2" in v1["watermark"].error.lower()


def test_a_watermark(tiny_path: Path) -> None:
    """With another key of `watermark_config` a seed gives another text; the greedy text stays."""
    one, other = engines(tiny_path, "v2", V2).values()

    assert "" == one.error == other.error
    assert one.tokens[1] != other.tokens[1]
    assert one.tokens[0] == other.tokens[0]


def test_all_of_them_are_tried() -> None:
    """Every parameter that the table calls an option of the start is tried above."""
    arguments = {
        "max_length": "max_model_len", "cache_config": "kv_cache_dtype",
        "watermarking_config": "watermark_config", "output_scores": "processed_logits",
        "output_logits": "raw_logits", "num_assistant_tokens": "num_speculative_tokens",
        "prompt_lookup_num_tokens": "ngram", "max_matching_ngram_size": "prompt_lookup_max",
        "compile_config": "compilation_config", "disable_compile": "enforce_eager",
    }  # fmt: skip
    tried = json.dumps([asdict(job) for job in (V1 | V2).values()])
    routes = {each.name: VLLM.route(each.field) for each in DOCUMENTED}
    options = {name: route.where for name, route in routes.items() if route.how == "flag"}

    assert arguments.keys() == options.keys()
    assert all(argument in options[name] for name, argument in arguments.items())
    assert all(f'"{argument}"' in tried for argument in arguments.values())
