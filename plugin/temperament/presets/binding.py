"""Binds presets to a model: what a preset leaves to the model becomes its family's numbers."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from temperament.errors import PresetError
from temperament.presets.family import Family
from temperament.presets.marker_binding import bind_markers
from temperament.presets.model_facts import Facts
from temperament.presets.parsing import parse_preset
from temperament.presets.preset import Preset, mode_of
from temperament.presets.temperature_scales import DIGITS, MODEL
from temperament.presets.truncation import add_recommended_cuts
from temperament.stages import PARAMETERS


def bind(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """Returns `preset` bound to a model: sections, recommended values and factors are applied.

    Markers become the marks of the server's parsers, else those of the family.
    If something can't be bound, since there is no family or it lacks the values, `pending` of the
    result is the reason. A preset that doesn't depend on the model stays as it is.
    """
    preset = _numbers(preset, facts, family)
    preset = bind_markers(preset, {**(family.marks if family else {}), **facts.marks})
    return preset if family is None else add_recommended_cuts(preset, family)


def _numbers(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """What `bind` returns, without the cuts that it adds to a high temperature."""
    for pattern, section in preset.sections.items():
        named = any(fnmatchcase(name, pattern) for name in facts.names)
        if named or (family is not None and fnmatchcase(family.name, pattern)):
            preset = replace(
                section.over(preset),
                name=preset.name,
                summary=preset.summary,
                aliases=preset.aliases,
                source=preset.source,
                origin=preset.origin,
                notes=preset.notes,
            )
            preset = preset.with_note(f"its section for {pattern} applies")
    preset = replace(preset, sections={}, pending="")
    if family is not None:
        preset = replace(preset, scales=family.scales)
    preset = _bind_recommended(preset, family)
    if family is not None:
        preset = _bind_factors(preset, family)
    return _modes(preset, facts, family)


def _modes(preset: Preset, facts: Facts, family: Family | None) -> Preset:
    """The preset with the numbers of its unbound modes."""
    modes = []
    for mode in preset.modes:
        unbound = mode.unbound
        if unbound is not None:
            bound = _numbers(unbound, facts, family)
            for note in bound.notes:
                preset = preset.with_note(f"mode {mode.name}: {note}")
            mode = mode_of(replace(bound, notes=()))  # noqa: PLW2901
        modes.append(mode)
    return replace(preset, modes=tuple(modes))


def _cite(family: Family, kind: str) -> str:
    name = family.recommended if kind == "recommended" else kind
    doubt = "" if family.verified[name] else "; not verified"
    return f"{family.values[name].source}, read {family.read[name]}{doubt}"


def _bind_recommended(preset: Preset, family: Family | None) -> Preset:
    """Returns the preset merged over the vendor's values of the kind that `from_model` names.

    A preset with `fallback` is merged over the vendor's default kind if the vendor has no values of
    that kind, and over its `fallback` if the model isn't known.
    """
    kind = preset.from_model
    if not kind:
        return preset
    if family is None:
        if not preset.fallback:
            return preset
        values = ", ".join(f"{name} {value}" for name, value in preset.fallback.items())
        note = f"the model isn't known, so its values for {kind} are {values}"
        layer = Preset("", preset.fallback)
        return replace(preset.over_model(layer), from_model="", fallback={}).with_note(note)
    base = family.recommendation(kind)
    if base is None and preset.fallback:
        preset = preset.with_note(f"{family.title} has no values for {kind}")
        kind = family.recommended
        base = family.recommendation(kind)
    if base is None:
        reason = f"{family.title} has no values for {kind}, only {', '.join(family.values)}"
        return replace(preset, pending=reason)
    layer = Preset("", base.values, base.order, base.generation)
    note = f"{family.title} for {kind}: {_cite(family, kind)}"
    return replace(preset.over_model(layer), from_model="", fallback={}).with_note(note)


def _bind_factors(preset: Preset, family: Family) -> Preset:
    if not preset.relative or preset.pending:
        return preset
    base = family.recommendation("recommended")
    assert base is not None
    values = dict(preset.values)
    for name, factor in preset.relative.items():
        recommended = base.values.get(name)
        if recommended is None:
            reason = f"{family.title} has no recommended {name} to be a factor of"
            return replace(preset, pending=reason)
        number = round(recommended * factor, DIGITS)
        values[name] = round(number) if PARAMETERS[name].integer else number
        note = f"{name} {values[name]:g} is {factor:g} times the {recommended:g} of {family.title}"
        preset = preset.with_note(f"{note}: {_cite(family, 'recommended')}")
    try:
        checked, _ = parse_preset(preset.name, {n: values[n] for n in preset.relative})
    except PresetError as error:
        return replace(preset, pending=str(error))
    scale = MODEL if "temperature" in preset.relative else preset.temperature_scale
    values |= checked.values
    return replace(preset, values=values, relative={}, temperature_scale=scale)
