"""What vendors recommend with thinking and without it, and how a request says which it is."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import PresetError
from temperament.presets import as_preset
from temperament.presets.families import families
from temperament.presets.thinking import ThinkingSwitch
from tests.presets.presets_for_models import SHIPPED

FAMILIES = {family.name: family for family in families()}
THINKING = {"enable_thinking": True}
NOT = {"enable_thinking": False}
# family, arguments of the chat template, system prompt, last message -> whether the model thinks
SAYS: list[tuple[str, dict[str, Any], str, str, bool | None]] = [
    ("qwen3", {}, "", "", True),
    ("qwen3", NOT, "", "", False),
    ("qwen3", {}, "Be brief. /no_think", "", False),
    ("qwen3", {}, "/no_think", "Now think. /think", True),
    ("qwen3", {}, "/think", "no: /no_think", False),
    ("qwen3", NOT, "/think", "", False),
    ("qwen3.5", {}, "/no_think", "", True),
    ("qwen3-instruct-2507", THINKING, "", "", False),
    ("smollm3", {}, "/no_think", "", False),
    ("smollm3", NOT, "/think", "", True),
    ("smollm3", {}, "", "/no_think", True),
    ("deepseek-v3.2", {}, "", "", False),
    ("deepseek-v3.2", {"thinking": True}, "", "", True),
    ("deepseek-v4", {}, "", "", True),
    ("deepseek-v4", {"thinking": True, "reasoning_effort": "none"}, "", "", False),
    ("deepseek-v4.1", {"thinking": False, "reasoning_effort": "low"}, "", "", False),
    ("glm-5", {"thinking": False}, "", "", True),
    ("glm-4.6v", NOT, "", "", False),
    ("laguna", {"thinking": True}, "", "", False),
    ("laguna", THINKING, "", "", True),
    ("kimi-k3", {"reasoning_effort": "none"}, "", "", False),
    ("north-mini-code", NOT, "", "", True),
    ("north-mini-code", {"reasoning": False}, "", "", False),
    ("magistral", {}, "", "", None),
    ("phi-4-reasoning-vision", {}, "", "", None),
    ("glm-5.3", {"thinking": False}, "", "", True),
    ("glm-5", {"thinking": False, "enable_thinking": True}, "", "", True),
    ("gemma-4", {}, "", "", False),
    ("gemma-4", THINKING, "", "", True),
    ("gpt-oss", NOT, "", "", True),
    ("hy3", {"reasoning_effort": "high"}, "", "", True),
    ("hy3", {"reasoning_effort": "no_think"}, "", "", False),
    ("hy4", {}, "", "", True),
    ("hy4", {"reasoning_effort": "no_think"}, "", "", False),
    ("kimi-k2.5", {"thinking": False}, "", "", False),
    ("mimo-v2.6", {}, "", "", False),
    ("ling-3-tiny", {"enable_thinking": False}, "", "", False),
    ("minimax-m3", {}, "", "", None),
    ("minimax-m3", {"thinking_mode": "disabled"}, "", "", False),
    ("minimax-m3", {"thinking_mode": ["odd"]}, "", "", None),
    ("mistral-small-4", {"reasoning_effort": "high"}, "", "", True),
]


@pytest.mark.parametrize(("family", "arguments", "system", "last", "expected"), SAYS)
def test_what_a_request_says(
    family: str, arguments: dict[str, Any], system: str, last: str, expected: bool | None
) -> None:
    """Arguments of the chat template and words in the prompt switch as the family reads them."""
    switch = FAMILIES[family].thinking
    assert switch is not None

    assert switch.thinks(arguments, [system], last) is expected


class TestFamilies:
    """The files in `configs/models`."""

    def test_every_family_says_how_thinking_is_switched(self) -> None:
        """Each file says what holds where a request is silent, if only that the model decides."""
        assert set() == {family.name for family in families() if family.thinking is None}

    def test_each_has_a_source(self) -> None:
        """The source of a switch has its date."""
        for family in families():
            if family.thinking is not None:
                assert ", read 2026-" in family.thinking.source, family.name

    def test_the_default_kind(self) -> None:
        """The vendor's values of the default are those of a request that says nothing."""
        for family in families():
            switch = family.thinking
            kinds = {True: "thinking", False: "instruct"}
            if switch is not None and switch.default is not None:
                kind = kinds[switch.default]
                assert family.when(None).recommended == (
                    kind if kind in family.values else family.recommended
                )


class TestRecommended:
    """The preset `recommended`, and modes that extend the model's values."""

    @pytest.mark.parametrize(("thinking", "temperature"), [(None, 0.6), (True, 0.6), (False, 0.7)])
    def test_it_follows_thinking(self, thinking: bool | None, temperature: float) -> None:
        """Qwen3 has 0.6 with thinking, which is its default, and 0.7 without."""
        catalogue = SHIPPED.for_model("Qwen/Qwen3-8B", thinking)

        assert catalogue["recommended"].values["temperature"] == temperature
        assert catalogue["agent"].modes[0].values["temperature"] == temperature
        assert as_preset({"temperature": {"scale": 2}}, catalogue).values["temperature"] == (
            2 * temperature
        )

    def test_a_vendor_without_values_of_the_kind(self) -> None:
        """What the vendor recommends by default stays."""
        catalogue = SHIPPED.for_model("openai/gpt-oss-20b", thinking=False)

        assert 1.0 == catalogue["recommended"].values["temperature"]

    def test_modes_take_the_models_own_values(self) -> None:
        """`reasoning` has the vendor's values for thinking and for answers."""
        answer, think = SHIPPED.for_model("openbmb/MiniCPM5-1B")["reasoning"].modes

        assert {"temperature": 0.7, "top_p": 0.95} == dict(answer.values)
        assert {"temperature": 0.9, "top_p": 0.95} == dict(think.values)

    def test_modes_say_what_they_fall_back_to(self) -> None:
        """A missing kind is the vendor's default kind; on an unknown model the file's numbers."""
        known = SHIPPED.for_model("openai/gpt-oss-20b")["reasoning"]
        unknown = SHIPPED.for_model("someone/something")["reasoning"]

        assert "mode answer: GPT-OSS has no values for instruct" in known.notes
        assert 1.0 == known.modes[0].values["temperature"]
        assert (
            "mode answer: the model isn't known, so its values for instruct are temperature 0.7,"
            " top_k 20, top_p 0.8"
        ) == unknown.notes[0]
        assert dict(unknown.modes[0].values) == dict(SHIPPED["reasoning"].modes[0].values)

    def test_a_request_wins(self) -> None:
        """A value beside a mode that extends the model's values replaces it in every mode."""
        preset = as_preset(
            {"extends": "reasoning", "temperature": 0.3}, SHIPPED.for_model("Qwen/Qwen3-8B")
        )

        assert [0.3, 0.3] == [mode.values["temperature"] for mode in preset.modes]


def test_a_fallback_without_the_models_values() -> None:
    """A fallback that could never count is refused; so is a wrong value in it."""
    modes = {"a": {"temperature": 1, "fallback": {"top_p": 0.5}}}
    with pytest.raises(PresetError) as caught:
        as_preset({"modes": modes}, SHIPPED)
    assert "modes.a.fallback: the mode extends no preset of the model's values" in str(caught.value)

    modes = {"a": {"extends": "thinking", "fallback": {"top_p": 2, "topk": 1}}}
    with pytest.raises(PresetError) as caught:
        as_preset({"modes": modes}, SHIPPED)
    assert "modes.a.fallback.top_p: not allowed; given: 2; allowed: a number in [0, 1]" in str(
        caught.value
    )
    assert "modes.a.fallback.topk: unknown name; did you mean 'top_k'" in str(caught.value)


def test_a_switch_without_arguments() -> None:
    """A family that always thinks ignores what a request says."""
    assert ThinkingSwitch(True).thinks(NOT, ["/no_think"], "/no_think") is True
