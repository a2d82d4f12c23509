"""The YAML text of a preset's file."""

from __future__ import annotations

import json
from typing import Any

import yaml

from temperament.presets.preset import Preset
from temperament.stages.kinds import as_lists


def yaml_text(preset: Preset) -> str:
    """The text of a preset's file: reading it gives the preset again."""
    about: dict[str, Any] = {}
    if preset.aliases:
        about["aliases"] = list(preset.aliases)
    if preset.summary:
        about["summary"] = dict(preset.summary)
    if preset.source:
        about["source"] = preset.source
    if preset.alone:
        about["alone"] = True
    if preset.pick:
        about["pick"] = [rule.plain() for rule in preset.pick]
    content = about | preset.plain()
    if not content:
        return "# every stage is off: the model's own distribution\n"
    return "".join(f"{name}: {flow(value)}\n" for name, value in content.items())


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    text = str(text).removesuffix("\n").removesuffix("...").strip()
    return text if "\n" not in text else json.dumps(as_lists(value), ensure_ascii=False)
