"""`new` and `set`: preset files of the user's own."""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem, shown
from temperament.presets import Catalogue, editing, schema

Command = Callable[[str, Callable[[Namespace], str], str], argparse.ArgumentParser]


def add(command: Command) -> None:
    """Adds the commands to the command line."""
    made = command("new", new_preset, "a preset file of your own, over another preset")
    made.add_argument("name", metavar="NAME", help="the preset's name, and the file's")
    made.add_argument("--from", dest="parent", required=True, metavar="PRESET")
    made.add_argument("--folder", type=Path, default=Path(), help="where; here if not given")
    made.add_argument("--set", dest="values", action="append", default=[], metavar="NAME=VALUE",
                      help="what it sets, as in YAML; may be repeated")  # fmt: skip
    edited = command("set", set_values, "changes a preset file, and leaves its comments alone")
    edited.add_argument("file", type=Path, metavar="FILE")
    edited.add_argument("values", nargs="*", metavar="NAME=VALUE", help="as in YAML")
    edited.add_argument("--unset", action="append", default=[], metavar="NAME")


def new_preset(words: Namespace) -> str:
    """Writes `NAME.yaml` over another preset, and the schema by which editors check it."""
    if not schema.NAME.fullmatch(words.name):
        raise PresetError(
            Problem("new", "", "not a preset's name", shown(words.name), schema.NAME_ALLOWED)
        )
    parent = Catalogue.load(words.presets).resolve(words.parent)
    path = words.folder / f"{words.name}.yaml"
    if path.exists():
        raise PresetError(Problem(str(path), "", "is there already", allowed="temperament set"))
    text = editing.new(parent.name, _values(words.values))
    _write(path.with_name(editing.SCHEMA_FILE), _json(schema.json_schema()) + "\n")
    _write(path, text)
    return f"{path}: extends {parent.name}"


def set_values(words: Namespace) -> str:
    """Changes a file in place; what is wrong is told and the file stays as it is."""
    text = read_text(str(words.file))
    try:
        changed = editing.set_values(text, _values(words.values), tuple(words.unset))
    except PresetError as error:
        raise PresetError(
            replace(p, where=p.where.replace("preset", str(words.file), 1)) for p in error.problems
        ) from None
    _write(words.file, changed)
    return f"{words.file}: {'as it was' if changed == text else 'changed'}"


def _values(given: Sequence[str]) -> dict[str, Any]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PresetError(Problem("", "", "not NAME=VALUE", shown(text)))
        values[name] = editing.scalar(value, name)
    return values


def read_text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise PresetError(Problem(name, "", f"can't be read: {reason}")) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PresetError(Problem(str(path), "", f"can't be written: {error.strerror}")) from None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
