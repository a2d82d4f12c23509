"""Rows that are summed and cut by compiled functions have the bits of the ops."""

import math
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament.batch.process import Run
from temperament.compiled import prepared
from temperament.ops import compiled_rows, top_p, typical_p
from temperament.ops.exponential import masses_of
from temperament.ops.sums import COMPILED, sums
from tests import rows

pytest.importorskip("numba")

PRESETS: list[dict[str, Any]] = [
    {"top_p": 0.95},
    {"temperature": 1.3, "top_p": 0.5},
    {"top_p": 0.0},
    {"top_p": 0.9999999},
    {"top_p": 1 - 1e-9},  # 1 in float32: nothing is removed
    {"typical_p": 1 - 1e-9},
    {"typical_p": 0.9},
    {"typical_p": 0.2},
    {"eta_cutoff": 3e-4},
    {"epsilon_cutoff": 3e-4},
    {"top_a": 0.2},
    {"p_less": True},
    {"p_less_norm": True},
    {"dynatemp_low": 0.5, "dynatemp_high": 2.0},
    {"mirostat": 2},
    {"skew": 0.3},
    {"skew": -1.5},
    {"skew": 20.0},
    {"skew": -20.0},
    {"tfs": 0.95},
    {"tfs": 0.3},
    {"tfs": 1 - 2.0**-24},
    {"tfs": 1 - 1e-9},  # 1 in float32: nothing is removed
]
# a row with a piece and a column, one with a short last piece, and one of whole pieces
VOCABULARIES = (4097, 17_003, 8192)
SCALES = (0.001, 0.1, 1.0, 4.0, 30.0)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """The compiled functions, for this file only: what other files test are the ops."""
    before = prepared.chains, prepared.cuts
    assert prepared.prepare()
    yield
    prepared.chains, prepared.cuts = before


def run(logits: Tensor, preset: dict[str, Any], *, compiled: bool) -> Tensor:
    """Returns what the preset makes of the logits, [rows, vocab]."""
    with patch.object(prepared, "cuts", prepared.cuts if compiled else None):
        return Run(preset, rows=len(logits)).run(logits)


def random_rows(vocabulary: int, number: int) -> Tensor:
    """[9, vocab] rows: with ties, masked, equal, with NaN and infinities, of half precision."""
    generator = torch.Generator().manual_seed(number)
    logits = torch.randn(9, vocabulary, generator=generator) * SCALES[number % len(SCALES)]
    if number % 3 == 0:
        logits = (logits * 4).round() / 4
    logits[0, 50] = torch.nextafter(logits[0].amax(), torch.tensor(-math.inf))
    logits[1, 5:-3] = -math.inf
    logits[2] = 0.0
    logits[3, ::3] = 2.0
    logits[4, 7] = math.nan if number % 2 else 99.0
    logits[5, 100] = math.inf if number % 2 else -math.inf
    logits[6] = logits[6].bfloat16().float()
    logits[7, 1:] = -1e30
    if number % 4 == 0:
        logits[8] = -math.inf
    return logits


def test_the_masses_are_those_of_the_ops() -> None:
    """The compiled exponential has the same bits: the compiler fuses no operations."""
    from numba import njit

    from temperament.compiled.numbers import exponential

    def exponentials(distances: Any, results: Any) -> None:
        for place in range(len(distances)):
            results[place] = exponential(distances[place])

    distance = torch.cat([torch.linspace(-87, 0, 20_001), -torch.rand(20_000) * 2.0**-10])
    actual = np.empty(len(distance), np.float32)
    njit(exponentials)(distance.numpy(), actual)

    assert masses_of(distance).numpy().tobytes() == actual.tobytes()


def test_what_the_files_share_is_in_the_name_of_what_is_cached() -> None:
    """When a shared file changes, numba finds nothing cached, and compiles anew."""
    shared = [Path(prepared.__file__).with_name(f"{name}.py") for name in ("numbers", "constants")]
    digest = sha256(b"".join(path.read_bytes() for path in shared)).hexdigest()[:8]
    for function in (
        prepared.chains.narrow,
        prepared.cuts.keep_nearest,
        prepared.ranking.skew_rows,
    ):
        cached = function.stats.cache_path

        assert list(Path(cached).glob(f"*{function.__name__}_{digest}-*.nbi"))


@pytest.mark.parametrize("preset", PRESETS, ids=str)
@pytest.mark.parametrize("number", range(6))
def test_the_bits_are_those_of_the_ops(preset: dict[str, Any], number: int) -> None:
    """A batch has the same bits compiled, whatever the rows are."""
    logits = random_rows(VOCABULARIES[number % 3], number)

    assert rows.same_bits(run(logits, preset, compiled=False), run(logits, preset, compiled=True))


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_a_row_is_the_same_in_any_batch(preset: dict[str, Any]) -> None:
    """A row has the same bits compiled alone as among others, on several threads."""
    logits = random_rows(17_003, 2)
    together = run(logits, preset, compiled=True)
    for row in range(len(logits)):
        assert rows.same_bits(together[[row]], run(logits[[row]], preset, compiled=True))


@pytest.mark.parametrize(
    "terms", COMPILED, ids=[f"{len(terms)}-{i}" for i, terms in enumerate(COMPILED)]
)
def test_the_sums_are_those_of_the_ops(terms: Any) -> None:
    """Maxima and sums have the same bits, NaN and infinities too."""
    logits = random_rows(17_003, 3)
    actual = sums(logits, *terms)
    with patch.object(prepared, "cuts", None):
        expected = sums(logits, *terms)

    for one, other in zip(expected, actual, strict=True):
        assert one.shape == other.shape
        assert np.array_equal(one.numpy(), other.numpy(), equal_nan=True)


@pytest.mark.parametrize("cut", [{"top_p": 0.9}, {"typical_p": 0.9}, {"top_p": 1 - 1e-7}], ids=str)
def test_each_row_has_its_temperature(cut: dict[str, Any]) -> None:
    """A cut that divides by the temperature gives the bits of a division and a cut."""
    logits = random_rows(17_003, 5)
    presets = [{"temperature": 0.3 + row / 3, **cut} for row in range(len(logits))]
    presets[2] = {"temperature": 1e-35, **cut}
    presets[3] = cut
    tiny = [{"temperature": 1e-35, **cut}, *presets[4:]]
    for batch in (presets, presets[4:], tiny):
        part = logits[-len(batch) :]
        with patch.object(prepared, "cuts", None):
            expected = Run(batch).run(part)

        assert rows.same_bits(expected, Run(batch).run(part))


def test_a_temperature_is_divided_by_in_the_cut() -> None:
    """Of a temperature and a cut behind it only the cut is run, where it is compiled."""
    logits = random_rows(17_003, 1)
    with patch.dict("temperament.batch.run.OPS", {"temperature": None}):
        run(logits, {"temperature": 0.7, "top_p": 0.9}, compiled=True)
        with pytest.raises(TypeError):
            run(logits, {"temperature": 0.7, "top_p": 0.9}, compiled=False)


def test_ordinary_rows_need_no_ops() -> None:
    """Top-p and typical-p of ordinary rows are decided by the compiled functions alone."""
    logits = torch.randn(8, 17_003, generator=torch.Generator().manual_seed(0))
    with (
        patch.object(top_p, "_apply", side_effect=AssertionError),
        patch.object(typical_p, "_apply", side_effect=AssertionError),
    ):
        for preset in ({"top_p": 0.95}, {"typical_p": 0.9}):
            for scale in SCALES:
                run(logits * scale, preset, compiled=True)


def a_row_that_rounding_decides() -> tuple[Tensor, Tensor]:
    """Returns a row ([1, 8192]) and a top-p ([1]) whose goal lies where float32 rounds the sum.

    4,095 tokens have a mass of 1, and the next has so much that the float64 sum lies halfway
    between the goal of 4,096 and the float32 number before it.
    """
    goal, halfway = 4096.0, 1 - 2.0**-13
    near = -torch.arange(0, 4000) * 2.0**-25 - 2.0**-14
    wanted = near[masses_of(near) == halfway]
    logits = torch.full((1, 8192), -0.25)
    logits[0, :4095] = 0.0
    logits[0, 4095] = wanted[0]
    total = sums(logits, *COMPILED[0])[1].float()[0, 0]
    around = torch.tensor(goal) / total
    for share in (
        around,
        torch.nextafter(around, torch.zeros(())),
        torch.nextafter(around, torch.ones(())),
    ):
        if share * total == goal:
            return logits, share[None]
    raise AssertionError("no float32 share of the total is the goal")


def test_a_row_that_rounding_decides_is_left_to_the_ops() -> None:
    """Where the order of the additions could matter, the row stays as it was."""
    logits, share = a_row_that_rounding_decides()
    before = logits.clone()

    assert [0] == compiled_rows.keep_nearest(logits, share).tolist()
    assert rows.same_bits(before, logits)
    preset = {"top_p": float(share)}
    assert rows.same_bits(run(logits, preset, compiled=False), run(logits, preset, compiled=True))


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_a_row_with_nan_or_infinity_is_left_to_the_ops(bad: float) -> None:
    """It is named, and rows beside it aren't."""
    logits = torch.randn(3, 5000, generator=torch.Generator().manual_seed(2))
    logits[1, 17] = bad
    for around_mean in (False, True):
        left = compiled_rows.keep_nearest(
            logits.clone(), torch.full((3,), 0.9), around_mean=around_mean
        )

        assert [1] == left.tolist()


@pytest.mark.parametrize("preset", [{"skew": 0.3}, {"tfs": 0.9}], ids=str)
@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf])
def test_a_row_with_nan_or_infinity_keeps_its_order(preset: dict[str, Any], bad: float) -> None:
    """What needs a row's order leaves such a row as it is, compiled or not, NaN of either sign."""
    logits = torch.randn(3, 5000, generator=torch.Generator().manual_seed(2))
    logits[1, 17] = bad
    for compiled in (False, True):
        actual = run(logits, preset, compiled=compiled)

        assert logits[1].numpy().tobytes() == actual[1].numpy().tobytes()
        assert not rows.same_bits(logits[0], actual[0])


@pytest.mark.parametrize("columns", [4096, 4097])
def test_short_rows_are_left_to_the_ops(columns: int) -> None:
    """A row of one piece costs torch less than a thread; so does one whose columns lie apart."""
    assert (columns > 4096) == compiled_rows.compiles(torch.zeros(2, columns))
    assert not compiled_rows.compiles(torch.zeros(columns, 2).T)
    assert not compiled_rows.compiles(torch.zeros(2, columns, dtype=torch.float64))
