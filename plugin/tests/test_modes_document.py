"""The examples of docs/modes.md and of its Chinese twin are valid presets."""

import re
from pathlib import Path

import pytest

from temperament import Catalogue
from temperament.presets import as_preset
from temperament.presets.source import parse

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["modes.md", "modes.zh-CN.md"])
def test_the_examples_are_presets(name: str) -> None:
    """The schema accepts each YAML block, and each trigger of the table in a rule."""
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)\n```\n", text, re.DOTALL)
    triggers = re.findall(r"`(\{(?:text|end_of|token|tokens|entropy|repeat): .*?\})`(?: |$)", text)
    catalogue = Catalogue.load(environment=False)

    assert 3 == len(blocks)
    assert 8 == len(triggers)
    for block in blocks:
        as_preset(parse(block.encode(), name).data, catalogue)
    for trigger in triggers:
        on = parse(trigger.replace("\\|", "|").encode(), name).data
        rule = {"from": "a", "on": on, "to": "b"}
        as_preset({"modes": {"a": {}, "b": {"top_k": 5}}, "switch": [rule]}, catalogue)
