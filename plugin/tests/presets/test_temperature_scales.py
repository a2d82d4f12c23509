"""Temperatures on the scale of a vendor's API (`temperature_scale`)."""

from __future__ import annotations

import pytest

from temperament import PresetError
from tests.presets.presets_for_models import SHIPPED, preset_for


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
        scaled = preset_for(
            "moonshotai/Kimi-K2-Instruct", temperature=1.0, temperature_scale="kimi-anthropic"
        )

        assert 0.6 == scaled.values["temperature"]

    def test_outside_the_scale(self) -> None:
        """A temperature above the end of DeepSeek's scale can't be bound."""
        with pytest.raises(PresetError, match="deepseek-api ends at 2"):
            preset_for("deepseek-v3", temperature=2.5, temperature_scale="deepseek-api")

    def test_a_number_of_ones_own_is_on_no_scale(self) -> None:
        """A child's temperature is not on its parent's scale."""
        preset = preset_for("deepseek-v3", extends="chat", temperature=0.5)

        assert 0.5 == preset.values["temperature"]

    def test_modes_and_schedules(self) -> None:
        """The temperatures of modes and schedules are mapped too."""
        preset = preset_for(
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
