"""The ops against the engines' own: the same kept tokens, probabilities to 1e-5.

Away from ties and from rounding at a boundary, where the engines themselves differ.
"""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from temperament import process
from tests import rows

VOCABULARY = 2000
COUNT = 24


def logits(seed: int) -> Tensor:
    """[rows, vocabulary] without ties, some tokens removed."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(COUNT, VOCABULARY, generator=generator) * torch.linspace(0.1, 8, COUNT)[:, None]
    x[::3, ::5] = -torch.inf
    return x


def run(
    x: Tensor, presets: list[dict[str, Any]], prompts: Any = None, outputs: Any = None
) -> Tensor:
    return process(
        x,
        [rows.preset(values) for values in presets],
        prompt_ids=prompts,
        output_ids=outputs,
        catalogue=rows.NOTHING,
    )


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """The same kept tokens, and the same probabilities to 1e-5."""
    assert torch.equal(actual > -torch.inf, expected > -torch.inf)
    assert (actual.softmax(-1) - expected.softmax(-1)).abs().max() <= 1e-5


def numbers(low: float, high: float, seed: int) -> list[float]:
    random = Random(seed)
    return [random.uniform(low, high) for _ in range(COUNT)]


@pytest.mark.parametrize("seed", range(5))
class TestTransformers:
    """Row by row, since its warpers know one value for all rows."""

    def compare(
        self,
        warper: Callable[[Any], Any],
        name: str,
        values: list[Any],
        seed: int,
        ids: list[list[int]] | None = None,
    ) -> None:
        x = logits(seed)
        prompts = ids or [[] for _ in values]
        expected = [
            warper(value)(torch.tensor([prompt]).long(), x[row : row + 1].clone())
            for row, (value, prompt) in enumerate(zip(values, prompts, strict=True))
        ]

        assert_same(run(x, [{name: v} for v in values], prompts), torch.cat(expected))

    def test_temperature(self, seed: int) -> None:
        """The result is that of Transformers' `TemperatureLogitsWarper`."""
        from transformers import TemperatureLogitsWarper

        self.compare(TemperatureLogitsWarper, "temperature", numbers(0.3, 3, seed), seed)

    def test_top_k(self, seed: int) -> None:
        """The kept tokens are those of `TopKLogitsWarper`, for a k above the vocabulary too."""
        from transformers import TopKLogitsWarper

        values = [1, 2, 1500, 2000, 5000, *map(int, numbers(1, 100, seed)[5:])]
        self.compare(TopKLogitsWarper, "top_k", values, seed)

    def test_top_p(self, seed: int) -> None:
        """`TopPLogitsWarper`; 0 too, which keeps one token."""
        from transformers import TopPLogitsWarper

        values = [0.0, 0.999, *numbers(0.01, 0.99, seed)[2:]]
        self.compare(TopPLogitsWarper, "top_p", values, seed)

    def test_min_p(self, seed: int) -> None:
        """The kept tokens are those of Transformers' `MinPLogitsWarper`."""
        from transformers import MinPLogitsWarper

        self.compare(MinPLogitsWarper, "min_p", numbers(0.001, 1, seed), seed)

    def test_repetition_penalty(self, seed: int) -> None:
        """The result is that of `RepetitionPenaltyLogitsProcessor`, for rewards below 1 too."""
        from transformers import RepetitionPenaltyLogitsProcessor

        ids = [Random(row).choices(range(VOCABULARY), k=100) for row in range(COUNT)]
        values = numbers(0.5, 2, seed)
        self.compare(RepetitionPenaltyLogitsProcessor, "repetition_penalty", values, seed, ids)

    def test_all_together(self, seed: int) -> None:
        """Temperature, top_k, top_p, min_p in its order, which is the default."""
        from transformers import (
            LogitsProcessorList,
            MinPLogitsWarper,
            TemperatureLogitsWarper,
            TopKLogitsWarper,
            TopPLogitsWarper,
        )

        warpers = LogitsProcessorList(
            [
                TemperatureLogitsWarper(0.8),
                TopKLogitsWarper(50),
                TopPLogitsWarper(0.9),
                MinPLogitsWarper(0.01),
            ]
        )
        x = logits(seed)
        preset = {"temperature": 0.8, "top_k": 50, "top_p": 0.9, "min_p": 0.01}

        assert_same(run(x, [preset] * COUNT), warpers(torch.zeros(COUNT, 0).long(), x.clone()))


@pytest.mark.parametrize("seed", range(5))
class TestVllm:
    """The whole batch at once."""

    def test_top_k_and_top_p(self, seed: int) -> None:
        """The ops top_k and top_p together keep what vLLM's `apply_top_k_top_p` keeps."""
        sampler = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
        x = logits(seed)
        k, p = [int(k) for k in numbers(1, 500, seed)], numbers(0.05, 0.99, seed + 1)
        for ks, ps in ((k, None), (None, p), (k, p)):
            values: list[dict[str, Any]] = [{} for _ in range(COUNT)]
            for row in range(COUNT):
                values[row] |= {"top_k": ks[row]} if ks else {}
                values[row] |= {"top_p": ps[row]} if ps else {}
            expected = sampler.apply_top_k_top_p(
                x.clone(),
                torch.tensor(ks) if ks else None,
                torch.tensor(ps) if ps else None,
            )

            assert_same(run(x, values), expected)

    def test_penalties(self, seed: int) -> None:
        """The three penalties together give what vLLM's `apply_all_penalties` gives."""
        penalties = pytest.importorskip("vllm.v1.sample.ops.penalties")
        x = logits(seed)
        random = Random(seed)
        prompts = [random.choices(range(VOCABULARY), k=50) for _ in range(COUNT)]
        outputs = [random.choices(range(200), k=random.randint(0, 80)) for _ in range(COUNT)]
        names = ("presence_penalty", "frequency_penalty", "repetition_penalty")
        drawn = [numbers(-2, 2, seed), numbers(-2, 2, seed + 1), numbers(0.5, 2, seed + 2)]
        expected = penalties.apply_all_penalties(
            x.clone(), torch.tensor(prompts), *map(torch.tensor, drawn), outputs
        )
        values = [dict(zip(names, row, strict=True)) for row in zip(*drawn, strict=True)]

        assert_same(run(x, values, prompts, outputs), expected)

    def test_min_p(self, seed: int) -> None:
        """The kept tokens are those of vLLM's `MinPLogitsProcessor`."""
        builtin = pytest.importorskip("vllm.v1.sample.logits_processor.builtin")
        config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=COUNT))
        processor = builtin.MinPLogitsProcessor(config, torch.device("cpu"), False)
        values = numbers(0.001, 1, seed)
        added: list[Any] = [(row, SimpleNamespace(min_p=m), [], []) for row, m in enumerate(values)]
        update = SimpleNamespace(added=added, removed=[], moved=[], batch_size=COUNT)
        processor.update_state(update)
        x = logits(seed)

        assert_same(run(x, [{"min_p": m} for m in values]), processor.apply(x.clone()))

    def test_its_order_is_another(self, seed: int) -> None:
        """It takes min_p before top_p: the same tokens are kept only with `order` set to that."""
        sampler = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
        x = logits(seed)
        cut = run(x, [{"min_p": 0.05}] * COUNT)
        theirs = sampler.apply_top_k_top_p(cut, None, torch.full((COUNT,), 0.7))
        values = {"top_p": 0.7, "min_p": 0.05}
        as_theirs = [rows.preset(values, ["min_p", "top_p"])] * COUNT
        default = run(x, [values] * COUNT)

        assert_same(process(x, as_theirs, catalogue=rows.NOTHING), theirs)
        assert not torch.equal(default > -torch.inf, theirs > -torch.inf)
