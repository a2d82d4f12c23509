"""Other people's preset formats, in and out. One file a format; `FORMATS` are all of them."""

from __future__ import annotations

from collections.abc import Mapping

from temperament.errors import PresetError, Problem, nearest, shown
from temperament.interchange import (
    koboldcpp,
    litellm,
    llamacpp,
    llamacpp_options,
    ollama,
    sglang,
    sillytavern,
    tabbyapi,
    transformers,
    vllm,
    webui,
)
from temperament.interchange.base import Format, Note, Reading
from temperament.interchange.dialect import gone, movable, same_order
from temperament.presets import Preset, schema
from temperament.presets.plain import plain_value
from temperament.stages import PARAMETERS

# Where a file may be of several formats, the first that it looks like.
FORMATS: tuple[Format, ...] = (
    transformers.FORMAT,
    sillytavern.FORMAT,
    litellm.FORMAT,
    vllm.CONFIG,
    vllm.EXTRA_BODY,
    koboldcpp.FORMAT,
    sglang.FORMAT,
    llamacpp.SERVER,
    llamacpp_options.INI,
    llamacpp_options.LINE,
    ollama.FORMAT,
    tabbyapi.FORMAT,
    webui.FORMAT,
    vllm.OVERRIDE,
)
BY_NAME: Mapping[str, Format] = {made.name: made for made in FORMATS}

__all__ = ["BY_NAME", "FORMATS", "Format", "Note", "Reading", "export", "gone", "read"]


def read(text: str, *, name: str = "", format_name: str = "", section: str = "") -> Reading:
    """What a file says, in a preset's words; `name` is the file's.

    The words are in the order of the stages. Raises `PresetError` if the text isn't of the format,
    or if a value isn't one that a preset may have.
    """
    made = _format(format_name) if format_name else _guess(text, name)
    reading = made.read(text, section)
    checked, _ = schema.preset("import", reading.words, where=name or made.title)
    for field in reading.words.keys() & PARAMETERS.keys():
        reading.words[field] = plain_value(field, checked.values[field])
    ranked = {key: rank for rank, key in enumerate(("order", *PARAMETERS))}
    reading.words = dict(
        sorted(reading.words.items(), key=lambda item: ranked.get(item[0], len(ranked)))
    )
    return reading


def export(preset: Preset, format_name: str) -> tuple[str, list[Note]]:
    """A preset in another program's words, and what must be known about it.

    What is written is read back, so that nothing is lost without a note. Raises `PresetError` if
    the preset's values depend on a model that isn't known.
    """
    made = _format(format_name)
    if preset.unbound:
        raise PresetError(Problem(preset.origin or preset.name, "", preset.unbound))
    text, notes = made.write(preset)
    notes += _unsaid(preset, made, text, {note.name for note in notes if note.kind == "lost"})
    return text, notes


def _unsaid(preset: Preset, made: Format, text: str, lost: set[str]) -> list[Note]:
    words = made.read(text, preset.name if made.name == "litellm" else "").words
    back, _ = schema.preset("export", words)
    before, after = preset.chain, back.chain
    lost = lost | gone(lost)
    notes = [
        Note("lost", name, value, f"{made.title} would give it back as {after.values.get(name)}")
        for name, value in before.values.items()
        if after.values.get(name) != value and name not in lost
    ]
    kept = [name for name in movable(before.names) if name in after.names]
    again = [name for name in movable(after.names) if name in kept]
    if "order" not in lost and not same_order(kept, again):
        notes.append(Note("lost", "order", kept, f"{made.title} would run {', '.join(again)}"))
    return notes


def _format(name: str) -> Format:
    if name not in BY_NAME:
        allowed = ", ".join(BY_NAME)
        problem = Problem("", "", "unknown format", shown(name), allowed, nearest(name, [*BY_NAME]))
        raise PresetError(problem)
    return BY_NAME[name]


def _guess(text: str, name: str) -> Format:
    base = name.replace("\\", "/").rpartition("/")[2]
    for made in FORMATS:
        if made.looks(base, text):
            return made
    allowed = f"--from {', '.join(BY_NAME)}"
    raise PresetError(Problem(name, "", "of no format that is recognised", allowed=allowed))
