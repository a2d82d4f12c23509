"""The study: its contexts, its measuring, its statistics, and what docs/study.md says."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from temperament import EngineError
from temperament.studio.figures import draw_study
from temperament.studio.grid import Grid
from temperament.studio.model_source import Logits
from temperament.studio.study import analysis, contexts, entropies, sweep, tables
from temperament.studio.study.entropies import Measured
from tests.studio.known import PROBABILITIES, KnownSource

DOCS = Path(__file__).resolve().parents[3] / "docs" / "study"
MODELS = ("SmolLM2-135M-Instruct", "Gemma-3-270M")


def entropy(shares: Any) -> float:
    return -math.fsum(p * math.log(p) for p in shares if p > 0)


class TestContexts:
    """The texts."""

    def test_there_are_enough_of_each_kind(self) -> None:
        """The study has 200 contexts or more, equally many of each kind, and none twice."""
        texts = contexts.load()
        counts = {kind: sum(text.kind == kind for text in texts) for kind in contexts.KINDS}

        assert len(texts) >= 200
        assert {len(texts) // 5} == set(counts.values())
        assert len(texts) == len({text.digest for text in texts})

    def test_none_ends_in_a_space_that_belongs_to_the_next_token(self) -> None:
        """A text ends where a token ends: only code may end in indentation."""

        assert [] == [t for t in contexts.load() if t.text.endswith(" ") and t.kind != "code"]


class TestSettings:
    """What is tried."""

    def test_the_ranges(self) -> None:
        """The settings reach from 0.05 to 2 for temperature, and from 0.05 to 1 for top_p."""
        ends = {name: (values[0], values[-1]) for name, values in sweep.VALUES.items()}

        assert (0.05, 2.0) == ends["temperature"]
        assert (0.05, 1.0) == ends["top_p"]
        assert {"top_k", "min_p"} <= set(ends)
        assert all(list(v) == sorted(set(v)) for v in sweep.VALUES.values())

    def test_a_column_is_its_setting(self) -> None:
        """A value's place is found by name and number."""

        assert {"top_p": 0.95} == sweep.SETTINGS[sweep.column("top_p", 0.95)]
        assert sweep.column("top_k", 1) == sweep.columns("top_k")[0]


class Counting(KnownSource):
    """Logits that depend on the prompt, and that are counted."""

    async def logits(self, ids: Any) -> Logits:
        self.asked.append(list(ids))
        return Logits(torch.tensor(PROBABILITIES).log() * (1 + len(ids) % 3), 1.0)


class TestMeasure:
    """From logits to a file of entropies."""

    def test_the_entropies_are_right(self, tmp_path: Path, known: KnownSource) -> None:
        """Each setting's entropy is that of the distribution by hand."""
        measured = asyncio.run(entropies.measure(known, contexts.load(1), tmp_path / "m.jsonl"))
        row = measured.entropy[0]
        cool = [p**2 / sum(q**2 for q in PROBABILITIES) for p in PROBABILITIES]

        assert (5, len(sweep.SETTINGS)) == measured.entropy.shape
        assert contexts.KINDS == measured.kinds
        for setting, expected in (
            (("temperature", 1.0), entropy(PROBABILITIES)),
            (("temperature", 0.5), entropy(cool)),
            (("top_p", 0.65), entropy([4 / 7, 3 / 7])),
            (("top_k", 3), entropy([0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85])),
            (("min_p", 0.5), entropy([4 / 7, 3 / 7])),
            (("top_p", 0.05), 0),
        ):
            assert pytest.approx(expected, abs=2e-5) == row[sweep.column(*setting)]

    def test_it_goes_on_where_it_was_interrupted(self, tmp_path: Path) -> None:
        """What the file has isn't asked again; a line that was cut off is."""
        path = tmp_path / "m.jsonl"
        whole = asyncio.run(entropies.measure(Counting(), contexts.load(3), path))
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: len(text) * 2 // 3], encoding="utf-8")
        again = Counting()
        measured = asyncio.run(entropies.measure(again, contexts.load(3), path))

        assert 0 < len(again.asked) < 15
        assert whole.entropy.tolist() == measured.entropy.tolist()
        assert text == path.read_text(encoding="utf-8")

    def test_a_file_of_another_model_is_not_gone_on_with(self, tmp_path: Path) -> None:
        """Two models' entropies don't get into one file."""
        path = tmp_path / "m.jsonl"
        asyncio.run(entropies.measure(Counting(), contexts.load(1), path))
        other = Counting()
        other.name = "other"

        with pytest.raises(EngineError, match="another model or other settings"):
            asyncio.run(entropies.measure(other, contexts.load(1), path))


def measured_by(entropies: Any, kinds: tuple[str, ...]) -> Measured:
    """Contexts whose entropy is known at each setting."""
    rows = [[entropies(row, s) for s in sweep.SETTINGS] for row in range(len(kinds))]
    return Measured("simulated", kinds, np.array(rows, dtype=np.float64))


def powers(row: int, setting: dict[str, float]) -> float:
    """Entropies that are powers of the parameter, larger in later contexts."""
    [(name, value)] = setting.items()
    exponent = {"temperature": 2, "top_p": 3, "top_k": 0.1, "min_p": -0.5}[name]
    return float((1 + row) * min(value**exponent, 50))


class TestAnalysis:
    """Statistics of entropies that are known."""

    measured = measured_by(powers, contexts.KINDS * 4)

    def test_elasticities_of_powers_are_their_exponents(self) -> None:
        """`H = x^a` has the elasticity a everywhere, with no doubt about it."""
        sample = analysis.Sample(self.measured)
        for name, exponent in (("temperature", 2), ("top_p", 3), ("top_k", 0.1)):
            line = sample.elasticities(name)

            assert pytest.approx(exponent) == line.value
            assert pytest.approx(exponent) == line.low
            assert pytest.approx(exponent) == line.high

    def test_equal_entropies(self) -> None:
        """Entropies are equal where `T^2 = p^3`; what no setting reaches is None."""
        sample = analysis.Sample(self.measured)
        found = sample.equal("top_p", 0.7)
        falling = sample.equal("min_p", 1.0)

        assert found is not None
        assert falling is not None
        assert pytest.approx(0.7 ** (2 / 3), abs=2e-3) == found.value
        assert pytest.approx(1) == falling.value
        assert sample.equal("top_k", 0.9) is None

    def test_the_same_number(self) -> None:
        """At 0.5 temperature leaves a quarter and top_p an eighth of the entropy everywhere."""
        sample = analysis.Sample(self.measured)

        assert pytest.approx(0.25) == sample.relative("temperature", 0.5).value
        assert pytest.approx(0.125 - 0.25) == sample.difference(0.5).value
        assert 1.0 == sample.lower(0.5)

    def test_the_interval_is_that_of_the_mean(self) -> None:
        """Within a kind, the bootstrap's spread is the standard error of the mean."""
        random = np.random.default_rng(1)
        values = random.normal(5, 1, 400)
        measured = measured_by(lambda row, _: values[row], ("prose",) * 400)
        line = analysis.Sample(measured).entropies("top_p")

        assert pytest.approx(values.mean()) == line.value[0]
        assert pytest.approx(2 * 1.96 / 20, rel=0.1) == (line.high - line.low)[0]
        assert analysis.Sample(measured).entropies("top_p").low[0] == line.low[0]

    def test_kinds_are_resampled_within_themselves(self) -> None:
        """Kinds that differ, each without spread, leave no doubt about the mean."""
        measured = measured_by(lambda row, _: float(row % 5), contexts.KINDS * 4)
        line = analysis.Sample(measured).entropies("top_p")

        assert pytest.approx(2) == line.low
        assert pytest.approx(2) == line.high

    def test_the_groups(self) -> None:
        """The groups are all contexts, every kind, and thirds by the context's own entropy."""
        groups = analysis.groups(self.measured)

        assert ["all", *contexts.KINDS, *analysis.LEVELS] == list(groups)
        assert [20, 4, 4, 4, 4, 4, 7, 6, 7] == [len(g.entropy) for g in groups.values()]
        assert (
            groups["low"].base_entropy < groups["middle"].base_entropy < groups["high"].base_entropy
        )

    def test_what_explains_the_match(self) -> None:
        """A match that follows from the entropy alone is explained by it, and not by the kind."""
        random = np.random.default_rng(2)
        rates = random.uniform(1, 3, 100)

        def entropies(row: int, setting: dict[str, float]) -> float:
            [(name, value)] = setting.items()
            return float(rates[row] * (value ** rates[row] if name == "top_p" else value))

        shares = analysis.explained(measured_by(entropies, contexts.KINDS * 20))

        assert shares["entropy"].value > 0.97
        assert shares["kind"].value < 0.2
        assert shares["rank"].value > 0.99


def test_five_contexts_are_enough() -> None:
    """A resample of one context alone has no variance to explain, and doesn't count."""
    kinds = contexts.KINDS
    measured = measured_by(lambda row, setting: powers(row, setting) * (1 + row / 10), kinds)

    shares = analysis.explained(measured)
    assert all(math.isfinite(part) for e in shares.values() for part in (e.value, e.low, e.high))


def test_the_elasticity_of_temperature_has_a_closed_form() -> None:
    """`d ln H / d ln T = Var(ln p) / H`, as the document says."""
    logits = torch.from_numpy(np.random.RandomState(3).normal(0, 2, 500)).float()
    steps = (0.699, 0.7, 0.701)
    low, middle, high = Grid([{"temperature": t} for t in steps]).measure(logits)[0].tolist()
    shares = (logits.double() / 0.7).softmax(-1)
    mean = (shares * shares.log()).sum()
    variance = float((shares * (shares.log() - mean) ** 2).sum())

    assert pytest.approx(variance / middle, rel=1e-3) == math.log(high / low) / math.log(
        0.701 / 0.699
    )


@pytest.fixture(scope="module")
def models() -> list[Measured]:
    """The entropies from which docs/study.md is computed."""
    texts = contexts.load()
    found = []
    for name in MODELS:
        known = entropies.read(DOCS / f"{name}.jsonl", name)
        rows = np.array([known[text.digest] for text in texts])
        found.append(Measured(name, tuple(text.kind for text in texts), rows))
    return found


def flat(value: Any) -> Any:
    """Every name, text and number in JSON, in order."""
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, list):
        for part in value:
            yield from flat(part)
    else:
        yield "none" if value is None else value


class TestDocument:
    """What docs/study.md says."""

    def test_its_numbers_are_those_of_its_entropies(self, models: list[Measured]) -> None:
        """numbers.json follows from the files of entropies, intervals and all."""
        written = json.loads((DOCS / "numbers.json").read_text(encoding="utf-8"))
        again = json.loads(json.dumps([analysis.numbers(measured) for measured in models]))

        assert list(flat(written)) == [
            part if isinstance(part, str) else pytest.approx(part, abs=2e-4) for part in flat(again)
        ]

    def test_its_answer(self, models: list[Measured]) -> None:
        """The sentences of the answer, as numbers."""
        for measured in models:
            groups = analysis.groups(measured)
            whole, sure, open_ = (groups[name] for name in ("all", "low", "high"))
            middle = [round(0.05 * i, 2) for i in range(4, 17)]

            assert all(abs(whole.difference(x).value) < 0.06 for x in middle)
            assert whole.difference(0.5).low < 0 < whole.difference(0.5).high
            assert 0.54 <= round(whole.relative("temperature", 0.7).value, 3) < 0.555
            assert all(whole.difference(x).high < 0 and whole.lower(x) >= 0.9 for x in (0.9, 0.95))
            assert 0.14 == round(sure.relative("top_p", 0.7).value, 2)
            assert 0.32 <= round(sure.relative("temperature", 0.7).value, 2) <= 0.35
            assert 0.63 <= round(open_.relative("top_p", 0.7).value, 2) <= 0.65
            assert 0.61 <= round(open_.relative("temperature", 0.7).value, 2) <= 0.62
            assert pytest.approx(0) == whole.difference(1.0).value
        one, other = (analysis.Sample(measured).equals("top_p").value for measured in models)
        assert np.nanmax(abs(one - other)[3:]) < 0.035

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_its_figures_are_there(self, language: str) -> None:
        """Each figure exists in each theme, and the study or its report shows it."""
        suffix = ".md" if language == "en" else ".zh-CN.md"
        pages = (DOCS.parent / f"study{suffix}", DOCS.parent / "reports" / f"study{suffix}")
        text = "".join(page.read_text(encoding="utf-8") for page in pages)
        for name in draw_study.FIGURES:
            for theme in ("light", "dark"):
                assert f"study/{name}-{language}-{theme}.png" in text
                assert (DOCS / f"{name}-{language}-{theme}.png").is_file()

    def test_the_figures_are_drawn(self, models: list[Measured], tmp_path: Path) -> None:
        """All figures are drawn from the entropies alone."""
        paths = draw_study.draw_all(models, tmp_path, "dark", "en")

        assert [f"{name}-en-dark.png" for name in draw_study.FIGURES] == [p.name for p in paths]

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_the_tables_have_every_model(self, language: str) -> None:
        """Each table is as wide as its head."""
        numbers = json.loads((DOCS / "numbers.json").read_text(encoding="utf-8"))
        for table in tables.all_tables(numbers, language).values():
            widths = {line.count("|") for line in table.splitlines()}

            assert 1 == len(widths)
