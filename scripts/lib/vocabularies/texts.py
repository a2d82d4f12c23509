"""Every text that this project waits for or bans."""

from __future__ import annotations

from functools import cache

from temperament import Catalogue
from temperament.presets import Preset
from temperament.presets.markers import formats
from temperament.stages import STAGES

BANNED = (" very", "delve", "tapestry", "的话", "```", "\n\n\n", "🙂", "é", "!!", "ab", "</s>")


@cache
def shipped() -> Catalogue:
    """The presets that are shipped, not bound to a model."""
    return Catalogue.load(environment=False)


def with_modes() -> dict[str, Preset]:
    """The shipped presets with modes that wait for texts, by name."""
    return {
        name: shipped()[name]
        for name in shipped()
        if any(rule.on.texts for rule in shipped()[name].switch)
    }


def breakers() -> tuple[str, ...]:
    """DRY's breakers unless a preset sets others."""
    parameters = {p.name: p for stage in STAGES for p in stage.parameters}
    return tuple(parameters["dry_sequence_breakers"].default)


def triggers() -> tuple[str, ...]:
    """The texts of all shipped rules, and of all formats of thinking and calls."""
    of_rules = {text for p in with_modes().values() for rule in p.switch for text in rule.on.texts}
    of_formats = {
        text
        for part in formats().values()
        for marks in part.values()
        for text in (*marks.start, *marks.end)
    }
    return tuple(sorted(of_rules | of_formats))
