"""The operator's settings in vLLM's `--additional-config`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.server.restrictions import Bounds, problems
from temperament.server.settings import Settings, read


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
            ({"defualt": "chat"}, "defualt: .*; did you mean 'default'?"),
            ({"default": 5}, "default: .*given: 5"),
            ({"presets": "folder"}, "presets: .*given: 'folder'"),
            ({"presets": [5]}, "presets.0: .*given: 5"),
            ({"plan": "fast"}, "plan: .*'auto', 'native' or 'residual'; given: 'fast'"),
            ("chat", ".*dictionary.*given: 'chat'"),
            (["chat"], r".*dictionary.*given: \['chat'\]"),
            (None, ".*dictionary.*given: None"),
        ],
        ids=str,
    )
    def test_problems(self, content: Any, message: str) -> None:
        """All mistakes are reported at once, each with its path."""
        with pytest.raises(PresetError, match=f"^additional_config.temperament: {message}"):
            read({"temperament": content})
        with pytest.raises(PresetError) as error:
            read({"temperament": {"defualt": 1, "plan": 2, "presets": 3}})

        assert 3 == len(error.value.problems)


@pytest.mark.parametrize("page", ["operators.md", "operators.zh-CN.md"])
def test_the_documents_example(page: str, catalogue: Catalogue) -> None:
    """The settings that docs/operators.md shows are valid."""
    text = (Path(__file__).parents[3] / "docs" / page).read_text(encoding="utf-8")
    [block] = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    parsed = read(json.loads(block))

    assert parsed.advertise
    assert parsed.locked["logit_bias"] == Bounds()
    assert not list(problems(parsed.allow, parsed.locked, catalogue, "here"))
