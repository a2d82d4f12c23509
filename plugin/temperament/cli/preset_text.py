"""What a preset says about itself: as text for a table, and as data for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.presets import Preset
from temperament.presets.plain import plain_values


def summary(preset: Preset, language: str) -> str:
    """The summary in a language, or in another if it has none in that."""
    return preset.summary.get(language) or next(filter(None, preset.summary.values()), "")


def parameters(preset: Preset) -> str:
    """What a preset sets, in at most 80 columns."""
    order = {"order": preset.order} if preset.order else {}
    factors = {name: f"{factor:g}x recommended" for name, factor in preset.relative.items()}
    if preset.from_model:
        factors = {"from_model": preset.from_model, **factors}
    values = equations({**factors, **preset.generation, **order})
    text = ", ".join(filter(None, (stated_values(preset, ""), values)))
    modes = (f"{mode.name}({stated_values(preset, mode.name)})" for mode in preset.modes)
    text = " ".join(filter(None, (text, *modes)))
    return text if len(text) <= 80 else f"{text[:79]}…"


def stated_values(preset: Preset, mode: str) -> str:
    """The values of a preset, or of one of its modes, as text.

    A temperature on a scale is followed by the one that is drawn: "temperature=1.3 (drawn at 0.6)".
    """
    on_weights = preset.drawn
    layers, drawn = {"": preset.values}, {"": on_weights.values}
    layers |= {each.name: each.values for each in preset.modes}
    drawn |= {each.name: each.values for each in on_weights.modes}
    stated, values = plain_values(layers[mode]), plain_values(drawn[mode])
    return ", ".join(
        f"{name}={stated[name]} (drawn at {value})"
        if name in stated and stated[name] != value
        else f"{name}={value}"
        for name, value in values.items()
    )


def relative_values(preset: Preset) -> str:
    """The values that a preset takes from the model, as text."""
    parts = [preset.from_model] if preset.from_model else []
    parts += [
        f"{name} {factor:g} times the recommended" for name, factor in preset.relative.items()
    ]
    return ", ".join(parts)


def equations(values: Mapping[str, Any]) -> str:
    """Values as text: "top_p=0.9, top_k=40"."""
    return ", ".join(f"{name}={value}" for name, value in plain_values(values).items())


def facts(preset: Preset) -> dict[str, Any]:
    """All about a preset, for JSON."""
    steps = preset.chain.steps
    chain = [{"stage": step.stage, "values": plain_values(dict(step.values))} for step in steps]
    return {
        "name": preset.name,
        "aliases": preset.aliases,
        "summary": dict(preset.summary),
        "values": plain_values(preset.values),
        "order": preset.order,
        **(_modes(preset) if preset.modes else {}),
        "generation": dict(preset.generation),
        "chain": chain,
        "source": preset.source,
        "digest": preset.digest,
        "origin": preset.origin,
        "alone": preset.alone,
        "pick": [rule.plain() for rule in preset.pick],
        "relative": dict(preset.relative),
        "from_model": preset.from_model,
        "temperature_scale": preset.temperature_scale,
        "drawn": plain_values(preset.drawn.values),
        "notes": preset.reasons,
    }


def _modes(preset: Preset) -> dict[str, Any]:
    modes = {
        mode.name: {**plain_values(mode.values), "order": mode.order, "drawn": drawn.values}
        for mode, drawn in zip(preset.modes, preset.drawn.modes, strict=True)
    }
    return {
        "modes": modes,
        "start": preset.start,
        "switch": [rule.plain() for rule in preset.switch],
    }
