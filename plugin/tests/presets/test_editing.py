"""Edited preset files keep their comments."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import PresetError
from temperament.presets import editing

FILE = """\
# A preset of mine.
extends: chat   # over chat
top_p: 0.9      # the nucleus
order:
  - top_p
  - temperature   # last

# the end
"""


class TestSetValues:
    """`set_values`."""

    @pytest.mark.parametrize(
        ("values", "removed", "old", "new"),
        [
            ({"top_p": 0.5}, (), "top_p: 0.9 ", "top_p: 0.5 "),
            ({"extends": "code"}, (), "extends: chat ", "extends: code "),
            ({}, ("top_p",), "top_p: 0.9      # the nucleus\n", ""),
            ({"top_k": 3}, (), "# the end\n", "# the end\ntop_k: 3\n"),
            ({"stop": ["\n", "你"]}, (), "# the end\n", '# the end\nstop: ["\\n", "你"]\n'),
        ],
        ids=str,
    )
    def test_every_other_byte_stays(
        self, values: dict[str, Any], removed: tuple[str, ...], old: str, new: str
    ) -> None:
        """Every byte outside the changed values stays, comments too."""
        assert FILE.replace(old, new) == editing.set_values(FILE, values, removed)

    def test_a_value_over_several_lines(self) -> None:
        """A value over several lines becomes one line, and the fields after it stay."""
        changed = editing.set_values(FILE, {"order": ["temperature", "top_p"]})

        assert "order: [temperature, top_p]" in changed
        assert changed.startswith(FILE[: FILE.index("order")])
        assert changed.endswith("\n# the end\n")

    @pytest.mark.parametrize(
        ("text", "values", "removed"),
        [
            (FILE, {"top_p": 3}, ()),
            (FILE, {"tpo_p": 0.5}, ()),
            (FILE, {}, ("min_p",)),
            ("- a\n", {"top_p": 0.5}, ()),
            ("a: [\n", {"top_p": 0.5}, ()),
        ],
        ids=str,
    )
    def test_what_would_be_no_preset(
        self, text: str, values: dict[str, Any], removed: tuple[str, ...]
    ) -> None:
        """An edit that gives no valid preset is refused."""
        with pytest.raises(PresetError):
            editing.set_values(text, values, removed)

    def test_a_new_file(self) -> None:
        """A new file begins with the line by which editors find the schema."""
        text = editing.new("creative", {"top_p": 0.9})

        assert [
            "# yaml-language-server: $schema=./preset.schema.json",
            "extends: creative",
            "top_p: 0.9",
        ] == text.splitlines()
