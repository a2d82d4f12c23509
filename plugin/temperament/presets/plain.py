"""Checked values in the types of JSON and YAML: numbers, texts, lists and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.presets.schedule import Schedule
from temperament.stages import PARAMETERS
from temperament.stages.kinds import as_lists


def plain_value(name: str, value: Any) -> Any:
    """A field's checked value as a preset file or a request has it."""
    if isinstance(value, Schedule):
        return value.plain()
    return PARAMETERS[name].kind.plain(value) if name in PARAMETERS else as_lists(value)


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Checked values by field, as a preset file or a request has them."""
    return {name: plain_value(name, value) for name, value in values.items()}
