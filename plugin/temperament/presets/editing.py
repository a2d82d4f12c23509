"""New preset files, and changes of existing ones that keep their comments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from temperament.errors import PresetError, Problem
from temperament.presets import source
from temperament.presets.parsing import parse
from temperament.presets.yaml_text import flow

SCHEMA_FILE = "preset.schema.json"
HEADER = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"


def scalar(text: str, where: str) -> Any:
    """The value of a YAML text: `0.7`, `[top_p, temperature]`, `{scale: 1.2}`.

    Raises `PresetError` if it isn't YAML.
    """
    document = source.parse(text.encode(), where)
    if document.problems:
        raise PresetError(document.problems)
    return document.data


def new(parent: str, values: Mapping[str, Any]) -> str:
    """The text of a file that extends `parent`, with the line by which editors find the schema."""
    return set_values(f"{HEADER}extends: {parent}\n", values)


def set_values(text: str, values: Mapping[str, Any], removed: tuple[str, ...] = ()) -> str:
    """`text` with top-level `values` set and `removed` gone; every other byte stays.

    A comment after a replaced value stays after the new one. The result is checked: raises
    `PresetError` if the text isn't a YAML map, or if the result isn't a preset.
    """
    for name in removed:
        text = _remove(text, name)
    for name, value in values.items():
        text = _set(text, name, value)
    document = source.parse(text.encode(), "preset")
    problems = [*document.problems, *parse("edited", document.data, document.locate).problems]
    if problems:
        raise PresetError(problems)
    return text


def _nodes(text: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Top-level name -> the nodes of its key and value."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise PresetError(Problem("preset", "", f"not valid YAML: {error}")) from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise PresetError(Problem("preset", "", "not a preset", allowed="a map of names to values"))
    return {str(key.value): (key, value) for key, value in root.value}


def _set(text: str, name: str, value: Any) -> str:
    new = flow(value)
    found = _nodes(text).get(name)
    if found is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{name}: {new}\n"
    key, node = found
    start, end = node.start_mark.index, _end(text, node)
    if "\n" in text[key.end_mark.index : end]:  # a value over several lines becomes one line
        start, new = key.end_mark.index + 1, f" {new}"
    return f"{text[:start]}{new}{text[end:]}"


def _end(text: str, node: yaml.Node) -> int:
    """Returns where a value ends. A block's end mark doesn't show it: it is after the comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        inner = _end(text, last[1] if isinstance(last, tuple) else last)
        line = text.find("\n", inner)
        return len(text) if line < 0 else line
    return node.start_mark.index + len(text[node.start_mark.index : node.end_mark.index].rstrip())


def _remove(text: str, name: str) -> str:
    found = _nodes(text).get(name)
    if found is None:
        raise PresetError(Problem("preset", name, "isn't there"))
    key, node = found
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end = text.find("\n", max(_end(text, node), key.end_mark.index))
    return text[:start] + ("" if end < 0 else text[end + 1 :])
