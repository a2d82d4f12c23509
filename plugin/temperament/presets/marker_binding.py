"""Replaces the markers in a preset's rules by the marks of the model's own format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from temperament.presets.markers import Marks
from temperament.presets.preset import Preset


def bind_markers(preset: Preset, marks: Mapping[str, Marks]) -> Preset:
    """Returns `preset` whose rules wait for the marks of one model.

    `marks` are those of each part that is known; the marks of all formats stay for the others. A
    rule whose marks the model can never write stays and never applies; `never` of the result says
    why.
    """
    rules, never, notes = [], [], []
    for rule in preset.switch:
        part, _, side = rule.on.marker.partition(".")
        if part not in marks:
            rules.append(rule)
            continue
        found = marks[part]
        on = replace(rule.on, texts=found.on(side), bound=True)
        rules.append(replace(rule, on=on))
        if found.unmarked:
            never.append(f"never switches on {rule.on.marker}: {found.unmarked}")
        elif not on.texts:
            notes.append(f"{rule.on.marker} has no mark: a {part} lasts to the end of the text")
        if found.note and side == "start":
            notes.append(f"{rule.on.marker}: {found.note}")
    return replace(
        preset,
        switch=tuple(rules),
        never=tuple(dict.fromkeys(never)),
        notes=tuple(dict.fromkeys((*preset.notes, *notes))),
    )
