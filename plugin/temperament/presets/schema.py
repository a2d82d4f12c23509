"""What a preset may say: the pydantic model built from `STAGES`, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import inf
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails

from temperament.errors import MOST, PresetError, Problem, nearest, shown
from temperament.presets import switching
from temperament.presets.generation import GENERATION, SYNONYMS
from temperament.presets.markers import markers
from temperament.presets.modes import AUTO, BACK, MAX_MODES, MAX_RULES, Mode
from temperament.presets.preset import Preset
from temperament.presets.schedule import Schedule
from temperament.presets.source import MAX_VALUES, Document
from temperament.presets.words import IN_RULES, RuleWords, ScheduleWords
from temperament.stages import PARAMETERS, STAGES, Parameter
from temperament.stages.kinds import fits_float32

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
NAME_ALLOWED = "1 to 64 of a-z, 0-9, '.', '_', '-', the first a letter or digit"
# Control characters have no place in an alias: it stands in a request, a header and a table.
ALIAS = r"^[^\s:/@,\x00-\x1f\x7f]([^:/@,\x00-\x1f\x7f]{0,62}[^\s:/@,\x00-\x1f\x7f])?$"

MOVABLE = tuple(stage.name for stage in STAGES if stage.movable)
# Parameters that may change with the position: numbers, but not those that choose or name a thing.
SCHEDULED = frozenset(
    name
    for name, parameter in PARAMETERS.items()
    if parameter.numeric and name not in ("mirostat", "forced_bos_token_id")
)


class Summary(BaseModel):
    """One sentence in each language of the project."""

    model_config = ConfigDict(extra="forbid", strict=True)
    en: str = Field(default="", max_length=300)
    zh: str = Field(default="", max_length=300)


def _annotation(parameter: Parameter) -> Any:
    """A checked value or, where the parameter may change with the position, a schedule."""
    value = parameter.kind.annotation(parameter)
    return _or_schedule(parameter, value) if parameter.name in SCHEDULED else value


def _or_schedule(parameter: Parameter, number: Any) -> Any:
    """A number, or a schedule between two numbers of its range."""

    def checked(words: ScheduleWords) -> Schedule:
        whole = parameter.whole
        made = Schedule(words.start, words.end, words.over, words.curve)
        for side, value in (("from", made.start), ("to", made.end)):
            below = value <= parameter.low if parameter.low_open else value < parameter.low
            above = value >= parameter.high if parameter.high_open else value > parameter.high
            off = whole and value == parameter.neutral
            if below or above or off or (whole and value != int(value)):
                raise ValueError(f"'{side}' is {'off' if off else 'outside the range'}: {value:g}")
            fits_float32(value)
        return made

    schedule = Annotated[ScheduleWords, AfterValidator(checked)]
    return Annotated[
        Annotated[number, Tag("number")] | Annotated[schedule, Tag("schedule")],
        Discriminator(
            lambda value: (
                "schedule"
                if isinstance(value, Mapping) and {"from", "to"} & value.keys()
                else "number"
            )
        ),
    ]


def _sequence(order: Any) -> Any:
    if not isinstance(order, (list, tuple)):
        raise ValueError("not a list")
    return order


def _without_repeats(order: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(order)) < len(order):
        raise ValueError("a stage stands twice")
    return order


# The fields of a preset that set sampling: what a request may override too.
SETTINGS: frozenset[str] = frozenset(
    {*PARAMETERS, *GENERATION, *SYNONYMS, "order", "modes", "start", "switch"}
)
_IN_MODES = frozenset({*PARAMETERS, "order", "extends"})

_ALLOWED = {
    **{name: parameter.allowed for name, parameter in PARAMETERS.items()},
    **{name: allowed for name, (_, allowed) in GENERATION.items()},
    "order": f"a list of one or more stages, each once, of {', '.join(MOVABLE)}",
    "extends": "the name of another preset",
    "aliases": "a list of texts of 1 to 64 characters without ':', '/', '@' or ','",
    "summary": "a map of en and zh to a sentence each",
    "source": "a text: where the values come from",
    "from_model": "a kind of a model's recommended values: recommended, thinking, instruct, ...",
    "temperature_scale": "the name of a scale: deepseek-api, kimi-anthropic, ...",
    "models": "a map of patterns of models' names to further fields of a preset",
    "modes": f"a map of 1 to {MAX_MODES} names to parameters, 'order' and 'extends'",
    "start": f"a mode, or {AUTO!r}",
    "switch": f"a list of at most {MAX_RULES} rules of 'from' (modes), 'on' (a trigger) and 'to'"
    f" (a mode or {BACK!r})",
}
MAX_SECTIONS = 64
FACTOR = "{scale: a number above 0}, of the value that the model's vendor recommends"

# What belongs to a preset as a whole, not to one of its sections.
_WHOLE = ("extends", "aliases", "summary", "models", "modes", "start", "switch")


@cache
def model() -> type[BaseModel]:
    """The pydantic model of a preset's fields. Fields that are None were not given."""
    # Literal of a tuple made at run time: mypy can't follow, pydantic can.
    stage_name = Literal[MOVABLE]  # type: ignore[valid-type]
    order = (
        Annotated[
            tuple[stage_name, ...],
            Field(min_length=1, json_schema_extra={"uniqueItems": True}),
            BeforeValidator(_sequence),
            AfterValidator(_without_repeats),
        ]
        | None,
        None,
    )
    parameters: dict[str, Any] = {
        name: (
            _annotation(parameter) | None,
            Field(default=None, description=f"{parameter.summary} Allowed: {parameter.allowed}."),
        )
        for name, parameter in PARAMETERS.items()
    }
    parent = (Annotated[str, Field(strict=True)] | None, None)
    mode = create_model(
        "Mode",
        __doc__="A mode: what it names lies over what the preset names.",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **{"extends": parent, "order": order, **parameters},
    )
    mode_name = Annotated[str, Field(strict=True, pattern=f"^{NAME.pattern}$")]
    fields: dict[str, Any] = {
        "extends": parent,
        "aliases": (
            tuple[
                Annotated[str, Field(strict=True, pattern=ALIAS)],
                ...,
            ],
            (),
        ),
        "summary": (Summary | None, None),
        "source": (Annotated[str, Field(strict=True, max_length=1000)], ""),
        "from_model": (Annotated[str, Field(strict=True, pattern=NAME.pattern)] | None, None),
        "temperature_scale": (
            Annotated[str, Field(strict=True, pattern=NAME.pattern)] | None,
            None,
        ),
        "models": (dict[str, Any] | None, None),
        "order": order,
        "modes": (
            Annotated[dict[mode_name, mode], Field(min_length=1, max_length=MAX_MODES)] | None,
            None,
        ),
        "start": (mode_name | None, None),
        "switch": (
            Annotated[tuple[RuleWords, ...], Field(max_length=MAX_RULES)] | None,
            None,
        ),
        **parameters,
    }
    for name, (annotation, allowed) in GENERATION.items():
        fields[name] = (annotation | None, Field(default=None, description=allowed))
    return create_model(
        "Preset",
        __doc__="A sampling preset: what it names overrides what lies below, nothing else.",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **fields,
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a preset file, for editors."""
    schema = model().model_json_schema(mode="validation")
    properties = [(name, entry, True) for name, entry in schema["properties"].items()]
    for definition in schema["$defs"].values():
        inside = definition.get("properties", {})
        properties += ((name, entry, False) for name, entry in inside.items())
    for name, entry, top in properties:
        entry.pop("default", None)
        options = [option for option in entry.pop("anyOf", ()) if option != {"type": "null"}]
        options = [choice for option in options for choice in option.get("oneOf", [option])]
        if name in PARAMETERS:
            options += PARAMETERS[name].kind.json_alternatives(PARAMETERS[name])
        elif name in ("stop", "eos_token_id", "decoder_start_token_id"):
            options.append(options[0]["items"])
        if top and name in PARAMETERS and PARAMETERS[name].numeric:
            factor = {"type": "number", "exclusiveMinimum": 0}
            options.append(
                {
                    "type": "object",
                    "properties": {"scale": factor},
                    "required": ["scale"],
                    "additionalProperties": False,
                }
            )
        if len(options) == 1:
            entry.update(options[0])
        elif options:
            entry["anyOf"] = options
    for name, field in SYNONYMS.items():
        schema["properties"][name] = {
            **schema["properties"][field],
            "description": f"Another name of {field}.",
        }
    inner = {key: schema["properties"][key] for key in schema["properties"] if key not in _WHOLE}
    schema["properties"]["models"] = {
        "type": "object",
        "description": _ALLOWED["models"],
        "additionalProperties": {
            "type": "object",
            "properties": {key: {"$ref": f"#/properties/{key}"} for key in inner},
            "additionalProperties": False,
        },
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Temperament preset"
    return schema


def preset(
    name: str,
    data: Any,
    *,
    document: Document | None = None,
    where: str = "",
) -> tuple[Preset, str | None]:
    """A checked preset of `data` (without its `extends`), and the name that it extends.

    Raises `PresetError` with every problem. `document` gives lines to the problems of a file,
    `where` names any other source.
    """

    def place(path: tuple[str | int, ...]) -> str:
        return document.where(path) if document is not None else where

    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise PresetError(
            Problem(place(()), "", "not a preset", shown(data), "a map of names to values")
        )
    if too_large(data):
        most = f"at most {MAX_VALUES} values, 16 characters of a text counting as one"
        raise PresetError(Problem(place(()), "", "too large", allowed=most))
    problems: list[Problem] = []
    words, relative = _words(data, place, problems)
    sections = _sections(name, words.pop("models", None), document, where, problems)
    checked: BaseModel | None = None
    try:
        checked = model().model_validate(words)
    except ValidationError as error:
        found = error.errors(include_url=False)[: MOST + 1]
        wrong_inside = {
            details["loc"][:length] for details in found for length in range(len(details["loc"]))
        }
        for details in found:
            # pydantic counts the right items alone, and calls a list of one wrong item too short
            if details["type"] != "too_short" or details["loc"] not in wrong_inside:
                problems.append(_problem(details, data, place))
    if checked is None or problems:
        problems += switching.unknown_modes(words, place)
        raise PresetError(dict.fromkeys(problems))
    given = {name: getattr(checked, name) for name in checked.model_fields_set}
    summary = given.get("summary")
    modes: dict[str, BaseModel] = given.get("modes", {})
    rules: tuple[RuleWords, ...] = given.get("switch", ())
    return (
        Preset(
            name=name,
            values={key: given[key] for key in PARAMETERS if key in given},
            order=given.get("order", ()),
            generation={key: given[key] for key in GENERATION if key in given},
            summary=summary.model_dump(exclude_unset=True) if summary else {},
            source=given.get("source", ""),
            aliases=given.get("aliases", ()),
            origin=place(()) if document is not None else where,
            relative=relative,
            from_model=given.get("from_model", ""),
            temperature_scale=given.get("temperature_scale", ""),
            sections=sections,
            modes=tuple(_mode(name, words) for name, words in modes.items()),
            start=given.get("start", ""),
            switch=tuple(words.rule() for words in rules),
        ),
        given.get("extends"),
    )


def too_large(data: Any) -> bool:
    """Whether there is more in it than any preset needs: each value may be a problem to tell."""
    count, waiting = 0, [data]
    while waiting and count <= MAX_VALUES:
        inner = waiting.pop()
        if isinstance(inner, Mapping):
            count += 2 * len(inner)
            waiting += inner.keys()
            waiting += inner.values()
        elif isinstance(inner, (list, tuple)):
            count += len(inner)
            waiting += inner
        elif isinstance(inner, str):
            count += len(inner) // 16
    return count > MAX_VALUES


def _words(
    data: Mapping[Any, Any], place: Any, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, float]]:
    """The fields by their names of ours, without the factors, and the factors."""
    words: dict[str, Any] = {}
    relative: dict[str, float] = {}
    for key, value in data.items():
        if not isinstance(key, str):
            problems.append(Problem(place((key,)), shown(key), "unknown name"))
            continue
        field = SYNONYMS.get(key, key)
        if value is None and field in _ALLOWED:
            problems.append(Problem(place((key,)), key, "has no value", allowed=_ALLOWED[field]))
        elif field != key and field in data:
            message = f"stands beside {field}, of which it is another name"
            problems.append(Problem(place((key,)), key, message, allowed="one of them"))
        elif _is_factor(key, value):
            factor = value["scale"]
            number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            if number and 0 < factor < inf and set(value) == {"scale"}:
                relative[key] = float(factor)
            else:
                problems.append(Problem(place((key,)), key, "not allowed", shown(value), FACTOR))
        else:
            words[field] = value
    return words, relative


def _is_factor(key: str, value: Any) -> bool:
    scalable = key in PARAMETERS and PARAMETERS[key].numeric
    return scalable and isinstance(value, Mapping) and "scale" in value


def _sections(
    name: str, given: Any, document: Document | None, where: str, problems: list[Problem]
) -> dict[str, Preset]:
    """What `models` says, by pattern; `problems` gets what is wrong in it."""
    if given is None:
        return {}
    here = document.where(("models",)) if document is not None else where
    if not isinstance(given, Mapping) or len(given) > MAX_SECTIONS:
        problems.append(Problem(here, "models", "not allowed", shown(given), _ALLOWED["models"]))
        return {}
    sections = {}
    for pattern, words in given.items():
        inner = f"models.{pattern}"
        place = document.where(("models", pattern)) if document is not None else where
        if not isinstance(pattern, str) or not pattern or not isinstance(words, Mapping):
            problems.append(Problem(place, inner, "not allowed", shown(words), _ALLOWED["models"]))
            continue
        whole = [key for key in words if key in _WHOLE]
        problems += (Problem(place, f"{inner}.{key}", "belongs outside of models") for key in whole)
        try:
            kept = {key: value for key, value in words.items() if key not in _WHOLE}
            sections[pattern.lower()], _ = preset(name, kept, where=place)
        except PresetError as error:
            problems += (
                Problem(p.where, f"{inner}.{p.path}", p.message, p.given, p.allowed, p.nearest)
                for p in error.problems
            )
    return sections


def _mode(name: str, words: BaseModel) -> Mode:
    given = {field: getattr(words, field) for field in words.model_fields_set}
    given = {field: value for field, value in given.items() if value is not None}
    values = {key: given[key] for key in PARAMETERS if key in given}
    return Mode(name, values, given.get("order", ()), given.get("extends"))


def _problem(details: ErrorDetails, data: Mapping[Any, Any], place: Any) -> Problem:
    location = tuple(part for part in details["loc"] if part != "[key]")
    inside = location[2:] if location[:1] == ("modes",) and len(location) > 2 else location
    top = str(inside[0]) if inside else ""
    if details["type"] == "extra_forbidden" and len(inside) == 1:
        known = [name for name in model().model_fields if inside is location or name in _IN_MODES]
        path = ".".join(map(str, location))
        return Problem(place(location), path, "unknown name", nearest=nearest(top, known))
    found = _at(data, location)
    kept: list[str | int] = []
    for part in location:  # pydantic adds the names of its own types to a path
        if _at(data, (*kept, part)) is not _MISSING or not kept:
            kept.append(part)
    close: tuple[str, ...] = ()
    if top == "order" and len(inside) > 1:
        close = nearest(details["input"], MOVABLE)
    elif location[-2:-1] == ("on",) and isinstance(details["input"], str):
        close = nearest(details["input"], list(markers()))
    message = "not allowed"
    if details["type"] == "missing":
        message, found = "has no value", _MISSING
        kept.append(location[-1])
    elif details["type"] == "value_error":
        message = str(details["msg"]).removeprefix("Value error, ")
    elif details["type"] in ("too_long", "string_too_long"):
        noun = "entries" if details["type"] == "too_long" else "characters"
        message = f"more than {details['ctx']['max_length']} {noun}"
    given = details["input"] if found is _MISSING or "[key]" in details["loc"] else found
    return Problem(
        place(tuple(kept)),
        ".".join(map(str, kept)),
        message,
        shown(given),
        next(
            (IN_RULES[part] for part in reversed(kept) if top == "switch" and part in IN_RULES),
            _ALLOWED.get(top, str(details["msg"])),
        ),
        close,
    )


_MISSING = object()


def _at(data: Any, path: tuple[str | int, ...] | list[str | int]) -> Any:
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
