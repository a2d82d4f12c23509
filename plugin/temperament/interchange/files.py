"""Text to plain data: JSON, YAML and INI, with errors in our words."""

from __future__ import annotations

import json
from typing import Any

from temperament.errors import PresetError
from temperament.interchange.base import wrong
from temperament.presets import source


def json_object(text: str, title: str) -> dict[str, Any]:
    """A JSON object. Raises `PresetError`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong(title, f"not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise wrong(title, "not a JSON object", content)
    return content


def yaml_map(text: str, title: str) -> dict[str, Any]:
    """A YAML map. Raises `PresetError`."""
    document = source.parse(text.encode(), title)
    if document.problems:
        raise PresetError(document.problems)
    content = document.data if document.data is not None else {}
    if not isinstance(content, dict):
        raise wrong(title, "not a map", content)
    return {str(name): value for name, value in content.items()}


def looks_like_json(text: str, *names: str) -> bool:
    """Whether a text is a JSON object with all of these names at its top."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and all(name in content for name in names)


def looks_like_yaml(text: str, *names: str) -> bool:
    """Whether a text is a YAML map, and no JSON, with all of these names at its top."""
    if text.lstrip().startswith(("{", "[")):
        return False
    content = source.parse(text.encode(), "").data
    return isinstance(content, dict) and all(name in content for name in names)
