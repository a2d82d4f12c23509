"""The comparison's measures on texts that can be counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from temperament import EngineError
from temperament.studio.comparison import report, text_measures
from temperament.studio.comparison.collect import Collected, read_prompts
from temperament.studio.figures import draw_comparison
from tests.studio.known import preset


@pytest.mark.parametrize(
    ("samples", "n", "expected"),
    [
        ([[1, 2, 3]], 1, 1.0),
        ([[1, 1, 1, 1]], 1, 0.25),
        ([[1, 2], [1, 2]], 1, 0.5),
        ([[1, 2], [1, 2]], 2, 0.5),
        ([[1, 2, 1, 2]], 2, 2 / 3),
        ([[1], [2]], 2, math.nan),
        ([], 1, math.nan),
    ],
)
def test_distinct(samples: list[list[int]], n: int, expected: float) -> None:
    """Different n-grams over all, over all samples; n-grams don't cross from one to the next."""

    assert pytest.approx(expected, nan_ok=True) == text_measures.distinct(samples, n)


def test_bleu() -> None:
    """BLEU is 1 for the reference, 0 without a common token, and as by hand in between."""
    reference = [1, 2, 3, 4, 5, 6]

    assert pytest.approx(1) == text_measures.bleu(reference, [reference])
    assert 0 == text_measures.bleu([7, 8], [reference])
    # 5 of 6 tokens, (3 + 1) of (5 + 1) pairs, (1 + 1) of (4 + 1), (0 + 1) of (3 + 1)
    assert pytest.approx((5 / 6 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25) == text_measures.bleu(
        [1, 2, 9, 4, 5, 6], [reference]
    )


def test_a_short_candidate_pays() -> None:
    """Half as long as its reference, a text loses a factor of e."""
    short = text_measures.bleu([1, 2, 3, 4], [[1, 2, 3, 4, 5, 6, 7, 8]])

    assert pytest.approx(math.exp(-1)) == short


def test_an_empty_candidate() -> None:
    """An empty text equals an empty reference, and no other."""

    assert (1.0, 0.0) == (text_measures.bleu([], [[]]), text_measures.bleu([], [[1]]))


def test_self_bleu() -> None:
    """Equal samples 1, samples with nothing in common 0; one alone has none."""
    text = [1, 2, 3, 4, 5]

    assert pytest.approx(1) == text_measures.self_bleu([text, text, text])
    assert 0 == text_measures.self_bleu([text, [6, 7, 8]])
    assert math.isnan(text_measures.self_bleu([text]))


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ([1] * 12, True),
        ([1] * 11, False),
        ([9, 8, 7] + [1, 2] * 6, True),
        ([1, 2] * 5 + [1], False),
        ([*range(20)] * 3, True),
        ([*range(20)] * 2, False),
        ([1, 2, 3, 4] * 3 + [5], False),
        ([], False),
    ],
)
def test_a_loop(sample: list[int], expected: bool) -> None:
    """A text that ends in the same tokens three times, twelve in all, loops."""

    assert expected == text_measures.loops(sample)


@pytest.fixture
def collected() -> list[Collected]:
    """Two presets on 30 prompts: one repeats itself, the other doesn't."""
    random = np.random.default_rng(0)
    same = [[[prompt] * 12, [prompt] * 12] for prompt in range(30)]
    other = [[random.permutation(1000)[:20].tolist() for _ in range(2)] for _ in range(30)]
    low = [[[0.1] * 12] * 2 for _ in range(30)]
    high = [[random.normal(3, 0.5, 20).tolist() for _ in range(2)] for _ in range(30)]
    return [
        Collected(preset(temperature=0), same, low, [100.0, 110.0]),
        Collected(preset(temperature=2), other, high, [50.0, 60.0]),
    ]


def test_the_report(collected: list[Collected]) -> None:
    """The means are those by hand, with intervals and differences to the first preset."""
    found = {each.measure: each for each in report.compare(collected)}

    assert list(report.MEASURES) == list(found)
    assert [0.0, 0.0] == [
        found["self-BLEU"].differences[0].value,
        found["loops"].differences[0].low,
    ]
    assert pytest.approx(1 / 24) == found["distinct-1"].estimates[0].value
    assert [1.0, 0.0] == [estimate.value for estimate in found["loops"].estimates]
    assert [12.0, 20.0] == [estimate.value for estimate in found["length"].estimates]
    assert [105.0, 55.0] == [estimate.value for estimate in found["speed"].estimates]
    surprise = found["surprise"].estimates[1]
    assert surprise.low < surprise.value < surprise.high
    assert pytest.approx(3, abs=0.1) == surprise.value
    assert found["self-BLEU"].differences[1].high < 0


def test_differences_are_paired(collected: list[Collected]) -> None:
    """Prompts that move both presets alike leave no doubt about their difference."""
    lengths = [1, 100] * 15
    for each, more in zip(collected, (0, 5), strict=True):
        each.tokens = [[[1] * (length + more)] for length in lengths]
    [found] = [each for each in report.compare(collected) if each.measure == "length"]

    assert found.estimates[1].high - found.estimates[1].low > 10
    gap = found.differences[1]
    assert [5, 5, 5] == [pytest.approx(part) for part in (gap.value, gap.low, gap.high)]


def test_what_has_no_number_is_left_out(collected: list[Collected]) -> None:
    """With one sample a prompt there is no self-BLEU, and no row for it."""
    for each in collected:
        each.tokens = [samples[:1] for samples in each.tokens]

    assert "self-BLEU" not in {each.measure for each in report.compare(collected)}


def test_the_figure_and_the_json(collected: list[Collected], tmp_path: Path) -> None:
    """The figure is drawn, and the JSON has the numbers of each measure."""
    compared = report.compare(collected)
    draw_comparison.draw(collected, compared, str(tmp_path / "c.png"))
    written = report.as_json(collected, compared)

    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert (30, 2) == (written["prompts"], written["samples"])
    assert 105.0 == written["measures"]["speed"]["estimates"][0]["value"]


@pytest.mark.parametrize("content", [None, b"", b"\n  \n", b"\xff"])
def test_prompts_that_are_none(content: bytes | None, tmp_path: Path) -> None:
    """A missing file, one without a line and one that is no text are refused."""
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(EngineError, match=r"prompts\.txt"):
        read_prompts(str(path))


def test_prompts(tmp_path: Path) -> None:
    """One a line; empty lines don't count."""
    path = tmp_path / "prompts.txt"
    path.write_text("one\n\ntwo 二\n", encoding="utf-8")

    assert ["one", "two 二"] == read_prompts(str(path))
