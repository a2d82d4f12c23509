"""Chains that run on a row's candidates give what they give on all logits."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament import process
from temperament.batch.candidates import divide, width_of
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.batch.steps import CandidateSteps
from temperament.presets.chain import Chain
from temperament.presets.schedule import Schedule
from temperament.stages import STAGES, Stage
from tests import rows

CHAINS: list[dict[str, Any]] = [
    {"top_k": 50},
    {"top_k": 3, "top_p": 0.9},
    {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.05},
    {"temperature": 1.7, "top_k": 100, "typical_p": 0.8, "tfs": 0.95},
    {"temperature": 0.5, "top_k": 240, "epsilon_cutoff": 0.01, "top_n_sigma": 1.0},
    {"top_k": 40, "eta_cutoff": 0.01, "top_h": 0.7, "smoothing_factor": 0.1},
    {"temperature": 1e-35, "top_k": 20, "top_a": 0.1},
    {"dynatemp_low": 0.5, "dynatemp_high": 1.5, "top_k": 30, "p_less": True},
    {"top_k": 60, "xtc_probability": 1.0, "xtc_protect_structure": False, "skew": 0.2},
    {"temperature": 1.2, "top_k": 64, "renormalize_logits": True},
    {"temperature": 0.9, "min_p": 0.02},
    {"top_k": 1},
]
ORDERS: list[tuple[str, ...]] = [(), ("top_k", "top_p", "temperature"), ("min_p", "top_k")]


def run(logits: Tensor, chains: list[Chain], *, candidates: bool) -> Tensor:
    """Returns the logits of a batch whose row i has chain i."""
    batch = Rows(len(chains), candidates=candidates)
    for row, chain in enumerate(chains):
        batch.write(row, Request(chain, row), [1], [2])
    return batch.run(logits.clone(), np.arange(len(chains)))


@pytest.fixture(scope="module")
def chains() -> list[Chain]:
    """Every chain in every order."""
    return [Chain.of(values, order) for order in ORDERS for values in CHAINS]


@pytest.fixture(scope="module")
def logits(chains: list[Chain]) -> Tensor:
    """Rows of many scales."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.3, 6, len(chains))[:, None]
    return torch.randn(len(chains), 5000, generator=generator) * scale


def test_the_largest_logits_suffice(chains: list[Chain], logits: Tensor) -> None:
    """The same tokens are kept, with the same probabilities, on candidates and on all logits."""
    short, whole = (run(logits, chains, candidates=candidates) for candidates in (True, False))

    assert torch.equal(short > -math.inf, whole > -math.inf)
    torch.testing.assert_close(short.softmax(-1), whole.softmax(-1), atol=1e-6, rtol=1e-5)


def test_a_row_is_the_same_in_any_batch(chains: list[Chain], logits: Tensor) -> None:
    """A row has the same bits alone and in any order among others."""
    together = run(logits, chains, candidates=True)
    order = Random(0).sample(range(len(chains)), len(chains))

    assert rows.same_bits(
        run(logits[order], [chains[row] for row in order], candidates=True), together[order]
    )
    for row, chain in enumerate(chains):
        assert rows.same_bits(run(logits[[row]], [chain], candidates=True), together[[row]])


@pytest.mark.parametrize("tied", [20, 300, 4000])
def test_what_is_tied_with_the_last_stays(tied: int) -> None:
    """Tokens tied with the k-th stay, also where they are more than the candidates."""
    logits = torch.randn(4, 5000, generator=torch.Generator().manual_seed(1))
    logits[1].fill_(-5).index_fill_(0, torch.randperm(5000)[:tied], 2.0)
    logits[1, 7] = 3.0
    chain = Chain.of({"temperature": 0.7, "top_k": 10, "top_p": 0.99999, "min_p": 0.01})
    after = run(logits, [chain] * 4, candidates=True)

    kept = logits[1] >= 2
    assert torch.equal(after[1] > -math.inf, kept)
    assert torch.equal(after[1][kept], logits[1][kept] / 0.7)
    for row in range(4):
        assert rows.same_bits(run(logits[[row]], [chain], candidates=True), after[[row]])


def test_a_temperature_may_make_ties() -> None:
    """A large temperature makes logits equal that differed in the last bit: more than k stay."""
    logits = torch.full((1, 5000), 1.0)
    logits[0, ::2] = torch.nextafter(logits[0, 0], torch.tensor(2.0))
    chain = Chain.of({"temperature": 3e37, "top_k": 10})

    for candidates in (True, False):
        assert (run(logits, [chain], candidates=candidates) > -math.inf).sum() == (
            (logits / 3e37 >= (logits / 3e37).max()).sum()
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_with_nan_or_infinity_runs_on_all_logits(bad: float) -> None:
    """A row with NaN or infinity runs on all logits, and its neighbours keep their bits."""
    logits = torch.randn(3, 5000, generator=torch.Generator().manual_seed(2))
    logits[1, 17] = bad
    chain = [Chain.of({"temperature": 0.7, "top_k": 10, "top_p": 0.9})] * 3

    assert rows.same_bits(
        run(logits, chain, candidates=True)[1], run(logits, chain, candidates=False)[1]
    )
    for row in (0, 2):
        assert rows.same_bits(
            run(logits[[row]], chain[:1], candidates=True),
            run(logits, chain, candidates=True)[[row]],
        )


def test_a_row_of_few_tokens() -> None:
    """A row with fewer than k tokens keeps them all."""
    logits = torch.full((2, 5000), -math.inf)
    logits[0, 5:8] = torch.tensor([1.0, 2.0, 3.0])
    after = run(logits, [Chain.of({"top_k": 10, "temperature": 0.5})] * 2, candidates=True)

    assert [2, 4, 6] == after[0, 5:8].tolist()
    assert 3 == (after[0] > -math.inf).sum()
    assert (after[1] == -math.inf).all()


@pytest.mark.parametrize(
    ("values", "width"),
    [
        ({"top_k": 1}, 64),
        ({"top_k": 56}, 64),
        ({"top_k": 57}, 128),
        ({"top_k": 248}, 256),
        ({"top_k": 249}, 0),
        ({"top_k": 50, "temperature": 0.0}, 0),
        ({"top_p": 0.9}, 0),
        ({"top_k": Schedule(10, 20, 100)}, 0),
        ({"top_k": 10, "temperature": Schedule(1.0, 0.0, 100)}, 0),
    ],
    ids=str,
)
def test_the_width_follows_k(values: dict[str, Any], width: int) -> None:
    """The number of candidates exceeds k by at least 8; greedy and scheduled rows have none."""
    assert width == width_of(Chain.of(values))


@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if stage.keeps_order], ids=lambda stage: stage.name
)
def test_a_stage_that_says_so_keeps_the_order(stage: Stage) -> None:
    """A larger logit stays the larger one, or becomes equal to the smaller."""
    random = Random(stage.name)
    logits = torch.arange(-500.0, 500.0)[None] / 7
    for _ in range(50):
        after = process(logits, rows.values(stage, random, 1000), catalogue=rows.NOTHING)

        assert torch.equal(after.sort().values, after)


@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if stage.largest_kept], ids=lambda stage: stage.name
)
def test_a_stage_that_says_so_keeps_the_largest_k(stage: Stage) -> None:
    """Of k + 3 logits that differ, the k largest stay as they are."""
    logits = torch.arange(10.0)[None]
    after = process(logits, {stage.largest_kept: 7}, catalogue=rows.NOTHING)

    assert [[-math.inf] * 3 + [3, 4, 5, 6, 7, 8, 9]] == after.tolist()


def test_a_chain_is_divided_at_its_top_k() -> None:
    """A temperature before top-k runs on the candidates; stages that read tokens run on all."""
    shape = ("dry", "temperature", "top_k", "top_p", "xtc", "min_p")

    assert (("dry",), ("temperature", "top_k"), ("top_p",), ("xtc", "min_p")) == divide(shape, 64)
    assert (shape, (), (), ()) == divide(shape, 0)


def test_chains_of_one_width_share_their_steps() -> None:
    """Chains with as many candidates run in one group, each stage once."""
    batch = Rows(6)
    for row, k in enumerate((10, 20, 30, 40, 50, 200)):
        chain = Chain.of({"temperature": 1 + row, "top_k": k, "top_p": 0.9, "min_p": 0.1 * row})
        batch.write(row, Request(chain))
    steps = batch.table.steps(np.arange(6), 5000)
    on_candidates = [step for step in steps if isinstance(step, CandidateSteps)]

    assert on_candidates == steps
    assert [(64, 2, 2), (256, 2, 2)] == [
        (step.width, len(step.opening), len(step.rest)) for step in on_candidates
    ]
