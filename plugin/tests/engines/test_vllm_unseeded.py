"""Requests without a seed: each draws for itself, on every rank the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.engine.parallel_sampling import ParentRequest
from vllm.v1.sample.logits_processor import BatchUpdate

import temperament
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.v1 import V1Batch
from tests.engines.runners import (
    NOTHING,
    SLOTS,
    VOCABULARY,
    Row,
    V2Runner,
    engine_config,
    sampling_params,
)

DRAWS: dict[str, Any] = {"reproducible": True}


def v1(params: list[Any], engine: int = 0) -> V1Batch:
    """An engine whose batch these requests have entered, one in a row."""
    scheduler = SimpleNamespace(max_num_seqs=SLOTS)
    batch = V1Batch(engine_config(engine, scheduler_config=scheduler), torch.device("cpu"), Meter())
    added: list[Any] = [(row, one, [1, 2], []) for row, one in enumerate(params)]
    batch.update(BatchUpdate(batch_size=len(params), removed=[], added=added, moved=[]))
    return batch


def drawn(logits: Tensor) -> list[int]:
    """The token that each row draws."""
    tokens: list[int] = logits.argmax(-1).tolist()
    return tokens


def equal_logits(rows: int) -> Tensor:
    """The same flat row several times."""
    return torch.zeros(rows, VOCABULARY)


class TestV1:
    """The V1 runner."""

    def test_equal_prompts_draw_for_themselves(self) -> None:
        """Entries that share one `SamplingParams` object differ."""
        tokens = drawn(v1([sampling_params(DRAWS)] * SLOTS).apply(equal_logits(SLOTS)))

        assert len(set(tokens)) > 1

    def test_every_rank_draws_the_same(self) -> None:
        """Two processes with the same entries draw the same tokens."""
        one, other = (v1([sampling_params(DRAWS)] * SLOTS) for _ in range(2))

        assert drawn(one.apply(equal_logits(SLOTS))) == drawn(other.apply(equal_logits(SLOTS)))

    def test_data_parallel_engines_draw_differently(self) -> None:
        """The first entries of two engines aren't equal."""
        one, other = (v1([sampling_params(DRAWS)] * SLOTS, engine) for engine in range(2))

        assert drawn(one.apply(equal_logits(SLOTS))) != drawn(other.apply(equal_logits(SLOTS)))

    def test_a_seed_is_kept(self) -> None:
        """Entries with the same seed draw the same token."""
        tokens = drawn(v1([sampling_params(DRAWS, seed=7)] * SLOTS).apply(equal_logits(SLOTS)))

        assert 1 == len(set(tokens))


def test_v2() -> None:
    """On the V2 runner equal prompts draw for themselves too, and every rank the same."""
    chain = {**DRAWS, "temperature": 2.0}
    rows = [Row(slot, chain, [1, 2], [3], []) for slot in range(SLOTS)]
    tokens = []
    for _ in range(2):
        runner = V2Runner(0)
        for row in rows:
            runner.add(row)
        tokens.append(drawn(runner.step(rows, equal_logits(SLOTS))))

    assert len(set(tokens[0])) > 1
    assert tokens[0] == tokens[1]


class TestSamples:
    """`n`: several samples of a prompt."""

    @pytest.mark.parametrize(("seed", "different"), [(None, 1), (-1, 1), (5, 3)])
    def test_samples(self, seed: int | None, different: int) -> None:
        """vLLM gives samples seeds of their own only where the request has one.

        Otherwise all have the same object, and only their entries tell them apart.
        """
        params = SamplingParams(n=3, seed=seed)
        request: Any = SimpleNamespace(
            request_id="r", external_req_id="r", sampling_params=params, params=params
        )
        parent = ParentRequest(request)

        children = [parent.get_child_info(index)[1] for index in range(3)]

        assert different == len({id(child) for child in children})


class TestOffline:
    """`sampling_params`."""

    @pytest.mark.parametrize("seed", [None, -1])
    def test_no_seed(self, seed: int | None) -> None:
        """Neither the chain nor vLLM's field has one."""
        preset = {"xtc_probability": 0.5, **({} if seed is None else {"seed": seed})}
        params = temperament.vllm.sampling_params(preset, catalogue=NOTHING, n=4)

        assert params.seed is None
        assert params.extra_args is not None
        assert "seed" not in params.extra_args["temperament"]


class TestLoopsOfOnesOwn:
    """`Run`, `process`, and `generate`."""

    ROWS = 8

    def test_minus_one_is_no_seed(self) -> None:
        """As a row's seed and as the preset's: each row draws for itself, each time anew."""
        logits = torch.zeros(self.ROWS, VOCABULARY)
        unseeded = {**DRAWS, "seed": -1}
        first = drawn(temperament.process(logits, unseeded, catalogue=NOTHING))
        second = drawn(temperament.process(logits, unseeded, catalogue=NOTHING))
        third = drawn(temperament.process(logits, DRAWS, seeds=[-1] * self.ROWS, catalogue=NOTHING))

        assert 3 == len({*map(tuple, (first, second, third))})
        assert all(len(set(tokens)) > 1 for tokens in (first, second, third))

    @pytest.mark.parametrize("seeds", [None, [-1], [-1] * 8])
    def test_generate(self, seeds: list[int] | None) -> None:
        """The rows of `generate` draw for themselves, and a preset's -1 needs no generator."""
        preset = {"mirostat": 2, "seed": -1}
        kwargs = temperament.transformers.generate_kwargs(preset, catalogue=NOTHING, seeds=seeds)
        processor = temperament.transformers.PresetLogitsProcessor(
            {**DRAWS, "seed": -1}, catalogue=NOTHING, seeds=seeds
        )
        ids = torch.ones(self.ROWS, 2, dtype=torch.int64)
        tokens = drawn(processor(ids, torch.zeros(self.ROWS, VOCABULARY)))

        assert "seed" not in kwargs
        assert len(set(tokens)) > 1
