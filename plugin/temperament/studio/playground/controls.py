"""What the page knows of the stages: their parameters, and the range of each slider."""

from __future__ import annotations

from typing import Any

from temperament.stages import STAGES, Parameter

_WIDE = 1000.0


def stages() -> list[dict[str, Any]]:
    """Every stage in the default order, as JSON."""
    return [
        {
            "name": stage.name,
            "group": stage.group,
            "movable": stage.movable,
            "summary": {"en": stage.summary, "zh": stage.summary_zh},
            "source": stage.source,
            "parameters": [_control(parameter) for parameter in stage.parameters],
        }
        for stage in STAGES
    ]


def _control(parameter: Parameter) -> dict[str, Any]:
    control: dict[str, Any] = {
        "name": parameter.name,
        "kind": parameter.kind.name,
        "summary": parameter.summary,
        "allowed": parameter.allowed,
        "unset": parameter.unset,
    }
    if parameter.numeric:
        control["slider"] = list(slider(parameter))
    return control


def slider(parameter: Parameter) -> tuple[float, float, float]:
    """The lowest and the highest value of a parameter's slider, and its step.

    The number field beside the slider takes every value of the parameter; left empty, it turns the
    parameter off.
    """
    if parameter.slider is not None:
        return parameter.slider
    low, high = max(parameter.low, -_WIDE), min(parameter.high, _WIDE)
    return low, high, 1 if parameter.integer else (high - low) / 100
