"""The groups under which presets are listed."""

from __future__ import annotations

from pathlib import Path

from temperament import Catalogue
from temperament.presets.families import highest_temperature
from temperament.presets.groups import GROUPS, group_of, in_groups

SHIPPED = Catalogue.load(environment=False)


def names(group: str) -> list[str]:
    """The names of a shipped group's presets."""
    return [
        preset.name
        for each, presets in in_groups(SHIPPED.values())
        for preset in presets
        if each.name == group
    ]


def test_the_scenarios_come_first() -> None:
    """The vendor's and those with modes follow, a user's own, and last the examples."""
    assert ["scenarios", "vendor", "modes", "own", "examples"] == [each.name for each in GROUPS]
    assert {"chat", "code", "creative", "data", "math", "translation"} <= {*names("scenarios")}
    assert ["instruct", "recommended", "thinking", "warmer"] == names("vendor")
    assert all(SHIPPED[name].modes for name in names("modes"))


def test_every_shipped_preset_is_in_a_group() -> None:
    """The catalogue's own order is that of the groups, and no shipped preset is a user's."""
    listed = [preset.name for _, presets in in_groups(SHIPPED.values()) for preset in presets]

    assert list(SHIPPED) == listed
    assert [] == names("own")


def test_the_examples() -> None:
    """The articles' settings are found by name, and aren't advertised."""
    examples = names("examples")

    assert {"answers-top-1", "conversation-0.5", "joint-top-k-first", "stories"} <= {*examples}
    assert ["examples"] == [group.name for group in GROUPS if not group.advertised]
    assert all("eference document" in SHIPPED[name].source for name in examples)


def test_examples_that_make_no_sense_on_weights() -> None:
    """Each example above the hottest recommendation of a vendor says what it does on weights."""
    hot = [
        SHIPPED[name]
        for name in names("examples")
        if SHIPPED[name].values.get("temperature", 0) > highest_temperature()
    ]

    assert {"stories", "stories-1.2", "imaginative-top-p"} <= {preset.name for preset in hot}
    for preset in hot:
        assert "On weights" in preset.summary["en"], preset.name
        assert "对权重而言" in preset.summary["zh"], preset.name


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    """A file of the user's is in a group of its own, also where it replaces a shipped preset."""
    (tmp_path / "chat.yaml").write_text("extends: chat\n")
    catalogue = Catalogue.load([tmp_path], environment=False)

    assert "own" == group_of(catalogue["chat"]).name
