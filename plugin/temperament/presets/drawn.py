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
    """A temperature that is on a scale. `mode` is the mode that sets it, "" outside of modes."""

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
    """Yields the temperatures that are on a scale: the preset's, then those of its modes.

    A mode that names another scale and no temperature has the preset's number on its own scale.
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
    """Returns the name of the scale that a mode's temperature is on.

    A mode without a temperature has the preset's, and may put it on another scale. If that number
    comes from the model itself, it stays one for the model's weights.
    """
    if TEMPERATURE in mode.values:
        return mode.temperature_scale
    if preset.temperature_scale == MODEL:
        return MODEL
    return mode.temperature_scale or preset.temperature_scale


def scale_of(preset: Preset, name: str) -> Scale | None:
    """Returns the scale of this name; None if its numbers are already temperatures of the weights.

    The family of the model that the preset is bound to may have published the scale in a form of
    its own.
    """
    return (preset.scales.get(name) or scales()[name]) if is_scale(name) else None


def beyond_scale(preset: Preset) -> str:
    """Returns which temperature is above the end of its scale; "" if none is."""
    for stated in stated_temperatures(preset):
        scale = scale_of(preset, stated.scale)
        if scale is not None and max(numbers(stated.value)) > scale.end:
            mode = f"mode {stated.mode}: " if stated.mode else ""
            return f"{mode}{stated.scale} ends at {scale.end:g}"
    return ""


def scale_notes(preset: Preset) -> Iterator[str]:
    """Yields what each stated temperature is on the weights, and the source of the conversion."""
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
    """Returns one line: each temperature on a scale, what it is on the weights, and its presets.

    For example `deepseek-api 0 at 0 (code, math), 1 at 0.3 (data)`; "" if no preset names a scale.
    The scale `weights` is for numbers that are drawn as they stand. Presets whose temperature is a
    schedule, or is set in modes only, are left out.
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
