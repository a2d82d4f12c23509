"""The temperatures with which text is drawn from weights, where a preset's are on a scale.

This is the one place where a scale is applied. A preset keeps the numbers that its file or the
request states, so that layers can be merged in any way, and `Preset.drawn` is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from temperament.presets.temperature_scales import (
    MODEL,
    WEIGHTS,
    Scale,
    is_scale,
    local,
    numbers,
    scales,
)

if TYPE_CHECKING:
    from temperament.presets.modes import Mode
    from temperament.presets.preset import Preset

TEMPERATURE = "temperature"


class Stated(NamedTuple):
    """A temperature that is on a scale, and the mode that it is of, "" outside of modes."""

    mode: str
    value: Any
    scale: str


def drawn(preset: Preset) -> Preset:
    """Returns the preset with every temperature as it is drawn from weights, on no scale."""
    found = {stated.mode: stated for stated in stated_temperatures(preset)}
    if not found:
        return preset

    def converted(values: Mapping[str, Any], mode: str) -> Mapping[str, Any]:
        if mode not in found:
            return values
        scale = scale_of(preset, found[mode].scale)
        value = found[mode].value
        return {**values, TEMPERATURE: value if scale is None else local(value, scale)}

    return replace(
        preset,
        values=converted(preset.values, ""),
        modes=tuple(
            replace(mode, values=converted(mode.values, mode.name), temperature_scale="")
            for mode in preset.modes
        ),
        temperature_scale="",
    )


def stated_temperatures(preset: Preset) -> Iterator[Stated]:
    """Yields the temperatures that a scale is named for, those of the modes after the preset's.

    A mode whose scale differs from the preset's has the preset's temperature on its own scale.
    """
    if TEMPERATURE in preset.values and preset.temperature_scale:
        yield Stated("", preset.values[TEMPERATURE], preset.temperature_scale)
    for mode in preset.modes:
        scale = scale_in(mode, preset)
        if TEMPERATURE in mode.values:
            if scale:
                yield Stated(mode.name, mode.values[TEMPERATURE], scale)
        elif TEMPERATURE in preset.values and scale != preset.temperature_scale:
            yield Stated(mode.name, preset.values[TEMPERATURE], scale)


def scale_in(mode: Mode, preset: Preset) -> str:
    """The scale of the temperature in a mode. The model's own number is on no other scale."""
    if TEMPERATURE in mode.values:
        return mode.temperature_scale
    if preset.temperature_scale == MODEL:
        return MODEL
    return mode.temperature_scale or preset.temperature_scale


def scale_of(preset: Preset, name: str) -> Scale | None:
    """The scale of a name for the model that the preset is bound to; None for numbers on weights.

    The model's family may have an entry of its own for it.
    """
    return (preset.scales.get(name) or scales()[name]) if is_scale(name) else None


def beyond_scale(preset: Preset) -> str:
    """Why a temperature isn't on the scale that is named for it; "" if all are."""
    for stated in stated_temperatures(preset):
        scale = scale_of(preset, stated.scale)
        if scale is not None and max(numbers(stated.value)) > scale.end:
            mode = f"mode {stated.mode}: " if stated.mode else ""
            return f"{mode}{stated.scale} ends at {scale.end:g}"
    return ""


def scale_notes(preset: Preset) -> Iterator[str]:
    """Yields for each stated temperature at what it is drawn, and why."""
    for stated in stated_temperatures(preset):
        mode = f"mode {stated.mode}: " if stated.mode else ""
        scale = scale_of(preset, stated.scale)
        for number in dict.fromkeys(numbers(stated.value)):
            if stated.scale == WEIGHTS:
                yield f"{mode}temperature {number:g} is drawn as it stands"
            elif scale is not None and (weights := scale.local(number)) is not None:
                yield (
                    f"{mode}temperature {number:g} on {stated.scale} is drawn at {weights:g}:"
                    f" {scale.source}"
                )


def drawn_temperatures(presets: Iterable[Preset]) -> str:
    """Returns at what temperatures presets are drawn that state one on a scale; "" without any.

    `deepseek-api 0 at 0 (code, math), 1 at 0.3 (data)`, and `weights` for numbers that are drawn as
    they stand. Presets that state a schedule, or a temperature in modes only, are left out.
    """
    named: dict[tuple[str, float, float], list[str]] = {}
    for preset in presets:
        for stated in stated_temperatures(preset):
            on_weights = preset.drawn.values.get(TEMPERATURE)
            if not stated.mode and stated.scale != MODEL and isinstance(on_weights, float):
                key = (stated.scale, float(stated.value), on_weights)
                named.setdefault(key, []).append(preset.name)
    parts: dict[str, list[str]] = {}
    for (scale, value, on_weights), names in sorted(named.items()):
        part = f"{value:g} at {on_weights:g} ({', '.join(names)})"
        parts.setdefault(scale, []).append(part)
    return "; ".join(f"{scale} {', '.join(found)}" for scale, found in parts.items())
