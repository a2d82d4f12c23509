"""What a family's file (`configs/models`) may contain, and what is wrong with one.

`presets.family_files` reads the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from temperament.errors import Problem, nearest, shown
from temperament.presets.problems import path_in_data
from temperament.presets.source import Document

T = TypeVar("T")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PieceFields(_Strict):
    up_to: float
    times: float = 1.0
    plus: float = 0.0


class ScaleFields(_Strict):
    # without pieces: those of configs/temperature_scales.yaml
    pieces: list[PieceFields] | None = Field(default=None, min_length=1)
    source: str
    read: str


class MarkerFields(_Strict):
    """The formats (`configs/markers.yaml`) in which the family marks parts of its answers.

    A part without one has the marks of all formats, as for a model that isn't known.
    """

    reasoning: str | None = None
    tool_call: str | None = None
    source: str
    read: str


class ThinkingFields(_Strict):
    """How a request switches thinking, as `ThinkingSwitch` has it."""

    default: bool | None
    arguments: list[str] = []
    values: dict[str, dict[str, bool]] = {}
    words: dict[str, bool] = {}
    words_of: Literal["prompt", "system"] = "prompt"
    source: str
    read: str


class FamilyFields(_Strict):
    title: str
    names: list[str] = []
    config: list[dict[str, str | int]] = []
    recommended: str
    values: dict[str, dict[str, Any]] = Field(min_length=1)
    scales: dict[str, ScaleFields] = {}
    markers: MarkerFields | None = None
    thinking: ThinkingFields | None = None


# Pattern of a path in the file -> the names of the map there. The first pattern that fits counts.
_NAMES: Mapping[str, type[_Strict]] = {
    "": FamilyFields,
    "markers": MarkerFields,
    "thinking": ThinkingFields,
    "scales.*.pieces.*": PieceFields,
    "scales.*": ScaleFields,
}
# Pattern of a path in the file -> what is allowed there. The first pattern that fits counts.
_ALLOWED: Mapping[str, str] = {
    "": "a map of title, recommended, values and, if need be, other names",
    "title": "a text",
    "names*": "a list of texts, each a pattern of models' names",
    "config*": "a list of maps, each of names in config.json with a text or an integer",
    "recommended": "the name of one of the values",
    "values*": "a map of at least one kind, each a map of a preset's fields with source and read",
    "scales.*.source": "a text",
    "scales.*.read": "a text",
    "scales.*.pieces*": "a list of at least one map of up_to, times and plus, each a number",
    "scales*": "a map of temperature scales, each a map of pieces, source and read",
    "markers.*": "a text",
    "markers": "a map of reasoning, tool_call, source and read",
    "thinking.default": "true, false or null",
    "thinking.arguments*": "a list of texts",
    "thinking.values*": "a map of arguments, each a map of texts with true or false",
    "thinking.words_of": "prompt or system",
    "thinking.words*": "a map of words with true or false",
    "thinking.*": "a text",
    "thinking": "a map of default, source, read and how a request switches thinking",
}


def field_problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Yields what is wrong with the file's fields. A value of several types has several errors."""
    for details in error.errors(include_url=False):
        location = tuple(part for part in details["loc"] if part != "[key]")
        path = path_in_data(document.data, location) if document.data else ()
        message, given = "not allowed", shown(details["input"])
        if details["type"] == "missing":
            path, message, given = location, "has no value", ""
        dotted = ".".join(map(str, path))
        if details["type"] == "extra_forbidden":
            names = [*_of_path(_NAMES, ".".join(map(str, path[:-1]))).model_fields]
            close = nearest(str(path[-1]), names)
            allowed = ", ".join(names)
            yield Problem(document.locate(path), dotted, "unknown name", "", allowed, close)
        else:
            allowed = _of_path(_ALLOWED, dotted)
            yield Problem(document.locate(path), dotted, message, given, allowed)


def _of_path(table: Mapping[str, T], path: str) -> T:
    return next(found for pattern, found in table.items() if fnmatchcase(path, pattern))
