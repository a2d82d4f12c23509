"""Reads and writes JSON and YAML, and formats whose file is one map of a dialect's fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

from temperament.errors import PresetError
from temperament.interchange.dialect import Dialect, read, write
from temperament.interchange.format import Format, Note, Reading, wrong
from temperament.presets import Preset, source

MAX_DEPTH = 100  # levels of a JSON file


def json_object(text: str, title: str) -> dict[str, Any]:
    """A JSON object of at most `MAX_DEPTH` levels. Raises `PresetError`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong(title, f"not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise wrong(title, "not a JSON object", content)
    if _is_deeper(content, MAX_DEPTH):
        raise wrong(title, "nested too deeply", allowed=f"at most {MAX_DEPTH} levels")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    inner = content.values() if isinstance(content, dict) else content
    if not isinstance(content, (dict, list)):
        return False
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def yaml_map(text: str, title: str) -> dict[str, Any]:
    """A YAML map. Raises `PresetError`."""
    document = source.parse(text.encode(), title, aliases=True)
    if document.problems:
        raise PresetError(document.problems)
    content = document.data if document.data is not None else {}
    if not isinstance(content, dict):
        raise wrong(title, "not a map", content)
    return {str(name): value for name, value in content.items()}


def json_text(fields: Any, indent: int | None = 2) -> str:
    """Returns `fields` as JSON, with characters unescaped."""
    return json.dumps(fields, indent=indent, ensure_ascii=False)


def yaml_text(fields: Any) -> str:
    """Returns `fields` as YAML, in the same order and with characters unescaped."""
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def looks_like_json(text: str, *names: str) -> bool:
    """Whether a text is a JSON object with all of these names at its top."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and all(name in content for name in names)


def looks_like_yaml(text: str, *names: str) -> bool:
    """Whether a text is a YAML map, and no JSON, with all of these names at its top."""
    if text.lstrip().startswith(("{", "[")):
        return False
    content = source.parse(text.encode(), "", aliases=True).data
    return isinstance(content, dict) and all(name in content for name in names)


def json_format(
    name: str,
    title: str,
    dialect: Dialect,
    looks: Callable[[str, str], bool],
    *,
    version: str = "",
    indent: int | None = 2,
) -> Format:
    """The format whose file is a JSON object of the dialect's fields."""

    def read_text(text: str, section: str) -> Reading:
        return read(dialect, json_object(text, dialect.title))

    def write_text(preset: Preset) -> tuple[str, list[Note]]:
        writing = write(dialect, preset)
        return json_text(writing.fields, indent), writing.notes

    return Format(name, title, read_text, write_text, looks, version)


def yaml_format(
    name: str,
    title: str,
    dialect: Dialect,
    looks: Callable[[str, str], bool],
    *,
    version: str = "",
) -> Format:
    """The format whose file is a YAML map of the dialect's fields."""

    def read_text(text: str, section: str) -> Reading:
        return read(dialect, yaml_map(text, dialect.title))

    def write_text(preset: Preset) -> tuple[str, list[Note]]:
        writing = write(dialect, preset)
        return yaml_text(writing.fields), writing.notes

    return Format(name, title, read_text, write_text, looks, version)


def only_section(section: str, names: list[str], title: str, noun: str) -> str:
    """Returns which of a file's presets (`names`) to read: `section`, or the only one.

    Raises `PresetError` if there are several and `section` is empty, or if it isn't among them.
    """
    if not section and len(names) == 1:
        return names[0]
    if section in names:
        return section
    message = f"no such {noun}" if section else f"which {noun}?"
    raise wrong(title, message, section, f"--section {' or '.join(names)}")
