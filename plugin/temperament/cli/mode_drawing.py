"""The modes of a preset as a drawing, and a traced text in the colours of its modes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from temperament.presets import Preset
from temperament.presets.mode_checks import first_mode
from temperament.presets.modes import AUTO, Mode, Rule

if TYPE_CHECKING:
    from temperament.engines.transformers.traced_generation import Traced

COLOURS = (36, 33, 35, 32, 34, 31, 96, 93)  # ANSI colour numbers, one for each mode


def draw(preset: Preset) -> str:
    """Each mode with its values, then each of its triggers with the mode that it leads to."""
    begin = first_mode(preset)
    start = f"the mode that the prompt leaves open, else {begin}" if preset.start == AUTO else begin
    lines = [f"Modes; a text begins in {start}:"]
    width = max(len(mode.name) for mode in preset.modes)
    for mode in preset.modes:
        mark = "▶" if mode.name == begin else " "
        values = ", ".join(f"{name}={value}" for name, value in mode.values.items())
        lines.append(f"{mark} {mode.name:<{width}}  {values}".rstrip())
        rules = [rule for rule in preset.switch if rule.leaves(mode.name)]
        for rule in rules:
            branch = "└" if rule is rules[-1] else "├"
            lines.append(f"  {branch}─ {_trigger(rule)} ──▶ {rule.to}")
    return "\n".join(lines)


def switches(preset: Preset) -> Iterator[tuple[str, str]]:
    """For each rule: the modes that it leaves, and its trigger with the mode that it leads to."""
    for rule in preset.switch:
        yield ", ".join(rule.sources) or "any", f"{_trigger(rule)} → {rule.to}"


def _trigger(rule: Rule) -> str:
    return f"{rule.on}, before its last token" if rule.before else str(rule.on)


def coloured(traced: Traced, modes: tuple[Mode, ...], colour: bool) -> str:
    """The text with each mode in its colour, or with a mode's name where the mode begins."""
    if not colour:
        return "".join(f"[{span.mode}]{span.text}" for span in traced.spans)
    colours = {mode.name: COLOURS[place % len(COLOURS)] for place, mode in enumerate(modes)}
    return "".join(f"\033[{colours[s.mode]}m{s.text}\033[0m" for s in traced.spans)


def legend(modes: tuple[Mode, ...], colour: bool) -> str:
    """The modes' names, each in its colour."""
    if not colour:
        return ", ".join(mode.name for mode in modes)
    return ", ".join(
        f"\033[{COLOURS[place % len(COLOURS)]}m{mode.name}\033[0m"
        for place, mode in enumerate(modes)
    )
