"""The shipped families of models, and which of them a model is of."""

from __future__ import annotations

from functools import cache

from temperament.presets.family import Family
from temperament.presets.family_files import read_families
from temperament.presets.markers import configs
from temperament.presets.model_facts import Facts


@cache
def families() -> tuple[Family, ...]:
    """The shipped families, by name. Raises `PresetError` with all problems of all files."""
    return read_families(configs() / "models")


def family_of(facts: Facts) -> Family | None:
    """Returns the family that matches most specifically (`Family.matches`); None if none does."""
    fitting = [(family.matches(facts), family) for family in families()]
    best = max((score for score, _ in fitting), default=0)
    return next(family for score, family in fitting if score == best) if best else None


def highest_temperature() -> float:
    """The highest temperature that any vendor recommends for local weights."""
    return max(
        float(values.values.get("temperature", 0.0))
        for family in families()
        for kind, values in family.values.items()
        if family.verified[kind]
    )
