"""The modes of a preset as a drawing, and of a text in colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from temperament.presets import Preset
from temperament.presets.modes import AUTO, Mode, Rule
from temperament.presets.switching import first

if TYPE_CHECKING:
    from temperament.engines.tracing import Traced

COLOURS = (36, 33, 35, 32, 34, 31, 96, 93)  # of terminals, one for each mode


def draw(preset: Preset) -> str:
    """Each mode with its values, and behind each of its triggers where it leads."""
    begin = first(preset)
    start = f"what the prompt tells, else {begin}" if preset.start == AUTO else begin
    lines = [f"Modes; a text begins in {start}:"]
    width = max(len(mode.name) for mode in preset.modes)
    for mode in preset.modes:
        mark = "▶" if mode.name == begin else " "
        values = ", ".join(f"{name}={value}" for name, value in mode.values.items())
        lines.append(f"{mark} {mode.name:<{width}}  {values}".rstrip())
        own = [rule for rule in preset.switch if rule.leaves(mode.name)]
        for rule in own:
            branch = "└" if rule is own[-1] else "├"
            lines.append(f"  {branch}─ {_trigger(rule)} ──▶ {rule.to}")
    return "\n".join(lines)


def switches(preset: Preset) -> Iterator[tuple[str, str]]:
    """(the modes that a rule leaves, its trigger and where it leads) of every rule."""
    for rule in preset.switch:
        yield ", ".join(rule.sources) or "any", f"{_trigger(rule)} → {rule.to}"


def _trigger(rule: Rule) -> str:
    return f"{rule.on}, before its last token" if rule.before else str(rule.on)


def coloured(traced: Traced, modes: tuple[Mode, ...], colour: bool) -> str:
    """The text with each mode in its colour, or with the modes' names where they begin."""
    place = {mode.name: COLOURS[number % len(COLOURS)] for number, mode in enumerate(modes)}
    if not colour:
        return "".join(f"[{span.mode}]{span.text}" for span in traced.spans)
    return "".join(f"\033[{place[s.mode]}m{s.text}\033[0m" for s in traced.spans)


def legend(modes: tuple[Mode, ...], colour: bool) -> str:
    """The modes' names, each in its colour."""
    if not colour:
        return ", ".join(mode.name for mode in modes)
    return ", ".join(
        f"\033[{COLOURS[number % len(COLOURS)]}m{mode.name}\033[0m"
        for number, mode in enumerate(modes)
    )
