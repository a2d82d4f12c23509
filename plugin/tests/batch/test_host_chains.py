"""Chains with top-k that numba compiled give the bits of the ops, and leave other rows to these."""

import math
from collections.abc import Iterator
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

import temperament
from temperament.batch import candidates, host_chains
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.compiled import prepared
from temperament.presets.chain import Chain
from tests import rows

pytest.importorskip("numba")

CHAINS: list[dict[str, Any]] = [
    {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.05},
    {"top_k": 5},
    {"top_k": 200, "top_p": 0.5},
    {"temperature": 1.5, "top_k": 100, "min_p": 0.2},
    {"top_k": 40, "typical_p": 0.9},
    {"temperature": 0.3, "top_k": 20, "top_p": 0.0},
    {"temperature": 2.0, "top_k": 56, "top_p": 0.999, "min_p": 1.0},
    {"top_k": 30, "top_p": 0.9, "xtc_probability": 1.0},
    {"temperature": 1e37, "top_k": 10, "top_p": 0.5},
]
VOCABULARY = 17_003  # as many as 256 candidates need, and columns that fill no chunk


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """The compiled functions, for this file only: what other files test are the ops."""
    before = prepared.chains, prepared.cuts
    assert prepared.prepare()
    yield
    prepared.chains, prepared.cuts = before


def run(logits: Tensor, chains: list[dict[str, Any]], *, compiled: bool) -> Tensor:
    """Returns the logits of a batch whose row i has chain i."""
    batch = Rows(len(chains))
    for row, values in enumerate(chains):
        batch.write(row, Request(Chain.of(values), row), [1], [2])
    functions = prepared.chains if compiled else None
    with patch.object(prepared, "chains", functions):
        return batch.run(logits.clone(), np.arange(len(chains)))


def random_rows(count: int, number: int) -> Tensor:
    """[count, VOCABULARY] rows of many scales: with ties, sorted, masked, flat."""
    generator = torch.Generator().manual_seed(number)
    logits = torch.randn(count, VOCABULARY, generator=generator) * (0.1, 1.0, 4.0, 30.0)[number % 4]
    if number % 3 == 0:
        logits = (logits * 4).round() / 4
    logits[0] = logits[0].sort(descending=bool(number % 2)).values
    logits[1, 3:-7] = -math.inf
    logits[2] = -0.0
    logits[3, ::2] = 0.0
    return logits


@pytest.mark.parametrize("number", range(12))
def test_the_bits_are_those_of_the_ops(number: int) -> None:
    """A batch has the same bits compiled, whether its rows have one chain or several."""
    logits = random_rows(12, number)
    random = Random(number)
    one = [random.choice(CHAINS)] * 12
    several = [random.choice(CHAINS) for _ in range(12)]
    for chains in (one, several):
        assert rows.same_bits(
            run(logits, chains, compiled=False), run(logits, chains, compiled=True)
        )


def test_a_row_is_the_same_in_any_batch() -> None:
    """A row has the same bits compiled alone as among others."""
    logits = random_rows(len(CHAINS), 2)
    together = run(logits, CHAINS, compiled=True)
    for row, values in enumerate(CHAINS):
        assert rows.same_bits(together[[row]], run(logits[[row]], [values], compiled=True))


def test_most_rows_need_no_ops() -> None:
    """Ordinary rows are computed without the ops that search the candidates."""
    logits = torch.randn(4, VOCABULARY, generator=torch.Generator().manual_seed(0))
    logits[3, 30:] = -math.inf  # fewer than k
    with patch.object(candidates, "_run_ops", side_effect=AssertionError):
        kept = run(logits, [CHAINS[0], CHAINS[1], CHAINS[3], CHAINS[0]], compiled=True)

    assert 5 == (kept[1] > -math.inf).sum()


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_a_row_with_nan_or_infinity_is_left_to_the_ops(bad: float) -> None:
    """NaN of either sign and infinity give what the ops give, and don't change other rows."""
    logits = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(2))
    expected = run(logits, CHAINS[:1] * 3, compiled=True)
    logits[1, 17] = bad
    chains = [*CHAINS[:1] * 2, CHAINS[4]]
    actual = run(logits, chains, compiled=True)

    assert rows.same_bits(run(logits, chains, compiled=False), actual)
    assert rows.same_bits(expected[[0]], actual[[0]])


@pytest.mark.parametrize("tied", [20, 300, 9000])
def test_ties_with_the_last_stay(tied: int) -> None:
    """All tokens tied with the k-th stay, also where they are more than the candidates."""
    logits = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(1))
    some = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))[:tied]
    logits[1].fill_(-5).index_fill_(0, some, 2.0)
    chains = [{"temperature": 0.7, "top_k": 10}] * 2
    actual = run(logits, chains, compiled=True)

    assert tied == (actual[1] > -math.inf).sum()
    assert rows.same_bits(run(logits, chains, compiled=False), actual)


def test_the_largest_stand_side_by_side() -> None:
    """More logits than a row collects at once: chunks of neighbouring floats, in any order."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.full((8, VOCABULARY), -1.0)
    first = torch.ones(1).view(torch.int32)
    for row in logits:
        chunks = torch.randperm(64, generator=generator)[:, None] * 64
        places = chunks + torch.randperm(64, generator=generator)
        row[:4096] = (first + places.flatten().int()).view(torch.float32)
    chains = [{"top_k": 50 + row} for row in range(8)]
    actual = run(logits, chains, compiled=True)

    assert [50 + row for row in range(8)] == (actual > -math.inf).sum(1).tolist()
    assert rows.same_bits(run(logits, chains, compiled=False), actual)


class TestPreparing:
    """Where the functions aren't compiled; `prepare` says so, and the ops run."""

    @pytest.fixture(autouse=True)
    def unprepared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is compiled yet."""
        monkeypatch.setattr(prepared, "chains", None)

    def test_the_switch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`TEMPERAMENT_KERNELS=off` leaves all chains to the ops."""
        monkeypatch.setenv("TEMPERAMENT_KERNELS", "off")

        assert not temperament.prepare()
        assert not host_chains.runs_compiled(VOCABULARY, 64)

    def test_without_numba(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without numba all chains are left to the ops."""
        monkeypatch.setattr(prepared, "find_spec", lambda _: None)

        assert not temperament.prepare()
        assert not host_chains.runs_compiled(VOCABULARY, 64)

    def test_numba_compiles_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where numba's own switch turns it off, Python would run its functions: the ops do."""
        monkeypatch.setattr("numba.config.DISABLE_JIT", 1)

        assert not temperament.prepare()
        assert not host_chains.runs_compiled(VOCABULARY, 64)

    def test_a_short_vocabulary(self) -> None:
        """A vocabulary with too few chunks for the candidates is left to the ops."""
        assert temperament.prepare()
        for width in candidates.WIDTHS:
            chunks = [host_chains.COLUMNS_EACH * width, host_chains.COLUMNS_EACH * width - 1]

            assert [True, False] == [host_chains.runs_compiled(size, width) for size in chunks]
        assert host_chains.SHORTEST == host_chains.COLUMNS_EACH * candidates.WIDTHS[0]
        assert host_chains.COLUMNS_EACH == prepared.chains.CHUNK


def test_what_is_compiled_is_kept_where_a_folder_can_be_written() -> None:
    """Without a folder for numba's cache the functions are compiled without one."""
    from numba.types import int64

    from temperament.compiled import numbers

    with patch("numba.core.caching.FunctionCache.__init__", side_effect=RuntimeError("no locator")):
        compiled = numbers.compiled(int64)(lambda number: number + 1)

    assert 3 == compiled(2)
