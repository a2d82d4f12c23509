"""The study's contexts: beginnings of texts of several kinds, written for this project."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

KINDS = ("prose", "code", "chat", "translation", "maths")


@dataclass(frozen=True, slots=True)
class Context:
    """The beginning of a text, and its kind."""

    kind: str
    text: str

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the context."""
        return hashlib.sha256(f"{self.kind}\n{self.text}".encode()).hexdigest()[:12]


def load(each: int | None = None) -> list[Context]:
    """All contexts, or the first `each` of every kind."""
    raw = Path(__file__).with_name("contexts.json").read_text(encoding="utf-8")
    texts: dict[str, list[str]] = json.loads(raw)
    return [Context(kind, text) for kind in KINDS for text in texts[kind][:each]]
