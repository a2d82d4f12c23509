"""`new` and `set`: write and change the user's preset files."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from temperament.cli.output import AddCommand, as_json
from temperament.errors import PresetError, Problem, shown
from temperament.presets import Catalogue, editing, fields
from temperament.presets.json_schema import json_schema


def add(command: AddCommand) -> None:
    """Adds the commands to the command line."""
    new = command("new", new_preset, "writes a preset file that extends another preset")
    new.add_argument("name", metavar="NAME", help="the new preset's name, and the file's")
    new.add_argument("--from", dest="parent", required=True, metavar="PRESET")
    new.add_argument(
        "--folder", type=Path, default=Path(), help="where to write it (default: this folder)"
    )
    new.add_argument(
        "--set",
        dest="values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field and its value, as in YAML; may be repeated",
    )
    edit = command("set", set_values, "changes fields of a preset file and keeps its comments")
    edit.add_argument("file", type=Path, metavar="FILE")
    edit.add_argument("values", nargs="*", metavar="NAME=VALUE", help="as in YAML")
    edit.add_argument("--unset", action="append", default=[], metavar="NAME")


def new_preset(arguments: Namespace) -> str:
    """Writes `NAME.yaml` and the JSON Schema that editors check it by; returns the path."""
    if not fields.NAME.fullmatch(arguments.name):
        name = shown(arguments.name)
        raise PresetError(Problem("new", "", "not a preset's name", name, fields.NAME_ALLOWED))
    parent = Catalogue.load(arguments.presets).resolve(arguments.parent)
    path = arguments.folder / f"{arguments.name}.yaml"
    if path.exists():
        raise PresetError(Problem(str(path), "", "exists already", allowed="temperament set"))
    text = editing.new(parent.name, _assignments(arguments.values))
    _write(path.with_name(editing.SCHEMA_FILE), as_json(json_schema()) + "\n")
    _write(path, text)
    return f"{path}: extends {parent.name}"


def set_values(arguments: Namespace) -> str:
    """Changes a file in place. The file stays as it was if the result would not be a preset."""
    file = str(arguments.file)
    text = read_text(file)
    try:
        values = _assignments(arguments.values)
        changed = editing.set_values(text, values, tuple(arguments.unset))
    except PresetError as error:
        raise PresetError(
            replace(problem, where=problem.where.replace("preset", file, 1))
            for problem in error.problems
        ) from None
    _write(arguments.file, changed)
    return f"{file}: {'unchanged' if changed == text else 'changed'}"


def _assignments(texts: Sequence[str]) -> dict[str, Any]:
    """The fields and values of `NAME=VALUE` texts, the values read as YAML."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PresetError(Problem("", "", "not NAME=VALUE", shown(text)))
        values[name] = editing.scalar(value, name)
    return values


def read_text(path: str) -> str:
    """A file's text, or that of standard input for `-`. Raises `PresetError`."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise PresetError(Problem(path, "", f"can't be read: {reason}")) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PresetError(Problem(str(path), "", f"can't be written: {error.strerror}")) from None
