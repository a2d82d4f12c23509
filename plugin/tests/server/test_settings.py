"""The operator's settings in vLLM's `--additional-config`."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.server.restrictions import Bounds, problems
from temperament.server.settings import ALLOWED, Settings, read


class TestRead:
    """`read`."""

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ({}, Settings()),
            (None, Settings()),
            ({"other": 1}, Settings()),
            ({"temperament": {}}, Settings()),
            ({"temperament": {"default": "chat"}}, Settings(default="chat")),
            (
                {"temperament": {"presets": ["a.yaml", "b"], "plan": "native"}, "other": 1},
                Settings(presets=["a.yaml", "b"], plan="native"),
            ),
        ],
        ids=str,
    )
    def test_settings(self, config: Any, expected: Settings) -> None:
        """The plugin's settings are read, others ignored."""
        assert expected == read(config)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                {"defualt": "chat"},
                "defualt: unknown name; allowed: presets, default, temperature_scale, plan,"
                " playground, advertise, allow, inline, locked; did you mean 'default'?",
            ),
            (
                {"default": 5},
                "default: not allowed; given: 5; allowed: the name of a preset",
            ),
            (
                {"presets": "folder"},
                "presets: not allowed; given: 'folder';"
                " allowed: a list of paths of preset files and of folders with such files",
            ),
            (
                {"presets": [5]},
                "presets.0: not allowed; given: 5;"
                " allowed: a list of paths of preset files and of folders with such files",
            ),
            (
                {"plan": "fast"},
                "plan: not allowed; given: 'fast'; allowed: auto, native or residual",
            ),
            (
                {"inline": "no"},
                "inline: not allowed; given: 'no'; allowed: true or false",
            ),
            (
                {"locked": {"top_p": {"mni": 0}}},
                "locked.top_p.mni: unknown name; allowed: min, max; did you mean 'min'?",
            ),
            (
                {"locked": {"top_p": {"min": math.nan}}},
                "locked.top_p.min: not allowed; given: nan; allowed: a map of parameters to {},"
                " which no request can set, or to {min: a number, max: a number}",
            ),
            (
                {"locked": {5: {}}},
                "locked.5: not allowed; given: 5; allowed: a map of parameters to {},"
                " which no request can set, or to {min: a number, max: a number}",
            ),
            *(
                (
                    content,
                    f"not allowed; given: {content!r}; allowed: a map of presets, default,"
                    " temperature_scale, plan, playground, advertise, allow, inline, locked",
                )
                for content in ("chat", ["chat"], None)
            ),
        ],
        ids=str,
    )
    def test_problems(self, content: Any, message: str) -> None:
        """A mistake is reported with its path, its value and what is allowed."""
        with pytest.raises(PresetError) as error:
            read({"temperament": content})

        assert f"additional_config.temperament: {message}" == str(error.value)

    def test_all_problems(self) -> None:
        """All mistakes in the settings are reported at once."""
        with pytest.raises(PresetError) as error:
            read({"temperament": {"defualt": 1, "plan": 2, "presets": 3}})

        assert ["presets", "plan", "defualt"] == [found.path for found in error.value.problems]

    def test_each_setting_says_what_it_allows(self) -> None:
        """Messages know what each of the settings allows."""
        assert list(Settings.model_fields) == list(ALLOWED)


@pytest.mark.parametrize("page", ["operators.md", "operators.zh-CN.md"])
def test_the_documents_example(page: str, catalogue: Catalogue) -> None:
    """The settings that docs/operators.md shows are valid."""
    text = (Path(__file__).parents[3] / "docs" / page).read_text(encoding="utf-8")
    [block] = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    parsed = read(json.loads(block))

    assert parsed.advertise
    assert parsed.locked["logit_bias"] == Bounds()
    assert not list(problems(parsed.allow, parsed.locked, catalogue, "here"))
