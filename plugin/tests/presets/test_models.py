"""Values that vendors recommend, and presets that depend on the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.presets import Preset, as_preset, models
from temperament.presets.models import Facts

SHIPPED = Catalogue.load(environment=False)
# name -> the family that it is of
NAMES = {
    "Qwen/Qwen3-8B": "qwen3",
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8": "qwen3-instruct-2507",
    "Qwen/Qwen3.5-27B": "qwen3.5",
    "Qwen/Qwen3.8-27B": "qwen3.8",
    "deepseek-ai/DeepSeek-V3-0324": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3.2": "deepseek-v3.2",
    "deepseek-ai/DeepSeek-V4": "deepseek-v4",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": "deepseek-r1",
    "moonshotai/Kimi-K2-Instruct": "kimi-k2",
    "moonshotai/Kimi-K2-Thinking": "kimi-k2-thinking",
    "moonshotai/Kimi-K2.5": "kimi-k2-thinking",
    "openai/gpt-oss-20b": "gpt-oss",
    "zai-org/GLM-4.6": "glm-4",
    "zai-org/GLM-5": "glm-5",
    "google/gemma-3-270m-it": "gemma-3",
    "google/gemma-4-E4B-it": "gemma-4",
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3",
    "meta-llama/Meta-Llama-3-8B-Instruct": "llama-3",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral-small-3",
    "mistralai/Magistral-Small-2509": "magistral",
    "mistralai/Ministral-3-8B-Instruct-2512": "ministral-3",
    "mistralai/Ministral-3-8B-Reasoning-2512": "ministral-3-reasoning",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "nemotron-3-nano",
    "MiniMaxAI/MiniMax-M3": "minimax-m3",
    "microsoft/phi-4": "phi-4",
    "microsoft/Phi-4-reasoning-plus": "phi-4-reasoning",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "smollm2",
    "HuggingFaceTB/SmolLM3-3B": "smollm3",
    "LiquidAI/LFM2-1.2B": "lfm2",
    "LiquidAI/LFM2.5-1.2B-Instruct": "lfm2.5",
    "LiquidAI/LFM2.5-8B-A1B": "lfm2.5-8b-a1b",
    "someone/something": None,
}
CONFIGS: list[tuple[dict[str, Any], str | None]] = [
    ({"model_type": "qwen3"}, "qwen3"),
    ({"model_type": "deepseek_v32"}, "deepseek-v3.2"),
    ({"model_type": "llama", "vocab_size": 128256}, "llama-3"),
    ({"model_type": "llama", "vocab_size": 49152}, "smollm2"),
    ({"model_type": "llama", "vocab_size": 32000}, None),
    ({"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"]}, "gemma-3"),
]


def made(model: str, **values: Any) -> Any:
    """A preset for a model."""
    return as_preset(values, SHIPPED.for_model(model))


class TestFamilies:
    """The files in `configs/models`."""

    def test_each_number_has_a_source_and_a_date(self) -> None:
        """Every shipped family has values of its recommended kind."""
        for family in models.families():
            assert family.recommendation("recommended") is not None, family.name
            for kind, values in family.values.items():
                assert values.source and family.read[kind], (family.name, kind)
                assert values.values, (family.name, kind)

    def test_an_entry_of_a_config_is_of_one_family(self) -> None:
        """No two families claim the same `config.json`."""
        entries = [
            json.dumps(entry, sort_keys=True) for f in models.families() for entry in f.config
        ]

        assert len(entries) == len(set(entries))

    def test_the_hottest(self) -> None:
        """No vendor recommends more than 1 for local weights."""
        assert 1.0 == models.highest_temperature()

    @pytest.mark.parametrize(("name", "expected"), NAMES.items())
    def test_by_name(self, name: str, expected: str | None) -> None:
        """The longest pattern wins, upper and lower case alike."""
        family = models.family_of(models.facts_of(name))

        assert expected == (family.name if family is not None else None)

    @pytest.mark.parametrize(("config", "expected"), CONFIGS, ids=str)
    def test_by_config(self, tmp_path: Path, config: dict[str, Any], expected: str | None) -> None:
        """A folder with nothing but `config.json` is enough, and so is that file."""
        folder = tmp_path / "weights"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        for given in (folder, folder / "config.json"):
            family = models.family_of(models.facts_of(given))

            assert expected == (family.name if family is not None else None)

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_a_broken_config(self, tmp_path: Path, text: str) -> None:
        """A `config.json` that can't be read is a problem, not an unknown model."""
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(PresetError, match="JSON"):
            models.facts_of(tmp_path)

    def test_a_wrong_file(self, tmp_path: Path) -> None:
        """All problems of a family's file are reported at once."""
        path = tmp_path / "x.yaml"
        path.write_text(
            "title: X\nrecommended: y\nvalues:\n  a: {temperature: -1, source: s, read: '2026'}\n"
            "  b: {top_p: 0.5}\n"
        )
        with pytest.raises(PresetError) as caught:
            models.read_family(path)

        assert ["values.a.temperature", "values.b", "recommended"] == [
            p.path for p in caught.value.problems
        ]


class TestScales:
    """`temperature_scale`."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("code", 0.0), ("data", 0.3), ("chat", 0.6), ("translation", 0.6), ("creative", 0.8)],
    )
    def test_the_table_of_deepseek(self, name: str, expected: float) -> None:
        """A temperature on the API's scale is mapped as the model card says, with a note."""
        preset = SHIPPED.for_model("deepseek-ai/DeepSeek-V3-0324")[name]

        assert expected == preset.values["temperature"]
        assert "DeepSeek-V3-0324 model card" in preset.notes[0]

    @pytest.mark.parametrize("model", ["someone/something", "Qwen/Qwen3-8B"])
    def test_without_a_mapping_the_number_stands(self, model: str) -> None:
        """Without a known mapping the temperature stays as it is in the file."""
        assert 1.3 == SHIPPED.for_model(model)["chat"].values["temperature"]

    def test_kimis_scale(self) -> None:
        """Kimi's Anthropic-compatible API samples at 0.6 T."""
        scaled = made(
            "moonshotai/Kimi-K2-Instruct", temperature=1.0, temperature_scale="kimi-anthropic"
        )

        assert 0.6 == scaled.values["temperature"]

    def test_outside_the_scale(self) -> None:
        """A temperature above the end of DeepSeek's scale can't be bound."""
        with pytest.raises(PresetError, match="deepseek-api ends at 2"):
            made("deepseek-v3", temperature=2.5, temperature_scale="deepseek-api")

    def test_a_number_of_ones_own_is_on_no_scale(self) -> None:
        """A child's temperature is not on its parent's scale."""
        preset = made("deepseek-v3", extends="chat", temperature=0.5)

        assert 0.5 == preset.values["temperature"]

    def test_modes_and_schedules(self) -> None:
        """The temperatures of modes and schedules are mapped too."""
        preset = made(
            "deepseek-v3",
            temperature_scale="deepseek-api",
            temperature={"from": 1.5, "to": 1.0, "over": 5},
            modes={"a": {"temperature": 1.3}, "b": {}},
            switch=[{"from": ["a"], "on": {"tokens": 5}, "to": "b"}],
            start="a",
        )
        mode = {mode.name: mode for mode in preset.modes}

        assert (0.8, 0.3) == (preset.values["temperature"].start, preset.values["temperature"].end)
        assert 0.6 == mode["a"].values["temperature"]


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
            made(model, **values)

    def test_without_a_model(self) -> None:
        """A catalogue can have an unbound preset, which can't be sampled with."""
        assert "the model must be known" in SHIPPED["recommended"].unbound
        with pytest.raises(PresetError, match="the model must be known"):
            as_preset("recommended", SHIPPED)

    def test_a_number_replaces_a_factor(self) -> None:
        """A child's number replaces its parent's factor."""
        preset = made("qwen3-8b", extends="warmer", temperature=0.9)

        assert (0.9, 0.95) == (preset.values["temperature"], preset.values["top_p"])

    def test_sections(self) -> None:
        """A section of `models` applies by the model's name or by its family's."""
        words = {"temperature": 0.9, "models": {"qwen3*": {"top_k": 7}, "*-8b": {"min_p": 0.1}}}

        assert {"temperature": 0.9, "top_k": 7, "min_p": 0.1} == made(
            "Qwen/Qwen3-8B", **words
        ).values
        assert {"temperature": 0.9} == made("gpt-oss-20b", **words).values

    def test_wrong_sections(self) -> None:
        """Problems in sections are reported with their path."""
        with pytest.raises(PresetError) as caught:
            made("x", models={"a": {"top_p": 2, "aliases": ["x"]}, "b": 3})

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
    return {mode.name: dict(mode.values) for mode in preset.modes}


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
                    "talk": {"temperature": 1.3, "top_k": 20, "top_p": 0.95},
                    "loud": {"temperature": 1.3, "top_p": 0.8},
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
        notes = files.for_model("deepseek-v3")["switching"].notes

        assert any(note.startswith("mode talk: temperature 1.3 on deepseek-api") for note in notes)

    def test_the_shipped_ones(self) -> None:
        """The prose of `coding-assistant` is sampled as `chat` is."""
        catalogue = SHIPPED.for_model("deepseek-v3")

        assert 0.6 == values_of(catalogue["coding-assistant"])["prose"]["temperature"]
        assert 0.8 == values_of(catalogue["story"])["narration"]["temperature"]

    def test_a_child(self, files: Catalogue) -> None:
        """A child's values, and its modes' values, lie over the numbers of the model."""
        modes = values_of(files.for_model("qwen3-8b")["child"])

        assert {"temperature": 1.3, "min_p": 0.1, "top_k": 7} == modes["talk"]
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
            made(model, modes={"a": {"extends": mode}, "b": {}}, switch=switch)

    def test_without_a_model(self, files: Catalogue) -> None:
        """A catalogue can have an unbound mode; a scale alone leaves the number as it is."""
        assert "mode think: takes values" in files["switching"].unbound
        with pytest.raises(PresetError, match="mode think: takes values"):
            as_preset("switching", files)
        assert 1.3 == values_of(as_preset("coding-assistant", SHIPPED))["prose"]["temperature"]
        assert "" == SHIPPED.for_model("someone/something")["coding-assistant"].unbound


class TestTruncation:
    """A temperature above every vendor's, without a cut."""

    def test_the_models_stays(self) -> None:
        """`creative` keeps top_k and top_p of a model that has them recommended."""
        assert {"temperature": 1.5, "top_k": 20, "top_p": 0.95} == SHIPPED.for_model(
            "Qwen/Qwen3-8B"
        )["creative"].values

    @pytest.mark.parametrize(
        ("model", "values"),
        [
            ("qwen3-8b", {"temperature": 1.0}),
            ("qwen3-8b", {"temperature": 1.5, "top_p": 1.0}),
            ("qwen3-8b", {"temperature": 1.5, "min_p": 0.1}),
            ("kimi-k2", {"temperature": 1.5}),
            ("smollm2-135m", {"temperature": 1.5}),
            ("someone/something", {"temperature": 1.5}),
        ],
        ids=str,
    )
    def test_unless(self, model: str, values: dict[str, Any]) -> None:
        """No cut is added to a usual temperature, beside a cut, or where none is verified."""
        assert values == made(model, **values).values

    def test_the_warning(self) -> None:
        """`check --model` warns where no cut applies."""
        (warning,) = models.warnings(made("kimi-k2", temperature=1.5))

        assert "outside every vendor's range for local weights (at most 1)" in warning
        assert [] == models.warnings(made("qwen3-8b", temperature=1.5))
        assert [] == models.warnings(made("x", temperature=1.5, min_p=0.05))

    def test_facts_may_be_given(self) -> None:
        """A family is found by the entries of `config.json` that an engine has."""
        catalogue = SHIPPED.for_model(Facts("", {"model_type": "qwen3"}))

        assert catalogue.family is not None
        assert "Qwen3" == catalogue.family.title
