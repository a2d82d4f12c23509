"""What is known about a model before its weights are read: its name and its `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem
from temperament.presets.markers import Marks


@dataclass(frozen=True, slots=True)
class Facts:
    """A model's name (or folder), and entries of its `config.json`.

    `marks` are those that a server's parsers read, for each part of an answer that has a parser.
    """

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    marks: Mapping[str, Marks] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The name in lower case, with its owner and without: "qwen/qwen3-8b", "qwen3-8b"."""
        full = self.name.replace("\\", "/").rstrip("/").lower()
        return (full, full.rpartition("/")[2])


def facts_of(model: str | Path | Facts) -> Facts:
    """Returns the facts of a model from its name, or from a folder with a `config.json`.

    Raises `PresetError` if a folder's `config.json` can't be read.
    """
    if isinstance(model, Facts):
        return model
    path = Path(model)
    path = path.parent if path.name == "config.json" else path
    file = path / "config.json"
    if not file.is_file():
        return Facts(str(model))
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PresetError(Problem(str(file), "", "can't be read as JSON")) from None
    if not isinstance(config, dict):
        raise PresetError(Problem(str(file), "", "not a JSON object"))
    return facts_of_config(str(path.resolve()), config)


def facts_of_config(name: str, config: Mapping[str, Any]) -> Facts:
    """Returns the facts of a model from its name and the entries of its `config.json`."""
    known = {key: config.get(key) for key in ("model_type", "vocab_size")}
    architectures = config.get("architectures") or [None]
    return Facts(name, {**known, "architecture": architectures[0]})
