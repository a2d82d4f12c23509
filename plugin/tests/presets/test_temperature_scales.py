"""Temperatures on the scale of a vendor's API (`temperature_scale`)."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import PresetError
from temperament.presets import Preset, as_preset, temperature_scales
from temperament.presets.families import families
from temperament.presets.fields import ALLOWED
from temperament.presets.resolve import resolve
from temperament.presets.temperature_scales import scales
from tests.presets.presets_for_models import SHIPPED, preset_for

V3, V4, QWEN, UNKNOWN = (
    "deepseek-ai/DeepSeek-V3-0324",
    "deepseek-ai/DeepSeek-V4-Flash",
    "Qwen/Qwen3-8B",
    "someone/something",
)
TABLE = {"code": 0.0, "math": 0.0, "data": 0.3, "chat": 0.6, "translation": 0.6, "creative": 0.8}


def temperatures(preset: Preset) -> dict[str, Any]:
    """The temperature that each mode is drawn at; 1 is that of a chain without the stage."""
    return {mode: chain.values.get("temperature", 1.0) for mode, chain in preset.chains.items()}


class TestDeepSeeksTable:
    """The six scenarios, whose temperatures stand on the scale of DeepSeek's API."""

    @pytest.mark.parametrize("model", [V3, V4, QWEN, UNKNOWN])
    @pytest.mark.parametrize(("name", "expected"), TABLE.items())
    def test_on_every_model(self, name: str, expected: float, model: str) -> None:
        """The number is converted on every model, those without a family too."""
        assert {"": expected} == temperatures(as_preset(name, SHIPPED.for_model(model)))

    @pytest.mark.parametrize(("name", "expected"), TABLE.items())
    def test_without_a_model(self, name: str, expected: float) -> None:
        """A catalogue that is bound to no model converts it too."""
        assert {"": expected} == temperatures(as_preset(name, SHIPPED))

    def test_the_stated_number_stays(self) -> None:
        """The preset keeps the number of the vendor's table, and shows the drawn one."""
        chat = as_preset("chat", SHIPPED.for_model(QWEN))

        assert {"temperature": 1.3} == chat.values
        assert {"temperature": 0.6} == chat.drawn.values

    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            (V3, "T_api - 0.7 above, read 2026-11"),
            (QWEN, "published for DeepSeek V3, applied to other models by this project's choice"),
            (UNKNOWN, "applied to other models by this project's choice"),
            (V4, "thinking mode takes no temperature"),
        ],
    )
    def test_the_reason(self, model: str, expected: str) -> None:
        """It names both numbers, the source, and the models whose scale Temperament chose."""
        (reason,) = as_preset("chat", SHIPPED.for_model(model)).reasons

        assert reason.startswith("temperature 1.3 on deepseek-api is drawn at 0.6: ")
        assert expected in reason

    def test_the_modes_follow(self) -> None:
        """Modes that extend the scenarios are drawn as these are."""
        catalogue = SHIPPED.for_model(QWEN)

        assert {"prose": 0.6, "fence": 0.0, "inline": 0.0} == temperatures(
            as_preset("coding-assistant", catalogue)
        )
        assert {"narration": 0.8, "dialogue": 0.6} == temperatures(as_preset("story", catalogue))
        assert {"target": 0.6, "source": 0.0} == temperatures(
            as_preset("quoted-translation", catalogue)
        )
        assert {"normal": 0.0, "burst": 0.6} == temperatures(as_preset("anti-loop", catalogue))

    def test_the_digest(self) -> None:
        """Presets that are drawn alike have one digest, however their numbers are stated."""
        assert as_preset({"temperature": 0.6}, SHIPPED).digest == SHIPPED["chat"].digest
        assert SHIPPED["chat"].digest != SHIPPED["creative"].digest


class TestLayers:
    """A number is converted once, whichever layers it comes from."""

    @pytest.mark.parametrize(
        ("preset", "fields", "expected"),
        [
            # a scale that is named again
            ({"extends": "chat", "temperature_scale": "deepseek-api"}, {}, 0.6),
            ("chat", {"temperature_scale": "deepseek-api"}, 0.6),
            ({"extends": "chat"}, {"temperature_scale": "deepseek-api"}, 0.6),
            # the number as it stands
            ("chat", {"temperature_scale": "weights"}, 1.3),
            ({"extends": "chat", "temperature_scale": "weights"}, {}, 1.3),
            ({"extends": "chat"}, {"temperature_scale": "weights"}, 1.3),
            (
                {"extends": "chat", "temperature_scale": "weights"},
                {"temperature_scale": "deepseek-api"},
                0.6,
            ),
            # a bare number
            ({"temperature": 1.3}, {}, 1.3),
            (None, {"temperature": 1.3}, 1.3),
            ("chat", {"temperature": 1.3}, 1.3),
            ({"extends": "chat", "temperature": 1.3}, {}, 1.3),
            # a number and its scale
            (None, {"temperature": 1.3, "temperature_scale": "deepseek-api"}, 0.6),
            ({"temperature": 0.5}, {"temperature_scale": "deepseek-api"}, 0.15),
            # the model's own number
            ({"top_p": 0.9}, {"temperature_scale": "deepseek-api"}, 0.7),
            ({}, {"temperature_scale": "weights"}, 0.7),
        ],
    )
    def test_a_request(self, preset: Any, fields: dict[str, Any], expected: float) -> None:
        """The request's scale, then the preset's; the number of the model is on no scale."""
        below = as_preset({"temperature": 0.7}, SHIPPED)
        for catalogue in (SHIPPED, SHIPPED.for_model(V3)):
            resolved = resolve(preset, catalogue, fields=fields, model_values=below)

            assert {"": expected} == temperatures(resolved)
            assert {"": expected} == temperatures(as_preset(resolved, catalogue))

    def test_a_default_preset(self) -> None:
        """A request's scale also holds for the number of the default preset."""
        catalogue = SHIPPED.for_model(QWEN)
        default = catalogue["creative"]

        def drawn_with(**fields: Any) -> Any:
            return temperatures(resolve(None, catalogue, fields=fields, default=default))[""]

        assert 0.8 == drawn_with(top_p=0.9)
        assert 1.5 == drawn_with(temperature_scale="weights")
        assert 1.5 == drawn_with(temperature=1.5)

    def test_what_the_vendor_recommends(self) -> None:
        """The vendor's number for the weights, and a factor of it, are on no scale."""
        for name in ("recommended", "warmer"):
            expected = temperatures(preset_for(V3, extends=name))

            assert expected == temperatures(
                preset_for(V3, extends=name, temperature_scale="deepseek-api")
            )

    def test_a_schedule(self) -> None:
        """Both ends of a schedule are converted."""
        preset = preset_for(
            V3,
            temperature_scale="deepseek-api",
            temperature={"from": 1.5, "to": 1.0, "over": 5},
        )

        assert (0.8, 0.3, 5, "linear") == preset.chain.values["temperature"]
        assert (1.5, 1.0, 5, "linear") == preset.values["temperature"]

    def test_a_section(self) -> None:
        """A number in a section for the model is on the section's scale."""
        section = {"temperature": 1.3, "temperature_scale": "deepseek-api"}
        preset = {"temperature": 0.9, "models": {"qwen3*": section}}

        assert {"": 0.6} == temperatures(preset_for(QWEN, **preset))
        assert {"": 0.9} == temperatures(preset_for(V3, **preset))


MODES: dict[str, Any] = {
    "modes": {"a": {"temperature": 1.3}, "b": {}, "c": {"extends": "chat"}},
    "switch": [{"on": {"tokens": 5}, "to": "b"}, {"from": "b", "on": {"text": "x"}, "to": "c"}],
    "start": "a",
}


class TestModes:
    """The temperatures of modes."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, {"a": 1.3, "b": 1.0, "c": 0.6}),
            ({"temperature": 1.0}, {"a": 1.3, "b": 1.0, "c": 0.6}),
            (
                {"temperature": 1.0, "temperature_scale": "deepseek-api"},
                {"a": 0.6, "b": 0.3, "c": 0.6},
            ),
            ({"temperature_scale": "weights"}, {"a": 1.3, "b": 1.0, "c": 1.3}),
        ],
        ids=str,
    )
    def test_the_presets_scale(self, fields: dict[str, Any], expected: dict[str, float]) -> None:
        """The preset's scale holds in its modes; without one each mode keeps what it extends."""
        assert expected == temperatures(preset_for(V3, **MODES, **fields))

    def test_a_mode_with_its_own(self) -> None:
        """A mode may name a scale, for its own number or for the preset's."""
        modes = {
            "a": {"temperature": 1.3, "temperature_scale": "weights"},
            "b": {"temperature_scale": "weights"},
            "c": {"extends": "chat", "temperature_scale": "weights"},
        }
        preset = {
            **MODES,
            "modes": modes,
            "temperature": 1.0,
            "temperature_scale": "deepseek-api",
        }

        assert {"a": 1.3, "b": 1.0, "c": 1.3} == temperatures(preset_for(V3, **preset))

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"temperature_scale": "weights"}, {"prose": 1.3, "fence": 0.0, "inline": 0.0}),
            ({"temperature_scale": "deepseek-api"}, {"prose": 0.6, "fence": 0.0, "inline": 0.0}),
            ({"temperature": 1.3}, {"prose": 1.3, "fence": 1.3, "inline": 1.3}),
            (
                {"temperature": 1.3, "temperature_scale": "deepseek-api"},
                {"prose": 0.6, "fence": 0.6, "inline": 0.6},
            ),
        ],
        ids=str,
    )
    def test_over_a_preset_with_modes(
        self, fields: dict[str, Any], expected: dict[str, float]
    ) -> None:
        """What a request or a child says holds in every mode."""
        catalogue = SHIPPED.for_model(QWEN)
        child = {"extends": "coding-assistant", **fields}

        assert expected == temperatures(resolve("coding-assistant", catalogue, fields=fields))
        assert expected == temperatures(as_preset(child, catalogue))

    def test_a_childs_mode(self) -> None:
        """A number in a child's mode is on the child's scale, not on its parent's."""
        modes = {"prose": {"temperature": 1.2}}

        assert 1.2 == temperatures(preset_for(V3, extends="coding-assistant", modes=modes))["prose"]


class TestScales:
    """The scales themselves."""

    def test_names(self) -> None:
        """Messages name every scale, and every entry of a family is one of them."""
        assert all(name in ALLOWED["temperature_scale"] for name in temperature_scales.names())
        assert {name for family in families() for name in family.scales} <= scales().keys()

    def test_an_unknown_scale(self) -> None:
        """A misspelt scale is refused with the nearest name; numbers of the model are no scale."""
        with pytest.raises(PresetError, match=r"temperature_scale.*did you mean.*deepseek-api"):
            preset_for(V3, temperature=1.3, temperature_scale="deepsek-api")
        with pytest.raises(PresetError, match="temperature_scale"):
            preset_for(V3, temperature=1.3, temperature_scale="model")

    @pytest.mark.parametrize("model", ["moonshotai/Kimi-K2-Instruct", UNKNOWN])
    def test_kimis_scale(self, model: str) -> None:
        """Kimi's Anthropic-compatible API samples at 0.6 T."""
        scaled = preset_for(model, temperature=1.0, temperature_scale="kimi-anthropic")

        assert {"": 0.6} == temperatures(scaled)

    @pytest.mark.parametrize("model", [V3, UNKNOWN])
    def test_outside_the_scale(self, model: str) -> None:
        """A temperature above the end of DeepSeek's scale is refused, in a mode too."""
        with pytest.raises(PresetError, match="deepseek-api ends at 2"):
            preset_for(model, temperature=2.5, temperature_scale="deepseek-api")
        modes = {"a": {"temperature": 2.5, "temperature_scale": "deepseek-api"}}
        with pytest.raises(PresetError, match="mode a: deepseek-api ends at 2"):
            preset_for(model, modes=modes)

    @pytest.mark.parametrize("stated", [0.0, 0.5, 1.0, 1.3, 1.5, 2.0])
    def test_there_and_back(self, stated: float) -> None:
        """A temperature of the weights has one on the scale, up to the end of the scale."""
        scale = scales()["deepseek-api"]
        weights = scale.local(stated)
        assert weights is not None

        assert stated == scale.stated(weights)
        assert scale.stated(1.4) is None
