"""Turns YAML text into plain data, with the line of every value.

Tags are refused. So are aliases in presets; files of other programs may have them. The scalars are
those of YAML 1.2's core schema: `on`, `off`, `yes` and `no` are texts, `3e-4` is a number. A key
that occurs twice is a problem, and so is a file that is too large or too deep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from temperament.errors import Problem, shown

try:
    from yaml import CSafeLoader as _SafeLoader  # some twenty times as fast
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_VALUES = 12_288  # names and values of all levels

Path = tuple[str | int, ...]


_TEXT, _WHOLE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"


class _Loader(_SafeLoader):
    """The safe loader with YAML 1.2's core scalars."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a node. Texts in quotes and whole numbers, which fill lists of tokens, need no
        pattern.
        """
        if kind is yaml.ScalarNode:
            if not implicit[0] and implicit[1]:
                return _TEXT
            if implicit[0] and value.isdigit() and value.isascii():
                return _WHOLE
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"[-+]?[0-9]+$", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= 40 else float(text)  # int() of long text is quadratic


_Loader.add_constructor(_WHOLE, lambda _, node: _whole(node.value))
_SCALARS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")
)


@dataclass(slots=True)
class Document:
    """A file's data, the line of each path in it, and the problems of its text."""

    name: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def locate(self, path: Path = ()) -> str:
        """`file:line` of a path, or of the nearest enclosing path that has a line."""
        while path not in self.lines and path:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read(path: FilePath) -> Document:
    """The document in a file."""
    document = Document(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        document.problems.append(
            Problem(document.name, "", f"can't be read: {error.strerror or error}")
        )
        return document
    return parse(raw, str(path))


def parse(raw: bytes, name: str, *, aliases: bool = False) -> Document:
    """The document in YAML text; `aliases` and merge keys (`<<`) are problems unless allowed."""
    document = Document(name)
    if len(raw) > MAX_BYTES:
        document.problems.append(
            Problem(name, "", "the file is too large", allowed=f"at most {MAX_BYTES} bytes")
        )
        return document
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{name}:{raw.count(10, 0, error.start) + 1}"
        document.problems.append(
            Problem(where, "", f"not UTF-8 at byte {error.start}", allowed="UTF-8 text")
        )
        return document
    try:
        document.problems += _unwanted(text, name, aliases)
        if document.problems:
            return document
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None and aliases:
                document.problems += _expand(node, name)
            if node is not None and not document.problems:
                data = _build(loader, node, (), document)
                document.data = None if data is _BROKEN else data
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, name, text))
    return document


def _expand(root: yaml.Node, name: str) -> list[Problem]:
    """Puts what `<<` names into the maps, and returns why the document is too large by its aliases.

    An alias is the node that it names, so a node can stand in many places, and in itself.
    """
    known: dict[int, tuple[int, int]] = {}  # node -> values in it, levels in it
    opened: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in opened:
            raise RecursionError
        if id(node) not in known:
            opened.add(id(node))
            parts = [measure(part) for part in _parts(node)]
            if isinstance(node, yaml.MappingNode) and any(_is_merge(key) for key, _ in node.value):
                node.value = _merged(node)
                parts = [measure(part) for part in _parts(node)]
            opened.remove(id(node))
            values = 1 + sum(count for count, _ in parts)
            known[id(node)] = values, 1 + max((levels for _, levels in parts), default=0)
        return known[id(node)]

    try:
        values, levels = measure(root)
    except RecursionError:
        return [Problem(name, "", "an alias inside the map or list that it names")]
    if values > MAX_VALUES:
        return [
            Problem(name, "", "its aliases repeat too many values", allowed=f"at most {MAX_VALUES}")
        ]
    return [_too_deep(name)] if levels > MAX_DEPTH + 1 else []


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style


def _merged(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Returns a map's pairs, with those of the maps that `<<` names; the map's own come first."""
    direct = [(key, value) for key, value in node.value if not _is_merge(key)]
    found = [value for key, value in node.value if _is_merge(key)]
    maps = [each for value in found for each in ([value] if _is_map(value) else _parts(value))]
    pairs = {key.value: (key, value) for key, value in direct if isinstance(key, yaml.ScalarNode)}
    further = [pair for each in maps if _is_map(each) for pair in each.value]
    added = [pairs.setdefault(key.value, (key, value)) for key, value in further]
    return direct + [pair for pair in dict.fromkeys(added) if pair not in direct]


def _is_map(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode)


def _unwanted(text: str, name: str, aliases: bool) -> list[Problem]:
    """Returns the first alias, too deep level or value too many; nothing is built from the text."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            allowed = "values written out, or `extends`"
            return [Problem(_line(name, event), "", "an alias", f"*{event.anchor}", allowed)]
        if number > MAX_VALUES:
            allowed = f"at most {MAX_VALUES}"
            return [Problem(_line(name, event), "", "too many values", allowed=allowed)]
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return [_too_deep(_line(name, event))]
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return []


def _line(name: str, event: yaml.Event) -> str:
    return f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}"


def _too_deep(where: str) -> Problem:
    return Problem(where, "", "nested too deeply", allowed=f"at most {MAX_DEPTH} levels")


def _syntax_problem(error: yaml.YAMLError, name: str, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        line = min(mark.line, text.count("\n")) + 1
    else:  # a character that YAML doesn't allow
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "nesting depth" in reason:  # libyaml reads ahead, and from 0.2.6 on has a limit too
        return _too_deep(f"{name}:{line}")
    return Problem(f"{name}:{line}", "", f"not valid YAML: {reason}")


_BROKEN = object()  # in the place of a value that has a problem
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _build(loader: _Loader, node: yaml.Node, path: Path, document: Document) -> Any:
    document.lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(loader, node, path, document)
    if node.tag not in _COLLECTIONS:
        document.problems.append(_tagged(node, path, document))
        return _BROKEN
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(loader, node, path, document)
    items = [
        _build(loader, item, (*path, index), document) for index, item in enumerate(node.value)
    ]
    return _BROKEN if any(item is _BROKEN for item in items) else items


def _scalar(loader: _Loader, node: yaml.ScalarNode, path: Path, document: Document) -> Any:
    if node.tag not in _SCALARS:
        document.problems.append(_tagged(node, path, document))
        return _BROKEN
    if node.tag == _TEXT:
        return node.value
    try:
        return _whole(node.value) if node.tag == _WHOLE else loader.construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError):  # `!!int x`, `!!bool x`
        kind = node.tag.rpartition(":")[2]
        where = f"{document.name}:{node.start_mark.line + 1}"
        problem = Problem(where, ".".join(map(str, path)), f"not of type {kind}", shown(node.value))
        document.problems.append(problem)
        return _BROKEN


def _tagged(node: yaml.Node, path: Path, document: Document) -> Problem:
    where = f"{document.name}:{node.start_mark.line + 1}"
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    return Problem(where, ".".join(map(str, path)), "a tag", shown(tag), "plain values")


def _build_mapping(
    loader: _Loader, node: yaml.MappingNode, path: Path, document: Document
) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    first: dict[Any, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        here = f"{document.name}:{line}"
        place = ".".join(map(str, path))
        key: Any = None
        if isinstance(key_node, yaml.ScalarNode):
            key = _scalar(loader, key_node, path, document)
        if key is _BROKEN:
            continue
        if not isinstance(key, (str, int)) or isinstance(key, bool):
            wrong = shown(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            allowed = "text or an integer"
            document.problems.append(
                Problem(here, place, "a key that isn't a name", wrong, allowed)
            )
            continue
        inner = (*path, key)
        if key in first:
            place = ".".join(map(str, inner))
            message = f"occurs twice, first in line {first[key]}"
            document.problems.append(Problem(here, place, message, allowed="each name once"))
            continue
        first[key] = line
        value = _build(loader, value_node, inner, document)
        document.lines[inner] = line
        if value is not _BROKEN:
            result[key] = value
    return result
