"""The marks of each format, and how a preset's rules take those of the model's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from temperament import Catalogue, PresetError
from temperament.plan import split_preset
from temperament.plan.targets import VLLM
from temperament.presets import as_preset
from temperament.presets.families import families
from temperament.presets.markers import NAMES, Marks, formats, markers, read_formats
from temperament.presets.model_facts import Facts
from temperament.presets.truncation import warnings
from tests.presets.presets_for_models import SHIPPED


def texts(model: str | Facts, name: str = "agent") -> list[tuple[str, ...]]:
    """The texts of a preset's rules on a model."""
    return [rule.on.texts for rule in SHIPPED.for_model(model)[name].switch]


class TestFormats:
    """The file `configs/markers.yaml`."""

    def test_each_format_has_a_start_or_a_reason(self) -> None:
        """A format without a mark says why it has none."""
        for part, entries in formats().items():
            for name, marks in entries.items():
                assert bool(marks.start) != bool(marks.unmarked), (part, name)
                assert marks.source.startswith("vllm/"), (part, name)

    def test_without_a_model_every_format_counts(self) -> None:
        """Marks that other models' texts may contain don't count where no model is known."""
        assert set(NAMES) == set(markers())
        assert {"<tool_call>", "[TOOL_CALLS]", "<｜DSML｜tool_calls>"} < set(
            markers()["tool_call.start"]
        )
        assert "<function" not in markers()["tool_call.start"]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("reasoning: {a: {start: x, source: s}}\ntool_call: 1", "tool_call: has no formats"),
            ("reasoning: {}\ntool_call: {a: {start: x}}", "tool_call.a: has no source"),
            ("reasoning: {}\ntool_call: {a: {source: s}}", "tool_call.a: needs one of start and"),
            ("reasoning: {}\ntool_call: {a: {start: 1, source: s}}", "tool_call.a: a mark is no"),
            ("reasoning: {}\ntool_call: {a: {begin: x, source: s}}", "tool_call.a: not a map of"),
        ],
    )
    def test_a_wrong_file(self, tmp_path: Path, text: str, problem: str) -> None:
        """What is wrong with an entry is reported with its line."""
        file = tmp_path / "markers.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(PresetError) as caught:
            read_formats(file)

        (found,) = map(str, caught.value.problems)
        assert problem in found
        assert found.startswith(str(file))


class TestModels:
    """A marker becomes the marks of the model's format."""

    def test_by_the_family(self) -> None:
        """A family's file names its formats."""
        assert [("<tool_call>",), ("</tool_call>",)] == texts("Qwen/Qwen3-8B")
        assert ("</｜DSML｜tool_calls>",) == texts("deepseek-ai/DeepSeek-V4-Pro")[1]
        assert ("<function",) == texts("openbmb/MiniCPM5-1B")[0]
        assert [("<|channel>",), ("<channel|>",)] == texts("google/gemma-4-31B-it", "reasoning")

    def test_by_the_parser(self) -> None:
        """The marks of a server's parsers come before those of the family."""
        marks = {"tool_call": Marks(("<<",), (">>",))}

        assert [("<<",), (">>",)] == texts(Facts("Qwen/Qwen3-8B", marks=marks))
        assert ("<think>",) == texts(Facts("Qwen/Qwen3-8B", marks=marks), "reasoning")[0]

    def test_an_unknown_model(self) -> None:
        """The marks of all formats stay where neither the family nor a parser is known."""
        assert [
            markers()["tool_call.start"], markers()["tool_call.end"],
        ] == texts("someone/something")  # fmt: skip

    def test_a_model_that_never_writes_a_mark(self) -> None:
        """The preset says so, keeps its modes, and is drawn by the one that a text begins in."""
        preset = SHIPPED.for_model("meta-llama/Llama-3.3-70B-Instruct")["reasoning"]
        plan = split_preset(preset, VLLM)

        assert (
            "never switches on reasoning.start: the model writes no reasoning",
            "never switches on reasoning.end: the model writes no reasoning",
        ) == preset.never
        assert ["answer", "think"] == [mode.name for mode in preset.modes]
        assert ["answer"] == list(plan.plans)
        assert not plan.residual
        assert list(preset.never) == warnings(preset)

    @pytest.mark.parametrize(
        "model",
        [
            "meta-llama/Llama-4-Scout-17B-16E-Instruct",
            Facts("x", marks={"tool_call": formats()["tool_call"]["llama4_pythonic"]}),
        ],
        ids=["by its name", "by a parser"],
    )
    def test_a_format_without_marks(self, model: str | Facts) -> None:
        """The reason stands in the preset's warning."""
        preset = SHIPPED.for_model(model)["agent"]

        assert (
            "never switches on tool_call.start: a call is Python in square brackets, which a text"
            " may contain too"
        ) == preset.never[0]

    def test_a_call_without_an_end(self) -> None:
        """A format without a mark at its end is no reason for a warning."""
        preset = SHIPPED.for_model("mistralai/Ministral-3-8B-Instruct-2512")["agent"]

        assert () == preset.never
        assert (
            "tool_call.end has no mark: a tool_call lasts to the end of the text"
        ) == preset.notes[-1]
        assert ["text", "call"] == list(split_preset(preset, VLLM).plans)

    def test_a_rule_of_a_request(self) -> None:
        """A marker in an inline preset becomes the model's marks too, once."""
        data = {
            "modes": {"a": {"temperature": 1}, "b": {"temperature": 0}},
            "switch": [{"on": "tool_call.start", "to": "b"}],
        }
        catalogue = SHIPPED.for_model("Qwen/Qwen3-8B")
        preset = as_preset(data, catalogue)

        assert ("<tool_call>",) == preset.switch[0].on.texts
        assert catalogue.bind(preset) == preset

    def test_an_inherited_preset(self) -> None:
        """A preset that extends one with rules says what its model can't write."""
        preset = as_preset(
            {"extends": "agent", "top_p": 0.5}, SHIPPED.for_model("google/gemma-4-31B-it")
        )

        assert () == preset.never
        assert ("<|tool_call>",) == preset.switch[0].on.texts

    def test_every_family_names_its_formats(self) -> None:
        """The families of which no source says how they mark a call are listed here."""
        unknown = {
            (family.name, part)
            for family in families()
            for part in ("reasoning", "tool_call")
            if part not in family.marks
        }

        assert {"glm-z1", "internvl", "iquest-coder", "lfm2-vl", "lfm2.5-vl"} == {
            name for name, _ in unknown
        }
        assert {"tool_call"} == {part for _, part in unknown}

    def test_a_family_that_names_one_format(self) -> None:
        """The marks of all formats stay where the family's own aren't known."""
        assert ("<think>",) == texts("zai-org/GLM-Z1-9B-0414", "reasoning")[0]
        assert texts("zai-org/GLM-Z1-9B-0414")[0] == markers()["tool_call.start"]


def test_rules_of_one_mark() -> None:
    """A model whose formats end thinking and calls alike gets both rules; no refusal."""
    data = {
        "modes": {"text": {}, "call": {"temperature": 0}},
        "switch": [
            {"from": "text", "on": {"text": "<tool_call>"}, "to": "call"},
            {"from": "text", "on": "tool_call.start", "to": "call"},
            {"from": "call", "on": "tool_call.end", "to": "back"},
        ],
    }
    preset = as_preset(data, Catalogue.load(environment=False).for_model("Qwen/Qwen3-8B"))

    assert ["text", "call"] == list(split_preset(preset, VLLM).plans)
