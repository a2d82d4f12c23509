"""Turns pydantic's errors about a preset's fields into this package's problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from temperament.errors import MOST, Problem, nearest, shown
from temperament.presets import fields, temperature_scales
from temperament.presets.generation_fields import ELSEWHERE
from temperament.presets.markers import NAMES
from temperament.presets.picking import FLAGS, TEXTS
from temperament.presets.rule_fields import ALLOWED_IN_RULES, ALLOWED_IN_SCHEDULES
from temperament.presets.source import Path
from temperament.stages import PARAMETERS

# Returns the file and line of a path, or the name of a source without lines.
Locate = Callable[[Path], str]

_MISSING = object()
# The names inside a field whose value is a map, or a list of maps.
_INNER_NAMES = {
    "summary": tuple(fields.Summary.model_fields),
    "pick": ("when", "preset", *FLAGS, *TEXTS),
    "switch": tuple(map(str, ALLOWED_IN_RULES)),
}


def field_problems(
    error: ValidationError, data: Mapping[Any, Any], locate: Locate
) -> Iterator[tuple[Path, Problem]]:
    """Yields the path of each wrong value in `data`, and what is wrong with it."""
    found = error.errors(include_url=False)[: MOST + 1]
    enclosing = {
        details["loc"][:length] for details in found for length in range(len(details["loc"]))
    }
    for details in found:
        # pydantic counts only the valid items of a list: it calls a list of one wrong item too
        # short. The wrong item has its own problem.
        if details["type"] != "too_short" or details["loc"] not in enclosing:
            yield details["loc"], _problem(details, data, locate)


def _problem(details: ErrorDetails, data: Mapping[Any, Any], locate: Locate) -> Problem:
    location = tuple(part for part in details["loc"] if part != "[key]")
    in_mode = location[:1] == ("modes",) and len(location) > 2
    inner = location[2:] if in_mode else location
    if inner[:1] == ("fallback",) and len(inner) > 1:
        inner = inner[1:]
    field = str(inner[0]) if inner else ""
    if details["type"] == "extra_forbidden" and len(inner) == 1:
        known = fields.IN_MODES if in_mode else fields.model().model_fields
        close = nearest(field, [name for name in fields.model().model_fields if name in known])
        if ELSEWHERE.get(field) in known:
            close = (ELSEWHERE[field],)
        return Problem(locate(location), _dotted(location), "unknown name", nearest=close)
    value = _value_at(data, location)
    path = path_in_data(data, location)
    message = "not allowed"
    if details["type"] == "extra_forbidden":
        message = "unknown name"
    elif details["type"] == "missing":
        message, value = "has no value", _MISSING
        path = (*path, location[-1])
    elif details["type"] == "value_error":
        message = str(details["msg"]).removeprefix("Value error, ")
    elif details["type"] in ("too_long", "string_too_long"):
        noun = "entries" if details["type"] == "too_long" else "characters"
        message = f"more than {details['ctx']['max_length']} {noun}"
    wrong_key = "[key]" in details["loc"]
    wrong = details["input"] if value is _MISSING or wrong_key else value
    return Problem(
        locate(path),
        _dotted(path),
        message,
        shown(wrong),
        _allowed(field, path, details),
        _nearest(field, location, details),
    )


def path_in_data(data: Any, location: Path) -> Path:
    """Returns the location without the names of pydantic's types, which aren't in the data."""
    path: Path = ()
    for part in location:
        if not path or _value_at(data, (*path, part)) is not _MISSING:
            path = (*path, part)
    return path


def _allowed(field: str, path: Path, details: ErrorDetails) -> str:
    if field == "switch":
        for part in reversed(path):
            if part in ALLOWED_IN_RULES:
                return ALLOWED_IN_RULES[part]
    if _in_schedule(field, path):
        if details["type"] == "extra_forbidden":
            return ", ".join(map(str, ALLOWED_IN_SCHEDULES))
        return ALLOWED_IN_SCHEDULES.get(path[-1]) or fields.ALLOWED[field]
    return fields.ALLOWED.get(field, str(details["msg"]))


def _in_schedule(field: str, path: Path) -> bool:
    return field in PARAMETERS and PARAMETERS[field].schedulable and path[-1] != field


def _nearest(field: str, location: Path, details: ErrorDetails) -> tuple[str, ...]:
    if details["type"] == "extra_forbidden":
        names = ALLOWED_IN_SCHEDULES if _in_schedule(field, location) else ()
        return nearest(str(location[-1]), _INNER_NAMES.get(field, list(map(str, names))))
    if field == "order":
        return nearest(details["input"], fields.MOVABLE) if location[-1] != "order" else ()
    if field == "pick" and "when" in location:
        return nearest(details["input"], FLAGS) if isinstance(details["input"], str) else ()
    if field == "temperature_scale":
        return nearest(details["input"], temperature_scales.names())
    is_marker = location[-2:-1] == ("on",) and isinstance(details["input"], str)
    return nearest(details["input"], list(NAMES)) if is_marker else ()


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        if isinstance(data, Mapping):
            if part not in data and str(part).isdigit() and int(part) in data:
                part = int(part)  # noqa: PLW2901 - pydantic writes an integer key as text
            data = data.get(part, _MISSING)
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return _MISSING
    return data


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
