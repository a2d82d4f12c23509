"""The families of models in `configs/models`, and how a model's family is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from temperament import PresetError
from temperament.presets.families import families, family_of, highest_temperature
from temperament.presets.family_files import read_family
from temperament.presets.model_facts import Facts, facts_of
from tests.presets.presets_for_models import SHIPPED

# name -> the family that it is of
NAMES = {
    "Qwen/Qwen3-8B": "qwen3",
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8": "qwen3-instruct-2507",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3-vl",
    "Qwen/Qwen3-VL-8B-Thinking": "qwen3-vl-thinking",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": "qwen3-coder",
    "Qwen/Qwen3-Coder-Next": "qwen3-coder-next",
    "Qwen/Qwen3-Next-80B-A3B-Instruct": "qwen3-next",
    "Qwen/Qwen3-Next-80B-A3B-Thinking": "qwen3-next-thinking",
    "Qwen/Qwen3-ASR-1.7B": None,
    "Qwen/Qwen3.5-27B": "qwen3.5",
    "Qwen/Qwen3.6-27B": "qwen3.6",
    "Qwen/Qwen3.6-35B-A3B": "qwen3.6-35b-a3b",
    "Qwen/Qwen3.8-27B": "qwen3.8",
    "Qwen/Qwen3.8-2.4T-A95B": "qwen3.8",
    "Qwen/Qwen3.8-Flash-Next": None,
    "deepseek-ai/DeepSeek-V3-0324": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3.2": "deepseek-v3.2",
    "deepseek-ai/DeepSeek-V4": "deepseek-v4",
    "deepseek-ai/DeepSeek-V4.1-Flash": "deepseek-v4.1",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": "deepseek-r1",
    "moonshotai/Kimi-K2-Instruct": "kimi-k2",
    "moonshotai/Kimi-K2-Thinking": "kimi-k2-thinking",
    "moonshotai/Kimi-K2.5": "kimi-k2.5",
    "moonshotai/Kimi-K2.7-Code": "kimi-k2.5",
    "moonshotai/Kimi-K3": "kimi-k3",
    "openai/gpt-oss-20b": "gpt-oss",
    "zai-org/GLM-4.6": "glm-4",
    "zai-org/GLM-4.5V": None,
    "zai-org/GLM-4.6V-Flash": "glm-4.6v",
    "zai-org/GLM-4.7-Flash": "glm-4",
    "zai-org/GLM-5": "glm-5",
    "zai-org/GLM-5.2": "glm-5",
    "zai-org/GLM-5.3-Flash": "glm-5.3",
    "google/gemma-3-270m-it": "gemma-3",
    "google/gemma-4-E4B-it": "gemma-4",
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": "llama-4",
    "meta-llama/Meta-Llama-3-8B-Instruct": "llama-3",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral-small-3",
    "mistralai/Magistral-Small-2509": "magistral",
    "mistralai/Ministral-3-8B-Instruct-2512": "ministral-3",
    "mistralai/Ministral-3-8B-Reasoning-2512": "ministral-3-reasoning",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "nemotron-3-nano",
    "nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16": "nemotron-3-nano-omni",
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16": "nemotron-3-super",
    "MiniMaxAI/MiniMax-M3": "minimax-m3",
    "microsoft/phi-4": "phi-4",
    "microsoft/Phi-4-reasoning-plus": "phi-4-reasoning",
    "microsoft/Phi-4-reasoning-vision-15B": "phi-4-reasoning-vision",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "smollm2",
    "HuggingFaceTB/SmolLM3-3B": "smollm3",
    "LiquidAI/LFM2-1.2B": "lfm2",
    "LiquidAI/LFM2-VL-1.6B": "lfm2-vl",
    "LiquidAI/LFM2.5-VL-1.6B": "lfm2.5-vl",
    "LiquidAI/LFM2.5-1.2B-Instruct": "lfm2.5",
    "LiquidAI/LFM2.5-8B-A1B": "lfm2.5-8b-a1b",
    "LiquidAI/LFM2.5-1.2B-Thinking": "lfm2.5-thinking",
    "JetBrains/Mellum2-12B-A2.5B-Instruct": "mellum2",
    "JetBrains/Mellum2-12B-A2.5B-Thinking": "mellum2-thinking",
    "internlm/Intern-S2-Preview": "intern-s2",
    "meta-models/Muse-Glimmer-30B": "muse-glimmer",
    "poolside/Laguna-M.1": "laguna-m",
    "poolside/Laguna-XS-2.1": "laguna",
    "tencent/Hy3": "hy3",
    "tencent/Hy4-preview-FP8": "hy4",
    "XiaomiMiMo/MiMo-V2-Flash": "mimo-v2-flash",
    "XiaomiMiMo/MiMo-V2.6-Pro-RL": "mimo-v2.6",
    "XiaomiMiMo/MiMo-V2.5": None,
    "CohereLabs/North-Mini-Code-1.0": "north-mini-code",
    "inclusionAI/Ling-3.0-tiny-fp8": "ling-3-tiny",
    "inclusionAI/Ling-3.0-flash": None,
    "LGAI-EXAONE/K-EXAONE-236B-A23B": "k-exaone",
    "LGAI-EXAONE/EXAONE-4.5-33B": "exaone-4.5",
    "IQuestLab/IQuest-Coder-V1-40B-Loop-Instruct": "iquest-coder",
    "IQuestLab/IQuest-Coder-V1-40B-Thinking": None,
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


class TestFamilies:
    """The files in `configs/models`."""

    def test_each_number_has_a_source_and_a_date(self) -> None:
        """Every shipped family has values of its recommended kind."""
        for family in families():
            assert family.recommendation("recommended") is not None, family.name
            for kind, values in family.values.items():
                assert values.source and family.read[kind], (family.name, kind)
                assert values.values, (family.name, kind)

    def test_an_entry_of_a_config_is_of_one_family(self) -> None:
        """No two families claim the same `config.json`."""
        entries = [json.dumps(entry, sort_keys=True) for f in families() for entry in f.config]

        assert len(entries) == len(set(entries))

    def test_the_hottest(self) -> None:
        """No vendor recommends more than 1 for local weights."""
        assert 1.0 == highest_temperature()

    @pytest.mark.parametrize(("name", "expected"), NAMES.items())
    def test_by_name(self, name: str, expected: str | None) -> None:
        """The longest pattern wins, upper and lower case alike."""
        family = family_of(facts_of(name))

        assert expected == (family.name if family is not None else None)

    @pytest.mark.parametrize(("config", "expected"), CONFIGS, ids=str)
    def test_by_config(self, tmp_path: Path, config: dict[str, Any], expected: str | None) -> None:
        """A folder with nothing but `config.json` is enough, and so is that file."""
        folder = tmp_path / "weights"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        for place in (folder, folder / "config.json"):
            family = family_of(facts_of(place))

            assert expected == (family.name if family is not None else None)

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_a_broken_config(self, tmp_path: Path, text: str) -> None:
        """A `config.json` that can't be read is a problem, not an unknown model."""
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(PresetError, match="JSON"):
            facts_of(tmp_path)

    def test_a_wrong_file(self, tmp_path: Path) -> None:
        """All problems of a family's file are reported at once."""
        path = tmp_path / "x.yaml"
        path.write_text(
            "title: X\nrecommended: y\nvalues:\n  a: {temperature: -1, source: s, read: '2026'}\n"
            "  b: {top_p: 0.5}\n"
        )
        with pytest.raises(PresetError) as caught:
            read_family(path)

        assert ["values.a.temperature", "values.b", "recommended"] == [
            p.path for p in caught.value.problems
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("names: [3]", "names.0: not allowed; given: 3; allowed: a list of texts, each a"),
            ("nmaes: [x]", "nmaes: unknown name; allowed: title, names, config, recommended,"),
            ("config: [{a: 1.5}]", "config.0.a: not allowed; given: 1.5; allowed: a list of maps"),
            ("scales: 3", "scales: not allowed; given: 3; allowed: a map of temperature scales"),
            (
                "scales: {deepseek-api: {pieces: [{to: 1, up_to: 2}], source: s, read: r}}",
                "scales.deepseek-api.pieces.0.to: unknown name; allowed: up_to, times, plus",
            ),
            ("markers: {source: s}", "markers.read: has no value; allowed: a text"),
            (
                "thinking: {default: true, words_of: all, source: s, read: r}",
                "thinking.words_of: not allowed; given: 'all'; allowed: prompt or system",
            ),
        ],
    )
    def test_a_wrong_field(self, tmp_path: Path, text: str, problem: str) -> None:
        """A problem of a family's file names the field, what was given and what is allowed."""
        path = tmp_path / "x.yaml"
        values = "values: {y: {temperature: 1, source: s, read: r}}"
        path.write_text(f"title: X\nrecommended: y\n{values}\n{text}\n")
        with pytest.raises(PresetError) as caught:
            read_family(path)

        [found] = caught.value.problems
        assert str(found).startswith(f"{path}:4: {problem}")

    def test_a_file_without_a_family(self, tmp_path: Path) -> None:
        """A file that is no map is refused with the names that a family has."""
        path = tmp_path / "x.yaml"
        path.write_text("- 1\n")
        with pytest.raises(PresetError, match=r"not allowed; given: .*a map of title, recommended"):
            read_family(path)

    def test_facts_may_be_given(self) -> None:
        """A family is found by the entries of `config.json` that an engine has."""
        catalogue = SHIPPED.for_model(Facts("", {"model_type": "qwen3"}))

        assert catalogue.family is not None
        assert "Qwen3" == catalogue.family.title
