"""Equal chains give equal distributions: Transformers against vLLM, on two real models.

Each prompt is asked once with each chain. vLLM answers with a few tokens and with what they were
drawn from; Transformers then goes through the same tokens, with the rows of all chains in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness.models import model_path
from integration_tests.harness.offline import Sample, distributions
from temperament import Catalogue, process
from temperament.engines.transformers import PresetLogitsProcessor
from temperament.presets import as_preset
from temperament.stages import BY_NAME

STEPS = 2
COUNTS = {"smollm2": 16, "gemma": 3}  # prompts; Gemma's vocabulary is five times as large
TOP = 20
ASKED = 2 * TOP
TOLERANCE = 1e-3

CHAINS: dict[str, dict[str, Any]] = {
    "dry": {"dry_multiplier": 1.5, "dry_allowed_length": 1, "temperature": 0.9},
    "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.08, "min_p": 0.02},
    "typical": {"typical_p": 0.8, "temperature": 1.1},
    "cuts before temperature": {
        "order": ["top_k", "top_p", "temperature"],
        "top_k": 30,
        "top_p": 0.85,
        "temperature": 1.5,
    },
    "top_n_sigma and smoothing": {
        "order": ["top_n_sigma", "smoothing"],
        "top_n_sigma": 1.0,
        "smoothing_factor": 0.2,
        "smoothing_curve": 1.5,
    },
    "penalties with a range": {
        "repetition_penalty": 1.15,
        "repetition_range": 6,
        "frequency_penalty": 1.5,
        "presence_penalty": 0.8,
        "temperature": 0.8,
        "top_p": 0.95,
    },
    "tfs and eta": {"tfs": 0.97, "eta_cutoff": 0.002, "temperature": 1.2},
    "banned strings and n-grams": {
        "banned_strings": [" the", " sea", "\n\n", "ing", "东"],
        "no_repeat_ngram_size": 2,
        "temperature": 0.7,
    },
}
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "The sea was calm, and the old man rowed his boat. The sea was cold, and the old",
    "one two three one two three one two",
    "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return",
    "Question: What is 2 + 2?\nAnswer: 4\nQuestion: What is 3 + 3?\nAnswer:",
    "The cat sat on the mat. The cat sat on the",
    "In 1969, the first man walked on the",
    "My favourite colours are red, green, and",
    "She opened the door slowly and saw",
    "To make bread you need flour, water, salt and",
    "The three laws of thermodynamics are",
    "import os\nimport sys\nimport",
    "Dear Sir or Madam,\n\nI am writing to",
    "春天来了,花儿开了。春天来了,",
    "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    "The quick brown fox jumps over the lazy dog. The quick brown fox",
    '{"name": "Anna", "age": 31}\n{"name": "Ben", "age":',
    "It was the best of times, it was the worst of",
    "ha ha ha ha ha ha ha ha ha ha ha ha",
]


@dataclass
class Model:
    """How far both engines' distributions are apart, and what the last ones come from."""

    # chain -> the largest difference in probability at each position of each prompt
    differences: Mapping[str, list[float]]
    # chain -> the prompts, the tokens, and the model's logits after these: [prompts, vocab]
    last: Mapping[str, tuple[list[list[int]], list[list[int]], Tensor]] = field(repr=False)
    tokenizer: Any = field(repr=False)


@pytest.fixture(scope="module", params=COUNTS)
def model(request: pytest.FixtureRequest) -> Model:
    """Both engines' distributions for all prompts with all chains, in float32."""
    path = model_path(request.param)
    tokenizer = AutoTokenizer.from_pretrained(path)
    prompts = [list(tokenizer(text)["input_ids"]) for text in PROMPTS[: COUNTS[request.param]]]
    # The seed gives both engines the same noise.
    asked = [
        {
            "ids": ids,
            "preset": {**chain, "seed": seed},
            "overrides": {"max_tokens": STEPS, "ignore_eos": True, "logprobs": ASKED},
        }
        for seed, ids in enumerate(prompts)
        for chain in CHAINS.values()
    ]
    begin = perf_counter()
    answers = distributions(path, asked, dtype="float32", max_model_len=256, max_num_seqs=64)
    middle = perf_counter()
    model = compare(path, tokenizer, prompts, answers)
    largest = {chain: f"{max(apart):.1e}" for chain, apart in model.differences.items()}
    print(f"\n{request.param}: vLLM {middle - begin:.0f} s, Transformers"
          f" {perf_counter() - middle:.0f} s; largest differences {largest}")  # fmt: skip
    return model


def compare(path: Any, tokenizer: Any, prompts: list[list[int]], answers: list[Sample]) -> Model:
    """Follows with Transformers the tokens that vLLM drew."""
    reference = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    differences: dict[str, list[float]] = {chain: [] for chain in CHAINS}
    outputs: dict[str, list[list[int]]] = {chain: [] for chain in CHAINS}
    last: dict[str, list[Tensor]] = {chain: [] for chain in CHAINS}
    for seed, prompt in enumerate(prompts):
        of_prompt = answers[seed * len(CHAINS) : (seed + 1) * len(CHAINS)]
        # [chains, prompt and output]
        ids = torch.tensor([prompt + sample.tokens for sample in of_prompt])
        texts, text_of = torch.unique(ids[:, :-1], dim=0, return_inverse=True)
        with torch.inference_mode():
            # [chains, steps, vocab]
            logits = reference(texts, logits_to_keep=STEPS).logits[text_of]
        processor = PresetLogitsProcessor(
            list(CHAINS.values()), tokenizer, seeds=[seed] * len(CHAINS)
        )
        for step in range(STEPS):
            scores = processor(ids[:, : len(prompt) + step], logits[:, step])
            for chain, row, sample in zip(CHAINS, scores.softmax(-1), of_prompt, strict=True):
                differences[chain].append(difference(row, sample.top[step]))
                assert row[sample.tokens[step]] > 0
        for row, (chain, sample) in enumerate(zip(CHAINS, of_prompt, strict=True)):
            outputs[chain].append(sample.tokens[:-1])
            last[chain].append(logits[row, -1])
    return Model(
        differences,
        {chain: (prompts, outputs[chain], torch.stack(last[chain])) for chain in CHAINS},
        tokenizer,
    )


def difference(computed: Tensor, top: Mapping[int, float]) -> float:
    """The largest difference in probability among the `TOP` most likely tokens of either side."""
    tokens = {*computed.topk(TOP).indices.tolist(), *sorted(top, key=top.__getitem__)[-TOP:]}
    return max(abs(computed[token].item() - top.get(token, 0.0)) for token in tokens)


@pytest.mark.parametrize("chain", CHAINS)
class TestChains:
    """Each chain is tried on all prompts, with two tokens each."""

    def test_both_engines_draw_from_the_same(self, model: Model, chain: str) -> None:
        """The probabilities of either side's most likely tokens agree to a thousandth."""
        assert STEPS * len(model.last[chain][0]) == len(model.differences[chain])
        assert max(model.differences[chain]) <= TOLERANCE

    def test_every_stage_acts(self, model: Model, chain: str) -> None:
        """A chain without one of its stages, or without its order, gives another distribution."""
        if len(model.tokenizer) > 2**16:
            pytest.skip("the smaller vocabulary shows it, at a fifth of the cost")
        prompts, outputs, logits = model.last[chain]
        values = CHAINS[chain]

        def probabilities(values: dict[str, Any]) -> Tensor:
            return process(
                logits,
                values,
                prompt_ids=prompts,
                output_ids=outputs,
                seeds=range(len(prompts)),
                tokenizer=model.tokenizer,
            ).softmax(-1)

        complete = probabilities(values)
        steps = as_preset(values, Catalogue({})).chain.steps
        parts = [{p.name for p in BY_NAME[step.stage].parameters} for step in steps]
        for part in [*parts, *([{"order"}] if "order" in values else [])]:
            rest = {name: value for name, value in values.items() if name not in part}
            if "order" in rest:
                rest["order"] = [name for name in rest["order"] if name not in part]

            assert (probabilities(rest) - complete).abs().max() > TOLERANCE, part
