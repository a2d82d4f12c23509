"""`import`, `export`, `new` and `set`: presets from and for other programs, and files of one's own.

What a reader must know goes to stderr, so that stdout is the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from temperament.errors import PresetError, Problem, nearest, shown
from temperament.interchange import BY_NAME, Note, export, read
from temperament.interchange.base import listed
from temperament.presets import Catalogue, Preset, editing, schema
from temperament.presets.writing import yaml_text

Command = Callable[[str, Callable[[Namespace], str], str], argparse.ArgumentParser]


def add(command: Command) -> None:
    """Adds the commands to the command line."""
    formats = ", ".join(BY_NAME)
    brought = command("import", import_file, "a preset file from another program's preset")
    brought.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    brought.add_argument("--from", dest="format", default="", metavar="FORMAT", help=formats)
    brought.add_argument("--section", default="", help="of a file that holds several presets")
    sent = command("export", export_preset, "a preset in another program's format")
    sent.add_argument("name", metavar="NAME", help="a preset's name or alias")
    sent.add_argument("--to", dest="format", required=True, metavar="FORMAT", help=formats)
    sent.add_argument("--mode", default="", help="one of the preset's modes, as a preset")
    sent.add_argument("--model", default="", help="a model's name or folder, for its own values")
    for made in (brought, sent):
        made.add_argument("--json", action="store_true", help="as JSON, with the notes")
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


def import_file(words: Namespace) -> str:
    """A preset file's text; the notes go to stderr."""
    text = _text(words.file)
    name = "" if words.file == "-" else words.file
    reading = read(text, name=name, format_name=words.format, section=words.section)
    if words.json:
        return _json({"preset": reading.words, "notes": _notes(reading.notes)})
    _tell(reading.notes)
    made, _ = schema.preset("imported", reading.words)
    return yaml_text(made).rstrip("\n")


def export_preset(words: Namespace) -> str:
    """The other program's file; the notes go to stderr."""
    catalogue = Catalogue.load(words.presets)
    if words.model:
        catalogue = catalogue.for_model(words.model)
    preset = catalogue.resolve(words.name)
    if words.mode:
        preset = _mode(preset, words.mode)
    text, notes = export(preset, words.format)
    if words.json:
        about = {"preset": preset.label, "format": words.format, "text": text}
        return _json({**about, "notes": _notes(notes)})
    _tell(notes)
    return text.rstrip("\n")


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
    text = _text(str(words.file))
    try:
        changed = editing.set_values(text, _values(words.values), tuple(words.unset))
    except PresetError as error:
        raise PresetError(
            replace(p, where=p.where.replace("preset", str(words.file), 1)) for p in error.problems
        ) from None
    _write(words.file, changed)
    return f"{words.file}: {'as it was' if changed == text else 'changed'}"


def _mode(preset: Preset, name: str) -> Preset:
    modes = {mode.name: mode for mode in preset.modes}
    if name not in modes:
        allowed = ", ".join(modes) or "the preset has none"
        raise PresetError(
            Problem(
                preset.name, "modes", "no such mode", shown(name), allowed, nearest(name, [*modes])
            )
        )
    mode = modes[name]
    values = {**preset.values, **mode.values}
    return replace(preset, values=values, order=mode.order or preset.order, modes=(), switch=())


def _values(given: Sequence[str]) -> dict[str, Any]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PresetError(Problem("", "", "not NAME=VALUE", shown(text)))
        values[name] = editing.scalar(value, name)
    return values


def _text(name: str) -> str:
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


def _tell(notes: Sequence[Note]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def _notes(notes: Sequence[Note]) -> list[dict[str, Any]]:
    return [
        {"kind": n.kind, "name": n.name, "value": listed(n.value), "message": n.message}
        for n in notes
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
