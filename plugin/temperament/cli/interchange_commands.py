"""`import` and `export`: presets from and for other programs.

The notes on what is lost or differs go to stderr, so that stdout is the file.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from temperament.cli import import_folder
from temperament.cli.output import AddCommand, as_json
from temperament.errors import PresetError, Problem, nearest, shown
from temperament.interchange import BY_NAME, Note, decoded, export, read
from temperament.interchange.format import listed
from temperament.presets import Catalogue, Preset
from temperament.presets.drawn import scale_in
from temperament.presets.parsing import parse_preset
from temperament.presets.yaml_text import yaml_text


def add(command: AddCommand) -> None:
    """Adds the commands to the command line."""
    formats = f"one of {', '.join(BY_NAME)}"
    reader = command("import", import_file, "turns another program's preset into a preset file")
    reader.add_argument(
        "file", metavar="FILE", help="a file, a folder, an archive, or - for standard input"
    )
    reader.add_argument(
        "--from",
        dest="format",
        default="",
        metavar="FORMAT",
        help=f"{formats} (default: recognised by the file)",
    )
    reader.add_argument("--section", default="", help="which preset of a file with several")
    reader.add_argument(
        "--folder",
        type=Path,
        default=Path(),
        help="where a folder's or archive's presets are written (default: this folder)",
    )
    writer = command("export", export_preset, "writes a preset in another program's format")
    writer.add_argument("name", metavar="NAME", help="a preset's name or alias")
    writer.add_argument("--to", dest="format", required=True, metavar="FORMAT", help=formats)
    writer.add_argument("--mode", default="", help="writes one of the preset's modes")
    writer.add_argument(
        "--model", default="", help="a model's name or folder, whose recommended values are used"
    )
    for parser in (reader, writer):
        parser.add_argument("--json", action="store_true", help="as JSON, with the notes")


def import_file(arguments: Namespace) -> str:
    """The preset file's text; of a folder or an archive, the report on what was written."""
    if arguments.file != "-" and import_folder.is_many(arguments.file):
        found = import_folder.import_many(arguments.file, arguments.format, arguments.folder)
        if arguments.json:
            return as_json([each.as_json for each in found])
        return import_folder.report(found)
    text = _text(arguments.file)
    name = "" if arguments.file == "-" else arguments.file
    reading = read(text, name=name, format_name=arguments.format, section=arguments.section)
    if arguments.json:
        return as_json({"preset": reading.preset, "notes": _notes_as_json(reading.notes)})
    _print_notes(reading.notes)
    preset, _ = parse_preset("imported", reading.preset)
    return yaml_text(preset).rstrip("\n")


def _text(path: str) -> str:
    stream = getattr(sys.stdin, "buffer", None) if path == "-" else None
    try:
        if path == "-" and stream is None:
            return sys.stdin.read()
        return decoded(stream.read() if stream else Path(path).read_bytes(), path)
    except OSError as error:
        raise PresetError(Problem(path, "", f"can't be read: {error.strerror}")) from None


def export_preset(arguments: Namespace) -> str:
    """The other program's file."""
    catalogue = Catalogue.load(arguments.presets)
    if arguments.model:
        catalogue = catalogue.for_model(arguments.model)
    preset = catalogue.resolve(arguments.name)
    if arguments.mode:
        preset = _one_mode(preset, arguments.mode)
    text, notes = export(preset, arguments.format)
    if arguments.json:
        about = {"preset": preset.label, "format": arguments.format, "text": text}
        return as_json({**about, "notes": _notes_as_json(notes)})
    _print_notes(notes)
    return text.rstrip("\n")


def _one_mode(preset: Preset, name: str) -> Preset:
    """The preset in one of its modes, as a preset without modes."""
    modes = {mode.name: mode for mode in preset.modes}
    if name not in modes:
        allowed = ", ".join(modes) or "the preset has no modes"
        close = nearest(name, [*modes])
        raise PresetError(
            Problem(preset.name, "modes", "no such mode", shown(name), allowed, close)
        )
    mode = modes[name]
    values = {**preset.values, **mode.values}
    order, scale = mode.order or preset.order, scale_in(mode, preset)
    alone = replace(preset, values=values, order=order, temperature_scale=scale)
    return replace(alone, modes=(), start="", switch=())


def _print_notes(notes: Sequence[Note]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def _notes_as_json(notes: Sequence[Note]) -> list[dict[str, Any]]:
    return [
        {"kind": n.kind, "name": n.name, "value": listed(n.value), "message": n.message}
        for n in notes
    ]
