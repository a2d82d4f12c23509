"""A preset as plain data, and as the YAML text of its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from temperament.presets.preset import Preset
from temperament.presets.schedule import Schedule
from temperament.stages import PARAMETERS


def fields(preset: Preset) -> dict[str, Any]:
    """What a preset says, as a file or a request's body has it: numbers, texts, lists and maps."""
    said = _words(preset.values, preset.order)
    said |= {name: _lists(value) for name, value in preset.generation.items()}
    if preset.modes:
        said["modes"] = {mode.name: _words(mode.values, mode.order) for mode in preset.modes}
        said |= {"start": preset.start} if preset.start else {}
        said |= {"switch": [rule.words for rule in preset.switch]} if preset.switch else {}
    return said


def yaml_text(preset: Preset) -> str:
    """The text of a preset's file: reading it gives the preset again."""
    about: dict[str, Any] = {}
    if preset.aliases:
        about["aliases"] = list(preset.aliases)
    if preset.summary:
        about["summary"] = dict(preset.summary)
    if preset.source:
        about["source"] = preset.source
    content = about | fields(preset)
    if not content:
        return "# every stage is off: the model's own distribution\n"
    return "".join(f"{name}: {flow(value)}\n" for name, value in content.items())


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    said = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    said = str(said).removesuffix("\n").removesuffix("...").strip()
    return said if "\n" not in said else json.dumps(_lists(value), ensure_ascii=False)


def _words(values: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    said = {name: _plain(name, value) for name, value in values.items()}
    return said | ({"order": list(order)} if order else {})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.words
    return dict(value) if PARAMETERS[name].kind == "token_bias" else _lists(value)


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value
