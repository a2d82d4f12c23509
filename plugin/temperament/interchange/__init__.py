"""Preset formats of other programs, to read and to write: one file for each program.

`README.md` in this folder describes how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from temperament.errors import PresetError, Problem, TemperamentError, nearest, shown
from temperament.interchange.dialect import gone, movable, same_order
from temperament.interchange.format import Format, Note, Reading
from temperament.presets import Preset
from temperament.presets.parsing import parse_preset
from temperament.presets.plain import plain_value
from temperament.stages import PARAMETERS

# The files of this folder that have formats. A file has the first format that it looks like.
MODULES = (
    "transformers",
    "sillytavern",
    "litellm",
    "vllm",
    "koboldcpp",
    "mlxlm",
    "exllamav3",
    "sglang",
    "llamacpp",
    "llamacpp_options",
    "ollama",
    "tabbyapi",
    "webui",
    "lmstudio",
    "openrouter",
)
FORMATS: tuple[Format, ...] = tuple(
    file_format for name in MODULES for file_format in import_module(f"{__name__}.{name}").FORMATS
)
BY_NAME: Mapping[str, Format] = {each.name: each for each in FORMATS}

__all__ = [
    "BY_NAME",
    "FORMATS",
    "MODULES",
    "Format",
    "Note",
    "Reading",
    "decoded",
    "export",
    "gone",
    "read",
    "recognised",
]


def read(text: str, *, name: str = "", format_name: str = "", section: str = "") -> Reading:
    """The preset in a file's text, and the notes on what is lost or differs.

    `name` is the file's name, `format_name` a name of `BY_NAME` (recognised by the file if empty),
    and `section` names one preset of a file that has several. The preset's fields are in the order
    of the stages. Raises `PresetError` if the text doesn't have the format, or if a value isn't
    allowed in a preset.
    """
    text = text.removeprefix("\ufeff")
    file_format = recognised(text, name, format_name)
    try:
        reading = file_format.read(text, section)
    except TemperamentError:
        raise
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        # A format converts and compares values before the preset is checked.
        message = f"has a value of another type than {file_format.title} has there: {error}"
        raise PresetError(Problem(name or file_format.title, "", message)) from error
    checked, _ = parse_preset("import", reading.preset, where=name or file_format.title)
    ranks = {key: rank for rank, key in enumerate(("order", *PARAMETERS))}
    reading.preset = {
        field: plain_value(field, checked.values[field]) if field in PARAMETERS else value
        for field, value in sorted(
            reading.preset.items(), key=lambda item: ranks.get(item[0], len(ranks))
        )
    }
    return reading


def decoded(raw: bytes, name: str) -> str:
    """A file's text: UTF-8, or UTF-16 with its byte order mark. Raises `PresetError`."""
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        message = "can't be read: not UTF-8, nor UTF-16 with a byte order mark"
        raise PresetError(Problem(name, "", message)) from None


def export(preset: Preset, format_name: str) -> tuple[str, list[Note]]:
    """The text of another program's file, and the notes on what is lost or differs.

    Temperatures are those that are drawn from weights, unless the format is for the API of their
    scale. The text is read back, and every difference to the preset has a note. Raises
    `PresetError` for an unknown format and for an unbound preset.
    """
    file_format = _named(format_name)
    preset = preset if file_format.takes_scales else preset.drawn
    if preset.unbound:
        raise PresetError(Problem(preset.origin or preset.name, "", preset.unbound))
    text, notes = file_format.write(preset)
    lost = {note.name for note in notes if note.kind == "lost"}
    return text, notes + _differences(preset, file_format, text, lost | gone(lost))


def _differences(preset: Preset, file_format: Format, text: str, lost: set[str]) -> list[Note]:
    """Returns notes on what reading the text again would change, except parameters in `lost`."""
    back, _ = parse_preset("export", file_format.read(text, "").preset)
    message = f"{file_format.title} would give it back as "
    before, after = preset.chain, back.chain
    notes = [
        Note("lost", name, value, f"{message}{after.values.get(name)}")
        for name, value in before.values.items()
        if after.values.get(name) != value and name not in lost
    ]
    notes += [
        Note("lost", name, value, f"{message}{back.generation.get(name)}")
        for name, value in preset.generation.items()
        if back.generation.get(name) != value and name not in {*lost, "do_sample"}
    ]
    kept = [name for name in movable(before.names) if name in after.names]
    order = [name for name in movable(after.names) if name in kept]
    if "order" not in lost and not same_order(kept, order):
        notes.append(
            Note("lost", "order", kept, f"{file_format.title} would run {', '.join(order)}")
        )
    return notes


def _named(name: str) -> Format:
    if name not in BY_NAME:
        allowed = ", ".join(BY_NAME)
        problem = Problem("", "", "unknown format", shown(name), allowed, nearest(name, [*BY_NAME]))
        raise PresetError(problem)
    return BY_NAME[name]


def recognised(text: str, name: str, format_name: str = "") -> Format:
    """The format of this name, or the first that the file looks like. Raises `PresetError`."""
    if format_name:
        return _named(format_name)
    base = name.replace("\\", "/").rpartition("/")[2]
    for each in FORMATS:
        if each.looks(base, text):
            return each
    allowed = f"--from {', '.join(BY_NAME)}"
    raise PresetError(Problem(name, "", "no format is recognised", allowed=allowed))
