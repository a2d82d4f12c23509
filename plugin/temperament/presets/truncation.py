"""Temperatures above any that a vendor recommends: they need a cut, or a warning is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from temperament.presets.families import highest_temperature
from temperament.presets.family import Family
from temperament.presets.modes import Mode
from temperament.presets.preset import Preset
from temperament.presets.schedule import Schedule
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF, Stage

CUTS = frozenset(
    parameter.name
    for stage in BY_NAME.values()
    if stage.group == "cut"
    for parameter in stage.parameters
)


def needs_truncation(values: Mapping[str, Any]) -> bool:
    """Whether the temperature is above any that a vendor recommends, and no stage cuts."""
    value = values.get("temperature", 1.0)
    top = max(value.start, value.end) if isinstance(value, Schedule) else value
    return top > highest_temperature() and not any(
        _acts(STAGE_OF[name], values) for name in CUTS & {*values}
    )


def _acts(stage: Stage, values: Mapping[str, Any]) -> bool:
    settings = {p.name: values.get(p.name, p.unset) for p in stage.parameters}
    return not stage.is_neutral(settings)


def add_recommended_cuts(preset: Preset, family: Family) -> Preset:
    """Adds the cuts of the model's vendor to a preset with a temperature above any recommended one.

    A preset that sets a cut, even to its neutral value, gets none.
    """
    base = family.recommendation("recommended")
    if base is None or not family.verified[family.recommended] or preset.pending:
        return preset
    cuts = {n: v for n, v in base.values.items() if n in CUTS and v != PARAMETERS[n].neutral}
    if not cuts:
        return preset

    def needs_cuts(values: Mapping[str, Any]) -> bool:
        return needs_truncation(values) and not CUTS & values.keys()

    on_weights = preset.drawn
    described = " ".join(f"{name} {value:g}" for name, value in cuts.items())
    note = f"{described} of {family.title} stays, since the temperature is above any vendor's"
    if preset.modes:
        modes: tuple[Mode, ...] = tuple(
            replace(mode, values={**cuts, **mode.values})
            if needs_cuts({**on_weights.values, **drawn_mode.values})
            else mode
            for mode, drawn_mode in zip(preset.modes, on_weights.modes, strict=True)
        )
        return replace(preset, modes=modes).with_note(note) if modes != preset.modes else preset
    if not needs_cuts(on_weights.values):
        return preset
    return replace(preset, values={**cuts, **preset.values}).with_note(note)


def warnings(preset: Preset) -> list[str]:
    """Returns warnings: the preset is unbound, a rule never applies, or it needs a cut."""
    found = [*([preset.unbound] if preset.unbound else []), *preset.never]
    preset = preset.drawn
    values_by_mode = {
        f"mode {mode.name}: ": {**preset.values, **mode.values} for mode in preset.modes
    }
    for prefix, values in (values_by_mode or {"": {**preset.values}}).items():
        if needs_truncation(values):
            found.append(
                f"{prefix}temperature {values['temperature']} without truncation is outside every"
                f" vendor's range for local weights (at most {highest_temperature():g})"
            )
    return found
