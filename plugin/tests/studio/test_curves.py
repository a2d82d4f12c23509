"""The numbers behind each figure, and the figures."""

from __future__ import annotations

import builtins
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from temperament import EngineError
from temperament.studio import curves
from temperament.studio.figures import draw_curves, style
from temperament.studio.grid import Grid
from tests.studio.known import PROBABILITIES

LOGITS = torch.tensor(PROBABILITIES).log()
NORMAL = torch.from_numpy(np.random.RandomState(42).normal(0, 1, 50)).float()


def entropy(shares: Any) -> float:
    return -math.fsum(p * math.log(p) for p in shares if p > 0)


def test_the_distributions_are_softmax_at_each_temperature() -> None:
    """The distributions are those of reference document 001 at its three temperatures."""
    shares = curves.distributions(NORMAL)

    assert (3, 50) == tuple(shares.shape)
    for row, temperature in zip(shares, (0.5, 1.0, 1.5), strict=True):
        assert pytest.approx((NORMAL.double() / temperature).softmax(-1).tolist()) == row.tolist()
    assert shares[0].max() > shares[1].max() > shares[2].max()


def test_the_entropy_rises_with_temperature() -> None:
    """The entropy rises from 0 through the model's own at 1 toward ln of the vocabulary."""
    curve = curves.entropy_by_temperature(LOGITS, points=40)
    by_temperature = dict(zip(curve.x.tolist(), curve.y.tolist(), strict=True))

    assert 0 == by_temperature[0]
    assert pytest.approx(entropy(PROBABILITIES)) == by_temperature[1]
    assert bool((curve.y.diff() > -1e-12).all())
    assert by_temperature[2] < math.log(5)


def test_the_kept_sets_are_the_documents() -> None:
    """Reference document 003: up to P = 0.4 one word, up to 0.7 two, 1 all; K keeps K."""
    top_p, top_k, min_p = curves.kept_sets(LOGITS)
    kept = {
        curve.parameter: dict(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
        for curve in (top_p, top_k, min_p)
    }

    assert [1, 2, 4, 5] == [kept["top_p"][p] for p in (0.35, 0.65, 0.9, 1.0)]
    assert {1: 1, 2: 2, 3: 3, 5: 5} == kept["top_k"]
    assert [5, 4, 3, 2, 1] == [kept["min_p"][m] for m in (0.1, 0.2, 0.35, 0.7, 0.8)]


def test_the_map_is_temperature_first_then_top_p() -> None:
    """Each cell is the entropy of what top_p keeps of the heated distribution."""
    heat = curves.entropy_map(LOGITS, points=4)
    shares = [p**2 for p in PROBABILITIES]
    total = sum(shares)
    kept = [share / total for share in shares][:2]  # 0.561 + 0.316 >= 0.75

    assert [0.5, 1.0, 1.5, 2.0] == heat.temperature.tolist()
    assert [0.25, 0.5, 0.75, 1.0] == heat.top_p.tolist()
    assert pytest.approx(entropy(k / sum(kept) for k in kept)) == float(heat.entropy[2, 0])
    assert pytest.approx(entropy(PROBABILITIES)) == float(heat.entropy[3, 1])


def test_a_grid_in_parts_is_the_grid_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many settings run together changes nothing."""
    settings = [{"top_p": p} for p in curves.SHARES]
    whole = Grid(settings).measure(NORMAL)
    monkeypatch.setattr("temperament.studio.grid._NUMBERS", 150)
    parts = Grid(settings).measure(NORMAL)

    assert all(one.equal(other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn(theme: Any, tmp_path: Path) -> None:
    """Each figure is a file of its name, and nothing stays open."""
    from matplotlib import pyplot

    paths = draw_curves.draw_all(NORMAL, tmp_path / "new", list(draw_curves.FIGURES), "png", theme)

    assert [f"{name}.png" for name in draw_curves.FIGURES] == [path.name for path in paths]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert [] == pyplot.get_fignums()


def contrast(one: str, other: str) -> float:
    """The contrast of WCAG 2.2 between two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_can_be_read(theme: Any) -> None:
    """Text has a contrast of at least 7, the first three lines one of 3 (WCAG 2.2)."""
    ground, ink, _ = style._GROUND[theme]

    assert contrast(ground, ink) >= 7
    assert all(contrast(ground, colour) >= 3 for colour in style.colours(theme)[:3])


def test_chinese_without_a_font_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes instead of characters are refused, with the fonts that would do."""
    monkeypatch.setattr(style, "_CHINESE", ("No Such Font",))
    with pytest.raises(EngineError, match=r"no font with Chinese characters.*No Such Font"):
        style.chinese_font()


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra is a sentence, not a traceback."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with (
        pytest.raises(EngineError, match=r"pip install 'temperament\[studio\]'"),
        style.drawing(),
    ):
        pass


@pytest.mark.parametrize("name", ["f.pdf", "f", "no/such/folder/f.png"])
def test_a_figure_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    """Another kind of file and a missing folder are reported with their path."""
    with style.drawing() as pyplot, pytest.raises(EngineError, match=name):
        style.save(pyplot.figure(), tmp_path / name)


@pytest.mark.parametrize(
    "content", [None, b"no array", np.zeros((2, 3)), np.zeros(3, int), np.full(3, np.nan)]
)
def test_logits_that_are_none(content: Any, tmp_path: Path) -> None:
    """A missing file, another format, another shape, integers and NaN are refused."""
    path = tmp_path / "logits.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)

    with pytest.raises(EngineError, match="logits"):
        curves.read_logits(str(path))
