"""`import` and `export`: presets from and for other programs.

What a reader must know goes to stderr, so that stdout is the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from temperament.cli.file_commands import read_text
from temperament.errors import PresetError, Problem, nearest, shown
from temperament.interchange import BY_NAME, Note, export, read
from temperament.interchange.base import listed
from temperament.presets import Catalogue, Preset, schema
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


def import_file(words: Namespace) -> str:
    """A preset file's text; the notes go to stderr."""
    text = read_text(words.file)
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
