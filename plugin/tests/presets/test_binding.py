"""What a preset leaves to the model becomes the numbers of the model's family."""

from __future__ import annotations

import json
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.presets import Preset, as_preset
from tests.presets.presets_for_models import SHIPPED, preset_for


class TestRecommended:
    """`from_model`, and factors."""

    def test_the_kinds(self) -> None:
        """`from_model` gives the values of a kind of the vendor's."""
        qwen = SHIPPED.for_model("Qwen/Qwen3-8B")

        assert {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0} == qwen[
            "thinking"
        ].values
        assert qwen["recommended"].values == qwen["thinking"].values
        assert 0.8 == qwen["instruct"].values["top_p"]

    def test_a_factor(self) -> None:
        """A factor becomes a number: so many times the recommended value."""
        warmer = SHIPPED.for_model("Qwen/Qwen3-8B")["warmer"]

        assert (0.72, 0.95) == (warmer.values["temperature"], warmer.values["top_p"])
        assert "1.2 times the 0.6" in warmer.notes[-1]

    @pytest.mark.parametrize(
        ("model", "values", "reason"),
        [
            ("someone/something", {"from_model": "thinking"}, "the model must be known"),
            (
                "deepseek-v3",
                {"from_model": "thinking"},
                "has no values for thinking, only instruct",
            ),
            ("deepseek-v3", {"min_p": {"scale": 2}}, "no recommended min_p"),
            ("qwen3-8b", {"top_p": {"scale": 2}}, "top_p: not allowed; given: 1.9"),
        ],
        ids=str,
    )
    def test_what_cant_be_bound(self, model: str, values: dict[str, Any], reason: str) -> None:
        """A preset that can't be bound is refused with the reason."""
        with pytest.raises(PresetError, match=reason):
            preset_for(model, **values)

    def test_without_a_model(self) -> None:
        """A catalogue can have an unbound preset, which can't be sampled with."""
        assert "the model must be known" in SHIPPED["recommended"].unbound
        with pytest.raises(PresetError, match="the model must be known"):
            as_preset("recommended", SHIPPED)

    def test_a_number_replaces_a_factor(self) -> None:
        """A child's number replaces its parent's factor."""
        preset = preset_for("qwen3-8b", extends="warmer", temperature=0.9)

        assert (0.9, 0.95) == (preset.values["temperature"], preset.values["top_p"])

    def test_sections(self) -> None:
        """A section of `models` applies by the model's name or by its family's."""
        fields = {"temperature": 0.9, "models": {"qwen3*": {"top_k": 7}, "*-8b": {"min_p": 0.1}}}

        assert {"temperature": 0.9, "top_k": 7, "min_p": 0.1} == preset_for(
            "Qwen/Qwen3-8B", **fields
        ).values
        assert {"temperature": 0.9} == preset_for("gpt-oss-20b", **fields).values

    def test_wrong_sections(self) -> None:
        """Problems in sections are reported with their path."""
        with pytest.raises(PresetError) as caught:
            preset_for("x", models={"a": {"top_p": 2, "aliases": ["x"]}, "b": 3})

        assert ["models.a.aliases", "models.a.top_p", "models.b"] == [
            problem.path for problem in caught.value.problems
        ]


SWITCHING = {
    "modes": {
        "think": {"extends": "recommended", "top_p": 0.9},
        "talk": {"extends": "chat"},
        "loud": {"extends": "talk", "top_p": 0.8},
        "warm": {"extends": "warmer"},
        "cold": {"temperature": 0.0},
    },
    "switch": [
        {"on": {"text": letter}, "to": mode}
        for letter, mode in zip("abcd", ["talk", "loud", "warm", "cold"], strict=True)
    ],
}


def values_of(preset: Preset) -> dict[str, dict[str, Any]]:
    """The values of each mode."""
    return {mode.name: dict(mode.values) for mode in preset.drawn.modes}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A catalogue with a file whose modes extend presets that depend on the model."""
    folder = tmp_path_factory.mktemp("presets")
    (folder / "switching.yaml").write_text(json.dumps(SWITCHING))
    (folder / "child.yaml").write_text(
        '{"extends": "switching", "modes": {"talk": {"min_p": 0.1}}, "top_k": 7}'
    )
    (folder / "factor.yaml").write_text('{"extends": "switching", "temperature": {"scale": 2}}')
    (folder / "scaled.yaml").write_text(
        json.dumps(
            {
                "temperature_scale": "deepseek-api",
                "modes": {
                    "own": {"extends": "warmer", "temperature": 1.3},
                    "other": {"extends": "chat"},
                    "none": {"temperature": 1.5},
                },
                "switch": [
                    {"on": {"text": "a"}, "to": "other"},
                    {"on": {"text": "b"}, "to": "none"},
                ],
            }
        )
    )
    return Catalogue.load([folder], environment=False)


class TestModesThatExtend:
    """Modes that extend presets that depend on the model."""

    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            (
                "deepseek-v3",
                {
                    "think": {"temperature": 0.3, "top_p": 0.9},
                    "talk": {"temperature": 0.6},
                    "loud": {"temperature": 0.6, "top_p": 0.8},
                    "warm": {"temperature": 0.36},
                    "cold": {"temperature": 0.0},
                },
            ),
            (
                "qwen3-8b",
                {
                    "think": {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "min_p": 0.0},
                    "talk": {"temperature": 0.6},
                    "loud": {"temperature": 0.6, "top_p": 0.8},
                    "warm": {"temperature": 0.72, "top_k": 20, "top_p": 0.95, "min_p": 0.0},
                    "cold": {"temperature": 0.0},
                },
            ),
        ],
        ids=["deepseek-v3", "qwen3-8b"],
    )
    def test_in_a_file(
        self, files: Catalogue, model: str, expected: dict[str, dict[str, float]]
    ) -> None:
        """A mode has the numbers that the preset that it extends has for the model."""
        assert expected == values_of(files.for_model(model)["switching"])

    def test_a_note_names_the_mode(self, files: Catalogue) -> None:
        """What was bound in a mode is noted with the mode's name."""
        notes = files.for_model("deepseek-v3")["switching"].reasons

        assert any(note.startswith("mode talk: temperature 1.3 on deepseek-api") for note in notes)

    def test_the_shipped_ones(self) -> None:
        """The prose of `coding-assistant` is sampled as `chat` is."""
        catalogue = SHIPPED.for_model("deepseek-v3")

        assert 0.6 == values_of(catalogue["coding-assistant"])["prose"]["temperature"]
        assert 0.8 == values_of(catalogue["story"])["narration"]["temperature"]

    def test_a_child(self, files: Catalogue) -> None:
        """A child's values, and its modes' values, lie over the numbers of the model."""
        modes = values_of(files.for_model("qwen3-8b")["child"])

        assert {"temperature": 0.6, "min_p": 0.1, "top_k": 7} == modes["talk"]
        assert {"temperature": 0.6, "top_k": 7, "top_p": 0.9, "min_p": 0.0} == modes["think"]

    def test_a_factor_of_a_child(self, files: Catalogue) -> None:
        """A child's factor replaces the temperatures of all modes."""
        preset = files.for_model("deepseek-v3")["factor"]

        assert [0.6] * 5 == [chain.values["temperature"] for chain in preset.chains.values()]

    def test_scales(self, files: Catalogue) -> None:
        """A mode's temperature is on the preset's scale, an extended one on its preset's."""
        modes = values_of(files.for_model("deepseek-v3")["scaled"])

        assert [0.6, 0.6, 0.8] == [values["temperature"] for values in modes.values()]

    @pytest.mark.parametrize(
        ("model", "mode", "reason"),
        [
            ("someone/something", "recommended", "mode a: .* the model must be known"),
            ("deepseek-v3", "thinking", "mode a: DeepSeek V3 has no values for thinking"),
        ],
    )
    def test_what_cant_be_bound(self, model: str, mode: str, reason: str) -> None:
        """A preset with a mode that can't be bound is refused with the reason."""
        switch = [{"on": {"text": "x"}, "to": "b"}]
        with pytest.raises(PresetError, match=reason):
            preset_for(model, modes={"a": {"extends": mode}, "b": {}}, switch=switch)

    def test_without_a_model(self, files: Catalogue) -> None:
        """A catalogue can have an unbound mode; a scale alone needs no model."""
        assert "mode think: takes values" in files["switching"].unbound
        with pytest.raises(PresetError, match="mode think: takes values"):
            as_preset("switching", files)
        assert 0.6 == values_of(as_preset("coding-assistant", SHIPPED))["prose"]["temperature"]
        assert "" == SHIPPED.for_model("someone/something")["coding-assistant"].unbound
