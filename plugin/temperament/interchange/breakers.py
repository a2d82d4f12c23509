"""DRY's sequence breakers as text: a JSON list, or one without its brackets."""

from __future__ import annotations

import json
from typing import Any

from temperament.interchange.base import CantSayError


def breakers_of(value: Any) -> list[str]:
    """The breakers of a list, or of a text that holds one."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text if text.startswith("[") else f"[{text}]")
        except ValueError:
            value = [part.strip() for part in text.split(",")]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CantSayError("not a list of texts")
    return [item for item in value if item]


def breakers_text(value: Any) -> str:
    """The breakers as their interfaces write them: quoted, with commas, without brackets."""
    return json.dumps(list(value), ensure_ascii=False)[1:-1]


def breakers_json(value: Any) -> str:
    """The breakers as a JSON list in a text."""
    return json.dumps(list(value), ensure_ascii=False)
